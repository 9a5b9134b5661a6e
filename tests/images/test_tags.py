"""TIFF tags go from file to file as they are; one that cannot is left out and said."""

import io
import struct
import warnings
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from containers import (
    IPTC,
    Tag,
    block_of,
    colours,
    directory,
    image_resource,
    integer,
    order_of,
    saved,
    tiff_with,
)
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from derain import images
from derain.images import tags

XMP = b'<x:xmpmeta><rdf:Description dc:creator="A. Nyone"/></x:xmpmeta>'
RESOURCES = image_resource(0x0404, IPTC) + image_resource(2000, b"path")
OPAQUE_TAGS: list[Tag] = [
    (270, 2, 10, b"a picture\0"),
    (305, 2, 8, b"program\0"),
    (306, 2, 20, b"2024:05:06 07:08:09\0"),
    (315, 2, 9, b"A. Nyone\0"),
    (700, 1, len(XMP), XMP),
    (33432, 2, 7, b"\xc2\xa9 me \0"),
    (33723, 7, len(IPTC), IPTC),
    (34377, 1, len(RESOURCES), RESOURCES),
    (50839, 1, 6, b"IJIJ\0\1"),
    (65000, 2, 8, b"private\0"),
]
"""Tags whose values look the same in either byte order."""


def numbers(order: str) -> list[Tag]:
    """Tags whose values do not: of GeoTIFF, GDAL, ImageJ and nobody."""
    scale = struct.pack(f"{order}3d", 0.5, 0.5, 0.0)
    return [
        (282, 5, 1, struct.pack(f"{order}II", 118, 1)),
        (283, 5, 1, struct.pack(f"{order}II", 236, 1)),
        (296, 3, 1, struct.pack(f"{order}H", 3)),
        (318, 5, 2, struct.pack(f"{order}4I", 3127, 10000, 3290, 10000)),
        (33550, 12, 3, scale),
        (34735, 3, 4, struct.pack(f"{order}4H", 1, 1, 0, 1)),
        (50838, 4, 2, struct.pack(f"{order}2I", 12, 0)),
        (65001, 9, 1, struct.pack(f"{order}i", -5)),
        (65002, 11, 3, struct.pack(f"{order}3f", 1, 2, 3)),
    ]


def deep_tiff() -> bytes:
    return cv2.imencode(".tif", colours()[..., ::-1].astype(np.uint16) * 257)[1].tobytes()


def mixed_endian() -> bytes:
    """Return a big-endian TIFF of one uncompressed strip."""
    pixels = colours()
    tags: list[Tag] = [
        (256, 3, 1, struct.pack(">H", 9)),
        (257, 3, 1, struct.pack(">H", 6)),
        (258, 3, 3, struct.pack(">3H", 8, 8, 8)),
        (259, 3, 1, struct.pack(">H", 1)),
        (262, 3, 1, struct.pack(">H", 2)),
        (273, 4, 1, struct.pack(">I", 8)),
        (277, 3, 1, struct.pack(">H", 3)),
        (278, 3, 1, struct.pack(">H", 6)),
        (279, 4, 1, struct.pack(">I", pixels.size)),
    ]
    empty = block_of(">", tags)
    # The pixels come first, and all offsets move by their length.
    block = bytearray(struct.pack(">2sHI", b"MM", 42, 0) + pixels.tobytes())
    (start,) = struct.unpack_from(">I", empty, 4)
    struct.pack_into(">I", block, 4, start + pixels.size)
    block += empty[8:]
    entry = start + pixels.size + 2 + 2 * 12
    (at,) = struct.unpack_from(">I", block, entry + 8)
    struct.pack_into(">I", block, entry + 8, at + pixels.size)
    return bytes(block)


