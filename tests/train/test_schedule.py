"""Learning rates of every schedule."""

import itertools
from dataclasses import replace

import pytest

from derain.recipes import RECIPES, find_recipe
from derain.train import learning_rate


def test_cosine_schedule() -> None:
    recipe = replace(RECIPES["nledn"], steps=1000, warmup=100, lr=1.0, min_lr=0.1)
    rates = [learning_rate(recipe, step, 1.0) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)
    assert all(a >= b for a, b in itertools.pairwise(rates[100:]))


def test_steps_schedule() -> None:
    recipe = find_recipe("dpenet-rain100l-paper", {"steps": "10"})
    rates = [learning_rate(recipe, step, 1.0) / 1e-3 for step in range(10)]
    assert rates == pytest.approx([1, 1, 1, 0.2, 0.2, 0.04, 0.04, 0.04, 0.008, 0.008])
    assert learning_rate(replace(recipe, milestones=()), 9, 1.0) == recipe.lr


def test_a_trunk_keeps_its_rate_and_a_branch_falls_as_one_minus_the_root() -> None:
    trunk = replace(
        RECIPES["petrichor-live"], schedule="trunk", steps=1000, warmup=10, lr=1.0, min_lr=0.2
    )
    assert learning_rate(trunk, 4, 1.0) == pytest.approx(0.5)
    assert {learning_rate(trunk, step, 1.0) for step in range(10, 1000)} == {1.0}
    branch = replace(trunk, schedule="branch", init="last.pt", steps=100)
    rates = [learning_rate(branch, step, 1.0) for step in (0, 1, 25, 64, 100)]
    assert rates == pytest.approx([1.0, 0.92, 0.6, 0.36, 0.2])
