"""Convert the accepted kinds of images to NumPy arrays, and results back to the same kind.

That is an array, a picture of Pillow's, a tensor of PyTorch's, or a sequence of these. Neither
library is imported: a program with such an object has loaded its library.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

OTHER_COLOURS = ("CMYK", "LAB", "YCbCr", "HSV")
"""Modes of Pillow whose numbers mean other colours than those of RGB and grey."""

EXPECTED = (
    "expected a NumPy array (H, W, 3), a PIL image, a tensor (N, 3, H, W), or a sequence of these"
)


@dataclass(frozen=True)
class Given:
    """Images as they were given.

    Attributes:
        images: Each (H, W) or (H, W, C), of any type.
        back: Makes what was given of as many results of the same shapes and types.
    """

    images: Sequence[Array]
    back: Callable[[Sequence[Array]], Any]


def given(value: object) -> Given:
    """Return what was given as arrays, one for each image.

    Args:
        value: An array (H, W), (H, W, C) or (N, H, W, C), or what makes itself one; a PIL image; a
            tensor (H, W), (C, H, W) or (N, C, H, W); or a list or tuple of these, nested or not.

    Raises:
        TypeError: For anything else; names its type.
    """
    kind = _kind(value)
    if kind == "pillow":
        return _of_pillow(value)
    if kind == "tensor":
        return _of_tensor(value)
    if kind == "array":
        return _of_array(np.asarray(value))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview):
        return _of_sequence(value)
    file = ", which derain.read_image makes of a file" if _is_path(value) else ""
    raise TypeError(f"{called(value)} for an image: {EXPECTED}{file}")


def as_array(value: object) -> Array:
    """Return what was given as one array, channels last: (H, W), (H, W, C), or of any other shape.

    Args:
        value: An array, a PIL image or a tensor.

    Raises:
        TypeError: If it is something else, or a sequence.
        ValueError: If it is a tensor with channels last.
    """
    if (kind := _kind(value)) is None:
        raise TypeError(f"{called(value)} for an image: expected an array, a PIL image or a tensor")
    if kind == "pillow":
        return _of_pillow(value).images[0]
    return np.asarray(value) if kind == "array" else _channels_last(value)


def spelled(value: object, option: str) -> str:
    """Return the name of a device or number format, however it was given.

    Args:
        value: A name, None for ``auto``, a device or data type of PyTorch's, or a data type of
            NumPy's.
        option: Name of the Python argument.

    >>> spelled(np.float32, "dtype")
    'float32'

    Raises:
        TypeError: If it is something else.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return "auto"
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.device | torch.dtype):
        return str(value).removeprefix("torch.")
    if option == "dtype" and isinstance(value, type | np.dtype):
        try:
            return np.dtype(value).name
        except TypeError:
            pass
    raise TypeError(f"{option}={value!r}: expected a name, not {called(value)}")


def _kind(value: object) -> Literal["pillow", "tensor", "array"] | None:
    pillow, torch = sys.modules.get("PIL.Image"), sys.modules.get("torch")
    if pillow is not None and isinstance(value, pillow.Image):
        return "pillow"
    if torch is not None and isinstance(value, torch.Tensor):
        return "tensor"
    return "array" if hasattr(value, "__array__") else None


def _is_path(value: object) -> bool:
    return isinstance(value, str) or hasattr(value, "__fspath__")


def called(value: object) -> str:
    """Return what a value is, for messages: ``a str``, ``an int``, ``None``."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _of_array(array: Array) -> Given:
    if array.ndim != 4:
        return Given([array], lambda results: results[0])

    def back(results: Sequence[Array]) -> Array:
        return np.stack(results) if results else array.copy()

    return Given(list(array), back)


def _of_sequence(values: Sequence[object]) -> Given:
    """Return the images of a sequence: a list stays a list, others become a tuple."""
    parts = [given(value) for value in values]

    def back(results: Sequence[Array]) -> Any:
        rest = iter(results)
        made = [part.back([next(rest) for _ in part.images]) for part in parts]
        return made if isinstance(values, list) else tuple(made)

    return Given([image for part in parts for image in part.images], back)


def _of_pillow(image: Any) -> Given:
    """Modes that hold no plain grey or RGB, such as P or CMYK, become RGB or RGBA.

    What Pillow read besides pixels stays with the result: profile, EXIF. But for what is of the old
    mode, the profile of CMYK and which colour is transparent.
    """
    known = ("L", "LA", "RGB", "RGBA", "I;16", "I;16L", "I;16B")
    if image.mode in ("L", "RGB") and "transparency" in image.info:  # one level or colour
        plain = image.convert("LA" if image.mode == "L" else "RGBA")
    elif image.mode in known:
        plain = image
    elif image.mode in ("I", "F"):
        raise ValueError(f"a PIL image of mode {image.mode}: expected 8 or 16 bits a channel")
    elif image.mode == "1":
        plain = image.convert("L")
    else:
        plain = image.convert("RGBA" if image.has_transparency_data else "RGB")
    pixels = np.asarray(plain)
    native = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    rgba = native if plain.mode != "LA" else native[..., [0, 0, 0, 1]]

    def back(results: Sequence[Array]) -> Any:
        result = results[0] if plain.mode != "LA" else results[0][..., [0, 3]]
        made = sys.modules["PIL.Image"].fromarray(np.ascontiguousarray(result))
        stale = ("transparency", "icc_profile" if image.mode in OTHER_COLOURS else "")
        made.info = {key: value for key, value in image.info.items() if key not in stale}
        return made

    return Given([rgba], back)


def _of_tensor(tensor: Any) -> Given:
    """Channels come first in a tensor, and last in an image. Results keep device and type."""
    if tensor.ndim not in (2, 3, 4):
        raise ValueError(
            f"a tensor of shape {tuple(tensor.shape)}: expected (N, 3, H, W), (3, H, W) or (H, W)"
        )
    batch = tensor.ndim == 4
    last = _channels_last(tensor)

    def back(results: Sequence[Array]) -> Any:
        if not results:
            return tensor.detach().clone()
        stacked = np.stack(results) if batch else results[0]
        first = np.moveaxis(stacked, -1, -3) if tensor.ndim > 2 else stacked
        made = sys.modules["torch"].from_numpy(np.ascontiguousarray(first))
        return made.to(device=tensor.device, dtype=tensor.dtype)

    return Given(list(last) if batch else [last], back)


def _check_channels_first(tensor: Any) -> None:
    """Refuse what has its channels last, before its axes are moved and misnamed.

    Raises:
        ValueError: With the shape as it was given.
    """
    counts = (1, 3, 4)
    if tensor.ndim > 2 and tensor.shape[-3] not in counts and tensor.shape[-1] in counts:
        order = "(2, 0, 1)" if tensor.ndim == 3 else "(0, 3, 1, 2)"
        raise ValueError(
            f"a tensor of shape {tuple(tensor.shape)}, with channels last: expected (N, 3, H, W),"
            f" (3, H, W) or (H, W); permute{order} makes it so"
        )


def _channels_last(tensor: Any) -> Array:
    """(..., C, H, W) -> (..., H, W, C); what has fewer axes as it is."""
    _check_channels_first(tensor)
    held = tensor.detach().cpu()
    try:
        array: Array = held.numpy()
    except TypeError:  # NumPy has no bfloat16
        array = held.float().numpy()
    return np.moveaxis(array, -3, -1) if array.ndim > 2 else array
