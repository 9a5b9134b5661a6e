"""Engines of NumPy alone, for tests in which the network does not matter, and their input."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from derain import machine
from derain.engines.engine import MemoryWatch, Product
from derain.machine import PeakMemory
from derain.tiles import Float32s, Tiling


class Unchanged:
    """Gives back what it takes, and notes the shapes of it.

    Its tiles are those of most networks. Tables have rows of papers for some titles, such as NLEDN.
    """

    runtime: ClassVar[str] = "numpy"
    tiling: Tiling = Tiling(tile=512, overlap=64)

    def __init__(self, title: str = "Unchanged") -> None:
        self.device = "cpu"
        self.dtype = "float32"
        self.title = title
        self.parameters = 1234
        self.seen: list[tuple[int, ...]] = []

    @property
    def name(self) -> str:
        return f"{self.runtime}, {self.dtype}, {self.device}"

    def __call__(self, rainy: Float32s, /) -> Float32s:
        self.seen.append(rainy.shape)
        return self.forward(rainy)

    def forward(self, rainy: Float32s) -> Float32s:
        """Return what comes out of it: (N, 3, H, W) -> the same shape."""
        return rainy

    def count(self, height: int, width: int) -> int | None:
        return self.parameters * height * width

    def free_memory(self) -> int | None:
        return machine.free_memory()

    def watch_memory(self) -> MemoryWatch:
        return PeakMemory()

    def product(self, side: int) -> Product | None:
        return None

    def tiles_at_once(self, memory: int) -> int:
        return 1

    @property
    def senses_density(self) -> bool:
        return False

    def density(self, rainy: Float32s, /) -> Float32s:
        raise ValueError("cannot measure rain density")


class Local(Unchanged):
    """Sees one pixel far: what it gives does not depend on how a picture is cut."""

    tiling: Tiling = Tiling(tile=32, overlap=8, reach=1)
    kernel: Float32s = np.full((3, 3), 1 / 9, np.float32)

    def __init__(self) -> None:
        super().__init__(title=type(self).__name__)

    def forward(self, rainy: Float32s) -> Float32s:
        """Return every channel correlated with the kernel, with zeros around the picture."""
        height, width = rainy.shape[2:]
        padded = np.pad(rainy, ((0, 0), (0, 0), (1, 1), (1, 1)))
        clean = np.zeros_like(rainy)
        for (down, right), weight in np.ndenumerate(self.kernel):
            clean += weight * padded[..., down : down + height, right : right + width]
        return clean


def as_floats(image: NDArray[Any]) -> NDArray[np.float32]:
    """uint8 -> floats in [0, 1]."""
    return (image / 255).astype(np.float32)
