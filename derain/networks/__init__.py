"""The networks: one file per paper, and derain's own, Petrichor.

To add a network, write its file and its line here (docs/guides/networks.md shows how).
"""

from collections.abc import Callable

from derain.networks.crdnet import CRDNet
from derain.networks.dpenet import DPENet
from derain.networks.network import Hyperparameters, Network, SensesDensity
from derain.networks.nledn import NLEDN
from derain.networks.petrichor import Petrichor, PetrichorDeep, PetrichorLive, PetrichorWide, grown
from derain.networks.remaen import ReMAEN
from derain.tiles import Tiling

NETWORKS: dict[str, Callable[..., Network]] = {
    "nledn": NLEDN,
    "remaen": ReMAEN,
    "crdnet": CRDNet,
    "dpenet": DPENet,
    "petrichor": Petrichor,
    "petrichor-live": PetrichorLive,
    "petrichor-deep": PetrichorDeep,
    "petrichor-wide": PetrichorWide,
}

__all__ = [
    "NETWORKS",
    "NLEDN",
    "CRDNet",
    "DPENet",
    "Hyperparameters",
    "Network",
    "Petrichor",
    "PetrichorDeep",
    "PetrichorLive",
    "PetrichorWide",
    "ReMAEN",
    "SensesDensity",
    "Tiling",
    "grown",
]
