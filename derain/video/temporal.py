"""What neighbouring frames know: rain passes a pixel in few frames, everything else stays or moves.

A pixel that stays becomes a trimmed mean over the frames of a window, one that moves a mean with
what optical flow finds of it in the frames beside. Where the neighbours disagree the frame keeps
its own pixels, so that nothing becomes a ghost. No more than a window of frames is held.

Whether a pixel stays is judged on the luma, in three ways. Averaged over blocks, which streaks
hardly change, it agrees with most of the window (or is brighter in this frame alone, as rain is).
At full size, the frames before it and those after it have the same mean. And the second darkest
frame is hardly darker than the mean: rain brightens, what moves also darkens.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[Any]
Float32s = NDArray[np.float32]
Motion = Literal["auto", "on", "off"]

BLOCK = 4
"""Side, in pixels, of the blocks that are averaged before frames are compared."""
MOSTLY_STILL = 0.6
"""Share of a window's frames that have to agree on a block that stays."""
FEWEST = 3
"""Frames of a window below which there is nothing to trim."""
CAMERA_MOVES = 0.7
"""Share of the picture that moves from which on nothing is taken for still: what comes by in one
frame before a moving camera would look like rain."""
WORTH_FLOW = 0.03
"""Share of the picture that moves from which on optical flow is worth its time."""
SMALL = 640 * 480
"""Pixels up to which optical flow is computed at full size."""
LEAST_FLOW = 12
"""Least side, in pixels, of what OpenCV computes optical flow on."""
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


@dataclass(frozen=True)
class Frame:
    """A frame as planes that share one grid of pixels or are subsampled from it.

    Attributes:
        planes: Each (H, W) or (H, W, C), or of fewer rows and columns; uint8 or uint16. Of YUV the
            first is the luma.
        luma: (H, W), of the same type.
        peak: Largest level: 255, 1023 of 10 bits, 65535.
    """

    planes: tuple[Plane, ...]
    luma: Plane
    peak: int

    def is_chroma(self, plane: int) -> bool:
        """Return whether a plane holds colour alone: of YUV all but the first."""
        return plane > 0 and self.luma is self.planes[0]

    def like(self, planes: tuple[Plane, ...]) -> "Frame":
        """Return a frame of the same kind with other planes."""
        return Frame(planes, planes[0], self.peak) if len(planes) > 1 else Frame.of_rgb(planes[0])

    @classmethod
    def of_rgb(cls, rgb: Plane) -> "Frame":
        """Return a frame of (H, W, 3), uint8 or uint16."""
        peak = int(np.iinfo(rgb.dtype).max)
        return cls((rgb,), cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), peak)


