"""Limits: what a file claims is judged before it is decoded."""

import os
import re
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_files import block_of_tags, deflated, png, png_chunk, saved, tiff, tiff_tags
from numpy.typing import NDArray
from PIL import Image

from derain import images
from derain.images import MAX_PIXELS, ImageError, TooManyPixelsError
from derain.images.headers import Claim, claim_of
from derain.images.limits import check_claim
from derain.images.picture import has_avif

TRUNCATED = "expected at least [0-9]+"
BOMB = "would take .* GB to decode; .* reads it"


def webp_header(width: int, height: int) -> bytes:
    bits = (width - 1) | (height - 1) << 14
    chunk = b"VP8L" + struct.pack("<I", 40) + b"\x2f" + struct.pack("<I", bits) + bytes(35)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def bmp_header(width: int, height: int, bits: int, compression: int, content: bytes) -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 0, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
        + content
    )


def jpeg_with_size(width: int, height: int, **options: bool) -> bytes:
    """A small JPEG whose header claims another size."""
    data = bytearray(saved(Image.new("RGB", (16, 16)), "JPEG", **options))
    frame = data.index(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0")
    struct.pack_into(">HH", data, frame + 5, height, width)
    return bytes(data)


LIES: dict[str, Callable[[], tuple[bytes, str]]] = {
    "16-bit PNG": lambda: (png(40_000, 7_000, 16, 6, deflated(3_000_000)), TRUNCATED),
    "palette PNG": lambda: (png(16_000, 16_000, 8, 3, deflated(9_000_000)), TRUNCATED),
    "JPEG": lambda: (jpeg_with_size(16_000, 16_000), TRUNCATED),
    "progressive JPEG": lambda: (jpeg_with_size(16_000, 16_000, progressive=True), TRUNCATED),
    "BMP": lambda: (bmp_header(16_000, -16_000, 24, 0, bytes(3000)), TRUNCATED),
    "raw TIFF": lambda: (tiff((tiff_tags(16_000, 16_000), bytes(3000))), TRUNCATED),
    "packed TIFF": lambda: (
        tiff((tiff_tags(16_000, 16_000, compression=32773), bytes(3000))),
        TRUNCATED,
    ),
    "deflated TIFF": lambda: (
        tiff((tiff_tags(16_000, 16_000, compression=8), deflated(3_000_000))),
        TRUNCATED,
    ),
    "strip that the file cuts off": lambda: (
        tiff((tiff_tags(16_000, 16_000) | {279: (768_000_000,)}, bytes(3000))),
        TRUNCATED,
    ),
    "flat 16-bit PNG": lambda: (png(11_000, 10_000, 16, 6, bytes(900_000)), BOMB),
    "flat grey PNG": lambda: (png(16_000, 16_000, 1, 0, bytes(40_000)), BOMB),
    "flat WebP": lambda: (webp_header(16_383, 16_383), BOMB),
    "flat BMP of runs": lambda: (bmp_header(16_000, 16_000, 8, 1, b"\xff\0" * 5000), BOMB),
    "flat fax": lambda: (tiff((tiff_tags(16_000, 16_000, compression=4), bytes(9000))), BOMB),
    "tiles larger than the picture": lambda: (
        tiff((tiff_tags(64, 64, compression=8) | {322: (20_000,), 323: (20_000,)}, bytes(900))),
        BOMB,
    ),
    "EXIF that names bytes again and again": lambda: (
        png(4, 4, 8, 2, deflated(52), png_chunk(b"eXIf", block_of_tags(50_000, 600_000))),
        "its EXIF claims more bytes",
    ),
    "tags that name bytes again and again": lambda: (
        block_of_tags(50_000, 600_000),
        "its tags claim more bytes",
    ),
    "pages without end": lambda: (
        b"II*\0\x08\0\0\0" + b"".join(struct.pack("<HI", 0, 14 + 6 * k) for k in range(20_000)),
        "more than 10000 pages",
    ),
    "a page that follows itself": lambda: (b"II*\0\x08\0\0\0\0\0\x08\0\0\0", "0x0 pixels"),
    "scans without end": lambda: (
        saved(Image.new("RGB", (64, 64)), "JPEG", progressive=True)[:-2]
        + b"\xff\xda\0\x08\x01\x01\0\x01\x3f\0\0\0" * 5000,
        "50.. scans; expected at most",
    ),
    "a second header": lambda: (
        png(
            4,
            4,
            8,
            2,
            deflated(52),
            png_chunk(b"IHDR", struct.pack(">IIBBBBB", 15_000, 15_000, 8, 2, 0, 0, 0)),
        ),
        "its headers say 4x4 and 15000x15000",
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_files_that_claim_too_much_are_refused_at_once(name: str) -> None:
    data, message = LIES[name]()
    assert len(data) < 1_000_000
    began = time.process_time()
    with pytest.raises(ImageError, match=message) as caught:
        images.read(data)
    assert time.process_time() - began < 3
    assert "\n" not in str(caught.value)


# A claim that its own file can hold is decoded, within the memory that was promised.


READ_AND_WEIGH = """
import re, sys
from derain import images
try:
    images.read(open(sys.argv[1], "rb").read())
    print("read")
except images.ImageError as error:
    print(error)
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("name", "said"),
    [("largest flat PNG that is read", "read"), ("claim of a 3 kB PNG", "damaged or truncated")],
)
def test_a_small_file_takes_at_most_a_gigabyte(name: str, said: str, tmp_path: Path) -> None:
    data = (
        png(40_000, 7_000, 16, 2, deflated(3_000_000))
        if "claim" in name
        else png(8_500, 10_000, 8, 2, deflated(10_000 * 25_501))
    )
    assert len(data) < 1_000_000
    (tmp_path / "flat.png").write_bytes(data)
    command = [sys.executable, "-c", READ_AND_WEIGH, str(tmp_path / "flat.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    line, peak = done.stdout.splitlines()
    assert said in line
    assert int(peak) * 1024 < (1e9 if said == "read" else 2e8)


# How many pixels


def test_photographs_of_200_megapixels_are_read_unasked() -> None:
    claim = claim_of(jpeg_with_size(16_320, 12_240))
    assert (claim.width, claim.height) == (16_320, 12_240)
    honest = Claim("JPEG", 16_320, 12_240, claim.least, 40_000_000, claim.stored, claim.result)
    check_claim(honest, 40_000_000, None)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "AVIF"])
def test_max_pixels_is_a_limit_for_every_format(photo: NDArray[np.uint8], format: str) -> None:
    if format == "AVIF":
        needs_avif()
    data = saved(Image.fromarray(photo), format)
    assert images.read(data, max_pixels=19_200).pixels.shape == photo.shape
    with pytest.raises(TooManyPixelsError) as caught:
        images.read(data, max_pixels=19_199)
    assert str(caught.value) == (
        "160x120 pixels, 0 megapixels; expected at most 0.019199 megapixels;"
        " max_pixels=19200 reads it"
    )
    assert caught.value.named("--max-pixels", " ").endswith("; --max-pixels 19200 reads it")


def test_more_pixels_than_usual_have_to_be_asked_for() -> None:
    claim = Claim("JPEG", 20_000, 20_000, stored=4, result=3)
    with pytest.raises(TooManyPixelsError, match="400 megapixels; expected at most 300 mega"):
        check_claim(claim, 80_000_000, None)
    check_claim(claim, 80_000_000, 400_000_000)
    assert MAX_PIXELS == 300_000_000


def test_a_flat_picture_is_read_where_its_pixels_are_asked_for() -> None:
    claim = claim_of(png(20_000, 10_000, 8, 2, bytes(600_000)))
    with pytest.raises(TooManyPixelsError, match=BOMB):
        check_claim(claim, 583_000, None)
    check_claim(claim, 583_000, 200_000_000)


def test_the_limit_of_read_image_names_the_file(photo: NDArray[np.uint8], tmp_path: Path) -> None:
    images.write_image(tmp_path / "a.png", photo)
    with pytest.raises(TooManyPixelsError, match=r"a\.png: 160x120 pixels"):
        images.read_image(tmp_path / "a.png", max_pixels=100)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_pillows_own_bound_does_not_matter(
    photo: NDArray[np.uint8], format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    data = saved(Image.fromarray(photo), format)
    assert images.read(data).pixels.shape == photo.shape
    assert Image.MAX_IMAGE_PIXELS == 10


def test_a_file_of_many_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.tif"
    path.touch()
    os.truncate(path, 20_000_000_000)
    with pytest.raises(ImageError, match=r"a file of 20\.0 GB, which is no picture"):
        images.read(path)


# What is honest is never refused.


@given(
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    mode=st.sampled_from(["1", "L", "RGB", "RGBA", "P", "CMYK", "I;16"]),
    format=st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "BMP"]),
    compression=st.sampled_from(
        ["raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "zstd", "lzma", "jpeg", "group4"]
    ),
    progressive=st.booleans(),
)
def test_flat_pictures_are_never_taken_for_truncated(
    width: int, height: int, mode: str, format: str, compression: str, progressive: bool
) -> None:
    # Flat pictures are as short as files can be.
    image = Image.new(mode, (width * 16, height * 16))
    options: dict[str, object] = {}
    if format == "JPEG":
        options = {"progressive": progressive, "optimize": True, "quality": 1}
    elif format == "TIFF":
        options = {"compression": compression}
    elif format == "WEBP":
        options = {"lossless": progressive}
    try:
        data = saved(image, format, **options)
    except (OSError, ValueError, RuntimeError):
        return  # Pillow writes no such file
    claim = claim_of(data)
    assert (claim.width, claim.height) == image.size
    check_claim(claim, len(data), None)


def test_bytes_between_the_segments_of_a_jpeg(photo: NDArray[np.uint8]) -> None:
    data = saved(Image.fromarray(photo), "JPEG")
    frame = data.index(b"\xff\xc0")
    strayed = data[:frame] + b"\0\0\xff\xff" + data[frame:]
    assert images.read(strayed).pixels.shape == photo.shape


HEADS = {
    "JPEG": b"\xff\xd8\xff",
    "PNG": b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR",
    "WEBP": b"RIFF\xff\0\0\0WEBPVP8",
    "TIFF": b"II*\0\x08\0\0\0",
    "big TIFF": b"MM\0+\0\x08\0\0",
    "BMP": b"BM",
    "AVIF": b"\0\0\0\x10ftypavif",
    "HEIF": b"\0\0\0\x10ftypmif1",
}


@given(data=st.binary(max_size=100), head=st.sampled_from(sorted(HEADS)))
def test_no_header_breaks_what_reads_it(data: bytes, head: str) -> None:
    try:
        claim = claim_of(HEADS[head] + data)
    except ImageError:
        return
    assert claim.pixels >= 0


@pytest.mark.parametrize(
    "marker", [b"\xda\0\x08\3\1\0\2\x11\3\x11\0\x3f\0", b"\xc0\0\x08\x08\0\1\0\1\0"]
)
def test_a_jpeg_without_frame_or_components(marker: bytes) -> None:
    with pytest.raises(ImageError, match="a damaged"):
        images.read(b"\xff\xd8\xff" + marker + bytes(40))


def needs_avif() -> None:
    if not has_avif():
        pytest.skip("this Pillow was built without AVIF")


def test_what_is_found_is_more_than_what_is_allowed() -> None:
    claim = Claim("PNG", 12_000, 9_000, stored=3, result=3)
    with pytest.raises(TooManyPixelsError) as caught:
        check_claim(claim, 112_000, None)
    found = re.search(r"would take ([0-9.]+) GB .* at most ([0-9.]+) GB", str(caught.value))
    assert found is not None
    assert float(found[1]) > float(found[2])
