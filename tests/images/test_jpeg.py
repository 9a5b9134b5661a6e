"""JPEG segments: kept, or removed with what announces them, and said."""

import hashlib
import io
import struct

import numpy as np
import pytest
from containers import (
    IPTC,
    colours,
    directory,
    image_resource,
    jpeg_segments,
    jpeg_with,
    png_chunks,
    riff_chunks,
    saved,
)
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from derain import images

XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
EXTENSION_HEAD = b"http://ns.adobe.com/xmp/extension/\0"
NAMESPACES = {
    "xmpNote": "http://ns.adobe.com/xmp/note/",
    "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
    "GCamera": "http://ns.google.com/photos/1.0/camera/",
    "C": "http://ns.google.com/photos/1.0/container/",
    "Item": "http://ns.google.com/photos/1.0/container/item/",
    "dc": "http://purl.org/dc/elements/1.1/",
}


def packet(attributes: str = "", elements: str = "") -> bytes:
    used = attributes + elements + " dc:"
    declared = " ".join(
        f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items() if f"{prefix}:" in used
    )
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta'
        ' xmlns:x="adobe:ns:meta/"><rdf:RDF'
        ' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        f' {declared} dc:format="image/jpeg" {attributes}>{elements}</rdf:Description></rdf:RDF>'
        '</x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def extended(extension: bytes, attributes: str = "", part: int = 65400) -> list[tuple[int, bytes]]:
    """Return the segments of a packet and its extension."""
    identifier = hashlib.md5(extension).hexdigest().upper()
    announced = packet(f'xmpNote:HasExtendedXMP="{identifier}" {attributes}')
    segments = [(0xE1, XMP_HEAD + announced)]
    for place in range(0, len(extension), part):
        head = EXTENSION_HEAD + identifier.encode() + struct.pack(">II", len(extension), place)
        segments.append((0xE1, head + extension[place : place + part]))
    return segments


def jpeg(segments: list[tuple[int, bytes]], tail: bytes = b"") -> bytes:
    return jpeg_with(saved(colours(), "JPEG", quality=90), segments) + tail


def carried(data: bytes) -> tuple[list[tuple[int, bytes]], tuple[str, ...]]:
    """Return the segments of a file that was read and written, and the notes."""
    picture = images.read(data)
    notes: list[str] = []
    written = images.encode(picture, "JPEG", notes)
    assert images.read(written).metadata == picture.metadata
    assert written.endswith(b"\xff\xd9")
    assert np.asarray(Image.open(io.BytesIO(written))).shape == picture.pixels.shape
    return jpeg_segments(written), (*picture.notes, *notes)


def test_comments_iptc_and_unknown_segments_are_kept() -> None:
    segments = [
        (0xED, b"Photoshop 3.0\0" + image_resource(0x0404, IPTC) + image_resource(2000, b"path")),
        (0xE1, b"FLIR\0\1\0\0raw"),
        (0xE4, b"whatever\xff\xd9\xff"),
        (0xEC, b"Ducky\0\1\0\4\0\0\0\x3c\0\0"),
        (0xFE, b"taken in the rain"),
        (0xFE, b"\xe9t\xe9"),
    ]
    written, notes = carried(jpeg(segments))
    assert notes == ()
    for segment in segments:
        assert segment in written


def test_iptc_of_several_segments_is_one() -> None:
    resources = image_resource(2000, bytes(70_000)) + image_resource(0x0404, IPTC)
    head = b"Photoshop 3.0\0"
    written, notes = carried(
        jpeg([(0xED, head + resources[:65_000]), (0xED, head + resources[65_000:])])
    )
    assert notes == ()
    assert b"".join(each[1][14:] for each in written if each[0] == 0xED) == resources


def test_thumbnails_among_image_resources_are_dropped() -> None:
    kept = image_resource(0x0404, IPTC, name=b"\x03abc")
    resources = image_resource(0x040C, b"\xff\xd8thumbnail") + kept + image_resource(0x0409, b"old")
    written, notes = carried(jpeg([(0xED, b"Photoshop 3.0\0" + resources)]))
    assert notes == ()
    assert (0xED, b"Photoshop 3.0\0" + kept) in written


