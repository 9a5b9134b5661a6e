"""GIF's blocks: what a file says of its frames, and how blocks are put together.

(GIF89a specification; the application extensions are those of Netscape, ICC and Adobe.)
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

SIGNATURES = (b"GIF87a", b"GIF89a")
TRAILER = b"\x3b"
KEEP, BACKGROUND, PREVIOUS = 1, 2, 3
"""Disposals: what becomes of a frame before the next one is drawn; 0 means `KEEP`."""

_EXTENSION, _IMAGE = 0x21, 0x2C
_CONTROL, _COMMENT, _TEXT, _APPLICATION = 0xF9, 0xFE, 0x01, 0xFF
_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_PROFILE, _PACKET = b"ICCRGBG1012", b"XMP DataXMP"
_MAGIC = bytes([1, *range(255, -1, -1), 0])
"""What ends an XMP packet, so that programs that count bytes find their way out of it."""
_MARK = re.compile(rb"derain \d+\.\d+[\w.+]*")
"""Comment of files that derain made."""


@dataclass(frozen=True)
class GifFrame:
    """A picture of a GIF, which is drawn over the pictures before it.

    Attributes:
        left: Of its place on the canvas, in pixels; so `top`, `width` and `height`.
        interlaced: Its rows are stored in another order.
        palette: Three bytes a colour.
        pixels: Compressed, as they are stored.
        disposal: `KEEP`, `BACKGROUND` or `PREVIOUS`.
        hundredths: Of a second for which it is shown.
        transparent: Index that leaves what is there; None for none.
    """

    left: int
    top: int
    width: int
    height: int
    interlaced: bool
    palette: bytes
    pixels: bytes
    disposal: int = KEEP
    hundredths: int = 0
    transparent: int | None = None


@dataclass
class GifFile:
    """The content of a GIF.

    Attributes:
        width: Of the canvas, in pixels.
        height: Likewise.
        frames: Those that are whole.
        repeats: How often it begins again, 0 for ever; None where it is shown once.
        comments: As they stand there.
        profile: Of its colours.
        packet: XMP.
        applications: Other extensions of applications, as they are stored.
        texts: How many captions there are, which no browser shows.
        is_result: derain made it.
        is_cut_off: It ends in the middle.
    """

    width: int
    height: int
    frames: list[GifFrame] = field(default_factory=list[GifFrame])
    repeats: int | None = None
    comments: list[bytes] = field(default_factory=list[bytes])
    profile: bytes = b""
    packet: bytes = b""
    applications: list[bytes] = field(default_factory=list[bytes])
    texts: int = 0
    is_result: bool = False
    is_cut_off: bool = False


def is_gif(data: bytes) -> bool:
    """Return whether a file begins as a GIF does."""
    return data[:6] in SIGNATURES


def frames_of(data: bytes) -> int:
    """Return the number of whole frames of a GIF."""
    return len(parsed(data).frames)


def parsed(data: bytes) -> GifFile:
    """Return the content of a GIF; if it is cut off, the part before the cut."""
    found = GifFile(*struct.unpack_from("<HH", data.ljust(10, b"\0"), 6))
    try:
        _parse(data, found)
    except (IndexError, struct.error):
        found.is_cut_off = True
    return found


def _parse(data: bytes, found: GifFile) -> None:
    """Take the blocks of a file, up to its end.

    Raises:
        IndexError: If it ends before.
        struct.error: Likewise.
    """
    flags = data[10]
    place = 13 + _palette_size(flags)
    common = data[13:place]
    control = (KEEP, 0, None)
    while data[place] != TRAILER[0]:
        if data[place] == _IMAGE:
            frame, place = _frame(data, place, common, control)
            found.frames.append(frame)
            control = (KEEP, 0, None)
        elif data[place] == _EXTENSION:
            label, start = data[place + 1], place + 2
            end = _end_of_blocks(data, start)
            if label == _CONTROL:
                control = _control(data, start)
            else:
                _take_extension(found, label, data[place:end])
            place = end
        else:
            place += 1  # some writers leave stray bytes, which decoders skip


def _palette_size(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _control(data: bytes, start: int) -> tuple[int, int, int | None]:
    """Return disposal, hundredths of a second and the transparent index."""
    flags, hundredths, index = struct.unpack_from("<BHB", data, start + 1)
    disposal = flags >> 2 & 7
    known = disposal if disposal in (BACKGROUND, PREVIOUS) else KEEP
    return known, hundredths, index if flags & 1 else None


def _frame(
    data: bytes, place: int, common: bytes, control: tuple[int, int, int | None]
) -> tuple[GifFrame, int]:
    """Return a picture and where it ends.

    Args:
        data: The file.
        place: Where its descriptor begins.
        common: Palette of all frames that have none.
        control: As `_control` gives it.
    """
    left, top, width, height, flags = struct.unpack_from("<HHHHB", data, place + 1)
    start = place + 10 + _palette_size(flags)
    own = data[place + 10 : start]
    end = _end_of_blocks(data, start + 1)
    frame = GifFrame(
        left, top, width, height, bool(flags & 0x40), own or common, data[start:end], *control
    )
    return frame, end


def _end_of_blocks(data: bytes, place: int) -> int:
    """Return where sub-blocks end, of which each begins with its length.

    Raises:
        IndexError: If the file ends before.
    """
    while length := data[place]:
        place += 1 + length
    return place + 1


def _blocks(data: bytes, place: int) -> Iterator[bytes]:
    while length := data[place]:
        yield data[place + 1 : place + 1 + length]
        place += 1 + length


def _take_extension(found: GifFile, label: int, block: bytes) -> None:
    """Take an extension that is not about the next frame alone."""
    content = b"".join(_blocks(block, 2))
    if label == _COMMENT:
        if _MARK.fullmatch(content):
            found.is_result = True
        elif content:
            found.comments.append(content)
    elif label == _TEXT:
        found.texts += 1
    elif label == _APPLICATION:
        _take_application(found, block, content)


def _take_application(found: GifFile, block: bytes, content: bytes) -> None:
    name = block[3:14]
    if name in _LOOPS:
        # The sub-block that counts begins with a 1.
        values = list(_blocks(block, 14))
        if values and len(values[0]) >= 3 and values[0][0] & 7 == 1:
            found.repeats = struct.unpack_from("<H", values[0], 1)[0]
    elif name == _PROFILE:
        found.profile = found.profile or content[11:]
    elif name == _PACKET:
        found.packet = found.packet or block[14:].partition(_MAGIC[:-1])[0]
    else:
        found.applications.append(block)


# Writing


def header(width: int, height: int, palette: bytes = b"") -> bytes:
    """Return what a file begins with.

    Args:
        width: Of the canvas.
        height: Likewise.
        palette: Of all frames that have none, three bytes a colour.
    """
    flags, stored = _stored_palette(palette)
    # Bits 4 to 6: eight bits of each colour in what it was made from.
    return b"GIF89a" + struct.pack("<HHBBB", width, height, flags | 0x70, 0, 0) + stored


def _stored_palette(palette: bytes) -> tuple[int, bytes]:
    """Return flags and bytes of a palette, whose length is a power of two."""
    if not palette:
        return 0, b""
    bits = max(1, (len(palette) // 3 - 1).bit_length())
    return 0x80 | (bits - 1), palette.ljust(3 << bits, b"\0")


def control(frame: GifFrame) -> bytes:
    """Return the extension that stands before a picture."""
    flags = frame.disposal << 2 | (frame.transparent is not None)
    return bytes([_EXTENSION, _CONTROL]) + struct.pack(
        "<BBHBB", 4, flags, frame.hundredths, frame.transparent or 0, 0
    )


def picture(frame: GifFrame) -> bytes:
    """Return a picture as it is stored; with an empty palette it has that of all frames."""
    flags, stored = _stored_palette(frame.palette)
    place = struct.pack("<HHHH", frame.left, frame.top, frame.width, frame.height)
    flags |= 0x40 if frame.interlaced else 0
    return bytes([_IMAGE]) + place + bytes([flags]) + stored + frame.pixels


def alone(frame: GifFrame) -> bytes:
    """Return a file of a frame alone, on a canvas of its own size."""
    at_corner = GifFrame(
        0, 0, frame.width, frame.height, frame.interlaced, frame.palette, frame.pixels
    )
    return header(frame.width, frame.height) + picture(at_corner) + TRAILER


def loops(repeats: int) -> bytes:
    """Return the extension that says how often it begins again, 0 for ever."""
    return _application(_LOOPS[0], struct.pack("<BBH", 3, 1, repeats) + b"\0")


def profile(content: bytes) -> bytes:
    """Return the extension of a colour profile."""
    return _application(_PROFILE, _split(content))


def packet(content: bytes) -> bytes:
    """Return the extension of an XMP packet, which is stored as it is."""
    return _application(_PACKET, content + _MAGIC)


def comment(content: bytes) -> bytes:
    """Return a comment."""
    return bytes([_EXTENSION, _COMMENT]) + _split(content)


def _application(name: bytes, blocks: bytes) -> bytes:
    return bytes([_EXTENSION, _APPLICATION, len(name)]) + name + blocks


def _split(content: bytes) -> bytes:
    """Return bytes as sub-blocks."""
    parts = (content[place : place + 255] for place in range(0, len(content), 255))
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"
