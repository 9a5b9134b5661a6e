"""Levels in any array that NumPy has: byte order, memory layout and subclass do not matter."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from derain import images
from derain.images import ImageError, Picture, levels_of, to_eight_bits, to_floats, to_levels


class Labelled(np.ndarray[Any, Any]):
    """A subclass that adds nothing."""


def read_only(levels: NDArray[Any]) -> NDArray[Any]:
    copy = levels.copy()
    copy.setflags(write=False)
    return copy


LAYOUTS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "other byte order": lambda levels: levels.astype(levels.dtype.newbyteorder()),
    "columns first": np.asfortranarray,
    "backwards": lambda levels: np.ascontiguousarray(levels[::-1, ::-1])[::-1, ::-1],
    "channels reversed": lambda levels: np.ascontiguousarray(levels[..., ::-1])[..., ::-1],
    "every second column": lambda levels: np.repeat(levels, 2, axis=1)[:, ::2],
    "part of a larger array": lambda levels: np.pad(levels, ((3, 3), (1, 0), (0, 1)))[
        3:-3, 1:, :-1
    ],
    "read-only": read_only,
    "subclass": lambda levels: levels.view(Labelled),
    "masked": np.ma.masked_array,
}


@pytest.fixture(params=[np.uint8, np.uint16], ids=["8 bits", "16 bits"])
def levels(request: pytest.FixtureRequest) -> NDArray[Any]:
    top = int(np.iinfo(request.param).max)
    return np.random.default_rng(0).integers(0, top + 1, (13, 17, 3)).astype(request.param)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_every_level_is_written(
    levels: NDArray[Any], layout: str, suffix: str, tmp_path: Path
) -> None:
    same = LAYOUTS[layout](levels)
    images.write_image(tmp_path / f"colour{suffix}", same)
    images.write_image(tmp_path / f"grey{suffix}", same[..., 1])
    images.write_image(tmp_path / f"plane{suffix}", same[..., 1:2])
    again = images.read_image(tmp_path / f"colour{suffix}")
    assert again.dtype == levels.dtype
    assert np.array_equal(again, levels)
    for name in ("grey", "plane"):
        grey = images.read(tmp_path / f"{name}{suffix}")
        assert grey.grey
        assert np.array_equal(grey.pixels[..., 2], levels[..., 1])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_conversion_sees_the_same_levels(levels: NDArray[Any], layout: str) -> None:
    same = LAYOUTS[layout](levels)
    assert np.array_equal(to_eight_bits(same), to_eight_bits(levels))
    floats = to_floats(same)
    assert type(floats) is np.ndarray
    assert floats.dtype == np.float32
    assert np.array_equal(floats, to_floats(levels))
    back = to_levels(floats, same.dtype)
    assert back.dtype == same.dtype
    assert np.array_equal(back, levels)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_picture_holds_plain_arrays(levels: NDArray[Any], layout: str) -> None:
    same = LAYOUTS[layout](levels)
    picture = Picture(same, same[..., 0])
    assert picture.is_deep == (levels.dtype == np.uint16)
    for array in (picture.pixels, picture.alpha):
        assert type(array) is np.ndarray
        assert array.dtype == levels.dtype
    again = images.read(images.encode(picture, "PNG"))
    assert np.array_equal(again.pixels, levels)
    assert again.alpha is not None
    assert np.array_equal(again.alpha, levels[..., 0])


@pytest.mark.parametrize("kind", [">f4", "<f4", ">f8", "f2"])
def test_floats_keep_their_values(kind: str) -> None:
    values = np.linspace(0, 1, 30).reshape(2, 5, 3).astype(kind)
    assert np.array_equal(to_floats(values), values.astype(np.float32))
    back = to_levels(to_floats(values), kind)
    assert back.dtype == np.dtype(kind)
    assert np.allclose(back, values, atol=1e-7, rtol=0)


@pytest.mark.parametrize("kind", [bool, np.int8, np.int16, np.int32, np.uint32, np.complex64])
def test_other_types_are_named(kind: Any, tmp_path: Path) -> None:
    pixels: Any = np.zeros((4, 5, 3), kind)
    name = np.dtype(kind).name
    for use in (levels_of, Picture, to_eight_bits, to_floats):
        with pytest.raises(ImageError, match=f"levels are {name}; expected uint8 or uint16"):
            use(pixels)
    with pytest.raises(ImageError, match=rf"a\.png: levels are {name}"):
        images.write_image(tmp_path / "a.png", pixels)
    with pytest.raises(ImageError, match=f"levels are {name}"):
        to_levels(np.zeros(3, np.float32), pixels.dtype)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_array_is_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="a list for an image: expected an array"):
        images.write_image(tmp_path / "a.png", [[[0, 0, 0]]])


def test_pictures_of_pillow_tensors_and_alpha_are_written(tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (5, 6, 4), np.uint8)
    images.write_image(tmp_path / "array.png", levels)
    images.write_image(tmp_path / "pillow.png", Image.fromarray(levels))
    written = ["array.png", "pillow.png"]
    if "torch" in sys.modules:
        tensor = sys.modules["torch"].from_numpy(levels.transpose(2, 0, 1).copy())
        images.write_image(tmp_path / "tensor.png", tensor)
        written.append("tensor.png")
    for name in written:
        assert np.array_equal(np.asarray(Image.open(tmp_path / name)), levels)


@pytest.mark.parametrize(
    "alpha",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint16), np.zeros((4, 5, 1), np.uint8)],
)
def test_alpha_that_does_not_fit(alpha: Any) -> None:
    with pytest.raises(ImageError, match=r"alpha is .*; expected uint8 of shape \(4, 5\)"):
        Picture(np.zeros((4, 5, 3), np.uint8), alpha)


@pytest.mark.parametrize("name", ["result", ".png", "result."])
def test_names_without_an_ending_are_refused_for_that(name: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"its name has no ending; expected a name in \.jpg"):
        images.write_image(tmp_path / name, np.zeros((4, 5, 3), np.uint8))
