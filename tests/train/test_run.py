"""A run as the arguments of derain train ask for it."""

from pathlib import Path

import pytest

from derain.errors import UsageError
from derain.train import TrainingRun, branch_recipe, find_folders, plan_run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder with train/ and val/, both empty."""
    for name in ("train", "val"):
        (tmp_path / "data" / name).mkdir(parents=True)
    return tmp_path / "data"


def test_train_and_val_of_the_data_are_found_and_may_be_named(data: Path, tmp_path: Path) -> None:
    assert find_folders(data) == (data / "train", data / "val")
    assert find_folders(data / "train", data / "val") == (data / "train", data / "val")
    (tmp_path / "other").mkdir()
    assert find_folders(data, tmp_path / "other") == (data / "train", tmp_path / "other")


def test_validation_pictures_must_exist_and_lie_apart(data: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no pictures to validate on"):
        find_folders(data / "train")
    (data / "train" / "inside").mkdir()
    with pytest.raises(UsageError, match=r"val=.*inside: lies inside the training pictures"):
        find_folders(data, data / "train" / "inside")


def test_a_plan_is_resolved(data: Path, tmp_path: Path) -> None:
    recipe, run = plan_run("nledn", data, settings={"steps": "7"}, device="cpu", dtype="float32")
    assert (recipe.name, recipe.steps) == ("nledn", 7)
    assert (run.data, run.out) == (data / "train", Path("runs/nledn"))
    assert (run.device.type, run.number_format, run.layout) == ("cpu", "float32", None)
    _, run = plan_run("nledn", data, output=tmp_path / "out", layout="flat", minutes=2.5)
    assert (run.out, run.layout, run.minutes) == (tmp_path / "out", "flat", 2.5)


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan"), float("inf")])
def test_minutes_are_positive(data: Path, minutes: float) -> None:
    with pytest.raises(UsageError, match=f"minutes={minutes}: expected a number over 0"):
        plan_run("nledn", data, minutes=minutes)


def test_a_branch_is_planned_from_its_trunk_and_resumed_from_itself(
    data: Path, trunk: TrainingRun, trunk_halfway: TrainingRun
) -> None:
    recipe, run = plan_run("petrichor-live", data, branch=trunk.out, settings={"lr": "5e-4"})
    assert recipe == branch_recipe(trunk.out, {"lr": "5e-4"})
    assert run.out == Path("runs/petrichor-live-branch")
    # What is resumed keeps the plan in its own folder, wherever the trunk is by now.
    kept, _ = plan_run(
        "petrichor-live", data, branch=trunk.out, output=trunk_halfway.out, resume=True
    )
    assert (kept.schedule, kept.steps) == ("trunk", 40)
    with pytest.raises(UsageError, match=r"branch=.*: is a trunk of petrichor-live; expected one"):
        plan_run("petrichor", data, branch=trunk.out)
