"""Photoshop's image resources: kept, but for what shows or describes the old picture."""

import struct

import pytest
from containers import IPTC, block_of, image_resource
from hypothesis import given
from hypothesis import strategies as st

from derain.images import photoshop
from derain.images.exif import Turn

UPRIGHT, QUARTER = Turn(1, 9, 6), Turn(6, 6, 9)
XMP = b'<x tiff:Orientation="6" tiff:ImageWidth="9" tiff:ImageLength="6"/>'


def name(text: bytes) -> bytes:
    """Return a name as it stands in a resource: its length, and padding to an even one."""
    whole = bytes([len(text)]) + text
    return whole + b"\0" * (len(whole) % 2)


resource = st.tuples(
    st.integers(0, 65535).filter(lambda number: number not in (0x0409, 0x040C, 0x040F)),
    st.binary(max_size=30),
    st.binary(max_size=9),
)


@given(st.lists(resource, max_size=6))
def test_resources_round_trip(given_resources: list[tuple[int, bytes, bytes]]) -> None:
    block = b"".join(
        image_resource(number, data, name(word)) for number, data, word in given_resources
    )
    found = photoshop.split(block)
    assert [(each.number, each.data) for each in found] == [each[:2] for each in given_resources]
    assert photoshop.joined(found) == block


def test_padding_behind_the_last_resource_is_none() -> None:
    (only,) = photoshop.split(image_resource(0x0404, IPTC) + bytes(20))
    assert only.data == IPTC


@given(st.binary(max_size=60), st.integers(0, 40))
def test_damaged_blocks_raise_one_kind_of_error(noise: bytes, cut: int) -> None:
    whole = image_resource(0x0404, IPTC) + image_resource(2000, b"path")
    for block in (noise, whole[:-cut] if cut else whole, b"8BIM" + noise):
        try:
            photoshop.corrected(block, QUARTER, set())
        except ValueError:
            continue


@pytest.mark.parametrize("number", [0x0409, 0x040C])
def test_thumbnails_go(number: int) -> None:
    kept = image_resource(0x0404, IPTC)
    lost: set[str] = set()
    assert photoshop.corrected(image_resource(number, b"jpeg") + kept, UPRIGHT, lost) == kept
    assert lost == set()


def test_a_second_profile_is_said() -> None:
    lost: set[str] = set()
    assert photoshop.corrected(image_resource(0x040F, b"profile"), UPRIGHT, lost) == b""
    assert lost == {"a second colour profile"}


def test_what_describes_the_old_picture_is_corrected() -> None:
    exif = block_of(">", [(0x0112, 3, 1, struct.pack(">H", 6))])
    upright = block_of(">", [(0x0112, 3, 1, struct.pack(">H", 1))])
    resolution = struct.pack(">IHHIHH", 300, 1, 2, 150, 3, 4)
    block = b"".join(
        image_resource(number, data)
        for number, data in ((0x0422, exif), (0x0424, XMP), (0x03ED, resolution))
    )
    after = photoshop.corrected(block, QUARTER, set())
    found = {each.number: each.data for each in photoshop.split(after)}
    assert found[0x0422] == upright
    assert found[0x0424] == b'<x tiff:Orientation="1" tiff:ImageWidth="6" tiff:ImageLength="9"/>'
    assert found[0x03ED] == struct.pack(">IHHIHH", 150, 3, 4, 300, 1, 2)
    assert photoshop.corrected(image_resource(0x03ED, resolution), UPRIGHT, set()) == (
        image_resource(0x03ED, resolution)
    )


def test_iptc_takes_the_place_of_another() -> None:
    other = image_resource(0x0404, b"\x1c\2\5\0\1x") + image_resource(0x0425, b"d" * 16)
    path = image_resource(2000, b"path")
    lost: list[str] = []
    assert photoshop.with_iptc(other + path, IPTC, lost) == path + image_resource(0x0404, IPTC)
    assert lost == ["a second, differing IPTC"]
    lost = []
    own = image_resource(0x0404, IPTC) + path
    assert photoshop.with_iptc(own, IPTC + b"\0\0", lost) == own
    assert photoshop.with_iptc(path, b"", lost) == path
    assert photoshop.iptc_of(photoshop.with_iptc(b"", IPTC, lost)) == IPTC
    assert lost == []
