"""What neighbouring frames know: rain passes a pixel in few frames, everything else stays or moves.

A pixel that stays becomes a trimmed mean over the frames of a window. One that moves becomes what
optical flow finds of it in the frames beside, if it is brighter than in both, as rain is. Where the
neighbours disagree the frame keeps its own pixels, so that nothing becomes a ghost. No more than a
window of frames is held.

Whether a pixel stays is judged on the luma, in three ways. Averaged over blocks, which streaks
hardly change, it agrees with most of the window (or is brighter in this frame alone, as rain is).
At full size, the frames before it and those after it have the same mean. And the second darkest
frame is hardly darker than the mean: rain brightens, what moves also darkens.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.errors import UsageError

Plane = NDArray[Any]
Float32s = NDArray[Any]
"""Of float32: what OpenCV says of its results is less."""
Motion = Literal["auto", "on", "off"]

BLOCK = 4
"""Side, in pixels, of the blocks that are averaged before frames are compared."""
MOSTLY_STILL = 0.6
"""Share of a window's frames that have to agree on a block that stays."""
FEWEST = 3
"""Frames of a window below which there is nothing to trim."""
LONG = 9
"""Frames of a window from which on three frames in a row share one: means are computed once."""
AUTO = 11
"""Frames of a window by default: more help little, see `benchmarks/video/temporal.py`."""
CAMERA_MOVES = 0.7
"""Share of the picture that moves from which on nothing is taken for still: what comes by in one
frame before a moving camera would look like rain."""
CELL = 32
"""Side, in pixels, of the cells of which boxes are made that hold what moves."""
WORTH_FLOW = 0.1
"""Share of a cell that moves from which on optical flow is worth its time there."""
WHOLE = 0.6
"""Share of the picture that such boxes cover from which on all of it is one box."""
SMALL = 640 * 480
"""Pixels of a frame up to which optical flow is computed at full size."""
LEAST_FLOW = 32
"""Least side, in pixels, of what optical flow is computed on: OpenCV 4 crashes on flatter ones."""
AREA = 9
"""Side, in pixels, of an area that no streak fills."""


