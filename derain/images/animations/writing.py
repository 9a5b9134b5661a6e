"""Whole frames to animated files, each written as it comes: no more than two frames are held.

Of every frame but the first only the rectangle is stored that has changed. No two frames are made
one, even where they are equal: there are as many as were given, each with its own time.
"""

import io
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain.files import replacing
from derain.images import gif, png, webp
from derain.images.animations.avif import Ticks, set_plays, write_avif
from derain.images.animations.canvas import TimedFrame
from derain.images.animations.palettes import Palettes, squared
from derain.images.animations.reading import SUFFIXES, AnimatedFormat, Facts
from derain.images.attaching import for_gif, save_options, with_metadata
from derain.images.holding import LONGEST, check_format
from derain.images.messages import without_warnings
from derain.images.picture import ImageError, Metadata, Picture, Pixels, to_eight_bits
from derain.images.writing import QUALITY, encode
from derain.machine import version_of

_LONGEST_GIF = 65_535
_MOST = 0xFFFF
"""Largest number of 16 bits."""
_WEBP_LONGEST = 0xFFFFFF
"""Milliseconds of a WebP's frame at most."""
_METHOD, _SPEED = 1, 8
"""How hard WebP without loss and AVIF are packed: three times as fast as the usual 4 and 6, for
files a fiftieth larger."""
_CLEAR = 255
"""Index of a GIF's pixels that leave what is there."""
Box = tuple[int, int, int, int]
"""Left, top, right and bottom of a rectangle, in pixels."""


def animated_format_of(path: str | os.PathLike[str]) -> AnimatedFormat:
    """Return the format of animations that a file name asks for.

    Raises:
        ImageError: If there is none.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ImageError(
            f"{path}: {suffix or 'a name without ending'} holds no animation; expected a name in"
            f" {' '.join(SUFFIXES)}"
        )
    return SUFFIXES[suffix]


def check_facts(facts: Facts, format: AnimatedFormat) -> None:
    """Refuse an animation that a format cannot hold.

    Raises:
        ImageError: If its sides are too long, or Pillow was built without the format.
    """
    longest = _LONGEST_GIF if format == "GIF" else LONGEST.get(format, _MOST << 15)
    if max(facts.width, facts.height) > longest:
        raise ImageError(
            f"{facts.width}x{facts.height} pixels; expected sides of at most {longest} for {format}"
        )
    if format != "GIF":
        check_format(facts.picture, format)


def write_animation(
    path: str | os.PathLike[str],
    format: AnimatedFormat,
    facts: Facts,
    frames: Iterable[TimedFrame],
    notes: list[str],
) -> int:
    """Write an animation, completely or not at all.

    Args:
        path: The file.
        format: Its format.
        facts: What it has besides its frames; of ``facts.picture`` also whether frames have alpha.
        frames: Of one size; 8 or 16 bits, of which PNG alone keeps 16.
        notes: Gets what the format cannot hold, a line each.

    Returns:
        How many frames were written.

    Raises:
        ImageError: If there are no frames, or the format cannot hold them.
        OSError: If the file cannot be written.
    """
    check_facts(facts, format)
    count = 0

    def counted() -> Iterator[TimedFrame]:
        nonlocal count
        for frame in frames:
            count += 1
            yield frame if format == "PNG" else _in_eight_bits(frame)

    with replacing(path) as draft:
        if format == "AVIF":
            _write_avif(draft, facts, counted(), notes)
        else:
            with draft.open("wb") as file:
                _WRITERS[format](file, facts, counted(), notes)
        if not count:
            raise ImageError(f"{path}: 0 frames to write; expected at least one")
    return count


def _in_eight_bits(frame: TimedFrame) -> TimedFrame:
    alpha = None if frame.alpha is None else to_eight_bits(frame.alpha)
    return TimedFrame(to_eight_bits(frame.pixels), alpha, frame.seconds)


def _changes(frames: Iterable[TimedFrame], even: int = 1) -> Iterator[tuple[TimedFrame, Box]]:
    """Yield frames with the rectangle that differs from the frame before; all of the first.

    Args:
        frames: In order.
        even: What the left and the top have to be multiples of.
    """
    before: TimedFrame | None = None
    for frame in frames:
        height, width = frame.pixels.shape[:2]
        if before is None:
            box = 0, 0, width, height
        else:
            changed = (frame.pixels != before.pixels).any(axis=2)
            if frame.alpha is not None and before.alpha is not None:
                changed |= frame.alpha != before.alpha
            box = _box_of(changed)
        left, top, right, bottom = box
        yield frame, (left - left % even, top - top % even, right, bottom)
        before = frame


def _box_of(mask: NDArray[np.bool_]) -> Box:
    """Return the smallest rectangle around what is set; one pixel if nothing is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0, 0, 1, 1
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _cut(frame: TimedFrame, box: Box, facts: Facts) -> Picture:
    """Return a rectangle of a frame as a picture without metadata, but how it is encoded."""
    left, top, right, bottom = box
    place = np.s_[top:bottom, left:right]
    held = facts.picture.metadata
    encoding = {key: value for key, value in held.encoding.items() if key != "dpi"}
    encoding |= {"method": _METHOD} if encoding.get("lossless") else {}
    metadata = Metadata(held.format, encoding=encoding)
    alpha = None if facts.picture.alpha is None or frame.alpha is None else frame.alpha[place]
    return Picture(frame.pixels[place], alpha, facts.picture.grey, metadata)