@pytest.mark.parametrize("source", ["eight bits", "sixteen bits", "big-endian"])
@pytest.mark.parametrize("is_result", [False, True])
def test_every_tag_is_carried(source: str, is_result: bool) -> None:
    plain = {
        "eight bits": lambda: saved(colours(), "TIFF"),
        "sixteen bits": deep_tiff,
        "big-endian": mixed_endian,
    }[source]()
    order = order_of(plain)
    picture = images.read(tiff_with(plain, [*OPAQUE_TAGS, *numbers(order)]))
    assert np.array_equal(images.to_eight_bits(picture.pixels), colours())
    notes: list[str] = []
    written = images.encode(replace(picture, is_result=is_result), "TIFF", notes)
    assert (picture.notes, notes) == ((), [])
    found = directory(written)
    for tag in [*OPAQUE_TAGS, *numbers(order_of(written))]:
        assert found[tag[0]] == tag
    again = images.read(written)
    assert np.array_equal(again.pixels, picture.pixels)
    assert again.metadata == picture.metadata or is_result
    opened: Any = cv2.imdecode(np.frombuffer(written, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(opened[..., ::-1], picture.pixels)
    image = Image.open(io.BytesIO(written))
    image.load()
    assert image.info["dpi"] == pytest.approx((118 * 2.54, 236 * 2.54))


def test_other_formats_say_which_tags_they_cannot_hold() -> None:
    data = tiff_with(saved(colours(), "TIFF"), [*OPAQUE_TAGS, *numbers("<")])
    picture = images.read(data)
    notes: list[str] = []
    written = images.encode(picture, "JPEG", notes)
    assert notes == [
        "not kept in JPEG: TIFF colour tags, GeoTIFF, ImageJ metadata, TIFF tag 65000,"
        " TIFF tag 65001, TIFF tag 65002"
    ]
    assert IPTC in written
    exif = Image.open(io.BytesIO(written)).getexif()
    assert (exif[270], exif[315], exif[296]) == ("a picture", "A. Nyone", 3)
    notes = []
    images.encode(picture, "PNG", notes)
    assert len(notes) == 1


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ((306, 3, 1, b"\7\0"), "DateTime"),
        ((315, 5, 1, bytes(8)), "Artist"),
        ((282, 2, 4, b"300\0"), "XResolution"),
        ((296, 2, 5, b"inch\0"), "ResolutionUnit"),
        ((270, 4, 2, bytes(8)), "ImageDescription"),
    ],
)
@pytest.mark.parametrize("deep", [False, True])
def test_a_tag_of_a_wrong_type_is_left_out_with_a_note(tag: Tag, name: str, deep: bool) -> None:
    plain = deep_tiff() if deep else saved(colours(), "TIFF")
    picture = images.read(tiff_with(plain, [*OPAQUE_TAGS, tag]))
    notes: list[str] = []
    written = images.encode(picture, "TIFF", notes)
    assert notes == [f"not kept in TIFF: TIFF tag {name} of a wrong type"]
    assert directory(written).get(tag[0]) != tag
    assert directory(written)[65000] == OPAQUE_TAGS[-1]
    assert np.array_equal(images.read(written).pixels, picture.pixels)


def test_tags_that_lie_outside_the_file_are_said() -> None:
    data = bytearray(tiff_with(saved(colours(), "TIFF"), [(65000, 2, 8, b"private\0")]))
    place = bytes(data).rindex(struct.pack("<HHI", 65000, 2, 8))
    struct.pack_into("<I", data, place + 8, 1 << 30)
    picture = images.read(bytes(data))
    assert picture.notes == ("not kept: damaged TIFF tag 65000",)
    assert np.array_equal(images.read(images.encode(picture, "TIFF")).pixels, colours())


def test_layers_of_the_old_picture_are_dropped() -> None:
    layers: list[Tag] = [(37724, 7, 9, b"Adobe Pho"), (52545, 7, 5, b"jumbf")]
    picture = images.read(tiff_with(saved(colours(), "TIFF"), layers))
    assert picture.notes == ("not kept: Photoshop layers, content credentials",)
    assert not {37724, 52545} & directory(images.encode(picture, "TIFF")).keys()


def test_exif_of_a_jpeg_stays_where_it_was() -> None:
    maker_note = bytes(range(40))
    for order in "<>":
        block = block_of(
            order, [(271, 2, 7, b"Camera\0")], [(0x927C, 7, 40, maker_note)], pointers=[0x8769]
        )
        picture = images.read(saved(colours(), "JPEG", exif=b"Exif\0\0" + block))
        written = images.encode(picture, "TIFF")
        assert written[8 : len(block)] == block[8:]
        inner = directory(written, integer(written, directory(written)[0x8769]))
        assert inner[0x927C][3] == maker_note
        deep = replace(picture, pixels=picture.pixels.astype(np.uint16) * 257)
        again = images.encode(deep, "TIFF")
        assert np.array_equal(images.read(again).pixels, deep.pixels)
        inner = directory(again, integer(again, directory(again)[0x8769]))
        assert inner[0x927C][3] == maker_note


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deep", [False, True])
def test_orientation_is_applied_once(orientation: int, deep: bool) -> None:
    plain = deep_tiff() if deep else saved(colours(), "TIFF")
    tags = [(0x0112, 3, 1, struct.pack("<H", orientation)), *numbers("<")[:3]]
    picture = images.read(tiff_with(plain, tags))
    exif = Image.Exif()
    exif[0x0112] = orientation
    expected = images.read(saved(colours(), "PNG", exif=exif.tobytes())).pixels
    assert np.array_equal(images.to_eight_bits(picture.pixels), expected)
    written = images.encode(picture, "TIFF")
    found = directory(written)
    assert found[0x0112] == (0x0112, 3, 1, b"\1\0")
    turned = orientation > 4
    assert found[282][3] == struct.pack("<II", 236 if turned else 118, 1)
    assert found[283][3] == struct.pack("<II", 118 if turned else 236, 1)
    assert np.array_equal(images.read(written).pixels, picture.pixels)


