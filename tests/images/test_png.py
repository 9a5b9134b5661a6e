"""PNG chunks go from file to file as they are, or are said to be lost."""

import io
import struct
import time
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from containers import colours, packed_chunk, png_chunks, png_of, png_with, saved
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from derain import images

TEXTS = [
    (b"tEXt", b"parameters\0a photo of rain, Steps: 20"),
    (b"tEXt", b"Copyright\0\xa9 A. Nyone"),
    (b"zTXt", b"prompt\0\0" + zlib.compress(b'{"nodes": []}')),
    (b"iTXt", b"Title\0\0\0ja\0" + "題\0雨".encode()),
    (b"iTXt", b"Long\0\1\0de\0Lang\0" + zlib.compress("ü".encode() * 99)),
]
COLOURS = [
    (b"cICP", b"\x01\x08\0\x01"),
    (b"sRGB", b"\0"),
    (b"gAMA", struct.pack(">I", 100_000)),
    (b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)),
    (b"mDCV", bytes(24)),
    (b"cLLI", bytes(8)),
]
OTHERS = [
    (b"bKGD", struct.pack(">3H", 1, 2, 3)),
    (b"pHYs", struct.pack(">IIB", 3, 4, 0)),
    (b"tIME", struct.pack(">H5B", 2024, 5, 6, 7, 8, 9)),
    (b"oFFs", struct.pack(">iiB", 5, 6, 0)),
    (b"sCAL", b"\x011.5\x002.5"),
    (b"sPLT", b"p\0\x08" + bytes(6)),
    (b"prVt", b"known to nobody"),
]


def deep(pixels: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return pixels.astype(np.uint16) * 257


def again(data: bytes) -> list[tuple[bytes, bytes]]:
    picture = images.read(data)
    notes: list[str] = []
    written = images.encode(picture, "PNG", notes)
    assert (list(picture.notes), notes) == ([], [])
    assert np.array_equal(images.read(written).pixels, picture.pixels)
    assert images.read(written).metadata == picture.metadata
    return png_chunks(written)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_chunk_is_carried(bits: int, channels: int) -> None:
    pixels = np.concatenate([colours(), colours()[..., :1] + 9], axis=2)[..., :channels]
    background = struct.pack(
        f">{3 if channels > 2 else 1}H", *(1, 2, 3)[: 3 if channels > 2 else 1]
    )
    significant = b"\x05" * channels
    chunks = [*COLOURS, (b"sBIT", significant), (b"bKGD", background), *OTHERS[1:], *TEXTS]
    stored = pixels if bits == 8 else deep(pixels)
    written = again(png_of(stored, chunks))
    for chunk in chunks:
        assert chunk in written
    header = next(content for kind, content in written if kind == b"IHDR")
    assert header[8:10] == bytes([bits, {1: 0, 2: 4, 3: 2, 4: 6}[channels]])
    kinds = [kind for kind, _ in written]
    assert max(kinds.index(kind) for kind, _ in COLOURS) < kinds.index(b"IDAT")


def test_what_lies_behind_the_pixels_stays_there() -> None:
    data = png_with(saved(colours(), "PNG"), after=[TEXTS[0], (b"prVt", b"late")])
    kinds = [kind for kind, _ in again(data)]
    assert kinds.index(b"IDAT") < kinds.index(b"tEXt") < kinds.index(b"prVt")


words = st.binary(min_size=1, max_size=20).map(lambda raw: bytes(32 + byte % 90 for byte in raw))


def plain_text(keyword: bytes, text: bytes) -> tuple[bytes, bytes]:
    return b"tEXt", keyword + b"\0" + text


def compressed_text(keyword: bytes, text: bytes) -> tuple[bytes, bytes]:
    return b"zTXt", keyword + b"\0\0" + zlib.compress(text)


def international_text(keyword: bytes, language: bytes, text: str) -> tuple[bytes, bytes]:
    return b"iTXt", keyword + b"\0\0\0" + language + b"\0" + keyword + b"\0" + text.encode()


chunk = st.one_of(
    st.builds(plain_text, words, st.binary()),
    st.builds(compressed_text, words, st.binary()),
    st.builds(international_text, words, st.sampled_from([b"", b"de", b"zh-Hant"]), st.text()),
    *(
        st.tuples(st.just(kind), st.binary(min_size=length, max_size=length))
        for kind, length in ((b"gAMA", 4), (b"cHRM", 32), (b"sRGB", 1), (b"cICP", 4), (b"tIME", 7))
    ),
    st.tuples(st.sampled_from([b"prVt", b"vpAt"]), st.binary(max_size=40)),
)


@given(chunks=st.lists(chunk, max_size=8), late=st.lists(chunk, max_size=3), bits=st.booleans())
def test_chunks_round_trip(
    chunks: list[tuple[bytes, bytes]], late: list[tuple[bytes, bytes]], bits: bool
) -> None:
    pixels = deep(colours(2, 3)) if bits else colours(2, 3)
    data = png_with(png_of(pixels, chunks), after=late)
    picture = images.read(data)
    written = images.encode(picture, "PNG")
    kept = [each for each in png_chunks(written) if each[0] not in (b"IHDR", b"IDAT", b"IEND")]
    assert kept == [*chunks, *late]
    assert images.read(written).metadata == picture.metadata
    notes: list[str] = []
    as_jpeg = images.encode(picture, "JPEG", notes)
    assert Image.open(io.BytesIO(as_jpeg)).size == (3, 2)
    assert len(notes) <= 1


def test_text_bombs_are_carried_unopened() -> None:
    bomb = (b"zTXt", b"comment\0\0" + zlib.compress(b"x" * (70 << 20)))
    international = (b"iTXt", b"c\0\1\0\0\0" + zlib.compress(b"x" * (70 << 20)))
    written = again(png_with(saved(colours(), "PNG"), [bomb, international]))
    assert bomb in written
    assert international in written


def test_many_profiles_in_texts_take_no_time() -> None:
    text = b"\nexif\n       8\n" + b"00" * (4 << 20)
    bomb = (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))
    data = png_with(saved(colours(), "PNG"), [bomb] * 100)
    began = time.process_time()
    picture = images.read(data)
    assert time.process_time() - began < 2
    assert len(picture.metadata.extras) == 100


