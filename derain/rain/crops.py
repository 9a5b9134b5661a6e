"""Clean crops to rain on: pictures as tensors, seeded generators, random crops."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F


def to_tensor(pixels: NDArray[np.uint8 | np.uint16]) -> Tensor:
    """Return (H, W, 3) uint8 or uint16 levels as (3, H, W) float32 in [0, 1]."""
    # PyTorch takes neither another byte order nor arrays that run backwards or are read-only.
    native = np.require(pixels, pixels.dtype.newbyteorder("="), ["C", "W", "E"])
    return as_floats(planes(torch.from_numpy(native)))


def planes(picture: Tensor) -> Tensor:
    """Return a view of (H, W, 3) as (3, H, W)."""
    return picture.permute(2, 0, 1)


def as_floats(picture: Tensor) -> Tensor:
    """Return integer levels of any shape as float32 in [0, 1]; floats keep their values."""
    if picture.is_floating_point():
        return picture
    return picture.float() / torch.iinfo(picture.dtype).max


def generator_for(*numbers: int) -> torch.Generator:
    """Return a CPU generator that is a function of the numbers alone, well mixed."""
    words = np.random.SeedSequence(numbers[0], spawn_key=numbers[1:]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed((int(words[0]) << 32 | int(words[1])) & (2**63 - 1))


def random_crop(picture: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Return a square crop of (C, H, W), at a random place.

    A picture with a side shorter than the crop is enlarged first, and becomes floats in [0, 1].
    """
    short = min(picture.shape[1:])
    if short < size:
        picture = resize(picture, size / short)
    top, left = (
        int(torch.randint(side - size + 1, (), generator=generator)) for side in picture.shape[1:]
    )
    return picture[:, top : top + size, left : left + size]


def shrink(picture: Tensor, long_side: int) -> Tensor:
    """Return (C, H, W) resized so that no side is longer than this, in pixels."""
    longest = max(picture.shape[1:])
    return picture if longest <= long_side else resize(picture, long_side / longest)


def resize(picture: Tensor, factor: float) -> Tensor:
    """Return (C, H, W) resized by bicubic interpolation, as floats in [0, 1]."""
    # Products such as 0.1 * 30 are a little too large; thousandths keep them from rounding up.
    size = [max(1, -(-int(side * factor * 1000) // 1000)) for side in picture.shape[1:]]
    larger = F.interpolate(
        as_floats(picture)[None], size=size, mode="bicubic", antialias=True, align_corners=False
    )
    return larger[0].clamp(0, 1)
