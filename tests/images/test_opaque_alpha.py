"""Alpha channels that are opaque everywhere stay in the file."""

import io
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_files import saved
from numpy.typing import NDArray
from PIL import Image

from derain import images
from derain.images.webp import with_opaque_alpha


@pytest.mark.parametrize("format", ["WEBP", "PNG", "TIFF"])
@pytest.mark.parametrize("exif", [b"", b"II*\0\x08\0\0\0\0\0\0\0\0\0"])
@pytest.mark.parametrize("lossless", [True, False])
def test_opaque_alpha_is_still_there(
    photo: NDArray[np.uint8], format: images.Format, exif: bytes, lossless: bool
) -> None:
    alpha = np.full(photo.shape[:2], 255, np.uint8)
    metadata = images.Metadata(
        format, exif=exif, encoding={"lossless": lossless} if format == "WEBP" else {}
    )
    picture = images.Picture(photo, alpha, metadata=metadata)
    data = images.encode(picture, format)
    assert Image.open(io.BytesIO(data)).mode == "RGBA"
    again = images.read(data)
    assert again.alpha is not None
    assert np.all(again.alpha == 255)
    assert np.array_equal(again.pixels, photo) == (lossless or format != "WEBP")


def test_sixteen_bits_keep_opaque_alpha_too(photo: NDArray[np.uint8]) -> None:
    deep = photo.astype(np.uint16) * 257
    picture = images.Picture(deep, np.full(deep.shape[:2], 65535, np.uint16))
    for format in ("PNG", "TIFF"):
        again = images.read(images.encode(picture, format))
        assert again.alpha is not None
        assert np.all(again.alpha == 65535)


@given(
    width=st.integers(1, 70), height=st.integers(1, 70), lossless=st.booleans(), odd=st.booleans()
)
def test_other_decoders_take_it(width: int, height: int, lossless: bool, odd: bool) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    more = {"exif": b"Exif\0\0II*\0\x08\0\0\0" + bytes(6 + odd)} if odd else {}
    data = saved(Image.fromarray(levels), "WEBP", lossless=lossless, **more)
    after = with_opaque_alpha(data, width, height)
    decoded: Any = cv2.imdecode(np.frombuffer(after, np.uint8), cv2.IMREAD_UNCHANGED)
    before: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(decoded[..., :3], before)
    assert np.all(decoded[..., 3] == 255)
    assert Image.open(io.BytesIO(after)).info.get("exif") == (
        Image.open(io.BytesIO(data)).info.get("exif")
    )
