"""Frames as bare bytes, as pipes carry them: FFmpeg's raw video, and YUV4MPEG2 (y4m).

Nothing but NumPy and OpenCV is needed. A stream is read frame by frame, never further than the end
of a frame, so that a live camera's frames are there as soon as they are sent.
"""

import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.errors import UsageError, check_choice, did_you_mean
from derain.video.colours import FULL, LIMITED, Colours, Layout, Plane
from derain.video.errors import VideoError
from derain.video.frame import Frame

MAGIC = b"YUV4MPEG2"
"""What a stream of YUV4MPEG2 begins with."""
LONGEST_SIDE = 1 << 15
"""Pixels; FFmpeg allows about as many of usual shapes."""

_FRAME = b"FRAME"
_LONGEST_LINE = 1024
"""Bytes of a header; those that programs write have fewer than 100."""
_PAUSE = 0.005
"""Seconds after which a pipe that is set not to block is tried again."""


@dataclass(frozen=True)
class RawFormat:
    """The layout of the bytes of a frame.

    Attributes:
        name: FFmpeg's name.
        layout: Of the planes that they become.
        channels: Order of the channels of packed RGB, such as ``bgra``; empty for planes.
        pairs: The chroma is one plane of pairs, as in ``nv12``.
        has_alpha: Transparency comes with it; of planes as the last one.
    """

    name: str
    layout: Layout
    channels: str = ""
    pairs: bool = False
    has_alpha: bool = False

    def shapes(self, width: int, height: int) -> list[tuple[int, ...]]:
        """Return the shapes of what a frame consists of, in the order of its bytes.

        Chroma of odd sizes is rounded up, as FFmpeg does.
        """
        if self.channels:
            return [(height, width, len(self.channels))]
        whole = [(height, width)]
        if self.layout.kind == "grey":
            return [*whole, *whole * self.has_alpha]
        across, down = (2**times for times in self.layout.halved)
        chroma = -(-height // down), -(-width // across)
        return [*whole, *([(*chroma, 2)] if self.pairs else [chroma] * 2), *whole * self.has_alpha]

    def bytes_of(self, width: int, height: int) -> int:
        """Return how many bytes a frame has."""
        levels = sum(math.prod(shape) for shape in self.shapes(width, height))
        return levels * np.dtype(self.layout.dtype).itemsize

    def frame(self, data: NDArray[np.uint8], width: int, height: int) -> "RawFrame":
        """Return the bytes of a frame as planes; they are not copied where they lie as such.

        Args:
            data: As many bytes as `bytes_of` says.
            width: In pixels.
            height: The same.
        """
        levels = data if self.layout.bits == 8 else data.view("<u2").astype(np.uint16, copy=False)
        parts: list[Plane] = []
        for shape in self.shapes(width, height):
            count = math.prod(shape)
            parts.append(levels[:count].reshape(shape))
            levels = levels[count:]
        if self.channels:
            places = [self.channels.index(colour) for colour in "rgb"]
            rgb = (
                parts[0] if self.channels == "rgb" else np.ascontiguousarray(parts[0][..., places])
            )
            alpha = parts[0][..., self.channels.index("a")] if self.has_alpha else None
            return RawFrame(Frame.of_rgb(rgb), alpha)
        alpha = parts.pop() if self.has_alpha else None
        if self.pairs:
            parts[1:] = cv2.split(parts[1])
        return RawFrame(Frame(tuple(parts), parts[0], self.layout.peak), alpha)

    def parts(self, frame: "RawFrame") -> list[Plane]:
        """Return what a frame consists of, in the order of its bytes: contiguous arrays."""
        planes, alpha = frame.planes.planes, frame.alpha
        if self.has_alpha and alpha is None:
            alpha = np.full_like(planes[0], self.layout.peak)
        if self.channels:
            by_channel: dict[str, Any] = {**dict(zip("rgb", planes, strict=True)), "a": alpha}
            parts = [cv2.merge([by_channel[channel] for channel in self.channels])]
        elif self.pairs:
            parts = [planes[0], cv2.merge(planes[1:])]
        else:
            parts = [*planes, *([alpha] if alpha is not None else [])]
        little = "u1" if self.layout.bits == 8 else "<u2"
        return [np.ascontiguousarray(part, little) for part in parts]


@dataclass(frozen=True)
class RawFrame:
    """A frame of a stream.

    Attributes:
        planes: Its levels.
        alpha: Its transparency, (H, W), of the planes' type; None without.
        line: What stands before its bytes; empty where nothing does.
    """

    planes: Frame
    alpha: Plane | None = None
    line: bytes = b""


def _planar(kind: str, *bits: int) -> Iterator[RawFormat]:
    halved = {"yuv420": (1, 1), "yuv422": (1, 0), "yuv444": (0, 0)}
    for count in bits:
        layout = Layout("yuv", count, halved[kind]) if kind in halved else Layout("grey", count)
        yield RawFormat(layout.name, layout)


FORMATS: dict[str, RawFormat] = {
    known.name: known
    for known in (
        RawFormat("rgb24", Layout("rgb", 8), "rgb"),
        RawFormat("bgr24", Layout("rgb", 8), "bgr"),
        RawFormat("rgba", Layout("rgb", 8), "rgba", has_alpha=True),
        RawFormat("bgra", Layout("rgb", 8), "bgra", has_alpha=True),
        RawFormat("rgb48le", Layout("rgb", 16), "rgb"),
        *_planar("gray", 8, 10, 12, 16),
        *_planar("yuv420", 8, 10, 12),
        *_planar("yuv422", 8, 10, 12),
        *_planar("yuv444", 8, 10, 12),
        RawFormat("nv12", Layout("yuv", 8, (1, 1)), pairs=True),
    )
}
"""By FFmpeg's names."""


def format_named(name: str) -> RawFormat:
    """Return the pixel format that is called so.

    Raises:
        UsageError: If it is unknown, or none is named.
    """
    check_choice(name.lower(), FORMATS, "pixel_format")
    return FORMATS[name.lower()]


@dataclass(frozen=True)
class Form:
    """The facts that all frames of a stream share.

    Attributes:
        format: Of their pixels.
        width: In pixels, as they are stored.
        height: The same.
        rate: Frames a second; None if nobody says.
        colours: How levels become colours, as far as that is said.
        aspect: Shape of a pixel, width over height; None if nobody says.
        interlaced: Each frame holds the lines of two moments.
        header: The line that a stream of YUV4MPEG2 begins with; empty for bare frames.
    """

    format: RawFormat
    width: int
    height: int
    rate: Fraction | None = None
    colours: Colours = field(default_factory=Colours)
    aspect: Fraction | None = None
    interlaced: bool = False
    header: bytes = b""

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {self.format.name}"

    @property
    def bytes_of_frame(self) -> int:
        """How many bytes the pixels of a frame are."""
        return self.format.bytes_of(self.width, self.height)


def size_of(text: str) -> tuple[int, int]:
    """Return a size as width and height.

    >>> size_of("1920x1080")
    (1920, 1080)

    Raises:
        UsageError: If no frame can have this size.
    """
    found = re.fullmatch(r"(\d+)[xX](\d+)", text.strip())
    width, height = (int(found[1]), int(found[2])) if found else (0, 0)
    if not (0 < width <= LONGEST_SIDE and 0 < height <= LONGEST_SIDE):
        raise UsageError(
            f"expected the width and the height of frames in pixels, such as 1920x1080, each from"
            f" 1 to {LONGEST_SIDE}",
            option="raw",
            value=text,
        )
    return width, height


def rate_of(text: str) -> Fraction:
    """Return frames a second: ``25``, ``29.97``, ``30000/1001``.

    Raises:
        UsageError: If it is no such number.
    """
    try:
        rate = Fraction(text.strip().replace(":", "/"))
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 100_000:
        raise UsageError(
            "expected frames a second, such as 25 or 30000/1001", option="rate", value=text
        )
    return rate


_MATRICES = {"bt601": 6, "bt709": 1, "bt2020": 9}
_RANGES = {"limited": LIMITED, "full": FULL}


def colours_of(text: str) -> Colours:
    """Return what is said of colours: a matrix, a range, or both, as ``bt709,full``.

    Raises:
        UsageError: If a word is unknown.
    """
    colours = Colours()
    for word in text.lower().split(","):
        if word in _MATRICES:
            colours = replace(colours, matrix=_MATRICES[word])
        elif word in _RANGES:
            colours = replace(colours, range=_RANGES[word])
        else:
            known = (*_MATRICES, *_RANGES)
            raise UsageError(
                f"expected one or two of {', '.join(known)}, such as bt709,full"
                f"{did_you_mean(word, known)}",
                option="colours",
                value=text,
            )
    return colours


class Readable(Protocol):
    """A stream of bytes to read from, such as a file without a buffer."""

    def readinto(self, buffer: Any, /) -> int | None:
        """Fill a buffer as far as there are bytes; return how many, 0 at the end."""
        ...


class Writable(Protocol):
    """A stream of bytes to write to."""

    def write(self, buffer: Any, /) -> int | None:
        """Write some bytes; return how many."""
        ...

    def flush(self) -> None:
        """Write what is held back."""
        ...


class ByteSource:
    """Bytes in order, no more of them than are asked for.

    Args:
        stream: Where they come from.
        head: What was read of it already.
    """

    name = "standard input"
    """Of the stream, for errors."""

    def __init__(self, stream: Readable, head: bytes = b"") -> None:
        self._stream = stream
        self._head = memoryview(head)

    def fill(self, buffer: memoryview) -> int:
        """Fill a buffer; return how many bytes there were, fewer only at the end.

        Raises:
            OSError: If they cannot be read; it names the stream.
        """
        done = min(len(self._head), len(buffer))
        buffer[:done] = self._head[:done]
        self._head = self._head[done:]
        while done < len(buffer):
            try:
                count = self._stream.readinto(buffer[done:])
            except OSError as error:
                error.filename = self.name
                raise
            if count == 0:
                break
            if count is None:
                time.sleep(_PAUSE)
            done += count or 0
        return done

    def read(self, count: int) -> bytes:
        """Return so many bytes, fewer only at the end."""
        data = bytearray(count)
        return bytes(data[: self.fill(memoryview(data))])

    def line(self, least: int = 1) -> bytes:
        """Return bytes up to the end of a line, or `_LONGEST_LINE` of them if there is none.

        Args:
            least: How many there are at least; they are read at once.
        """
        line = self.read(least)
        while line and not line.endswith(b"\n") and len(line) < _LONGEST_LINE:
            more = self.read(1)
            if not more:
                break
            line += more
        return line


def read_frames(source: ByteSource, form: Form) -> Iterator[RawFrame]:
    """Yield the frames of a stream behind its header, as they come.

    Raises:
        OSError: If it cannot be read.
        VideoError: If it ends in the middle of a frame, or what follows is none, or there are 0.
    """
    number, size = 1, form.bytes_of_frame
    while True:
        line = source.line(len(_FRAME) + 1) if form.header else b""
        if form.header and not line:
            break
        if form.header and not (line.endswith(b"\n") and line.split()[:1] == [_FRAME]):
            raise VideoError(
                f"{source.name}: {_quoted(line)} where frame {number} begins; expected"
                f" {_quoted(_FRAME)}: the stream is damaged"
            )
        data = np.empty(size, np.uint8)
        found = source.fill(_bytes_of(data))
        if found == 0 and not form.header:
            break
        if found < size:
            what = "a stream that is whole" if form.header else f"frames of {form}"
            raise VideoError(
                f"{source.name}: ends in frame {number}, after {found} of its {size} bytes;"
                f" expected {what}"
            )
        yield replace(form.format.frame(data, form.width, form.height), line=line)
        number += 1
    if number == 1:
        raise VideoError(f"{source.name}: 0 frames; expected at least one of {form}")


def _bytes_of(array: NDArray[Any]) -> memoryview:
    """Return the memory of a contiguous array."""
    return array.reshape(-1).view(np.uint8).data


def _quoted(data: bytes) -> str:
    """Return the beginning of bytes, legible."""
    return ascii(data[:20])[1:]


class RawWriter:
    """Writes frames to a stream, each at once.

    Args:
        stream: Where to.
        form: Of the frames.
    """

    def __init__(self, stream: Writable, form: Form) -> None:
        self.form = form
        self._stream = stream
        self._begun = False

    def write(self, frame: RawFrame) -> None:
        """Write a frame.

        Raises:
            OSError: If it cannot be written; it names the stream. BrokenPipeError if nobody reads
                it any more.
        """
        try:
            if not self._begun:
                self._put(self.form.header)
            self._begun = True
            self._put(frame.line or (_FRAME + b"\n" if self.form.header else b""))
            for part in self.form.format.parts(frame):
                self._put(_bytes_of(part))
            self._stream.flush()
        except OSError as error:
            error.filename = "standard output"
            raise

    def _put(self, data: bytes | memoryview) -> None:
        """Write all bytes; a pipe takes some at a time."""
        left = memoryview(data)
        while left:
            count = self._stream.write(left)
            if count is None:
                time.sleep(_PAUSE)
            left = left[count or 0 :]


# YUV4MPEG2: a line of parameters, then each frame behind a line of its own. FFmpeg's names for
# more bits, ranges and grey are followed. mjpegtools: yuv4mpeg(5).

_SAMPLED = {"420": (1, 1), "422": (1, 0), "444": (0, 0), "411": (2, 0)}
_SITES = ("jpeg", "mpeg2", "paldv")
"""Where the chroma lies in its pixels, of which all are worked on alike."""


def format_tagged(tag: str) -> RawFormat | None:
    """Return the pixel format that a tag in a header means; None for an unknown one.

    >>> format_tagged("420p10").name
    'yuv420p10le'
    """
    found = re.fullmatch(r"(?:(\d{3})(?:p(\d+)|([a-z]+2?))?|mono(\d*))", tag)
    if found is None or (found[3] and found[3] not in (*_SITES, "alpha")):
        return None
    bits = int(found[2] or found[4] or 8)
    known = (8, 9, 10, 12, 14, 16) if found[1] in _SAMPLED else (8, 10, 12, 16)
    if bits not in known or (found[1] and found[1] not in _SAMPLED):
        return None
    layout = Layout("yuv", bits, _SAMPLED[found[1]]) if found[1] else Layout("grey", bits)
    if found[3] == "alpha":
        return RawFormat(layout.name.replace("yuv", "yuva"), layout, has_alpha=True)
    return RawFormat(layout.name, layout)


def tag_of(layout: Layout) -> str | None:
    """Return the tag of a layout in a header; None for one that such a stream does not hold."""
    deep = "" if layout.bits == 8 else str(layout.bits)
    if layout.kind == "grey":
        return f"mono{deep}"
    names = {halved: name for name, halved in _SAMPLED.items()}
    if layout.kind != "yuv" or layout.halved not in names:
        return None
    if deep:
        return f"{names[layout.halved]}p{deep}"
    # FFmpeg's choice for chroma whose place nobody says.
    return "420jpeg" if layout.halved == (1, 1) else names[layout.halved]


def read_header(source: ByteSource) -> Form:
    """Return what a stream of YUV4MPEG2 says of itself in its first line.

    Raises:
        OSError: If it cannot be read.
        VideoError: If it is no such stream, or one of frames that are not known here.
    """
    line = source.line(len(MAGIC) + 1)
    words = line.decode("ascii", "replace").split()
    if not line.endswith(b"\n") or words[:1] != [MAGIC.decode()]:
        raise VideoError(
            f"{source.name}: begins with {_quoted(line)}; expected a line of {MAGIC.decode()} with"
            " its parameters"
        )
    said = {word[0]: word[1:] for word in words[1:] if word[0] != "X"}
    notes = dict(word[1:].split("=", 1) for word in words[1:] if word[0] == "X" and "=" in word)
    format = format_tagged(said.get("C", "420"))
    if format is None:
        raise VideoError(
            f"{source.name}: frames of C{said['C']}; expected C420, C422, C444, C411 or Cmono,"
            " perhaps of more bits, as C420p10"
        )
    try:
        width, height = size_of(f"{said.get('W', '')}x{said.get('H', '')}")
    except UsageError:
        raise VideoError(
            f"{source.name}: W{said.get('W', '')} H{said.get('H', '')} in its first line; expected"
            f" the width and the height of frames, from 1 to {LONGEST_SIDE}"
        ) from None
    return Form(
        format,
        width,
        height,
        _ratio(said.get("F")),
        Colours(_RANGES.get(notes.get("COLORRANGE", "").lower(), 0)),
        _ratio(said.get("A")),
        said.get("I", "?") in "tbm",
        line,
    )


def _ratio(text: str | None) -> Fraction | None:
    """Return a ratio such as ``30000:1001``; None for ``0:0``, which is unknown, and for none."""
    found = re.fullmatch(r"(\d{1,10}):(\d{1,10})", text or "")
    numbers = (int(found[1]), int(found[2])) if found else (0, 0)
    return Fraction(*numbers) if all(numbers) else None


def with_header(form: Form) -> Form:
    """Return the form of a stream of YUV4MPEG2 of the same frames.

    Raises:
        ValueError: If such a stream does not hold them, see `tag_of`.
    """
    tag = tag_of(form.format.layout)
    if tag is None:
        raise ValueError(f"{form.format.name} in YUV4MPEG2: expected luma and chroma, or grey")
    words = [MAGIC.decode(), f"W{form.width}", f"H{form.height}"]
    words += [f"F{_written(form.rate)}", "Ip", f"A{_written(form.aspect)}", f"C{tag}"]
    names = {code: name.upper() for name, code in _RANGES.items()}
    if form.colours.range in names:
        words.append(f"XCOLORRANGE={names[form.colours.range]}")
    return replace(form, header=(" ".join(words) + "\n").encode())


def _written(ratio: Fraction | None) -> str:
    return f"{ratio.numerator}:{ratio.denominator}" if ratio else "0:0"