@dataclass(frozen=True)
class Thresholds:
    """Differences of luma in levels of 255, measured by `benchmarks/video/temporal.py`.

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


def window_of(temporal: object) -> int | None:
    """Return the window that is asked for; None for no help of neighbours.

    Args:
        temporal: ``auto``, ``off``, or an odd number of frames from 3, perhaps as text; None and 0
            are ``off``.

    Raises:
        UsageError: For anything else.

    >>> window_of("auto"), window_of("off"), window_of(5)
    (11, None, 5)
    """
    if not isinstance(temporal, bool) and temporal in ("auto", "off", None, 0, "0"):
        return AUTO if temporal == "auto" else None
    text = str(temporal)
    if not text.isdecimal() or int(text) < FEWEST or int(text) % 2 == 0:
        raise UsageError(
            f"expected auto, off, or an odd number of frames from {FEWEST}",
            option="temporal",
            value=temporal,
        )
    return int(text)


def stride_of(window: int) -> int:
    """Return how many frames in a row share a window.

    >>> stride_of(5), stride_of(11)
    (1, 3)
    """
    return 3 if window >= LONG else 1


def lead_in(due: int, window: int | None, batch: int = 1) -> int:
    """Return the frame to begin with, so that later ones come out as of the whole clip.

    Args:
        due: The first frame that counts, from 0.
        window: Frames that help each other; None for none.
        batch: Frames that are derained together, of which the first one has to be the same, too.

    >>> lead_in(20, 5), lead_in(20, 11), lead_in(3, 11), lead_in(20, None, batch=8)
    (16, 9, 0, 16)
    """
    before = max(0, due - window + 1) if window else due
    step = math.lcm(stride_of(window) if window else 1, batch)
    return before // step * step


class TemporalFilter:
    """Steadies frames by their neighbours: give frames in order, take them delayed.

    They come one at a time, or from a window of `LONG` frames on three at a time.

    Args:
        window: Frames that are looked at for each, odd; at the ends of a clip as many as there are.
        motion: Whether pixels that move are looked for in the frames beside: ``auto`` where enough
            of the picture moves to be worth it.
        thresholds: What counts as still.

    Raises:
        ValueError: If the window is even, or shorter than three frames.
    """

    def __init__(
        self,
        window: int = 7,
        motion: Motion = "auto",
        thresholds: Thresholds = Thresholds(),
    ) -> None:
        if window < FEWEST or window % 2 == 0:
            raise ValueError(f"a window of {window} frames: expected an odd number from {FEWEST}")
        self.window = window
        self._motion: Motion = motion
        self._thresholds = thresholds
        self._stride = stride_of(window)
        self._held: deque[_Held] = deque()
        self._done = 0  # of the frames that are held
        self.steadiness = Steadiness()

    def push(self, frame: Frame) -> Iterator[Frame]:
        """Take a frame; yield those whose window is complete.

        A frame of another size or type begins a new scene: what is held is finished first.
        """
        if self._held and not self._held[-1].fits(frame):
            yield from self.flush()
        if len(self._held) == self.window:
            for _ in range(self._stride):
                self._held.popleft()
            self._done -= self._stride
        self._held.append(_Held.of(frame))
        if len(self._held) == self.window:
            yield from self._until(self.window // 2 + 1 + self._stride // 2)

    def flush(self) -> Iterator[Frame]:
        """Yield the frames that are left, with the window that they have."""
        yield from self._until(len(self._held))
        self._held.clear()
        self._done = 0
        self.steadiness.cut()

    def _until(self, stop: int) -> Iterator[Frame]:
        held = list(self._held)
        window = _Window(held, self._thresholds) if len(held) >= FEWEST else None
        while self._done < stop:
            place = self._done
            self._done += 1
            yield self._steadied(held, place, window) if window else held[place].frame

    def _steadied(self, held: Sequence["_Held"], place: int, window: "_Window") -> Frame:
        own = held[place].frame
        still = window.still(place)
        moving = 1.0 - float(still[::BLOCK, ::BLOCK].mean())
        if moving > CAMERA_MOVES:
            still[:] = 0
        base = own
        if self._motion != "off":
            beside = [held[k].frame for k in (place - 1, place + 1) if 0 <= k < len(held)]
            boxes = _boxes(still if self._motion == "auto" else np.zeros_like(still))
            base = _compensated(own, beside, boxes, self._thresholds)
        planes = [
            _blend(plane, mean, still)
            for plane, mean in zip(base.planes, window.means(), strict=True)
        ]
        steadied = own.like(planes)
        self.steadiness.add(own.luma, steadied.luma, still, own.peak)
        return steadied


def steadied(frames: Iterable[Frame], window: int = 7, motion: Motion = "auto") -> Iterator[Frame]:
    """Yield as many frames as are given, each steadied by its neighbours."""
    steady = TemporalFilter(window, motion)
    for frame in frames:
        yield from steady.push(frame)
    yield from steady.flush()


@dataclass
class Steadiness:
    """How much still pixels change from frame to frame, before and after: root mean squares.

    Attributes:
        pixels: How many were compared.
    """

    pixels: int = 0
    _before: float = 0.0
    _after: float = 0.0
    _last: "tuple[Float32s, Float32s, Plane] | None" = None

    @property
    def before(self) -> float:
        """Levels of 255 by which a still pixel differs from the frame before, as it was given."""
        return float(np.sqrt(self._before / max(self.pixels, 1)))

    @property
    def after(self) -> float:
        """The same, steadied."""
        return float(np.sqrt(self._after / max(self.pixels, 1)))

    def add(self, given: Plane, steadied: Plane, still: Float32s, peak: int) -> None:
        """Compare a frame's luma with that of the frame before, on every fourth row and column."""
        grid = np.s_[::BLOCK, ::BLOCK]
        scale = np.float32(255 / peak)
        new = given[grid] * scale, steadied[grid] * scale, still[grid] > 0.5
        if self._last is not None:
            both = new[2] & self._last[2]
            self.pixels += int(both.sum())
            self._before += float(np.square(new[0] - self._last[0])[both].sum())
            self._after += float(np.square(new[1] - self._last[1])[both].sum())
        self._last = new

    def cut(self) -> None:
        """Begin a new scene, whose first frame is compared with none."""
        self._last = None


