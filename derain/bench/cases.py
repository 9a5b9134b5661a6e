"""Cases to measure, the picture they are measured on, and what is found."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PATCH = 1024
"""Largest side in pixels of the scene that a large picture is put together from."""

DROPS, FALL, SLANT, BRIGHTNESS = 0.003, 24, 4, 0.25
"""Share of pixels with a drop; pixels it falls; pixels it falls for one aside; how bright it is."""


@dataclass(frozen=True)
class Case:
    """A model, how it is executed, and the size of the picture in pixels."""

    model: str
    engine: str = "auto"
    dtype: str = "float32"
    device: str = "auto"
    width: int = 512
    height: int = 512
    tile: int | None = None

    def __str__(self) -> str:
        return f"{self.model}, {self.engine}, {self.dtype}, {self.width}x{self.height}"


@dataclass(frozen=True)
class Timing:
    """Measurements of a case.

    Attributes:
        case: What was measured.
        seconds: Median for one picture, everything included: tiling, transfers, network.
        operations: Floating-point operations of the network per second, two for each multiply-add;
            None where they cannot be counted.
        ceiling: Those of a large matrix product in the same number format, measured in turns with
            the network; None where its engine computes none.
        peak_memory: Most bytes that the process held; on a GPU, its tensors. None where the system
            does not say.
        psnr: Of a corner of the result, not rounded to levels, against the same in float32, in dB:
            in PyTorch if that is among the cases, otherwise in the first engine; None for that
            itself.
        machine: Versions, processor and threads that it was measured with.
    """

    case: Case
    seconds: float
    operations: float | None
    ceiling: float | None
    peak_memory: int | None
    psnr: float | None = None
    machine: str = ""

    @property
    def megapixels_per_second(self) -> float:
        """How fast pictures are derained."""
        return self.case.width * self.case.height / 1e6 / self.seconds

    @property
    def share(self) -> float | None:
        """Fraction of the ceiling that the network reaches; None where it cannot be known."""
        if self.operations is None or self.ceiling is None:
            return None
        return self.operations / self.ceiling


def picture(width: int, height: int) -> NDArray[np.float32]:
    """Return a seeded picture with structure of every size and rain on it.

    A large picture is a smaller one and its mirror images side by side.

    Returns:
        (height, width, 3) in [0, 1].
    """
    rows, columns = min(height, PATCH), min(width, PATCH)
    dice = np.random.default_rng(0)
    scene = np.full((rows, columns, 3), 0.45, np.float32)
    for octave in range(1, 8):
        size = 2 + (rows >> octave), 2 + (columns >> octave), 3
        noise = dice.standard_normal(size, np.float32)
        scene += np.float32(0.02 * octave**0.5) * _enlarged(noise, rows, columns)
    rainy = np.clip(scene + _streaks(dice, rows, columns)[..., None], 0, 1)
    padding = ((0, height - rows), (0, width - columns), (0, 0))
    return np.pad(rainy, padding, mode="symmetric")


def _enlarged(grid: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Return a grid (h, w, 3) as (rows, columns, 3), linear in between."""
    for axis, length in enumerate((rows, columns)):
        place = np.linspace(0, grid.shape[axis] - 1, length, dtype=np.float32)
        below = np.minimum(place.astype(np.intp), grid.shape[axis] - 2)
        share = (
            (place - below)
            .astype(np.float32)
            .reshape([-1 if one == axis else 1 for one in range(3)])
        )
        before, after = (np.take(grid, below + step, axis) for step in (0, 1))
        grid = np.asarray(before + share * (after - before), np.float32)
    return grid


def _streaks(dice: np.random.Generator, rows: int, columns: int) -> NDArray[np.float32]:
    """Return slanted bright streaks, (rows, columns): drops that fell while they were pictured."""
    drops = (dice.random((rows, columns), np.float32) > 1 - DROPS).astype(np.float32)
    fallen = np.zeros_like(drops)
    for step in range(min(FALL, rows)):
        aside = step // SLANT
        fallen[step:, aside:] += drops[: rows - step, : columns - aside]
    return np.float32(BRIGHTNESS) * np.minimum(fallen, 1)