def test_profile_bombs_are_left_out() -> None:
    bomb = (b"iCCP", b"name\0\0" + zlib.compress(b"x" * (70 << 20)))
    picture = images.read(png_with(saved(colours(), "PNG"), [bomb]))
    assert picture.metadata.icc == b""
    assert picture.notes == ("not kept: damaged colour profile",)


@pytest.mark.parametrize("content", [b"", b"x", b"\0", b"\0\0", b"n\0\0notzlib", bytes(200)])
@pytest.mark.parametrize(
    "kind",
    [
        *(kind for kind, _ in [*COLOURS, *OTHERS]),
        b"sBIT",
        b"hIST",
        b"iCCP",
        b"eXIf",
        b"iTXt",
        b"zTXt",
    ],
)
def test_malformed_chunks_do_not_cost_the_picture(kind: bytes, content: bytes) -> None:
    for data in (
        png_with(saved(colours(), "PNG"), [(kind, content)]),
        png_of(deep(colours()), [(kind, content)]),
    ):
        picture = images.read(data)
        assert np.array_equal(images.to_eight_bits(picture.pixels), colours())
        formats: tuple[images.Format, ...] = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
        for format in formats:
            assert Image.open(io.BytesIO(images.encode(picture, format))).size == (9, 6)


def test_a_chunk_with_a_wrong_checksum_is_left_out_with_a_note() -> None:
    data = saved(colours(), "PNG")
    broken = bytearray(packed_chunk(*TEXTS[0]))
    broken[-1] ^= 1
    picture = images.read(data[:33] + bytes(broken) + data[33:])
    assert np.array_equal(picture.pixels, colours())
    assert picture.notes == ("not kept: damaged PNG chunks",)
    assert picture.metadata.extras == ()


