"""Cases to measure, the picture they are measured on, and what is found."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from derain import rain

PATCH = 1024
"""Largest side in pixels of the scene that a large picture is put together from."""


@dataclass(frozen=True)
class Case:
    """A model, how it is executed, and the size of the picture in pixels."""

    model: str
    engine: str = "torch"
    dtype: str = "float32"
    device: str = "auto"
    width: int = 512
    height: int = 512
    tile: int | None = None


@dataclass(frozen=True)
class Timing:
    """What was measured of a case.

    Attributes:
        case: What was measured.
        seconds: Median for one picture, everything included: tiling, transfers, network.
        operations: Floating-point operations of the network per second, two for each multiply-add;
            None where they cannot be counted.
        ceiling: Those of a large matrix product in the same number format, measured in turns with
            the network.
        peak_memory: Most bytes that the process held; on a GPU, its tensors. None where the system
            does not say.
        psnr: Of a corner of the result against that of PyTorch in float32, in dB, not rounded to
            levels; None for PyTorch in float32 itself.
    """

    case: Case
    seconds: float
    operations: float | None
    ceiling: float
    peak_memory: int | None
    psnr: float | None = None

    @property
    def megapixels_per_second(self) -> float:
        """How fast pictures are derained."""
        return self.case.width * self.case.height / 1e6 / self.seconds

    @property
    def share(self) -> float | None:
        """Fraction of the ceiling that the network reaches; None where it cannot be known."""
        return None if self.operations is None else self.operations / self.ceiling


def picture(width: int, height: int) -> NDArray[np.float32]:
    """Return a seeded picture with structure of every size and rain on it.

    A large picture is a smaller one and its mirror images side by side.

    Returns:
        (height, width, 3) in [0, 1].
    """
    rows, columns = min(height, PATCH), min(width, PATCH)
    generator = torch.Generator().manual_seed(0)
    scene = torch.full((1, 3, rows, columns), 0.45)
    for octave in range(1, 8):
        size = 2 + (rows >> octave), 2 + (columns >> octave)
        noise = torch.randn((1, 3, *size), generator=generator)
        scene += 0.02 * octave**0.5 * F.interpolate(noise, (rows, columns), mode="bilinear")
    drops = rain.sample(rain.PRESETS["rain100l"], (rows, columns), generator)
    rainy = rain.compose(scene[0].clamp(0, 1), drops)
    padding = ((0, height - rows), (0, width - columns), (0, 0))
    return np.pad(rainy.permute(1, 2, 0).numpy(), padding, mode="symmetric")
