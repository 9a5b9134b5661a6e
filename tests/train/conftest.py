"""Fixtures of runs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_runs import TRUNK

from derain.images import write_image
from derain.recipes import find_recipe
from derain.train import TrainingRun, train


@pytest.fixture
def run(tmp_path: Path, photo: NDArray[np.uint8]) -> TrainingRun:
    for name in ("train", "val"):
        (tmp_path / name).mkdir()
        for k in range(3):
            write_image(tmp_path / name / f"{k}.png", np.roll(photo, 31 * k, axis=1)[:40, :50])
    return TrainingRun(
        tmp_path / "train", tmp_path / "val", tmp_path / "run", torch.device("cpu"), allow_leak=True
    )  # all from one photo


@pytest.fixture
def trunk(run: TrainingRun) -> TrainingRun:
    """A trunk of forty steps, trained; its branches take four."""
    list(train(find_recipe("petrichor-live", TRUNK), run))
    return run


@pytest.fixture
def textures(tmp_path: Path) -> Path:
    """Streak textures: bright bars on black."""
    folder = tmp_path / "somewhere" / "streaks"
    folder.mkdir(parents=True)
    for k in range(2):
        texture = np.zeros((64, 96, 3), np.uint8)
        texture[:, 5 + k :: 12] = 200
        write_image(folder / f"{k}.png", texture)
    return folder
