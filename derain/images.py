"""Image files to arrays and back, with everything that is not pixels kept: alpha, depth, colour
profile, EXIF, XMP.

The only file that knows Pillow and OpenCV. Pillow reads and writes all that has eight bits; OpenCV
has 16-bit colour, which Pillow has not. Pictures are turned upright as they are read (and their
orientation tag set to 1), because rain falls down.
"""

import io
import os
import re
import struct
import tempfile
import warnings
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import (
    ExifTags,
    Image,
    ImageCms,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
)

Format = Literal["JPEG", "PNG", "WEBP", "TIFF", "BMP"]
Pixels = NDArray[np.uint8 | np.uint16]

SUFFIXES: dict[str, Format] = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}
READABLE = "JPEG, PNG, WebP, TIFF or BMP"
OPAQUE: tuple[Format, ...] = ("JPEG", "BMP")
"""Formats without transparency (a BMP may have some, but few programs read it)."""
JPEG_SEGMENT = 65_000
"""Bytes of EXIF or XMP that fit into a JPEG; more is left out."""
QUALITY = 95
"""Of JPEG and WebP, where the input gives none to keep."""

PNG_LEVEL = 3
"""Of 9: three times as fast as 6, the usual, for files a thirtieth larger."""

_TIFF_LOSSLESS = {"raw": 1, "tiff_lzw": 5, "tiff_adobe_deflate": 8, "packbits": 32773}
# EXIF tags that say how a TIFF file stores its pixels, or how they were turned; not for the next
# file.
_STRUCTURAL_TAGS = frozenset(
    {
        254,
        255,
        256,
        257,
        258,
        259,
        262,
        266,
        273,
        274,
        277,
        278,
        279,
        284,
        292,
        293,
        297,
        301,
        317,
        318,
        319,
        320,
        322,
        323,
        324,
    }
    | {
        325,
        330,
        338,
        339,
        340,
        341,
        347,
        512,
        513,
        514,
        529,
        530,
        531,
        532,
        700,
        33723,
        34377,
        34675,
    }
)
_IFDS = frozenset(int(ifd) for ifd in ExifTags.IFD)
_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:=["']|>))\d""")


class ImageError(ValueError):
    """A picture cannot be read or written; says what was expected, what was found and what to
    do.
    """


@dataclass(frozen=True)
class Metadata:
    """What a picture file holds besides pixels. Empty for what it has not.

    Attributes:
        format: Of the file it was read from.
        icc: Colour profile.
        exif: As after ``Exif\\0\\0``; the orientation tag is 1.
        xmp: The packet as it stood, but for an orientation in it.
        encoding: How the input was encoded, as arguments of Pillow's ``save`` for its own format.
    """

    format: Format = "PNG"
    icc: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""
    encoding: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """A picture: upright RGB, and what has to be there again when it is written.

    Attributes:
        pixels: (H, W, 3), uint8 or uint16.
        alpha: (H, W) of the same type, None if the file has none.
        grey: The file has one colour channel; it will have one when written.
        notes: What could not be kept, in words for the user.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    grey: bool = False
    metadata: Metadata = Metadata()
    notes: tuple[str, ...] = ()

    def with_pixels(self, pixels: Pixels) -> "Picture":
        """The same file with other pixels."""
        return replace(self, pixels=pixels)


def read_image(path: str | os.PathLike[str]) -> Pixels:
    """Reads an image file as upright RGB.

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


def write_image(path: str | os.PathLike[str], pixels: Pixels) -> None:
    """Writes (H, W, 3) RGB or (H, W) grey pixels, uint8 or uint16, in the format its name asks for,
    whole or not at all.

    Raises:
        ImageError: If the name asks for no format known here, or these are no such pixels.
        OSError: If it cannot be written.
    """
    grey = pixels.ndim == 2 or pixels.shape[2:] == (1,)
    if pixels.dtype.name not in ("uint8", "uint16") or not (grey or pixels.shape[2:] == (3,)):
        found = f"{pixels.dtype.name} of shape {pixels.shape}"
        raise ImageError(
            f"{path}: pixels are {found}; expected (H, W, 3) or (H, W) of uint8 or uint16; floats:"
            " scale and round"
        )
    picture = Picture(
        np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2) if grey else pixels, grey=grey
    )
    write_file(path, encode(picture, format_of(path)))


