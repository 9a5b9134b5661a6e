"""Remove rain by neighbouring frames: it covers a pixel in few frames only.

A pixel that stays becomes a trimmed mean over the frames of a window. One that moves becomes what
optical flow finds of it in the frames beside, if it is brighter than in both, as rain is. Where the
neighbours disagree the frame keeps its own pixels, so that nothing becomes a ghost. No more than a
window of frames is held.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from derain.errors import UsageError
from derain.video.differences import at
from derain.video.frame import Float32s, Frame, Plane
from derain.video.motion import boxes_of, without_rain
from derain.video.stillness import BLOCK, FEWEST, Held, Window

Motion = Literal["auto", "on", "off"]

LONG = 9
"""Frames of a window from which on three frames in a row share one: means are computed once."""
AUTO = 11
"""Frames of a window by default: more help little, see `benchmarks/video/temporal.py`."""
CAMERA_MOVES = 0.7
"""Share of the picture that moves from which on nothing is taken for still: what comes by in one
frame before a moving camera would look like rain."""


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


def check_work(window: int | None, *, has_model: bool) -> None:
    """Check that there is a network, or neighbours that help.

    Raises:
        UsageError: If there is neither.
    """
    if window is None and not has_model:
        raise UsageError(
            "leaves nothing to do without a model; expected auto or an odd number from 3",
            option="temporal",
            value="off",
        )


class TemporalFilter:
    """Steadies frames by their neighbours: give frames in order, take them delayed.

    They come one at a time, or from a window of `LONG` frames on three at a time.

    Args:
        window: Frames that are looked at for each, odd; at the ends of a clip as many as there are.
        motion: Whether pixels that move are looked for in the frames beside: ``auto`` where enough
            of the picture moves to be worth it.

    Raises:
        ValueError: If the window is even, or shorter than three frames.
    """

    def __init__(self, window: int, motion: Motion = "auto") -> None:
        if window < FEWEST or window % 2 == 0:
            raise ValueError(f"a window of {window} frames: expected an odd number from {FEWEST}")
        self.window = window
        self._motion: Motion = motion
        self._stride = stride_of(window)
        self._held: deque[Held] = deque()
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
        self._held.append(Held.of(frame))
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
        window = Window(held) if len(held) >= FEWEST else None
        while self._done < stop:
            place = self._done
            self._done += 1
            yield self._steadied(held, place, window) if window else held[place].frame

    def _steadied(self, held: Sequence["Held"], place: int, window: "Window") -> Frame:
        own = held[place].frame
        still = window.still(place)
        moving = 1.0 - float(still[::BLOCK, ::BLOCK].mean())
        if moving > CAMERA_MOVES:
            still[:] = 0
        base = own
        if self._motion != "off":
            beside = [held[k].frame for k in (place - 1, place + 1) if 0 <= k < len(held)]
            boxes = boxes_of(still if self._motion == "auto" else np.zeros_like(still))
            base = without_rain(own, beside, boxes)
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
    """Change of still pixels from frame to frame, before and after, as root mean squares.

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

    @property
    def found(self) -> tuple[float, float] | None:
        """Before and after; None if nothing was compared."""
        return (self.before, self.after) if self.pixels else None

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


def _blend(own: Plane, mean: Float32s, weight: Float32s) -> Plane:
    """Return a plane with some of it replaced, in its own type."""
    mixed = cv2.subtract(mean, own, dtype=cv2.CV_32F)
    mixed *= at(weight, own)
    cv2.add(mixed, own, mixed, dtype=cv2.CV_32F)
    return np.rint(mixed, out=mixed).astype(own.dtype)
