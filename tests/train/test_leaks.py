"""Validation pictures among the training pictures are refused."""

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray
from tiny_runs import TINY, assert_same, final

from derain import train as training
from derain.data import Problem, TwoFolders
from derain.data.audit.check import find_leaks
from derain.images import write_image
from derain.recipes import find_recipe
from derain.train import TrainingRun, leaks, loop, train
from derain.weights import store


def test_a_leak_is_refused_and_an_allowed_one_is_on_the_card(
    run: TrainingRun, photo: NDArray[np.uint8]
) -> None:
    assert isinstance(run.data, Path)
    assert isinstance(run.validation, Path)
    for path in run.validation.iterdir():
        path.unlink()
    write_image(run.data / "whole.png", photo)
    write_image(
        run.validation / "part.png", np.ascontiguousarray(photo[10:110, 20:140, :][:, ::-1])
    )
    strict = replace(run, allow_leak=False)
    with pytest.raises(
        training.LeakError,
        match=r"1 validation picture is among.*part\.png shows what.*whole\.png.*--allow-leak",
    ):
        next(train(find_recipe("nledn", TINY), strict))
    assert not run.out.exists()
    notes: list[str] = []
    # Needs no textures, which would be a note.
    drawn = find_recipe("nledn", TINY | {"steps": "3", "rain": "light"})
    list(train(drawn, run, on_note=notes.append))
    assert notes == [store.load(run.out / training.BEST)[1].note]
    assert "1 validation picture is among the training pictures" in notes[0]
    with pytest.raises(training.LeakError):
        next(train(drawn, strict, resume=True))


