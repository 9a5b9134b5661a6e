"""Picture files made by hand: what no library writes."""

import io
import struct
import zlib
from typing import Any

from PIL import Image


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def deflated(length: int) -> bytes:
    """So many zeros, compressed as far as deflate can."""
    packer = zlib.compressobj(9)
    parts: list[bytes] = []
    while length > 0:
        parts.append(packer.compress(bytes(min(length, 1 << 24))))
        length -= 1 << 24
    return b"".join(parts) + packer.flush()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG of a header and pixels.

    Args:
        width: As the header claims.
        height: Likewise.
        depth: Bits of a channel.
        colour: 0 for grey, 2 for RGB, 3 for a palette, 4 for grey with alpha, 6 for RGBA.
        rows: Compressed, each behind the number of its filter.
        extra: Chunks between header and pixels.
    """
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + extra
        + png_chunk(b"IDAT", rows)
        + png_chunk(b"IEND", b"")
    )


Tags = dict[int, tuple[int, ...]]


def tiff(*pages: tuple[Tags, bytes]) -> bytes:
    """A TIFF of directories, each with the content of its only strip.

    Args:
        pages: Tags, to which the strip's place and length are added, and the strip.
    """
    data = bytearray(b"II*\0\0\0\0\0")
    link = 4
    for tags, strip in pages:
        place = len(data)
        data += strip + b"\0" * (len(strip) % 2)
        struct.pack_into("<I", data, link, len(data))
        full: Tags = {273: (place,), 279: (len(strip),)} | tags
        outside = len(data) + 2 + 12 * len(full) + 4
        entries, more = b"", b""
        for tag, values in sorted(full.items()):
            content = struct.pack(f"<{len(values)}I", *values)
            if len(values) == 1:
                entries += struct.pack("<HHI", tag, 4, 1) + content
            else:
                entries += struct.pack("<HHII", tag, 4, len(values), outside + len(more))
                more += content
        link = len(data) + 2 + len(entries)
        data += struct.pack("<H", len(full)) + entries + b"\0\0\0\0" + more
    return bytes(data)


def tiff_tags(width: int, height: int, **more: int) -> Tags:
    """The tags of a plain RGB page.

    Args:
        more: ``compression``, ``subfile`` (NewSubfileType), ``old_subfile`` (SubfileType).
    """
    names = {"compression": 259, "subfile": 254, "old_subfile": 255, "rows": 278}
    tags: Tags = {256: (width,), 257: (height,), 258: (8, 8, 8), 262: (2,), 277: (3,)}
    tags |= {259: (1,), 278: (height,)}
    return tags | {names[name]: (value,) for name, value in more.items()}


def block_of_tags(count: int, length: int) -> bytes:
    """A block of EXIF whose tags all name the same bytes."""
    entries = (struct.pack("<HHII", tag, 7, length, 8) for tag in range(count))
    return b"II*\0" + struct.pack("<IH", 8, count) + b"".join(entries) + bytes(4)
