"""All of what a file holds: from every format to every other, kept or said in one short line."""

import io
import struct
import zlib
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from containers import (
    IPTC,
    block_of,
    colours,
    directory,
    image_resource,
    jpeg_with,
    png_with,
    riff_chunks,
    saved,
    tiff_with,
)
from PIL import Image, features

from derain import images
from derain.images import profiles
from derain.images.metadata import listed

FORMATS: list[images.Format] = [
    format for format in get_args(images.Format) if format != "AVIF" or features.check("avif")
]
XMP = b'<x:xmpmeta><rdf:Description dc:creator="A. Nyone"/></x:xmpmeta>'
BLOCK = block_of("<", [(271, 2, 7, b"Camera\0"), (315, 2, 9, b"A. Nyone\0")])
HEAD = b"http://ns.adobe.com/xap/1.0/\0"


def everything(format: images.Format) -> bytes:
    """Return a file with one of each that its format can hold."""
    icc = profiles.srgb()
    if format == "JPEG":
        segments = [
            (0xE1, HEAD + XMP),
            (0xED, b"Photoshop 3.0\0" + image_resource(0x0404, IPTC)),
            (0xE5, b"maker's own"),
            (0xFE, b"a comment"),
        ]
        plain = saved(colours(), "JPEG", exif=b"Exif\0\0" + BLOCK, icc_profile=icc, dpi=(240, 240))
        return jpeg_with(plain, segments)
    if format == "PNG":
        chunks = [
            (b"eXIf", BLOCK),
            (b"iCCP", b"a name\0\0" + zlib.compress(icc)),
            (b"pHYs", struct.pack(">IIB", 9449, 9449, 1)),
            (b"tEXt", b"Title\0rain"),
            (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        ]
        return png_with(saved(colours(), "PNG"), chunks)
    if format == "TIFF":
        tags = [
            (700, 1, len(XMP), XMP),
            (33723, 7, len(IPTC), IPTC),
            (65000, 2, 8, b"private\0"),
            *directory(BLOCK).values(),
        ]
        return tiff_with(saved(colours(), "TIFF", icc_profile=icc, dpi=(240, 240)), tags)
    if format == "BMP":
        return saved(colours(), "BMP", dpi=(240, 240))
    return saved(colours(), format, exif=b"Exif\0\0" + BLOCK, icc_profile=icc, xmp=XMP)


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_what_formats_share_goes_to_every_other_and_the_rest_is_said(
    source: images.Format, target: images.Format
) -> None:
    picture = images.read(everything(source))
    notes: list[str] = []
    written = images.encode(replace(picture, is_result=True), target, notes)
    image = Image.open(io.BytesIO(written))
    image.load()
    again = images.read(written)
    assert len(notes) <= 1
    if source != "BMP" and target != "BMP":
        assert again.metadata.icc == profiles.srgb()
        assert again.metadata.xmp == XMP
        assert image.getexif()[271] == "Camera"
        assert again.is_result
    if source in ("JPEG", "TIFF") and target in ("JPEG", "TIFF", "PNG"):
        assert IPTC in again.metadata.photoshop + again.metadata.iptc
    if source in ("JPEG", "PNG", "TIFF", "BMP"):
        dpi = image.getexif()[282] if target in ("WEBP", "AVIF") else image.info["dpi"][0]
        assert float(dpi) == pytest.approx(240, abs=0.1)
    own = {"PNG": "PNG text", "TIFF": "TIFF tag 65000", "JPEG": "JPEG APP5 maker"}.get(source)
    if own and source != target:
        assert own in notes[0]
    elif source == target:
        assert notes == []


def test_reading_what_was_written_gives_the_same_again() -> None:
    formats: list[images.Format] = ["JPEG", "PNG", "WEBP", "TIFF"]
    for format in formats:
        picture = images.read(everything(format))
        again = images.read(images.encode(picture, format))
        assert replace(again.metadata, encoding={}) == replace(picture.metadata, encoding={})
        third = images.encode(images.read(images.encode(again, format)), format)
        assert images.read(third).metadata == again.metadata


def test_orientation_by_xmp_alone_is_applied() -> None:
    packet = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    picture = images.read(jpeg_with(saved(colours(), "JPEG"), [(0xE1, HEAD + packet)]))
    assert picture.pixels.shape == (9, 6, 3)
    written = images.encode(picture, "JPEG")
    assert images.read(written).pixels.shape == (9, 6, 3)
    assert b'tiff:Orientation="1"' in written


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_turned_pictures_exchange_their_resolution(format: images.Format) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    data = saved(colours(), format, dpi=(300, 150), exif=exif.tobytes())
    if format == "TIFF":
        data = tiff_with(data, [(0x0112, 3, 1, b"\x08\0")])
    picture = images.read(data)
    assert picture.pixels.shape == (9, 6, 3)
    for target in ("JPEG", "PNG", "TIFF", "BMP"):
        dpi = Image.open(io.BytesIO(images.encode(picture, target))).info["dpi"]  # pyright: ignore[reportArgumentType]
        assert dpi == pytest.approx((150, 300), abs=0.1)


def test_comparisons_have_colours_and_no_words() -> None:
    chunks = [(b"gAMA", struct.pack(">I", 100_000)), (b"tEXt", b"Title\0rain"), (b"eXIf", BLOCK)]
    chunks += [(b"pHYs", struct.pack(">IIB", 3, 4, 0))]
    picture = images.read(png_with(saved(colours(), "PNG"), chunks))
    both = images.before_and_after(picture, picture)
    assert both.metadata.aspect == (3, 4)
    assert [extra.key for extra in both.metadata.extras] == [b"gAMA"]
    assert both.metadata.exif == b""


def test_a_profile_of_grey_fits_a_webp_which_has_none() -> None:
    grey = profiles.of_png({b"sRGB": b"\0"}, [], grey=True)
    picture = images.Picture(colours(), grey=True, metadata=images.Metadata(icc=grey))
    chunks = dict(riff_chunks(images.encode(picture, "WEBP")))
    assert chunks[b"ICCP"][16:20] == b"RGB "


def test_notes_stay_short() -> None:
    assert listed(["a", "b", "a"]) == "a, b"
    assert listed(str(number) for number in range(7)) == "0, 1, 2, 3, 4, 5, 6"
    assert listed(str(number) for number in range(40)) == "0, 1, 2, 3, 4, 5 and 34 more"


@pytest.mark.parametrize("format", FORMATS)
def test_plain_pictures_are_written_without_metadata(format: images.Format) -> None:
    notes: list[str] = []
    written = images.encode(images.Picture(colours()), format, notes)
    assert notes == []
    image = Image.open(io.BytesIO(written))
    assert not image.getexif() or format == "TIFF"
    assert images.read(written).metadata.exif == b""
    assert not {"icc_profile", "xmp", "comment"} & image.info.keys()


def test_a_second_packet_is_said() -> None:
    other = XMP.replace(b"A. Nyone", b"Another")
    segments = [(0xE1, HEAD + XMP), (0xE1, HEAD + other)]
    picture = images.read(jpeg_with(saved(colours(), "JPEG"), segments))
    assert picture.metadata.xmp == XMP
    assert picture.notes == ("not kept: a second XMP packet",)
    chunks = [(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet) for packet in (XMP, other)]
    picture = images.read(png_with(saved(colours(), "PNG"), chunks))
    assert picture.metadata.xmp == XMP
    assert picture.notes == ("not kept: a second XMP packet",)


def test_exif_before_a_mark_that_is_damaged_stays_damaged_and_costs_nothing() -> None:
    picture = images.read(png_with(saved(colours(), "PNG"), [(b"eXIf", b"II*\0\xff\xff\xff\xff")]))
    assert picture.notes == ("damaged EXIF was not kept",)
    assert np.array_equal(picture.pixels, colours())
    assert images.read(images.encode(replace(picture, is_result=True), "PNG")).is_result


@pytest.mark.parametrize("format", FORMATS)
def test_fewer_bits_are_said(format: images.Format) -> None:
    notes: list[str] = []
    images.encode(images.Picture(colours().astype(np.uint16) * 257), format, notes)
    name = format.replace("WEBP", "WebP")
    expected = [] if format in ("PNG", "TIFF") else [f"not kept in {name}: 16 bits a channel"]
    assert notes == expected
