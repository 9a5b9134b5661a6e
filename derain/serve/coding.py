"""Decode and encode files as ``derain run`` does, within the server's limits.

Only the decoders' processes import this module, and Pillow with it.
"""

from pathlib import PurePath

import numpy as np

from derain.errors import reason
from derain.extras import MissingExtraError
from derain.files import RESULT_MARK
from derain.images import (
    MAX_PIXELS,
    SUFFIXES,
    AnimationError,
    Format,
    ImageError,
    Picture,
    TooManyPixelsError,
    check_format,
    encode,
    read,
    suffixes_of,
)
from derain.images.headers import kind_of
from derain.images.limits import check_claim
from derain.images.opening import header_of
from derain.images.picture import READABLE, has_avif
from derain.pictures.single import file_of_result, noted_again
from derain.serve.negotiation import Wish, offered_formats
from derain.serve.processes import RefusedError

LONGEST_NAME = 100
"""Characters of a name that are kept."""
DECODER_SIZED = ("AVIF", "HEIF")
"""Formats whose decoders alone know the size."""


class _UnknownKindError(ImageError):
    """The file is no picture of a format that is read."""


class _NotHeldError(ImageError):
    """The format that was asked for cannot hold the picture."""


def warm_up() -> None:
    """Use every codec once, so that what they load is there before memory is limited."""
    picture = Picture(np.zeros((8, 8, 3), np.uint8))
    for format in offered_formats():
        read(encode(picture, format))
    deep = Picture(np.zeros((8, 8, 3), np.uint16))
    for format in ("PNG", "TIFF"):
        read(encode(deep, format))


def claimed_pixels(file: bytes, max_pixels: int) -> int:
    """Return how many pixels a file has by its header; the most where only decoding tells.

    Raises:
        ImageError: If it is no picture, or has too many pixels, or takes too much memory.
    """
    if not file:
        raise ImageError(f"an empty file; expected a picture: {READABLE}")
    try:
        kind = kind_of(file)
    except ImageError as error:
        raise _animation(file) or _UnknownKindError(str(error)) from error
    if kind == "AVIF" and not has_avif():
        raise _UnknownKindError("an AVIF picture, which this server cannot read")
    claim = header_of(file)
    if kind in DECODER_SIZED:
        return max_pixels
    check_claim(claim, len(file), max_pixels)
    # A limit that was asked for leaves memory out of the question; here it never is.
    if max_pixels <= MAX_PIXELS:
        check_claim(claim, len(file), None)
    return claim.pixels


def _animation(file: bytes) -> AnimationError | None:
    """Return the error for a GIF of several frames; None for another file that is not read."""
    try:
        header_of(file)
    except AnimationError as error:
        return error
    except ImageError:
        return None
    return None


def decoded(file: bytes, name: str, wish: Wish, max_pixels: int) -> tuple[Picture, Format]:
    """Return a picture as ``derain run`` reads it, and the format of its result.

    Raises:
        ImageError: If it cannot be read, or not be written in the format.
    """
    picture = noted_again(read(file, max_pixels), name)
    format = wish.chosen(picture.metadata.format)
    try:
        check_format(picture, format)
    except ImageError as error:
        raise _NotHeldError(str(error)) from error
    return picture, format


def encoded(picture: Picture, format: Format) -> tuple[bytes, str]:
    """Return the file of a result as ``derain run`` writes it, and what was not kept, in words."""
    file, notes = file_of_result(picture, format)
    return file, "; ".join((*picture.notes, *notes))


def result_name(name: str, format: Format) -> str:
    """Return the name of a result's file.

    Args:
        name: Of the file that was sent; empty if it had none. Folders in it are left out.
        format: Of the result.

    >>> result_name("C:\\\\rain.JPEG", "JPEG"), result_name("", "PNG")
    ('rain_derained.JPEG', 'picture_derained.png')
    """
    last = "".join(letter for letter in name if letter.isprintable())
    path = PurePath(last.replace("\\", "/").rpartition("/")[2])
    suffix = path.suffix
    if SUFFIXES.get(suffix.lower()) != format:
        suffix = next(iter(suffixes_of(format)))
    stem = path.stem[:LONGEST_NAME].strip(". ") or "picture"
    return f"{stem}{RESULT_MARK}{suffix}"


def refusal_of(error: Exception) -> RefusedError:
    """Return what is answered to an error of reading or writing a picture."""
    if isinstance(error, TooManyPixelsError):
        return RefusedError(413, f"{error.problem}; send a smaller picture")
    if isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError):
        return RefusedError(413, "the picture takes too much memory; send a smaller one")
    if isinstance(error, AnimationError | _UnknownKindError):
        return RefusedError(415, str(error))
    if isinstance(error.__cause__, MissingExtraError):
        return RefusedError(415, "a HEIC picture, which this server cannot read; send a JPEG")
    if isinstance(error, _NotHeldError):
        return RefusedError(406, str(error))
    return RefusedError(400, reason(error))
