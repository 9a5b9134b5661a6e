"""Rain by filtered noise: lines of the direction, length, width and brightness asked for."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import convolve

from derain.rain import field
from derain.rain.field import Field, Filter, Shape
from derain.rain.numbers import Draws

CPU = torch.device("cpu")
SPARSE = Field(
    coverage=(0.02, 0.02),
    angle=(0, 0),
    length=(24, 24),
    width=(2, 2),
    softness=(0, 0),
    brightness=(0.5, 0.5),
    fading=(0, 0),
    levels=(0, 0),
    clumping=(0, 0),
    shape=("even",),
    overlap="cap",
    noise_probability=0,
)


def filter_of(seed: int = 3, **ranges: object) -> Filter:
    changed = Field(**(vars(SPARSE) | ranges))  # pyright: ignore[reportArgumentType]
    return field.choose(changed, Draws(torch.Generator().manual_seed(seed)))


def draw(
    size: tuple[int, int] = (200, 220), seed: int = 3, **ranges: object
) -> NDArray[np.float32]:
    return field.draw([filter_of(seed, **ranges)], size, CPU)[0].numpy()


def runs(rows: NDArray[np.bool_]) -> list[int]:
    return [len(run) for row in rows for run in "".join("#" if p else " " for p in row).split()]


def test_lines_have_their_size_and_brightness() -> None:
    layer = draw()
    lit = layer > 0.25
    assert np.median(runs(lit.T)) == pytest.approx(24, abs=2)
    assert np.median(runs(lit)) == pytest.approx(2, abs=1)
    assert layer.max() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("degrees", [-40, -15, 0, 25, 44])
def test_lines_follow_their_angle(degrees: float) -> None:
    layer = draw((256, 256), angle=(degrees, degrees), length=(50, 50), softness=(1.2, 1.2)).astype(
        float
    )
    down, right = np.gradient(layer)
    tensor = np.array(
        [[np.sum(right**2), np.sum(right * down)], [np.sum(right * down), np.sum(down**2)]]
    )
    x, y = np.linalg.eigh(tensor)[1][:, 0]
    assert math.degrees(math.atan(x / y)) == pytest.approx(degrees, abs=1.5)


def test_agrees_with_a_plain_convolution_of_its_specks() -> None:
    # The same specks under a kernel written down pixel by pixel: upright lines two pixels wide and
    # 24 long, box-filtered.
    chosen = filter_of(overlap="sum")
    size = (160, 160)
    of = {name: torch.tensor([[[getattr(chosen, name)]]]) for name in vars(chosen)}
    torus = (256, 256)
    rate = torch.full((1, 1, 1), -math.log1p(-chosen.coverage) / (chosen.length * chosen.width))
    specks = field._specks(of, rate, torus)[0].numpy()  # pyright: ignore[reportPrivateUsage]
    box_down, box_right = np.zeros(27), np.zeros(5)
    box_down[1:26], box_down[[1, 25]] = 1, 0.5
    box_right[1:4], box_right[[1, 3]] = 1, 0.5
    expected = (
        0.5 * convolve(specks, np.outer(box_down, box_right), mode="wrap")[: size[0], : size[1]]
    )
    found = draw(size, overlap="sum")
    assert (specks > 0).sum() > 10
    # What is above Nyquist in a hard edge is missing from the transform.
    assert np.abs(expected - found).mean() < 0.004
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.99


@pytest.mark.parametrize(
    ("shape", "above", "below"),
    [("even", 1, 1), ("tapered", 0.5, 0.5), ("comet", math.exp(-15 / 20), 0)],
)
def test_shapes_along_a_line(shape: Shape, above: float, below: float) -> None:
    chosen = filter_of(shape=(shape,), length=(60, 60), softness=(0.5, 0.5))
    of = {name: torch.tensor([[[value]]]) for name, value in vars(chosen).items()}
    line = torch.fft.irfft2(field._line_spectrum(of, (256, 256)), s=(256, 256))[0]  # pyright: ignore[reportPrivateUsage]
    along = line[:, 0] / line.max()
    assert float(along[-15]) == pytest.approx(above, abs=0.05)
    assert float(along[15]) == pytest.approx(below, abs=0.05)
    assert abs(float(along[40])) < 0.02
    assert float(line.max()) == pytest.approx(1, abs=0.15)
    assert float(line.sum(1).max()) == pytest.approx(float(line.max()) * 2, rel=0.3)


def test_capped_lines_are_never_brighter_than_one() -> None:
    crowded: dict[str, Any] = {"coverage": (0.9, 0.9), "length": (60, 60)}
    assert draw(overlap="cap", **crowded).max() == pytest.approx(0.5, abs=1e-5)
    alone = draw(overlap="sum", length=(60, 60))
    # A single line is as bright as asked for, and brighter where two meet.
    assert alone.max() > 0.9 * 0.5
    assert draw(overlap="sum", length=(60, 60), coverage=(0.3, 0.3)).max() > 0.6


@pytest.mark.parametrize("coverage", [0.08, 0.4, 0.8])
def test_lines_cover_what_they_should(coverage: float) -> None:
    # Of capped lines the mean light is the share they cover.
    covered = np.mean(
        [
            draw((300, 300), seed=seed, coverage=(coverage, coverage)).mean() / 0.5
            for seed in range(3)
        ]
    )
    assert covered == pytest.approx(coverage, rel=0.12)


def test_levels_thin_soft_lines() -> None:
    soft: dict[str, Any] = {"softness": (1.5, 1.5), "coverage": (0.3, 0.3)}
    assert (draw(levels=(0.8, 0.8), **soft) > 0.02).mean() < 0.8 * (draw(**soft) > 0.02).mean()


def test_clumping_makes_uneven() -> None:
    def unevenness(clumping: float) -> float:
        means = [
            draw(
                (256, 256),
                seed=k,
                clumping=(clumping, clumping),
                coverage=(0.2, 0.2),
                length=(8, 8),
            )
            for k in range(4)
        ]
        return float(
            np.mean([m.reshape(16, 16, 16, 16).mean((1, 3)).std() / m.mean() for m in means])
        )

    assert unevenness(1.2) > 1.5 * unevenness(0)


def test_a_layer_does_not_depend_on_its_neighbours() -> None:
    chosen = [filter_of(seed, clumping=(0, 1)) for seed in range(5)]
    together = field.draw(chosen, (64, 70), CPU)
    alone = torch.cat([field.draw([one], (64, 70), CPU) for one in chosen])
    assert torch.allclose(together, alone, atol=1e-5)


def test_no_layers_give_none() -> None:
    assert field.draw([], (5, 6), CPU).shape == (0, 5, 6)
