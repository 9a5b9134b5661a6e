"""Image files to pictures, upright.

`headers` and `limits` look at a file before anything is decoded, `opening` and `decoding` make
arrays of it. Pictures are turned upright as they are read, because rain falls down.
"""

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin

from derain.images import exif, webp
from derain.images.decoding import Decoded, decode, upright
from derain.images.headers import Claim, kind_of
from derain.images.heif import avif_claim, avif_notes, decode_heif
from derain.images.limits import MAX_PIXELS, check_claim
from derain.images.messages import caught_messages, without_bound, without_warnings
from derain.images.metadata import bare, exif_of, read_metadata, with_profile
from derain.images.opening import damaged, header_of, open_picture
from derain.images.picture import (
    READABLE,
    AnimationError,
    ImageError,
    Picture,
    Pixels,
    TooManyPixelsError,
)
from derain.images.tiff_pages import beginning_with

MOST_BYTES = 16
"""Bytes of a file for each pixel that it may have; no format needs as many."""
_STRIP = 256
"""Rows of a mask that are averaged at once."""


def read_image(path: str | os.PathLike[str], max_pixels: int | None = None) -> Pixels:
    """Read an image file as upright RGB.

    Args:
        path: A file.
        max_pixels: As for `read`.

    Returns:
        (H, W, 3), uint8, or uint16 for files of 16 bits a channel. Alpha is left out; `read` keeps
        it.

    Raises:
        ImageError: If it is not a picture that can be read.
        OSError: If the file cannot be opened.
    """
    return _read_named(path, max_pixels).pixels


def _read_named(path: str | os.PathLike[str], max_pixels: int | None = None) -> Picture:
    """Read an image file; errors begin with its name."""
    try:
        return read(path, max_pixels)
    except TooManyPixelsError as error:
        raise TooManyPixelsError(f"{path}: {error.problem}", needed=error.needed) from None
    except AnimationError as error:
        raise AnimationError(error.kind, error.frames, os.fspath(path)) from None
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error.__cause__


def read_mask(path: str | os.PathLike[str], max_pixels: int | None = None) -> Pixels:
    """Read a picture that says where to work: white there, black elsewhere, grey in part.

    Args:
        path: A file.
        max_pixels: As for `read`.

    Returns:
        (H, W), upright. Colours count by their mean, what is transparent as black.

    Raises:
        ImageError: If it is not a picture that can be read.
        OSError: If the file cannot be opened.
    """
    picture = _read_named(path, max_pixels)
    mask = np.empty(picture.pixels.shape[:2], picture.pixels.dtype)
    for top in range(0, len(mask), _STRIP):  # floats of the whole would take more than the picture
        rows = slice(top, top + _STRIP)
        share = picture.pixels[rows].mean(axis=2)
        if picture.alpha is not None:
            share *= picture.alpha[rows] / np.iinfo(mask.dtype).max
        mask[rows] = np.rint(share)
    return mask


def read(source: str | os.PathLike[str] | bytes, max_pixels: int | None = None) -> Picture:
    """Read an image file, or the bytes of one.

    Args:
        source: A file's name, or its content.
        max_pixels: Pixels that it may have at most. None for `MAX_PIXELS`, and then a file that
            would take far more memory than its size suggests is refused, too.

    Raises:
        TooManyPixelsError: If it has more pixels.
        AnimationError: If it is a clip.
        ImageError: If it is not a picture that can be read: damaged, truncated, empty, of several
            pages, of another format, or of one that takes a package that is not installed.
        OSError: If the file cannot be opened.
    """
    data = source if isinstance(source, bytes) else _content(Path(source), max_pixels)
    if not data:
        raise ImageError(f"an empty file; expected a picture: {READABLE}")
    # Whatever a decoder says or raises becomes one line.
    with without_warnings(), caught_messages() as said:
        claim = header_of(data)
        if claim.kind == "HEIF":
            image, decoded = decode_heif(data, max_pixels)
            return _picture(image, data, decoded, claim)
        data = _judged(data, claim, max_pixels)
        with without_bound(claim.pixels):
            return _opened(data, claim, max_pixels, said)


def is_marked(source: str | os.PathLike[str] | bytes, max_pixels: int | None = None) -> bool:
    """Return whether a file says that derain made it; but for HEIC no pixels are decoded.

    Args:
        source: A file's name, or its content.
        max_pixels: As for `read`.

    Raises:
        ImageError: If it is not a picture that can be read.
        OSError: If it cannot be opened.
    """
    data = source if isinstance(source, bytes) else _content(Path(source), max_pixels)
    if kind_of(data) == "HEIF":
        return read(data, max_pixels).is_result
    with without_warnings(), caught_messages() as said:
        claim = header_of(data)
        data = _judged(data, claim, max_pixels)
        try:
            with without_bound(claim.pixels), open_picture(bare(data), claim) as image:
                return exif.is_result(exif_of(image, data))
        except ImageError:
            raise
        except Exception as error:  # as in `_opened`
            raise damaged(claim.kind, error, said) from error


