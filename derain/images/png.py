"""PNG chunks: what a file holds besides its pixels, and how it goes into another.

The sections named are those of PNG, third edition.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from derain.images.picture import COLOUR_CHUNKS, Extra

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = b"XML:com.adobe.xmp"
PNG_LEVEL = 3
"""Of 9: three times as fast as 6, the usual, for files a thirtieth larger."""
INFLATED = 64 << 20
"""Bytes that a compressed profile, packet or text may have.

Texts are inflated only when something is to become of them.
"""

TEXT_KINDS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_FOR_DECODERS = frozenset({b"tRNS", b"acTL", b"fcTL", b"fdAT"})
"""Ancillary chunks without which pixels or their number would be read wrongly."""
_STILL_TRUE = COLOUR_CHUNKS | {
    *(b"mDCV", b"cLLI", b"sBIT", b"bKGD", b"pHYs", b"sPLT"),
    *(b"oFFs", b"pCAL", b"sCAL", b"sTER", b"tIME"),
}
"""Chunks that depend on the pixels by their names, and hold for the derained ones all the same."""
_STALE = {
    b"caBX": "content credentials",
    b"dSIG": "digital signature",
    b"gMAP": "HDR gain map",
    b"gDAT": "HDR gain map",
}
"""Chunks that hold for the rainy pixels only."""
_UNMENTIONED = frozenset({b"hIST", b"iDOT", b"tRNS", b"acTL", b"fcTL", b"fdAT"})
"""Chunks about how the old pixels were stored: nobody's loss."""
_LENGTHS = {
    **dict.fromkeys((b"sRGB", b"sTER"), (1,)),
    **dict.fromkeys((b"gAMA", b"cICP"), (4,)),
    **dict.fromkeys((b"pHYs", b"oFFs"), (9,)),
    b"cHRM": (32,),
    b"mDCV": (24,),
    b"cLLI": (8,),
    b"tIME": (7,),
    b"sBIT": (1, 2, 3, 4),
    b"bKGD": (1, 2, 6),
}
"""Lengths of chunks over which decoders stumble if they have others."""
_LONGEST_KEYWORD = 79
_RAW_PROFILE = b"Raw profile type "
_PLACED = frozenset({b"oFFs", b"sCAL", b"pCAL", b"sTER"})
"""Chunks that would be wrong for a turned picture."""


CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By type of colour."""
ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""Passes of an interlaced picture: first column and row, and steps (section 8.2)."""
PIECE = 1 << 20
"""Bytes that are inflated at a time."""


@dataclass(frozen=True)
class Chunk:
    """A chunk, and whether it lies behind the pixels."""

    kind: bytes
    content: bytes
    after_pixels: bool = False


@dataclass(frozen=True)
class Header:
    """The header of a PNG.

    Attributes:
        depth: Bits a channel.
        colour: Type of section 11.2.1: 1 is a palette, 2 colour, 4 alpha, added up.
        palette: Three bytes a colour.
    """

    depth: int
    colour: int
    palette: bytes = b""


def chunks_of(data: bytes, damaged: list[bytes]) -> Iterator[Chunk]:
    """Yield the ancillary chunks of a file, and its palette.

    Args:
        data: The file.
        damaged: Gets the kinds of those whose checksum or length is wrong; they are left out.
    """
    after = False
    for kind, start, end in spans_of(data):
        if kind == b"IDAT":
            after = True
        if kind[0] & 0x20 == 0 and kind != b"PLTE":
            continue
        (checksum,) = struct.unpack_from(">I", data, end - 4)
        chunk = Chunk(kind, data[start + 8 : end - 4], after)
        if checksum == zlib.crc32(memoryview(data)[start + 4 : end - 4]) and _is_sound(chunk):
            yield chunk
        else:
            damaged.append(kind)


def _is_sound(chunk: Chunk) -> bool:
    """Whether a chunk is as long as it must be, or begins with a keyword if it is a text."""
    if chunk.kind in TEXT_KINDS:
        return 0 < chunk.content.find(b"\0") <= _LONGEST_KEYWORD
    lengths = _LENGTHS.get(chunk.kind)
    return lengths is None or len(chunk.content) in lengths


