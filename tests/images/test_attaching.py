"""Profile, EXIF and XMP in what is written, as Pillow sees them."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin

from derain import images

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" dc:creator="A.'
    b' Nyone"/></x:xmpmeta>'
)


def exif_bytes(orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera & Sons"
    exif[ExifTags.Base.Orientation] = orientation
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] = TiffImagePlugin.IFDRational(
        1, 250
    )
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return exif.tobytes()


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_and_reset(photo: NDArray[np.uint8], orientation: int) -> None:
    data = saved(Image.fromarray(photo), "PNG", exif=exif_bytes(orientation))
    picture = images.read(data)
    undo = {
        1: photo,
        2: photo[:, ::-1],
        3: photo[::-1, ::-1],
        4: photo[::-1],
        5: photo.swapaxes(0, 1),
        6: np.rot90(photo, -1),
        7: photo[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(photo),
    }
    assert np.array_equal(picture.pixels, undo[orientation])
    assert (
        Image.open(io.BytesIO(images.encode(picture, "JPEG"))).getexif()[ExifTags.Base.Orientation]
        == 1
    )


@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("target", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_profile_exif_and_xmp_go_from_every_format_to_every_other(
    photo: NDArray[np.uint8], source: images.Format, target: images.Format
) -> None:
    first = images.Picture(
        photo,
        metadata=images.Metadata(icc=ICC, exif=exif_bytes().removeprefix(b"Exif\0\0"), xmp=XMP),
    )
    picture = images.read(images.encode(first, source))
    check_metadata(Image.open(io.BytesIO(images.encode(picture, target))))


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bit_files_keep_profile_exif_and_xmp(
    photo: NDArray[np.uint8], format: images.Format
) -> None:
    metadata = images.Metadata(icc=ICC, exif=exif_bytes().removeprefix(b"Exif\0\0"), xmp=XMP)
    deep = images.Picture(photo.astype(np.uint16) * 257, metadata=metadata)
    picture = images.read(images.encode(deep, format))
    assert np.array_equal(picture.pixels, deep.pixels)
    again = images.encode(picture, format)
    check_metadata(Image.open(io.BytesIO(again)))
    assert np.array_equal(images.read(again).pixels, deep.pixels)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_exif_keeps_every_byte_but_the_orientation(
    photo: NDArray[np.uint8], order: str, format: images.Format
) -> None:
    text = "© José\0\0".encode()
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, 2)
    artist = struct.pack(f"{order}HHII", 0x013B, 2, len(text), 8 + 2 + 24 + 4)

    def block(orientation: int) -> bytes:
        return (
            head
            + struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
            + artist
            + struct.pack(f"{order}I", 0)
            + text
        )

    picture = images.read(saved(Image.fromarray(photo), format, exif=b"Exif\0\0" + block(8)))
    assert picture.pixels.shape == (160, 120, 3)
    assert picture.metadata.exif == block(1)


def check_metadata(image: Image.Image) -> None:
    assert image.info.get("icc_profile") == ICC
    exif = image.getexif()
    assert exif[ExifTags.Base.Make] == "Camera & Sons"
    assert float(exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime]) == pytest.approx(
        1 / 250
    )
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
    packet = image.info.get("xmp") or image.info["XML:com.adobe.xmp"].encode()
    assert packet == XMP.replace(b'Orientation="6"', b'Orientation="1"')


def test_damaged_exif_does_not_cost_the_picture(photo: NDArray[np.uint8]) -> None:
    data = saved(
        Image.fromarray(photo), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xee" * 40
    )
    assert images.read(data).pixels.shape == photo.shape
