"""Windows of pictures that are worth looking at, and pixels as text that a page can hold."""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derain.images import Picture, encode
from derain.metrics import Bytes


@dataclass(frozen=True)
class Window:
    """A part of a picture, in pixels from its upper left corner."""

    top: int
    left: int
    height: int
    width: int

    def of(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return the window of a picture: (H, W, …) -> (height, width, …)."""
        return pixels[self.top : self.top + self.height, self.left : self.left + self.width]


def busiest_window(one: Bytes, other: Bytes, side: int) -> Window:
    """Return the window in which two pictures differ most in sum.

    All is computed in whole numbers, so that it is the same window on every machine.

    Args:
        one: (H, W, 3).
        other: (H, W, 3).
        side: Largest side of the window in pixels.

    Returns:
        The window; the first of equals, row by row.
    """
    difference = np.maximum(one, other) - np.minimum(one, other)
    # A summed-area table (Crow, SIGGRAPH 1984): each entry is the sum of all above and to the left,
    # so that the sum over any window takes four of them.
    table = np.zeros((one.shape[0] + 1, one.shape[1] + 1), np.int64)
    table[1:, 1:] = difference.sum(axis=2, dtype=np.int64).cumsum(axis=0).cumsum(axis=1)
    height, width = min(side, one.shape[0]), min(side, one.shape[1])
    sums = (
        table[height:, width:]
        - table[:-height, width:]
        - table[height:, :-width]
        + table[:-height, :-width]
    )
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    return Window(int(top), int(left), height, width)


def to_png(pixels: Bytes) -> bytes:
    """Return pixels (H, W, 3) as a PNG file."""
    return encode(Picture(np.ascontiguousarray(pixels)), "PNG")


def data_uri(png: bytes) -> str:
    """Return a PNG file as an address that holds all of it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
