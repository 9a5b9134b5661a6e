"""Streaks drawn one by one: where geometry says, as bright and as wide as asked for."""

import math

import numpy as np
import pytest
import torch

from derain import rain
from derain.rain import streaks


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


def test_vertical_streaks_are_vertical_and_of_their_size() -> None:
    drops = draw(one_layer(coverage=(0.02, 0.02)), (200, 200))
    lit = drops.layer[0] > 0.25
    runs_down = [
        len(run)
        for column in lit.T.tolist()
        for run in "".join("#" if p else " " for p in column).split()
    ]
    runs_across = [
        len(run) for row in lit.tolist() for run in "".join("#" if p else " " for p in row).split()
    ]
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
        [
            torch.stack([(right**2).sum(), (right * down).sum()]),
            torch.stack([(right * down).sum(), (down**2).sum()]),
        ]
    )
    x, y = torch.linalg.eigh(tensor)[1][:, 0].tolist()
    found = math.degrees(math.atan(x / y)) if y else 90.0
    assert abs((found - degrees + 90) % 180 - 90) < 4


def test_hard_line_keeps_its_light_wherever_it_falls() -> None:
    # Box-filtered by the pixel: a line of width 1 adds up to 1 across, whatever its place between
    # two pixels.
    d = torch.linspace(-3, 3, 601)[:, None] + torch.arange(-8, 9)[None]
    for softness in (None, torch.tensor(0.8)):
        profile = streaks._edge_profile(d, torch.tensor(1.0), softness)  # pyright: ignore[reportPrivateUsage]
        assert torch.allclose(profile.sum(1), torch.ones(601), atol=1e-3)


def test_overlapping_streaks_add_or_merge() -> None:
    crowded = {"coverage": (0.9, 0.9), "length": (60, 60)}
    assert float(draw(one_layer(overlap="max", **crowded)).layer.max()) == pytest.approx(
        0.5, abs=1e-5
    )
    assert float(draw(one_layer(overlap="sum", **crowded)).layer.max()) > 0.9


@pytest.mark.parametrize(
    ("coverage", "density"), [(0.08, "light"), (0.4, "medium"), (0.85, "heavy")]
)
def test_coverage_and_density(coverage: float, density: str) -> None:
    drops = draw(one_layer(coverage=(coverage, coverage), width=(4, 4)), (300, 300))
    assert float(drops.coverage) == pytest.approx(coverage, rel=0.35)
    assert drops.density == density
    assert float(drops.coverage) == pytest.approx(float(drops.mask.float().mean()))


def test_rain_on_a_24_megapixel_picture_stays_in_place() -> None:
    # Flat indices beyond 2^24 are no whole numbers in float32.
    top = draw(one_layer(coverage=(2e-3, 2e-3), length=(60, 60)), (3999, 5999)).layer[0]
    lit = top[-200:] > 0.25
    assert bool(lit.any())
    columns = lit.float().sum(0)
    assert float(columns[columns > 0].median()) > 20
