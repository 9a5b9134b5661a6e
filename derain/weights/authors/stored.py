"""Tensors that lie in a file: what is known of them before they are read."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Stored:
    """A tensor in a file.

    Attributes:
        shape: Its sizes.
        extent: Numbers between its first and its last one in the file, both included; it may
            lie there with gaps, or show one number several times.
        read: Reads it.
    """

    shape: tuple[int, ...]
    extent: int
    read: Callable[[], Tensor]

    @property
    def count(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    def __str__(self) -> str:
        return "x".join(map(str, self.shape)) or "a number"


def read_all(tensors: Mapping[str, Stored], most: int) -> dict[str, Tensor]:
    """Read tensors, unless they are larger than they can be.

    Args:
        tensors: By name.
        most: How many numbers they may have together.

    Raises:
        ValueError: If they have more; nothing is read then.
    """
    total = sum(max(tensor.count, tensor.extent) for tensor in tensors.values())
    if total > most:
        raise ValueError(f"{total} numbers in its tensors; expected at most {most}")
    return {name: tensor.read() for name, tensor in tensors.items()}
