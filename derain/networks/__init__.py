"""The networks: one file per paper. To add one, write its file and its line here (CONTRIBUTING shows how)."""

from collections.abc import Callable

from derain.networks.network import Hyperparameters, Network, Tiling
from derain.networks.nledn import NLEDN

NETWORKS: dict[str, Callable[..., Network]] = {
    "nledn": NLEDN,
}

__all__ = ["NETWORKS", "NLEDN", "Hyperparameters", "Network", "Tiling"]
