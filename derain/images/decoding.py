"""Pixels of an open picture, as upright arrays.

Pillow decodes all of them. It has no 16-bit colour, and gives such a picture with the upper or the
lower half of each number, so it is asked for both.

    a number of the file     0x12 0x34
    decoded big-endian       0x12          RGB;16B
    decoded little-endian         0x34     RGB;16L

Arrays are filled by strips, so that a picture is in memory once as Pillow's and once as an array.
"""

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile, TiffImagePlugin
from PIL.ExifTags import Base

from derain.images import png, profiles
from derain.images.picture import ImageError, Pixels

STRIP = 1 << 20
"""Pixels of a strip."""

Opener = Callable[[], ImageFile.ImageFile]


@dataclass(frozen=True)
class Decoded:
    """Decoded pixels, in the orientation of the file.

    Attributes:
        pixels: (H, W, 3), uint8 or uint16.
        alpha: (H, W) of the same type; None if there is none.
        grey: The file has one colour channel.
        icc: Colour profile that takes the place of the file's; None to keep that.
        notes: What could not be kept.
    """

    pixels: Pixels
    alpha: Pixels | None
    grey: bool
    icc: bytes | None = None
    notes: tuple[str, ...] = ()


def decode(image: ImageFile.ImageFile, data: bytes, reopen: Opener) -> Decoded:
    """Return the pixels of a picture.

    Args:
        image: As opened; it is loaded here.
        data: Its file.
        reopen: Opens it once more.

    Raises:
        ImageError: If its kind of pixels cannot be given back, or rows are missing.
    """
    decoded = _decoded(image, data, reopen)
    if image.format == "PNG" and _may_lack_rows(image, decoded) and png.lacks_rows(data):
        raise ImageError("a damaged or truncated PNG picture (its pixels end early)")
    return decoded


def _may_lack_rows(image: ImageFile.ImageFile, decoded: Decoded) -> bool:
    """Return whether it is worth the time to count: what is missing is 0 after decoding."""
    return image.mode == "P" or bool(image.info.get("interlace")) or not decoded.pixels[-1].any()


