"""Check before the work whether a format can hold a picture."""

import numpy as np

from derain.images.picture import OPAQUE, Format, ImageError, Picture, has_avif

LONGEST: dict[Format, int] = {"JPEG": 65_500, "WEBP": 16_383, "AVIF": 65_536}
"""Pixels of a side at most: of libjpeg, of WebP itself, of AV1 itself."""
LONGEST_DEEP_PNG = 1_000_000
"""Pixels of a side of a PNG of 16 bits, which OpenCV writes with libpng's bound."""
MOST_BYTES = (1 << 32) - (1 << 24)
"""Bytes of a TIFF or BMP, whose numbers have 32 bits; some are left for what is not pixels."""


def check_format(picture: Picture, format: Format) -> None:
    """Refuse a picture that a format cannot hold.

    Raises:
        ImageError: If it has transparency or more pixels than the format can have, or Pillow was
            built without the format.
    """
    height, width = picture.pixels.shape[:2]
    if problem := _size_problem(picture, format, height, width):
        raise ImageError(problem)
    alpha = picture.alpha
    if alpha is not None and format in OPAQUE and int(alpha.min()) < np.iinfo(alpha.dtype).max:
        raise ImageError(
            f"has transparency, which {format} cannot hold; ask for a .png, .webp or .tif"
        )
    if format == "AVIF" and not has_avif():
        raise ImageError("this Pillow was built without AVIF; ask for a .jpg, .webp or .png")


def check_comparison(picture: Picture, format: Format) -> None:
    """Refuse a picture whose before/after comparison a format cannot hold.

    Raises:
        ImageError: If that is so.
    """
    shape = list(picture.pixels.shape[:2])
    axis, line = _layout(picture)
    shape[axis] += line + shape[axis]
    if problem := _size_problem(picture, format, *shape):
        raise ImageError(f"its before/after comparison would be {problem}, or leave it out")


def before_and_after(before: Picture, after: Picture) -> Picture:
    """Return one picture of two, with a white line between them.

    Pictures that are taller than wide stand side by side, others one above the other.
    """
    axis, width = _layout(before)
    shape = list(before.pixels.shape)
    shape[axis] = width
    line = np.full(shape, np.iinfo(before.pixels.dtype).max, before.pixels.dtype)
    pixels = np.concatenate([before.pixels, line, after.pixels], axis=axis)
    return Picture(pixels, grey=before.grey, metadata=before.metadata.of_colours())


def _layout(picture: Picture) -> tuple[int, int]:
    """Return the axis along which two pictures lie, and how wide the line between them is."""
    height, width = picture.pixels.shape[:2]
    return int(height > width), max(2, round(0.01 * max(height, width)))


def _size_problem(picture: Picture, format: Format, height: int, width: int) -> str:
    """Return why a format cannot hold so many pixels of a picture's kind; empty if it can."""
    if not (height and width):
        return f"{width}x{height}: expected at least one pixel"
    deep = picture.is_deep and format in ("PNG", "TIFF")
    longest = LONGEST_DEEP_PNG if deep and format == "PNG" else LONGEST.get(format, 1 << 31)
    if max(height, width) > longest:
        others = "a .png or .tif" if format != "PNG" else "a .tif"
        return (
            f"{width}x{height} pixels, and {format} has at most {longest} a side; ask for {others}"
        )
    channels = (1 if picture.grey else 3) + (picture.alpha is not None)
    size = height * width * channels * (2 if deep else 1)
    if format in ("TIFF", "BMP") and size > MOST_BYTES:
        return (
            f"{width}x{height} pixels, {size / 1e9:.1f} GB, and {format} holds at most 4 GB; ask"
            " for a .png"
        )
    return ""
