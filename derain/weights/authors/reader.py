"""Tools for readers of authors' checkpoints: their description, and renaming of tensors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from derain.networks import Hyperparameters
from derain.weights.authors.stored import Stored

Tensors = Mapping[str, Tensor]

BATCH_NORM = "weight bias running_mean running_var num_batches_tracked"
"""The parts of a batch normalisation, as `Renaming.move` takes them."""


@dataclass(frozen=True)
class Reader:
    """Turns the published files of a network into its state dict.

    Attributes:
        markers: Names of tensors that a checkpoint of this network has, and no other.
        convert: Turns the authors' tensors into a state dict of derain's. Tensors that it leaves
            over keep their names, so that strict loading fails on them.
        hyperparameters: Reads the arguments of the network's constructor from names and shapes.
        wanted: Whether a name is one of the network's; what else there is, is left out.
        from_bgr: For networks whose authors feed BGR pictures: turns a state dict for these into
            one for RGB.
    """

    markers: frozenset[str]
    convert: Callable[[Tensors], dict[str, Tensor]]
    hyperparameters: Callable[[Mapping[str, Stored]], Hyperparameters] = lambda _: {}
    wanted: Callable[[str], bool] = lambda _: True
    from_bgr: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None


class Renaming:
    """Takes tensors by the authors' names and puts them under derain's."""

    def __init__(self, theirs: Tensors) -> None:
        self.remaining = dict(theirs)
        self.converted: dict[str, Tensor] = {}

    def move(
        self,
        theirs: str,
        ours: str,
        change: Callable[[Tensor], Tensor] = lambda t: t,
        *,
        parts: str = "weight bias",
    ) -> None:
        """Move weight and bias (or the parts named), both changed alike.

        A count of batches may be missing: some tools leave it out, and nothing depends on it.

        Raises:
            KeyError: If another part is missing.
        """
        for part in parts.split():
            if part == "num_batches_tracked":
                self.remaining.setdefault(f"{theirs}.{part}", torch.tensor(0))
            self.converted[f"{ours}.{part}"] = change(self.remaining.pop(f"{theirs}.{part}"))

    def result(self) -> dict[str, Tensor]:
        """Return what was moved, and what was left over under its old names."""
        return self.converted | self.remaining