def format_of(path: str | os.PathLike[str]) -> Format:
    """The format a file name asks for.

    Raises:
        ImageError: If it asks for none of ours.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ImageError(
            f"{path}: no picture format is called {suffix or 'nothing'!r}; expected a name in"
            f" {' '.join(SUFFIXES)}"
        )
    return SUFFIXES[suffix]


def find_images(folder: str | os.PathLike[str]) -> tuple[list[Path], list[OSError]]:
    """Picture files anywhere under a folder by their names, img2 before img10, and the folders that
    could not be looked into.
    """
    unreadable: list[OSError] = []
    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=unreadable.append):
        folders.sort(key=natural_key)
        pictures = (
            Path(place, name)
            for name in sorted(names, key=natural_key)
            if Path(name).suffix.lower() in SUFFIXES
        )
        found += [path for path in pictures if os.path.isfile(path)]  # noqa: PTH113 (false, not an error)
    return found, unreadable


def natural_key(text: str) -> list[tuple[int, str]]:
    """Sort key under which ``img2`` comes before ``img10``."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)
    ]


# Reading


def read(source: str | os.PathLike[str] | bytes) -> Picture:
    """Reads an image file, or the bytes of one.

    Raises:
        ImageError: If it is not a picture that can be read: damaged, truncated, empty, animated,
            far too large, another format.
        OSError: If the file cannot be opened.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    if not data:
        raise ImageError(f"an empty file; expected a picture: {READABLE}")
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # Pillow warns of odd metadata and of large pictures; both are dealt with here
        image = _open(data)
        try:
            frames = getattr(image, "n_frames", 1)
            if (
                frames > 1 and image.format != "MPO"
            ):  # MPO: a phone's JPEG with a preview or depth map behind it
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
    exif, orientation = _exif(image, notes)
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
        xmp=_XMP_ORIENTATION.sub(rb"\g<1>1", _xmp(image)),
        encoding=encoding,
    )
    upright = _turn(pixels, orientation)
    return Picture(
        upright, None if alpha is None else _turn(alpha, orientation), grey, metadata, tuple(notes)
    )


def _known_format(name: str | None) -> Format:
    return next(known for known in get_args(Format) if known == name)


def _bits(image: Image.Image, data: bytes) -> int:
    """Bits a channel, 8 for fewer.

    Raises:
        ImageError: If there are 16 in an arrangement that nothing here can give back.
    """
    if image.format == "PNG":
        return 16 if data[24] == 16 else 8
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags = image.tag_v2
        depth = max(tags.get(258, (1,)))
        if depth not in (1, 2, 4, 8, 16, 32):
            raise ImageError(f"a TIFF of {depth} bits a channel; expected 8 or 16")
        known = tags.get(262) in (1, 2) and tags.get(284, 1) == 1 and 1 not in tags.get(338, ())
        if depth == 16 and (image.mode not in ("RGB", "RGBA", "I;16", "I;16B") or not known):
            raise ImageError(
                "a 16-bit TIFF with separate planes, white as zero or premultiplied alpha; expected"
                " plain grey, RGB or RGBA"
            )
        return 16 if depth == 16 else 8
    return 8


def _decode_deep(data: bytes, grey: bool) -> tuple[Pixels, Pixels | None]:
    cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_SILENT
    )  # it writes about odd tags on stderr
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
    """Alpha of a grey PNG that names one level as transparent, in the levels of the file (PNG 1.2,
    section 4.2.1.1).
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
    """RGB by the picture's own profile, if it has one that works, and the profile of the result."""
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


def _exif(image: Image.Image, notes: list[str]) -> tuple[bytes, int]:
    """EXIF without what describes this file's own layout, and the orientation it asked for."""
    try:
        old = image.getexif()
        orientation = int(old.get(ExifTags.Base.Orientation, 1))
        block: bytes = image.info.get("exif", b"").removeprefix(b"Exif\0\0")
        if block and image.format != "TIFF":
            return _upright_exif(block), orientation
        new = Image.Exif()
        for tag, value in old.items():
            if tag not in _STRUCTURAL_TAGS and tag not in _IFDS:
                new[tag] = value
        for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            new.get_ifd(ifd).update(old.get_ifd(ifd))
        if not new and not any(
            new.get_ifd(ifd) for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
        ):
            return b"", orientation
        new[ExifTags.Base.Orientation] = 1
        return new.tobytes().removeprefix(b"Exif\0\0"), orientation
    except (
        Exception
    ):  # EXIF in the wild breaks in every way there is; the pixels are fine all the same
        notes.append("damaged EXIF was not kept")
        return b"", 1


