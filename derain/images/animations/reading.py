"""Animated files to whole frames, one after the other, with all that is not pixels."""

import functools
import io
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import GifImagePlugin, ImageFile

from derain.errors import is_out_of_memory
from derain.images import exif, gif, png, webp, xmp
from derain.images.animations.avif import avif_frames, plays_of
from derain.images.animations.canvas import Disposal, Part, TimedFrame, composed, leaves_gaps
from derain.images.decoding import decode, upright
from derain.images.exif import Turn
from derain.images.headers import Claim, Kind, kind_of
from derain.images.heif import avif_notes
from derain.images.limits import check_frames
from derain.images.messages import caught_messages, without_bound, without_warnings
from derain.images.metadata import bare, read_metadata
from derain.images.opening import damaged, open_picture
from derain.images.picture import ImageError, Metadata, Picture, Pixels, TooManyPixelsError

AnimatedFormat = Literal["GIF", "WEBP", "PNG", "AVIF"]

SUFFIXES: dict[str, AnimatedFormat] = {
    ".gif": "GIF",
    ".webp": "WEBP",
    ".png": "PNG",
    ".apng": "PNG",
    ".avif": "AVIF",
    ".avifs": "AVIF",
}
"""File name suffixes of what may be animated, and the formats that they ask for."""
EXPECTED = "GIF, WebP, PNG or AVIF"


@dataclass(frozen=True)
class Facts:
    """The facts of an animation besides its frames.

    Attributes:
        width: Of its frames, upright, in pixels.
        height: Likewise.
        plays: How often it is shown; 0 for ever.
        picture: One pixel that stands for the frames: their type, whether they have alpha and are
            grey, and all metadata.
        applications: Extensions that a GIF alone can hold, as they are stored.
    """

    width: int
    height: int
    plays: int
    picture: Picture
    applications: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Animation:
    """An animated file that can be read; no frame of it is kept.

    Attributes:
        format: Of the file.
        count: How many frames it has; 1 only for a GIF, and for what is cut off.
        facts: What it has besides them.
        notes: What could not be read or kept, in words; frames that turn out to be damaged are
            added while they are read.
    """

    format: AnimatedFormat
    count: int
    facts: Facts
    notes: list[str]
    _frames: Callable[[list[str]], Iterator[TimedFrame]] = field(repr=False)
    _orientation: int = 1

    def frames(self) -> Iterator[TimedFrame]:
        """Yield the frames, whole and upright, each when it is decoded.

        Raises:
            ImageError: If not even the first one can be read.
        """
        for frame in self._frames(self.notes):
            turned = [
                None if array is None else upright(array, self._orientation)
                for array in (frame.pixels, frame.alpha)
            ]
            assert turned[0] is not None
            yield TimedFrame(turned[0], turned[1], frame.seconds)


def open_animation(path: str | os.PathLike[str], max_pixels: int | None = None) -> Animation:
    """Return what an animated file holds: a GIF, or a WebP, PNG or AVIF of several frames.

    Args:
        path: The file.
        max_pixels: As for `derain.images.read`, of one frame; all together may have
            `derain.images.limits.LENGTH` times as many.

    Raises:
        TooManyPixelsError: If it has more.
        ImageError: If it is no such file, or damaged at its beginning.
        OSError: If it cannot be read.
    """
    data = Path(path).read_bytes()
    try:
        with without_warnings(), caught_messages() as said:
            try:
                return _opened(data, max_pixels)
            except ImageError:
                raise
            except Exception as error:  # as in `derain.images.read`
                raise damaged("animated", error, said) from error
    except TooManyPixelsError as error:
        raise TooManyPixelsError(f"{path}: {error.problem}", needed=error.needed) from None
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error.__cause__


def _opened(data: bytes, max_pixels: int | None) -> Animation:
    if gif.is_gif(data):
        return _gif(data, max_pixels)
    kind = kind_of(data)
    readers = {"PNG": _png, "WEBP": _webp, "AVIF": _avif}
    if kind not in readers:
        raise ImageError(f"a {kind} picture; expected an animated {EXPECTED}")
    return readers[kind](data, max_pixels)


def _is_whole(part: Part) -> bool:
    """Return whether the last part of a file that is cut off can be decoded."""
    try:
        with without_bound(part.width * part.height):
            part.decode()
    except Exception as error:  # as in `composed`
        if is_out_of_memory(error):
            raise
        return False
    return True