def _marked(facts: Facts) -> Picture:
    return replace(facts.picture, is_result=True)


# PNG


def _write_png(
    file: BinaryIO, facts: Facts, frames: Iterable[TimedFrame], notes: list[str]
) -> None:
    """PNG (third edition), section 11.3.6; the number of frames is written last."""
    held = encode(_marked(facts), "PNG", notes)
    chunks = list(png.chunks_of(held, []))
    number = count = place = 0
    for frame, box in _changes(frames):
        data = encode(_cut(frame, box, facts), "PNG")
        if not count:
            header = png.Chunk(b"IHDR", data[16:29])
            file.write(png.SIGNATURE + png.packed(header))
            place = file.tell()
            file.write(_png_control(0, facts.plays))
            file.writelines(png.packed(chunk) for chunk in chunks if not chunk.after_pixels)
        file.write(png.packed(png.Chunk(b"fcTL", _png_frame(number, box, frame.seconds))))
        number += 1
        for kind, start, end in png.spans_of(data):
            if kind != b"IDAT":
                continue
            content = data[start + 8 : end - 4]
            if count:
                content = struct.pack(">I", number) + content
                number += 1
            file.write(png.packed(png.Chunk(b"fdAT" if count else b"IDAT", content)))
        count += 1
    file.writelines(png.packed(chunk) for chunk in chunks if chunk.after_pixels)
    file.write(png.packed(png.Chunk(b"IEND", b"")))
    file.seek(place)
    if count:
        file.write(_png_control(count, facts.plays))


def _png_control(count: int, plays: int) -> bytes:
    return png.packed(png.Chunk(b"acTL", struct.pack(">II", count, plays)))


def _png_frame(number: int, box: Box, seconds: Fraction) -> bytes:
    left, top, right, bottom = box
    over, under = _fraction(seconds)
    # Nothing is disposed of, and the rectangle takes the place of what was there.
    return struct.pack(
        ">IIIIIHHBB", number, right - left, bottom - top, left, top, over, under, 0, 0
    )


def _fraction(seconds: Fraction) -> tuple[int, int]:
    """Return a duration as two numbers of 16 bits."""
    within = min(seconds, Fraction(_MOST))
    if within.denominator > _MOST or within.numerator > _MOST:
        under = max(1, min(_MOST, int(_MOST / max(within, Fraction(1)))))
        within = within.limit_denominator(under)
    if seconds and not within:
        within = Fraction(1, _MOST)
    return within.numerator, within.denominator


