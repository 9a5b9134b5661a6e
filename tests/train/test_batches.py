"""Batches that are a function of the step."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from derain import data, rain, train
from derain.images import write_image
from derain.rain import crops
from derain.recipes import Augment
from derain.train import batches as batches_module

CPU = torch.device("cpu")


def put(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(folder / name, np.full((20, 24, 3), 90, np.uint8))


def batches(
    folder: Path, *, batch: int = 3, crop: int | None = 16, seed: int = 0
) -> train.RainyBatches:
    presets = list(rain.PRESETS.values())
    return train.RainyBatches(
        data.clean_pictures(folder), presets, batch=batch, crop=crop, augment="dihedral", seed=seed
    )


@pytest.fixture
def pictures(tmp_path: Path, photo: NDArray[np.uint8]) -> Path:
    for k in range(5):
        write_image(tmp_path / f"{k}.png", np.roll(photo, 17 * k, axis=1)[: 40 + k])
    return tmp_path


def test_batches_are_a_function_of_seed_and_step(pictures: Path) -> None:
    first, again = batches(pictures), batches(pictures)
    again.batch(0, CPU)  # what was asked for before does not matter
    assert torch.equal(first.batch(7, CPU).rainy, again.batch(7, CPU).rainy)
    assert not torch.equal(first.batch(7, CPU).clean, first.batch(8, CPU).clean)
    assert not torch.equal(first.batch(7, CPU).rainy, batches(pictures, seed=1).batch(7, CPU).rainy)


def test_batches_are_rain_on_crops_of_the_pictures(pictures: Path) -> None:
    added = [
        rain.PRESETS[name] for name in ("rain100l", "rain100h")
    ]  # others darken what they hide
    paths = data.clean_pictures(pictures)
    batch = train.RainyBatches(paths, added, batch=3, crop=16, augment="dihedral", seed=0).batch(
        0, CPU
    )
    assert batch.rainy.shape == batch.clean.shape == (3, 3, 16, 16)
    assert bool((batch.rainy >= batch.clean - 1e-6).all())
    assert float(batch.rainy.max()) <= 1


def test_an_epoch_sees_every_picture_once() -> None:
    plan = batches_module._CropPlan(10, 2, 16, "flip", 0)  # pyright: ignore[reportPrivateUsage]
    seen = [plan.draw(step, k)[0] for step in range(5) for k in range(2)]
    assert sorted(seen) == list(range(10))


def test_whole_pictures_have_a_long_side_of_at_most_512(tmp_path: Path) -> None:
    write_image(tmp_path / "large.png", np.zeros((300, 1030, 3), np.uint8))
    batch = batches(tmp_path, batch=1, crop=None).batch(0, CPU)
    assert max(batch.clean.shape) == 512


def test_crops_larger_than_a_picture_enlarge_it(pictures: Path) -> None:
    assert batches(pictures, crop=64).batch(0, CPU).clean.shape == (3, 3, 64, 64)


@pytest.mark.parametrize(("augment", "ways"), [("none", 1), ("flip", 2), ("dihedral", 8)])
def test_how_many_ways_round(augment: Augment, ways: int) -> None:
    plan = batches_module._CropPlan(1, 1, 16, augment, 0)  # pyright: ignore[reportPrivateUsage]
    picture = torch.rand(3, 16, 16)
    assert (
        len({plan.cut(picture, crops.generator_for(k)).numpy().tobytes() for k in range(80)})
        == ways
    )


@pytest.mark.parametrize("augment", ["none", "flip", "dihedral"])
def test_pairs_are_cut_alike(augment: Augment, tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    (tmp_path / "rainy").mkdir()
    write_image(tmp_path / "rainy/1.png", photo)
    (tmp_path / "clean").mkdir()
    write_image(tmp_path / "clean/1.png", photo // 2)
    pairs = data.find_pairs(tmp_path).pairs
    source = train.PairedBatches(pairs, batch=4, crop=24, augment=augment, seed=0)
    batch = source.batch(0, CPU)
    assert float((batch.rainy / 2 - batch.clean).abs().max()) < 0.005
    turned = {tuple(source.batch(step, CPU).clean.flatten(1)[0, :3].tolist()) for step in range(6)}
    assert len(turned) > 1


@pytest.mark.parametrize("deep", [False, True])
def test_twins_of_8_and_16_bits_are_cut_alike(
    deep: bool, tmp_path: Path, photo: NDArray[np.uint8]
) -> None:
    for name in ("rainy", "clean"):
        (tmp_path / name).mkdir()
    write_image(tmp_path / "rainy/1.png", photo.astype(np.uint16) * 257 if deep else photo)
    write_image(tmp_path / "clean/1.png", photo.astype(np.uint16) * 257)
    batch = train.PairedBatches(
        data.find_pairs(tmp_path).pairs, batch=2, crop=24, augment="dihedral", seed=0
    ).batch(0, CPU)
    assert batch.rainy.shape == batch.clean.shape == (2, 3, 24, 24)
    assert float((batch.rainy - batch.clean).abs().max()) < 1e-6


def test_twins_of_two_sizes_are_refused(tmp_path: Path) -> None:
    put(tmp_path, ["rainy/1.png"])
    (tmp_path / "clean").mkdir()
    write_image(tmp_path / "clean/1.png", np.zeros((20, 25, 3), np.uint8))
    source = train.PairedBatches(
        data.find_pairs(tmp_path).pairs, batch=1, crop=16, augment="flip", seed=0
    )
    with pytest.raises(ValueError, match="are 24x20 and 25x20: expected the same size"):
        source.batch(0, CPU)


def test_cache_forgets_what_is_longest_unused(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches_module, "CACHE_BYTES", 50_000)
    cache = batches_module._Cache(CPU)  # pyright: ignore[reportPrivateUsage]
    for path in data.clean_pictures(pictures):
        cache.read(path)
    held = list(cache._pictures)  # pyright: ignore[reportPrivateUsage]
    assert [path.name for path in held] == ["3.png", "4.png"]


def test_exposure_makes_the_clean_twin_brighter_or_darker_and_clips_it(pictures: Path) -> None:
    paths, presets = data.clean_pictures(pictures), [rain.PRESETS["mixed"]]
    plain, exposed = (
        train.RainyBatches(
            paths, presets, batch=16, crop=32, augment="none", seed=0, exposure=stops
        ).batch(0, CPU)
        for stops in (0.0, 2.0)
    )
    bright = plain.clean.clamp(min=1 / 255)
    factors = (exposed.clean / bright).flatten(1).median(dim=1).values
    assert 0.25 <= float(factors.min()) < 0.8
    assert 1.2 < float(factors.max()) <= 4
    assert float(exposed.clean.max()) == 1
    assert bool((exposed.rainy >= 0).all())
    assert bool((exposed.rainy <= 1).all())


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_blown_factor_makes_so_much_of_a_crop_white(share: float) -> None:
    numbers = torch.rand(1, 1, 160, 160, generator=crops.generator_for(1)) * 0.6 + 0.2
    tinted = numbers * torch.tensor([1.0, 0.9, 0.8]).view(1, 3, 1, 1)
    factor = batches_module.blown_factor(tinted, torch.tensor([share]))
    white = ((factor * tinted).amin(1) >= 1).float().mean()
    assert float(white) == pytest.approx(0.7 - 0.4 * share, abs=0.06)
    assert torch.equal(
        batches_module.blown_factor(tinted.expand(2, -1, -1, -1), torch.tensor([share, 1 - share]))[
            :1
        ],
        factor,
    )


def test_dark_crops_are_not_blown_out_of_their_noise() -> None:
    # Grey of 0.15 becomes white, what is darker does not.
    assert float(
        batches_module.blown_factor(torch.full((1, 3, 16, 16), 0.01), torch.tensor([0.5]))
    ) == pytest.approx(1 / 0.15)


def test_blown_crops_rain_after_they_were_blown(pictures: Path) -> None:
    paths, presets = data.clean_pictures(pictures), [rain.PRESETS["rain100l"]]
    plain, blown = (
        train.RainyBatches(
            paths, presets, batch=40, crop=32, augment="none", seed=0, blown=share
        ).batch(2, CPU)
        for share in (0.0, 0.4)
    )
    factors = (blown.clean / plain.clean.clamp(min=1 / 255)).flatten(1).amax(1)
    touched = factors > 1
    assert 8 <= int(touched.sum()) <= 24
    assert torch.equal(blown.clean[~touched], plain.clean[~touched])
    assert bool(((blown.clean == 1).all(1).float().mean((1, 2)) > 0.15)[touched].all())
    # The rain is what is added to the brighter picture: nothing shows where that is white.
    assert bool((blown.rainy >= blown.clean - 1e-6).all())
    assert bool((blown.rainy[blown.clean == 1] == 1).all())


@pytest.mark.parametrize("size", [32, 64])
def test_bars_stand_before_so_many_crops_and_it_rains_before_them(
    size: int, pictures: Path
) -> None:
    paths, presets = data.clean_pictures(pictures), [rain.PRESETS["rain100l"]]
    plain, barred = (
        train.RainyBatches(
            paths, presets, batch=40, crop=size, augment="none", seed=0, bars=share
        ).batch(2, CPU)
        for share in (0.0, 0.4)
    )
    touched = (plain.clean != barred.clean).flatten(1).any(1)
    assert 8 <= int(touched.sum()) <= 24
    assert bool((barred.rainy >= barred.clean - 1e-6).all())
    assert 0 <= float(barred.clean.min()) <= float(barred.clean.max()) <= 1


def test_compressed_leaves_the_others_alone_and_takes_both_halves_alike(
    photo: NDArray[np.uint8],
) -> None:
    clean = crops.to_tensor(photo[:64, :64]).expand(6, -1, -1, -1)
    batch = train.Batch((clean + 0.1).clamp(max=1), clean)
    chances = torch.tensor(
        [[0.1, 0.0], [0.9, 0.0], [0.29, 0.5], [0.31, 0.5], [0.0, 0.999], [0.5, 0.999]]
    )
    compression = rain.Compression(CPU)
    found = batches_module.compress_pairs(batch, 0.3, chances, compression)
    for k, quality in enumerate((30.0, None, 63.0, None, 95.0, None)):
        for half, before in ((found.rainy, batch.rainy), (found.clean, batch.clean)):
            after = (
                before[k]
                if quality is None
                else compression(before[k : k + 1], torch.tensor([quality]))[0]
            )
            assert float((half[k] - after).abs().max()) < 1e-6
            assert torch.equal(half[k], before[k]) == (quality is None)


def test_batches_are_compressed_after_the_rain(pictures: Path) -> None:
    paths, presets = data.clean_pictures(pictures), [rain.PRESETS["mixed"]]
    plain, some, again = (
        train.RainyBatches(
            paths, presets, batch=24, crop=32, augment="none", seed=0, compressed=share
        ).batch(1, CPU)
        for share in (0.0, 0.5, 0.5)
    )
    touched = (plain.clean != some.clean).flatten(1).any(1)
    assert 6 <= int(touched.sum()) <= 18
    assert torch.equal(touched, (plain.rainy != some.rainy).flatten(1).any(1))
    assert torch.equal(some.rainy, again.rainy)
    losses = 10 * torch.log10((plain.rainy - some.rainy)[touched].square().mean((1, 2, 3)))
    assert -45 < float(losses.mean()) < -20


def test_rainy_batches_cut_their_rain_from_textures(pictures: Path) -> None:
    flat = rain.bank_of("flat", [torch.full((30, 40), 0.5)])
    preset = rain.RainPreset("flat", "nothing", (rain.Texture(otherwise=rain.Field()),))
    paths = data.clean_pictures(pictures)
    textured, drawn = (
        train.RainyBatches(paths, [preset], batch=3, crop=16, augment="flip", seed=0, bank=bank)
        for bank in (flat, None)
    )
    assert textured.textured
    assert not drawn.textured
    batch = textured.batch(4, CPU)
    assert torch.allclose(
        batch.rainy, (batch.clean + 128 / 255 * 219 / 255).clamp(max=1), atol=1e-4
    )
    assert torch.equal(batch.clean, drawn.batch(4, CPU).clean)


def test_pictures_stay_on_the_device_as_integers(pictures: Path) -> None:
    source = batches(pictures)
    source.batch(0, CPU)
    held = source._caches[CPU]._pictures  # pyright: ignore[reportPrivateUsage]
    assert {picture.dtype for picture in held.values()} == {torch.uint8}


def test_generators_differ_by_every_number() -> None:
    states = {
        float(torch.rand((), generator=crops.generator_for(*numbers)))
        for numbers in [(0,), (1,), (0, 1), (1, 0), (0, 0, 1)]
    }
    assert len(states) == 5
