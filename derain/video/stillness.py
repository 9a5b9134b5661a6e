"""Find the pixels that stay still in a window of frames, and compute their means.

Whether a pixel stays is judged on the luma, in three ways. Averaged over blocks, which streaks
hardly change, it agrees with most of the window (or is brighter in this frame alone, as rain is).
At full size, the frames before it and those after it have the same mean. And the second darkest
frame is hardly darker than the mean: rain brightens, what moves also darkens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.video.differences import THRESHOLDS, at, half, tint, wide, within
from derain.video.frame import Float32s, Frame, Plane

BLOCK = 4
"""Side, in pixels, of the blocks that are averaged before frames are compared."""
MOSTLY_STILL = 0.6
"""Share of a window's frames that have to agree on a block that stays."""
FEWEST = 3
"""Frames of a window below which there is nothing to trim."""


@dataclass(frozen=True)
class Held:
    """A frame in the window, and the means of its blocks in levels of 255."""

    frame: Frame
    blocks: Float32s

    @classmethod
    def of(cls, frame: Frame) -> "Held":
        height, width = frame.luma.shape
        size = -(-width // BLOCK), -(-height // BLOCK)
        means = cv2.resize(frame.luma, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        return cls(frame, cv2.blur(means * np.float32(255 / frame.peak), (3, 3)))

    def fits(self, other: Frame) -> bool:
        return [(plane.shape, plane.dtype) for plane in self.frame.planes] == [
            (plane.shape, plane.dtype) for plane in other.planes
        ]


class Window:
    """The frames around one: which blocks of each agree, and means over those."""

    def __init__(self, held: Sequence[Held]) -> None:
        self._frames = [each.frame for each in held]
        self._blocks = [each.blocks for each in held]
        self._median = _median(self._blocks)
        apart = [np.abs(blocks - self._median) for blocks in self._blocks]
        noise = cv2.blur(_median(apart), (9, 9))
        limit = np.minimum(THRESHOLDS.still + THRESHOLDS.noise * noise, THRESHOLDS.most)
        self._agree = np.stack([each < limit for each in apart])  # (N, h, w)
        masks = _Masks(self._agree)
        self._trimmed = [
            _Trimmed([frame.planes[k] for frame in self._frames], masks)
            for k in range(len(self._frames[0].planes))
        ]

    @cached_property
    def _of_all(self) -> list[Float32s]:
        """How far pixels of planes stay by what all frames share, on a grid of half the luma's."""
        frame = self._frames[0]
        unit = np.float32(frame.peak / 255)
        weights: list[Float32s] = []
        for k, trimmed in enumerate(self._trimmed):
            weight = within(trimmed.halves_apart(), THRESHOLDS.halves * unit)
            if k == 0 or not frame.is_yuv:
                low = half(cv2.subtract(trimmed.mean, trimmed.second_darkest, dtype=cv2.CV_32F))
                weight *= within(low, THRESHOLDS.darker * unit)
            weights.append(weight)
        return weights

    def still(self, place: int) -> Float32s:
        """Return how far each pixel of a frame may be replaced by the mean, (H, W) in [0, 1]."""
        height, width = self._frames[place].luma.shape
        # Softened inwards: beyond these blocks there is no mean.
        weight = _enlarged(self._still_blocks(place).astype(np.float32), (height, width))
        weight *= cv2.blur(weight, (5, 5))
        pixels = self._still_pixels(place)
        weight *= cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
        return weight

    def _still_blocks(self, place: int) -> NDArray[np.bool_]:
        """Return which blocks stay, and agree with the others or are rained on."""
        brighter = self._blocks[place] - self._median
        beside = [k for k in (place - 1, place + 1) if 0 <= k < len(self._frames)]
        rain = (brighter > 0) & np.logical_and.reduce([self._agree[k] for k in beside])
        rain &= np.abs(cv2.blur(brighter, (9, 9))) <= THRESHOLDS.blob
        count = self._agree.sum(axis=0)
        share = count >= max(FEWEST + 1, MOSTLY_STILL * len(self._frames))
        return share & (self._agree[place] | rain)

    def _still_pixels(self, place: int) -> Float32s:
        """Return how far pixels stay by themselves, on a grid of half the luma's."""
        frame = self._frames[place]
        unit = np.float32(frame.peak / 255)
        weight = np.ones(half(frame.luma).shape, np.float32)
        tints: list[Float32s] = []
        for k, (plane, trimmed) in enumerate(zip(frame.planes, self._trimmed, strict=True)):
            own = half(cv2.subtract(trimmed.mean, plane, dtype=cv2.CV_32F))
            of_plane = self._of_all[k].copy()
            if k > 0 and frame.is_yuv:
                of_plane *= within(np.abs(own), THRESHOLDS.tinted * unit)
            else:
                of_plane *= within(own, THRESHOLDS.darker * unit)
                of_plane *= within(wide(-own), THRESHOLDS.wide * unit)
                tints.append(own)
            weight *= at(of_plane, weight)
        if len(tints) == 3:
            weight *= within(tint(tints), 2 * THRESHOLDS.tinted * unit)
        return weight

    def means(self) -> list[Float32s]:
        """Return the trimmed mean of each plane."""
        return [trimmed.mean for trimmed in self._trimmed]


def _median(planes: Sequence[Float32s]) -> Float32s:
    """Return the median of planes, the lower one of an even number.

    The largest that is left goes to the end until the middle is reached, which for whole planes is
    faster than sorting each pixel.
    """
    left = list(planes)
    for stop in range(len(planes), (len(planes) - 1) // 2, -1):
        for k in range(stop - 1):
            left[k], left[k + 1] = (
                cv2.min(left[k], left[k + 1]),
                cv2.max(left[k], left[k + 1]),
            )
    return left[(len(planes) - 1) // 2]


class _Masks:
    """Which pixels of planes of several sizes count, by blocks; each is made once.

    Attributes:
        agree: (N, h, w).
    """

    def __init__(self, agree: NDArray[np.bool_]) -> None:
        self.agree = agree
        self._made: dict[tuple[int, tuple[int, ...], Any], Plane | None] = {}

    def of(self, k: int, plane: Plane) -> Plane | None:
        """Return all bits where pixels of frame k count, in a plane's type; None for everywhere."""
        key = k, plane.shape, plane.dtype.type
        if key not in self._made:
            counts = self.agree[k]
            top = np.iinfo(plane.dtype).max
            blocks = counts.astype(plane.dtype) * plane.dtype.type(top)
            made = None if counts.all() else _enlarged(blocks, plane.shape)
            self._made[key] = made
        return self._made[key]


class _Trimmed:
    """Means over frames without the darkest and the brightest, where blocks agree.

    Attributes:
        mean: (H, W) float32.
        second_darkest: (H, W), of the plane's type.
    """

    def __init__(self, planes: Sequence[Plane], masks: _Masks) -> None:
        agree = masks.agree
        shape, dtype = planes[0].shape, planes[0].dtype
        top = int(np.iinfo(dtype).max)
        middle = len(planes) // 2
        self._halves = [_Sum(shape, dtype), _Sum(shape, dtype)]
        rest = _Sum(shape, dtype)
        darkest = np.full(shape, top, dtype)
        self.second_darkest = darkest
        for k, plane in enumerate(planes):
            mask = masks.of(k, plane)
            # Where it does not count it is neither the darkest nor the brightest, and adds nothing.
            seen = plane if mask is None else cv2.bitwise_or(plane, cv2.bitwise_not(mask))
            part = rest if k == middle else self._halves[k > middle]
            part.add(plane if mask is None else cv2.bitwise_and(plane, mask))
            self.second_darkest = cv2.min(self.second_darkest, cv2.max(darkest, seen))
            darkest = cv2.min(darkest, seen)
        brightest = cv2.max(rest.brightest, self._halves[0].brightest)
        brightest = cv2.max(brightest, self._halves[1].brightest)
        total = cv2.add(self._halves[0].total, self._halves[1].total)
        total += rest.total
        cv2.subtract(total, darkest, total, dtype=cv2.CV_32F)
        cv2.subtract(total, brightest, total, dtype=cv2.CV_32F)
        self._agree = agree
        self.mean = total
        self.mean /= _divisor(agree, 2, shape)

    def halves_apart(self) -> Float32s:
        """Return by how much means of the earlier and the later frames differ, on half the grid.

        Each is without its brightest frame, which may be rain.
        """
        middle = len(self._agree) // 2
        parts = self._agree[:middle], self._agree[middle + 1 :]
        means: list[Float32s] = []
        for part, agree in zip(self._halves, parts, strict=True):
            mean = half(cv2.subtract(part.total, part.brightest, dtype=cv2.CV_32F))
            mean /= _divisor(agree, 1, mean.shape)
            means.append(mean)
        return cv2.blur(cv2.absdiff(means[0], means[1]), (3, 3))


class _Sum:
    """The sum and the largest of planes, where they count."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.total = np.zeros(shape, np.float32)
        self.brightest = np.zeros(shape, dtype)

    def add(self, plane: Plane) -> None:
        cv2.accumulate(plane, self.total)
        cv2.max(self.brightest, plane, self.brightest)


def _divisor(agree: NDArray[np.bool_], trimmed: int, shape: tuple[int, ...]) -> Any:
    """Return of how many frames a sum is left, at least 1: a number, or (H, W) if it differs."""
    if agree.all():
        return np.float32(max(len(agree) - trimmed, 1))
    counts = np.maximum(agree.sum(axis=0) - trimmed, 1)
    return _enlarged(counts.astype(np.float32), shape)


def _enlarged(blocks: NDArray[Any], shape: tuple[int, ...]) -> Plane:
    """Return for each pixel of a plane what is said of its block."""
    return cv2.resize(blocks, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