def test_damaged_image_resources_are_said() -> None:
    written, notes = carried(jpeg([(0xED, b"Photoshop 3.0\x008BIM\4\4\0\0\xff\xff\xff\xff")]))
    assert notes == ("not kept: damaged Photoshop data",)
    assert all(marker != 0xED for marker, _ in written)


def test_extended_xmp_is_kept() -> None:
    extension = packet(elements="<dc:source>" + "depth " * 30_000 + "</dc:source>")
    segments = extended(extension)
    written, notes = carried(jpeg(segments))
    assert notes == ()
    found = [content for marker, content in written if marker == 0xE1]
    assert found[0] == segments[0][1]
    parts = [content for content in found if content.startswith(EXTENSION_HEAD)]
    head = len(EXTENSION_HEAD) + 40
    identifier = hashlib.md5(extension).hexdigest().upper().encode()
    assert {part[len(EXTENSION_HEAD) :][:32] for part in parts} == {identifier}
    assert b"".join(part[head:] for part in parts) == extension
    offsets = [struct.unpack_from(">II", part, head - 8) for part in parts]
    assert offsets[0] == (len(extension), 0)


def test_extension_that_is_corrected_gets_its_new_name() -> None:
    extension = packet(
        'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:ImageWidth="9" tiff:ImageLength="6"'
    )
    exif = Image.Exif()
    exif[0x0112] = 6
    written, _ = carried(jpeg([(0xE1, exif.tobytes()), *extended(extension)]))
    found = [content for marker, content in written if marker == 0xE1]
    part = next(content for content in found if content.startswith(EXTENSION_HEAD))
    corrected = extension.replace(b'Width="9"', b'Width="6"').replace(b'Length="6"', b'Length="9"')
    assert part[len(EXTENSION_HEAD) + 40 :] == corrected
    identifier = hashlib.md5(corrected).hexdigest().upper().encode()
    assert part[len(EXTENSION_HEAD) :].startswith(identifier)
    assert any(b'HasExtendedXMP="' + identifier in content for content in found)


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_extension_that_is_not_whole_is_removed_with_its_announcement(damage: str) -> None:
    segments = extended(packet(elements="<dc:source>" + "x" * 90_000 + "</dc:source>"))
    if damage == "missing":
        segments.pop()
    else:
        segments[-1] = (0xE1, segments[-1][1][:-1] + b"?")
    written, notes = carried(jpeg(segments))
    assert notes == ("not kept: damaged extended XMP",)
    assert all(b"HasExtendedXMP" not in content for _, content in written)
    assert all(b"xmpNote" not in content for _, content in written)
    assert not any(content.startswith(EXTENSION_HEAD) for _, content in written)


def test_an_announcement_without_an_extension_is_removed() -> None:
    only = extended(packet(elements="<dc:source>x</dc:source>"))[:1]
    written, notes = carried(jpeg(only))
    assert notes == ()
    assert all(b"HasExtendedXMP" not in content for _, content in written)


@pytest.mark.parametrize("identifier", [b"", b"short", b"\xff" * 32, "ü".encode() * 32, b"0" * 99])
def test_an_identifier_that_is_none_costs_nothing(identifier: bytes) -> None:
    announced = packet('xmpNote:HasExtendedXMP="@"').replace(b"@", identifier)
    picture = images.read(jpeg([(0xE1, XMP_HEAD + announced)]))
    assert b"HasExtendedXMP" not in picture.metadata.xmp or not identifier
    assert picture.pixels.shape == colours().shape
    assert images.read(images.encode(picture, "JPEG")).metadata == picture.metadata


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_other_formats_announce_no_extension(format: images.Format) -> None:
    picture = images.read(jpeg(extended(packet(elements="<dc:source>x</dc:source>"))))
    notes: list[str] = []
    written = images.encode(picture, format, notes)
    assert notes == [f"not kept in {format.replace('WEBP', 'WebP')}: extended XMP"]
    assert b"HasExtendedXMP" not in written
    assert b"image/jpeg" in written