# WebP


def _write_webp(
    file: BinaryIO, facts: Facts, frames: Iterable[TimedFrame], notes: list[str]
) -> None:
    """RFC 9649, section 2.7; the size of the file is written last."""
    held = [
        chunk
        for chunk in webp.chunks_of(encode(_marked(facts), "WEBP", notes))
        if chunk[0] not in (b"VP8X", b"VP8 ", b"VP8L", b"ALPH")
    ]
    flags = webp.ANIMATION | (webp.ALPHA if facts.picture.alpha is not None else 0)
    for kind, _ in held:
        flags |= webp.KNOWN.get(kind, 0)
    file.write(webp.file_of([webp.extended(flags, (facts.width, facts.height))]))
    file.writelines(webp.packed(*chunk) for chunk in held if chunk[0] == b"ICCP")
    plays = min(facts.plays, _MOST)
    file.write(webp.packed(b"ANIM", struct.pack("<IH", 0, plays)))
    ticks = Ticks(1000, _WEBP_LONGEST)
    for frame, box in _changes(frames, even=2):
        file.write(webp.packed(b"ANMF", _webp_frame(frame, box, facts, ticks)))
    file.writelines(webp.packed(*chunk) for chunk in held if chunk[0] != b"ICCP")
    size = file.tell() - 8
    if size >= 1 << 32:
        raise ImageError("more than 4 GB, which a WebP cannot have; ask for a .png")
    file.seek(4)
    file.write(struct.pack("<I", size))