def _upright_exif(block: bytes) -> bytes:
    """An EXIF block as it stands but for its orientation, which becomes 1, and its thumbnail, which
    shows the rain.

    What a camera maker writes holds offsets, so that nothing may move (Exif 2.32, section 4.5; TIFF
    6.0, section 2).
    """
    edited = bytearray(block)
    order = {b"II": "<", b"MM": ">"}[block[:2]]
    (start,) = struct.unpack_from(f"{order}I", block, 4)
    (count,) = struct.unpack_from(f"{order}H", block, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from(f"{order}H", block, entry)
        if tag == ExifTags.Base.Orientation:
            struct.pack_into(f"{order}H", edited, entry + 8, 1)
    struct.pack_into(
        f"{order}I", edited, start + 2 + 12 * count, 0
    )  # no second directory: no thumbnail
    return bytes(edited)


def _xmp(image: Image.Image) -> bytes:
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return packet.encode() if isinstance(packet, str) else bytes(packet)


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
    """Looks for a VP8L chunk behind the RIFF header, skipping profile and other chunks."""
    place = 12
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        if kind in (b"VP8L", b"VP8 "):
            return kind == b"VP8L"
        place += 8 + length + length % 2
    return False


def _turn(array: Any, orientation: int) -> Any:
    """EXIF orientation undone: how rows and columns have to be exchanged and reversed for 1 to
    8.
    """
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


# Writing


def encode(picture: Picture, format: Format) -> bytes:
    """The bytes of a file in a format. What the input's own format needs to look the same (JPEG
    tables, say) is used again.

    Raises:
        ImageError: If the format cannot hold the picture: transparency in a JPEG, a side too long.
    """
    check_alpha(picture, format)
    if format in OPAQUE:
        picture = replace(picture, alpha=None)
    try:
        if picture.pixels.dtype == np.uint16 and format in ("PNG", "TIFF"):
            return _encode_deep(picture, format)
        return _encode_shallow(picture, format)
    except Exception as error:  # encoders given odd metadata raise whatever they stumble over
        raise ImageError(
            f"cannot be written as {format} ({' '.join(str(error).split())})"
        ) from error


def check_alpha(picture: Picture, format: Format) -> None:
    """Raises ImageError if a picture has transparency that a format cannot hold."""
    alpha = picture.alpha
    if alpha is not None and format in OPAQUE and int(alpha.min()) < np.iinfo(alpha.dtype).max:
        raise ImageError(
            f"has transparency, which {format} cannot hold; ask for a .png, .webp or .tif"
        )


def _encode_shallow(picture: Picture, format: Format) -> bytes:
    image = Image.fromarray(_channels(_to_eight_bits(picture)))
    metadata = picture.metadata
    options: dict[str, Any] = dict(metadata.encoding) if metadata.format == format else {}
    if "dpi" in metadata.encoding:
        options["dpi"] = metadata.encoding["dpi"]
    if metadata.icc:
        options["icc_profile"] = metadata.icc
    if (
        metadata.exif
        and format in ("JPEG", "PNG", "WEBP")
        and (format != "JPEG" or len(metadata.exif) < JPEG_SEGMENT)
    ):
        options["exif"] = b"Exif\0\0" + metadata.exif
    if format == "JPEG":
        options |= {} if "qtables" in options else {"quality": QUALITY}
        if image.mode == "RGB":
            options.setdefault("subsampling", 0)
    elif format == "PNG":
        options["compress_level"] = PNG_LEVEL
    elif format == "WEBP":
        options |= {"quality": 100 if options.get("lossless") else QUALITY, "exact": True}
    if metadata.xmp and (format != "JPEG" or len(metadata.xmp) < JPEG_SEGMENT):
        options |= _xmp_options(metadata.xmp, format)
    if format == "TIFF":
        compression = options.get("compression")
        options["compression"] = (
            compression if compression in _TIFF_LOSSLESS else "tiff_adobe_deflate"
        )
    data = _save(image, format, options)
    return _add_tiff_tags(data, metadata) if format == "TIFF" else data


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


def _xmp_options(xmp: bytes, format: Format) -> dict[str, Any]:
    if format in ("JPEG", "WEBP"):
        return {"xmp": xmp}
    if format == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
        return {"pnginfo": info}
    return {}


def _tiff_exif(metadata: Metadata) -> Image.Exif:
    """EXIF and XMP as tags of a TIFF file."""
    exif = Image.Exif()
    if metadata.exif:
        exif.load(b"Exif\0\0" + metadata.exif)
    if metadata.xmp:
        exif[700] = metadata.xmp
    return exif


def _to_eight_bits(picture: Picture) -> Picture:
    if picture.pixels.dtype == np.uint8:
        return picture
    alpha = picture.alpha
    return replace(
        picture, pixels=_shallow(picture.pixels), alpha=None if alpha is None else _shallow(alpha)
    )


def _shallow(values: Pixels) -> Pixels:
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _channels(picture: Picture) -> Pixels:
    """Pixels as they are stored: (H, W), (H, W, 2), (H, W, 3) or (H, W, 4)."""
    pixels: Any = picture.pixels
    if picture.grey:
        pixels = np.rint(pixels.mean(axis=2)).astype(pixels.dtype)
    if picture.alpha is None:
        return pixels
    return np.dstack([pixels, picture.alpha])


def _encode_deep(picture: Picture, format: Format) -> bytes:
    """16 bits a channel by OpenCV, metadata added to what it wrote."""
    if picture.grey and picture.alpha is not None:
        picture = replace(picture, grey=False)  # OpenCV has no grey with alpha
    stored: Any = _channels(picture)
    if stored.ndim == 3:
        stored = stored[..., [2, 1, 0, 3][: stored.shape[2]]]
    compression = _TIFF_LOSSLESS.get(picture.metadata.encoding.get("compression", ""), 8)
    options = [cv2.IMWRITE_TIFF_COMPRESSION, compression] if format == "TIFF" else []
    done, data = cv2.imencode(
        ".png" if format == "PNG" else ".tif", np.ascontiguousarray(stored), options
    )
    if not done:
        raise ImageError(f"OpenCV could not encode 16-bit {format}")
    add = _add_png_chunks if format == "PNG" else _add_tiff_tags
    return add(data.tobytes(), picture.metadata)


def _add_png_chunks(data: bytes, metadata: Metadata) -> bytes:
    """Profile, resolution, EXIF and XMP chunks, put right after the header (PNG 1.2, section 3.2;
    eXIf extension).
    """
    chunks: list[tuple[bytes, bytes]] = []
    if metadata.icc:
        chunks.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc)))
    if "dpi" in metadata.encoding:
        per_metre = (round(value / 0.0254) for value in metadata.encoding["dpi"])
        chunks.append((b"pHYs", struct.pack(">IIB", *per_metre, 1)))
    if metadata.exif:
        chunks.append((b"eXIf", metadata.exif))
    if metadata.xmp:
        chunks.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp))
    header_end = 8 + 4 + 4 + 13 + 4
    return data[:header_end] + b"".join(_png_chunk(*chunk) for chunk in chunks) + data[header_end:]


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def _add_tiff_tags(data: bytes, metadata: Metadata) -> bytes:
    """The file with another directory, put before the pixels, that holds the tags of its own and
    the metadata.

    Pillow writes a directory as if the pixels followed it, and moves their offsets by its length
    (TIFF 6.0, section 2).
    """
    with Image.open(io.BytesIO(data)) as image:
        assert isinstance(image, TiffImagePlugin.TiffImageFile)
        directory = image.tag_v2
        for tag in directory:
            directory[tag] = directory[tag]  # read now what is otherwise read when asked for
    exif = _tiff_exif(metadata)
    for tag, value in exif.items():
        if tag not in _IFDS:
            directory[tag] = value
    for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if exif.get_ifd(ifd):
            directory[ifd] = exif.get_ifd(ifd)
    if metadata.icc:
        directory[34675] = metadata.icc
    if directory.get(277) in (2, 4):
        directory[338] = 2  # the last channel is transparency, not premultiplied
    header = data[:4] + struct.pack("<I" if data[:2] == b"II" else ">I", 8)
    directory[273] = tuple(offset - 8 for offset in directory[273])
    return header + directory.tobytes(8) + data[8:]


