"""Pairs and clean pictures, with textures and without."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_rain import rain_on
from numpy.typing import NDArray
from tiny_runs import TINY, final

from derain import train as training
from derain.data import TwoFolders
from derain.errors import SettingError
from derain.images import write_image
from derain.recipes import find_recipe
from derain.train import TrainingRun, find_source, train
from derain.weights import store


@pytest.fixture
def paired(run: TrainingRun, photo: NDArray[np.uint8], tmp_path: Path) -> TrainingRun:
    """A run on one pair, whose rainy half is brighter."""
    for name, shift in (("rainy", 20), ("clean", 0)):
        (tmp_path / "pairs" / name).mkdir(parents=True)
        write_image(
            tmp_path / "pairs" / name / "1.png",
            np.clip(photo.astype(int) + shift, 0, 255).astype(np.uint8),
        )
    return replace(run, data=tmp_path / "pairs", validation=tmp_path / "pairs")


def test_trains_on_pairs(paired: TrainingRun) -> None:
    records = list(train(find_recipe("nledn-rain100l", TINY), paired))
    assert set(records[-1]["validation"]) == {"pairs", "mean"}


@pytest.mark.parametrize(
    "setting", ["bars=0.2", "exposure=1.0", "blown=0.5", "compressed=1.0", "textures=streaks"]
)
def test_pairs_stay_as_they_are(setting: str, paired: TrainingRun) -> None:
    key, _, value = setting.partition("=")
    recipe = find_recipe("nledn", TINY | {key: value})
    with pytest.raises(SettingError, match=f"{setting}: is for photographs, and these are pairs"):
        next(train(recipe, paired))
    assert not paired.out.exists()


def test_exchanged_pairs_are_trained_on_with_a_warning(
    run: TrainingRun, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    wet, dry = tmp_path / "wet/1.png", tmp_path / "dry/1.png"
    for path, pixels in ((wet, rain_on(photo, 1, heavy=False)), (dry, photo)):
        path.parent.mkdir()
        write_image(path, pixels)
    warnings: list[str] = []
    for rainy, clean in ((wet, dry), (dry, wet)):
        both = TwoFolders(rainy.parent, clean.parent)
        paired = replace(run, data=both, validation=both, out=run.out / rainy.parent.name)
        next(train(find_recipe("nledn", TINY), paired, on_note=warnings.append))
        exchanged = [line for line in warnings if "the clean picture is the rainier one" in line]
        # Pairs that are both trained and validated on are named once.
        assert len(exchanged) == (rainy == dry)


def test_a_rate_that_only_rises_is_said(run: TrainingRun) -> None:
    notes: list[str] = []
    recipe = find_recipe("petrichor-live", TINY | {"warmup": "6"})
    next(train(recipe, replace(run, out=run.out / "risen"), on_note=notes.append))
    rises = "the rate rises for warmup=6 steps, and the run has 6: it never falls"
    assert [note for note in notes if rises in note]
    notes.clear()
    next(train(replace(recipe, warmup=5), run, on_note=notes.append))
    assert not [note for note in notes if "rises" in note]


def test_a_card_tells_of_nothing_that_pairs_did_not_undergo(paired: TrainingRun) -> None:
    recipe = find_recipe("petrichor-live", TINY)
    assert recipe.exposure > 0
    list(train(recipe, paired))
    told = json.loads(store.load(paired.out / training.BEST)[1].recipe)
    assert {told[key] for key in ("bars", "exposure", "blown", "compressed")} == {0.0}
    # The recipe itself is unchanged, and can be resumed.
    assert len(list(train(replace(recipe, steps=9), paired, resume=True))) == 1


def test_broken_pairs_are_not_taken_for_clean_pictures(
    run: TrainingRun, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    for name in ("rainy/1.png", "rainy/2.png", "clean/1.png"):
        (tmp_path / "pairs" / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(tmp_path / "pairs" / name, photo)
    with pytest.raises(ValueError, match="no clean picture"):
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
    source = training.find_source(paired.data, paired.layout)
    batches = training.open_batches(find_recipe("nledn", TINY), source)
    batch = batches.batch(0, torch.device("cpu"))
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
    lacking = "mixed: rain is drawn without streak textures; --set textures=DIR uses them"
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


def make_pairs(folder: Path, rainy: str, clean: str, photo: NDArray[np.uint8]) -> None:
    for k in range(4):
        dry = np.ascontiguousarray(np.roll(photo, 31 * k, axis=1)[:64, :80])
        for name, pixels in ((rainy, rain_on(dry, k)), (clean, dry)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            write_image(folder / name / f"{k}.png", pixels)


@pytest.mark.parametrize("place", ["data", "validation"])
def test_pairs_in_an_unknown_layout_are_refused_before_the_work(
    place: str, run: TrainingRun, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    make_pairs(tmp_path / "unknown", "X", "Y", photo)
    recipe = find_recipe("nledn", TINY)
    wrong = replace(run, **{place: tmp_path / "unknown"})
    with pytest.raises(ValueError, match=r"X/ and Y/ show the same scenes .* --rainy .*X --clean"):
        next(train(recipe, wrong))
    assert not run.out.exists()
    with pytest.raises(ValueError, match="show the same scenes"):
        training.open_batches(recipe, tmp_path / "unknown")
    # As the message says:
    next(train(recipe, replace(wrong, layout="photographs")))
    named = TwoFolders(tmp_path / "unknown/X", tmp_path / "unknown/Y")
    next(train(recipe, replace(run, **{place: named, "out": tmp_path / "named"})))
    next(train(recipe, replace(run, **{place: named.clean, "out": tmp_path / "clean"})))


def test_what_the_folders_were_taken_for_is_said_before_anything_else(
    run: TrainingRun, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    lines: list[str] = []
    recipe = find_recipe("nledn", TINY | {"rain": "light"})
    going = train(recipe, run, on_start=lines.append, on_note=lines.append)
    next(going)
    middles = "; the middle 24x24 pixels of each picture"
    assert lines == [
        f"training on 3 photographs in {run.data}, with synthetic rain (light)",
        f"validating on 3 photographs in {run.validation}, with synthetic rain (rain100l,"
        f" rain100h){middles}",
        "3 validation pictures are among the training pictures: its validation scores say little",
    ]
    make_pairs(tmp_path / "set", "lq", "gt", photo)
    lines.clear()
    pairs = replace(run, data=tmp_path / "set", validation=tmp_path / "set", out=tmp_path / "2")
    whole = find_recipe("nledn", TINY | {"validation_crop": "none"})
    next(train(whole, pairs, on_start=lines.append))
    assert lines == [
        f"training on 4 pairs in {tmp_path / 'set'}, lq/ and gt/, one to one; no rain is added",
        f"validating on 4 pairs in {tmp_path / 'set'}, lq/ and gt/, one to one; no rain is added;"
        " whole pictures, made smaller where a side is longer than 512 pixels",
    ]
    both = TwoFolders(tmp_path / "set/gt", tmp_path / "set/lq")
    assert (
        find_source(both)
        .describe(())
        .endswith("gt/ and lq/ as named, one to one; no rain is added")
    )


def test_what_weights_score_before_training_is_said(run: TrainingRun) -> None:
    lines: list[str] = []
    rates = {"lr": "1e-9", "min_lr": "1e-10"}
    recipe = find_recipe("petrichor-live", TINY | rates | {"init": "petrichor-live", "steps": "1"})
    (record,) = train(recipe, run, on_start=lines.append)
    scores = (f"{name} {score:.2f} dB" for name, score in record["validation"].items())
    assert lines[-1] == f"before training, petrichor-live has {', '.join(scores)}"


def test_two_folders_that_do_not_match_say_how_many_they_hold(
    photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    make_pairs(tmp_path, "w", "d", photo)
    (tmp_path / "d/2.png").unlink()
    with pytest.raises(ValueError, match=r"w holds 4 and .*d holds 3 pictures, .*2\.png: no clean"):
        find_source(TwoFolders(tmp_path / "w", tmp_path / "d"))


def test_litter_changes_nothing_about_a_run(run: TrainingRun) -> None:
    recipe = find_recipe("petrichor-live", TINY)
    list(train(recipe, run))
    sealed = (run.out / training.SEAL).read_text()
    assert isinstance(run.data, Path)
    for name in ("._0.png", "Thumbs.db", ".DS_Store", "@eaDir/0.png/thumb.jpg", "__MACOSX/._0.png"):
        (run.data / name).parent.mkdir(parents=True, exist_ok=True)
        (run.data / name).write_bytes(b"litter")
    list(train(recipe, run, resume=True))
    assert (run.out / training.SEAL).read_text() == sealed
