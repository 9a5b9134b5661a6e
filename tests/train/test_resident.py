"""Batches made on the device: windows of the pictures, a function of the step."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from derain import rain, train
from derain.images import write_image

CPU = torch.device("cpu")
DRY = rain.RainPreset("dry", "nothing", (rain.Field(probability=0),))


def noise(
    sizes: tuple[tuple[int, int], ...] = ((20, 24), (30, 17), (16, 16)),
) -> list[torch.Tensor]:
    """Return pictures of noise, of which a window is found in one place alone."""
    numbers = np.random.default_rng(0)
    return [
        torch.from_numpy(numbers.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes
    ]


def resident(
    pictures: list[torch.Tensor],
    preset: rain.RainPreset = DRY,
    *,
    batch: int = 8,
    crop: int = 16,
    seed: int = 0,
    **settings: float,
) -> train.ResidentBatches:
    return train.ResidentBatches(
        pictures, preset, None, CPU, batch=batch, crop=crop, seed=seed, **settings
    )


def found(crop: torch.Tensor, pictures: list[torch.Tensor]) -> list[tuple[int, int, int, int]]:
    """Return where a crop of 16x16 is cut from, by search.

    Each find is a picture, row, column, and one of the eight flips and turns.
    """
    levels = (255 * crop).round().byte().permute(1, 2, 0)
    ways: list[torch.Tensor] = []
    for turned, upside, mirrored in product((False, True), repeat=3):
        way = levels.transpose(0, 1) if turned else levels
        way = way.flip(0) if upside else way
        ways.append(way.flip(1) if mirrored else way)
    places: list[tuple[int, int, int, int]] = []
    for number, picture in enumerate(pictures):
        for top, left in product(range(picture.shape[0] - 15), range(picture.shape[1] - 15)):
            window = picture[top : top + 16, left : left + 16]
            places += [
                (number, top, left, k) for k, way in enumerate(ways) if torch.equal(way, window)
            ]
    return places


def test_crops_are_windows_of_the_pictures_under_the_eight_flips() -> None:
    pictures = noise()
    source = resident(pictures)
    assert len(source) == 3
    seen: list[tuple[int, int, int, int]] = []
    for step in range(12):
        for crop in source.batch(step, CPU).clean:
            places = found(crop, pictures)
            assert len(places) == 1
            seen += places
    pictures_seen, tops, lefts, ways = (set(column) for column in zip(*seen, strict=True))
    assert pictures_seen == {0, 1, 2}
    assert ways == set(range(8))
    # The second picture has 15 rows and the first 9 columns to begin at: both ends are used.
    assert max(tops) >= 13
    assert max(lefts) == 8
    assert min(tops) == min(lefts) == 0


def test_batches_are_a_function_of_seed_and_step() -> None:
    preset = rain.PRESETS["mixed"]
    first, again = (
        resident(noise(), preset, bars=0.5, exposure=0.5, blown=0.3, compressed=0.5)
        for _ in range(2)
    )
    again.batch(0, CPU)  # what was asked for before does not matter
    for step in (7, 10**9, 10**12):
        one, two = first.batch(step, CPU), again.batch(step, CPU)
        assert torch.equal(one.rainy, two.rainy)
        assert torch.equal(one.clean, two.clean)
        assert torch.equal(first.numbered(torch.tensor(step)).rainy, one.rainy)
    assert not torch.equal(first.batch(7, CPU).clean, first.batch(8, CPU).clean)
    assert not torch.equal(
        first.batch(7, CPU).clean, resident(noise(), preset, seed=1).batch(7, CPU).clean
    )


def test_steps_do_not_repeat_each_other() -> None:
    source = resident(noise(((64, 64),)), batch=4)
    crops = [crop.numpy().tobytes() for step in range(50) for crop in source.batch(step, CPU).clean]
    assert len(set(crops)) > 190  # of 49 * 49 * 8 there are


def test_a_batch_is_rain_on_its_clean_half() -> None:
    batch = resident(noise(), rain.PRESETS["rain100h"]).batch(0, CPU)
    assert batch.rainy.shape == batch.clean.shape == (8, 3, 16, 16)
    assert bool((batch.rainy >= batch.clean - 1e-6).all())
    assert float((batch.rainy - batch.clean).mean()) > 0.05
    dry = resident(noise()).batch(0, CPU)
    assert torch.equal(dry.rainy, dry.clean)


def test_rain_is_cut_from_textures_where_there_are_some() -> None:
    flat = rain.bank_of("flat", [torch.full((30, 40), 0.5)])
    preset = rain.RainPreset("flat", "nothing", (rain.Texture(otherwise=rain.Field()),))
    black = [torch.zeros(20, 20, 3, dtype=torch.uint8)]
    batch = train.ResidentBatches(black, preset, flat, CPU, batch=2, crop=16, seed=0).batch(3, CPU)
    assert batch.rainy.flatten().tolist() == pytest.approx(
        [128 / 255 * 219 / 255] * batch.rainy.numel(), abs=1e-4
    )


def test_exposure_is_in_its_range() -> None:
    grey = [torch.full((16, 16, 3), 60, dtype=torch.uint8)]
    levels = torch.cat(
        [resident(grey, exposure=1.0).batch(step, CPU).clean.amax((1, 2, 3)) for step in range(30)]
    )
    factors = levels * 255 / 60
    assert (float(factors.min()), float(factors.max())) == pytest.approx((0.5, 2), rel=0.05)
    assert float(torch.log2(factors).mean()) == pytest.approx(0, abs=0.12)
    bright = [torch.full((16, 16, 3), 200, dtype=torch.uint8)]
    assert {
        float(resident(bright, exposure=1.0).batch(step, CPU).clean.max()) for step in range(4)
    } >= {1.0}


def test_so_many_crops_are_blown_out_to_white() -> None:
    # A ramp of grey, the same in every crop however it is turned: so much of it is white as is
    # asked for.
    ramp = [
        torch.linspace(80, 180, 96 * 96)
        .round()
        .byte()
        .view(96, 96, 1)
        .expand(96, 96, 3)
        .contiguous()
    ]
    plain, blown = (resident(ramp, batch=64, crop=96, blown=share) for share in (0, 0.4))
    crops = torch.cat([blown.batch(step, CPU).clean for step in range(4)])
    before = torch.cat([plain.batch(step, CPU).clean for step in range(4)])
    white = (crops.amin(1) > 0.999).float().mean((1, 2))
    chosen = white > 0
    assert float(chosen.float().mean()) == pytest.approx(0.4, abs=0.1)
    assert torch.equal(crops[~chosen], before[~chosen])
    assert 0.2 < float(white[chosen].min()) < 0.45
    assert 0.55 < float(white[chosen].max()) < 0.85
    # The darker part is brighter by one factor and hazed by another: distances to white stay in
    # proportion.
    lit, dry = crops[chosen][:, 0].flatten(1), before[chosen][:, 0].flatten(1)
    for after, was in zip(lit, dry, strict=True):
        grey = after < 0.999
        slope = np.polyfit(was[grey], after[grey], 1)
        assert np.abs(np.polyval(slope, was[grey]) - after[grey].numpy()).max() < 1e-4
        assert after[grey].min() > was[grey].min()


def test_so_many_crops_have_bars_and_the_others_stay() -> None:
    plain, barred = (resident(noise(), batch=100, bars=share) for share in (0, 0.4))
    before, after = (source.batch(3, CPU).clean for source in (plain, barred))
    touched = (before != after).flatten(1).any(1)
    assert float(touched.float().mean()) == pytest.approx(0.4, abs=0.15)
    assert 0 <= float(after.min()) <= float(after.max()) <= 1


def test_compression_chooses_pairs() -> None:
    picture = noise(((64, 64),))
    plain, some, all_of_them = (
        resident(picture, rain.PRESETS["rain100l"], batch=64, compressed=share).batch(0, CPU)
        for share in (0, 0.5, 1)
    )
    touched = (plain.clean != some.clean).flatten(1).any(1)
    assert 20 <= int(touched.sum()) <= 44
    assert torch.equal(touched, (plain.rainy != some.rainy).flatten(1).any(1))
    assert bool((plain.clean != all_of_them.clean).flatten(1).any(1).all())
    assert torch.equal(some.clean[touched], all_of_them.clean[touched])
    assert torch.equal(some.rainy[touched], all_of_them.rainy[touched])


def test_pictures_that_are_too_small_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^the smallest picture has 15 pixels; expected 16 and more$"
    ):
        resident(noise(((40, 40), (40, 15))))
    with pytest.raises(ValueError, match=r"^no pictures; expected at least one of 16x16 pixels$"):
        resident([])


def test_batches_lie_where_the_pictures_do() -> None:
    with pytest.raises(
        ValueError, match="pictures lie on cpu; expected a batch there, not on meta"
    ):
        resident(noise()).batch(0, torch.device("meta"))


def test_pictures_are_read_as_bytes(tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    write_image(tmp_path / "8.png", photo)
    write_image(tmp_path / "16.png", photo.astype(np.uint16) * 257)
    for name in ("8", "16"):
        read = train.read_bytes(tmp_path / f"{name}.png", 64)
        assert read.dtype == torch.uint8
        assert np.array_equal(read.numpy(), photo)


@pytest.mark.parametrize(
    ("part", "expected"), [((40, 60), (100, 150)), ((60, 40), (150, 100)), ((99, 101), (100, 102))]
)
def test_pictures_are_enlarged_to_a_crop(
    part: tuple[int, int], expected: tuple[int, int], tmp_path: Path, photo: NDArray[np.uint8]
) -> None:
    small = photo[: part[0], : part[1]]
    write_image(tmp_path / "small.png", small)
    larger = train.read_bytes(tmp_path / "small.png", 100)
    assert larger.shape == (*expected, 3)
    assert larger.is_contiguous()
    assert larger.float().mean((0, 1)).tolist() == pytest.approx(small.mean((0, 1)).tolist(), abs=1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_same_batches_on_a_gpu() -> None:
    settings: dict[str, Any] = {"batch": 32, "crop": 16, "seed": 3, "exposure": 0.5, "blown": 0.3}
    on_cpu, on_gpu = (
        train.ResidentBatches(noise(), rain.PRESETS["mixed"], None, device, **settings).batch(
            5, device
        )
        for device in (CPU, torch.device("cuda", 0))
    )
    assert float((on_cpu.clean - on_gpu.clean.cpu()).abs().max()) < 1e-5
    assert (
        float(((on_cpu.rainy - on_gpu.rainy.cpu()).abs().amax((1, 2, 3)) > 1e-3).float().mean())
        < 0.1
    )