def test_a_leak_into_named_folders_is_found_again_by_the_command(
    run: TrainingRun, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    assert isinstance(run.validation, Path)
    write_image(run.validation / "held-out.png", photo)
    for half in ("wet", "dry"):
        (tmp_path / half).mkdir()
        write_image(tmp_path / half / "1.png", photo)
    pairs = TwoFolders(tmp_path / "wet", tmp_path / "dry")
    command = re.escape(f"data check {run.validation} --against {tmp_path / 'dry'} names")
    with pytest.raises(training.LeakError, match=command):
        next(train(find_recipe("nledn", TINY), replace(run, data=pairs, allow_leak=False)))
    assert find_leaks(run.validation, pairs.clean)


def test_a_leak_is_refused_before_the_validation_set_is_decoded(
    run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []

    def refuse(run: TrainingRun, *_: object) -> leaks.Checked:
        decoded.append("search")
        if run.allow_leak:
            return leaks.Checked()
        raise training.LeakError

    class Spy(training.ValidationSet):
        def __init__(self, *arguments: Any) -> None:
            decoded.append("validation set")
            super().__init__(*arguments)

    monkeypatch.setattr(loop, "refuse_leaks", refuse)
    monkeypatch.setattr(loop, "ValidationSet", Spy)
    recipe = find_recipe("petrichor-live", TINY | {"steps": "1"})
    with pytest.raises(training.LeakError):
        next(train(recipe, replace(run, allow_leak=False)))
    assert decoded == ["search"]
    run.out.mkdir()  # by the search, if it were the real one
    next(train(recipe, run))
    assert decoded == ["search", "search", "validation set"]


def test_leaks_are_looked_for_again_when_files_changed_and_only_then(
    run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches: list[Path] = []

    def search(pictures: Path, *_: object) -> tuple[Problem, ...]:
        searches.append(pictures)
        return ()

    monkeypatch.setattr(leaks, "find_leaks", search)
    recipe = find_recipe("nledn", TINY | {"steps": "3"})
    list(train(recipe, run))
    list(train(recipe, run, resume=True))
    assert len(searches) == 1
    assert isinstance(run.data, Path)
    picture = next(run.data.iterdir())
    os.utime(picture, (0, 0))
    list(train(recipe, run, resume=True))
    assert len(searches) == 2
    picture.with_name("another.png").write_bytes(picture.read_bytes())
    with pytest.raises(ValueError, match="begun with other training pictures"):
        list(train(recipe, run, resume=True))
    assert len(searches) == 3


@pytest.mark.parametrize(("what", "kind"), [("data", "training"), ("validation", "validation")])
def test_a_run_is_not_resumed_on_other_pictures(
    what: str, kind: str, run: TrainingRun, tmp_path: Path, photo: NDArray[np.uint8]
) -> None:
    recipe = find_recipe("petrichor-live", TINY)
    list(train(recipe, replace(run, licence="MIT")))
    before = final(run)
    (tmp_path / "others").mkdir()
    write_image(tmp_path / "others/1.png", np.ascontiguousarray(photo[50:90, 60:110]))
    longer = replace(recipe, steps=9)
    with pytest.raises(
        ValueError, match=rf"last\.pt: was begun with other {kind} pictures .*--set init="
    ):
        list(train(longer, replace(run, **{what: tmp_path / "others"}), resume=True))
    assert_same(final(run), before)
    # The same pictures may lie elsewhere, and a licence need not be given again.
    shutil.copytree(getattr(run, what), tmp_path / "moved")
    list(train(longer, replace(run, **{what: tmp_path / "moved"}), resume=True))
    assert final(run)["numbers"]["step"] == 9
    assert store.load(run.out / training.BEST)[1].licence == "MIT"


def test_a_checkpoint_that_names_no_pictures_is_resumed(run: TrainingRun) -> None:
    recipe = find_recipe("petrichor-live", TINY)
    list(train(recipe, run))
    old = final(run)
    del old["validation"], old["licence"]  # as before these were kept
    torch.save(old, run.out / training.CHECKPOINT)
    list(train(replace(recipe, steps=9), run, resume=True))
    assert final(run)["numbers"]["step"] == 9


def test_pairs_that_cannot_be_trained_on_are_named_before_the_first_step(
    run: TrainingRun, tmp_path: Path, photo: NDArray[np.uint8]
) -> None:
    for half in ("rainy", "clean"):
        (tmp_path / "pairs" / half).mkdir(parents=True)
        for k in range(6):
            picture = np.roll(photo, 31 * k, axis=1)[: 40 - 2 * (k == 4 and half == "rainy"), :50]
            write_image(tmp_path / "pairs" / half / f"{k}.png", np.ascontiguousarray(picture))
    whole = tmp_path / "pairs/rainy/5.png"
    whole.write_bytes(whole.read_bytes()[:-200])
    paired = replace(run, data=tmp_path / "pairs")
    with pytest.raises(ValueError, match=r"4\.png.*50x38 and 50x40.*5\.png.*repair or remove"):
        next(train(find_recipe("petrichor-live", TINY), paired))
    assert not run.out.exists()


def test_a_picture_that_cannot_be_read_is_named_before_the_first_step(run: TrainingRun) -> None:
    assert isinstance(run.data, Path)
    (run.data / "broken.png").write_bytes(b"\x89PNG nothing more")
    with pytest.raises(ValueError, match=r"broken\.png.*repair or remove"):
        next(train(find_recipe("nledn", TINY), run))
    assert not run.out.exists()


def test_which_half_is_clean_matters_to_the_search_for_leaks(
    run: TrainingRun, photo: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pairs").mkdir()
    write_image(tmp_path / "pairs/1.png", np.concatenate([photo, photo], axis=1))
    searched: list[object] = []

    def search(_pictures: Path, _training: Path, layout: object, *_: object) -> tuple[Problem, ...]:
        searched.append(layout)
        return ()

    monkeypatch.setattr(leaks, "find_leaks", search)
    paired = replace(
        run, data=tmp_path / "pairs", validation=tmp_path / "pairs", layout="rainy-right"
    )
    recipe = find_recipe("nledn", TINY | {"steps": "3"})
    list(train(recipe, paired))
    list(train(recipe, replace(paired, layout="rainy-left"), resume=True))
    assert searched == ["rainy-right", "rainy-left"]


SCENES = (skimage.data.coffee(), skimage.data.chelsea(), skimage.data.astronaut())


def test_photographs_that_are_pairs_by_their_duplicates_are_refused(
    run: TrainingRun,
) -> None:
    assert isinstance(run.data, Path)
    for path in run.data.iterdir():
        path.unlink()
    for k, scene in enumerate(SCENES):
        part = np.ascontiguousarray(scene[40 * k : 40 * k + 120, 60:200])
        for name, pixels in (("x", part), ("y", part.repeat(2, axis=0).repeat(2, axis=1))):
            (run.data / name).mkdir(exist_ok=True)
            write_image(run.data / name / f"{name * (k + 1)}.png", pixels)
    (run.data / "x/more.png").write_bytes((run.data / "x/x.png").read_bytes())
    with pytest.raises(ValueError, match="x/ and y/ show the same scenes"):
        next(train(find_recipe("nledn", TINY), run))
    assert not run.out.exists()
