"""What headers say: least and held bytes, and the memory that decoding takes, by hand."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from made_files import png, saved, tiff, tiff_tags
from PIL import Image

from derain.images import read_image
from derain.images.headers import DEFLATE, LZW, Claim, claim_of


def riff(chunk: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


@pytest.mark.parametrize(
    ("depth", "colour", "row", "stored", "result"),
    [
        (1, 0, 126, 1, 3),  # bits, behind the filter's byte
        (8, 0, 1001, 1, 3),
        (8, 2, 3001, 4, 3),  # Pillow fills RGB up to four bytes
        (8, 3, 1001, 1, 4),  # a palette may have transparency
        (16, 4, 4001, 4, 8),
        (16, 6, 8001, 4, 8),
    ],
)
def test_png(depth: int, colour: int, row: int, stored: int, result: int) -> None:
    claim = claim_of(png(1000, 2000, depth, colour, bytes(500)))
    assert (claim.width, claim.height, claim.held) == (1000, 2000, 500)
    assert claim.least == row * 2000 // DEFLATE
    assert (claim.stored, claim.result) == (stored, result)


@pytest.mark.parametrize(("progressive", "codes"), [(False, 2), (True, 1)])
def test_jpeg(progressive: bool, codes: int) -> None:
    image = Image.new("RGB", (64, 48))
    data = saved(image, "JPEG", subsampling=2, progressive=progressive)
    claim = claim_of(data)
    samples = 64 * 48 + 2 * 32 * 24  # colours are halved twice
    assert (claim.width, claim.height) == (64, 48)
    assert claim.least == samples // 64 * codes // 8
    assert claim.held == len(data) - data.index(b"\xff\xda")
    assert claim.buffer == (2 * samples if progressive else 0)
    assert (claim.stored, claim.result) == (4, 3)


def test_jpeg_counts_whole_blocks() -> None:
    claim = claim_of(saved(Image.new("L", (9, 17)), "JPEG"))
    assert claim.least == 2 * 3 * 2 // 8


@pytest.mark.parametrize(
    ("compression", "factor"), [(1, 1), (5, LZW), (8, DEFLATE), (32773, 64), (32946, DEFLATE)]
)
def test_tiff(compression: int, factor: int) -> None:
    claim = claim_of(tiff((tiff_tags(1000, 2000, compression=compression), bytes(700))))
    assert (claim.width, claim.height, claim.held) == (1000, 2000, 700)
    assert claim.least == 6_000_000 // factor
    assert (claim.stored, claim.result) == (4, 3)


def test_a_tiff_with_short_lengths_of_strips_is_read(tmp_path: Path) -> None:
    # So OpenCV and libtiff write uncompressed pictures, also in files of more than 64 KB.
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    path = tmp_path / "strips.tif"
    cv2.imwrite(str(path), pixels[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    with tifffile.TiffFile(path) as file:
        lengths = file.pages.first.tags["StripByteCounts"]
        assert lengths.dtype == tifffile.DATATYPE.SHORT
        assert claim_of(path.read_bytes()).held == sum(lengths.value) > 2**16
    assert np.array_equal(read_image(path), pixels)


def test_tiff_that_is_turned_is_there_twice() -> None:
    tags = tiff_tags(1000, 2000, compression=8)
    plain, turned = (claim_of(tiff((each, bytes(700)))) for each in (tags, tags | {274: (6,)}))
    assert turned.buffer >= 2_000_000 * 4
    assert turned.memory > plain.memory


@pytest.mark.parametrize(
    ("bits", "compression", "least", "stored", "buffer"),
    [
        (24, 0, 40 * 20 - 4, 4, 0),  # 13 pixels take 39 bytes, and rows are of four
        (8, 0, 16 * 20 - 4, 1, 0),
        (1, 0, 4 * 20 - 4, 1, 0),
        (8, 1, 0, 1, 2 * 13 * 20),  # runs can be as short as they like
    ],
)
def test_bmp(bits: int, compression: int, least: int, stored: int, buffer: int) -> None:
    header = struct.pack("<IiiHHIIiiII", 40, 13, -20, 1, bits, compression, 0, 0, 0, 0, 0)
    claim = claim_of(b"BM" + struct.pack("<IHHI", 0, 0, 0, 54) + header + bytes(30))
    assert (claim.width, claim.height, claim.least, claim.held) == (13, 20, least, 30)
    assert (claim.stored, claim.buffer) == (stored, buffer)


def test_webp() -> None:
    bits = (300 - 1) | (200 - 1) << 14
    lossless = riff(b"VP8L" + struct.pack("<IBI", 5, 0x2F, bits))
    extended = riff(
        b"VP8X"
        + struct.pack("<I4x", 10)
        + (299).to_bytes(3, "little")
        + (199).to_bytes(3, "little")
    )
    for data in (lossless, extended, saved(Image.new("RGB", (300, 200)), "WEBP")):
        claim = claim_of(data)
        assert (claim.width, claim.height, claim.frames) == (300, 200, 1)
        assert claim.memory == 300 * 200 * (13 + 4)


@pytest.mark.parametrize(
    ("stored", "result", "buffer", "memory"),
    [
        (4, 3, 0, 700),  # both are there while the array is filled
        (1, 4, 0, 800),  # turning it upright takes more
        (4, 3, 1000, 1400),  # the decoder's buffer has gone when the array comes
        (4, 8, 1000, 2200),  # of 16 bits one half is there already
    ],
)
def test_memory_at_the_peak(stored: int, result: int, buffer: int, memory: int) -> None:
    assert Claim("PNG", 10, 10, stored=stored, result=result, buffer=buffer).memory == memory
