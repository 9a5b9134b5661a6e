"""A picture in memory: its pixels, and what its file holds besides them."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from derain.errors import DerainError
from derain.files import find_files

Format = Literal["JPEG", "PNG", "WEBP", "TIFF", "BMP"]
Pixels = NDArray[np.uint8 | np.uint16]

SUFFIXES: dict[str, Format] = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}
READABLE = "JPEG, PNG, WebP, TIFF or BMP"
OPAQUE: tuple[Format, ...] = ("JPEG", "BMP")
"""Formats without transparency (a BMP may have some, but few programs read it)."""
COLOUR_CHUNKS = frozenset({b"cICP", b"sRGB", b"gAMA", b"cHRM"})
"""Chunks by which a PNG says what its numbers mean, in place of a profile or besides one."""


class ImageError(DerainError, ValueError):
    """A picture cannot be read or written; says what was found, expected, and what to do."""


@dataclass(frozen=True)
class Extra:
    """A piece of metadata that only files of one format can hold.

    Attributes:
        format: Of the files that can.
        key: Kind of a PNG's or WebP's chunk, second byte of a JPEG's marker, or number of a TIFF's
            tag.
        payload: Content of the chunk or segment; of a tag, its type in one byte and then its value,
            the low byte of numbers first.
        after_pixels: Where it lies in a PNG.
    """

    format: Format
    key: bytes | int
    payload: bytes
    after_pixels: bool = False


@dataclass(frozen=True)
class Metadata:
    """What a picture file holds besides pixels; empty where it holds none.

    It describes the upright picture, not the file that it was read from.

    Attributes:
        format: Of the file it was read from.
        icc: Colour profile.
        exif: As after ``Exif\\0\\0``; the orientation tag is 1.
        xmp: The packet as it stood, but for what describes the old file.
        encoding: How the input was encoded, as arguments of Pillow's ``save`` for its own format.
        xmp_extension: What a JPEG's packet announces as its extension.
        photoshop: Photoshop's image resources, the IPTC among them.
        iptc: As in a TIFF of its own.
        comments: Of a JPEG.
        aspect: Pixels per unit across and down, where the file does not say which unit.
        extras: All else, in the order of the file.
    """

    format: Format = "PNG"
    icc: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""
    encoding: Mapping[str, Any] = field(default_factory=dict)
    xmp_extension: bytes = b""
    photoshop: bytes = b""
    iptc: bytes = b""
    comments: tuple[bytes, ...] = ()
    aspect: tuple[int, int] | None = None
    extras: tuple[Extra, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A picture: upright RGB, and what has to be there again when it is written.

    Attributes:
        pixels: (H, W, 3), uint8 or uint16.
        alpha: (H, W) of the same type, None if the file has none.
        grey: The file has one colour channel; it will have one when written.
        notes: What could not be kept, in words for the user.
        is_result: derain made it: its file says so, and will say so when written.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    grey: bool = False
    metadata: Metadata = Metadata()
    notes: tuple[str, ...] = ()
    is_result: bool = False

    def with_pixels(self, pixels: Pixels) -> "Picture":
        """Return the same picture with other pixels."""
        return replace(self, pixels=pixels)


def format_of(path: str | os.PathLike[str]) -> Format:
    """Return the format that a file name asks for.

    Raises:
        ImageError: If no format that derain writes has this suffix.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ImageError(
            f"{path}: no picture format is called {suffix or 'nothing'!r}; expected a name in"
            f" {' '.join(SUFFIXES)}"
        )
    return SUFFIXES[suffix]


def suffixes_of(format: Format) -> Iterable[str]:
    """Return the file name suffixes of a format, the usual one first."""
    return (suffix for suffix, known in SUFFIXES.items() if known == format)


def find_images(folder: str | os.PathLike[str]) -> tuple[list[Path], list[OSError]]:
    """Return picture files anywhere under a folder, and the folders that cannot be listed.

    Files are known by their suffix and come in natural order, img2 before img10.
    """
    return find_files(folder, SUFFIXES)


def before_and_after(before: Picture, after: Picture) -> Picture:
    """Return one picture of two, with a white line between them.

    Pictures that are taller than wide stand side by side, others one above the other.
    """
    axis = 1 if before.pixels.shape[0] > before.pixels.shape[1] else 0
    shape = list(before.pixels.shape)
    shape[axis] = max(2, round(0.01 * max(shape[:2])))
    line = np.full(shape, np.iinfo(before.pixels.dtype).max, before.pixels.dtype)
    pixels = np.concatenate([before.pixels, line, after.pixels], axis=axis)
    return Picture(pixels, grey=before.grey, metadata=_without_words(before.metadata))


def _without_words(metadata: Metadata) -> Metadata:
    """Return what metadata says of colours and encoding alone."""
    colours = tuple(extra for extra in metadata.extras if extra.key in COLOUR_CHUNKS)
    return Metadata(metadata.format, metadata.icc, encoding=metadata.encoding, extras=colours)


def to_eight_bits(values: Pixels) -> NDArray[np.uint8]:
    """Return uint8 levels of any shape, rounded to the nearest from uint16, unchanged if uint8."""
    if values.dtype == np.uint8:
        return values.astype(np.uint8, copy=False)
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def to_floats(levels: NDArray[Any]) -> NDArray[np.float32]:
    """Return uint8 or uint16 levels of any shape as float32 in [0, 1]; floats keep their values."""
    top = 1.0 if levels.dtype.kind == "f" else np.iinfo(levels.dtype).max
    return np.divide(levels, np.float32(top), dtype=np.float32)


def to_levels(values: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return floats in [0, 1] in another type: levels rounded to the nearest, or floats again.

    What lies outside [0, 1] is clipped.
    """
    clipped = np.clip(values, 0, 1)
    if dtype.kind != "f":
        np.multiply(clipped, np.float32(np.iinfo(dtype).max), out=clipped)
        np.rint(clipped, out=clipped)
    return clipped.astype(dtype)
