"""Reads safetensors files that other programs wrote: tensors without a card."""

import math
from functools import partial
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from derain.weights.authors.stored import Stored
from derain.weights.header import opened


def read_safetensors(path: Path) -> dict[str, Stored]:
    """Return the tensors of a file by name, unread.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If it is damaged.
    """
    with opened(path) as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    return {
        name: Stored(shape, math.prod(shape), partial(_read, path, name))
        for name, shape in shapes.items()
    }


def _read(path: Path, name: str) -> Tensor:
    with safe_open(path, framework="pt") as file:
        return file.get_tensor(name)
