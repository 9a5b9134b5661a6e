"""WebP's RIFF chunks: what a file holds besides its pixels, and how it goes into another.

(WebP container specification, "Extended File Format".)
"""

import struct
from collections.abc import Iterator, Sequence

_PIXELS = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"})
KNOWN = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}
"""Chunks with a flag in the header that says they exist."""
ALPHA = 0x10
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


def with_chunks(
    data: bytes, size: tuple[int, int], chunks: Sequence[tuple[bytes, bytes]], *, alpha: bool
) -> bytes:
    """Return a file with these chunks besides its pixels.

    Args:
        size: Width and height.
        alpha: There is transparency, even if every pixel is opaque.
    """
    pixels = [(kind, content) for kind, content in chunks_of(data) if kind in _PIXELS]
    old = dict(pixels).get(b"VP8X", b"\0")[0]
    flags = (old & (ALPHA | 0x02)) | (ALPHA if alpha else 0)
    for kind, _ in chunks:
        flags |= KNOWN.get(kind, 0)
    if not chunks and not flags:
        return data
    extended = struct.pack("<I", flags) + b"".join(struct.pack("<I", side - 1)[:3] for side in size)
    first = [(kind, content) for kind, content in chunks if kind == b"ICCP"]
    last = [(kind, content) for kind, content in chunks if kind != b"ICCP"]
    body = [
        (kind, _with_alpha_bit(content) if alpha and kind == b"VP8L" else content)
        for kind, content in pixels
        if kind != b"VP8X"
    ]
    content = b"WEBP" + b"".join(
        _packed(*each) for each in [(b"VP8X", extended), *first, *body, *last]
    )
    return b"RIFF" + struct.pack("<I", len(content)) + content


def _with_alpha_bit(content: bytes) -> bytes:
    """Return lossless pixels that say they have alpha, which the encoder says of clear ones only.

    The bit follows a byte of signature and twice 14 bits of size (WebP lossless, section 3).
    """
    return content[:4] + bytes([content[4] | 0x10]) + content[5:]


def _packed(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
