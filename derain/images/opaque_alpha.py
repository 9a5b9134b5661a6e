"""An alpha channel that is opaque everywhere, which libwebp leaves out of a WebP.

Its pixels are the same without it. But programs that expect four channels of a file that had four
would stumble, so it is put back (RFC 9649, sections 2.7 and 3).
"""

import io
import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image

_HAS_ALPHA = 0x10
"""Flag of the extended header."""
_LOSSLESS_ALPHA = 1 << 28
"""Flag of a lossless picture: of its 32 bits behind the signature."""
_LOSSLESS = 1
"""Of an ALPH chunk: compressed without loss, not filtered."""


def with_opaque_alpha(data: bytes, width: int, height: int) -> bytes:
    """Return a WebP without alpha channel with one that is opaque everywhere.

    Args:
        data: A WebP of one frame, as libwebp writes it.
        width: In pixels.
        height: Likewise.
    """
    chunks = list(_chunks(data))
    flags = next((content[0] for kind, content in chunks if kind == b"VP8X"), 0) | _HAS_ALPHA
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    new = [(b"VP8X", bytes([flags, 0, 0, 0]) + sides)]
    for kind, content in chunks:
        if kind == b"VP8 ":
            new.append((b"ALPH", _opaque_plane(width, height)))
        if kind == b"VP8L":
            (bits,) = struct.unpack_from("<I", content, 1)
            content = content[:1] + struct.pack("<I", bits | _LOSSLESS_ALPHA) + content[5:]
        if kind not in (b"VP8X", b"ALPH"):
            new.append((kind, content))
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
        for kind, content in new
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 12
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        yield kind, data[place + 8 : place + 8 + length]
        place += 8 + length + length % 2


def _opaque_plane(width: int, height: int) -> bytes:
    """Return the content of an ALPH chunk: a lossless picture whose green is the alpha.

    It lacks the header of such a picture, a byte of signature and 32 bits of sizes and flags.
    """
    green = np.zeros((height, width, 3), np.uint8)
    green[..., 1] = 255
    written = io.BytesIO()
    Image.fromarray(green).save(written, "WEBP", lossless=True, quality=0, method=0)
    picture = next(content for kind, content in _chunks(written.getvalue()) if kind == b"VP8L")
    return bytes([_LOSSLESS]) + picture[5:]
