"""A frame as planes: what all work on video is done on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[Any]
Float32s = NDArray[Any]
"""Of float32: what OpenCV says of its results is less."""


@dataclass(frozen=True)
class Frame:
    """A frame as planes, of colours or of luma and chroma.

    Attributes:
        planes: Each (H, W), those of chroma perhaps with fewer rows and columns; uint8 or uint16.
        luma: (H, W), of the same type; of YUV the first plane.
        peak: Largest level: 255, 1023 of 10 bits, 65535.
    """

    planes: tuple[Plane, ...]
    luma: Plane
    peak: int

    @property
    def is_yuv(self) -> bool:
        """Whether all planes but the first hold chroma alone."""
        return self.luma is self.planes[0]

    def like(self, planes: Sequence[Plane]) -> "Frame":
        """Return a frame of the same kind with other planes."""
        if self.is_yuv:
            return Frame(tuple(planes), planes[0], self.peak)
        return Frame.of_rgb(cv2.merge(planes))

    @classmethod
    def of_rgb(cls, rgb: Plane) -> "Frame":
        """Return a frame of (H, W, 3), uint8 or uint16."""
        peak = int(np.iinfo(rgb.dtype).max)
        return cls(tuple(cv2.split(rgb)), cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), peak)

    def rgb(self) -> Plane:
        """Return what `of_rgb` was given, (H, W, 3)."""
        return cv2.merge(self.planes)
