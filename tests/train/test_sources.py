"""Pairs and clean pictures, with textures and without."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_runs import TINY, final

from derain import train as training
from derain.images import write_image
from derain.recipes import find_recipe
from derain.train import TrainingRun, train
from derain.weights import store


def test_trains_on_pairs(run: TrainingRun, photo: NDArray[np.uint8], tmp_path: Path) -> None:
    for name, shift in (("rainy", 20), ("clean", 0)):
        (tmp_path / "pairs" / name).mkdir(parents=True)
        write_image(
            tmp_path / "pairs" / name / "1.png",
            np.clip(photo.astype(int) + shift, 0, 255).astype(np.uint8),
        )
    paired = replace(run, data=tmp_path / "pairs", validation=tmp_path / "pairs")
    records = list(train(find_recipe("nledn-rain100l", TINY), paired))
    assert set(records[-1]["validation"]) == {"pairs", "mean"}


def test_broken_pairs_are_not_taken_for_clean_pictures(
    run: TrainingRun, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    for name in ("rainy/1.png", "rainy/2.png", "clean/1.png"):
        (tmp_path / "pairs" / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(tmp_path / "pairs" / name, photo)
    with pytest.raises(ValueError, match="no clean twin"):
        next(train(find_recipe("nledn", TINY), replace(run, data=tmp_path / "pairs")))


def test_side_by_side_pairs_are_trained_and_validated_on(
    run: TrainingRun, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    rainy = np.clip(photo.astype(int) + 30, 0, 255).astype(np.uint8)
    (tmp_path / "pairs").mkdir()
    write_image(tmp_path / "pairs/1.png", np.concatenate([photo, rainy], axis=1))
    paired = replace(
        run, data=tmp_path / "pairs", validation=tmp_path / "pairs", layout="rainy-right"
    )
    batch = training.open_batches(find_recipe("nledn", TINY), paired.data, paired.layout).batch(
        0, torch.device("cpu")
    )
    assert float((batch.rainy - batch.clean).min()) >= 0
    assert float((batch.rainy - batch.clean).max()) > 0.1
    assert set(list(train(find_recipe("nledn", TINY), paired))[-1]["validation"]) == {
        "pairs",
        "mean",
    }
    with pytest.raises(ValueError, match="in the layout flat"):
        next(
            train(
                find_recipe("nledn", TINY), replace(paired, layout="flat", out=tmp_path / "other")
            )
        )


def test_textures_are_rained_with_and_named_and_their_lack_is_said(
    run: TrainingRun, textures: Path
) -> None:
    notes: list[str] = []
    list(
        train(
            find_recipe("petrichor-live", TINY | {"steps": "3"}),
            replace(run, out=run.out / "drawn"),
            on_note=notes.append,
        )
    )
    lacking = "mixed: all rain is drawn; with --set textures=DIR some is cut from streak textures"
    assert notes.count(lacking) == 1
    assert store.load(run.out / "drawn" / training.BEST)[1].rain == "mixed"
    notes.clear()
    recipe = find_recipe("petrichor-live", TINY | {"steps": "3", "textures": str(textures)})
    list(train(recipe, replace(run, out=run.out / "cut"), on_note=notes.append))
    assert lacking not in notes
    assert (
        store.load(run.out / "cut" / training.BEST)[1].rain
        == "mixed, with streak textures (streaks)"
    )
    drawn, cut = (final(replace(run, out=run.out / name))["network"] for name in ("drawn", "cut"))
    assert not all(torch.equal(value, cut[key]) for key, value in drawn.items())


def test_rain_that_wants_no_textures_does_not_miss_them(run: TrainingRun) -> None:
    notes: list[str] = []
    list(
        train(
            find_recipe("petrichor-live", TINY | {"steps": "3", "rain": "rain1400"}),
            run,
            on_note=notes.append,
        )
    )
    assert not [note for note in notes if "textures" in note]


def test_textures_that_are_not_there_are_said(run: TrainingRun, tmp_path: Path) -> None:
    for name, message in (
        ("nowhere", "no such folder; expected one of streak textures"),
        ("empty", "no pictures in it"),
    ):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(FileNotFoundError, match=message):
            next(
                train(find_recipe("petrichor-live", TINY | {"textures": str(tmp_path / name)}), run)
            )
