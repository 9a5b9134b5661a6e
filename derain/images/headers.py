"""Read the claims of a file's header, before anything is decoded.

Every format is known by its first bytes here, so that a file meets the decoder of its own format
and no other. `limits` judges what is found.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from derain.images import webp
from derain.images.picture import READABLE, AnimationError, ImageError
from derain.images.tiff_pages import (
    ORIENTATION,
    SAMPLES,
    Page,
    check_exif,
    compressed_bytes,
    find_pages,
)

Kind = Literal["JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF", "HEIF", "GIF"]

_OTHERS = (
    (b"GIF8", "a GIF picture"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\0\x0cjP", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\0\0\0\x0cJXL", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"v/1\x01", "an OpenEXR picture"),
    (b"#?RADIANCE", "a Radiance picture"),
    (b"\0\0\1\0", "an icon"),
    (b"FUJIFILM", "a camera's raw file"),
    (b"IIRO", "a camera's raw file"),
    (b"IIU\0", "a camera's raw file"),
    (b"%PDF", "a PDF document"),
    (b"<svg", "an SVG drawing"),
    (b"PK\3\4", "an archive"),
    (b"\x1aE\xdf\xa3", "a video"),
)
"""First bytes of files that people take for pictures that can be read, or that they name so."""

_BRANDS: dict[bytes, Kind] = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm"), "HEIF"),
}
_HEIF_SEQUENCES = (b"hevc", b"hevx", b"msf1")
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers that begin a frame header (ITU-T T.81, table B.1)."""
_JPEG_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xD9), 0xFF})
"""Markers without a length, and bytes that fill or stray."""


@dataclass(frozen=True)
class Claim:
    """The claims of a file's header.

    Attributes:
        kind: Its format.
        width: In pixels; 0 where only the decoder of the format can tell.
        height: Likewise.
        least: Bytes that so many pixels take in the file, at the very least.
        held: Bytes of the file that may hold pixels.
        stored: Bytes that the decoder takes for each pixel.
        result: Bytes that the arrays take for each pixel.
        buffer: Bytes that the decoder takes besides, until it is done.
        frames: Of an animation; 1 for a picture.
        page: Of a TIFF, where the page that is the picture begins; 0 for the first one.
        left_out: Of a TIFF, pages that are no pictures of their own, in words.
    """

    kind: Kind
    width: int = 0
    height: int = 0
    least: int = 0
    held: int = 0
    stored: int = 0
    result: int = 0
    buffer: int = 0
    frames: int = 1
    page: int = 0
    left_out: str = ""

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def memory(self) -> int:
        """Bytes that decoding takes at its peak: while arrays are filled, or turned upright."""
        result = self.pixels * self.result
        # Of 16 bits one half is there already when the other one is decoded.
        together = self.buffer + result if self.result > 4 else max(self.buffer, result)
        return max(self.pixels * self.stored + together, 2 * result)


def kind_of(data: bytes) -> Kind:
    """Return the format of a file by its first bytes.

    Raises:
        ImageError: If it cannot be read; the message says what it is.
    """
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if data[:2] == b"BM" and len(data) >= 26:
        return "BMP"
    if data[4:8] == b"ftyp" and (kind := _kind_of_brands(data)):
        return kind
    raise ImageError(f"not a picture that can be read; expected {READABLE}, found {_named(data)}")


def _kind_of_brands(data: bytes) -> Kind | None:
    """Return what a file of boxes holds: the first brand that says so decides."""
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    named = (brands[k : k + 4] for k in (0, *range(8, len(brands), 4)))
    return next((_BRANDS[brand] for brand in named if brand in _BRANDS), None)


def _named(data: bytes) -> str:
    """Return what a file is that cannot be read, in words."""
    for start, name in _OTHERS:
        if data.startswith(start):
            return name
    for start, name in ((b"\xff\xd8", "JPEG"), (b"\x89PNG", "PNG"), (b"RIFF", "WebP")):
        if data.startswith(start):
            return f"a {name} that is damaged or of an unusual kind"
    if data[4:8] == b"ftyp":
        return "a video, or a picture of a kind that derain does not know"
    head = data[:32]
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head):
        return f"text beginning {head[:20].decode()!r}"
    return f"bytes beginning {head[:8].hex(' ')}"


