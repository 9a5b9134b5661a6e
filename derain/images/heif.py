"""HEIC, which the package pillow-heif reads, and what AVIF has in common with it.

Both are files of boxes (ISO/IEC 23008-12), whose decoders read sizes before pixels.
"""

import re
import struct
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from derain.extras import MissingExtraError, require
from derain.images.decoding import Decoded
from derain.images.headers import Claim
from derain.images.limits import check_claim
from derain.images.opening import damaged
from derain.images.picture import AnimationError, ImageError, Pixels

AVIF_STORED, HEIF_STORED = 12, 6
"""Bytes that decoders take for each pixel; of HEIC for 8 bits, and twice that for more."""

_NCLX = re.compile(rb"colrnclx(..)(..)", re.DOTALL)
_AV1 = re.compile(rb"av1C\x81(..)", re.DOTALL)
_USUAL_PRIMARIES = (1, 2)
"""BT.709, which sRGB has as well, and "unspecified" (ITU-T H.273, table 2)."""
_USUAL_CURVES = (1, 2, 6, 13, 14, 15)
"""Of BT.709, of what is the same curve, of sRGB, and "unspecified" (table 3)."""


def decode_heif(data: bytes, max_pixels: int | None) -> tuple[Image.Image, Decoded]:
    """Return the primary picture of a HEIC.

    Args:
        data: A file.
        max_pixels: As for `check_claim`.

    Returns:
        A picture of Pillow's with what the file holds besides pixels, and the pixels, upright.

    Raises:
        ImageError: If the file is damaged, or too large, or pillow-heif is not installed.
    """
    try:
        pillow_heif: Any = require("pillow_heif", "a HEIC picture")
    except MissingExtraError as error:  # one such picture among others is no end of the work
        raise ImageError(str(error)) from error
    try:
        file = pillow_heif.open_heif(data, convert_hdr_to_8bit=False)
        width, height = file.size
        deep = 1 + (";16" in file.mode)
        claim = Claim("HEIF", width, height, stored=HEIF_STORED * deep, result=4 * deep)
        check_claim(claim, len(data), max_pixels)
        levels = np.asarray(file)
    except ImageError:
        raise
    except Exception as error:  # decoders of hostile files raise whatever they stumble over
        raise damaged("HEIC", error) from error
    if levels.dtype == np.uint16:
        levels = _stretched(levels, int(file.info.get("bit_depth", 16)))
    carrier = Image.new("L", (1, 1))
    carrier.info = {key: value for key, value in file.info.items() if value}
    return carrier, _decoded(levels, (*_lost(file), *colour_notes(data, carrier)))


def _stretched(levels: Any, depth: int) -> Any:
    """Return levels of some bits, which pillow-heif moves to the upper end, over all of 16 bits.

    White of 10 bits comes as 0xFFC0, and is to be 0xFFFF.
    """
    return levels | levels >> depth if 8 <= depth < 16 else levels


def _decoded(levels: Any, notes: tuple[str, ...]) -> Decoded:
    """(H, W), (H, W, 2), (H, W, 3) or (H, W, 4) as they were decoded -> pixels and alpha."""
    if levels.ndim == 2:
        levels = levels[..., None]
    channels = levels.shape[2]
    alpha: Pixels | None = levels[..., -1].copy() if channels in (2, 4) else None
    grey = channels <= 2
    pixels = np.repeat(levels[..., :1], 3, axis=2) if grey else levels[..., :3]
    return Decoded(np.ascontiguousarray(pixels), alpha, grey, notes=notes)


def _lost(file: Any) -> tuple[str, ...]:
    """Return notes of what lies in a HEIC beside its primary picture."""
    notes: list[str] = []
    if len(file) > 1:
        more = "picture in the file was" if len(file) == 2 else "pictures in the file were"
        notes.append(f"{len(file) - 1} more {more} not kept")
    if file.info.get("depth_images"):
        notes.append("its depth map was not kept")
    if any("gainmap" in str(kind).lower() for kind in file.info.get("aux", {})):
        notes.append("its HDR gain map was not kept")
    return tuple(notes)


def avif_claim(image: ImageFile.ImageFile) -> Claim:
    """Return what an AVIF that is open says it holds.

    Raises:
        AnimationError: If it is a clip.
    """
    frames = int(getattr(image, "n_frames", 1))
    if frames > 1:
        raise AnimationError("AVIF", frames)
    return Claim("AVIF", image.width, image.height, stored=AVIF_STORED, result=4)


def avif_notes(image: Image.Image, data: bytes) -> tuple[str, ...]:
    """Return notes of what Pillow does not give of an AVIF."""
    depths = {
        12 if flags & 0x20 else 10
        for flags in (found[1][1] for found in _AV1.finditer(data))
        if flags & 0x40
    }
    deep = (f"{max(depths)} bits a channel became 8",) if depths else ()
    return (*deep, *colour_notes(data, image))


def colour_notes(data: bytes, image: Image.Image) -> tuple[str, ...]:
    """Return a note of colours that the file describes by numbers, as no other format does.

    A profile in the file makes up for them.
    """
    if image.info.get("icc_profile"):
        return ()
    for found in _NCLX.finditer(data):
        primaries, curve = (struct.unpack(">H", number)[0] for number in found.groups())
        if primaries not in _USUAL_PRIMARIES or curve not in _USUAL_CURVES:
            return (
                f"its colours are described as H.273 primaries {primaries} with transfer {curve},"
                " which was not kept",
            )
    return ()
