"""Image files to arrays and back, with everything that is not pixels kept.

That is alpha, depth, colour profile, EXIF and XMP. `picture` is what a file holds, `reading` and
`writing` decode and encode it, `exif` carries EXIF from one file to the next. Only this package
imports Pillow.
"""

from derain.images.picture import (
    OPAQUE,
    READABLE,
    SUFFIXES,
    Format,
    ImageError,
    Metadata,
    Picture,
    Pixels,
    before_and_after,
    find_images,
    format_of,
    suffixes_of,
    to_eight_bits,
    to_floats,
    to_levels,
)
from derain.images.reading import read, read_image, read_mask
from derain.images.writing import check_alpha, encode, write_image

__all__ = [
    "OPAQUE",
    "READABLE",
    "SUFFIXES",
    "Format",
    "ImageError",
    "Metadata",
    "Picture",
    "Pixels",
    "before_and_after",
    "check_alpha",
    "encode",
    "find_images",
    "format_of",
    "read",
    "read_image",
    "read_mask",
    "suffixes_of",
    "to_eight_bits",
    "to_floats",
    "to_levels",
    "write_image",
]
