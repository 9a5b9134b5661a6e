"""Rain: the same from the same seed, in range, drawn where geometry says, like the benchmark it imitates."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from derain import metrics, rain
from derain.data import clean_pictures, generator_for, to_tensor
from derain.images import read_image


def draw(preset: rain.RainPreset, size: tuple[int, int] = (80, 90), seed: int = 3) -> rain.Rain:
    return rain.sample(preset, size, torch.Generator().manual_seed(seed))


def one_layer(**ranges: object) -> rain.RainPreset:
    plain = {
        "coverage": (0.1, 0.1),
        "angle": (0, 0),
        "angle_spread": (0, 0),
        "length": (20, 20),
        "length_spread": (0, 0),
        "width": (2, 2),
        "softness": (0, 0),
        "brightness": (0.5, 0.5),
        "fading": (0, 0),
        "taper": (0, 0),
        "flicker": (0, 0),
        "overlap": "max",
    }
    return rain.RainPreset("test", "nothing", (rain.Streaks(**(plain | ranges)),))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", rain.PRESETS)
def test_same_seed_same_rain(name: str) -> None:
    first, again, other = (draw(rain.PRESETS[name], seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first.layer, again.layer)
    assert not torch.equal(first.layer, other.layer)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", rain.PRESETS)
def test_same_seed_same_rain_on_a_gpu(name: str) -> None:
    on_cpu = draw(rain.PRESETS[name])
    on_gpu = rain.sample(rain.PRESETS[name], (80, 90), torch.Generator().manual_seed(3), "cuda")
    assert float((on_cpu.layer - on_gpu.layer.cpu()).abs().max()) < 1e-4


@given(
    seed=st.integers(0, 10_000), name=st.sampled_from(sorted(rain.PRESETS)), height=st.integers(1, 70), width=st.integers(1, 70)
)
def test_rain_is_in_range_at_every_size(seed: int, name: str, height: int, width: int) -> None:
    drops = draw(rain.PRESETS[name], (height, width), seed)
    assert drops.layer.shape == drops.mask.shape == (1, height, width)
    assert bool((drops.layer >= 0).all())
    assert bool(torch.isfinite(drops.layer).all())
    assert 0 <= drops.coverage <= 1
    rainy = rain.compose(torch.full((3, height, width), 0.7), drops)
    assert bool(((rainy >= 0.7 - 1e-6) & (rainy <= 1)).all())


def test_vertical_streaks_are_vertical_and_of_their_size() -> None:
    drops = draw(one_layer(coverage=(0.02, 0.02)), (200, 200))
    lit = drops.layer[0] > 0.25
    runs_down = [len(run) for column in lit.T.tolist() for run in "".join("#" if p else " " for p in column).split()]
    runs_across = [len(run) for row in lit.tolist() for run in "".join("#" if p else " " for p in row).split()]
    assert np.median(runs_down) == pytest.approx(20, abs=2)
    assert np.median(runs_across) == pytest.approx(2, abs=1)
    assert float(drops.layer.max()) == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("degrees", [-60, -30, 20, 45, 80])
def test_streaks_follow_their_angle(degrees: float) -> None:
    lines = one_layer(angle=(degrees, degrees), length=(40, 40), width=(1.5, 1.5), softness=(1, 1))
    layer = draw(lines, (256, 256)).layer[0].double()
    down, right = torch.gradient(layer)
    # The direction along which brightness changes least: an eigenvector of the structure tensor.
    tensor = torch.stack(
        [torch.stack([(right**2).sum(), (right * down).sum()]), torch.stack([(right * down).sum(), (down**2).sum()])]
    )
    x, y = torch.linalg.eigh(tensor)[1][:, 0].tolist()
    found = math.degrees(math.atan(x / y)) if y else 90.0
    assert abs((found - degrees + 90) % 180 - 90) < 4


def test_hard_line_keeps_its_light_wherever_it_falls() -> None:
    # Box-filtered by the pixel: a line of width 1 adds up to 1 across, whatever its place between two pixels.
    d = torch.linspace(-3, 3, 601)[:, None] + torch.arange(-8, 9)[None]
    for softness in (0.0, 0.8):
        profile = rain._edge_profile(d, torch.tensor(1.0), softness)  # pyright: ignore[reportPrivateUsage]
        assert torch.allclose(profile.sum(1), torch.ones(601), atol=1e-3)


def test_overlapping_streaks_add_or_merge() -> None:
    crowded = {"coverage": (0.9, 0.9), "length": (60, 60)}
    assert float(draw(one_layer(overlap="max", **crowded)).layer.max()) == pytest.approx(0.5, abs=1e-5)
    assert float(draw(one_layer(overlap="sum", **crowded)).layer.max()) > 0.9


@pytest.mark.parametrize(("coverage", "density"), [(0.08, "light"), (0.4, "medium"), (0.85, "heavy")])
def test_coverage_and_density(coverage: float, density: str) -> None:
    drops = draw(one_layer(coverage=(coverage, coverage), width=(4, 4)), (300, 300))
    assert drops.coverage == pytest.approx(coverage, rel=0.35)
    assert drops.density == density
    assert drops.coverage == pytest.approx(float(drops.mask.float().mean()))


def test_rain_on_a_24_megapixel_picture_stays_in_place() -> None:
    # Flat indices beyond 2^24 are no whole numbers in float32.
    top = draw(one_layer(coverage=(2e-3, 2e-3), length=(60, 60)), (3999, 5999)).layer[0]
    lit = top[-200:] > 0.25
    assert bool(lit.any())
    columns = lit.float().sum(0)
    assert float(columns[columns > 0].median()) > 20


def test_rain_on_keeps_depth(photo: NDArray[np.uint8]) -> None:
    shallow = rain.rain_on(photo, rain.PRESETS["rain100h"], generator_for(5))
    deep = rain.rain_on(photo.astype(np.uint16) * 257, rain.PRESETS["rain100h"], generator_for(5))
    assert shallow.dtype == np.uint8
    assert deep.dtype == np.uint16
    assert np.abs(deep / 257 - shallow).max() <= 0.51


@pytest.mark.parametrize(("name", "expected", "tolerance"), [("rain100l", 26.9, 1.0), ("rain100h", 13.6, 1.5)])
def test_presets_spoil_pictures_as_much_as_the_benchmarks_do(
    name: str, expected: float, tolerance: float, reference_data: Path
) -> None:
    scores: list[float] = []
    for k, path in enumerate(clean_pictures(reference_data / "clean/val")):
        clean = to_bytes(read_image(path))
        for seed in range(6):  # pictures of one preset differ by 6 dB
            rainy = rain.rain_on(clean, rain.PRESETS[name], generator_for(seed, k))
            scores.append(metrics.psnr(metrics.luma_matlab(rainy), metrics.luma_matlab(clean)))
    assert np.mean(scores) == pytest.approx(expected, abs=tolerance)


def to_bytes(image: NDArray[np.uint8 | np.uint16]) -> NDArray[np.uint8]:
    return (to_tensor(image) * 255).permute(1, 2, 0).numpy().round().astype(np.uint8)