ULTRA_HDR = (
    'hdrgm:Version="1.0"',
    '<C:Directory><rdf:Seq><rdf:li rdf:parseType="Resource"><C:Item Item:Semantic="Primary"'
    ' Item:Mime="image/jpeg"/></rdf:li><rdf:li rdf:parseType="Resource"><C:Item'
    ' Item:Semantic="GainMap" Item:Mime="image/jpeg" Item:Length="999"/></rdf:li></rdf:Seq>'
    "</C:Directory>",
)
MOTION = (
    'GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1"'
    " GCamera:MotionPhotoPresentationTimestampUs='500000'",
    '<C:Directory><rdf:Seq><rdf:li rdf:parseType="Resource"><C:Item><Item:Mime>video/mp4'
    "</Item:Mime><Item:Semantic>MotionPhoto</Item:Semantic></C:Item></rdf:li></rdf:Seq>"
    "</C:Directory>",
)
MICRO = ('GCamera:MicroVideo="1" GCamera:MicroVideoOffset="4000"', "")
DEPTH = (
    "",
    '<Device:Cameras xmlns:Device="http://ns.google.com/photos/dd/1.0/device/"><rdf:Seq/>'
    '</Device:Cameras><C:Directory><rdf:Seq><rdf:li><C:Item Item:Semantic="Depth"/></rdf:li>'
    "</rdf:Seq></C:Directory>",
)
ELEMENTS = ("", "<GCamera:MicroVideo>1</GCamera:MicroVideo><hdrgm:Version>1.0</hdrgm:Version>")
VIDEO = struct.pack(">I4s4sI", 24, b"ftyp", b"mp42", 0) + b"isommp42" + bytes(300)
MPF = (0xE2, b"MPF\0II*\0\x08\0\0\0\0\0")
ISO = (0xE2, b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0")
GAIN_MAP = saved(colours()[..., 0], "JPEG")


@pytest.mark.parametrize(
    ("announced", "more", "tail", "lost"),
    [
        (ULTRA_HDR, [MPF, ISO], GAIN_MAP, "HDR gain map"),
        (("", ""), [MPF, ISO], b"", "HDR gain map"),
        (MOTION, [], VIDEO, "motion video"),
        (MICRO, [], VIDEO, "motion video"),
        (("", ""), [], VIDEO, "motion video"),
        (("", ""), [], b"\0\0\0\0MotionPhoto_Data" + VIDEO, "motion video"),
        (ELEMENTS, [], b"", "HDR gain map, motion video"),
        (("", ""), [MPF], GAIN_MAP, "further pictures in the file"),
        (DEPTH, [], GAIN_MAP, "depth map"),
        (("", ""), [], b"a trailer", "9 bytes behind the picture"),
        (('GCamera:MotionPhoto="0"', ""), [], bytes(16), ""),
    ],
)
def test_gain_maps_and_videos_are_not_announced_when_they_are_gone(
    announced: tuple[str, str], more: list[tuple[int, bytes]], tail: bytes, lost: str
) -> None:
    written, notes = carried(jpeg([(0xE1, XMP_HEAD + packet(*announced)), *more], tail))
    assert notes == ((f"not kept: {lost}",) if lost else ())
    (xmp,) = [content for _, content in written if content.startswith(XMP_HEAD)]
    for word in (
        b"MotionPhoto",
        b"MicroVideo",
        b"hdrgm",
        b"GainMap",
        b"Directory",
        b"Item",
        b"Device",
    ):
        assert word not in xmp
    assert b'dc:format="image/jpeg"' in xmp
    assert not any(content.startswith((b"MPF", b"urn:iso")) for _, content in written)


def test_content_credentials_are_dropped_with_a_note() -> None:
    segment = (0xEB, b"JP\0\1\0\0\0\1\0\0\0\x20jumb\0\0\0\x18jumdc2pa")
    written, notes = carried(jpeg([segment]))
    assert notes == ("not kept: content credentials",)
    assert all(marker != 0xEB for marker, _ in written)


def test_profiles_of_many_parts_are_kept() -> None:
    from derain.images import profiles

    profile = profiles.srgb()
    large = profile + bytes(150_000)
    large = struct.pack(">I", len(large)) + large[4:]
    picture = images.Picture(colours(), metadata=images.Metadata(icc=large))
    data = images.encode(picture, "JPEG")
    assert Image.open(io.BytesIO(data)).info["icc_profile"] == large
    assert images.read(data).metadata.icc == large


def exif_of(maker: str, length: int = 0) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = maker
    exif[0x010E] = "x" * length
    return exif.tobytes()


@pytest.mark.parametrize("length", [0, 40_000])
def test_of_two_exif_blocks_the_first_is_kept_and_the_other_said(length: int) -> None:
    first, second = exif_of("first", length), exif_of("second", length)
    written, notes = carried(jpeg([(0xE1, first), (0xE1, second)]))
    assert notes == ("not kept: a second EXIF block",)
    blocks = [content for _, content in written if content.startswith(b"Exif\0\0")]
    assert len(blocks) == 1
    assert b"first" in blocks[0]
    assert b"second" not in blocks[0]


def test_an_exif_block_that_is_there_twice_is_kept_in_silence() -> None:
    block = exif_of("first", 40_000)
    picture = images.read(jpeg([(0xE1, block), (0xE1, block)]))
    assert picture.notes == ()
    assert picture.metadata.exif == images.read(jpeg([(0xE1, block)])).metadata.exif


def test_exif_in_parts_is_one_block_before_another() -> None:
    block, head = exif_of("first", 70_000), b"Exif\0\0"
    parts = [(0xE1, block[:60_000]), (0xE1, head + block[60_000:])]
    picture = images.read(jpeg([*parts, (0xE1, exif_of("second"))]))
    assert picture.metadata.exif == block.removeprefix(head)
    assert picture.notes == ("not kept: a second EXIF block",)


def test_exif_too_long_for_a_segment_is_said() -> None:
    exif = Image.Exif()
    exif[0x010E] = "x" * 70_000
    picture = images.read(saved(colours(), "PNG", exif=exif.tobytes()))
    notes: list[str] = []
    data = images.encode(picture, "JPEG", notes)
    assert notes == ["not kept in JPEG: EXIF (too long)"]
    assert Image.open(io.BytesIO(data)).getexif() == {}


def test_exif_that_just_fits_is_worth_more_than_the_mark() -> None:
    exif = Image.Exif()
    exif[0x010E] = "x" * 65_480
    data = jpeg([(0xE1, exif.tobytes())])
    picture = images.read(data)
    notes: list[str] = []
    marked = images.Picture(picture.pixels, metadata=picture.metadata, is_result=True)
    written = images.encode(marked, "JPEG", notes)
    assert notes == []
    assert Image.open(io.BytesIO(written)).getexif()[0x010E] == "x" * 65_480


def test_xmp_too_long_for_a_segment_is_said() -> None:
    picture = images.Picture(colours(), metadata=images.Metadata(xmp=packet("a" * 66_000)))
    notes: list[str] = []
    images.encode(picture, "JPEG", notes)
    assert notes == ["not kept in JPEG: XMP (too long)"]


@pytest.mark.parametrize(
    ("format", "lost"),
    [
        ("PNG", "JPEG APP1 FLIR"),
        ("TIFF", "comment, JPEG APP1 FLIR"),
        ("WEBP", "comment, IPTC, JPEG APP1 FLIR"),
        ("BMP", "comment, IPTC, JPEG APP1 FLIR"),
    ],
)
def test_conversions_keep_what_they_can_and_say_the_rest(format: images.Format, lost: str) -> None:
    segments = [
        (0xED, b"Photoshop 3.0\0" + image_resource(0x0404, IPTC)),
        (0xE1, b"FLIR\0\1\0\0raw"),
        (0xFE, "café".encode()),
        (0xFE, b"caf\xe9"),
    ]
    picture = images.read(jpeg(segments))
    notes: list[str] = []
    written = images.encode(picture, format, notes)
    assert notes == [f"not kept in {format.replace('WEBP', 'WebP')}: {lost}"]
    if format == "PNG":
        chunks = png_chunks(written)
        assert (b"iTXt", b"Comment\0\0\0\0\0" + "café".encode()) in chunks
        assert (b"tEXt", b"Comment\0caf\xe9") in chunks
        back = jpeg_segments(images.encode(images.read(written), "JPEG"))
        assert segments[0] in back
        assert [content for marker, content in back if marker == 0xFE] == ["café".encode()] * 2
    elif format == "TIFF":
        assert directory(written)[33723][3] == IPTC
        assert segments[0] in jpeg_segments(images.encode(images.read(written), "JPEG"))
    elif format == "WEBP":
        assert [kind for kind, _ in riff_chunks(written)] == [b"VP8 "]


heads = st.sampled_from([b"", b"Photoshop 3.0\0", XMP_HEAD, b"ICC_PROFILE\0", b"Exif\0\0"])
segment = st.tuples(
    st.sampled_from([0xE1, 0xE2, 0xE3, 0xE5, 0xEC, 0xED, 0xEF, 0xFE]),
    st.tuples(heads, st.binary(max_size=40)).map(b"".join),
)


@given(segments=st.lists(segment, max_size=6), tail=st.binary(max_size=20))
def test_any_segments_give_a_picture(segments: list[tuple[int, bytes]], tail: bytes) -> None:
    picture = images.read(jpeg(segments, tail))
    written = images.encode(picture, "JPEG")
    assert images.read(written).metadata == picture.metadata
    comments = [content for marker, content in segments if marker == 0xFE]
    assert [content for marker, content in jpeg_segments(written) if marker == 0xFE] == comments


def renumbered(data: bytes, numbers: dict[int, int]) -> bytes:
    """Return a baseline JPEG whose quantization tables have other numbers."""
    edited = bytearray(data)
    place = 2
    while edited[place + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", edited, place + 2)
        if edited[place + 1] == 0xDB:
            for table in range(place + 4, place + 2 + length, 65):
                edited[table] = numbers[edited[table]]
        elif edited[place + 1] == 0xC0:
            for component in range(edited[place + 9]):
                at = place + 12 + 3 * component
                edited[at] = numbers[edited[at]]
        place += 2 + length
    return bytes(edited)


@pytest.mark.parametrize("numbers", [(1, 0), (0, 2), (2, 3), (3, 1)])
@pytest.mark.parametrize("grey", [False, True], ids=["colour", "grey"])
def test_quantization_tables_count_whatever_their_numbers(
    numbers: tuple[int, int], grey: bool
) -> None:
    data = saved(colours()[..., 0] if grey else colours(), "JPEG", quality=60)
    other = renumbered(data, dict(enumerate(numbers)))
    assert other != data or (grey and numbers[0] == 0)
    assert images.encode(images.read(other), "JPEG") == images.encode(images.read(data), "JPEG")


@pytest.mark.parametrize(
    "levels", [(3, 5, 7), (3, 5, 5), (3, 3, 5), (3, 3, 3), (5, 3, 5), (300, 5)]
)
def test_each_component_keeps_its_table(levels: tuple[int, ...]) -> None:
    data = saved(colours(), "JPEG", qtables=[[level] * 64 for level in levels])
    written = images.encode(images.read(data), "JPEG")
    used = [
        [image.quantization[number] for _, _, _, number in image.layer]
        for image in (JpegImageFile(io.BytesIO(each)) for each in (data, written))
    ]
    assert used[0] == used[1]
    assert [table[0] for table in used[1]] == [levels[min(k, len(levels) - 1)] for k in range(3)]


def test_a_table_that_no_component_uses_is_not_written() -> None:
    data = saved(colours()[..., 0], "JPEG", quality=60)
    spare = [(0xDB, b"\1" + bytes([9] * 64)), (0xDB, b"\2" + bytes([8] * 64))]
    written = images.encode(images.read(jpeg_with(data, spare)), "JPEG")
    assert written == images.encode(images.read(data), "JPEG")
