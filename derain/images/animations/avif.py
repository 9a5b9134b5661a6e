"""AVIF sequences, whose frames Pillow's decoder and encoder take one at a time.

How often one is shown lies in boxes that Pillow neither reads nor writes (ISO/IEC 14496-12).
"""

import struct
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from derain.errors import is_out_of_memory
from derain.images.animations.canvas import TimedFrame
from derain.images.headers import Claim
from derain.images.messages import caught_messages, without_bound, without_warnings
from derain.images.metadata import bare
from derain.images.opening import damaged, open_picture
from derain.images.picture import Pixels

_FOR_EVER = (1 << 64) - 1
_MOVIE_DURATION, _TRACK_DURATION, _SEGMENT_DURATION = 24, 28, 8
"""Where durations of 64 bits begin in the boxes mvhd, tkhd and elst of version 1."""


def avif_frames(data: bytes, count: int, notes: list[str]) -> Iterator[TimedFrame]:
    """Yield the frames of a sequence.

    Args:
        data: The file.
        count: How many there are.
        notes: Gets a line if the last ones cannot be read.

    Raises:
        ImageError: If not even the first one can be read.
    """
    held: tuple[Pixels, Pixels | None] | None = None
    began, last = 0, Fraction(0)
    with without_warnings(), open_picture(bare(data), Claim("AVIF")) as opened:
        image: Any = opened
        for place in range(count):
            try:
                with (
                    without_warnings(),
                    caught_messages(),
                    without_bound(image.width * image.height),
                ):
                    image.seek(place)
                    image.load()
                    levels = np.asarray(image.convert("RGB") if image.mode == "L" else image)
            except Exception as error:  # decoders of hostile files raise whatever they stumble over
                if held is None or is_out_of_memory(error):
                    raise damaged("AVIF", error) from error
                lost = count - place
                notes.append(f"the last {lost} of {count} frames are damaged, and left out")
                count = place
                break
            # Durations are rounded to milliseconds; so are times, whose errors do not add up.
            if held is not None:
                yield TimedFrame(*held, Fraction(image.info["timestamp"] - began, 1000))
            began = image.info["timestamp"]
            alpha = levels[..., 3].copy() if levels.shape[2] == 4 else None
            held = np.ascontiguousarray(levels[..., :3]), alpha
            last = Fraction(image.info["duration"], 1000)
    if held is not None:
        yield TimedFrame(*held, last)


def write_avif(path: Path, frames: Iterable[TimedFrame], options: dict[str, Any]) -> None:
    """Write a sequence.

    Args:
        path: The file.
        frames: All of one size, with alpha or without.
        options: For Pillow.

    Raises:
        OSError: If it cannot be written.
    """
    durations: list[int] = []
    coming = _Coming(iter(frames), durations)
    coming.save(path, "AVIF", save_all=True, duration=durations, **options)


class _Coming(Image.Image):
    """A picture that shows the next frame when Pillow asks for it, so that none has to wait.

    Args:
        frames: Eight bits a channel.
        durations: Gets the milliseconds of each frame as it comes.
    """

    is_animated = True

    def __init__(self, frames: Iterator[TimedFrame], durations: list[int]) -> None:
        super().__init__()
        self._coming, self._durations = frames, durations
        self._ticks = Ticks(1000)
        first = self._next()
        if first is None:
            raise ValueError("0 frames to write; expected at least one")
        self._mode, self._size = first.mode, first.size
        self.im = first.im
        self._place = 0

    def _next(self) -> Image.Image | None:
        frame = next(self._coming, None)
        if frame is None:
            return None
        self._durations.append(self._ticks.of(frame.seconds))
        levels: Any = frame.pixels
        if frame.alpha is not None:
            levels = np.dstack([frame.pixels, frame.alpha])
        return Image.fromarray(levels)

    def seek(self, frame: int) -> None:
        """Show a frame: the same again, or the next one.

        Raises:
            EOFError: If there are no more.
        """
        if frame <= self._place:  # as at the end, when Pillow goes back
            return
        following = self._next()
        if following is None:
            raise EOFError
        self.paste(following)
        self._place = frame

    def tell(self) -> int:
        """Return which frame is shown."""
        return self._place


class Ticks:
    """Durations in whole units, of which the sum is right to half a unit.

    Args:
        rate: Units of a second.
        most: The longest duration, in units.
    """

    def __init__(self, rate: int, most: int = (1 << 31) - 1) -> None:
        self._rate, self._most = rate, most
        self._owed = Fraction(0)

    def of(self, seconds: Fraction) -> int:
        """Return the next duration; only of 0 seconds it is 0."""
        if not seconds:
            return 0
        exact = seconds * self._rate + self._owed
        units = min(max(1, round(exact)), self._most)
        # What is too short or too long for the format is not made up for.
        self._owed = min(max(exact - units, Fraction(-1, 2)), Fraction(1, 2))
        return units


def plays_of(data: bytes) -> int:
    """Return how often a sequence is shown; 0 for ever, and where it does not say."""
    track = _find(data, b"moov", b"trak", b"tkhd")
    edits = _find(data, b"moov", b"trak", b"edts", b"elst")
    if track is None or edits is None or data[track] != 1 or data[edits] != 1:
        return 0
    (whole,) = struct.unpack_from(">Q", data, track + _TRACK_DURATION)
    (once,) = struct.unpack_from(">Q", data, edits + _SEGMENT_DURATION)
    if not data[edits + 3] & 1:
        return 1
    return 0 if whole == _FOR_EVER or not once else max(1, round(whole / once))


def set_plays(path: Path, plays: int) -> bool:
    """Write into a sequence how often it is shown, which is for ever before.

    Returns:
        Whether the file has a place for that.
    """
    with path.open("r+b") as file:
        head = file.read(1 << 20)
        movie, track, edits = (
            _find(head, b"moov", *names)
            for names in ((b"mvhd",), (b"trak", b"tkhd"), (b"trak", b"edts", b"elst"))
        )
        if movie is None or track is None or edits is None:
            return plays == 0
        if not plays:
            return True
        if {head[movie], head[track], head[edits]} != {1}:
            return False
        (once,) = struct.unpack_from(">Q", head, edits + _SEGMENT_DURATION)
        for place in (movie + _MOVIE_DURATION, track + _TRACK_DURATION):
            file.seek(place)
            file.write(struct.pack(">Q", once * plays))
    return True


def _find(data: bytes, *names: bytes) -> int | None:
    """Return where the content of a box inside of boxes begins; None if there is none."""
    start, end = 0, len(data)
    for name in names:
        found = next((box for box in _boxes(data, start, end) if box[0] == name), None)
        if found is None:
            return None
        start, end = found[1:]
    return start if end - start >= 36 or (names[-1] == b"elst" and end - start >= 16) else None


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind of each box, and where its content begins and ends."""
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1 and start + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        size = size or end - start
        if size < head:
            return
        yield kind, start + head, min(start + size, end)
        start += size