def spans_of(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of every whole chunk, checksum included; nothing if no PNG."""
    if not data.startswith(SIGNATURE):
        return
    place = len(SIGNATURE)
    while place + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        if end > len(data) or not kind.isalpha():
            return
        yield kind, place, end
        if kind == b"IEND":
            return
        place = end


def bare(data: bytes) -> bytes:
    """Return a file without what is not pixels, so that no decoder fails at it or inflates it."""
    spans = list(spans_of(data))
    if not spans:
        return data
    left_out = [span for span in spans if _is_left_out(span[0])]
    if not left_out:
        return data
    view = memoryview(data)
    parts: list[memoryview] = []
    done = 0
    for _, start, end in left_out:
        parts.append(view[done:start])
        done = end
    return b"".join([*parts, view[done:]])


def _is_left_out(kind: bytes) -> bool:
    return kind[0] & 0x20 != 0 and kind not in _FOR_DECODERS


def lacks_rows(data: bytes) -> bool:
    """Return whether the pixels of a sound stream end early; decoders leave the rest black.

    Raises:
        zlib.error: If the stream is damaged.
    """
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    bits = depth * CHANNELS.get(colour, 1)
    expected = 0
    for left, top, across, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            expected += rows * (1 + (columns * bits + 7) // 8)
    stream = zlib.decompressobj()
    view = memoryview(data)
    for kind, start, end in spans_of(data):
        waiting: memoryview | bytes = view[start + 8 : end - 4] if kind == b"IDAT" else b""
        while waiting and expected > 0:
            expected -= len(stream.decompress(waiting, PIECE))
            waiting = stream.unconsumed_tail
    return expected > 0


def density_of(data: bytes) -> tuple[int, int] | None:
    """Return pixels per metre across and down; None if a file does not say."""
    for kind, start, _ in spans_of(data):
        if kind == b"pHYs":
            length, _, across, down, unit = struct.unpack_from(">I4sIIB", data, start)
            return (across, down) if length == 9 and unit == 1 else None
    return None


def header_of(data: bytes, palette: bytes = b"") -> Header:
    """Return what a file says of its pixels."""
    depth, colour = struct.unpack_from("BB", data, 24)
    return Header(depth, colour, palette)


# What is kept


def extras_of(chunks: Iterable[Chunk], *, turned: bool, lost: set[str]) -> Iterator[Extra]:
    """Yield the chunks that hold for the derained picture.

    Args:
        chunks: Ancillary chunks of the file.
        turned: The picture was not upright.
        lost: Gets names for the user of the others, where they are anybody's loss.
    """
    for chunk in chunks:
        kind = chunk.kind
        if kind in _STALE:
            lost.add(_STALE[kind])
        elif (kind in _STILL_TRUE or kind[3] & 0x20) and not (turned and kind in _PLACED):
            yield Extra("PNG", kind, chunk.content, chunk.after_pixels)
        elif kind not in _UNMENTIONED:
            lost.add(f"PNG {kind.decode()}")


def named(extras: Iterable[Extra]) -> Iterator[str]:
    """Yield names for the user of chunks that another format cannot hold."""
    texts = 0
    for extra in extras:
        if extra.key in TEXT_KINDS:
            texts += 1
        elif extra.key not in (b"sBIT", b"pHYs", b"iCCP"):
            yield f"PNG {bytes(extra.key).decode()}"
    if texts:
        yield f"PNG text ({texts} {'entry' if texts == 1 else 'entries'})"


# Texts


def keyword_of(content: bytes) -> bytes:
    """Return the keyword that every kind of text begins with."""
    return content.split(b"\0", 1)[0]


def text_of(kind: bytes | int, content: bytes) -> bytes | None:
    """Return a text in UTF-8; None if it is malformed or too long to be inflated."""
    _, _, rest = content.partition(b"\0")
    if kind == b"tEXt":
        return rest.decode("latin-1").encode()
    if kind == b"zTXt":
        text = inflated(rest[1:])
        return None if text is None else text.decode("latin-1").encode()
    is_compressed, rest = rest[:1], rest[2:]
    parts = rest.split(b"\0", 2)  # language, translated keyword, text
    if len(parts) < 3:
        return None
    return inflated(parts[2]) if is_compressed == b"\1" else parts[2]


def inflated(data: bytes) -> bytes | None:
    """Return what zlib packed; None if it is damaged or far too long."""
    inflate = zlib.decompressobj()
    try:
        content = inflate.decompress(data, INFLATED)
    except zlib.error:
        return None
    return None if inflate.unconsumed_tail else content


def international_text(keyword: bytes, text: bytes) -> Chunk:
    """Return a text in UTF-8 (section 11.3.3.4)."""
    return Chunk(b"iTXt", keyword + b"\0\0\0\0\0" + text)


def has_raw_profile(chunk: Chunk) -> bool:
    """Whether a text is a profile that ImageMagick wrote."""
    return chunk.kind in TEXT_KINDS and chunk.content.startswith(_RAW_PROFILE)


def raw_profile(chunk: Chunk) -> tuple[str, bytes] | None:
    """Return name and bytes of a profile that ImageMagick wrote as text, None if it is damaged."""
    keyword = keyword_of(chunk.content)
    text = text_of(chunk.kind, chunk.content)
    lines = (text or b"").strip().split(b"\n", 2)  # name, length, hexadecimal digits
    if len(lines) < 3:
        return None
    try:
        return keyword[len(_RAW_PROFILE) :].decode("latin-1"), bytes.fromhex(
            lines[2].decode("ascii")
        )
    except ValueError:
        return None


def as_raw_profile(name: str, content: bytes) -> Chunk:
    """Return bytes as the text that ImageMagick writes for a profile that PNG has no chunk for."""
    digits = content.hex()
    lines = "\n".join(digits[place : place + 72] for place in range(0, len(digits), 72))
    text = f"\n{name}\n{len(content):8d}\n{lines}\n"
    return Chunk(
        b"zTXt", f"Raw profile type {name}".encode() + b"\0\0" + zlib.compress(text.encode())
    )


# Writing


def fitted(extra: Extra, before: Header, after: Header) -> Chunk | None:
    """Return a chunk that suits other pixels than it was written for; None if nothing would.

    That is the background, a colour of the file, and how many bits of it are significant.
    """
    content = extra.payload
    if extra.key == b"bKGD":
        background = _background(content, before, after)
        return None if background is None else Chunk(b"bKGD", background)
    if extra.key == b"sBIT" and (before.depth, before.colour) != (after.depth, after.colour):
        return None
    return Chunk(bytes(extra.key), content, extra.after_pixels)


def _background(content: bytes, before: Header, after: Header) -> bytes | None:
    """Return a background for other pixels (section 11.3.5.1)."""
    if before.colour == 3:
        levels = list(before.palette[3 * content[0] : 3 * content[0] + 3]) if content else []
        top = 255
    else:
        levels = list(struct.unpack(f">{len(content) // 2}H", content[: len(content) // 2 * 2]))
        top = 2**before.depth - 1
    scaled = [round(level * (2**after.depth - 1) / top) for level in levels]
    if any(level > 2**after.depth - 1 for level in scaled) or len(scaled) not in (1, 3):
        return None
    if after.colour & 2 and len(scaled) == 1:
        scaled *= 3
    if not after.colour & 2:
        if len(set(scaled)) > 1:
            return None
        scaled = scaled[:1]
    return struct.pack(f">{len(scaled)}H", *scaled)


def with_chunks(data: bytes, chunks: Sequence[Chunk]) -> bytes:
    """Return a file with these chunks in place of its own ancillary ones.

    Those before the pixels go right behind the header, as colour and profile must.
    """
    data = bare(data)
    head = len(SIGNATURE) + 25
    tail = len(data) - 12
    before = b"".join(packed(chunk) for chunk in chunks if not chunk.after_pixels)
    after = b"".join(packed(chunk) for chunk in chunks if chunk.after_pixels)
    view = memoryview(data)
    return b"".join([view[:head], before, view[head:tail], after, view[tail:]])


def packed(chunk: Chunk) -> bytes:
    """Return a chunk as it is stored (section 5.3)."""
    checksum = zlib.crc32(chunk.kind + chunk.content)
    return (
        struct.pack(">I", len(chunk.content))
        + chunk.kind
        + chunk.content
        + struct.pack(">I", checksum)
    )


def turned_density(content: bytes) -> bytes:
    """Return pixels per unit across and down exchanged (section 11.3.5.3)."""
    return content[4:8] + content[:4] + content[8:]


def exchanged(extra: Extra) -> Extra:
    """Return what holds when rows have become columns."""
    if extra.key == b"pHYs":
        return replace(extra, payload=turned_density(extra.payload))
    return extra


def profile_chunk(name: bytes, profile: bytes) -> Chunk:
    """Return a colour profile as a chunk (section 11.3.2.3)."""
    return Chunk(b"iCCP", name + b"\0\0" + zlib.compress(profile))


def encoded_grey_with_alpha(levels: NDArray[np.uint16]) -> bytes:
    """Return a file of (H, W, 2) grey and alpha of 16 bits, which no encoder here can write.

    Every row is stored as differences to the pixel on its left (section 9.2).
    """
    height, width = levels.shape[:2]
    stored = levels.astype(">u2").view(np.uint8).reshape(height, 4 * width)
    rows = np.ones((height, 1 + 4 * width), np.uint8)
    rows[:, 1:] = stored
    rows[:, 5:] -= stored[:, :-4]
    header = struct.pack(">IIBBBBB", width, height, 16, 4, 0, 0, 0)
    pixels = Chunk(b"IDAT", zlib.compress(rows.tobytes(), PNG_LEVEL))
    return file_of([Chunk(b"IHDR", header), pixels])


def file_of(chunks: Iterable[Chunk]) -> bytes:
    """Return a file of these chunks, and the one that ends it."""
    return SIGNATURE + b"".join(packed(chunk) for chunk in (*chunks, Chunk(b"IEND", b"")))
