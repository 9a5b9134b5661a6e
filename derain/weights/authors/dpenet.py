"""Reads the checkpoints of DPENet's authors."""

from collections.abc import Mapping

from torch import Tensor

from derain.networks import Hyperparameters
from derain.networks.dpenet import DILATIONS, ERPABS
from derain.weights.authors.reader import Reader, Renaming, Tensors
from derain.weights.authors.stored import Stored

MARKERS = frozenset({"inconv1.0.weight", "ddrb1.dconv1.0.weight", "erpab1.pa.0.weight"})


def _hyperparameters(tensors: Mapping[str, Stored]) -> Hyperparameters:
    return {"blocks": _blocks(tensors)}


def _blocks(tensors: Mapping[str, object]) -> int:
    return len({key.split(".")[0] for key in tensors if key.startswith("ddrb")})


def _convert(tensors: Tensors) -> dict[str, Tensor]:
    """Rename; nothing else changes."""
    names = Renaming(tensors)
    blocks = _blocks(tensors)
    for stage, number, count in (("r2net", 1, blocks), ("drnet", 2, ERPABS)):
        names.move(f"inconv{number}.0", f"{stage}.0", parts="weight")
        names.move(f"outconv{number}.0", f"{stage}.{count + 2}", parts="weight")
    for k in range(blocks):
        for pair, dilation in enumerate(DILATIONS):
            for layer in (0, 2):
                names.move(
                    f"ddrb{k + 1}.dconv{dilation}.{layer}",
                    f"r2net.{k + 2}.pairs.{pair}.{layer}",
                    parts="weight",
                )
    for k in range(ERPABS):
        theirs, ours = f"erpab{k + 1}", f"drnet.{k + 2}"
        for branch in range(len(DILATIONS)):
            names.move(f"{theirs}.inconv{branch + 1}", f"{ours}.branches.{branch}", parts="weight")
        names.move(f"{theirs}.outconv.0", f"{ours}.fusion")
        for layer in (0, 2):
            names.move(f"{theirs}.pa.{layer}", f"{ours}.attention.{layer}", parts="weight")
    return names.result()


READER = Reader(MARKERS, _convert, _hyperparameters)
