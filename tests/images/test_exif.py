"""EXIF describes the upright picture, in its own types and places, and marks results."""

import io
import struct
import zlib
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from containers import (
    Tag,
    block_of,
    colours,
    directory,
    following,
    integer,
    jpeg_segments,
    png_chunks,
    riff_chunks,
    saved,
)
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import derain
from derain import images
from derain.images import exif, tiff
from derain.images.exif import Turn

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 1, 2, 3, 4, 5, 7
FORMS = {BYTE: "B", SHORT: "H", LONG: "I", 6: "b", 8: "h", 9: "i"}


def number(order: str, tag: int, type: int, *values: int) -> Tag:
    return tag, type, len(values), struct.pack(f"{order}{len(values)}{FORMS[type]}", *values)


def fraction(order: str, tag: int, above: int, below: int) -> Tag:
    return tag, RATIONAL, 1, struct.pack(f"{order}II", above, below)


def text(tag: int, value: bytes) -> Tag:
    return tag, ASCII, len(value) + 1, value + b"\0"


def jpeg(block: bytes) -> bytes:
    return saved(colours(), "JPEG", exif=b"Exif\0\0" + block)


def read_block(data: bytes) -> bytes:
    """Return the EXIF block of a JPEG."""
    found = [content for _, content in jpeg_segments(data) if content.startswith(b"Exif\0\0")]
    return found[0][6:]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("type", [BYTE, SHORT, LONG, 6, 8, 9])
@pytest.mark.parametrize("more", [(), (0,), (7, 8, 9, 10, 11)])
def test_orientation_of_any_integer_type_is_corrected_in_it(
    order: str, type: int, more: tuple[int, ...]
) -> None:
    block = block_of(order, [number(order, 0x0112, type, 6, *more), text(0x010F, b"Camera")])
    picture = images.read(jpeg(block))
    assert picture.pixels.shape == (9, 6, 3)
    assert picture.notes == ()
    written = read_block(images.encode(picture, "JPEG"))
    assert directory(written)[0x0112] == number(order, 0x0112, type, 1, *more)
    assert len(written) == len(block)
    assert images.read(images.encode(picture, "JPEG")).pixels.shape == (9, 6, 3)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "entry",
    [text(0x0112, b"6"), (0x0112, RATIONAL, 1, b"\0\0\0\6\0\0\0\1"), (0x0112, 7, 2, b"\6\0")],
)
def test_orientation_that_is_no_integer_counts_as_upright(order: str, entry: Tag) -> None:
    block = block_of(order, [entry, text(0x010F, b"Camera")])
    picture = images.read(jpeg(block))
    assert picture.pixels.shape == (6, 9, 3)
    written = directory(read_block(images.encode(picture, "JPEG")))
    assert written[0x0112] == number(order, 0x0112, SHORT, 1)
    assert written[0x010F] == text(0x010F, b"Camera")


@pytest.mark.parametrize("value", [0, 9, 65542])
def test_orientations_that_do_not_exist_become_upright(value: int) -> None:
    picture = images.read(jpeg(block_of(">", [number(">", 0x0112, LONG, value)])))
    assert picture.pixels.shape == (6, 9, 3)
    written = directory(read_block(images.encode(picture, "JPEG")))
    assert written[0x0112] == number(">", 0x0112, LONG, 1)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("type", [SHORT, LONG])
def test_sizes_and_resolutions_are_those_of_the_upright_picture(
    order: str, orientation: int, type: int
) -> None:
    main = [
        number(order, 0x0100, type, 9),
        number(order, 0x0101, type, 6),
        number(order, 0x0112, SHORT, orientation),
        fraction(order, 0x011A, 300, 1),
        fraction(order, 0x011B, 150, 1),
    ]
    camera = [
        number(order, 0xA002, type, 9),
        number(order, 0xA003, type, 6),
        number(order, 0x9214, SHORT, 2, 1, 3, 2),
        fraction(order, 0xA20E, 5, 1),
        fraction(order, 0xA20F, 7, 1),
        (0x927C, UNDEFINED, 20, bytes(range(20))),
    ]
    block = block_of(order, main, camera, pointers=[0x8769])
    picture = images.read(jpeg(block))
    height, width = picture.pixels.shape[:2]
    turned = orientation > 4
    written = read_block(images.encode(picture, "JPEG"))
    first = directory(written)
    inner = directory(written, integer(written, first[0x8769]))
    assert (integer(written, first[0x0100]), integer(written, first[0x0101])) == (width, height)
    assert (integer(written, inner[0xA002]), integer(written, inner[0xA003])) == (width, height)
    assert first[0x0100][1] == inner[0xA003][1] == type
    across, down = (first[tag][3] for tag in (0x011A, 0x011B))
    assert (across == fraction(order, 0, 150, 1)[3]) == turned
    assert (down == fraction(order, 0, 300, 1)[3]) == turned
    assert (inner[0xA20E][3] == fraction(order, 0, 7, 1)[3]) == turned
    assert inner[0x927C] == camera[-1]
    # The subject is the pixel that it was, and its box lies on its side.
    subject = struct.unpack(f"{order}4H", inner[0x9214][3])
    expected = {1: (2, 1, 3, 2), 3: (6, 4, 3, 2), 6: (4, 2, 2, 3), 8: (1, 6, 2, 3)}
    assert subject == expected[orientation]
    if orientation == 1:
        assert written == block


