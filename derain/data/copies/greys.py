"""Grey pictures in full, kept outside of memory while copies are searched for."""

import tempfile
import threading
import weakref
from dataclasses import dataclass

import numpy as np

from derain.data.copies.vision import Grey

MEMORY = 256 << 20
"""Bytes that stay in memory; with more than that, all move to a temporary file."""
AT_MOST = 4 << 30
"""Bytes in all: 27,000 pictures of 481 x 321 pixels, or 330 of twelve megapixels."""


@dataclass(frozen=True)
class _Place:
    """Where a picture lies in the file."""

    offset: int
    size: tuple[int, int]


class GreyStore:
    """Grey pictures of 8 bits by name, in memory or, if they are many, in a temporary file.

    Which pictures have to be compared pixel by pixel is known only once all have been decoded.
    Opening those again costs more than keeping every picture's luma, a third of its pixels, and
    only a file can hold that of a large dataset. Safe to use from several threads.

    Args:
        memory: Bytes up to which there is no file.
        at_most: Bytes up to which pictures are kept; later ones are not.
    """

    def __init__(self, memory: int = MEMORY, at_most: int = AT_MOST) -> None:
        self._file = tempfile.SpooledTemporaryFile[bytes](memory)
        weakref.finalize(self, self._file.close)
        self._places: dict[str, _Place] = {}
        self._end = 0
        self._at_most = at_most
        self._lock = threading.Lock()

    def put(self, name: str, grey: Grey) -> None:
        """Keep a picture (h, w), if there is room for it."""
        with self._lock:
            if name in self._places or self._end + grey.size > self._at_most:
                return
            try:
                self._file.seek(self._end)
                self._file.write(grey.tobytes())
                self._file.flush()
            except OSError:  # the disk is full: what was kept until now may still be read
                self._at_most = 0
                return
            self._places[name] = _Place(self._end, (grey.shape[0], grey.shape[1]))
            self._end += grey.size

    def get(self, name: str) -> Grey | None:
        """Return a picture (h, w), or None if it was not kept."""
        place = self._places.get(name)
        if place is None:
            return None
        with self._lock:
            self._file.seek(place.offset)
            data = self._file.read(place.size[0] * place.size[1])
        return np.frombuffer(data, np.uint8).reshape(place.size)
