"""The contract every network keeps, and the data that goes with it.

There is no base class. A network is an ``nn.Module`` that happens to look like `Network`; a test
holds every entry of `derain.networks.NETWORKS` against this page.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor, nn
from typing_extensions import Self

from derain.tiles import Tiling

Hyperparameters = Mapping[str, bool | int | float | str]


class Network(Protocol):
    """A network that derains pictures of every size from 1x1.

    ``forward`` maps rainy ``(N, 3, H, W)`` in [0, 1] to clean ones of the same shape and range. It
    clamps what ``estimate`` returns. Hyperparameters are the constructor's keyword arguments;
    ``hyperparameters`` gives them back, so that a weights file can rebuild the network.
    """

    tiling: ClassVar[Tiling]

    @property
    def hyperparameters(self) -> Hyperparameters: ...

    def __call__(self, rainy: Tensor, /) -> Tensor: ...

    def estimate(self, rainy: Tensor) -> Tensor:
        """Return what ``forward`` clamps: the clean pictures, with gradients beyond [0, 1] too."""
        ...

    def loss(self, rainy: Tensor, clean: Tensor) -> dict[str, Tensor]:
        """Return named terms of the loss, each a scalar; the trainer sums and logs them."""
        ...

    # What of nn.Module the package uses.
    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any: ...
    def to(self, *args: Any, **kwargs: Any) -> Self: ...
    def train(self, mode: bool = True) -> Self: ...
    def eval(self) -> Self: ...


@runtime_checkable
class SensesDensity(Protocol):
    """A network that may also sense how dense the rain is."""

    @property
    def senses_density(self) -> bool:
        """Return whether it can with the weights it has."""
        ...

    def density(self, rainy: Tensor) -> Tensor:
        """Return how sure the network is that rain is heavy, at least medium, at least light.

        Rainy (N, 3, H, W) in [0, 1] -> (N, 3).
        """
        ...