def test_chunks_about_the_old_pixels_are_dropped() -> None:
    palette = Image.fromarray(colours()).quantize(16)
    out = io.BytesIO()
    palette.save(out, "PNG")
    data = out.getvalue()
    place = data.index(b"PLTE") + 4
    colour = data[place + 6 : place + 9]
    end = place + len(png_chunks(data)[1][1]) + 4
    histogram = packed_chunk(b"hIST", bytes(32)) + packed_chunk(b"bKGD", b"\2")
    signed = packed_chunk(b"caBX", b"jumbf") + packed_chunk(b"deRP", b"?")
    picture = images.read(data[:end] + histogram + signed + data[end:])
    assert picture.notes == ("not kept: PNG deRP, content credentials",)
    written = dict(png_chunks(images.encode(picture, "PNG")))
    assert not {b"hIST", b"caBX", b"deRP"} & written.keys()
    assert written[b"bKGD"] == struct.pack(">3H", *colour)


@pytest.mark.parametrize(
    ("bits", "level", "expected"), [(1, 1, 255), (2, 1, 85), (4, 15, 255), (8, 9, 9)]
)
def test_background_of_few_bits_is_scaled(bits: int, level: int, expected: int) -> None:
    header = struct.pack(">IIBBBBB", 1, 1, bits, 0, 0, 0, 0)
    chunks = [
        (b"IHDR", header),
        (b"sBIT", b"\1"),
        (b"bKGD", struct.pack(">H", level)),
        (b"IDAT", zlib.compress(b"\0\0")),
        (b"IEND", b""),
    ]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(packed_chunk(*each) for each in chunks)
    written = dict(png_chunks(images.encode(images.read(data), "PNG")))
    assert written[b"bKGD"] == struct.pack(">H", expected)
    assert (b"sBIT" in written) == (bits == 8)


def test_turned_pictures_exchange_their_density() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    chunks = [(b"pHYs", struct.pack(">IIB", 3, 4, 0)), (b"oFFs", bytes(9)), (b"eXIf", block)]
    picture = images.read(png_with(saved(colours(), "PNG"), chunks))
    assert picture.notes == ("not kept: PNG oFFs",)
    written = dict(png_chunks(images.encode(picture, "PNG")))
    assert written[b"pHYs"] == struct.pack(">IIB", 4, 3, 0)
    jpeg = Image.open(io.BytesIO(images.encode(picture, "JPEG")))
    assert (jpeg.info["jfif_unit"], jpeg.info["jfif_density"]) == (0, (4, 3))


def test_linear_light_is_converted_for_other_formats() -> None:
    levels = np.arange(0, 256, 5, dtype=np.uint8).reshape(4, 13, 1).repeat(3, 2)
    picture = images.read(png_of(levels, [(b"gAMA", struct.pack(">I", 100_000))]))
    formats: tuple[images.Format, ...] = ("JPEG", "WEBP", "TIFF")
    for format in formats:
        notes: list[str] = []
        image = Image.open(io.BytesIO(images.encode(picture, format, notes)))
        assert notes == []
        shown = displayed(image)
        linear = np.asarray(image.convert("RGB")) / 255
        expected = np.where(
            linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
        )
        assert np.abs(shown - 255 * expected).max() < 2
    notes = []
    images.encode(picture, "BMP", notes)
    assert notes == ["not kept in BMP: colour profile"]


