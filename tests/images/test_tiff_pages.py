"""TIFFs of several directories: one picture, or several."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_files import Tags, saved, tiff, tiff_tags
from numpy.typing import NDArray
from PIL import Image

from derain import images
from derain.images import ImageError
from derain.images.tiff_pages import find_pages

WIDTH, HEIGHT = 40, 24


def page(width: int = WIDTH, height: int = HEIGHT, **more: int) -> tuple[Tags, bytes]:
    """A page whose pixels are all as bright as it is wide."""
    return tiff_tags(width, height, **more), bytes([width]) * (width * height * 3)


THUMBNAIL = page(20, 12)
FLAGGED = page(16, 16, subfile=1)
OLD_FLAG = page(16, 16, old_subfile=2)
MASK = page(subfile=4)
OLD_MASK = (page()[0] | {262: (4,)}, page()[1])
SMALLER_MASK = page(20, 12, subfile=5)


@pytest.mark.parametrize(
    ("others", "note"),
    [
        ([FLAGGED], "not kept: 1 smaller copy in the file"),
        ([OLD_FLAG], "not kept: 1 smaller copy in the file"),
        ([THUMBNAIL], "not kept: 1 smaller copy in the file"),
        ([MASK], "not kept: 1 mask in the file"),
        ([OLD_MASK], "not kept: 1 mask in the file"),
        (
            [FLAGGED, OLD_FLAG, MASK, SMALLER_MASK],
            "not kept: 2 smaller copies and 2 masks in the file",
        ),
    ],
)
@pytest.mark.parametrize("place", ["first", "last"])
def test_the_page_of_full_size_is_the_picture(
    others: list[tuple[Tags, bytes]], note: str, place: str
) -> None:
    if place == "first" and others == [THUMBNAIL]:
        pytest.skip("without a flag, a thumbnail comes second")
    pages = [*others, page()] if place == "first" else [page(), *others]
    picture = images.read(tiff(*pages))
    assert picture.pixels.shape == (HEIGHT, WIDTH, 3)
    assert np.all(picture.pixels == WIDTH)
    assert picture.notes == (note,)


@pytest.mark.parametrize(
    "second",
    [page(), page(40, 40), page(20, 20), page(30, 18), page(subfile=2)],
    ids=["the same size", "larger", "other proportions", "hardly smaller", "flagged as a page"],
)
def test_pages_of_their_own_are_refused(second: tuple[Tags, bytes]) -> None:
    with pytest.raises(ImageError, match="holds 2 pages; expected one picture: split it"):
        images.read(tiff(page(), second))


def test_a_single_page_counts_whatever_its_flag() -> None:
    assert np.all(images.read(tiff(FLAGGED)).pixels == 16)


@pytest.mark.parametrize(
    "data",
    [
        tiff((tiff_tags(16, 16, subfile=1) | {330: (8, 8)}, bytes(768))),  # NEF, ARW
        tiff((tiff_tags(40, 24) | {50706: (1, 4)}, bytes(2880))),  # DNG
        tiff(page())[:8] + b"CR\2\0" + tiff(page())[12:],
    ],
    ids=["thumbnail above the picture", "DNG", "CR2"],
)
def test_the_thumbnail_of_a_raw_file_is_not_the_picture(data: bytes) -> None:
    with pytest.raises(ImageError, match="a camera's raw file; expected a developed picture"):
        images.read(data)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_a_page_behind_a_thumbnail_keeps_its_tags(
    photo: NDArray[np.uint8], compression: str
) -> None:
    data = saved(
        Image.fromarray(photo), "TIFF", compression=compression, dpi=(300, 300), artist="A. Nyone"
    )
    # A thumbnail is put in front: its directory leads to the one that was first.
    first = struct.unpack_from("<I", data, 4)[0]
    small = tiff(FLAGGED)
    directory = struct.unpack_from("<I", small, 4)[0]
    place = len(data) + len(data) % 2
    edited = bytearray(data.ljust(place, b"\0") + small[directory:])
    struct.pack_into("<I", edited, 4, place)
    (count,) = struct.unpack_from("<H", edited, place)
    struct.pack_into("<I", edited, place + 2 + 12 * count, first)
    picture = images.read(bytes(edited))
    assert np.array_equal(picture.pixels, photo)
    assert picture.metadata.encoding == {"dpi": (300.0, 300.0), "compression": compression}
    assert b"A. Nyone" in picture.metadata.exif
    assert picture.notes == ("not kept: 1 smaller copy in the file",)


def test_other_byte_order_and_large_offsets(photo: NDArray[np.uint8]) -> None:
    data = saved(Image.fromarray(photo), "TIFF", big_tiff=True)
    if struct.unpack_from("<H", data, 2) != (43,):
        pytest.skip("this Pillow writes no BigTIFF")
    assert np.array_equal(images.read(data).pixels, photo)
    pages = find_pages(b"MM\0*\0\0\0\x08\0\1\1\0\0\3\0\0\0\1\0\x09\0\0\0\0\0\0")
    assert pages.picture.width == 9


@given(data=st.binary(max_size=80), head=st.sampled_from([b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"]))
def test_no_directory_leads_astray(data: bytes, head: bytes) -> None:
    with pytest.raises(ImageError):
        images.read(head + data)