@pytest.mark.parametrize("orientation", range(1, 9))
def test_points_go_where_their_pixels_go(orientation: int) -> None:
    exif_tags = Image.Exif()
    exif_tags[0x0112] = orientation
    old = colours()
    new = images.read(saved(old, "PNG", exif=exif_tags.tobytes())).pixels
    turn = Turn(orientation, new.shape[1], new.shape[0])
    for x, y in ((0, 0), (8, 5), (2, 3)):
        across, down = turn.point(x, y)
        assert np.array_equal(new[down, across], old[y, x])


def test_interoperability_sizes_are_corrected() -> None:
    # Three levels deep: the first directory, Exif, interoperability.
    order = ">"
    inner = block_of(order, [number(order, 0x1001, LONG, 9), number(order, 0x1002, LONG, 6)])
    (start,) = struct.unpack_from(">I", inner, 4)
    block = bytearray(inner)
    camera = struct.pack(">HHHII", 1, 0xA005, LONG, 1, start) + bytes(4)
    main = struct.pack(
        ">HHHIHHHHII", 2, 0x0112, SHORT, 1, 6, 0, 0x8769, LONG, 1, len(block)
    ) + bytes(4)
    block += camera
    struct.pack_into(">I", block, 4, len(block))
    block += main
    written = read_block(images.encode(images.read(jpeg(bytes(block))), "JPEG"))
    found = directory(written, start)
    assert (integer(written, found[0x1001]), integer(written, found[0x1002])) == (6, 9)


def test_thumbnails_are_cut_off() -> None:
    block = bytearray(block_of("<", [text(0x010F, b"Camera")]))
    (start,) = struct.unpack_from("<I", block, 4)
    struct.pack_into("<I", block, start + 2 + 12, len(block))
    block += block_of("<", [number("<", 0x0201, LONG, 9)])[8:]
    assert following(bytes(block)) != 0
    assert following(read_block(images.encode(images.read(jpeg(bytes(block))), "JPEG"))) == 0


@given(
    place=st.integers(0, 200),
    value=st.integers(0, 255),
    cut=st.integers(0, 200),
    result=st.booleans(),
)
def test_damaged_blocks_stay_harmless(place: int, value: int, cut: int, result: bool) -> None:
    camera = [number(">", 0xA002, SHORT, 9), (0x927C, UNDEFINED, 20, bytes(20))]
    main = [number(">", 0x0112, SHORT, 6), text(0x010E, b"a longer text")]
    block = bytearray(block_of(">", main, camera, pointers=[0x8769]))
    block[place % len(block)] = value
    data = saved(colours(), "PNG")
    content = bytes(block[: max(8, len(block) - cut % 40)])
    chunk = struct.pack(">I", len(content)) + b"eXIf" + content
    chunk += struct.pack(">I", zlib.crc32(chunk[4:]))
    picture = replace(images.read(data[:33] + chunk + data[33:]), is_result=result)
    formats: tuple[images.Format, ...] = ("JPEG", "PNG", "WEBP", "TIFF")
    for format in formats:
        written = images.encode(picture, format)
        assert images.read(written).pixels.shape == picture.pixels.shape
        assert images.read(written).is_result == result


# Results


FORMATS: list[images.Format] = ["JPEG", "PNG", "WEBP", "TIFF"]