def displayed(image: Image.Image) -> NDArray[Any]:
    """Return what a display of sRGB shows, by a picture's own profile."""
    from PIL import ImageCms

    own = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    shown = ImageCms.profileToProfile(
        image.convert("RGB"), own, ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert shown is not None
    return np.asarray(shown).astype(float)


def test_colours_beyond_white_are_said_to_be_lost() -> None:
    picture = images.read(png_of(colours(), [(b"cICP", b"\x09\x10\0\x01"), (b"cLLI", bytes(8))]))
    notes: list[str] = []
    images.encode(picture, "JPEG", notes)
    assert notes == ["not kept in JPEG: PNG cICP, PNG cLLI"]


def test_texts_become_what_a_jpeg_has_for_them() -> None:
    chunks = [*TEXTS, (b"tEXt", b"Comment\0caf\xe9"), (b"iTXt", b"Author\0\0\0\0\0Jos\xc3\xa9")]
    picture = images.read(png_with(saved(colours(), "PNG"), chunks))
    notes: list[str] = []
    image = Image.open(io.BytesIO(images.encode(picture, "JPEG", notes)))
    assert notes == ["not kept in JPEG: PNG text (4 entries)"]
    assert image.info["comment"] == "café".encode()
    assert image.getexif()[0x8298].encode("latin-1") == "© A. Nyone".encode()
    assert image.getexif()[0x013B].encode("latin-1") == "José".encode()


def test_own_exif_is_not_overruled_by_texts() -> None:
    exif = Image.Exif()
    exif[0x8298] = "the camera's"
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    picture = images.read(png_with(saved(colours(), "PNG"), [(b"eXIf", block), TEXTS[1]]))
    notes: list[str] = []
    image = Image.open(io.BytesIO(images.encode(picture, "JPEG", notes)))
    assert image.getexif()[0x8298] == "the camera's"
    assert notes == ["not kept in JPEG: PNG text (1 entry)"]


def test_exif_in_the_way_of_imagemagick_is_corrected() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera"
    content = exif.tobytes()
    text = f"\nexif\n{len(content):8}\n{content.hex()}\n".encode()
    chunk = (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))
    picture = images.read(png_with(saved(colours(), "PNG"), [chunk]))
    assert picture.pixels.shape == (9, 6, 3)
    written = images.encode(picture, "PNG")
    assert b"Raw profile" not in written
    assert Image.open(io.BytesIO(written)).getexif()[0x0112] == 1


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_results_open_elsewhere(channels: int) -> None:
    pixels = np.concatenate([colours(), colours()[..., :1] + 9], axis=2)[..., :channels]
    for stored in (pixels, deep(pixels)):
        written = images.encode(images.read(png_of(stored, [*COLOURS, *TEXTS])), "PNG")
        Image.open(io.BytesIO(written)).load()
        opened: Any = cv2.imdecode(np.frombuffer(written, np.uint8), cv2.IMREAD_UNCHANGED)
        assert opened.dtype == stored.dtype
        if channels != 2:
            assert opened.shape[:2] == stored.shape[:2]


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(
    ("colour", "depth"), [(0, 1), (0, 8), (0, 16), (2, 8), (2, 16), (3, 4), (4, 8), (6, 8), (6, 16)]
)
def test_pixels_that_end_early_are_refused(colour: int, depth: int, *, interlaced: bool) -> None:
    width, height = 13, 11
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4)]
        passes += [(1, 0, 2, 2), (0, 1, 1, 2)]
    rows = [
        b"\0" + b"\xa5" * ((len(range(left, width, across)) * bits + 7) // 8)
        for left, top, across, down in passes
        for _ in range(top, height, down)
    ]

    def file(stream: bytes) -> bytes:
        head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
        palette = packed_chunk(b"PLTE", bytes(range(48))) if colour == 3 else b""
        parts = [packed_chunk(b"IHDR", head), palette]
        parts.append(packed_chunk(b"IDAT", zlib.compress(stream)))
        return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, packed_chunk(b"IEND", b"")])

    assert images.read(file(b"".join(rows))).pixels.shape == (height, width, 3)
    with pytest.raises(images.ImageError, match=r"truncated PNG picture \(its pixels end early\)"):
        images.read(file(b"".join(rows[:-1])))


def test_a_picture_that_ends_black_is_whole() -> None:
    pixels = np.full((9, 7, 3), 200, np.uint8)
    pixels[5:] = 0
    assert np.array_equal(images.read(png_of(pixels)).pixels, pixels)