def test_bigtiff_is_read() -> None:
    import tifffile

    out = io.BytesIO()
    extra = [(315, "s", 0, "A. Nyone", True), (65000, "I", 2, (5, 6), True)]
    tifffile.imwrite(out, colours(), bigtiff=True, photometric="rgb", extratags=extra)
    picture = images.read(out.getvalue())
    assert picture.notes == ()
    written = images.encode(picture, "TIFF")
    assert directory(written)[315][3] == b"A. Nyone\0"
    assert directory(written)[65000][3] == struct.pack("<2I", 5, 6)


def test_iptc_in_long_numbers_of_the_other_order_is_put_right() -> None:
    padded = IPTC + bytes(-len(IPTC) % 4)
    value = b"".join(padded[place : place + 4][::-1] for place in range(0, len(padded), 4))
    data = tiff_with(saved(colours(), "TIFF"), [(33723, 4, len(value) // 4, value)])
    assert images.read(data).metadata.iptc == padded


def test_two_iptcs_that_differ_are_said() -> None:
    entries: list[Tag] = [(33723, 7, len(IPTC), IPTC), (34377, 1, 0, b"")]
    other = image_resource(0x0404, IPTC.replace(b"Paris", b"Delhi")) + image_resource(
        0x0425, b"x" * 16
    )
    entries[1] = (34377, 1, len(other), other)
    picture = images.read(tiff_with(saved(colours(), "TIFF"), entries))
    notes: list[str] = []
    written = images.encode(picture, "JPEG", notes)
    assert notes == ["not kept in JPEG: a second, differing IPTC"]
    assert b"Paris" in written
    assert b"Delhi" not in written


private = st.integers(65_003, 65_500)
value = st.one_of(
    st.tuples(st.just(2), st.binary(min_size=1, max_size=40)),
    st.tuples(st.just(7), st.binary(min_size=1, max_size=40)),
    st.tuples(st.just(3), st.integers(1, 9).map(lambda count: bytes(range(2 * count)))),
    st.tuples(st.just(12), st.integers(1, 3).map(lambda count: bytes(range(8 * count)))),
)
SIZES = {2: 1, 7: 1, 3: 2, 12: 8}


@given(given_tags=st.dictionaries(private, value, max_size=8), deep=st.booleans())
def test_private_tags_round_trip(given_tags: dict[int, tuple[int, bytes]], deep: bool) -> None:
    plain = deep_tiff() if deep else saved(colours(), "TIFF")
    entries = [(tag, type, len(raw) // SIZES[type], raw) for tag, (type, raw) in given_tags.items()]
    picture = images.read(tiff_with(plain, entries))
    written = images.encode(picture, "TIFF")
    found = directory(written)
    assert {tag: found[tag] for tag in given_tags} == {each[0]: each for each in entries}
    assert images.read(written).metadata == picture.metadata


@given(place=st.integers(0, 400), flip=st.integers(1, 255))
def test_damage_in_directories_gives_a_picture_or_an_image_error(place: int, flip: int) -> None:
    data = bytearray(tiff_with(saved(colours(), "TIFF"), [*OPAQUE_TAGS, *numbers("<")]))
    data[-(place % 300) - 1] ^= flip
    try:
        picture = images.read(bytes(data))
    except images.ImageError:
        return
    formats: tuple[images.Format, ...] = ("TIFF", "JPEG")
    for format in formats:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some of the damage is to what tags of EXIF say
            Image.open(io.BytesIO(images.encode(picture, format))).load()


def test_overlapping_values_take_no_memory() -> None:
    # Each of 5000 tags claims the whole file.
    data = bytearray(saved(np.zeros((400, 400, 3), np.uint8), "TIFF", compression="raw"))
    length = len(data)
    known = directory(bytes(data))
    entries = [(tag, *known[tag][1:]) for tag in known]
    claims: list[Tag] = [(tag, 7, length, b"") for tag in range(40_000, 45_000)]
    block = bytearray(tiff_with(bytes(data), entries))
    (start,) = struct.unpack_from("<I", block, 4)
    (count,) = struct.unpack_from("<H", block, start)
    old = block[start + 2 : start + 2 + 12 * count]
    packed = b"".join(struct.pack("<HHII", tag, type, size, 0) for tag, type, size, _ in claims)
    new = struct.pack("<H", count + len(claims)) + bytes(old) + packed + bytes(4)
    struct.pack_into("<I", block, 4, len(block))
    whole = bytes(block) + new
    found = tags.read(whole)
    assert sum(len(field.value) for field in found.fields) <= len(whole)
    assert len(found.damaged) > 4000
    with pytest.raises(images.ImageError):
        images.read(whole)


def test_tags_are_those_of_the_page_that_is_the_picture() -> None:
    # The first page is a small copy with a word of its own.
    import tifffile

    out = io.BytesIO()
    with tifffile.TiffWriter(out) as writer:
        small = [(315, "s", 0, "the copy's", True)]
        writer.write(colours(3, 4), photometric="rgb", subfiletype=1, extratags=small)
        large = [(315, "s", 0, "A. Nyone", True), (0x0112, "H", 1, 6, True)]
        writer.write(colours(), photometric="rgb", extratags=large)
    picture = images.read(out.getvalue())
    assert picture.pixels.shape == (9, 6, 3)
    assert directory(images.encode(picture, "TIFF"))[315][3] == b"A. Nyone\0"


SPACE = 'xmlns:{0}="http://ns.adobe.com/tiff/1.0/"'
TURNING = {
    "quotes": f'<rdf:Description {SPACE.format("tiff")} tiff:Orientation="6"/>'.encode(),
    "apostrophes": f"<rdf:Description {SPACE.format('tiff')} tiff:Orientation='6'/>".encode(),
    "spaces": f'<rdf:Description {SPACE.format("tiff")} tiff:Orientation = "6"/>'.encode(),
    "element": f"<a {SPACE.format('tiff')}><tiff:Orientation>6</tiff:Orientation></a>".encode(),
    "prefix": f'<rdf:Description {SPACE.format("t")} t:Orientation="6"/>'.encode(),
    "utf-16": f'<rdf:Description {SPACE.format("tiff")} tiff:Orientation="6"/>'.encode("utf-16-le"),
}
"""Packets that ask for a quarter turn, each in another way of writing."""


@pytest.mark.parametrize("packet", list(TURNING.values()), ids=list(TURNING))
@pytest.mark.parametrize("deep", [False, True], ids=["8 bits", "16 bits"])
def test_xmp_alone_turns_a_tiff_however_it_is_written(packet: bytes, deep: bool) -> None:
    pixels = colours()
    if deep:
        pixels = pixels.astype(np.uint16) * 250 + 3
        data = cv2.imencode(".tiff", pixels[..., ::-1])[1].tobytes()
    else:
        data = saved(pixels, "TIFF")
    data = tiff_with(data, [(700, 1, len(packet), packet)])
    picture = images.read(data)
    assert np.array_equal(picture.pixels, np.rot90(pixels, -1))
    assert picture.pixels.dtype == pixels.dtype
    again = images.read(images.encode(picture, "TIFF"))
    assert np.array_equal(again.pixels, picture.pixels)
    assert again.metadata.xmp == packet.replace(b"6", b"1", 1)


@pytest.mark.parametrize("orientation", [1, 6])
def test_the_tag_counts_before_xmp(orientation: int) -> None:
    packet = TURNING["quotes"].replace(b'="6"', b'="3"')
    data = saved(colours(), "TIFF")
    tag = struct.pack(f"{order_of(data)}H", orientation)
    data = tiff_with(data, [(700, 1, len(packet), packet), (274, 3, 1, tag)])
    expected = colours() if orientation == 1 else np.rot90(colours(), -1)
    assert np.array_equal(images.read(data).pixels, expected)


def test_an_orientation_that_is_no_whole_number_is_none_of_a_tiff() -> None:
    data = saved(colours(), "TIFF")
    fraction = struct.pack(f"{order_of(data)}II", 6, 1)
    picture = images.read(tiff_with(data, [(274, 5, 1, fraction)]))
    assert np.array_equal(picture.pixels, colours())
