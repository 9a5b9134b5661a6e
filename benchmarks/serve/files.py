"""Files that are no good: mutated pictures, decompression bombs, and what only claims to be one."""

import io
import random
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF")
OTHERS = (
    b"",
    b"\0",
    b"GIF89a",
    b"%PDF-1.7\n",
    b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    b"II*\0\x08\0\0\0",
    b"RIFF\xff\xff\xff\xffWEBPVP8 ",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"\0\0\0\x1cftypavif",
    b"\0\0\0\x1cftypheic",
    b"BM" + b"\xff" * 60,
    b"not a picture at all " * 50,
)
"""Beginnings of files, and files that are no pictures."""


def good_files(side: int = 48) -> dict[str, bytes]:
    """Return a small picture in every format that Pillow writes here."""
    dice = np.random.default_rng(0)
    pixels = dice.integers(0, 255, (side, side + 5, 3)).astype(np.uint8)
    files: dict[str, bytes] = {}
    for format in FORMATS:
        out = io.BytesIO()
        image = Image.fromarray(pixels)
        exif = Image.Exif()
        exif[0x010E] = "a description that may be damaged"
        options = {} if format in ("GIF", "BMP") else {"exif": exif}
        image.save(out, format, **options)
        files[format] = out.getvalue()
    return files


def mutated(files: dict[str, bytes], seed: int) -> Iterator[bytes]:
    """Yield files that were damaged at random, for ever; the same ones for the same seed."""
    dice = random.Random(seed)
    kept = list(files.values())
    while True:
        if dice.random() < 0.05:
            yield dice.choice(OTHERS)
            continue
        yield _damaged(bytearray(dice.choice(kept)), dice)


def _damaged(data: bytearray, dice: random.Random) -> bytes:
    """Return a file with bytes changed, cut out, repeated or missing at the end."""
    for _ in range(dice.choice((1, 2, 5, 30))):
        place = _place(len(data), dice)
        how = dice.randrange(6)
        if how == 0:
            data[place] ^= 1 << dice.randrange(8)
        elif how == 1:
            data[place] = dice.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif how == 2:
            data[place : place + 4] = dice.randbytes(4)
        elif how == 3:
            data[place : place + 4] = b"\xff\xff\xff\xff"
        elif how == 4:
            del data[place : place + dice.randrange(1, 64)]
        else:
            data[place:place] = data[place : place + dice.randrange(1, 64)]
        if not data:
            break
    return bytes(data[: dice.randrange(len(data) + 1)] if dice.random() < 0.2 else data)


def _place(length: int, dice: random.Random) -> int:
    """Return a place in a file: in half of the cases in its header."""
    return dice.randrange(max(1, min(length, 128 if dice.random() < 0.5 else length)))


def png_of(width: int, height: int, *, rows: int | None = None) -> bytes:
    """Return a PNG of one colour, a thousandth of its pixels in size.

    Args:
        width: In pixels.
        height: In pixels.
        rows: That are there; None for all of them.
    """
    packer = zlib.compressobj(9)
    line = b"\0" * (1 + 3 * width)
    data = b"".join(packer.compress(line) for _ in range(height if rows is None else rows))
    data += packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def text_bomb() -> bytes:
    """Return a small PNG whose compressed text becomes 200 MB."""
    text = zlib.compress(b"\0" * 200_000_000, 9)
    picture = png_of(16, 16)
    end = picture.rindex(struct.pack(">I", 0) + b"IEND")
    return picture[:end] + _chunk(b"zTXt", b"Comment\0\0" + text) + picture[end:]


def bombs() -> dict[str, bytes]:
    """Return files that are small, and large when they are decoded."""
    return {
        "PNG of 200 megapixels": png_of(20_000, 10_000),
        "PNG that claims 65,000 x 65,000": png_of(65_000, 65_000, rows=10),
        "PNG with a text of 200 MB": text_bomb(),
        "PNG of 60 megapixels that breaks off": png_of(10_000, 6_000)[:-200],
    }
