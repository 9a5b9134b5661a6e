"""TensorBoard events where tensorboard is installed, and nothing where it is not."""

import sys
from types import ModuleType
from typing import Any

import pytest
from tiny_runs import TINY, copy_at

from derain import train as training
from derain.recipes import find_recipe
from derain.train import TrainingRun, board, train

MADE: "list[Writer]" = []
"""All writers of a test."""


class Writer:
    """Stands for TensorBoard's, which keeps scalars by their name and step."""

    def __init__(self, log_dir: str, purge_step: int | None) -> None:
        self.folder, self.purge = log_dir, purge_step
        self.scalars: dict[tuple[str, int], float] = {}
        self.closed = False
        MADE.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars[name, step] = value

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class FullWriter(Writer):
    def flush(self) -> None:
        raise OSError(28, "No space left on device", "events")


@pytest.fixture(params=[Writer])
def writer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tensorboard seem to be installed."""
    module: Any = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = request.param
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(board, "is_installed", {"tensorboard": True}.get)
    MADE.clear()


@pytest.mark.usefixtures("writer")
def test_scalars_of_every_record(run: TrainingRun) -> None:
    recipe = find_recipe("petrichor-live", TINY)
    half = copy_at(3, recipe, run)
    (made,) = MADE
    assert (made.folder, made.purge) == (str(run.out / training.BOARD), None)
    assert made.closed
    names = {name for name, step in made.scalars if step == 3}
    assert {"training/loss", "training/lr", "validation/mean", "validation/rain100l"} <= names
    assert {step for _, step in made.scalars} == {3, 6}
    list(train(recipe, half, resume=True))
    # What was written after the checkpoint is done again.
    assert MADE[1].purge == 4
    assert {step for _, step in MADE[1].scalars} == {6}


@pytest.mark.usefixtures("writer")
@pytest.mark.parametrize("writer", [FullWriter], indirect=True)
def test_events_that_cannot_be_written_do_not_stop_the_run(run: TrainingRun) -> None:
    notes: list[str] = []
    recipe = find_recipe("petrichor-live", TINY | {"rain": "light"})
    assert len(list(train(recipe, run, on_note=notes.append))) == 2
    full = "No space left on device: events: no more curves and samples are written"
    assert notes.count(full) == 1
    assert len(MADE) == 1


def test_without_tensorboard_there_is_nothing(
    run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "is_installed", {"tensorboard": False}.get)
    notes: list[str] = []
    recipe = find_recipe("petrichor-live", TINY | {"rain": "light"})
    list(train(recipe, run, on_note=notes.append))
    assert not (run.out / training.BOARD).exists()
    assert not [note for note in notes if "tensorboard" in note.lower()]


def test_a_tensorboard_that_does_not_work_is_none(
    run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "is_installed", {"tensorboard": True}.get)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    list(train(find_recipe("petrichor-live", TINY), run))
    assert not (run.out / training.BOARD).exists()