def block_in(data: bytes, format: images.Format) -> bytes:
    if format == "JPEG":
        return read_block(data)
    if format == "PNG":
        return dict(png_chunks(data))[b"eXIf"]
    return data if format == "TIFF" else dict(riff_chunks(data))[b"EXIF"]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("deep", [False, True])
def test_results_are_marked(format: images.Format, deep: bool) -> None:
    pixels = colours().astype(np.uint16) * 257 if deep else colours()
    plain = images.Picture(pixels)
    assert not images.read(images.encode(plain, format)).is_result
    data = images.encode(replace(plain, is_result=True), format)
    assert images.read(data).is_result
    tag = directory(block_in(data, format))[0x000B]
    assert tag == text(0x000B, f"derain {derain.__version__}".encode())
    assert images.read(images.encode(images.read(data), format)).is_result
    opened: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert opened.shape == colours().shape
    assert Image.open(io.BytesIO(data)).getexif()[0x000B].startswith("derain ")


def test_a_bitmap_has_no_mark() -> None:
    notes: list[str] = []
    data = images.encode(images.Picture(colours(), is_result=True), "BMP", notes)
    assert notes == []
    assert not images.read(data).is_result


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("old", [[], [text(0x000B, b"another program, of a long name")]])
def test_the_mark_moves_nothing(order: str, old: list[Tag]) -> None:
    camera = [(0x927C, UNDEFINED, 40, bytes(range(40)))]
    main = [*old, text(0x010F, b"Camera & Sons"), number(order, 0x0112, SHORT, 1)]
    block = block_of(order, main, camera, pointers=[0x8769])
    picture = images.read(jpeg(block))
    written = read_block(images.encode(replace(picture, is_result=True), "JPEG"))
    assert written[8 : len(block)] == block[8:]
    first = directory(written)
    assert first.keys() == {0x000B, 0x010F, 0x0112, 0x8769}
    assert first[0x000B][3].startswith(b"derain ")
    assert first[0x010F] == main[-2]
    inner = directory(written, integer(written, first[0x8769]))
    assert inner[0x927C] == camera[0]
    assert following(written) == 0


def test_other_programs_pictures_are_no_results() -> None:
    block = block_of("<", [text(0x000B, b"derainer 2"), text(0x0131, b"derain 1.0")])
    assert not images.read(jpeg(block)).is_result


@given(
    order=st.sampled_from("<>"),
    texts=st.dictionaries(st.integers(0x010D, 0x0111), st.binary(min_size=1, max_size=20)),
    orientation=st.integers(1, 8),
    size=st.tuples(st.integers(1, 60_000), st.integers(1, 60_000)),
)
def test_correcting_twice_is_correcting_once(
    order: str, texts: dict[int, bytes], orientation: int, size: tuple[int, int]
) -> None:
    main = [text(tag, value) for tag, value in texts.items()]
    block = block_of(order, [*main, number(order, 0x0112, SHORT, orientation)])
    once = exif.corrected(block, Turn(orientation, *size))
    assert exif.corrected(once, Turn(1, *size)) == once
    assert exif.orientation_of(once) == 1
    assert {tag: directory(once)[tag] for tag in texts} == {each[0]: each for each in main}


def test_pixels_are_not_touched_by_metadata() -> None:
    block = block_of(">", [text(0x010F, b"Camera")])
    picture = images.Picture(colours(), metadata=images.Metadata(exif=block), is_result=True)
    for format in ("PNG", "TIFF"):
        decoded: NDArray[Any] = images.read(images.encode(picture, format)).pixels  # pyright: ignore[reportArgumentType]
        assert np.array_equal(decoded, colours())


@pytest.mark.parametrize("format", [*FORMATS, "AVIF"])
def test_what_is_no_result_any_more_is_not_marked(format: images.Format) -> None:
    if format == "AVIF" and ".avif" not in images.readable_suffixes():
        pytest.skip("this Pillow was built without AVIF")
    make = tiff.Field(0x010F, tiff.ASCII, b"Camera\0")
    block = exif.marked(tiff.with_fields(b"", [make]))
    plain = images.Picture(colours(), metadata=images.Metadata(exif=block))
    again = images.read(images.encode(plain, format))
    assert not again.is_result
    assert exif.text_of(again.metadata.exif, 0x010F) == "Camera"
    result = images.read(images.encode(replace(plain, is_result=True), format))
    assert result.is_result
    assert not images.read(images.encode(replace(result, is_result=False), format)).is_result
