"""The contract of an engine: what executes a network, on arrays."""

from typing import ClassVar, Protocol, runtime_checkable

from derain.tiles import Float32s, Tiling

NO_NUMBERS = "the network returned NaN or infinity; its weights are damaged or were never trained"
"""What an engine says that would otherwise give such values."""


class Tiled(Protocol):
    """A network in PyTorch, as far as it can be described without PyTorch.

    `derain.networks.Network` is all of it.
    """

    tiling: ClassVar[Tiling]


class MemoryWatch(Protocol):
    """The most memory held since it was made."""

    def read(self) -> int | None:
        """Return the peak in bytes; None where the system does not say."""
        ...


class Product(Protocol):
    """A product of two square matrices, computed again with each call."""

    def __call__(self) -> object:
        """Compute it, and wait for it."""
        ...


@runtime_checkable
class Engine(Protocol):
    """Maps rainy pictures to clean ones: (N, 3, H, W) float32 in [0, 1], for every H, W >= 1.

    Attributes:
        runtime: ``torch``, ``onnx`` or ``openvino``.
        device: Where it computes: ``cpu``, ``cuda:0``.
        dtype: Number format it computes in: ``float32``.
        title: Name of the network's class, which is that of its paper.
        tiling: What cutting a picture does to the network.
        parameters: Trained numbers in the network.
    """

    runtime: ClassVar[str]
    device: str
    dtype: str
    title: str
    tiling: Tiling
    parameters: int

    @property
    def name(self) -> str:
        """What belongs to a score: engine if it is not PyTorch, number format, device."""
        ...

    def __call__(self, rainy: Float32s, /) -> Float32s:
        """Return the clean pictures, from any thread.

        Raises:
            FloatingPointError: If what comes out is no number even in float32.
        """
        ...

    def count(self, height: int, width: int) -> int | None:
        """Return the multiply-adds of one whole picture; None where they are not known."""
        ...

    def free_memory(self) -> int | None:
        """Return how many bytes may still be asked for; None where nobody can say."""
        ...

    def watch_memory(self) -> MemoryWatch:
        """Return a watch on the memory that it computes in: the process's, or a GPU's."""
        ...

    def product(self, side: int) -> Product | None:
        """Return a matrix product in its number format on its device; None where it has none.

        Its rate is what a network's is compared with.
        """
        ...

    def tiles_at_once(self, memory: int) -> int:
        """Return how many tiles of one size to give together, each of so many bytes."""
        ...

    @property
    def senses_density(self) -> bool:
        """Whether the network can tell how dense rain is, and the engine can ask it."""
        ...

    def density(self, rainy: Float32s, /) -> Float32s:
        """Return how dense the rain is: (N, 3, H, W) -> (N, 3), heavy, medium, light.

        Raises:
            ValueError: If it cannot.
        """
        ...
