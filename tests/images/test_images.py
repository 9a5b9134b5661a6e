"""Image files: nothing but the pixels may change on the way through."""

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from derain import images
from derain.images import ImageError


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def through(data: bytes, format: images.Format | None = None) -> Image.Image:
    """Read and written again without change."""
    picture = images.read(data)
    again = Image.open(io.BytesIO(images.encode(picture, format or picture.metadata.format)))
    again.load()
    return again


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP"])
def test_lossless_formats_keep_every_pixel(photo: NDArray[np.uint8], format: str) -> None:
    again = through(saved(Image.fromarray(photo), format))
    assert again.format == format
    assert np.array_equal(np.array(again), photo)


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_stays_as_lossy_as_it_was(photo: NDArray[np.uint8], lossless: bool) -> None:
    data = saved(Image.fromarray(photo), "WEBP", lossless=lossless)
    before, after = (
        np.array(Image.open(io.BytesIO(data))).astype(int),
        np.array(through(data)).astype(int),
    )
    assert (np.abs(before - after).max() == 0) == lossless
    assert np.abs(before - after).mean() < 2


@pytest.mark.parametrize("quality", [30, 75, 97])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_jpeg_quality_is_the_inputs(
    photo: NDArray[np.uint8], quality: int, subsampling: int
) -> None:
    data = saved(Image.fromarray(photo), "JPEG", quality=quality, subsampling=subsampling)
    again = through(data)
    assert again.quantization == Image.open(io.BytesIO(data)).quantization  # pyright: ignore[reportAttributeAccessIssue]
    assert len(images.encode(images.read(data), "JPEG")) == pytest.approx(len(data), rel=0.05)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "1", "P"])
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_modes(photo: NDArray[np.uint8], mode: str, format: images.Format) -> None:
    image = Image.fromarray(photo).convert(mode)
    if "A" in mode:
        image.putalpha(Image.fromarray(np.indices(photo.shape[:2]).sum(0).astype(np.uint8)))
    picture = images.read(saved(image, "PNG"))
    assert picture.grey == (mode in ("L", "LA", "1"))
    assert (picture.alpha is not None) == ("A" in mode)
    again = Image.open(io.BytesIO(images.encode(picture, format)))
    if format != "WEBP":  # has neither grey nor exact colours
        kept = {"1": "L", "P": "RGB"}.get(mode, mode)
        assert again.mode == kept
        assert np.array_equal(np.array(again), np.array(image.convert(kept)))
    elif picture.alpha is not None:
        assert np.array_equal(np.array(again.convert("RGBA"))[..., 3], picture.alpha)


def test_palette_with_transparency(photo: NDArray[np.uint8]) -> None:
    image = Image.fromarray(photo).quantize(16)
    picture = images.read(saved(image, "PNG", transparency=3))
    expected = np.where(np.array(image) == 3, 0, 255)
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, expected)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_stay_sixteen(channels: int, suffix: str) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (9, 14, channels), dtype=np.uint16).squeeze()
    data = cv2.imencode(suffix, deep)[1].tobytes()
    picture = images.read(data)
    assert picture.pixels.dtype == np.uint16
    encoded = np.frombuffer(images.encode(picture, picture.metadata.format), np.uint8)
    again: Any = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    assert again.dtype == np.uint16
    assert np.array_equal(again, deep)


def test_sixteen_bit_grey_with_alpha_keeps_both() -> None:
    # OpenCV writes no such file: 16-bit LA, made by hand.
    pixels = np.random.default_rng(0).integers(0, 65536, (4, 5, 2), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 5, 4, 16, 4, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    picture = images.read(data)
    assert picture.grey
    assert np.array_equal(picture.pixels[..., 0], pixels[..., 0])
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, pixels[..., 1])
    again = images.read(images.encode(picture, "PNG"))
    assert again.alpha is not None
    assert np.array_equal(again.alpha, pixels[..., 1])


