"""A picture in memory: its pixels, and what its file holds besides them."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import features

from derain.errors import DerainError, UsageError
from derain.extras import is_installed
from derain.files import find_files

Format = Literal["JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF"]
"""What derain writes. It also reads HEIC, whose results are JPEGs."""
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
    ".avif": "AVIF",
}
"""File name suffixes of what is written, and the formats that they ask for."""
HEIF_SUFFIXES = (".heic", ".heif", ".hif")
READABLE_SUFFIXES: frozenset[str] = frozenset({*SUFFIXES, *HEIF_SUFFIXES})
"""File name suffixes of what is read where all packages for it are installed."""
READABLE = "JPEG, PNG, WebP, AVIF, HEIC, TIFF or BMP"
OPAQUE: tuple[Format, ...] = ("JPEG", "BMP")
"""Formats without transparency (a BMP may have some, but few programs read it)."""
DEEP: tuple[Format, ...] = ("PNG", "TIFF")
"""Formats with 16 bits a channel."""
COLOUR_CHUNKS = frozenset({b"cICP", b"sRGB", b"gAMA", b"cHRM"})
"""Chunks by which a PNG says what its numbers mean, in place of a profile or besides one."""


class ImageError(DerainError, ValueError):
    """A picture cannot be read or written; says what was found, expected, and what to do."""


class AnimationError(ImageError):
    """A file holds a clip rather than a picture: a WebP, PNG, AVIF or HEIF of several frames.

    A GIF is always treated as a clip, even one of a single frame.

    Args:
        kind: The format.
        frames: How many; None if that is not known.
        place: Name of the file, to begin the message with.
    """

    def __init__(self, kind: str, frames: int | None, place: str = "") -> None:
        self.kind, self.frames = kind, frames
        many = "" if frames is None else f" of {frames} frame{'' if frames == 1 else 's'}"
        # Of HEIF sequences there is no decoder here.
        how = (
            "expected a picture"
            if kind == "HEIF"
            else "the command derain FILE does clips, and derain.restore_frames their frames"
        )
        super().__init__(
            f"{place}{': ' if place else ''}a {kind} animation{many}, which is a clip rather than a"
            f" picture; {how}"
        )


class TooManyPixelsError(UsageError, ImageError):
    """A file claims more pixels than may be read unless they are asked for.

    Args:
        problem: What was found, and what was expected.
        needed: The value of ``max_pixels`` that reads the picture.

    >>> str(TooManyPixelsError("400 megapixels; expected at most 300", needed=400_000_000))
    '400 megapixels; expected at most 300; max_pixels=400000000 reads it'
    """

    def __init__(self, problem: str, *, needed: int) -> None:
        self.needed = needed
        super().__init__(problem, option="max_pixels", value=needed)

    def named(self, option: str, sign: str) -> str:
        """Return the message with another spelling, such as ``--max-pixels`` and " "."""
        return f"{self.problem}; {option}{sign}{self.needed} reads it"


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
    """The metadata of a picture file; empty where it has none.

    It describes the upright picture, not the file that it was read from.

    Attributes:
        format: Of the file it was read from; JPEG for HEIC, which derain does not write.
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

    def of_colours(self) -> "Metadata":
        """Return what it says of colours, of the shape of pixels and of encoding alone."""
        colours = tuple(extra for extra in self.extras if extra.key in COLOUR_CHUNKS)
        return Metadata(
            self.format, self.icc, encoding=self.encoding, aspect=self.aspect, extras=colours
        )