def _decoded(image: ImageFile.ImageFile, data: bytes, reopen: Opener) -> Decoded:
    if _is_deep(image, data):
        return _deep(image, data, reopen)
    if image.mode in ("I", "F"):
        raise ImageError("32 bits a channel; expected 8 or 16")
    image.load()
    grey = image.mode in ("1", "L", "LA", "La")
    if image.mode == "CMYK":
        pixels, icc = _from_cmyk(image)
        return Decoded(pixels, None, grey, icc, ("CMYK became RGB",))
    key = image.info.get("transparency")
    if image.format == "PNG" and image.mode == "L" and isinstance(key, int):
        pixels, _ = _eight_bits(image, "RGB")
        # The level is one of the file (PNG 1.2, section 4.2.1.1).
        return Decoded(pixels, _key(pixels, key * (255 // (2 ** data[24] - 1))), grey)
    pixels, alpha = _eight_bits(image, "RGBA" if image.has_transparency_data else "RGB")
    return Decoded(pixels, alpha, grey, notes=_unknown_channels(image))


def upright(array: Any, orientation: int) -> Any:
    """Return an array upright: rows and columns exchanged and reversed by EXIF orientation."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def _strips(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """Cut a picture into strips, each with the rows that it has."""
    width, height = image.size
    rows = max(1, STRIP // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        yield slice(top, bottom), image.crop((0, top, width, bottom))


def _eight_bits(image: Image.Image, mode: str) -> tuple[Pixels, Pixels | None]:
    """Return a picture's pixels and, for RGBA, its alpha."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    alpha = np.empty(pixels.shape[:2], np.uint8) if mode == "RGBA" else None
    for rows, part in _strips(image):
        levels = np.asarray(part if part.mode == mode else part.convert(mode))
        pixels[rows] = levels[..., :3]
        if alpha is not None:
            alpha[rows] = levels[..., 3]
    return pixels, alpha


def _from_cmyk(image: Image.Image) -> tuple[Pixels, bytes]:
    """Convert by the picture's own profile, if it works; return RGB and the result's profile."""
    convert: Callable[[Image.Image], Any] | None = None
    icc = b""
    if profile := image.info.get("icc_profile"):
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            transform = ImageCms.buildTransform(own, srgb, "CMYK", "RGB")
        except (ImageCms.PyCMSError, OSError):
            pass
        else:
            icc = profiles.srgb()
            convert = lambda part: ImageCms.applyTransform(part, transform)  # noqa: E731
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for rows, part in _strips(image):
        pixels[rows] = np.asarray(convert(part) if convert else part.convert("RGB"))
    return pixels, icc


def _key(levels: Pixels, key: int | tuple[int, ...]) -> Pixels:
    """Return the alpha of a PNG that names one level, or one colour, as transparent."""
    top = np.iinfo(levels.dtype).max
    keys = (key,) * 3 if isinstance(key, int) else key
    alpha = np.full(levels.shape[:2], top, levels.dtype)
    alpha[np.logical_and.reduce([levels[..., k] == keys[k] for k in range(3)])] = 0
    return alpha


def _unknown_channels(image: Image.Image) -> tuple[str, ...]:
    """Return a note of channels that Pillow drops because nothing says what they are."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or image.mode not in ("RGB", "L"):
        return ()
    known = len(image.getbands())
    more = int(image.tag_v2.get(Base.SamplesPerPixel, known)) - known
    return (f"{more} more channels of no stated meaning were not kept",) if more > 0 else ()


# 16 bits a channel


def _is_deep(image: ImageFile.ImageFile, data: bytes) -> bool:
    """Return whether a picture has 16 bits a channel.

    Raises:
        ImageError: If there are 16 in an arrangement that nothing here can give back.
    """
    if image.format == "PNG":
        return data[24] == 16
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    tags = image.tag_v2
    depth = max(tags.get(Base.BitsPerSample, (1,)))
    if depth not in (1, 2, 4, 8, 16, 32):
        raise ImageError(f"a TIFF of {depth} bits a channel; expected 8 or 16")
    # Black as zero or RGB, channels interleaved, alpha not multiplied into the colours.
    known = (
        tags.get(Base.PhotometricInterpretation) in (1, 2)
        and tags.get(Base.PlanarConfiguration, 1) == 1
        and 1 not in tags.get(Base.ExtraSamples, ())
    )
    if depth == 16 and (image.mode not in ("RGB", "RGBA", "I;16", "I;16B") or not known):
        raise ImageError(
            "a 16-bit TIFF with separate planes, white as zero or premultiplied alpha; expected"
            " plain grey, RGB or RGBA"
        )
    return depth == 16


def _deep(image: ImageFile.ImageFile, data: bytes, reopen: Opener) -> Decoded:
    if image.mode.startswith("I;16"):
        image.load()
        pixels = _grey_levels(image)
        key = image.info.get("transparency")
        alpha = _key(pixels, key) if image.format == "PNG" and isinstance(key, int) else None
        return Decoded(pixels, alpha, grey=True)
    if image.format == "PNG" and data[25] == 4:
        return _deep_grey_alpha(image)
    pixels = np.empty((image.height, image.width, 3), np.uint16)
    alpha = np.empty(pixels.shape[:2], np.uint16) if image.mode == "RGBA" else None
    again = reopen()
    _fill_half(again, pixels, alpha, upper=False)
    again.close()
    # Last, because the chunks behind a PNG's pixels are read by loading it.
    _fill_half(image, pixels, alpha, upper=True)
    key = image.info.get("transparency")
    if alpha is None and isinstance(key, tuple):
        alpha = _key(pixels, key)
    return Decoded(pixels, alpha, grey=False, notes=_unknown_channels(image))


def _fill_half(
    image: ImageFile.ImageFile, pixels: Pixels, alpha: Pixels | None, *, upper: bool
) -> None:
    """Decode the upper or the lower half of each number into arrays of 16 bits."""
    _set_half(image, upper=upper)
    image.load()
    place = int(upper == (sys.byteorder == "little"))
    colours = pixels.view(np.uint8)[:, :, place::2]  # (H, W, 3)
    opacity = None if alpha is None else alpha.view(np.uint8)[:, place::2]  # (H, W)
    for rows, part in _strips(image):
        levels = np.asarray(part)
        colours[rows] = levels[..., :3]
        if opacity is not None:
            opacity[rows] = levels[..., 3]


def _set_half(image: ImageFile.ImageFile, *, upper: bool) -> None:
    """Choose which half of each number is decoded."""

    def arguments(given: Any) -> Any:
        raw = given[0] if isinstance(given, tuple) else given
        if not isinstance(raw, str) or raw[-4:-1] != ";16":
            raise ImageError("a 16-bit picture in an arrangement that Pillow cannot read")
        order = ("L" if sys.byteorder == "little" else "B") if raw[-1] == "N" else raw[-1]
        chosen = raw[:-1] + (order if upper else "LB"[order == "L"])
        return (chosen, *given[1:]) if isinstance(given, tuple) else chosen

    image.tile = [tile._replace(args=arguments(tile.args)) for tile in image.tile]


def _grey_levels(image: Image.Image) -> NDArray[np.uint16]:
    """Return grey of 16 bits as (H, W, 3)."""
    pixels = np.empty((image.height, image.width, 3), np.uint16)
    for rows, part in _strips(image):
        pixels[rows] = np.asarray(part)[..., None]
    return pixels


def _deep_grey_alpha(image: ImageFile.ImageFile) -> Decoded:
    """Two channels of 16 bits are decoded as four of 8, which lie in the file alike."""
    image._mode = "RGBA"  # pyright: ignore[reportPrivateUsage]
    image.tile = [tile._replace(args="RGBA") for tile in image.tile]
    image.load()
    pixels = np.empty((image.height, image.width, 3), np.uint16)
    alpha = np.empty(pixels.shape[:2], np.uint16)
    for rows, part in _strips(image):
        levels = np.ascontiguousarray(np.asarray(part)).view(">u2")
        pixels[rows] = levels[..., :1]
        alpha[rows] = levels[..., 1]
    return Decoded(pixels, alpha, grey=True)
