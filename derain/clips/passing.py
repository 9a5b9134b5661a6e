"""Frames on their way through the network, whatever they are before and after."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

from derain.restore import Derainer

FrameT = TypeVar("FrameT")


@dataclass(frozen=True)
class Passing(Generic[FrameT]):
    """A frame on its way.

    Attributes:
        frame: As it came.
        rgb: Upright, (H, W, 3); None without a network.
        clean: What the network made of that.
    """

    frame: FrameT
    rgb: NDArray[Any] | None
    clean: NDArray[Any] | None = None


def derained(
    batch: Sequence[Passing[FrameT]], derainer: Derainer | None
) -> Sequence[Passing[FrameT]]:
    """Return a batch with what a network makes of it; as it is without one."""
    if derainer is None:
        return batch
    clean = derainer.together([one.rgb for one in batch if one.rgb is not None])
    return [replace(one, clean=restored) for one, restored in zip(batch, clean, strict=True)]