def _webp_frame(frame: TimedFrame, box: Box, facts: Facts, ticks: Ticks) -> bytes:
    left, top, right, bottom = box
    picture = _cut(frame, box, facts)
    if picture.alpha is not None and int(picture.alpha.min()) == 255:
        picture = replace(picture, alpha=None)
    sides = (left // 2, top // 2, right - left - 1, bottom - top - 1, ticks.of(frame.seconds))
    # It takes the place of what was there, and nothing is disposed of.
    head = b"".join(side.to_bytes(3, "little") for side in sides) + b"\2"
    data = encode(picture, "WEBP")
    return head + b"".join(
        webp.packed(*chunk) for chunk in webp.chunks_of(data) if chunk[0] != b"VP8X"
    )


# AVIF


def _write_avif(draft: Path, facts: Facts, frames: Iterable[TimedFrame], notes: list[str]) -> None:
    picture = _marked(facts)
    with_metadata(b"", picture, "AVIF", notes)
    options: dict[str, Any] = {"quality": QUALITY, "subsampling": "4:4:4", "speed": _SPEED}
    with without_warnings():
        write_avif(draft, frames, options | save_options(picture))
    if not set_plays(draft, facts.plays):
        notes.append("not kept in AVIF: how often it is shown")


# GIF


def _write_gif(
    file: BinaryIO, facts: Facts, frames: Iterable[TimedFrame], notes: list[str]
) -> None:
    profile, packet, comments = for_gif(facts.picture, notes)
    palettes = Palettes(_CLEAR)
    drawn = _Drawn(facts, palettes)
    common = b""
    has_soft = False
    for frame, following in _with_following(frames):
        has_soft = has_soft or drawn.is_soft(frame)
        stored = drawn.add(frame, following)
        if not common:
            common = stored.palette
            file.write(gif.header(facts.width, facts.height, common))
            if facts.plays != 1:
                file.write(gif.loops(min(max(0, facts.plays - 1), _MOST)))
            file.write(gif.profile(profile) if profile else b"")
            file.write(gif.packet(packet) if packet else b"")
            file.writelines(facts.applications)
            file.writelines(gif.comment(comment) for comment in comments)
            file.write(gif.comment(f"derain {version_of('derain')}".encode()))
        if stored.palette == common:
            stored = replace(stored, palette=b"")
        file.write(gif.control(stored) + gif.picture(stored))
    file.write(gif.TRAILER)
    if has_soft:
        notes.append("not kept in GIF: pixels that are transparent in part")


def _with_following(
    frames: Iterable[TimedFrame],
) -> Iterator[tuple[TimedFrame, TimedFrame | None]]:
    held: TimedFrame | None = None
    for frame in frames:
        if held is not None:
            yield held, frame
        held = frame
    if held is not None:
        yield held, None


class _Drawn:
    """What a GIF shows so far, and how the next frame is drawn on it."""

    def __init__(self, facts: Facts, palettes: Palettes) -> None:
        size = facts.height, facts.width
        self._grey = facts.picture.grey
        self._palettes = palettes
        self._shown = np.zeros((*size, 3), np.uint8)
        self._covered = np.zeros(size, bool)
        self._ticks = Ticks(100, _MOST)

    @staticmethod
    def is_soft(frame: TimedFrame) -> bool:
        """Return whether a frame has pixels between transparent and opaque."""
        alpha = frame.alpha
        return alpha is not None and bool(((alpha > 0) & (alpha < 255)).any())

    def add(self, frame: TimedFrame, following: TimedFrame | None) -> gif.GifFrame:
        """Return a frame as it is stored.

        Args:
            frame: To draw.
            following: The next one: a GIF cannot make a pixel transparent but by clearing it.
        """
        opaque = self._opaque(frame)
        clears = following is not None and bool((opaque & ~self._opaque(following)).any())
        indices = self._colours(frame, opaque)
        left, top, right, bottom = _box_of(indices != _CLEAR)
        if clears:
            left, top, right, bottom = 0, 0, indices.shape[1], indices.shape[0]
            self._covered[:] = False
        shown = indices[top:bottom, left:right]
        interlaced, pixels = _compressed(shown)
        return gif.GifFrame(
            left,
            top,
            right - left,
            bottom - top,
            interlaced,
            # The index that leaves what is there needs an entry, too.
            self._palettes.colours.tobytes().ljust(3 * (_CLEAR + 1), b"\0"),
            pixels,
            gif.BACKGROUND if clears else gif.KEEP,
            self._ticks.of(frame.seconds),
            _CLEAR if bool((shown == _CLEAR).any()) else None,
        )

    def _opaque(self, frame: TimedFrame) -> NDArray[np.bool_]:
        if frame.alpha is None:
            return np.ones(frame.pixels.shape[:2], bool)
        return frame.alpha >= 128

    def _colours(self, frame: TimedFrame, opaque: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return indices, (H, W); `_CLEAR` where what is there stays."""
        pixels: Pixels = frame.pixels
        if self._grey:
            pixels = np.rint(pixels.mean(axis=2, keepdims=True)).astype(np.uint8).repeat(3, axis=2)
        wanted = pixels[opaque].astype(np.uint8, copy=False)
        found = self._palettes.indices(wanted)
        colours = self._palettes.colours[found] if len(found) else wanted
        # A colour that is there already stays where it is as good: that does not flicker.
        there = self._shown[opaque]
        stays = self._covered[opaque] & (squared(there, wanted) <= squared(colours, wanted))
        indices = np.full(opaque.shape, _CLEAR, np.uint8)
        indices[opaque] = np.where(stays, np.uint8(_CLEAR), found)
        self._shown[opaque] = np.where(stays[:, None], there, colours)
        self._covered |= opaque
        return indices


def _compressed(indices: NDArray[np.uint8]) -> tuple[bool, bytes]:
    """Return whether rows are interlaced, and indices as they are stored."""
    image = Image.fromarray(np.ascontiguousarray(indices))
    out = io.BytesIO()
    image.save(out, "GIF", interlace=0, optimize=False)
    frame = gif.parsed(out.getvalue()).frames[0]
    return frame.interlaced, frame.pixels


_WRITERS: dict[str, Callable[[BinaryIO, Facts, Iterable[TimedFrame], list[str]], None]] = {
    "PNG": _write_png,
    "WEBP": _write_webp,
    "GIF": _write_gif,
}
