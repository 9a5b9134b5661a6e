"""Entries of the zoo: the weights that the package holds, and how each is trained on.

`tools/zoo/train_zoo.py` is the queue that trains them. How far an entry has come is stored on the
card of its weights (`derain.weights`), which every stage of training adds to, and in the folder of
an unfinished stage.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from derain.recipes.recipe import Recipe
from derain.recipes.table import RECIPES

_NOTHING: Mapping[str, int] = MappingProxyType({})

CONTINUED = 0.6
"""The rate of a stage that begins from trained weights, relative to the recipe's."""


@dataclass(frozen=True)
class ZooEntry:
    """Weights that the package holds, or should hold.

    Attributes:
        recipe: Name of the recipe, and of the weights; it gives network, preset and steps.
        origin: Entry whose weights it begins from as long as it has none; empty for random weights.
        on_cpu: Batch and crop where the recipe's are too much for a processor.
        on_gpu: Batch and crop that keep a GPU busy.
        frozen_norms: Whether stages that begin from trained weights keep their normalisation's
            statistics.
    """

    recipe: str
    origin: str = ""
    on_cpu: Mapping[str, int] = field(default_factory=dict)
    on_gpu: Mapping[str, int] = field(default_factory=dict)
    frozen_norms: bool = False

    @property
    def planned(self) -> Recipe:
        """Return the recipe from the table, after whose steps the entry is finished."""
        return RECIPES[self.recipe]

    def stage(self, device: str, steps: int, init: str, seed: int = 0) -> Recipe:
        """Return the recipe of a stage of so many steps on a kind of device.

        Args:
            device: ``cpu`` or ``cuda``.
            steps: Number of steps.
            init: Weights to begin from; empty for random weights.
            seed: Seed of the crops and the rain, which no two stages should share.
        """
        recipe = self.planned
        sizes = self.on_cpu if device == "cpu" else self.on_gpu
        lr = recipe.lr * (CONTINUED if init else 1)
        warmup, every = min(recipe.warmup, max(1, steps // 20)), max(1, min(1000, steps // 5))
        kept = {"frozen_norms": self.frozen_norms and bool(init)}
        return replace(
            recipe,
            init=init,
            seed=seed,
            steps=steps,
            lr=lr,
            warmup=warmup,
            validate_every=every,
            **sizes,
            **kept,
        )


# NLEDN's regions follow what it is given: trained on crops of 96 it does worse on whole pictures
# than on tiles of them. CRDNet's coarsest maps are a 32nd of the side: of small crops they are all
# border.
_ON_CPU: dict[str, Mapping[str, int]] = {
    "nledn": {"batch": 1, "crop": 256},
    "remaen": {"batch": 2, "crop": 64},
    "crdnet": {"batch": 2, "crop": 320},
    "dpenet": {"batch": 2, "crop": 80},
}
_ON_GPU: dict[str, Mapping[str, int]] = {
    "petrichor": {"batch": 32, "crop": 192},
    "petrichor-live": {"batch": 32, "crop": 192},
    "petrichor-deep": {"batch": 32, "crop": 192},
    "nledn": {"batch": 8, "crop": 320},
    "remaen": {"batch": 32, "crop": 96},
    "crdnet": {"batch": 16, "crop": 320},
    "dpenet": {"batch": 32, "crop": 128},
}


def _entry(recipe: str, origin: str = "") -> ZooEntry:
    network = RECIPES[recipe].network
    return ZooEntry(
        recipe,
        origin,
        _ON_CPU.get(network, _NOTHING),
        _ON_GPU.get(network, _NOTHING),
        network == "crdnet",
    )


ZOO: dict[str, ZooEntry] = {
    entry.recipe: entry
    for entry in (
        _entry("petrichor"),
        _entry("petrichor-live"),
        _entry("petrichor-deep", origin="petrichor"),
        *(_entry(network) for network in ("nledn", "remaen", "crdnet", "dpenet")),
    )
}
"""By name; what begins from another stands after it."""