def _judged(data: bytes, claim: Claim, max_pixels: int | None) -> bytes:
    """Return a file that begins with its picture, unless its header claims too much.

    Raises:
        TooManyPixelsError: As `check_claim`.
        ImageError: As `check_claim`.
    """
    if claim.kind != "AVIF":  # of which only the decoder knows the size
        check_claim(claim, len(data), max_pixels)
    return beginning_with(data, claim.page) if claim.page else data


def _opened(data: bytes, claim: Claim, max_pixels: int | None, said: list[str]) -> Picture:
    """Return a picture of a format that Pillow knows.

    Args:
        data: A file.
        claim: What its header says.
        max_pixels: As for `read`.
        said: What decoders say meanwhile.
    """
    try:
        plain = bare(data)
        image = with_profile(open_picture(plain, claim), data)
        if claim.kind == "AVIF":
            check_claim(avif_claim(image), len(data), max_pixels)
        decoded = decode(image, plain, lambda: open_picture(plain, claim))
        return _picture(image, data, decoded, claim)
    except ImageError:
        raise
    except Exception as error:  # decoders of hostile files raise whatever they stumble over
        raise damaged(claim.kind, error, said) from error


def _content(path: Path, max_pixels: int | None) -> bytes:
    """Return the bytes of a file, unless no picture of the allowed size has so many.

    Raises:
        ImageError: If it has more.
        OSError: If it cannot be opened.
    """
    found = path.stat()
    most = MOST_BYTES * (MAX_PIXELS if max_pixels is None else max_pixels)
    if stat.S_ISREG(found.st_mode) and found.st_size > max(most, 1 << 30):
        raise ImageError(f"a file of {found.st_size / 1e9:.1f} GB, which is no picture")
    return path.read_bytes()


def _picture(image: Image.Image, data: bytes, decoded: Decoded, claim: Claim) -> Picture:
    """Return decoded pixels upright, with what the file holds besides them.

    Args:
        image: The open picture; its pixels are let go.
        data: The file.
        decoded: Its pixels.
        claim: What its header says.
    """
    notes = list(decoded.notes)
    if claim.kind == "AVIF":
        notes += avif_notes(image, data)
    if claim.left_out:
        notes.append(f"not kept: {claim.left_out} in the file")
    # A HEIC's decoder has turned it, whatever EXIF says (ISO/IEC 23008-12, 6.5.10).
    is_upright = claim.kind == "HEIF"
    metadata, orientation = read_metadata(image, data, notes, upright=is_upright)
    encoding = {**metadata.encoding, **_encoding(image, data)}
    icc = metadata.icc if decoded.icc is None else decoded.icc
    image.close()
    return Picture(
        upright(decoded.pixels, orientation),
        None if decoded.alpha is None else upright(decoded.alpha, orientation),
        decoded.grey,
        replace(metadata, icc=icc, encoding=encoding),
        tuple(notes),
        is_result=exif.is_result(metadata.exif),
    )


def _encoding(image: Image.Image, data: bytes) -> dict[str, Any]:
    encoding: dict[str, Any] = {}
    if isinstance(image, JpegImagePlugin.JpegImageFile) and image.mode in ("L", "RGB"):
        if tables := _quantization_tables(image):
            encoding["qtables"] = tables
        if image.mode == "RGB":
            sampling = JpegImagePlugin.get_sampling(image)
            encoding["subsampling"] = sampling if sampling >= 0 else 0
        encoding["progressive"] = bool(image.info.get("progressive"))
    elif image.format == "TIFF":
        encoding["compression"] = image.info.get("compression", "raw")
    elif image.format == "WEBP":
        encoding["lossless"] = webp.is_lossless(data)
    return encoding


def _quantization_tables(image: JpegImagePlugin.JpegImageFile) -> list[list[int]]:
    """Return a table for each component, as Pillow writes them: the last is for all that follow.

    A file gives its tables any numbers from 0 to 3, and may hold some that it does not use.
    """
    numbers = [number for _, _, _, number in image.layer]
    if not set(numbers) <= set(image.quantization):
        return []  # they come between the scans
    tables = [image.quantization[number] for number in numbers]
    while len(tables) > 1 and tables[-1] == tables[-2]:
        tables.pop()
    return tables
