"""Image files to pictures, upright.

Pillow reads all that has eight bits a channel; OpenCV reads 16-bit colour, which Pillow has not.
Pictures are turned upright as they are read, because rain falls down.
"""

import io
import os
import struct
import warnings
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
from PIL import Image, ImageCms, JpegImagePlugin, TiffImagePlugin, UnidentifiedImageError
from PIL.ExifTags import Base

from derain.images.exif import read_exif, read_xmp
from derain.images.picture import READABLE, Format, ImageError, Metadata, Picture, Pixels


def read_image(path: str | os.PathLike[str]) -> Pixels:
    """Read an image file as upright RGB.

    Returns:
        (H, W, 3), uint8, or uint16 for files of 16 bits a channel. Alpha is left out; `read` keeps
        it.

    Raises:
        ImageError: If it is not a picture that can be read.
        OSError: If the file cannot be opened.
    """
    try:
        return read(path).pixels
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error.__cause__


def read_mask(path: str | os.PathLike[str]) -> Pixels:
    """Read a picture that says where to work: white there, black elsewhere, grey in part.

    Returns:
        (H, W), upright. Colours count by their mean, what is transparent as black.

    Raises:
        ImageError: If it is not a picture that can be read.
        OSError: If the file cannot be opened.
    """
    try:
        picture = read(path)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error.__cause__
    share = picture.pixels.mean(axis=2)
    if picture.alpha is not None:
        share *= picture.alpha / np.iinfo(picture.alpha.dtype).max
    return np.rint(share).astype(picture.pixels.dtype)


