"""Training runs small enough for tests, and what they leave behind."""

import shutil
from dataclasses import replace
from typing import Any

import torch

from derain import train as training
from derain.recipes import Recipe
from derain.train import TrainingRun, train

TINY = {
    "batch": "2",
    "crop": "16",
    "steps": "6",
    "validate_every": "3",
    "validation_crop": "24",
    "warmup": "2",
}

TRUNK = TINY | {"schedule": "trunk", "steps": "40", "validate_every": "20"}


def final(run: TrainingRun) -> dict[str, Any]:
    """Return the content of a run's checkpoint."""
    return torch.load(run.out / training.CHECKPOINT, weights_only=True)


def assert_same(a: dict[str, Any], b: dict[str, Any]) -> None:
    """Assert that two checkpoints hold the same in all but time, to the bit."""
    for part in ("network", "averaged"):
        for key, value in (a[part] or {}).items():
            assert torch.equal(value, b[part][key]), (part, key)
    for key, moments in a["optimiser"]["state"].items():
        for name, value in moments.items():
            assert torch.equal(value, b["optimiser"]["state"][key][name]), (key, name)
    numbers = [
        {key: value for key, value in x["numbers"].items() if key != "seconds"} for x in (a, b)
    ]
    assert numbers[0] == numbers[1]


def copy_at(step: int, recipe: Recipe, run: TrainingRun) -> TrainingRun:
    """Train to the end, and return a copy of the run as it stood at some step.

    The copy is what is left of a process that was killed there.

    Args:
        step: One after which the run validates, and so writes a checkpoint.
    """
    copy = replace(run, out=run.out.with_name(f"{run.out.name}-at-{step}"))
    for record in train(recipe, run):
        if record["step"] == step:
            shutil.copytree(run.out, copy.out)
    return copy
