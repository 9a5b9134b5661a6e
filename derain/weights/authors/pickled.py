"""PyTorch checkpoints as plain tensors; code in them is never run."""

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from derain.weights.header import WeightsError, check_is_file


def read_pickle(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a ``.pth`` file by name.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If it cannot be read safely, or holds no state dict.
    """
    check_is_file(path)
    try:
        with warnings.catch_warnings():
            # PyTorch warns of unusual pickle protocols, but reads what can be read safely.
            warnings.simplefilter("ignore")
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        what = (
            f"it asks to run {found.group(1)}"
            if found
            else "it is damaged, something else, or holds more than that"
        )
        raise WeightsError(
            f"{path}: expected a PyTorch checkpoint of plain tensors, but {what}; not loaded"
        ) from None
    except Exception as error:  # damaged pickles raise whatever they stumble over
        reason = " ".join(str(error).split())[:120]
        raise WeightsError(
            f"{path}: expected a PyTorch checkpoint of plain tensors, but it is damaged or"
            f" something else ({reason})"
        ) from None
    return _state_dict(path, content)


def _state_dict(path: Path, content: Any) -> dict[str, Tensor]:
    """Return a state dict out of common wrappings, without the prefix of DataParallel."""
    for wrapping in ("state_dict", "model", "params", "network"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapping), Mapping):
            content = content[wrapping]
    if not isinstance(content, Mapping):
        raise WeightsError(
            f"{path}: holds a {type(content).__name__}; expected a state dict of tensors"
        )
    return {
        str(key).removeprefix("module."): value
        for key, value in content.items()
        if isinstance(value, Tensor)
    }
