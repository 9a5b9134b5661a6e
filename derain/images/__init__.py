"""Image files to arrays and back, with everything that is not pixels kept.

That is alpha, depth, colour profile, EXIF, XMP and all else. `picture` is what a file holds,
`reading` and `writing` decode and encode it. What a file claims is read by `headers` and
`tiff_pages`, and judged by `limits`; what a format can hold, by `holding`.

`metadata` gathers what is not pixels and corrects it, `attaching` puts it into the new file. Each
kind of file has its module (`jpeg`, `png`, `webp`, `tags` of TIFF), and so has what several of them
hold (`exif`, `xmp`, `photoshop`, `profiles`). Only this package imports Pillow.
"""

from derain.images.holding import before_and_after, check_comparison, check_format
from derain.images.limits import MAX_PIXELS
from derain.images.picture import (
    OPAQUE,
    READABLE,
    READABLE_SUFFIXES,
    SUFFIXES,
    AnimationError,
    Format,
    ImageError,
    Metadata,
    Picture,
    Pixels,
    TooManyPixelsError,
    find_images,
    format_of,
    levels_of,
    readable_suffixes,
    suffixes_of,
    to_eight_bits,
    to_floats,
    to_levels,
)
from derain.images.reading import is_marked, read, read_image, read_mask
from derain.images.writing import encode, write_image

__all__ = [
    "MAX_PIXELS",
    "OPAQUE",
    "READABLE",
    "READABLE_SUFFIXES",
    "SUFFIXES",
    "AnimationError",
    "Format",
    "ImageError",
    "Metadata",
    "Picture",
    "Pixels",
    "TooManyPixelsError",
    "before_and_after",
    "check_comparison",
    "check_format",
    "encode",
    "find_images",
    "format_of",
    "is_marked",
    "levels_of",
    "read",
    "read_image",
    "read_mask",
    "readable_suffixes",
    "suffixes_of",
    "to_eight_bits",
    "to_floats",
    "to_levels",
    "write_image",
]
