"""A run as the arguments of derain train ask for it."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from derain.data import TwoFolders
from derain.errors import UsageError
from derain.recipes import find_recipe
from derain.train import (
    CHECKPOINT,
    TrainingRun,
    branch_recipe,
    checkpoint_recipe,
    find_folders,
    plan_run,
)
from derain.train.run import find_two_folders


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
    for given in ("nosuch", "no/such"):
        with pytest.raises(FileNotFoundError, match=f"{given}: no such folder; expected pictures"):
            find_folders(data / given)
    with pytest.raises(FileNotFoundError, match="nosuch: no such folder"):
        find_two_folders(TwoFolders(data / "train", data / "nosuch"), data / "val")
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


def test_two_folders_have_no_layout(data: Path) -> None:
    for half in ("rainy", "clean"):
        (data / half).mkdir()
        (data / half / "1.png").write_bytes(b"a picture")
    halves = partial(plan_run, "nledn", rainy=data / "rainy", clean=data / "clean")
    _, run = halves(val=data / "val", layout="flat")  # of val
    assert run.layout == "flat"
    for half in ("rainy", "clean"):
        (data / "val" / half).mkdir()
        (data / "val" / half / "1.png").write_bytes(b"a picture")
    with pytest.raises(UsageError, match="layout=flat: two folders have none; leave it out"):
        halves(val=data / "val", layout="flat")


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


def test_a_run_is_resumed_with_the_settings_that_it_was_begun_with(
    data: Path, trunk_halfway: TrainingRun
) -> None:
    begun, taken = checkpoint_recipe(trunk_halfway.out / CHECKPOINT)
    assert (begun.batch, begun.crop, begun.steps, taken) == (2, 16, 40, 20)
    resumed = partial(plan_run, data=data, output=trunk_halfway.out, resume=True)
    assert resumed("petrichor-live")[0] == begun
    longer = {"steps": "60", "batch": "2"}
    assert resumed("petrichor-live", settings=longer)[0] == replace(begun, steps=60)
    with pytest.raises(
        ValueError, match=r"last\.pt: was begun with the recipe petrichor-live, not nledn; give"
    ):
        resumed("nledn")
    with pytest.raises(UsageError, match="lr=abc: expected a value like"):
        resumed("petrichor-live", settings={"lr": "abc"})
    (trunk_halfway.out / CHECKPOINT).unlink()
    assert resumed("petrichor-live")[0] == find_recipe("petrichor-live")


def halves(folder: Path, *names: str) -> list[Path]:
    made = [folder / name for name in names]
    for place in made:
        place.mkdir(parents=True)
    return made


def test_two_folders_are_taken_as_they_are_named(data: Path, tmp_path: Path) -> None:
    wet, dry = halves(tmp_path, "pairs/wet", "pairs/dry")
    _, run = plan_run("nledn", rainy=wet, clean=dry, val=data / "val", licence="MIT")
    assert (run.data, run.validation) == (TwoFolders(wet, dry), data / "val")
    assert (run.data.name, run.licence) == ("pairs", "MIT")
    # Validation pictures that lie in folders of the same two names are pairs, too.
    inner = halves(tmp_path, "val/wet", "val/dry")
    _, run = plan_run("nledn", rainy=wet, clean=dry, val=tmp_path / "val")
    assert run.validation == TwoFolders(*inner)
    with pytest.raises(FileNotFoundError, match=r"wet/val: no pictures to validate on; .* --val"):
        plan_run("nledn", rainy=wet, clean=dry)
    parts = halves(
        tmp_path, *(f"pairs/{half}/{part}" for part in ("train", "val") for half in ("wet", "dry"))
    )
    _, run = plan_run("nledn", rainy=wet, clean=dry)
    assert (run.data, run.validation) == (TwoFolders(*parts[:2]), TwoFolders(*parts[2:]))


def test_two_folders_that_cannot_be_meant(data: Path, tmp_path: Path) -> None:
    wet, dry, val = halves(tmp_path, "wet", "dry", "dry/some")
    with pytest.raises(UsageError, match=r"^rainy=.*wet: one half of pairs; expected .* clean"):
        plan_run("nledn", rainy=wet)
    with pytest.raises(UsageError, match=r"^clean=.*dry: one half of pairs; expected .* rainy"):
        plan_run("nledn", clean=dry)
    with pytest.raises(UsageError, match=r"^data: expected a folder of pictures, or the two"):
        plan_run("nledn")
    with pytest.raises(UsageError, match=r"^data=.*: expected a folder of pictures, or the two"):
        plan_run("nledn", data, rainy=wet, clean=dry)
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        plan_run("nledn", rainy=wet, clean=tmp_path / "nowhere")
    with pytest.raises(
        UsageError, match=r"^val=.*some: lies inside the training pictures in .*dry"
    ):
        plan_run("nledn", rainy=wet, clean=dry, val=val)
