"""Fixtures of training runs."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_runs import TRUNK, copy_at

from derain.images import write_image
from derain.recipes import find_recipe
from derain.train import TrainingRun


def make_run(folder: Path, photo: NDArray[np.uint8]) -> TrainingRun:
    """Return a run on three small pictures, all cut from one photograph, so that leaks are."""
    for name in ("train", "val"):
        (folder / name).mkdir()
        for k in range(3):
            write_image(folder / name / f"{k}.png", np.roll(photo, 31 * k, axis=1)[:40, :50])
    return TrainingRun(
        folder / "train", folder / "val", folder / "run", torch.device("cpu"), allow_leak=True
    )


@pytest.fixture
def run(tmp_path: Path, photo: NDArray[np.uint8]) -> TrainingRun:
    """Return a run that is not begun."""
    return make_run(tmp_path, photo)


@pytest.fixture(scope="session")
def trained_trunk(
    tmp_path_factory: pytest.TempPathFactory, photo: NDArray[np.uint8]
) -> tuple[TrainingRun, TrainingRun]:
    """Return a trunk of forty steps, and a copy of it as it stood after twenty."""
    run = make_run(tmp_path_factory.mktemp("trunk"), photo)
    return run, copy_at(20, find_recipe("petrichor-live", TRUNK), run)


@pytest.fixture
def trunk(trained_trunk: tuple[TrainingRun, TrainingRun], tmp_path: Path) -> TrainingRun:
    """Return a copy of a trunk of forty steps; its branches take four."""
    trained, _ = trained_trunk
    copy = replace(trained, out=tmp_path / "run")
    shutil.copytree(trained.out, copy.out)
    return copy


@pytest.fixture
def trunk_halfway(trained_trunk: tuple[TrainingRun, TrainingRun], tmp_path: Path) -> TrainingRun:
    """Return a copy of the trunk as it stood after twenty of its forty steps."""
    _, halfway = trained_trunk
    copy = replace(halfway, out=tmp_path / "halfway")
    shutil.copytree(halfway.out, copy.out)
    return copy


@pytest.fixture
def textures(tmp_path: Path) -> Path:
    """Return a folder of two streak textures: bright bars on black."""
    folder = tmp_path / "somewhere" / "streaks"
    folder.mkdir(parents=True)
    for k in range(2):
        texture = np.zeros((64, 96, 3), np.uint8)
        texture[:, 5 + k :: 12] = 200
        write_image(folder / f"{k}.png", texture)
    return folder