def read(source: str | os.PathLike[str] | bytes) -> Picture:
    """Read an image file, or the bytes of one.

    Raises:
        ImageError: If it is not a picture that can be read: damaged, truncated, empty, animated,
            far too large, another format.
        OSError: If the file cannot be opened.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    if not data:
        raise ImageError(f"an empty file; expected a picture: {READABLE}")
    with warnings.catch_warnings():
        # Pillow warns of odd metadata and of large pictures; both are dealt with here.
        warnings.simplefilter("ignore")
        image = _open(data)
        try:
            frames = getattr(image, "n_frames", 1)
            # An MPO is a phone's JPEG with a preview or depth map behind it.
            if frames > 1 and image.format != "MPO":
                raise ImageError(f"holds {frames} frames or pages; expected one: split it first")
            image.load()
            return _decode(image, data)
        except ImageError:
            raise
        except Exception as error:  # decoders of hostile files raise whatever they stumble over
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ImageError(f"a damaged or truncated {image.format} picture ({reason})") from error


def _open(data: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise ImageError(
            f"not a picture that can be read; expected {READABLE}, found {_describe(data)}"
        ) from None
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise ImageError(
            f"more than {limit} megapixels, which looks like a decompression bomb; cut it into"
            " parts"
        ) from None
    except Exception as error:
        raise ImageError(
            f"a damaged picture ({' '.join(str(error).split()) or type(error).__name__})"
        ) from error
    if image.format not in (*get_args(Format), "MPO"):
        raise ImageError(f"a {image.format} picture; expected {READABLE}")
    return image


def _describe(data: bytes) -> str:
    head = data[:32]
    for start, name in (
        (b"\xff\xd8", "JPEG"),
        (b"\x89PNG", "PNG"),
        (b"II*", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"RIFF", "WebP"),
    ):
        if head.startswith(start):
            return f"a {name} that is damaged or of an unusual kind"
    if b"ftyp" in head[:12]:
        return "HEIC, AVIF or video"
    text = all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head)
    return (
        f"text beginning {head[:20].decode()!r}" if text else f"bytes beginning {head[:8].hex(' ')}"
    )


def _decode(image: Image.Image, data: bytes) -> Picture:
    deep = _bits(image, data) == 16
    notes: list[str] = []
    exif, orientation = read_exif(image, notes)
    icc: bytes = image.info.get("icc_profile") or b""
    grey = image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I;16")
    if image.format == "PNG":
        grey = grey or data[25] == 4  # 16-bit grey with alpha, which Pillow makes RGBA
    if deep:
        pixels, alpha = _decode_deep(data, grey)
        alpha = _grey_key(image, pixels, 16) if grey and alpha is None else alpha
    elif (
        image.mode == "L"
        and isinstance(image.info.get("transparency"), int)
        and image.format == "PNG"
    ):
        pixels = np.array(image.convert("RGB"))
        alpha = _grey_key(image, pixels, data[24])
    elif image.mode == "CMYK":
        image_rgb, icc = _from_cmyk(image, icc)
        notes.append("CMYK became RGB")
        pixels, alpha = np.array(image_rgb), None
    elif image.mode in ("I", "F"):
        raise ImageError("32 bits a channel; expected 8 or 16")
    else:
        pixels, alpha = _split_alpha(image)
    encoding = _encoding(image, data)
    metadata = Metadata(
        format="JPEG" if image.format == "MPO" else _known_format(image.format),
        icc=icc,
        exif=exif,
        xmp=read_xmp(image),
        encoding=encoding,
    )
    upright = _turn(pixels, orientation)
    return Picture(
        upright, None if alpha is None else _turn(alpha, orientation), grey, metadata, tuple(notes)
    )


def _known_format(name: str | None) -> Format:
    return next(known for known in get_args(Format) if known == name)


def _bits(image: Image.Image, data: bytes) -> int:
    """Return the bits of a channel, 8 for fewer.

    Raises:
        ImageError: If there are 16 in an arrangement that nothing here can give back.
    """
    if image.format == "PNG":
        return 16 if data[24] == 16 else 8
    if isinstance(image, TiffImagePlugin.TiffImageFile):
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
        return 16 if depth == 16 else 8
    return 8


def _decode_deep(data: bytes, grey: bool) -> tuple[Pixels, Pixels | None]:
    # OpenCV writes about odd tags on stderr.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    decoded: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16:
        raise ImageError("a 16-bit picture in an arrangement that OpenCV cannot read")
    if decoded.ndim == 2:
        return np.repeat(decoded[..., None], 3, axis=2), None
    pixels = np.ascontiguousarray(decoded[..., 2::-1])
    if grey:
        pixels = np.repeat(pixels[..., :1], 3, axis=2)
    return pixels, decoded[..., 3].copy() if decoded.shape[2] == 4 else None


def _grey_key(image: Image.Image, pixels: Pixels, depth: int) -> Pixels | None:
    """Return the alpha of a grey PNG that names one level as transparent.

    The level is one of the file (PNG 1.2, section 4.2.1.1).
    """
    key = image.info.get("transparency")
    if image.format != "PNG" or not isinstance(key, int):
        return None
    top = np.iinfo(pixels.dtype).max
    return np.where(pixels[..., 0] == key * (top // (2**depth - 1)), 0, top).astype(pixels.dtype)


def _split_alpha(image: Image.Image) -> tuple[Pixels, Pixels | None]:
    if image.has_transparency_data:
        rgba = np.array(image.convert("RGBA"))
        return np.ascontiguousarray(rgba[..., :3]), rgba[..., 3].copy()
    return np.array(image.convert("RGB")), None


def _from_cmyk(image: Image.Image, icc: bytes) -> tuple[Image.Image, bytes]:
    """Convert by the picture's own profile, if it works; return RGB and the result's profile."""
    if icc:
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        try:
            converted = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(io.BytesIO(icc)), srgb, outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError):
            converted = None
        if converted is not None:
            return converted, srgb.tobytes()
    return image.convert("RGB"), b""


def _encoding(image: Image.Image, data: bytes) -> dict[str, Any]:
    encoding: dict[str, Any] = {}
    dpi = tuple(float(value) for value in image.info.get("dpi", ()) if value)
    if len(dpi) == 2 and all(0 < value < 1e6 for value in dpi):
        encoding["dpi"] = dpi
    if isinstance(image, JpegImagePlugin.JpegImageFile) and image.mode in ("L", "RGB"):
        encoding["qtables"] = image.quantization
        if image.mode == "RGB":
            sampling = JpegImagePlugin.get_sampling(image)
            encoding["subsampling"] = sampling if sampling >= 0 else 0
        encoding["progressive"] = bool(image.info.get("progressive"))
    elif image.format == "TIFF":
        encoding["compression"] = image.info.get("compression", "raw")
    elif image.format == "WEBP":
        encoding["lossless"] = _is_lossless_webp(data)
    return encoding


def _is_lossless_webp(data: bytes) -> bool:
    """Look for a VP8L chunk behind the RIFF header, skipping profile and other chunks."""
    place = 12
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        if kind in (b"VP8L", b"VP8 "):
            return kind == b"VP8L"
        place += 8 + length + length % 2
    return False


def _turn(array: Any, orientation: int) -> Any:
    """Return an array upright: rows and columns exchanged and reversed by EXIF orientation."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)