def _readable(kind: str, parts: list[Part], *, is_cut_off: bool, notes: list[str]) -> list[Part]:
    """Return the parts that are there, and say if there should be more.

    Raises:
        ImageError: If there are none.
    """
    whole = parts[:-1] if parts and is_cut_off and not _is_whole(parts[-1]) else parts
    if not whole:
        raise ImageError(f"a damaged or truncated {kind} animation (0 whole frames)")
    if is_cut_off:
        frames = "1 frame" if len(whole) == 1 else f"{len(whole)} frames"
        notes.append(f"the file is cut off after {frames}")
    return whole


# GIF


def _gif(data: bytes, max_pixels: int | None) -> Animation:
    file = gif.parsed(data)
    notes: list[str] = []
    if not file.frames:
        raise ImageError("a damaged or truncated GIF picture (0 whole frames)")
    first = file.frames[0]
    # Browsers make room for a first frame that is larger than the file says.
    width = max(file.width, first.left + first.width)
    height = max(file.height, first.top + first.height)
    check_frames(Claim("GIF", width, height, frames=len(file.frames)), len(data), max_pixels)
    parts = [_part_of_gif(frame, width * height) for frame in file.frames]
    parts = _readable("GIF", parts, is_cut_off=file.is_cut_off, notes=notes)
    has_alpha = _has_clear_pixels(file, parts[0], (width, height))
    if file.texts:
        notes.append("not kept: captions, which no browser shows")
    grey = all(_is_grey(frame.palette) for frame in file.frames)
    lost: set[str] = set()
    metadata = Metadata(
        icc=file.profile,
        xmp=xmp.corrected(file.packet, Turn(1, width, height), lost),
        comments=tuple(file.comments),
    )
    facts = Facts(
        width,
        height,
        1 if file.repeats is None else file.repeats and file.repeats + 1,
        _holder(metadata, has_alpha=has_alpha, grey=grey, is_result=file.is_result),
        tuple(file.applications),
    )
    frames = functools.partial(composed, "GIF", parts, (width, height), has_alpha=has_alpha)
    return Animation("GIF", len(parts), facts, notes, frames)


def _has_clear_pixels(file: gif.GifFile, first: Part, size: tuple[int, int]) -> bool:
    """Return whether a pixel of any frame is transparent.

    Where the first frame covers everything, those of later ones leave what is there.
    """
    if (first.width, first.height) != size or first.disposal != "keep":
        return True
    if any(frame.disposal == gif.BACKGROUND for frame in file.frames[:-1]):
        return True
    if file.frames[0].transparent is None:
        return False
    try:
        _, alpha = first.decode()
    except Exception:  # what is wrong with it is said when frames are read
        return True
    return alpha is not None and not alpha.all()


def _is_grey(palette: bytes) -> bool:
    return palette[::3] == palette[1::3] == palette[2::3]


def _part_of_gif(frame: gif.GifFrame, room: int) -> Part:
    """Return a part.

    Raises:
        ImageError: If it is larger than all of the frame.
    """
    if frame.width * frame.height > room:
        raise ImageError(
            f"a damaged GIF animation (a part of {frame.width}x{frame.height} pixels; expected at"
            f" most {room} pixels)"
        )
    disposals: dict[int, Disposal] = {gif.BACKGROUND: "background", gif.PREVIOUS: "previous"}
    return Part(
        frame.left,
        frame.top,
        frame.width,
        frame.height,
        lambda: _decoded_gif(frame),
        Fraction(frame.hundredths, 100),
        True,
        disposals.get(frame.disposal, "keep"),
    )


def _decoded_gif(frame: gif.GifFrame) -> tuple[Pixels, Pixels | None]:
    """Return pixels and alpha; Pillow decodes, and colours are looked up here."""
    with GifImagePlugin.GifImageFile(io.BytesIO(gif.alone(frame))) as image:
        image.load()
        indices = np.asarray(image)
    if indices.ndim != 2 or indices.dtype != np.uint8:
        raise ImageError(f"a GIF frame of mode {image.mode}; expected a palette")
    ramp = np.repeat(np.arange(256, dtype=np.uint8), 3)
    colours = np.zeros((256, 3), np.uint8) if frame.palette else ramp.reshape(256, 3)
    palette = np.frombuffer(frame.palette, np.uint8).reshape(-1, 3)
    colours[: len(palette)] = palette
    if frame.transparent is None:
        return colours[indices], None
    return colours[indices], np.where(indices == frame.transparent, np.uint8(0), np.uint8(255))


# PNG


@dataclass
class _PngPart:
    """A frame control chunk (PNG, third edition, section 11.3.6.2), and the data that follow."""

    control: tuple[int, ...]
    data: list[bytes] = field(default_factory=list[bytes])


