"""Compare frames: limits of their differences, and signs of rain streaks."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from derain.video.frame import Float32s, Plane

AREA = 9
"""Side, in pixels, of an area that no streak fills."""


@dataclass(frozen=True)
class Thresholds:
    """Differences of luma in levels of 255; `benchmarks/video/temporal.py` prints what they bring.

    Attributes:
        still: Blocks that differ less from the window's median stay...
        noise: ...plus so many times the median difference thereabouts...
        most: ...but no more than this.
        blob: A larger area that is brighter by more is no streak.
        halves: Means before and after differ by less where a pixel stays; from half of it on it
            counts for less.
        darker: The same for the second darkest frame, and for a frame that is darker than the mean.
        tinted: The same for a frame of another colour than its neighbours, for rain is grey; twice
            as much for one of another colour than the mean.
        wide: The same for an area of the frame that is brighter and wider than streaks are.
        moved: The same for what optical flow brings, if it is brighter...
        rained: ...and if it is darker than the frame.
        streak: What is brighter by that in a frame than in those beside, is taken for rain where
            things move; from half of it on in part.
    """

    still: float = 3.0
    noise: float = 2.0
    most: float = 10.0
    blob: float = 14.0
    halves: float = 9.0
    darker: float = 20.0
    tinted: float = 16.0
    wide: float = 20.0
    moved: float = 14.0
    rained: float = 40.0
    streak: float = 7.0


THRESHOLDS = Thresholds()


def half(plane: Plane) -> Plane:
    """Return means over 2x2 pixels, on which streaks and noise are weaker."""
    size = -(-plane.shape[1] // 2), -(-plane.shape[0] // 2)
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA)


def wide(brighter: Float32s) -> Float32s:
    """Return by how much whole areas are brighter, near these: (h, w) -> (h, w), of `half`.

    Streaks fill no area of this side; what moves does.
    """
    side = AREA // 2 | 1
    # What the border cuts may be wide beyond it.
    area = cv2.erode(brighter, np.ones((side, side), np.uint8), borderType=cv2.BORDER_REPLICATE)
    return cv2.dilate(area, np.ones((2 * side - 1, 2 * side - 1), np.uint8))


def tint(channels: Sequence[Float32s]) -> Float32s:
    """Return by how much a difference of colours, three times (h, w), is not grey."""
    largest = cv2.max(cv2.max(channels[0], channels[1]), channels[2])
    return largest - cv2.min(cv2.min(channels[0], channels[1]), channels[2])


def within(difference: Float32s, limit: float) -> Float32s:
    """Return 1 up to half of a limit, 0 from the limit on, and a slope between."""
    share = difference * np.float32(-2 / limit)
    share += 2
    return np.clip(share, 0, 1, out=share)


def at(weight: Float32s, plane: Plane) -> Float32s:
    """Return weights of one grid of pixels on that of a plane."""
    if weight.shape == plane.shape:
        return weight
    way = cv2.INTER_AREA if weight.shape[0] > plane.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(weight, (plane.shape[1], plane.shape[0]), interpolation=way)
