"""WebP's RIFF chunks: what a file holds besides its pixels, and how it goes into another.

(WebP container specification, "Extended File Format".)
"""

import io
import struct
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

_PIXELS = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"})
KNOWN = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}
"""Chunks with a flag in the header that says they exist."""
ALPHA, ANIMATION = 0x10, 0x02
"""Flags of the extended header."""
_LOSSLESS_ALPHA = 1 << 28
"""Flag of a lossless picture: of its 32 bits behind the signature."""
_LOSSLESS = 1
"""Of an ALPH chunk: compressed without loss, not filtered."""
_STALE = {b"C2PA": "content credentials"}


def spans_of(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, first byte of the content, and its length; the file may end within the last."""
    place = 12
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        yield kind, place + 8, length
        place += 8 + length + length % 2


def chunks_of(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of every whole chunk."""
    for kind, start, length in spans_of(data):
        if start + length <= len(data):
            yield kind, data[start : start + length]


def frames_of(data: bytes) -> int:
    """Return the number of frames of an animation; 0 for a picture."""
    return sum(kind == b"ANMF" for kind, _, _ in spans_of(data))


def is_lossless(data: bytes) -> bool:
    """Return whether the pixels are compressed without loss; those of a picture, not of frames."""
    of_pixels = (kind for kind, _, _ in spans_of(data) if kind in (b"VP8L", b"VP8 "))
    return next(of_pixels, b"") == b"VP8L"


def unknown_of(data: bytes, lost: set[str]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks that the specification does not name.

    Args:
        data: The file.
        lost: Gets names for the user of those that hold for the rainy picture only.
    """
    for kind, content in chunks_of(data):
        if kind in _STALE:
            lost.add(_STALE[kind])
        elif kind not in _PIXELS and kind not in KNOWN:
            yield kind, content


def with_chunks(data: bytes, size: tuple[int, int], chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return a file with these chunks besides its pixels.

    Args:
        data: The file.
        size: Width and height.
        chunks: Kinds and contents of the chunks to add.
    """
    pixels = [(kind, content) for kind, content in chunks_of(data) if kind in _PIXELS]
    old = dict(pixels).get(b"VP8X", b"\0")[0]
    flags = old & ALPHA or (ALPHA if _has_alpha(pixels) else 0)
    for kind, _ in chunks:
        flags |= KNOWN.get(kind, 0)
    if not chunks:
        return data
    first = [(kind, content) for kind, content in chunks if kind == b"ICCP"]
    last = [(kind, content) for kind, content in chunks if kind != b"ICCP"]
    body = [each for each in pixels if each[0] != b"VP8X"]
    return file_of([extended(flags, size), *first, *body, *last])


def with_opaque_alpha(data: bytes, width: int, height: int) -> bytes:
    """Return a WebP without alpha channel with one that is opaque everywhere.

    Its pixels are the same without it, so libwebp leaves it out. But programs that expect four
    channels of a file that had four would stumble (RFC 9649, sections 2.7 and 3).

    Args:
        data: A WebP of one frame, as libwebp writes it.
        width: In pixels.
        height: Likewise.
    """
    chunks = list(chunks_of(data))
    flags = next((content[0] for kind, content in chunks if kind == b"VP8X"), 0) | ALPHA
    new = [extended(flags, (width, height))]
    for kind, content in chunks:
        if kind == b"VP8 ":
            new.append((b"ALPH", _opaque_plane(width, height)))
        if kind == b"VP8L":
            (bits,) = struct.unpack_from("<I", content, 1)
            content = content[:1] + struct.pack("<I", bits | _LOSSLESS_ALPHA) + content[5:]
        if kind not in (b"VP8X", b"ALPH"):
            new.append((kind, content))
    return file_of(new)


def _opaque_plane(width: int, height: int) -> bytes:
    """Return the content of an ALPH chunk: a lossless picture whose green is the alpha.

    It lacks the header of such a picture, a byte of signature and 32 bits of sizes and flags.
    """
    green = np.zeros((height, width, 3), np.uint8)
    green[..., 1] = 255
    written = io.BytesIO()
    Image.fromarray(green).save(written, "WEBP", lossless=True, quality=0, method=0)
    picture = next(content for kind, content in chunks_of(written.getvalue()) if kind == b"VP8L")
    return bytes([_LOSSLESS]) + picture[5:]


def extended(flags: int, size: tuple[int, int]) -> tuple[bytes, bytes]:
    """Return the chunk of the extended header, for a width and height."""
    sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
    return b"VP8X", struct.pack("<I", flags) + sides


def file_of(chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return a file of these chunks."""
    content = b"WEBP" + b"".join(packed(*each) for each in chunks)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def _has_alpha(pixels: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether lossless pixels say so: a bit behind a byte and twice 14 bits of size."""
    return any(kind == b"VP8L" and content[4] & 0x10 for kind, content in pixels)


def packed(kind: bytes, content: bytes) -> bytes:
    """Return a chunk as it is stored."""
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