class TemporalFilter:
    """Steadies frames by their neighbours: give frames in order, take them delayed.

    Args:
        window: Frames that are looked at for each, odd; at the ends of a clip as many as there are.
        motion: Whether pixels that move are looked for in the frames beside: ``auto`` where enough
            of the picture moves to be worth it.
        thresholds: What counts as still.

    Raises:
        ValueError: If the window is even, or shorter than three frames.
    """

    def __init__(
        self, window: int = 7, motion: Motion = "auto", thresholds: Thresholds = Thresholds()
    ) -> None:
        if window < FEWEST or window % 2 == 0:
            raise ValueError(f"a window of {window} frames: expected an odd number from {FEWEST}")
        self.window = window
        self._motion: Motion = motion
        self._thresholds = thresholds
        self._held: deque[_Held] = deque(maxlen=window)
        self._done = 0  # of the frames that are held
        self.steadiness = Steadiness()

    def push(self, frame: Frame) -> Iterator[Frame]:
        """Take a frame; yield those whose window is complete.

        A frame of another size begins a new scene: what is held is finished first.
        """
        if self._held and not self._held[-1].fits(frame):
            yield from self.flush()
        if len(self._held) == self.window:
            self._done -= 1  # the oldest frame leaves
        self._held.append(_Held.of(frame))
        if len(self._held) == self.window:
            yield from self._until(self.window // 2 + 1)

    def flush(self) -> Iterator[Frame]:
        """Yield the frames that are left, with the window that they have."""
        yield from self._until(len(self._held))
        self._held.clear()
        self._done = 0
        self.steadiness.cut()

    def _until(self, stop: int) -> Iterator[Frame]:
        while self._done < stop:
            place = self._done
            self._done += 1
            yield self._steadied(place)

    def _steadied(self, place: int) -> Frame:
        held = list(self._held)
        own = held[place].frame
        if len(held) < FEWEST:
            return own
        window = _Window(held, self._thresholds)
        still = window.still(place)
        moving = 1.0 - float(still[::BLOCK, ::BLOCK].mean())
        if moving > CAMERA_MOVES:
            still[:] = 0
        base = own
        if self._motion == "on" or (self._motion == "auto" and moving > WORTH_FLOW):
            base = _compensated(held, place, self._thresholds)
        planes = tuple(
            _blend(plane, mean, still)
            for plane, mean in zip(base.planes, window.means(), strict=True)
        )
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
        return [plane.shape for plane in self.frame.planes] == [
            plane.shape for plane in other.planes
        ]


class _Window:
    """The frames around one: which blocks of each agree, and means over those."""

    def __init__(self, held: Sequence[_Held], thresholds: Thresholds) -> None:
        self._frames = [each.frame for each in held]
        self._thresholds = thresholds
        blocks = np.stack([each.blocks for each in held])  # (N, h, w)
        self._blocks = blocks
        self._median = np.median(blocks, axis=0)
        apart = np.abs(blocks - self._median)
        noise = cv2.blur(np.median(apart, axis=0), (9, 9))
        limit = np.minimum(thresholds.still + thresholds.noise * noise, thresholds.most)
        self._agree = apart < limit  # (N, h, w)
        self._count = self._agree.sum(axis=0, dtype=np.uint8)
        self._trimmed = [
            _Trimmed([frame.planes[k] for frame in self._frames], self._agree)
            for k in range(len(self._frames[0].planes))
        ]

    def still(self, place: int) -> Float32s:
        """Return how far each pixel of a frame may be replaced by the mean, (H, W) in [0, 1]."""
        t = self._thresholds
        frame = self._frames[place]
        brighter = self._blocks[place] - self._median
        beside = [k for k in (place - 1, place + 1) if 0 <= k < len(self._frames)]
        rain = (brighter > 0) & np.logical_and.reduce([self._agree[k] for k in beside])
        rain &= np.abs(cv2.blur(brighter, (9, 9))) <= t.blob
        share = self._count >= max(FEWEST + 1, MOSTLY_STILL * len(self._frames))
        blocks = share & (self._agree[place] | rain)
        # Softened inwards: beyond these blocks there is no mean.
        weight = _as_plane(blocks, frame.luma)
        weight *= cv2.blur(weight, (5, 5))
        size = frame.luma.shape[1], frame.luma.shape[0]
        for k in range(len(frame.planes)):
            of_plane = self._of_plane(frame, k)
            if of_plane.shape != weight.shape:
                of_plane = cv2.resize(of_plane, size, interpolation=cv2.INTER_LINEAR)
            weight *= of_plane
        return weight

    def _of_plane(self, frame: Frame, k: int) -> Float32s:
        """Return how far a plane alone says that pixels stay, on its own grid."""
        t, trimmed, unit = self._thresholds, self._trimmed[k], np.float32(frame.peak / 255)
        own = trimmed.mean - frame.planes[k]
        weight = _within(trimmed.halves_apart(), t.halves * unit)
        if frame.is_chroma(k):
            return weight * _within(_largest(cv2.blur(np.abs(own), (3, 3))), t.tinted * unit)
        low = _largest(cv2.blur(trimmed.mean - trimmed.second_darkest, (3, 3)))
        weight *= _within(low, t.darker * unit)
        weight *= _within(_largest(cv2.blur(own, (3, 3))), t.darker * unit)
        weight *= _within(_wide(-own), t.wide * unit)
        if own.ndim == 3:
            weight *= _within(_tint(own), 2 * t.tinted * unit)
        return weight

    def means(self) -> list[Float32s]:
        """Return the trimmed mean of each plane."""
        return [trimmed.mean for trimmed in self._trimmed]


def _wide(brighter: Float32s) -> Float32s:
    """Return by how much whole areas are brighter, near these: (H, W) or (H, W, C) -> (H, W).

    Streaks fill no area of this side; what moves does.
    """
    kernel = np.ones((AREA, AREA), np.uint8)
    # What the border cuts may be wide beyond it.
    blurred = cv2.blur(brighter, (3, 3))
    area = cv2.erode(blurred, kernel, borderType=cv2.BORDER_REPLICATE)
    return _largest(cv2.dilate(area, np.ones((2 * AREA - 1, 2 * AREA - 1), np.uint8)))


def _tint(difference: Float32s) -> Float32s:
    """Return by how much a difference of colours is not grey: (H, W, 3) -> (H, W)."""
    near = cv2.blur(difference, (3, 3))
    return near.max(axis=2) - near.min(axis=2)


def _largest(values: Float32s) -> Float32s:
    """Return the largest of a pixel's channels: (H, W, C) -> (H, W)."""
    return values if values.ndim == 2 else values.max(axis=2)


def _within(difference: Float32s, limit: float) -> Float32s:
    """Return 1 up to half of a limit, 0 from the limit on, and a slope between."""
    return np.clip(2 - difference * np.float32(2 / limit), 0, 1)


class _Trimmed:
    """Means over frames without the darkest and the brightest, where blocks agree.

    Attributes:
        mean: float32, of the shape of a plane.
        second_darkest: Of the plane's type.
    """

    def __init__(self, planes: Sequence[Plane], agree: NDArray[np.bool_]) -> None:
        height, width = planes[0].shape[:2]
        top = np.iinfo(planes[0].dtype).max
        middle = len(planes) // 2
        self._halves = [_Sum(planes[0].shape, planes[0].dtype) for _ in range(2)]
        rest = _Sum(planes[0].shape, planes[0].dtype)
        darkest = np.full_like(planes[0], top)
        self.second_darkest = darkest.copy()
        for k, plane in enumerate(planes):
            mask = None
            seen = plane
            if not agree[k].all():
                grid = agree[k].astype(np.uint8)
                mask = cv2.resize(grid, (width, height), interpolation=cv2.INTER_NEAREST)
                seen = cv2.copyTo(plane, mask, np.full_like(plane, top))
            part = rest if k == middle else self._halves[k > middle]
            part.add(plane, mask)
            np.minimum(self.second_darkest, np.maximum(darkest, seen), out=self.second_darkest)
            np.minimum(darkest, seen, out=darkest)
        brightest = np.maximum(rest.brightest, self._halves[0].brightest)
        brightest = np.maximum(brightest, self._halves[1].brightest)
        total = rest.total + self._halves[0].total + self._halves[1].total
        total -= darkest
        total -= brightest
        self._counts = [
            _as_plane(agree[part].sum(axis=0), planes[0])
            for part in (np.s_[:middle], np.s_[middle + 1 :], np.s_[:])
        ]
        total /= np.maximum(self._counts[2] - 2, 1)
        self.mean = total

    def halves_apart(self) -> Float32s:
        """Return by how much the means of the earlier and the later frames differ.

        Each is without its brightest frame, which may be rain.
        """
        means = [
            (half.total - half.brightest) / np.maximum(count - 1, 1)
            for half, count in zip(self._halves, self._counts, strict=False)
        ]
        apart = _largest(np.abs(cv2.blur(means[0] - means[1], (3, 3))))
        return cv2.blur(apart, (3, 3))


class _Sum:
    """The sum and the largest of planes, where they count."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.total = np.zeros(shape, np.float32)
        self.brightest = np.zeros(shape, dtype)

    def add(self, plane: Plane, mask: NDArray[np.uint8] | None) -> None:
        cv2.accumulate(plane, self.total, mask)
        counted = plane if mask is None else cv2.copyTo(plane, mask, np.zeros_like(plane))
        np.maximum(self.brightest, counted, out=self.brightest)


def _as_plane(count: NDArray[Any], plane: Plane) -> Float32s:
    """Return a number of each block for each pixel of a plane, which may have channels."""
    size = plane.shape[1], plane.shape[0]
    full = cv2.resize(count.astype(np.float32), size, interpolation=cv2.INTER_NEAREST)
    return full if plane.ndim == 2 else full[..., None]


def _blend(own: Plane, mean: Float32s, weight: Float32s) -> Plane:
    """Return a plane with some of it replaced, in its own type."""
    share = _at(weight, own)
    share = share if own.ndim == 2 else share[..., None]
    mixed = mean - own
    mixed *= share
    mixed += own
    return np.rint(mixed, out=mixed).astype(own.dtype)


def _compensated(held: Sequence[_Held], place: int, thresholds: Thresholds) -> Frame:
    """Return a frame averaged with the frames beside, moved onto it, where they agree with it."""
    own = held[place].frame
    height, width = own.luma.shape
    step = 2 if width * height > SMALL else 1
    if min(height, width) < LEAST_FLOW * step:
        return own
    here = _reduced(own, step)
    sums = [plane.astype(np.float32) for plane in own.planes]
    counts = [np.ones(plane.shape[:2], np.float32) for plane in own.planes]
    for k in (place - 1, place + 1):
        if not 0 <= k < len(held):
            continue
        other = held[k].frame
        flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        found = flow.calc(here, _reduced(other, step), np.zeros((*here.shape, 2), np.float32))
        moved = [_moved(plane, found) for plane in other.planes]
        share = _agreement(own, moved, thresholds)
        for plane, total, count in zip(moved, sums, counts, strict=True):
            weight = _at(share, plane)
            total += plane * (weight if plane.ndim == 2 else weight[..., None])
            count += weight
    planes = tuple(
        np.rint(total / (count if total.ndim == 2 else count[..., None])).astype(plane.dtype)
        for total, count, plane in zip(sums, counts, own.planes, strict=True)
    )
    return own.like(planes)


def _at(weight: Float32s, plane: Plane) -> Float32s:
    """Return weights of the luma's pixels for those of a plane, which may be fewer."""
    if weight.shape == plane.shape[:2]:
        return weight
    return cv2.resize(weight, (plane.shape[1], plane.shape[0]), interpolation=cv2.INTER_AREA)


def _reduced(frame: Frame, step: int) -> NDArray[np.uint8]:
    """Return the luma in eight bits, for optical flow."""
    height, width = frame.luma.shape
    luma = frame.luma
    if step > 1:
        size = -(-width // step), -(-height // step)
        luma = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    if frame.peak == 255:
        return luma.astype(np.uint8, copy=False)
    return cv2.convertScaleAbs(luma, alpha=255 / frame.peak)


def _moved(plane: Plane, flow: Float32s) -> Plane:
    """Return a plane as the flow says that its pixels lie in another frame."""
    height, width = plane.shape[:2]
    scale = width / flow.shape[1], height / flow.shape[0]
    full = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR)
    x = full[..., 0] * np.float32(scale[0]) + np.arange(width, dtype=np.float32)
    y = full[..., 1] * np.float32(scale[1]) + np.arange(height, dtype=np.float32)[:, None]
    return cv2.remap(plane, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _agreement(own: Frame, moved: Sequence[Plane], thresholds: Thresholds) -> Float32s:
    """Return how far moved planes may count, (H, W) in [0, 1].

    They may be darker than the frame's own where rain is thin, and nowhere of another colour.
    """
    t, unit = thresholds, np.float32(own.peak / 255)
    height, width = own.luma.shape
    share = np.ones((height, width), np.float32)
    for k, plane in enumerate(moved):
        apart = plane.astype(np.float32) - own.planes[k]
        near = cv2.blur(apart, (3, 3))
        if own.is_chroma(k):
            of_plane = _within(_largest(np.abs(near)), t.tinted * unit)
        else:
            of_plane = _within(_largest(near), t.moved * unit)
            of_plane *= _within(_largest(-near), t.rained * unit)
            of_plane *= _within(_wide(-apart), t.wide * unit)
            if apart.ndim == 3:
                of_plane *= _within(_tint(apart), t.tinted * unit)
        if of_plane.shape != share.shape:
            of_plane = cv2.resize(of_plane, (width, height), interpolation=cv2.INTER_LINEAR)
        share *= of_plane
    return share