def _png(data: bytes, max_pixels: int | None) -> Animation:
    claim = Claim("PNG", *struct.unpack_from(">II", data, 16))
    notes: list[str] = []
    found = _png_parts(data, notes)
    is_deep = png.header_of(data).depth == 16
    claim = replace(claim, frames=max(1, len(found.parts)), result=8 if is_deep else 4)
    check_frames(claim, len(data), max_pixels)
    size = claim.width, claim.height
    parts = [_part_of_png(part, found.common, size) for part in found.parts]
    parts = _readable("PNG", parts, is_cut_off=found.is_cut_off, notes=notes)
    with open_picture(_png_file(found.parts[0], found.common), Claim("PNG")) as first:
        colour = png.header_of(data).colour
        grey = colour in (0, 4)
        has_alpha = (
            colour & 4 > 0
            or any(kind == b"tRNS" for kind, _ in found.common)
            or leaves_gaps(parts, size)
        )
        metadata, orientation = read_metadata(first, _without_frames(data), notes)
    picture = _holder(metadata, has_alpha=has_alpha, grey=grey, is_deep=is_deep)
    frames = functools.partial(composed, "PNG", parts, size, has_alpha=has_alpha, is_deep=is_deep)
    facts = Facts(*_turned(size, orientation), found.plays, picture)
    return Animation("PNG", len(parts), facts, notes, frames, orientation)


@dataclass
class _PngParts:
    """What an animated PNG holds.

    Attributes:
        common: Kind and content of chunks that all frames need: header, palette, transparency.
        parts: In order.
        plays: How often it is shown.
        is_cut_off: It ends in the middle.
    """

    common: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    parts: list[_PngPart] = field(default_factory=list[_PngPart])
    plays: int = 0
    is_cut_off: bool = True


def _png_parts(data: bytes, notes: list[str]) -> _PngParts:
    found = _PngParts()
    apart = False
    for kind, start, end in png.spans_of(data):
        content = data[start + 8 : end - 4]
        if kind in (b"IHDR", b"PLTE", b"tRNS"):
            found.common.append((kind, content))
        elif kind == b"acTL":
            found.plays = struct.unpack_from(">I", content, 4)[0]
        elif kind == b"fcTL":
            found.parts.append(_PngPart(struct.unpack(">IIIIIHHBB", content)))
        elif kind == b"IDAT" and found.parts:
            found.parts[-1].data.append(content)
        elif kind == b"IDAT":
            apart = True
        elif kind == b"fdAT" and found.parts:
            found.parts[-1].data.append(content[4:])
        found.is_cut_off = kind != b"IEND"
    if apart:
        notes.append("not kept: the picture for programs that show no animations")
    return found


def _without_frames(data: bytes) -> bytes:
    """Return a PNG without the frames' own chunks, which are no metadata, damaged or not."""
    kept = [span for span in png.spans_of(data) if span[0] not in (b"fcTL", b"fdAT")]
    return png.SIGNATURE + b"".join(data[start:end] for _, start, end in kept)


def _part_of_png(
    part: _PngPart, common: Sequence[tuple[bytes, bytes]], room: tuple[int, int]
) -> Part:
    """Return a part.

    Raises:
        ImageError: If it lies outside of the frame.
    """
    _, width, height, left, top, over, under, disposal, blend = part.control
    if left + width > room[0] or top + height > room[1] or not width or not height:
        raise ImageError(
            f"a damaged PNG animation (a part of {width}x{height} at {left}, {top}; expected one"
            f" inside of {room[0]}x{room[1]})"
        )
    disposals: dict[int, Disposal] = {1: "background", 2: "previous"}
    return Part(
        left,
        top,
        width,
        height,
        lambda: _decoded("PNG", _png_file(part, common), width, height),
        Fraction(over, under or 100),
        blend == 1,
        disposals.get(disposal, "keep"),
    )


