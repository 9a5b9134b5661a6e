"""Files taken apart and put together by hand, without the code under test."""

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Chunk = tuple[bytes, bytes]
Tag = tuple[int, int, int, bytes]
"""Number, type, count and value of a tag."""

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}


def colours(height: int = 6, width: int = 9) -> NDArray[np.uint8]:
    """Return pixels (H, W, 3) of which no two rows or columns are the same."""
    rows, columns = np.indices((height, width))
    return np.stack([rows * 20 + 5, columns * 15 + 9, rows + columns + 40], axis=2).astype(np.uint8)


def saved(pixels: NDArray[Any], format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format, **options)
    return out.getvalue()


# PNG


def packed_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png_chunks(data: bytes) -> list[Chunk]:
    """Return all chunks of a file, after checking every checksum."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks: list[Chunk] = []
    place = 8
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        kind = data[place + 4 : place + 8]
        content = data[place + 8 : place + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, place + 8 + length)
        assert checksum == zlib.crc32(kind + content)
        chunks.append((kind, content))
        place += 12 + length
    assert chunks[-1] == (b"IEND", b"")
    return chunks


def png_with(data: bytes, before: Sequence[Chunk] = (), after: Sequence[Chunk] = ()) -> bytes:
    """Return a PNG with more chunks, behind the header and before the end."""
    return (
        data[:33]
        + b"".join(packed_chunk(*each) for each in before)
        + data[33:-12]
        + b"".join(packed_chunk(*each) for each in after)
        + data[-12:]
    )


def png_of(pixels: NDArray[Any], before: Sequence[Chunk] = ()) -> bytes:
    """Return a PNG of (H, W, C), eight or sixteen bits, of one to four channels."""
    height, width, channels = pixels.shape
    depth = 8 * pixels.dtype.itemsize
    rows = pixels.astype(pixels.dtype.newbyteorder(">"))
    scan = b"".join(b"\0" + row.tobytes() for row in rows)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)),
        *before,
        (b"IDAT", zlib.compress(scan)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed_chunk(*each) for each in chunks)


# JPEG


def jpeg_segments(data: bytes) -> list[tuple[int, bytes]]:
    """Return marker and content of all segments before the pixels."""
    assert data[:2] == b"\xff\xd8"
    found: list[tuple[int, bytes]] = []
    place = 2
    while data[place + 1] != 0xDA:
        assert data[place] == 0xFF
        (length,) = struct.unpack_from(">H", data, place + 2)
        found.append((data[place + 1], data[place + 4 : place + 2 + length]))
        place += 2 + length
    return found


def jpeg_with(data: bytes, segments: Sequence[tuple[int, bytes]]) -> bytes:
    """Return a JPEG with more segments behind its first."""
    (length,) = struct.unpack_from(">H", data, 4)
    packed = b"".join(
        bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content
        for marker, content in segments
    )
    return data[: 4 + length] + packed + data[4 + length :]


def image_resource(number: int, content: bytes, name: bytes = b"\0\0") -> bytes:
    """Return one of Photoshop's image resources."""
    padding = b"\0" * (len(content) % 2)
    return (
        b"8BIM"
        + struct.pack(">H", number)
        + name
        + struct.pack(">I", len(content))
        + content
        + padding
    )


IPTC = b"\x1c\x02\x78\x00\x0dRain in Paris\x1c\x02\x50\x00\x05Jos\xc3\xa9"


# WebP


def riff_chunks(data: bytes) -> list[Chunk]:
    assert data[:4] == b"RIFF"
    assert data[8:12] == b"WEBP"
    assert struct.unpack_from("<I", data, 4)[0] == len(data) - 8
    chunks: list[Chunk] = []
    place = 12
    while place < len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        chunks.append((kind, data[place + 8 : place + 8 + length]))
        place += 8 + length + length % 2
    assert place == len(data)
    return chunks


# TIFF and EXIF


def order_of(data: bytes) -> str:
    return {b"II": "<", b"MM": ">"}[data[:2]]


def directory(data: bytes, offset: int | None = None) -> dict[int, Tag]:
    """Return the tags of a directory, the first one unless an offset is given."""
    order = order_of(data)
    if offset is None:
        (offset,) = struct.unpack_from(f"{order}I", data, 4)
    assert isinstance(offset, int)
    (count,) = struct.unpack_from(f"{order}H", data, offset)
    found: dict[int, Tag] = {}
    last = -1
    for place in range(offset + 2, offset + 2 + 12 * count, 12):
        tag, type, number = struct.unpack_from(f"{order}HHI", data, place)
        assert tag > last, "entries are sorted"
        last = tag
        length = SIZES[type] * number
        at = place + 8
        if length > 4:
            (at,) = struct.unpack_from(f"{order}I", data, at)
        assert at + length <= len(data)
        found[tag] = (tag, type, number, data[at : at + length])
    return found


def following(data: bytes) -> int:
    """Return the offset of the directory behind the first."""
    order = order_of(data)
    (offset,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, offset)
    return struct.unpack_from(f"{order}I", data, offset + 2 + 12 * count)[0]


def integer(data: bytes, tag: Tag) -> int:
    """Return the first value of a tag."""
    form = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}[tag[1]]
    return struct.unpack_from(order_of(data) + form, tag[3])[0]


def block_of(order: str, *directories: Sequence[Tag], pointers: Sequence[int] = ()) -> bytes:
    """Return an EXIF block of directories, all but the first of which tags of the first point to.

    Args:
        order: ``<`` or ``>``.
        directories: Of tags whose values are in this order.
        pointers: Tags that point to the second, third and so on.
    """
    block = bytearray(struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 0))
    first = list(directories[0])
    for tag, tags in zip(pointers, directories[1:], strict=True):
        offset = _append(block, order, tags)
        first.append((tag, 4, 1, struct.pack(f"{order}I", offset)))
    struct.pack_into(f"{order}I", block, 4, _append(block, order, first))
    return bytes(block)


def _append(block: bytearray, order: str, tags: Sequence[Tag]) -> int:
    entries = b""
    for tag, type, count, value in sorted(tags):
        if len(value) > 4:
            block += b"\0" * (len(block) % 2)
            at = struct.pack(f"{order}I", len(block))
            block += value
        else:
            at = value.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHI", tag, type, count) + at
    block += b"\0" * (len(block) % 2)
    start = len(block)
    block += struct.pack(f"{order}H", len(tags)) + entries + b"\0\0\0\0"
    return start


def tiff_with(data: bytes, tags: Sequence[Tag]) -> bytes:
    """Return a TIFF with more tags, or others in place of its own; values in its own order."""
    order = order_of(data)
    old = directory(data)
    merged = {**old, **{tag[0]: tag for tag in tags}}
    block = bytearray(data)
    struct.pack_into(f"{order}I", block, 4, _append(block, order, list(merged.values())))
    return bytes(block)
