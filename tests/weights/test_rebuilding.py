"""Networks that files ask for: measured before they are made."""

import os
import subprocess
import sys
import time
from typing import Any

import pytest
import torch

from derain.networks import NETWORKS
from derain.weights.rebuilding import check_shapes, numbers_in, rebuilt, shapes_of


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_are_those_of_the_network(name: str) -> None:
    made = {key: tuple(value.shape) for key, value in NETWORKS[name]().state_dict().items()}
    assert shapes_of(name, {}) == made
    assert numbers_in(made) == sum(torch.Size(shape).numel() for shape in made.values())


def test_a_large_network_costs_nothing_before_it_is_made() -> None:
    began = time.process_time()
    assert numbers_in(shapes_of("crdnet", {"classifier": "paper"})) > 78e6
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"blocks": 10**9}, "blocks=1000000000; expected 0 to 64"),
        ({"blocks": -1}, "blocks=-1; expected"),
        ({"blocks": float("inf")}, "blocks=inf; expected"),
        ({"blocks": float("nan")}, "blocks=nan; expected"),
        ({"blocks": [3]}, "blocks is a list"),
        ({"blocks": None}, "blocks is a NoneType"),
        ({"blocks": "many"}, r"\S"),
        ({"blocks": 1.5}, r"\S"),
        ({"mood": 1}, "unexpected keyword argument"),
    ],
)
def test_hyperparameters_of_no_network_are_refused(
    hyperparameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        shapes_of("dpenet", hyperparameters)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"a": (1,)}, r"it lacks b$"),
        ({}, r"it lacks a and 1 more$"),
        ({"a": (1,), "b": (2, 3), "c": ()}, r"it has besides c$"),
        ({"a": (1,), "b": (3, 2)}, r"b is 3x2; expected 2x3"),
        ({"a": (), "b": (2, 3)}, r"a is one number; expected 1"),
    ],
)
def test_what_does_not_fit_is_named(found: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_shapes({"a": (1,), "b": (2, 3)}, found)


def test_weights_come_back_in_float32() -> None:
    state = NETWORKS["petrichor-live"]().state_dict()
    network = rebuilt("petrichor-live", {}, {key: value.half() for key, value in state.items()})
    assert not getattr(network, "training", True)
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32}


def test_looking_at_shapes_does_not_load_the_compiler() -> None:
    program = """
import sys
from derain.networks import NETWORKS
from derain.weights.rebuilding import shapes_of
for name in NETWORKS:
    shapes_of(name, {})
print("torch._dynamo" in sys.modules, "sympy" in sys.modules)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == "False False\n"