def claim_of(data: bytes) -> Claim:
    """Return what the header of a file says.

    Raises:
        ImageError: If it is no picture that can be read, or the header is damaged.
    """
    kind = kind_of(data)
    try:
        if kind not in ("TIFF", "BMP"):
            check_exif(data)
        return _READERS[kind](data)
    except (struct.error, IndexError, ValueError, ArithmeticError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"a damaged or truncated {kind} picture (its header ends early)") from None


def _png(data: bytes) -> Claim:
    """PNG (third edition), sections 5 and 11.2."""
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 1)
    held, frames = 0, 1
    for kind, length, start in _png_chunks(data):
        if kind == b"IDAT":
            held += max(0, min(length, len(data) - start))
        elif kind == b"acTL" and not held:
            frames = max(1, struct.unpack_from(">I", data, start)[0])
    row = (width * channels * depth + 7) // 8 + 1
    # Interlaced rows are shorter and more; together they hold as many pixels.
    stored, result = _per_pixel(channels, depth)
    if colour == 3:
        result = 4
    least = row * height // DEFLATE
    return Claim("PNG", width, height, least, held, stored, result, frames=frames)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, length and start of each chunk's content."""
    place = 8
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        yield kind, length, place + 8
        place += 12 + length


def _jpeg(data: bytes) -> Claim:
    """ITU-T T.81, annex B."""
    place = 2
    width = height = parts = bits = samples = 0
    progressive = False
    while (place := data.find(b"\xff", place)) >= 0:  # decoders skip what is between segments
        marker = data[place + 1]
        if marker in _JPEG_BARE:
            place += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        if marker in _JPEG_FRAMES:
            height, width, parts = struct.unpack_from(">HHB", data, place + 5)
            factors = [data[place + 11 + 3 * k] for k in range(parts)]
            samples = _jpeg_samples(width, height, factors)
            progressive = marker in (0xC2, 0xC6, 0xCA, 0xCE)
            bits = _least_jpeg_bits(marker, samples)
        elif marker == 0xDA:
            several = progressive or data[place + 4] < parts
            _check_scans(data, place)
            buffer = 2 * samples if several else 0
            held = len(data) - place
            return Claim(
                "JPEG", width, height, bits // 8, held, *_per_pixel(min(parts, 3), 8), buffer
            )
        place += 2 + length
    raise ImageError("a damaged or truncated JPEG picture (no pixels follow its header)")


