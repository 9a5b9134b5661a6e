"""Pairs of pixels, real and synthetic, that scripts score and measure."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from derain.data import clean_pictures, find_pairs
from derain.images import read_image, to_eight_bits
from derain.rain import PRESETS, TextureBank, generator_for, rain_on

PixelPair = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""A rainy and a clean picture, each (H, W, 3)."""


def real_pairs(folder: Path) -> list[PixelPair]:
    """Return the rainy and clean pictures of a dataset."""
    pairs = find_pairs(folder).pairs
    return [
        (to_eight_bits(read_image(pair.rainy)), to_eight_bits(read_image(pair.clean)))
        for pair in pairs
    ]


def synthetic_pairs(
    folder: Path, preset: str, seed: int = 7, bank: TextureBank | None = None
) -> list[PixelPair]:
    """Return clean pictures, each with itself under seeded rain of a preset."""
    clean = [to_eight_bits(read_image(path)) for path in clean_pictures(folder)]
    return [
        (rain_on(picture, PRESETS[preset], generator_for(seed, k), bank), picture)
        for k, picture in enumerate(clean)
    ]
