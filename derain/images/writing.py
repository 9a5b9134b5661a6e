"""Pictures to image files, with the metadata that they were read with."""

import io
import os
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from PIL import Image

from derain.arrays import as_array
from derain.errors import is_out_of_memory
from derain.files import write_file
from derain.images import png, webp
from derain.images.attaching import save_options, with_metadata
from derain.images.holding import check_format
from derain.images.picture import (
    DEEP,
    OPAQUE,
    Format,
    ImageError,
    Picture,
    Pixels,
    format_of,
    to_eight_bits,
)

QUALITY = 95
"""Of JPEG and WebP, where the input gives none to keep, and of AVIF."""
_TIFF_LOSSLESS = {"raw": 1, "tiff_lzw": 5, "tiff_adobe_deflate": 8, "packbits": 32773}


def write_image(path: str | os.PathLike[str], pixels: object) -> None:
    """Write pixels in the format that the file name asks for, completely or not at all.

    Args:
        path: A name with a suffix of `SUFFIXES`.
        pixels: (H, W, 3) RGB, (H, W, 4) with alpha last, (H, W) or (H, W, 1) grey; uint8 or uint16.
            An array, a PIL image, whose metadata is not written, or a tensor, channels first.

    Raises:
        ImageError: If the name asks for no format known here, or these are no such pixels.
        TypeError: If they are something else.
        OSError: If it cannot be written.
    """
    levels = as_array(pixels)
    format = format_of(path)
    try:
        data = encode(_picture_of(levels), format)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error.__cause__
    write_file(path, data)


def _picture_of(pixels: Pixels) -> Picture:
    """Return pixels as a picture; grey ones have one channel, or no axis for it."""
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    channels = planes.shape[2] if planes.ndim == 3 else 0
    if channels not in (1, 3, 4):
        raise ImageError(
            f"pixels are {pixels.dtype.name} of shape {pixels.shape}; expected (H, W, 3), (H, W, 4)"
            " or (H, W) of uint8 or uint16"
        )
    if channels == 1:
        return Picture(np.repeat(planes, 3, axis=2), grey=True)
    return Picture(planes[..., :3], planes[..., 3] if channels == 4 else None)


def encode(picture: Picture, format: Format, notes: list[str] | None = None) -> bytes:
    """Return the bytes of a file in a format.

    What the input's own format needs to look the same, such as JPEG tables, is used again.

    Args:
        picture: Its metadata goes along as far as the format can hold it.
        format: Of the file.
        notes: Gets a line for the user about what the format cannot hold.

    Raises:
        ImageError: If the format cannot hold the picture: transparency in a JPEG, a side too long.
    """
    check_format(picture, format)
    if format in OPAQUE:
        picture = replace(picture, alpha=None)
    is_deep = picture.is_deep and format in DEEP
    try:
        if is_deep and format == "TIFF" and picture.alpha is not None:
            picture = replace(picture, grey=False)  # OpenCV has no grey with alpha
        data = _encode_deep(picture, format) if is_deep else _encode_shallow(picture, format)
        return with_metadata(data, picture, format, [] if notes is None else notes)
    except Exception as error:  # encoders given odd metadata raise whatever they stumble over
        lacks_memory = is_out_of_memory(error)
        why = "the memory does not suffice" if lacks_memory else " ".join(str(error).split())
        raise ImageError(f"cannot be written as {format} ({why})") from error


def _encode_shallow(picture: Picture, format: Format) -> bytes:
    """Encode eight bits a channel by Pillow, with no metadata that can be added later."""
    picture = _in_eight_bits(picture)
    image = Image.fromarray(_channels(picture))
    metadata = picture.metadata
    options: dict[str, Any] = dict(metadata.encoding) if metadata.format == format else {}
    if "dpi" in metadata.encoding:
        options["dpi"] = metadata.encoding["dpi"]
    if format == "JPEG":
        options |= {} if "qtables" in options else {"quality": QUALITY}
        if image.mode == "RGB":
            options.setdefault("subsampling", 0)
    elif format == "PNG":
        options["compress_level"] = png.PNG_LEVEL
    elif format == "WEBP":
        options |= {"quality": 100 if options.get("lossless") else QUALITY, "exact": True}
    elif format == "AVIF":
        options |= {"quality": QUALITY, "subsampling": "4:4:4", **save_options(picture)}
    if format == "TIFF":  # only compressions that lose nothing
        compression = options.get("compression")
        options["compression"] = (
            compression if compression in _TIFF_LOSSLESS else "tiff_adobe_deflate"
        )
    data = _save(image, format, options)
    if format == "WEBP" and picture.alpha is not None and int(picture.alpha.min()) == 255:
        return webp.with_opaque_alpha(data, image.width, image.height)
    return data


def _save(image: Image.Image, format: Format, options: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    try:
        image.save(out, format, **options)
    except OSError:
        if not options.get("progressive"):
            raise
        # Pillow's buffer is too small for some progressive JPEGs of high quality.
        return _save(image, format, options | {"progressive": False})
    return out.getvalue()


def _in_eight_bits(picture: Picture) -> Picture:
    alpha = None if picture.alpha is None else to_eight_bits(picture.alpha)
    return replace(picture, pixels=to_eight_bits(picture.pixels), alpha=alpha)


def _channels(picture: Picture) -> Pixels:
    """Return pixels as they are stored: (H, W), (H, W, 2), (H, W, 3) or (H, W, 4)."""
    pixels: Any = picture.pixels
    if picture.grey:
        pixels = np.rint(pixels.mean(axis=2)).astype(pixels.dtype)
    if picture.alpha is None:
        return pixels
    return np.dstack([pixels, picture.alpha])


def _encode_deep(picture: Picture, format: Format) -> bytes:
    """Encode 16 bits a channel by OpenCV, without metadata."""
    stored: Any = _channels(picture)
    if picture.grey and picture.alpha is not None:
        return png.encoded_grey_with_alpha(stored)
    if stored.ndim == 3:
        stored = stored[..., [2, 1, 0, 3][: stored.shape[2]]]
    compression = _TIFF_LOSSLESS.get(picture.metadata.encoding.get("compression", ""), 8)
    options = [cv2.IMWRITE_TIFF_COMPRESSION, compression] if format == "TIFF" else []
    done, data = cv2.imencode(
        ".png" if format == "PNG" else ".tif", np.ascontiguousarray(stored), options
    )
    if not done:
        raise ImageError(f"OpenCV could not encode 16-bit {format}")
    return data.tobytes()
