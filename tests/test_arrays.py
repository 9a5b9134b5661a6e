"""What may be given for an image, and what comes back: of the same kind, shape and type."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st
from hypothesis.extra import numpy as nst
from numpy.typing import NDArray
from PIL import Image

from derain.arrays import as_array, given, spelled

RNG = np.random.default_rng(0)


def levels(*shape: int) -> NDArray[np.uint8]:
    return RNG.integers(0, 256, shape, np.uint8)


def there_and_back(value: Any) -> Any:
    found = given(value)
    return found.back([image.copy() for image in found.images])


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16", "I;16B"])
def test_pillows_pictures_come_back_as_they_were(mode: str) -> None:
    if mode.startswith("I;16"):
        native = RNG.integers(0, 65536, (5, 7)).astype("<u2" if mode == "I;16" else ">u2")
        image = Image.frombytes(mode, (7, 5), native.tobytes())
    else:
        image = Image.fromarray(levels(5, 7, 4)).convert(mode)
    image.info["icc_profile"] = b"a profile"
    back = there_and_back(image)
    assert back.size == image.size
    assert np.array_equal(np.asarray(back), np.asarray(image))
    assert back.info["icc_profile"] == b"a profile"
    assert back.mode == mode or mode == "I;16B"  # Pillow makes no big-endian ones of arrays


@pytest.mark.parametrize(
    ("mode", "result"), [("1", "L"), ("P", "RGB"), ("CMYK", "RGB"), ("YCbCr", "RGB")]
)
def test_other_modes_become_what_can_be_derained(mode: str, result: str) -> None:
    image = Image.fromarray(levels(5, 7, 3)).convert(mode)
    back = there_and_back(image)
    assert back.mode == result
    assert np.array_equal(np.asarray(back), np.asarray(image.convert(result)))


def test_a_palette_with_transparency_keeps_it() -> None:
    image = Image.fromarray(levels(5, 7, 3)).convert("P")
    image.info["transparency"] = 0
    assert there_and_back(image).mode == "RGBA"


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_colour_that_is_transparent_becomes_alpha(mode: str) -> None:
    image = Image.fromarray(levels(5, 7, 3)).convert(mode)
    key = image.getpixel((3, 2))
    image.info["transparency"] = key
    back = there_and_back(image)
    assert back.mode == {"L": "LA", "RGB": "RGBA"}[mode]
    assert "transparency" not in back.info
    assert back.getpixel((3, 2))[-1] == 0


def test_a_profile_of_other_colours_does_not_stay() -> None:
    for mode, stays in (("CMYK", False), ("RGB", True), ("P", True)):
        image = Image.fromarray(levels(5, 7, 3)).convert(mode)
        image.info["icc_profile"] = b"a profile"
        assert ("icc_profile" in there_and_back(image).info) is stays


def test_arrays_and_stacks_of_them() -> None:
    for shape in ((4, 5), (4, 5, 1), (4, 5, 3), (2, 4, 5, 3), (0, 4, 5, 3)):
        array = levels(*shape)
        back = there_and_back(array)
        assert back.dtype == array.dtype
        assert np.array_equal(back, array)
        assert back is not array


@for_all(
    shape=st.one_of(
        nst.array_shapes(min_dims=2, max_dims=2, max_side=6),
        nst.array_shapes(min_dims=2, max_dims=2, max_side=6).map(lambda s: (3, *s)),
        nst.array_shapes(min_dims=3, max_dims=3, max_side=5).map(lambda s: (s[0], 3, *s[1:])),
    ),
    dtype=st.sampled_from(["uint8", "float16", "bfloat16", "float32", "float64"]),
)
def test_tensors_keep_shape_type_and_values(shape: tuple[int, ...], dtype: str) -> None:
    torch = pytest.importorskip("torch")
    tensor = (torch.rand(shape) * 255).to(getattr(torch, dtype))
    found = given(tensor)
    for image in found.images:
        assert image.shape == ((*shape[-2:], 3) if len(shape) > 2 else shape)
    back = found.back(found.images)
    assert back.dtype == tensor.dtype
    assert torch.equal(back, tensor)


def test_a_tensors_channels_become_the_last_axis() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.arange(24.0).reshape(1, 3, 2, 4)
    assert np.array_equal(as_array(tensor[0])[1, 2], [6, 14, 22])
    assert as_array(tensor).shape == (1, 2, 4, 3)


def test_an_empty_batch_stays_one() -> None:
    torch = pytest.importorskip("torch")
    assert there_and_back(torch.zeros(0, 3, 4, 5)).shape == (0, 3, 4, 5)
    assert there_and_back([]) == []


def test_a_tensor_that_needs_gradients_is_read() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.rand(3, 4, 5, requires_grad=True)
    assert not there_and_back(tensor).requires_grad


def test_sequences_keep_their_order_and_kinds() -> None:
    frames = [levels(2, 3, 3), Image.fromarray(levels(4, 5, 3)), (levels(2, 2), levels(3, 3, 4, 3))]
    found = given(frames)
    assert [image.shape for image in found.images[:4]] == [(2, 3, 3), (4, 5, 3), (2, 2), (3, 4, 3)]
    back = found.back(found.images)
    assert isinstance(back, list)
    assert isinstance(back[1], Image.Image)
    assert isinstance(back[2], tuple)
    assert back[2][1].shape == (3, 3, 4, 3)


class Convertible:
    """What makes itself an array."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.uint8]:
        return np.zeros((2, 3), np.uint8)


def test_what_makes_itself_an_array_is_one() -> None:
    assert there_and_back(Convertible()).shape == (2, 3)
    assert as_array(Convertible()).shape == (2, 3)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "^None for an image: expected a NumPy array"),
        ("a.jpg", "^a str for an image: .* derain.read_image makes of a file"),
        (b"\xff\xd8", "^a bytes for an image: expected"),
        (3.5, "^a float for an image: expected"),
        ([[1, 2], [3, 4]], "^an int for an image: expected"),
        ([None], "^None for an image"),
        ({"image": 1}, "^a dict for an image"),
        ((n for n in range(2)), "^a generator for an image"),
    ],
)
def test_what_is_no_image_is_named(value: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        given(value)


def test_one_image_is_no_sequence() -> None:
    with pytest.raises(TypeError, match="a list for an image: expected an array"):
        as_array([levels(2, 2)])


def test_devices_and_types_by_name_or_object() -> None:
    torch = pytest.importorskip("torch")
    assert spelled(torch.device("cuda", 1), "device") == "cuda:1"
    assert spelled(torch.bfloat16, "dtype") == "bfloat16"
    for value in (np.float32, np.dtype("float32"), "float32"):
        assert spelled(value, "dtype") == "float32"
    assert spelled(None, "device") == "auto"
    for option, value in (("device", 0), ("dtype", 3.5), ("engine", torch.strided)):
        with pytest.raises(TypeError, match=f"{option}=.*expected a name"):
            spelled(value, option)


@pytest.mark.parametrize("shape", [(8, 9, 3), (2, 8, 9, 1), (1, 8, 9, 4)])
def test_tensors_with_channels_last_are_named_as_they_came(shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.zeros(shape)
    for take in (given, as_array):
        with pytest.raises(ValueError, match="permute") as caught:
            take(tensor)
        assert f"a tensor of shape {shape}, with channels last" in str(caught.value)
    order = (2, 0, 1) if len(shape) == 3 else (0, 3, 1, 2)
    assert f"permute{order}" in str(caught.value)
    assert given(tensor.permute(order)).images[0].shape == shape[-3:]
