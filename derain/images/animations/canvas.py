"""Whole frames out of the parts that files hold: each part is drawn on what the last one left."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from derain.errors import is_out_of_memory
from derain.files import listed
from derain.images.messages import caught_messages, without_bound, without_warnings
from derain.images.opening import damaged
from derain.images.picture import Pixels

_log = logging.getLogger(__name__)

Disposal = Literal["keep", "background", "previous"]
"""What becomes of a part before the next is drawn: it stays, is cleared, or is undone."""


@dataclass(frozen=True)
class TimedFrame:
    """A whole frame of an animation.

    Attributes:
        pixels: (H, W, 3), uint8 or uint16.
        alpha: (H, W) of the same type; None if the animation has none.
        seconds: For which it is shown; 0 for as short as possible.
    """

    pixels: Pixels
    alpha: Pixels | None
    seconds: Fraction


@dataclass(frozen=True)
class Part:
    """A rectangle of a frame, as a file holds it.

    Attributes:
        left: Of its place, in pixels; so `top`, `width` and `height`.
        decode: Returns its pixels, (h, w, 3), and alpha, (h, w) or None.
        seconds: For which the frame is shown.
        blends: It is drawn over what is there, instead of in its place.
        disposal: What becomes of it before the next one is drawn.
    """

    left: int
    top: int
    width: int
    height: int
    decode: Callable[[], tuple[Pixels, Pixels | None]]
    seconds: Fraction
    blends: bool
    disposal: Disposal


def composed(
    kind: str,
    parts: Iterable[Part],
    size: tuple[int, int],
    notes: list[str],
    *,
    has_alpha: bool,
    is_deep: bool = False,
) -> Iterator[TimedFrame]:
    """Yield whole frames, each an array of its own.

    Where a part is damaged, the frame shows what the one before did, for its own time.

    Args:
        kind: Format of the file, for errors.
        parts: In order.
        size: Width and height of the frames, in pixels.
        notes: Gets a line about parts that are damaged.
        has_alpha: Whether frames have alpha; else what no part covers is black.
        is_deep: Whether there are 16 bits a channel.

    Raises:
        ImageError: If the first part is damaged.
    """
    width, height = size
    canvas = _Canvas(height, width, np.uint16 if is_deep else np.uint8)
    failed: list[str] = []
    for number, part in enumerate(parts, 1):
        try:
            with without_warnings(), caught_messages(), without_bound(part.width * part.height):
                pixels, alpha = part.decode()
        except Exception as error:  # decoders of hostile files raise whatever they stumble over
            if number == 1 or is_out_of_memory(error):
                raise damaged(kind, error) from error
            _log.info("frame %d is damaged: %s", number, error)
            failed.append(str(number))
        else:
            canvas.draw(part, pixels, alpha)
        yield TimedFrame(
            canvas.pixels.copy(), canvas.alpha.copy() if has_alpha else None, part.seconds
        )
    if failed:
        frames = "frame is" if len(failed) == 1 else "frames are"
        notes.append(
            f"{len(failed)} {frames} damaged, and what came before was repeated: {listed(failed)}"
        )


def leaves_gaps(parts: Iterable[Part], size: tuple[int, int]) -> bool:
    """Return whether parts without transparent pixels leave some of a frame uncovered.

    Args:
        parts: In order.
        size: Width and height of the frames, in pixels.
    """
    empty: tuple[int, int, int, int] | None = (0, 0, *size)  # left, top, right, bottom
    for part in parts:
        right, bottom = part.left + part.width, part.top + part.height
        if empty is not None and not (
            part.left <= empty[0]
            and part.top <= empty[1]
            and right >= empty[2]
            and bottom >= empty[3]
        ):
            return True
        if part.disposal == "background":
            empty = part.left, part.top, right, bottom
        elif part.disposal == "keep":
            empty = None
    return False


class _Canvas:
    """What is shown: pixels that no part has covered are black and transparent."""

    def __init__(self, height: int, width: int, dtype: Any) -> None:
        self.pixels: Pixels = np.zeros((height, width, 3), dtype)
        self.alpha: Pixels = np.zeros((height, width), dtype)
        self._undo: Callable[[], None] = lambda: None

    def draw(self, part: Part, pixels: Pixels, alpha: Pixels | None) -> None:
        """Draw a part, after the one before was disposed of; what lies outside is cut off."""
        self._undo()
        height, width = self.alpha.shape
        place = np.s_[part.top : min(part.top + part.height, height), part.left : width]
        below, beside = self.alpha[place], self.pixels[place]
        rows, columns = below.shape[0], min(below.shape[1], part.width)
        below, beside = below[:, :columns], beside[:, :columns]
        self._undo = self._disposing(part.disposal, beside, below)
        new = pixels[:rows, :columns]
        opaque = np.iinfo(self.alpha.dtype).max
        if alpha is None:
            beside[:], below[:] = new, opaque
            return
        share = alpha[:rows, :columns]
        if not part.blends:
            beside[:], below[:] = new, share
            return
        solid = share == opaque
        beside[solid], below[solid] = new[solid], opaque
        if bool(((share > 0) & ~solid).any()):
            _blend(beside, below, new, share)

    @staticmethod
    def _disposing(disposal: Disposal, pixels: Pixels, alpha: Pixels) -> Callable[[], None]:
        """Return what disposes of what is about to be drawn there."""
        if disposal == "keep":
            return lambda: None
        before = (0, 0) if disposal == "background" else (pixels.copy(), alpha.copy())

        def undo() -> None:
            pixels[:], alpha[:] = before

        return undo


def _blend(below: Pixels, below_alpha: Pixels, over: Pixels, over_alpha: Pixels) -> None:
    """Draw pixels over others, where they are neither transparent nor opaque."""
    opaque = float(np.iinfo(over_alpha.dtype).max)
    partly = (over_alpha > 0) & (over_alpha < opaque)
    source = over_alpha[partly].astype(np.float64) / opaque
    target = below_alpha[partly].astype(np.float64) / opaque * (1 - source)
    whole = source + target
    mixed = over[partly] * source[:, None] + below[partly] * target[:, None]
    below[partly] = np.rint(mixed / whole[:, None]).astype(below.dtype)
    below_alpha[partly] = np.rint(whole * opaque).astype(below.dtype)
