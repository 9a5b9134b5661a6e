"""Reads the authors' own checkpoints, recognised by their keys, as networks of ours. Nothing pickled is ever run."""

import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from derain.networks import NETWORKS, Network
from derain.networks.nledn import DENSE_LAYERS
from derain.weights.card import Card
from derain.weights.store import WeightsError, check_is_file

Tensors = Mapping[str, Tensor]

NLEDN_BLOCKS = ("up_1", "up_2", "up_3", "down_3", "down_2", "down_1")
"""The authors' names in the order of the data: ``up`` is the way down, and the reverse."""


def load(path: Path) -> tuple[Network, Card]:
    """Recognises an authors' checkpoint and gives the network it holds, in evaluation mode.

    Raises:
        FileNotFoundError: If there is none of this name.
        WeightsError: If the file cannot be read safely, or is of no network known here; says what was found.
    """
    tensors = _read_tensors(path)
    for name, (is_ours, convert) in READERS.items():
        if is_ours(tensors):
            try:
                network = NETWORKS[name]()
                network.load_state_dict(convert(tensors))
            except (KeyError, RuntimeError) as error:
                reason = " ".join(str(error).split())[:300]
                raise WeightsError(f"{path}: looks like the authors' {name}, but is not complete ({reason})") from None
            return network.eval(), Card(
                name=path.stem,
                network=name,
                hyperparameters=network.hyperparameters,
                recipe="published by the authors",
                licence="none stated by the authors",
                note=f"imported from {path.name}",
            )
    found = ", ".join(list(tensors)[:4]) or "nothing"
    raise WeightsError(
        f"{path}: no network known here has these weights; found {len(tensors)} tensors ({found}, …), "
        f"expected an authors' checkpoint of {', '.join(READERS)}"
    )


def _read_tensors(path: Path) -> dict[str, Tensor]:
    check_is_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of unusual pickle protocols: what can be read safely is read
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        what = f"it asks to run {found.group(1)}" if found else "it is damaged, something else, or holds more than that"
        raise WeightsError(f"{path}: expected a PyTorch checkpoint of plain tensors, but {what}; not loaded") from None
    except Exception as error:  # damaged pickles raise whatever they stumble over
        reason = " ".join(str(error).split())[:120]
        raise WeightsError(
            f"{path}: expected a PyTorch checkpoint of plain tensors, but it is damaged or something else ({reason})"
        ) from None
    return _state_dict(path, content)


def _state_dict(path: Path, content: Any) -> dict[str, Tensor]:
    """The state dict itself, or what common wrappings keep it under; without the prefix of DataParallel."""
    for wrapping in ("state_dict", "model", "params", "network"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapping), Mapping):
            content = content[wrapping]
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path}: holds a {type(content).__name__}; expected a state dict of tensors")
    return {str(key).removeprefix("module."): value for key, value in content.items() if isinstance(value, Tensor)}


def _is_nledn(tensors: Tensors) -> bool:
    return {"conv1.weight", "up_1.group_0.0.weight", "final_conv.0.weight"} <= tensors.keys()


def _convert_nledn(tensors: Tensors) -> dict[str, Tensor]:
    """The authors' names to ours; theta, phi and g become one convolution, and the rain map changes its sign."""
    remaining = dict(tensors)
    converted: dict[str, Tensor] = {}

    def move(theirs: str, ours: str, sign: int = 1) -> None:
        for part in ("weight", "bias"):
            converted[f"{ours}.{part}"] = sign * remaining.pop(f"{theirs}.{part}")

    move("conv1", "entrance.0")
    move("conv2", "entrance.1")
    for k, name in enumerate(NLEDN_BLOCKS):
        inside = "non_local" if name == "down_3" else "region_non_local.non_local_block"
        for part in ("weight", "bias"):
            converted[f"blocks.{k}.non_local.embed.{part}"] = torch.cat(
                [remaining.pop(f"{name}.{inside}.{layer}.{part}") for layer in ("theta", "phi.0", "g.0")]
            )
        move(f"{name}.{inside}.W", f"blocks.{k}.non_local.project")
        for layer in range(DENSE_LAYERS):
            move(f"{name}.group_{layer}.0", f"blocks.{k}.layers.{layer}")
        move(f"{name}.fusion.0", f"blocks.{k}.fusion")
    move("down_2_fusion", "joints.0")
    move("down_1_fusion", "joints.1")
    move("fusion.0", "fusion.0")
    move("fusion.1", "fusion.1")
    move("final_conv.0", "exit", sign=-1)
    return converted | remaining  # what is left over makes strict loading fail, by name


READERS: dict[str, tuple[Callable[[Tensors], bool], Callable[[Tensors], dict[str, Tensor]]]] = {
    "nledn": (_is_nledn, _convert_nledn),
}
