"""XMP is corrected as text: attributes and elements, any prefix, nothing else."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derain.images import xmp
from derain.images.exif import Turn

QUARTER = Turn(6, 6, 9)
UPRIGHT = Turn(1, 9, 6)


def corrected(text: str, turn: Turn = QUARTER) -> tuple[str, set[str]]:
    lost: set[str] = set()
    return xmp.corrected(text.encode(), turn, lost).decode(), lost


@pytest.mark.parametrize("value", ["6", "1", "0", "16", "65542", "Rotated", "", " 6 "])
@pytest.mark.parametrize(
    "form",
    [
        '<d tiff:Orientation="{}" a="b"/>',
        "<d tiff:Orientation = '{}'>",
        "<tiff:Orientation>{}</tiff:Orientation>",
    ],
)
def test_orientation_of_any_value_becomes_upright(value: str, form: str) -> None:
    assert corrected(form.format(value))[0] == form.format("1")
    expected = int(value) if value.strip().isdigit() else None
    assert xmp.orientation_of(form.format(value).encode()) == expected


@pytest.mark.parametrize(
    "form",
    [
        '<d {t}:ImageWidth="{w}" {t}:ImageLength="{h}"'
        " {e}:PixelXDimension='{w}' {e}:PixelYDimension = '{h}'/>",
        "<{t}:ImageWidth>{w}</{t}:ImageWidth><{t}:ImageLength a='b'>{h}</{t}:ImageLength>"
        "<{e}:PixelXDimension>{w}</{e}:PixelXDimension>"
        "<{e}:PixelYDimension>{h}</{e}:PixelYDimension>",
    ],
)
@pytest.mark.parametrize(("t", "e"), [("tiff", "exif"), ("ns1", "ns2")])
def test_sizes_are_those_of_the_upright_picture(form: str, t: str, e: str) -> None:
    head = (
        f'<x xmlns:{t}="http://ns.adobe.com/tiff/1.0/" xmlns:{e}="http://ns.adobe.com/exif/1.0/">'
    )
    before = head + form.format(t=t, e=e, w=9, h=6)
    assert corrected(before)[0] == head + form.format(t=t, e=e, w=6, h=9)
    assert corrected(before, UPRIGHT)[0] == before


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-16"])
def test_encodings_are_kept(encoding: str) -> None:
    text = '<x tiff:Orientation="{}">雨 ü</x>'
    lost: set[str] = set()
    after = xmp.corrected(text.format(6).encode(encoding), QUARTER, lost)
    assert after == text.format(1).encode(encoding)


def test_bytes_that_are_no_text_are_kept() -> None:
    lost: set[str] = set()
    packet = b'<x a="\xff\xfe\x80" tiff:Orientation="6">\0\xc3</x>'
    assert xmp.corrected(packet, QUARTER, lost) == packet.replace(b'"6"', b'"1"')


def test_thumbnails_are_dropped_and_padding_is_kept() -> None:
    thumbnails = (
        "<xmp:Thumbnails><rdf:Alt><rdf:li rdf:parseType='Resource'><xmpGImg:image>/9j/4AA"
        "</xmpGImg:image></rdf:li></rdf:Alt></xmp:Thumbnails>"
    )
    text = '<r><d xmp:CreatorTool="a > b">{}<dc:title>x</dc:title></d></r>' + " \n" * 2000
    assert corrected(text.format(thumbnails), UPRIGHT) == (text.format(""), set())


def test_marked_faces_of_a_turned_picture_are_dropped() -> None:
    faces = '<mwg-rs:Regions><mwg-rs:List><a mwg-rs:Name="Eve"/></mwg-rs:List></mwg-rs:Regions>'
    assert corrected(f"<d>{faces}</d>", UPRIGHT) == (f"<d>{faces}</d>", set())
    assert corrected(f"<d>{faces}</d>") == ("<d></d>", {"marked faces of a turned picture"})


def test_elements_within_their_like_are_dropped_whole() -> None:
    text = "<d><hdrgm:A><hdrgm:A x='>'/><hdrgm:A></hdrgm:A >t</hdrgm:A>kept</d>"
    assert corrected(text, UPRIGHT) == ("<d>kept</d>", {"HDR gain map"})


def test_provenance_goes_with_its_signature() -> None:
    text = '<d dcterms:provenance="https://example.org/m" dcterms:created="2024"/>'
    assert corrected(text, UPRIGHT) == ('<d dcterms:created="2024"/>', {"content credentials"})


@given(st.text(alphabet="<>/=\"' :hdrgmtiffOrientation169xmlns"))
def test_any_text_is_survived_and_correcting_twice_is_correcting_once(text: str) -> None:
    once, _ = corrected(text)
    twice, _ = corrected(once, UPRIGHT)
    assert twice == once or "hdrgm" in text


@pytest.mark.parametrize(
    "piece",
    [
        "<hdrgm:A ",
        "<hdrgm:A>",
        "<hdrgm:A '",
        ' hdrgm:A="',
        "\n",
        " tiff:Orientation =",
        "<tiff:Orientation ",
    ],
)
def test_hostile_packets_take_no_time(piece: str) -> None:
    began = time.perf_counter()
    corrected("<x hdrgm:B='1'/>" + piece * (400_000 // len(piece)))
    assert time.perf_counter() - began < 2


def test_long_packets_take_no_time() -> None:
    data = "/9j/4AAQSkZJRgABAQEA" * 500_000
    packet = f'<d GDepth:Data="{data}" tiff:Orientation="6" hdrgm:Version="1.0"/>' + " " * 1_000_000
    began = time.perf_counter()
    text, lost = corrected(packet)
    assert time.perf_counter() - began < 6
    assert (text.count(data), lost) == (1, {"HDR gain map"})