def write_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a file whole or not at all: to a temporary name beside it, then moved into place.

    Raises:
        OSError: If it cannot be written; nothing is left behind.
    """
    path = Path(path)
    try:
        handle, draft = tempfile.mkstemp(prefix=".derain-", suffix=".part", dir=path.parent)
    except OSError as error:
        error.filename = str(path)
        raise
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(draft).chmod(0o666 & ~_umask())
        os.replace(draft, path)
    except BaseException as error:
        Path(draft).unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def side_by_side(before: Picture, after: Picture) -> Picture:
    """Before and after in one picture: beside each other if they are taller than wide, else one
    above the other.
    """
    axis = 1 if before.pixels.shape[0] > before.pixels.shape[1] else 0
    shape = list(before.pixels.shape)
    shape[axis] = max(2, round(0.01 * max(shape[:2])))
    line = np.full(shape, np.iinfo(before.pixels.dtype).max, before.pixels.dtype)
    pixels = np.concatenate([before.pixels, line, after.pixels], axis=axis)
    return Picture(pixels, grey=before.grey, metadata=replace(before.metadata, exif=b"", xmp=b""))


def suffixes_of(format: Format) -> Iterable[str]:
    """File name endings of a format, the usual one first."""
    return (suffix for suffix, known in SUFFIXES.items() if known == format)


# Comparing


Grey = NDArray[np.uint8]
Matrix = NDArray[np.float64]
"""(2, 3), an affine map of (x, y, 1); pixel centres are at whole numbers."""


def grey_of(pixels: Pixels, most: int | None = None) -> Grey:
    """BT.601 luma of (H, W, 3) RGB, (h, w) uint8, averaged down to at most so many pixels in
    all.
    """
    eight = pixels if pixels.dtype == np.uint8 else _shallow(pixels)
    grey: Any = cv2.cvtColor(np.ascontiguousarray(eight), cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    factor = 1.0 if most is None else min(1.0, (most / (height * width)) ** 0.5)
    return (
        grey
        if factor == 1
        else resize_grey(grey, (max(1, round(height * factor)), max(1, round(width * factor))))
    )


def resize_grey(grey: Grey, size: tuple[int, int]) -> Grey:
    """(H, W) -> size, (h, w): box averages to make it smaller, bilinear to make it larger."""
    smaller = size[0] <= grey.shape[0] and size[1] <= grey.shape[1]
    result: Any = cv2.resize(
        grey, (size[1], size[0]), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    )
    return result


def find_features(grey: Grey, most: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scale-invariant features (Lowe 2004): places (n, 2) as x, y and descriptors (n, 128), n <=
    most.

    The strongest of each sixteenth of the picture in turn, so that a field of hay does not use up
    all there are.
    """
    sift: Any = cv2.SIFT.create(nfeatures=2 * most, contrastThreshold=0.02)
    points, descriptors = sift.detectAndCompute(grey, None)
    if descriptors is None:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32)
    places = np.array([point.pt for point in points], np.float32)
    part = (places * 4 // grey.shape[::-1]) @ [1, 4]
    order = np.lexsort(([-point.response for point in points], part))
    in_part = np.arange(len(order)) - np.searchsorted(part[order], part[order])
    chosen = order[np.argsort(in_part, kind="stable")[:most]]
    return places[chosen], descriptors[chosen]


def fit_affine(
    places: NDArray[np.float32], targets: NDArray[np.float32], tolerance: float
) -> tuple[Matrix, NDArray[np.bool_]] | None:
    """The affine map that takes most of (n, 2) places to within `tolerance` pixels of their
    targets, and which: (n,).

    None if there is none. By RANSAC (Fischler and Bolles 1981), with the same random numbers every
    time.
    """
    if len(places) < 3:
        return None
    matrix, inside = cv2.estimateAffine2D(
        places, targets, ransacReprojThreshold=tolerance, maxIters=1000
    )
    found: Any = matrix
    return None if found is None else (found, inside.ravel().astype(bool))


def warp_grey(grey: Grey, matrix: Matrix, size: tuple[int, int]) -> Grey:
    """The picture of `size` (h, w) whose pixel x, y is the grey picture's at matrix @ (x, y, 1);
    edges are repeated.
    """
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    result: Any = cv2.warpAffine(
        grey, matrix, (size[1], size[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return result


def blur(plane: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """(H, W) under a Gaussian window of this standard deviation in pixels."""
    result: Any = cv2.GaussianBlur(plane, (0, 0), sigma)
    return result
