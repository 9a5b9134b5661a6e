"""What the readers of authors' checkpoints share: how one is described, and renaming of tensors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from derain.networks import Hyperparameters

Tensors = Mapping[str, Tensor]

BATCH_NORM = "weight bias running_mean running_var num_batches_tracked"
"""The parts of a batch normalisation, as `Renaming.move` takes them."""


@dataclass(frozen=True)
class Reader:
    """How one network's published files become its state dict.

    Attributes:
        recognises: Whether a checkpoint is of this network, by the names of its tensors.
        convert: Turns the authors' tensors into a state dict of derain's. Tensors that it leaves
            over keep their names, so that strict loading fails on them.
        hyperparameters: Reads the arguments of the network's constructor from the tensors.
        from_bgr: For networks whose authors feed BGR pictures: turns a state dict for these into
            one for RGB.
    """

    recognises: Callable[[Mapping[str, object]], bool]
    convert: Callable[[Tensors], dict[str, Tensor]]
    hyperparameters: Callable[[Tensors], Hyperparameters] = lambda _: {}
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

        Raises:
            KeyError: If a part is missing.
        """
        for part in parts.split():
            self.converted[f"{ours}.{part}"] = change(self.remaining.pop(f"{theirs}.{part}"))

    def result(self) -> dict[str, Tensor]:
        """Return what was moved, and what was left over under its old names."""
        return self.converted | self.remaining