def test_sixteen_bits_asked_for_as_jpeg_are_rounded(photo: NDArray[np.uint8]) -> None:
    picture = images.Picture(photo.astype(np.uint16) * 257)
    assert np.array_equal(np.array(Image.open(io.BytesIO(images.encode(picture, "BMP")))), photo)
    assert Image.open(io.BytesIO(images.encode(picture, "JPEG"))).mode == "RGB"


def test_grey_level_named_transparent_becomes_alpha() -> None:
    levels = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    picture = images.read(saved(Image.fromarray(levels), "PNG", transparency=40))
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha == 0, levels == 40)


def test_odd_depths_are_refused(photo: NDArray[np.uint8]) -> None:
    data = bytearray(saved(Image.fromarray(photo[..., 0]), "TIFF"))
    place = data.index(struct.pack("<HHI", 258, 3, 1)) + 8
    data[place] = 12
    with pytest.raises(ImageError, match=r"12 bits|damaged|not a picture"):
        images.read(bytes(data))


def test_noisy_progressive_jpeg_of_high_quality_can_be_written() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    picture = images.read(saved(Image.fromarray(noise), "JPEG", quality=100, subsampling=0))
    progressive = {**picture.metadata.encoding, "progressive": True}
    images.encode(
        replace(picture, metadata=replace(picture.metadata, encoding=progressive)), "JPEG"
    )


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((3, 4, 3), np.float32), np.zeros((3, 4, 2), np.uint8), np.zeros((3, 4, 3), np.int64)],
)
def test_write_image_refuses_what_is_no_picture(pixels: Any, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="expected"):
        images.write_image(tmp_path / "a.png", pixels)
    assert list(tmp_path.iterdir()) == []


def test_errors_of_read_image_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"text")
    with pytest.raises(ImageError, match=r"bad\.png: not a picture"):
        images.read_image(tmp_path / "bad.png")


def test_cmyk_becomes_rgb(photo: NDArray[np.uint8]) -> None:
    picture = images.read(saved(Image.fromarray(photo).convert("CMYK"), "JPEG", quality=98))
    assert picture.notes == ("CMYK became RGB",)
    assert np.abs(picture.pixels.astype(int) - photo).mean() < 4
    assert Image.open(io.BytesIO(images.encode(picture, "JPEG"))).mode == "RGB"


def test_transparency_is_not_lost_to_jpeg(photo: NDArray[np.uint8]) -> None:
    clear = np.full(photo.shape[:2], 255, np.uint8)
    images.encode(images.Picture(photo, clear), "JPEG")
    clear[0, 0] = 254
    with pytest.raises(ImageError, match="transparency, which JPEG cannot hold; ask for"):
        images.encode(images.Picture(photo, clear), "JPEG")


# Files that are not what they should be