@dataclass(frozen=True)
class Picture:
    """A picture: upright RGB, and what has to be there again when it is written.

    Arrays of another byte order, and of subclasses of NumPy's, become plain ones.

    Attributes:
        pixels: (H, W, 3), uint8 or uint16.
        alpha: (H, W) of the same type, None if the file has none.
        grey: The file has one colour channel; it will have one when written.
        metadata: Colour profile, EXIF and what else the file holds besides pixels.
        notes: What could not be kept, in words for the user.
        is_result: derain made it: its file says so. Files that are written of it say so if, and
            only if, this is set.

    Raises:
        ImageError: If these are no such arrays.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    grey: bool = False
    metadata: Metadata = Metadata()
    notes: tuple[str, ...] = ()
    is_result: bool = False

    def __post_init__(self) -> None:
        pixels = levels_of(self.pixels)
        if pixels.ndim != 3 or pixels.shape[2] != 3:
            raise ImageError(f"pixels of shape {pixels.shape}; expected (H, W, 3)")
        object.__setattr__(self, "pixels", pixels)
        if self.alpha is None:
            return
        alpha = levels_of(self.alpha)
        if alpha.shape != pixels.shape[:2] or alpha.dtype != pixels.dtype:
            raise ImageError(
                f"alpha is {alpha.dtype} of shape {alpha.shape}; expected {pixels.dtype} of shape"
                f" {pixels.shape[:2]}"
            )
        object.__setattr__(self, "alpha", alpha)

    @property
    def is_deep(self) -> bool:
        """Whether it has 16 bits a channel."""
        return self.pixels.dtype == np.uint16

    def with_pixels(self, pixels: Pixels) -> "Picture":
        """Return the same picture with other pixels."""
        return replace(self, pixels=pixels)


def format_of(path: str | os.PathLike[str]) -> Format:
    """Return the format that a file name asks for.

    Raises:
        ImageError: If no format that derain writes has this suffix.
    """
    suffix = Path(path).suffix.lower()
    if suffix in HEIF_SUFFIXES:
        raise ImageError(
            f"{path}: derain reads HEIC and does not write it; expected a name in"
            f" {' '.join(SUFFIXES)}"
        )
    if suffix not in SUFFIXES:
        found = f"no picture format is called {suffix!r}" if suffix else "its name has no ending"
        raise ImageError(f"{path}: {found}; expected a name in {' '.join(SUFFIXES)}")
    return SUFFIXES[suffix]


def suffixes_of(format: Format) -> Iterable[str]:
    """Return the file name suffixes of a format, the usual one first."""
    return (suffix for suffix, known in SUFFIXES.items() if known == format)


def has_avif() -> bool:
    """Return whether this Pillow reads and writes AVIF."""
    # Pillow before 11.3 warns if it is asked for what it does not know.
    return "avif" in features.modules and bool(features.check("avif"))


def readable_suffixes() -> frozenset[str]:
    """Return the file name suffixes of what can be read here: folders are searched for these."""
    heif = () if is_installed("pillow_heif") else HEIF_SUFFIXES
    avif = () if has_avif() else suffixes_of("AVIF")
    return READABLE_SUFFIXES.difference(heif, avif)


def find_images(folder: str | os.PathLike[str]) -> tuple[list[Path], list[OSError]]:
    """Return picture files anywhere under a folder, and the folders that cannot be listed.

    Files are known by their suffix and come in natural order, img2 before img10.
    """
    return find_files(folder, readable_suffixes())


def levels_of(array: NDArray[Any]) -> Pixels:
    """Return levels of any shape as a plain array in this machine's byte order.

    Raises:
        ImageError: If they are neither uint8 nor uint16.
    """
    plain = np.asarray(array)
    if plain.dtype.kind != "u" or plain.dtype.itemsize > 2:
        hint = {"b": "; multiply by 255", "f": "; scale and round"}.get(plain.dtype.kind, "")
        raise ImageError(f"levels are {plain.dtype.name}; expected uint8 or uint16{hint}")
    return plain.astype(plain.dtype.newbyteorder("="), copy=False)


def to_eight_bits(values: Pixels) -> NDArray[np.uint8]:
    """Return uint8 levels of any shape, rounded to the nearest from uint16, unchanged if uint8.

    Raises:
        ImageError: If they are neither uint8 nor uint16.
    """
    levels = levels_of(values)
    if levels.dtype == np.uint8:
        return levels.astype(np.uint8, copy=False)
    return ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def to_floats(levels: NDArray[Any]) -> NDArray[np.float32]:
    """Return uint8 or uint16 levels of any shape as float32 in [0, 1]; floats keep their values.

    Raises:
        ImageError: If they are neither floats, uint8 nor uint16.
    """
    if levels.dtype.kind == "f":
        return np.divide(np.asarray(levels), np.float32(1), dtype=np.float32)
    plain = levels_of(levels)
    return np.divide(plain, np.float32(np.iinfo(plain.dtype).max), dtype=np.float32)


def to_levels(values: NDArray[np.float32], dtype: DTypeLike) -> NDArray[Any]:
    """Return floats in [0, 1] in another type: levels rounded to the nearest, or floats again.

    What lies outside [0, 1] is clipped.

    Args:
        values: Of any shape.
        dtype: A type of floats, uint8 or uint16, in any byte order.

    Raises:
        ImageError: If it is another type.
    """
    wanted = np.dtype(dtype)
    # Half precision does not reach the largest level of 16 bits.
    clipped = np.clip(values, 0, 1, dtype=np.result_type(values, np.float32))
    if wanted.kind != "f":
        top = np.iinfo(levels_of(np.empty(0, wanted)).dtype).max
        np.multiply(clipped, np.float32(top), out=clipped)
        np.rint(clipped, out=clipped)
    return clipped.astype(wanted)
