"""Runs small enough for tests."""

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
    return torch.load(run.out / training.CHECKPOINT, weights_only=True)


def same(
    a: dict[str, Any], b: dict[str, Any], parts: tuple[str, ...] = ("network", "averaged")
) -> bool:
    """Whether two checkpoints hold the same weights, running means, moments and numbers, but for
    time.
    """
    weights_agree = all(
        torch.equal(value, b[part][key]) for part in parts for key, value in a[part].items()
    )
    moments_agree = all(
        torch.equal(value, b["optimiser"]["state"][key][name])
        for key, state in a["optimiser"]["state"].items()
        for name, value in state.items()
    )
    return weights_agree and moments_agree and a["numbers"]["step"] == b["numbers"]["step"]


def stopped_after(recipe: Recipe, run: TrainingRun, step: int) -> None:
    """Train up to a validation at some step, as if the process had been killed there."""
    records = train(recipe, run)
    next(record for record in records if record["step"] == step)
    records.close()
