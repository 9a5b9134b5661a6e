"""Reads the checkpoints of NLEDN's authors."""

import torch
from torch import Tensor

from derain.networks.nledn import DENSE_LAYERS
from derain.weights.authors.reader import Reader, Renaming, Tensors

BLOCKS = ("up_1", "up_2", "up_3", "down_3", "down_2", "down_1")
"""The authors' names in the order of the data: ``up`` is the way down, and the reverse."""


MARKERS = frozenset({"conv1.weight", "up_1.group_0.0.weight", "final_conv.0.weight"})


def _convert(tensors: Tensors) -> dict[str, Tensor]:
    """Rename; join theta, phi and g into one convolution, and change the rain map's sign."""
    names = Renaming(tensors)
    names.move("conv1", "entrance.0")
    names.move("conv2", "entrance.1")
    for k, name in enumerate(BLOCKS):
        # The block on the coarsest maps is global: it has no regions.
        inside = "non_local" if name == "down_3" else "region_non_local.non_local_block"
        for part in ("weight", "bias"):
            names.converted[f"blocks.{k}.non_local.embed.{part}"] = torch.cat(
                [
                    names.remaining.pop(f"{name}.{inside}.{layer}.{part}")
                    for layer in ("theta", "phi.0", "g.0")
                ]
            )
        names.move(f"{name}.{inside}.W", f"blocks.{k}.non_local.project")
        for layer in range(DENSE_LAYERS):
            names.move(f"{name}.group_{layer}.0", f"blocks.{k}.layers.{layer}")
        names.move(f"{name}.fusion.0", f"blocks.{k}.fusion")
    names.move("down_2_fusion", "joints.0")
    names.move("down_1_fusion", "joints.1")
    names.move("fusion.0", "fusion.0")
    names.move("fusion.1", "fusion.1")
    # The checkpoints learned clean = rainy - R, the paper and the network add R. tanh is odd.
    names.move("final_conv.0", "exit", torch.neg)
    return names.result()


READER = Reader(MARKERS, _convert)
