"""From bytes to an open picture: the decoder of the format, the right page, nothing too large."""

import importlib
import io
from collections.abc import Callable, Mapping, Sequence

from PIL import (
    BmpImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from derain.errors import is_out_of_memory
from derain.images import gif
from derain.images.headers import Claim, claim_of
from derain.images.picture import AnimationError, ImageError, has_avif

_CLASSES: Mapping[str, type[ImageFile.ImageFile]] = {
    "BMP": BmpImagePlugin.BmpImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
}
"""Pillow's own way, by trying, would let hostile files choose among all decoders of the process."""
LONGEST = 300
"""Characters of what decoders say."""


def header_of(data: bytes) -> Claim:
    """Return what a file says that it holds.

    Raises:
        AnimationError: If it is a clip, or a GIF, which is treated as one.
        ImageError: If it is no picture that can be read, or its header is damaged.
    """
    if gif.is_gif(data) and (frames := gif.frames_of(data)):
        raise AnimationError("GIF", frames)
    claim = claim_of(data)
    if claim.frames > 1:
        raise AnimationError(claim.kind, claim.frames)
    return claim


def open_picture(data: bytes, claim: Claim) -> ImageFile.ImageFile:
    """Return a picture as Pillow opens it, at its page; no pixels are decoded yet.

    Args:
        data: A file.
        claim: What its header says; not HEIF, which Pillow does not know.

    Raises:
        ImageError: If the file is damaged, or this Pillow lacks the decoder.
    """
    try:
        image = _class_of(claim.kind)(io.BytesIO(data))
    except ImageError:
        raise
    except Exception as error:  # decoders of hostile files raise whatever they stumble over
        raise damaged(claim.kind, error) from error
    # A second header could claim more than the one that was judged.
    if claim.pixels and image.size != (claim.width, claim.height):
        width, height = image.size
        raise ImageError(
            f"a damaged {claim.kind} picture (its headers say {claim.width}x{claim.height} and"
            f" {width}x{height})"
        )
    return image


def damaged(kind: str, error: Exception, said: Sequence[str] = ()) -> ImageError:
    """Return the error for a picture that a decoder failed on.

    Args:
        kind: Its format.
        error: What the decoder raised.
        said: What it printed.
    """
    if is_out_of_memory(error):
        return ImageError(
            f"a {kind} picture that needs more memory than there is; expected a smaller one"
        )
    reason = " ".join(str(error).split()) or type(error).__name__
    if reason == "unknown pixel mode":  # what Pillow says of sound files that it has no mode for
        return ImageError(
            f"a {kind} picture with pixels of a kind that cannot be read; expected grey, RGB or"
            " RGBA of 8 or 16 bits a channel"
        )
    more = " ".join(f"{reason}; {'; '.join(dict.fromkeys(said))}".split()) if said else reason
    return ImageError(f"a damaged or truncated {kind} picture ({more[:LONGEST]})")


def _class_of(kind: str) -> Callable[[io.BytesIO], ImageFile.ImageFile]:
    if kind != "AVIF":
        return _CLASSES[kind]
    if not has_avif():
        raise ImageError(
            "an AVIF picture, which this Pillow was built without; expected Pillow 11.3 or later"
            " as PyPI has it: pip install -U pillow"
        )
    return importlib.import_module("PIL.AvifImagePlugin").AvifImageFile
