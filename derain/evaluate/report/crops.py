"""Windows of pictures worth looking at, and pixels as text that a page can hold."""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derain.images import Picture, encode

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Window:
    """A part of a picture, in pixels from its upper left corner."""

    top: int
    left: int
    height: int
    width: int

    def of(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """(H, W, …) -> (height, width, …)."""
        return pixels[self.top : self.top + self.height, self.left : self.left + self.width]


def busiest_window(one: Bytes, other: Bytes, side: int) -> Window:
    """The window, of at most side x side, in which two pictures (H, W, 3) differ most in sum; the
    first of equals, row by row.

    In whole numbers, so that it is the same window everywhere.
    """
    difference = np.maximum(one, other) - np.minimum(one, other)
    table = np.zeros(
        (one.shape[0] + 1, one.shape[1] + 1), np.int64
    )  # sums of all that is above and to the left
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
    """(H, W, 3) -> a PNG file."""
    return encode(Picture(np.ascontiguousarray(pixels)), "PNG")


def data_uri(png: bytes) -> str:
    """A PNG file as an address that holds all of it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
