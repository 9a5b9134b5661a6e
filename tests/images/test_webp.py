"""WebP and BMP: chunks kept, the alpha channel too, and what cannot be kept said."""

import io
import struct

import numpy as np
import pytest
from containers import block_of, colours, png_of, riff_chunks, saved
from PIL import Image

from derain import images
from derain.images import profiles, webp

BLOCK = block_of("<", [(271, 2, 7, b"Camera\0")])
XMP = b'<x:xmpmeta><rdf:Description dc:creator="A. Nyone"/></x:xmpmeta>'


def webp_with(data: bytes, chunks: list[tuple[bytes, bytes]]) -> bytes:
    """Return a WebP of the extended kind with more chunks at its end."""
    body = data[8:] + b"".join(
        kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
        for kind, content in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("lossless", [True, False])
def test_every_chunk_is_carried(lossless: bool) -> None:
    icc = profiles.srgb()
    plain = saved(colours(), "WEBP", lossless=lossless, icc_profile=icc, exif=BLOCK, xmp=XMP)
    picture = images.read(webp_with(plain, [(b"priv", b"odd"), (b"C2PA", b"jumbf")]))
    assert picture.notes == ("not kept: content credentials",)
    written = images.encode(picture, "WEBP")
    chunks = dict(riff_chunks(written))
    assert chunks[b"ICCP"] == icc
    assert chunks[b"EXIF"] == BLOCK
    assert chunks[b"XMP "] == XMP
    assert chunks[b"priv"] == b"odd"
    assert b"C2PA" not in chunks
    assert chunks[b"VP8X"][0] & 0x2C == 0x2C
    assert chunks[b"VP8X"][4:] == b"\x08\0\0\x05\0\0"
    kinds = [kind for kind, _ in riff_chunks(written)]
    assert kinds[:2] == [b"VP8X", b"ICCP"]
    assert (b"VP8L" in kinds) == lossless
    image = Image.open(io.BytesIO(written))
    image.load()
    assert image.info["icc_profile"] == icc
    assert images.read(written).metadata == picture.metadata


def test_a_plain_file_stays_plain() -> None:
    written = images.encode(images.Picture(colours()), "WEBP")
    assert [kind for kind, _ in riff_chunks(written)] == [b"VP8 "]


@pytest.mark.parametrize("lossless", [True, False])
def test_an_opaque_alpha_channel_stays(lossless: bool) -> None:
    pixels = np.dstack([colours(), np.full(colours().shape[:2], 255, np.uint8)])
    metadata = images.Metadata("WEBP", encoding={"lossless": lossless})
    picture = images.Picture(pixels[..., :3], pixels[..., 3], metadata=metadata)
    written = images.encode(picture, "WEBP")
    assert Image.open(io.BytesIO(written)).mode == "RGBA"
    again = images.read(written)
    assert again.alpha is not None
    assert again.alpha.min() == 255


def test_unknown_chunks_are_named_elsewhere() -> None:
    plain = saved(colours(), "WEBP", exif=BLOCK)
    notes: list[str] = []
    images.encode(images.read(webp_with(plain, [(b"priv", b"odd")])), "JPEG", notes)
    assert notes == ["not kept in JPEG: WebP priv"]


def bitmap(profile: bytes) -> bytes:
    """Return a bitmap of version 5 with a profile in it."""
    plain = saved(colours(), "BMP")
    (offset,) = struct.unpack_from("<I", plain, 10)
    pixels = plain[offset:]
    header = bytearray(124)
    header[:40] = plain[14:54]
    struct.pack_into("<I", header, 0, 124)
    header[56:60] = b"DEBM"
    struct.pack_into("<II", header, 112, 124 + len(pixels), len(profile))
    start = 14 + 124
    head = b"BM" + struct.pack("<IHHI", start + len(pixels) + len(profile), 0, 0, start)
    return head + bytes(header) + pixels + profile


def test_a_bitmaps_profile_is_kept_where_it_can_be() -> None:
    profile = profiles.srgb().replace(b"mntr", b"scnr")
    picture = images.read(bitmap(profile))
    assert np.array_equal(picture.pixels, colours())
    assert Image.open(io.BytesIO(images.encode(picture, "PNG"))).info["icc_profile"] == profile
    notes: list[str] = []
    images.encode(picture, "BMP", notes)
    assert notes == ["not kept in BMP: colour profile"]


def test_a_bitmap_says_all_that_it_cannot_hold() -> None:
    text = (b"tEXt", b"Title\0rain")
    gamma = (b"gAMA", struct.pack(">I", 100_000))
    exif = (b"eXIf", BLOCK)
    packet = (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
    picture = images.read(png_of(colours(), [gamma, text, exif, packet]))
    notes: list[str] = []
    written = images.encode(picture, "BMP", notes)
    assert notes == ["not kept in BMP: colour profile, EXIF, XMP, PNG text (1 entry)"]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(written))), colours())


def test_a_bitmap_is_of_srgb_as_it_is() -> None:
    notes: list[str] = []
    images.encode(images.read(png_of(colours(), [(b"sRGB", b"\0")])), "BMP", notes)
    assert notes == []


@pytest.mark.parametrize("lossless", [True, False])
def test_chunks_are_walked_alike(lossless: bool) -> None:
    data = webp_with(saved(colours(), "WEBP", lossless=lossless, exif=BLOCK), [(b"ODD ", b"abc")])
    spans = list(webp.spans_of(data))
    assert [(kind, data[start : start + length]) for kind, start, length in spans] == list(
        webp.chunks_of(data)
    )
    assert webp.is_lossless(data) == lossless
    assert webp.frames_of(data) == 0
    cut = data[:-2]  # within the last chunk
    assert [kind for kind, _ in webp.chunks_of(cut)] == [kind for kind, _, _ in spans[:-1]]
    assert list(webp.spans_of(cut)) == spans


def test_frames_are_counted_also_if_the_last_is_cut_off() -> None:
    frames = [np.full((9, 9, 3), level, np.uint8) for level in (9, 99, 200)]
    others = [Image.fromarray(frame) for frame in frames[1:]]
    data = saved(frames[0], "WEBP", save_all=True, append_images=others)
    assert webp.frames_of(data) == webp.frames_of(data[:-4]) == 3


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (b"EXIF", "a second EXIF block"),
        (b"XMP ", "a second XMP packet"),
        (b"ICCP", "a second colour profile"),
    ],
)
def test_of_two_chunks_of_a_kind_the_first_is_kept_and_the_other_said(
    kind: bytes, name: str
) -> None:
    data = saved(colours(), "WEBP", icc_profile=profiles.srgb(), exif=BLOCK, xmp=XMP)
    first = dict(riff_chunks(data))[kind]
    picture = images.read(webp_with(data, [(kind, first)]))
    assert picture.notes == ()
    picture = images.read(webp_with(data, [(kind, first.replace(b"m", b"n"))]))
    assert picture.notes == (f"not kept: {name}",)
    assert dict(riff_chunks(images.encode(picture, "WEBP")))[kind] == first