def _jpeg_samples(width: int, height: int, factors: list[int]) -> int:
    """Return the samples of all components, each in whole blocks, from their sampling factors."""
    across = max(factor >> 4 for factor in factors)
    down = max(factor & 15 for factor in factors)
    return sum(
        64 * -(-width * (factor >> 4) // (8 * across)) * -(-height * (factor & 15) // (8 * down))
        for factor in factors
    )


def _least_jpeg_bits(marker: int, samples: int) -> int:
    """Return the fewest bits of so many samples.

    A block of 64 takes a code of one bit at the least for its mean and, unless that comes in later
    scans, another one for its end. Arithmetic coding (markers from 0xC9) has no such bound.
    """
    if marker in (0xC0, 0xC1):
        return samples // 64 * 2
    if marker == 0xC2:
        return samples // 64
    return 0


def _check_scans(data: bytes, start: int) -> None:
    """Refuse a JPEG of so many scans that decoding it would take hours.

    Raises:
        ImageError: If there are more than `MOST_SCANS`; usual are ten.
    """
    end = data.find(b"\xff\xd9", start)
    scans = data.count(b"\xff\xda", start, end if end >= 0 else len(data))
    if scans > MOST_SCANS:
        raise ImageError(f"a damaged JPEG picture ({scans} scans; expected at most {MOST_SCANS})")


def _webp(data: bytes) -> Claim:
    """RFC 9649, section 2."""
    chunk = data[12:16]
    if chunk == b"VP8X":
        sides = data[24:30]
        width = int.from_bytes(sides[:3], "little") + 1
        height = int.from_bytes(sides[3:6], "little") + 1
        frames = max(1, webp.frames_of(data))
        return Claim("WEBP", width, height, stored=WEBP_STORED, result=4, frames=frames)
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    return Claim("WEBP", width, height, stored=WEBP_STORED, result=4)


def _bmp(data: bytes) -> Claim:
    """Read the headers of OS/2 (12 bytes) and of Windows (40 and more)."""
    start, size = struct.unpack_from("<II", data, 10)
    compression = 0
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
    else:
        width, height, _, bits = struct.unpack_from("<iiHH", data, 18)
        if size >= 40:
            (compression,) = struct.unpack_from("<I", data, 30)
    width, height = abs(width), abs(height)
    run_lengths = compression in (1, 2)
    least = 0 if run_lengths else (width * bits + 31) // 32 * 4 * height
    # The last row may lack the bytes that fill it.
    least, held = max(0, least - 4), max(0, len(data) - start)
    stored, result = _per_pixel(1 if bits <= 8 else 4, 8)
    # Runs are gathered as bytes, which are copied and then unpacked.
    buffer = 2 * width * height if run_lengths else 0
    return Claim("BMP", width, height, least, held, stored, result, buffer)


def _tiff(data: bytes) -> Claim:
    pages = find_pages(data)
    page = pages.picture
    stored, result = _per_pixel(page.first(SAMPLES, 1), page.depth)
    # Pillow turns a TIFF upright by a copy.
    turned = page.width * page.height * stored if page.first(ORIENTATION, 1) != 1 else 0
    return Claim(
        "TIFF",
        page.width,
        page.height,
        page.raw_bytes // _ratio(page),
        compressed_bytes(data, page),
        stored,
        result,
        max(page.buffer, turned),
        page=0 if pages.is_first else page.place,
        left_out=pages.left_out,
    )


def _per_pixel(channels: int, depth: int) -> tuple[int, int]:
    """Return the bytes of a pixel as Pillow stores it, and as the arrays do."""
    stored = 4 if channels > 1 else max(1, depth // 8)
    result = 3 + (channels in (2, 4))
    return stored, result * (2 if depth == 16 else 1)


def _ratio(page: Page) -> int:
    """Return how far a TIFF's compression can go, as a factor."""
    if page.compression in (2, 3, 4):  # CCITT: a white row is a single bit
        return max(1, page.raw_bytes * 8 // max(1, page.height))
    known = {1: 1, 5: LZW, 6: JPEG_IN_TIFF, 7: JPEG_IN_TIFF, 8: DEFLATE, 32773: 64, 32946: DEFLATE}
    # Zstandard, LZMA and WebP write a picture of one colour in a few bytes.
    return known.get(page.compression, page.raw_bytes + 1)


def _avif(_: bytes) -> Claim:
    return Claim("AVIF")  # its decoder reads sizes before pixels


def _heif(data: bytes) -> Claim:
    if data[8:12] in _HEIF_SEQUENCES and b"moov" in data:
        raise AnimationError("HEIF", None)
    return Claim("HEIF")


_READERS = {
    "PNG": _png,
    "JPEG": _jpeg,
    "WEBP": _webp,
    "BMP": _bmp,
    "TIFF": _tiff,
    "AVIF": _avif,
    "HEIF": _heif,
}

DEFLATE = 1032
"""The factor at which deflate compresses at the very most: 258 bytes in two bits (RFC 1951)."""
WEBP_STORED = 13
"""Bytes that decoding takes for each pixel of a WebP: two canvases, the frame and Pillow's."""
LZW = 2600
"""Likewise of LZW with codes of 12 bits, the longest of which stands for some 3,800 bytes."""
JPEG_IN_TIFF = 1500
"""Likewise of JPEG, colours halved twice: 3,072 bytes in 18 blocks of a bit."""
MOST_SCANS = 100
