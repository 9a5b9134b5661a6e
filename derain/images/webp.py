"""WebP's RIFF chunks: what a file holds besides its pixels, and how it goes into another.

(WebP container specification, "Extended File Format".)
"""

import struct
from collections.abc import Iterator, Sequence

_PIXELS = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"})
KNOWN = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}
"""Chunks with a flag in the header that says they exist."""
_ALPHA = 0x10
_STALE = {b"C2PA": "content credentials"}


def chunks_of(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of every whole chunk."""
    place = 12
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        if place + 8 + length > len(data):
            return
        yield kind, data[place + 8 : place + 8 + length]
        place += 8 + length + length % 2


def unknown_of(data: bytes, lost: set[str]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks that the specification does not name.

    Args:
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
        size: Width and height.
    """
    pixels = [(kind, content) for kind, content in chunks_of(data) if kind in _PIXELS]
    old = dict(pixels).get(b"VP8X", b"\0")[0]
    flags = old & _ALPHA or (_ALPHA if _has_alpha(pixels) else 0)
    for kind, _ in chunks:
        flags |= KNOWN.get(kind, 0)
    if not chunks:
        return data
    extended = struct.pack("<I", flags) + b"".join(struct.pack("<I", side - 1)[:3] for side in size)
    first = [(kind, content) for kind, content in chunks if kind == b"ICCP"]
    last = [(kind, content) for kind, content in chunks if kind != b"ICCP"]
    body = [each for each in pixels if each[0] != b"VP8X"]
    content = b"WEBP" + b"".join(
        _packed(*each) for each in [(b"VP8X", extended), *first, *body, *last]
    )
    return b"RIFF" + struct.pack("<I", len(content)) + content


def _has_alpha(pixels: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether lossless pixels say so: a bit behind a byte and twice 14 bits of size."""
    return any(kind == b"VP8L" and content[4] & 0x10 for kind, content in pixels)


def _packed(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