def _png_file(part: _PngPart, common: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return a part as a file of its own."""
    chunks = [
        png.Chunk(kind, struct.pack(">II", *part.control[1:3]) + content[8:])
        if kind == b"IHDR"
        else png.Chunk(kind, content)
        for kind, content in common
    ]
    return png.file_of([*chunks, png.Chunk(b"IDAT", b"".join(part.data))])


def _decoded(kind: Kind, data: bytes, width: int, height: int) -> tuple[Pixels, Pixels | None]:
    """Return pixels and alpha of a part that is a file of its own."""
    claim = Claim(kind, width, height)

    def opened() -> ImageFile.ImageFile:
        return open_picture(data, claim)

    with opened() as image:
        decoded = decode(image, data, opened)
    return decoded.pixels, decoded.alpha


# WebP


def _webp(data: bytes, max_pixels: int | None) -> Animation:
    chunks = [
        (kind, data[start : start + length], length) for kind, start, length in webp.spans_of(data)
    ]
    extended = next((content for kind, content, _ in chunks if kind == b"VP8X"), b"")
    if len(extended) < 10:
        raise ImageError(f"a WebP picture; expected an animated {EXPECTED}")
    size = _sides(extended, 4)
    whole = [
        content for kind, content, length in chunks if kind == b"ANMF" and len(content) == length
    ]
    said = int.from_bytes(data[4:8], "little") + 8
    is_cut_off = len(data) < said - 1 or any(len(content) < length for _, content, length in chunks)
    check_frames(Claim("WEBP", *size, frames=len(whole)), len(data), max_pixels)
    notes: list[str] = []
    parts = [_part_of_webp(content, size) for content in whole]
    parts = _readable("WebP", parts, is_cut_off=is_cut_off, notes=notes)
    loops = next((content for kind, content, _ in chunks if kind == b"ANIM"), b"")
    plays = struct.unpack_from("<H", loops.ljust(6, b"\0"), 4)[0]
    has_alpha = bool(extended[0] & webp.ALPHA)
    with open_picture(_webp_file(whole[0]), Claim("WEBP")) as first:
        metadata, orientation = read_metadata(first, data, notes)
    is_lossless = all(
        kind != b"VP8 " for content in whole for kind, _ in webp.chunks_of(content[4:])
    )
    metadata = replace(metadata, encoding={**metadata.encoding, "lossless": is_lossless})
    picture = _holder(metadata, has_alpha=has_alpha)
    frames = functools.partial(composed, "WebP", parts, size, has_alpha=has_alpha)
    facts = Facts(*_turned(size, orientation), plays, picture)
    return Animation("WEBP", len(parts), facts, notes, frames, orientation)


def _sides(content: bytes, place: int) -> tuple[int, int]:
    """Return two sides of three bytes each, which are stored less one."""
    width, height = (int.from_bytes(content[k : k + 3], "little") + 1 for k in (place, place + 3))
    return width, height


def _part_of_webp(content: bytes, room: tuple[int, int]) -> Part:
    """Return a part (RFC 9649, section 2.7.1.1).

    Raises:
        ImageError: If it lies outside of the frame.
    """
    left, top = (2 * (side - 1) for side in _sides(content, 0))
    width, height = _sides(content, 6)
    if left + width > room[0] or top + height > room[1]:
        raise ImageError(
            f"a damaged WebP animation (a part of {width}x{height} at {left}, {top}; expected one"
            f" inside of {room[0]}x{room[1]})"
        )
    milliseconds, flags = int.from_bytes(content[12:15], "little"), content[15]
    return Part(
        left,
        top,
        width,
        height,
        lambda: _decoded("WEBP", _webp_file(content), width, height),
        Fraction(milliseconds, 1000),
        not flags & 2,
        "background" if flags & 1 else "keep",
    )


def _webp_file(content: bytes) -> bytes:
    """Return a part as a file of its own."""
    # As in a file, twelve bytes lie before the first chunk.
    chunks = list(webp.chunks_of(content[4:]))
    if any(kind == b"ALPH" for kind, _ in chunks):
        chunks.insert(0, webp.extended(webp.ALPHA, _sides(content, 6)))
    return webp.file_of(chunks)


# AVIF


def _avif(data: bytes, max_pixels: int | None) -> Animation:
    with open_picture(bare(data), Claim("AVIF")) as image:
        count = int(getattr(image, "n_frames", 1))
        check_frames(Claim("AVIF", *image.size, frames=count), len(data), max_pixels)
        notes = list(avif_notes(image, data))
        metadata, orientation = read_metadata(image, data, notes)
        size, has_alpha = image.size, image.mode == "RGBA"
    frames = functools.partial(avif_frames, data, count)
    facts = Facts(
        *_turned(size, orientation), plays_of(data), _holder(metadata, has_alpha=has_alpha)
    )
    return Animation("AVIF", count, facts, notes, frames, orientation)


# What all have in common


def _holder(
    metadata: Metadata,
    *,
    has_alpha: bool,
    grey: bool = False,
    is_deep: bool = False,
    is_result: bool = False,
) -> Picture:
    """Return a pixel that stands for the frames."""
    dtype = np.uint16 if is_deep else np.uint8
    return Picture(
        np.zeros((1, 1, 3), dtype),
        np.zeros((1, 1), dtype) if has_alpha else None,
        grey,
        metadata,
        is_result=is_result or exif.is_result(metadata.exif),
    )


def _turned(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return (size[1], size[0]) if orientation > 4 else size