def hostile_files(photo: NDArray[np.uint8]) -> dict[str, tuple[bytes, str]]:
    image = Image.fromarray(photo)
    png, jpeg = saved(image, "PNG"), saved(image, "JPEG")
    deep = cv2.imencode(".png", photo.astype(np.uint16) * 257)[1].tobytes()
    bomb = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb_png = (
        png[:8]
        + struct.pack(">I", 13)
        + b"IHDR"
        + bomb
        + struct.pack(">I", zlib.crc32(b"IHDR" + bomb))
        + png[33:]
    )
    return {
        "empty": (b"", "empty file"),
        "text": (b"once upon a time", "found text beginning 'once upon a time'"),
        "gif": (saved(image, "GIF"), "a GIF animation of 1 frame, which is a clip"),
        "truncated GIF": (saved(image, "GIF")[:900], "expected JPEG, PNG.*found a GIF picture"),
        "noise": (bytes(range(200, 256)), "not a picture"),
        "truncated JPEG": (jpeg[: len(jpeg) // 2], "damaged or truncated JPEG"),
        "truncated PNG": (png[: len(png) // 2], "damaged or truncated PNG"),
        "truncated 16-bit PNG": (deep[: len(deep) // 2], "damaged or truncated PNG"),
        "truncated WebP": (saved(image, "WEBP")[:900], "damaged"),
        "truncated TIFF": (saved(image, "TIFF")[:2000], "damaged"),
        "header only": (png[:20], "damaged|not a picture"),
        "bomb": (bomb_png, "60000x60000 pixels in .* bytes; expected at least"),
        "pages": (
            saved(image, "TIFF", save_all=True, append_images=[image]),
            "2 pages; expected one picture: split",
        ),
        "animation": (
            saved(image, "WEBP", save_all=True, append_images=[image.rotate(9)]),
            "animation of 2 frames, which is a clip",
        ),
        "floats": (
            saved(Image.fromarray(photo[..., 0].astype(np.float32)), "TIFF"),
            "32 bits a channel",
        ),
    }


@pytest.mark.parametrize("name", list(hostile_files(np.zeros((40, 40, 3), np.uint8))))
def test_hostile_files_are_refused_in_one_line(photo: NDArray[np.uint8], name: str) -> None:
    data, message = hostile_files(photo)[name]
    with pytest.raises(ImageError, match=message) as caught:
        images.read(data)
    assert "\n" not in str(caught.value)


@given(
    cut=st.integers(1, 3000),
    flip=st.integers(0, 3000),
    format=st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "BMP"]),
)
def test_damage_anywhere_gives_a_picture_or_an_image_error(
    cut: int, flip: int, format: str
) -> None:
    data = bytearray(
        saved(
            Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)),
            format,
        )
    )
    data[flip % len(data)] ^= 0xFF
    try:
        picture = images.read(bytes(data[: max(1, len(data) - cut % 50)]))
    except ImageError:
        return
    assert picture.pixels.shape[2] == 3


# Files on disk


def test_unicode_paths(photo: NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / "дождь 雨 ☔.png"
    images.write_image(path, photo)
    assert np.array_equal(images.read_image(path), photo)


def test_write_image_takes_grey_and_sixteen_bits(tmp_path: Path) -> None:
    grey = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    images.write_image(tmp_path / "grey.png", grey)
    again: Any = cv2.imread(str(tmp_path / "grey.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(again, grey)


def test_unknown_suffix(photo: NDArray[np.uint8], tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no picture format is called '.xyz'"):
        images.write_image(tmp_path / "a.xyz", photo)


def test_find_images_goes_deep_in_natural_order(photo: NDArray[np.uint8], tmp_path: Path) -> None:
    for name in ("img10.png", "img2.PNG", "deep/er/x.tif", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    found, unreadable = images.find_images(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in found] == [
        "img2.PNG",
        "img10.png",
        "deep/er/x.tif",
    ]
    assert unreadable == []


def test_masks_are_grey_upright_and_black_where_transparent(tmp_path: Path) -> None:
    painted = np.zeros((4, 6, 4), np.uint8)
    painted[1, 2] = (30, 60, 90, 255)
    painted[2, 3] = (255, 255, 255, 127)
    painted[3, 4] = (255, 255, 255, 0)
    Image.fromarray(painted).save(tmp_path / "mask.png")
    mask = images.read_mask(tmp_path / "mask.png")
    assert (mask.shape, mask.dtype) == ((4, 6), np.uint8)
    assert (mask[1, 2], mask[2, 3], mask[3, 4], mask[0, 0]) == (60, 127, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(painted[..., :3]).save(tmp_path / "turned.png", exif=exif)
    assert images.read_mask(tmp_path / "turned.png").shape == (6, 4)
    (tmp_path / "no.png").write_text("none")
    with pytest.raises(ImageError, match=r"no\.png: not a picture"):
        images.read_mask(tmp_path / "no.png")


def test_masks_of_many_rows_are_averaged_alike_and_have_the_limit_that_is_asked_for(
    tmp_path: Path,
) -> None:
    painted = np.random.default_rng(3).integers(0, 256, (600, 5, 4), np.uint8)
    Image.fromarray(painted).save(tmp_path / "mask.png")
    expected = np.rint(painted[..., :3].mean(axis=2) * (painted[..., 3] / 255))
    assert np.array_equal(images.read_mask(tmp_path / "mask.png", 3000), expected)
    with pytest.raises(images.TooManyPixelsError, match=r"mask\.png: 5x600 pixels.*=3000 reads it"):
        images.read_mask(tmp_path / "mask.png", 2999)