@dataclass(frozen=True)
class _Box:
    """Rows and columns of a luma plane; they begin at whole cells."""

    rows: slice
    columns: slice

    @classmethod
    def of(cls, x: int, y: int, width: int, height: int, shape: tuple[int, ...]) -> "_Box":
        """Return the box of some cells, of at least three a side where there are as many."""
        height, width = max(height, 3), max(width, 3)
        y = max(0, min(y, -(-shape[0] // CELL) - height))
        x = max(0, min(x, -(-shape[1] // CELL) - width))
        rows = slice(y * CELL, min((y + height) * CELL, shape[0]))
        return cls(rows, slice(x * CELL, min((x + width) * CELL, shape[1])))

    @property
    def pixels(self) -> int:
        return (self.rows.stop - self.rows.start) * (self.columns.stop - self.columns.start)

    def of_plane(self, plane: Plane, shape: tuple[int, ...]) -> Plane:
        """Return a view of the same part of a plane whose rows and columns are perhaps fewer."""
        down, across = (round(full / own) for full, own in zip(shape, plane.shape, strict=False))
        rows = slice(self.rows.start // down, -(-self.rows.stop // down))
        return plane[rows, self.columns.start // across : -(-self.columns.stop // across)]

    def of_frame(self, frame: Frame) -> Frame:
        """Return the same part of a frame."""
        shape = frame.luma.shape
        planes = tuple(np.ascontiguousarray(self.of_plane(k, shape)) for k in frame.planes)
        luma = planes[0] if frame.is_yuv else self.of_plane(frame.luma, shape)
        return Frame(planes, np.ascontiguousarray(luma), frame.peak)


@dataclass(frozen=True)
class _Held:
    """A frame in the window, and the means of its blocks in levels of 255."""

    frame: Frame
    blocks: Float32s

    @classmethod
    def of(cls, frame: Frame) -> "_Held":
        height, width = frame.luma.shape
        size = -(-width // BLOCK), -(-height // BLOCK)
        means = cv2.resize(frame.luma, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        return cls(frame, cv2.blur(means * np.float32(255 / frame.peak), (3, 3)))

    def fits(self, other: Frame) -> bool:
        return [(plane.shape, plane.dtype) for plane in self.frame.planes] == [
            (plane.shape, plane.dtype) for plane in other.planes
        ]


class _Window:
    """The frames around one: which blocks of each agree, and means over those."""

    def __init__(self, held: Sequence[_Held], thresholds: Thresholds) -> None:
        self._frames = [each.frame for each in held]
        self._thresholds = thresholds
        self._blocks = [each.blocks for each in held]
        self._median = _median(self._blocks)
        apart = [np.abs(blocks - self._median) for blocks in self._blocks]
        noise = cv2.blur(_median(apart), (9, 9))
        limit = np.minimum(thresholds.still + thresholds.noise * noise, thresholds.most)
        self._agree = np.stack([each < limit for each in apart])  # (N, h, w)
        masks = _Masks(self._agree)
        self._trimmed = [
            _Trimmed([frame.planes[k] for frame in self._frames], masks)
            for k in range(len(self._frames[0].planes))
        ]

    @cached_property
    def _of_all(self) -> list[Float32s]:
        """How far pixels of planes stay by what all frames share, on a grid of half the luma's."""
        t, frame = self._thresholds, self._frames[0]
        unit = np.float32(frame.peak / 255)
        weights: list[Float32s] = []
        for k, trimmed in enumerate(self._trimmed):
            weight = _within(trimmed.halves_apart(), t.halves * unit)
            if k == 0 or not frame.is_yuv:
                low = _half(cv2.subtract(trimmed.mean, trimmed.second_darkest, dtype=cv2.CV_32F))
                weight *= _within(low, t.darker * unit)
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
        rain &= np.abs(cv2.blur(brighter, (9, 9))) <= self._thresholds.blob
        count = self._agree.sum(axis=0)
        share = count >= max(FEWEST + 1, MOSTLY_STILL * len(self._frames))
        return share & (self._agree[place] | rain)

    def _still_pixels(self, place: int) -> Float32s:
        """Return how far pixels stay by themselves, on a grid of half the luma's."""
        t, frame = self._thresholds, self._frames[place]
        unit = np.float32(frame.peak / 255)
        weight = np.ones(_half(frame.luma).shape, np.float32)
        tints: list[Float32s] = []
        for k, (plane, trimmed) in enumerate(zip(frame.planes, self._trimmed, strict=True)):
            own = _half(cv2.subtract(trimmed.mean, plane, dtype=cv2.CV_32F))
            of_plane = self._of_all[k].copy()
            if k > 0 and frame.is_yuv:
                of_plane *= _within(np.abs(own), t.tinted * unit)
            else:
                of_plane *= _within(own, t.darker * unit)
                of_plane *= _within(_wide(-own), t.wide * unit)
                tints.append(own)
            weight *= _at(of_plane, weight)
        if len(tints) == 3:
            weight *= _within(_tint(tints), 2 * t.tinted * unit)
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


def _half(plane: Plane) -> Plane:
    """Return means over 2x2 pixels, on which streaks and noise are weaker."""
    size = -(-plane.shape[1] // 2), -(-plane.shape[0] // 2)
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA)


def _wide(brighter: Float32s) -> Float32s:
    """Return by how much whole areas are brighter, near these: (h, w) -> (h, w), of `_half`.

    Streaks fill no area of this side; what moves does.
    """
    side = AREA // 2 | 1
    # What the border cuts may be wide beyond it.
    area = cv2.erode(brighter, np.ones((side, side), np.uint8), borderType=cv2.BORDER_REPLICATE)
    return cv2.dilate(area, np.ones((2 * side - 1, 2 * side - 1), np.uint8))


def _tint(channels: Sequence[Float32s]) -> Float32s:
    """Return by how much a difference of colours, three times (h, w), is not grey."""
    largest = cv2.max(cv2.max(channels[0], channels[1]), channels[2])
    return largest - cv2.min(cv2.min(channels[0], channels[1]), channels[2])


def _within(difference: Float32s, limit: float) -> Float32s:
    """Return 1 up to half of a limit, 0 from the limit on, and a slope between."""
    share = difference * np.float32(-2 / limit)
    share += 2
    return np.clip(share, 0, 1, out=share)


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
        for half, agree in zip(self._halves, parts, strict=True):
            mean = _half(cv2.subtract(half.total, half.brightest, dtype=cv2.CV_32F))
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


def _blend(own: Plane, mean: Float32s, weight: Float32s) -> Plane:
    """Return a plane with some of it replaced, in its own type."""
    mixed = cv2.subtract(mean, own, dtype=cv2.CV_32F)
    mixed *= _at(weight, own)
    cv2.add(mixed, own, mixed, dtype=cv2.CV_32F)
    return np.rint(mixed, out=mixed).astype(own.dtype)


def _boxes(still: Float32s) -> list[_Box]:
    """Return boxes that hold what moves, each with a cell around it, of weights (H, W)."""
    height, width = still.shape
    cells = -(-height // CELL), -(-width // CELL)
    padded = cv2.copyMakeBorder(
        still, 0, cells[0] * CELL - height, 0, cells[1] * CELL - width, cv2.BORDER_REPLICATE
    )
    stays = cv2.resize(padded, (cells[1], cells[0]), interpolation=cv2.INTER_AREA)
    moves = cv2.dilate((stays < 1 - WORTH_FLOW).astype(np.uint8), np.ones((3, 3), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(moves)
    boxes = [_Box.of(x, y, w, h, still.shape) for x, y, w, h, _ in stats[1:].tolist()]
    if sum(box.pixels for box in boxes) > WHOLE * still.size:
        return [_Box(slice(0, height), slice(0, width))]
    return boxes


def _compensated(
    own: Frame, beside: Sequence[Frame], boxes: Sequence[_Box], thresholds: Thresholds
) -> Frame:
    """Return a frame without the rain that those beside, moved onto it, do not have, in boxes."""
    planes = list(own.planes)
    step = 2 if own.luma.size > SMALL else 1
    for box in boxes:
        near = [box.of_frame(other) for other in beside]
        part = _compensated_part(box.of_frame(own), near, step, thresholds)
        if part is None:
            continue
        for k, plane in enumerate(part):
            if planes[k] is own.planes[k]:
                planes[k] = planes[k].copy()
            box.of_plane(planes[k], own.luma.shape)[:] = plane
    return own.like(planes)


def _compensated_part(
    own: Frame, beside: Sequence[Frame], step: int, thresholds: Thresholds
) -> list[Plane] | None:
    """Return planes with others in place of rain, where they agree; None if too small for that.

    Rain is what is brighter than in all frames beside. Everything else keeps its own pixels, since
    a mean over moved ones would cost sharpness. What changes is found on every ``step``-th row and
    column, and added to the planes.
    """
    here = _on_grid(own, step)
    if min(here.luma.shape) < LEAST_FLOW or not beside:
        return None
    sums = [np.zeros(plane.shape, np.float32) for plane in here.planes]
    counts = [np.zeros(plane.shape, np.float32) for plane in here.planes]
    brighter: Float32s | None = None
    for other in beside:
        there = _on_grid(other, step)
        flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        start = np.zeros((*here.luma.shape, 2), np.float32)
        moved = here.like(_moved(there.planes, flow.calc(_bytes(here), _bytes(there), start)))
        share = _agreement(here, moved.planes, thresholds)
        for plane, total, count in zip(moved.planes, sums, counts, strict=True):
            weight = _at(share, plane)
            total += plane * weight
            count += weight
        more = cv2.blur(cv2.subtract(here.luma, moved.luma, dtype=cv2.CV_32F), (3, 3))
        brighter = more if brighter is None else cv2.min(brighter, more)
    assert brighter is not None
    unit = np.float32(own.peak / 255)
    rain = 1 - _within(brighter, thresholds.streak * unit)
    parts: list[Plane] = []
    for k, (total, count) in enumerate(zip(sums, counts, strict=True)):
        change = total / np.maximum(count, np.float32(1e-3)) - here.planes[k]
        change *= np.minimum(count, 1) * _at(rain, change)
        parts.append(_sum(own.planes[k], change, own.peak))
    return parts


def _on_grid(frame: Frame, step: int) -> Frame:
    """Return a frame with every ``step``-th row and column; planes that have no more stay."""
    if step == 1:
        return frame
    height, width = frame.luma.shape
    size = -(-width // step), -(-height // step)
    planes = tuple(
        plane
        if plane.shape[0] <= size[1] and plane.shape[1] <= size[0]
        else cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
        for plane in frame.planes
    )
    if frame.is_yuv:
        return Frame(planes, planes[0], frame.peak)
    return Frame(planes, cv2.resize(frame.luma, size, interpolation=cv2.INTER_AREA), frame.peak)


def _sum(plane: Plane, change: Float32s, peak: int) -> Plane:
    """Return a plane with a change of as many rows and columns, or fewer, in its own type."""
    full = _at(change, plane)
    cv2.add(full, plane, full, dtype=cv2.CV_32F)
    return np.rint(np.clip(full, 0, peak, out=full), out=full).astype(plane.dtype)


def _at(weight: Float32s, plane: Plane) -> Float32s:
    """Return weights of one grid of pixels on that of a plane."""
    if weight.shape == plane.shape:
        return weight
    way = cv2.INTER_AREA if weight.shape[0] > plane.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(weight, (plane.shape[1], plane.shape[0]), interpolation=way)


def _bytes(frame: Frame) -> Plane:
    """Return the luma in uint8, for optical flow."""
    if frame.peak == 255:
        return frame.luma
    return cv2.convertScaleAbs(frame.luma, alpha=255 / frame.peak)


def _moved(planes: Sequence[Plane], flow: Float32s) -> list[Plane]:
    """Return planes as the flow says that their pixels lie in another frame."""
    maps = {shape: _maps(flow, shape) for shape in {plane.shape for plane in planes}}
    return [
        cv2.remap(plane, *maps[plane.shape], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        for plane in planes
    ]


def _maps(flow: Float32s, shape: tuple[int, ...]) -> tuple[Plane, Plane]:
    """Return where the pixels of a plane are found, to a 32nd of a pixel, as OpenCV takes it."""
    height, width = shape
    scale = width / flow.shape[1], height / flow.shape[0]
    full = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR)
    x = full[..., 0] * np.float32(scale[0]) + np.arange(width, dtype=np.float32)
    y = full[..., 1] * np.float32(scale[1]) + np.arange(height, dtype=np.float32)[:, None]
    return cv2.convertMaps(x, y, cv2.CV_16SC2)


def _agreement(own: Frame, moved: Sequence[Plane], thresholds: Thresholds) -> Float32s:
    """Return how far moved planes may count, (H, W) in [0, 1].

    They may be darker than the frame's own where rain is thin, and nowhere of another colour.
    """
    t, unit = thresholds, np.float32(own.peak / 255)
    height, width = own.luma.shape
    share = np.ones(_half(own.luma).shape, np.float32)
    tints: list[Float32s] = []
    for k, plane in enumerate(moved):
        apart = _half(cv2.subtract(plane, own.planes[k], dtype=cv2.CV_32F))
        if k > 0 and own.is_yuv:
            of_plane = _within(np.abs(apart), t.tinted * unit)
        else:
            of_plane = _within(apart, t.moved * unit)
            of_plane *= _within(-apart, t.rained * unit)
            of_plane *= _within(_wide(-apart), t.wide * unit)
            tints.append(apart)
        share *= _at(of_plane, share)
    if len(tints) == 3:
        share *= _within(_tint(tints), t.tinted * unit)
    return cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR)
