"""Folders of frames: all of them, in natural order, steadied, and gone on with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from numpy_engines import Unchanged

from derain.clips.folders import FolderJob, plan_folder, run_folder
from derain.clips.results import Result
from derain.errors import DerainError, UsageError
from derain.images import read_image, write_image
from derain.restore import Derainer, restore_frames
from derain.tiles import Float32s


class Darker(Unchanged):
    """Takes half of the light."""

    def forward(self, rainy: Float32s) -> Float32s:
        return rainy * np.float32(0.5)


@pytest.fixture
def frames(tmp_path: Path) -> list[NDArray[Any]]:
    """Twelve frames of a still scene with noise, in ``frames``, whose names have no zeros."""
    (tmp_path / "frames").mkdir()
    dice = np.random.default_rng(0)
    made = [dice.integers(100, 110, (24, 32, 3), np.uint8) for _ in range(12)]
    for k, frame in enumerate(made):
        write_image(tmp_path / "frames" / f"f{k}.png", frame)
    return made


@pytest.mark.usefixtures("frames")
def test_pipes_and_folders_are_no_frames(tmp_path: Path, mkfifo: Callable[[Path], None]) -> None:
    mkfifo(tmp_path / "frames/f3a.png")
    (tmp_path / "frames/f4a.png").mkdir()
    names = [path.name for path in plan_folder(tmp_path / "frames").files]
    assert names == [f"f{k}.png" for k in range(12)]


def statuses(job: FolderJob, derainer: Derainer | None) -> dict[str, str]:
    return {result.source.name: result.status for result in run_folder(job, derainer)}


def test_frames_come_out_in_order(tmp_path: Path, frames: list[NDArray[Any]]) -> None:
    job = plan_folder(tmp_path / "frames", temporal=5)
    assert [file.name for file in job.files] == [f"f{k}.png" for k in range(12)]
    assert job.target == tmp_path / "frames_derained"
    derainer = Derainer(Darker())
    assert set(statuses(job, derainer).values()) == {"done"}
    expected = list(restore_frames(frames, derainer, temporal=5))
    for k, frame in enumerate(expected):
        assert np.array_equal(read_image(job.target / f"f{k}.png"), frame)


@pytest.mark.parametrize("gone", [0, 7, 11])
def test_a_second_run_makes_what_is_missing(
    tmp_path: Path, frames: list[NDArray[Any]], gone: int
) -> None:
    job = plan_folder(tmp_path / "frames", temporal=5)
    statuses(job, None)
    path = job.target / f"f{gone}.png"
    data = path.read_bytes()
    path.unlink()
    again = statuses(job, None)
    assert [name for name, status in again.items() if status == "done"] == [path.name]
    assert len(again) == 12
    assert path.read_bytes() == data


def test_nothing_is_read_if_all_is_there(tmp_path: Path, frames: list[NDArray[Any]]) -> None:
    job = plan_folder(tmp_path / "frames", tmp_path / "out", temporal=3)
    statuses(job, None)
    engine = Unchanged()
    assert set(statuses(job, Derainer(engine)).values()) == {"skipped"}
    assert engine.seen == []


def test_a_frame_that_cannot_be_read_is_named(tmp_path: Path, frames: list[NDArray[Any]]) -> None:
    (tmp_path / "frames" / "f5.png").write_bytes(b"no picture")
    results: list[Result] = list(
        run_folder(plan_folder(tmp_path / "frames", temporal=5), Derainer(Unchanged()))
    )
    failed = [result for result in results if result.status == "failed"]
    assert [result.source.name for result in failed] == ["f5.png"]
    assert failed[0].message
    assert sum(result.status == "done" for result in results) == 11


def test_what_cannot_be_meant_is_refused(tmp_path: Path, frames: list[NDArray[Any]]) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DerainError, match="0 frames"):
        plan_folder(tmp_path / "empty")
    with pytest.raises(DerainError, match="results would overwrite the frames"):
        plan_folder(tmp_path / "frames", tmp_path / "frames")
    with pytest.raises(UsageError, match="temporal=4"):
        plan_folder(tmp_path / "frames", temporal=4)
    with pytest.raises(FileNotFoundError):
        plan_folder(tmp_path / "absent")
    with pytest.raises(UsageError, match="nothing to do without a model"):
        run_folder(plan_folder(tmp_path / "frames", temporal="off"), None)
