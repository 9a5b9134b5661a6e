"""What formats cannot hold is said before the work."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from derain import images
from derain.images import ImageError, Picture, before_and_after, check_comparison, check_format
from derain.images.picture import has_avif


def long_picture(height: int, width: int, dtype: type = np.uint8) -> Picture:
    return Picture(np.zeros((height, width, 3), dtype))


@pytest.mark.parametrize(
    ("format", "longest"), [("JPEG", 65_500), ("WEBP", 16_383), ("AVIF", 65_536)]
)
def test_a_side_that_is_too_long(format: images.Format, longest: int) -> None:
    if format == "AVIF" and not has_avif():
        pytest.skip("this Pillow was built without AVIF")
    check_format(long_picture(1, longest), format)
    for size in ((1, longest + 1), (longest + 1, 1)):
        with pytest.raises(ImageError, match=f"{format} has at most {longest} a side; ask for a"):
            check_format(long_picture(*size), format)


@pytest.mark.parametrize(("format", "longest"), [("JPEG", 65_500), ("WEBP", 16_383)])
def test_the_longest_side_can_be_written(format: images.Format, longest: int) -> None:
    data = images.encode(long_picture(2, longest), format)
    assert images.read(data).pixels.shape == (2, longest, 3)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP"])
def test_formats_of_long_pictures(format: images.Format) -> None:
    picture = long_picture(1, 70_000)
    assert images.read(images.encode(picture, format)).pixels.shape == (1, 70_000, 3)


def test_libpngs_bound_holds_for_16_bits_only() -> None:
    check_format(long_picture(1, 1_000_001), "PNG")
    check_format(long_picture(1, 1_000_000, np.uint16), "PNG")
    with pytest.raises(ImageError, match=r"PNG has at most 1000000 a side; ask for a \.tif"):
        check_format(long_picture(1, 1_000_001, np.uint16), "PNG")


def test_files_of_more_than_four_gigabytes() -> None:
    row = np.zeros((1, 40_000, 3), np.uint16)
    tall = Picture(np.broadcast_to(row, (20_000, 40_000, 3)))
    with pytest.raises(ImageError, match=r"4\.8 GB, and TIFF holds at most 4 GB; ask for a \.png"):
        check_format(tall, "TIFF")
    check_format(tall, "PNG")
    check_format(tall, "BMP")  # of 8 bits


def test_a_picture_without_pixels(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="0x5: expected at least one pixel"):
        images.write_image(tmp_path / "a.png", np.zeros((5, 0, 3), np.uint8))


@pytest.mark.parametrize("size", [(30, 40), (40, 30), (20, 9000), (9000, 20)])
def test_what_is_checked_is_the_size_of_the_comparison(size: tuple[int, int]) -> None:
    picture = long_picture(*size)
    both = before_and_after(picture, picture)
    assert max(both.pixels.shape) < 16_383
    check_comparison(picture, "WEBP")


def test_a_comparison_that_is_too_long() -> None:
    picture = long_picture(8_500, 9_000)
    check_format(picture, "WEBP")
    with pytest.raises(ImageError, match=r"before/after comparison would be 9000x17090.*leave it"):
        check_comparison(picture, "WEBP")


def test_transparency(photo: NDArray[np.uint8]) -> None:
    alpha = np.full(photo.shape[:2], 255, np.uint8)
    check_format(Picture(photo, alpha), "JPEG")
    alpha[3, 4] = 0
    with pytest.raises(ImageError, match="transparency, which BMP cannot hold"):
        check_format(Picture(photo, alpha), "BMP")
