"""Pixels of 16 bits, and pictures of more pixels than a strip."""

import io
import itertools
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_files import png, png_chunk, saved, tiff, tiff_tags
from numpy.typing import NDArray
from PIL import Image

from derain import images
from derain.images import ImageError
from derain.images.decoding import STRIP, upright


def rows_of(levels: NDArray[np.uint16]) -> bytes:
    """16-bit levels (H, W, C) as the rows of a PNG, without filters."""
    big = levels.astype(">u2")
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in big))


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.sampled_from([1, 3, 4]),
    suffix=st.sampled_from([".png", ".tif"]),
    seed=st.integers(0, 99),
)
def test_16_bits_are_what_another_decoder_reads(
    height: int, width: int, channels: int, suffix: str, seed: int
) -> None:
    shape = (height, width, channels)
    levels = np.random.default_rng(seed).integers(0, 65536, shape, dtype=np.uint16)
    # Smooth rows are filtered in all ways that PNG has.
    levels = np.cumsum(levels // 40, axis=1, dtype=np.uint16)
    data = cv2.imencode(suffix, levels)[1].tobytes()
    picture = images.read(data)
    assert picture.grey == (channels == 1)
    colours = levels if channels == 1 else levels[..., [2, 1, 0]]
    assert np.array_equal(picture.pixels, np.broadcast_to(colours, (height, width, 3)))
    assert (picture.alpha is not None) == (channels == 4)
    if picture.alpha is not None:
        assert np.array_equal(picture.alpha, levels[..., 3])


def tiff_of_16_bits(levels: NDArray[np.uint16], order: str, orientation: int) -> bytes:
    """A raw TIFF in either byte order."""
    height, width, _ = levels.shape
    strip = levels.astype(f"{order}u2").tobytes()
    head = 8 + 2 + 12 * 11 + 4
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 3, head),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, head + 6),
        (274, 3, 1, orientation),
        (277, 3, 1, 3),
        (278, 4, 1, height),
        (279, 4, 1, len(strip)),
        (284, 3, 1, 1),
    ]
    data = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, 11)
    for tag, kind, count, value in tags:
        short = kind == 3 and count == 1
        content = struct.pack(
            f"{order}HH" if short else f"{order}I", *((value, 0) if short else (value,))
        )
        data += struct.pack(f"{order}HHI", tag, kind, count) + content
    return data + bytes(4) + struct.pack(f"{order}HHH", 16, 16, 16) + strip


@pytest.mark.parametrize(("order", "orientation"), list(itertools.product("<>", range(1, 9))))
def test_a_16_bit_tiff_of_either_byte_order_is_turned(order: str, orientation: int) -> None:
    levels = np.random.default_rng(0).integers(0, 65536, (7, 11, 3), dtype=np.uint16)
    picture = images.read(tiff_of_16_bits(levels, order, orientation))
    assert np.array_equal(picture.pixels, upright(levels, orientation))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_level_of_16_bits_that_is_named_transparent(channels: int) -> None:
    levels = np.arange(60, dtype=np.uint16).reshape(4, 5, 3)[..., :channels] * 1000
    key = levels[2, 3]
    named = png_chunk(b"tRNS", key.astype(">u2").tobytes())
    colour = 2 if channels == 3 else 0
    picture = images.read(png(5, 4, 16, colour, rows_of(levels), named))
    assert picture.pixels.dtype == np.uint16
    assert picture.alpha is not None
    expected = np.full((4, 5), 65535)
    expected[2, 3] = 0
    assert np.array_equal(picture.alpha, expected)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA", "1", "CMYK"])
def test_pictures_of_several_strips(mode: str) -> None:
    height = STRIP // 300 + 40
    levels = np.random.default_rng(0).integers(0, 256, (height, 300, 3), dtype=np.uint8)
    image = Image.fromarray(levels).convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray(levels[..., 1]))
    picture = images.read(saved(image, "TIFF" if mode == "CMYK" else "PNG"))
    assert np.array_equal(picture.pixels, np.array(image.convert("RGB")))
    if picture.alpha is not None:
        assert np.array_equal(picture.alpha, levels[..., 1])


def test_interlaced_16_bits() -> None:
    """Adam7: the passes of a picture of 8x8 pixels lie one behind the other (PNG 1.2, 2.6)."""
    levels = np.random.default_rng(0).integers(0, 65536, (8, 8, 3), dtype=np.uint16)
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    passes.append((1, 0, 2, 1))
    content = b"".join(
        b"\0" + row.astype(">u2").tobytes()
        for top, left, down, right in passes
        for row in levels[top::down, left::right]
    )
    data = bytearray(png(8, 8, 16, 2, zlib.compress(content)))
    data[28] = 1
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    assert np.array_equal(images.read(bytes(data)).pixels, levels)


def test_channels_of_no_stated_meaning_are_noted() -> None:
    tags = tiff_tags(6, 4) | {258: (8, 8, 8, 8), 277: (4,), 338: (0,)}
    picture = images.read(tiff((tags, bytes(range(96)))))
    assert picture.alpha is None
    assert picture.notes == ("1 more channels of no stated meaning were not kept",)


def test_text_behind_the_pixels_of_16_bits_is_kept(photo: NDArray[np.uint8]) -> None:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
    data = png(2, 2, 16, 2, rows_of(np.zeros((2, 2, 3), np.uint16)))
    end = data.index(b"IEND") - 4
    text = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)
    assert images.read(data[:end] + text + data[end:]).metadata.xmp == packet


def test_truncated_16_bits_are_refused(photo: NDArray[np.uint8]) -> None:
    levels = photo.astype(np.uint16) * 257
    for suffix in (".png", ".tif"):
        data: Any = cv2.imencode(suffix, levels)[1].tobytes()
        with pytest.raises(ImageError, match="damaged"):
            images.read(data[: len(data) * 2 // 3])


def test_another_thread_may_read_the_same_bytes(photo: NDArray[np.uint8]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    data = cv2.imencode(".png", photo.astype(np.uint16) * 257)[1].tobytes()
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(images.read, [data] * 8))
    assert all(np.array_equal(picture.pixels, read[0].pixels) for picture in read)
    assert Image.open(io.BytesIO(data)).size == (160, 120)


@pytest.mark.parametrize("kind", ["float16 RGB", "float32 RGB", "grey and alpha"])
def test_sound_pictures_that_cannot_be_read_are_not_called_damaged(kind: str) -> None:
    tifffile = pytest.importorskip("tifffile")
    stream = io.BytesIO()
    if kind == "grey and alpha":
        levels, more = np.zeros((6, 7, 2), np.uint16), {"photometric": "minisblack"}
    else:
        levels, more = np.zeros((6, 7, 3), kind.split()[0]), {"photometric": "rgb"}
    tifffile.imwrite(stream, levels, planarconfig="contig", **more)
    with pytest.raises(ImageError, match="of a kind that cannot be read; expected") as caught:
        images.read(stream.getvalue())
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("place", ["reading.decode", "writing._encode_shallow"])
def test_a_lack_of_memory_is_no_damage(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    file = saved(Image.new("RGB", (4, 3)), "PNG")
    monkeypatch.setattr(f"derain.images.{place}", fail)
    with pytest.raises(ImageError, match="memory") as raised:
        images.encode(images.read(file), "PNG")
    assert "damaged" not in str(raised.value)
