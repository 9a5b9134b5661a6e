"""256 colours for frames that follow each other, without flicker.

A palette serves as long as it fits, and a pixel keeps the colour that it has where that is no worse
than the best one of the palette. Nothing is dithered: that costs 2 to 3 dB, and its pattern moves
(measured by `benchmarks/video/palettes.py`).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Colours = NDArray[np.uint8]

SAMPLES = 1 << 16
"""Pixels of a frame that a palette is made from: more take longer and gain nothing."""
WORSE = 1.25
"""A new palette is made for a frame whose squared error is so many times that of the frame that it
was made for: fewer make no better palettes, more lose more than they save."""
LEVELS_SQUARED = 0.5
"""Mean squared error that is never worth a new palette."""
_CHUNK = 8192


class Palettes:
    """Colours for frames in order.

    Args:
        most: Colours of a palette.

    Attributes:
        colours: (N, 3), the palette of the last frame.
    """

    def __init__(self, most: int = 255) -> None:
        self.colours: Colours = np.zeros((0, 3), np.uint8)
        self._most = most
        self._error = 0.0
        self._known: NDArray[np.int16] = np.zeros(0, np.int16)

    def indices(self, pixels: Colours) -> NDArray[np.uint8]:
        """Return the best colour for each of the pixels, (N, 3), as an index (N,).

        The palette becomes another one if it does not fit.
        """
        if len(self.colours):
            found = self._nearest(pixels)
            if self._error_of(found, pixels) <= WORSE * self._error + LEVELS_SQUARED:
                return found
        self._renew(pixels)
        found = self._nearest(pixels)
        self._error = self._error_of(found, pixels)
        return found

    def _error_of(self, indices: NDArray[np.uint8], pixels: Colours) -> float:
        return float(squared(self.colours[indices], pixels).mean()) if len(pixels) else 0.0

    def _renew(self, pixels: Colours) -> None:
        """Make a palette: the colours themselves if they are few, else k-means."""
        packed = np.unique(_packed(pixels))
        if len(packed) <= self._most:
            colours = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1)
            self.colours = colours.astype(np.uint8)
        else:
            sample = np.ascontiguousarray(pixels[:: max(1, len(pixels) // SAMPLES)])
            image = Image.fromarray(sample[None])
            made = image.quantize(self._most, Image.Quantize.MEDIANCUT, kmeans=1).getpalette()
            self.colours = np.array(made, np.uint8).reshape(-1, 3)[: self._most]
        self._known = np.full(1 << 24, -1, np.int16)

    def _nearest(self, pixels: Colours) -> NDArray[np.uint8]:
        """Return the index of the nearest colour; what was looked for once is known."""
        packed = _packed(pixels)
        found = self._known[packed]
        new = np.unique(packed[found < 0])
        if len(new):
            colours = self.colours.astype(np.float32)
            norms = np.square(colours).sum(axis=1)
            for start in range(0, len(new), _CHUNK):
                part = new[start : start + _CHUNK]
                wanted = np.stack([part >> 16, part >> 8 & 255, part & 255], axis=1)
                apart = norms - 2 * (wanted.astype(np.float32) @ colours.T)
                self._known[part] = np.argmin(apart, axis=1)
            found = self._known[packed]
        return found.astype(np.uint8)


def squared(one: Colours, other: Colours) -> NDArray[np.int32]:
    """Return squared differences of colours, (N, 3) -> (N,)."""
    apart = one.astype(np.int32) - other
    return np.square(apart, out=apart).sum(axis=1)


def _packed(pixels: Colours) -> NDArray[Any]:
    """Return colours as numbers of 24 bits."""
    wide = pixels.astype(np.int32)
    return wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2]
