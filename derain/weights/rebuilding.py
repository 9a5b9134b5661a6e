"""Networks by the name and hyperparameters that a file gives: measured before they are made.

A file of a few bytes may ask for a network of many gigabytes. The shapes of its tensors cost
nothing, because PyTorch's device ``meta`` has no memory.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from derain.networks import NETWORKS, Hyperparameters, Network

LARGEST_HYPERPARAMETER = 64
"""Of counts, such as that of blocks; no network was trained with as many."""

Shapes = dict[str, tuple[int, ...]]


class _Untouched(TorchFunctionMode):
    """Leaves out what gives weights their first numbers: changes in place, and tensors like others.

    Without it PyTorch loads its compiler to find out what these do to tensors without memory, which
    takes longer than all else.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        in_place = name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
        if in_place or name.endswith("_like"):
            return args[0] if args else next(iter((kwargs or {}).values()))
        return func(*args, **(kwargs or {}))


def shapes_of(name: str, hyperparameters: Mapping[str, Any]) -> Shapes:
    """Return the shapes of a network's tensors, by name, without making it.

    Raises:
        ValueError: If these are no hyperparameters of it, or such as no network has.
    """
    for key, value in hyperparameters.items():
        if not isinstance(value, bool | int | float | str):
            raise ValueError(f"{key} is a {type(value).__name__}")
        if not isinstance(value, str) and not 0 <= value <= LARGEST_HYPERPARAMETER:
            raise ValueError(f"{key}={value}; expected 0 to {LARGEST_HYPERPARAMETER}")
    try:
        with torch.device("meta"), _Untouched():
            network = NETWORKS[name](**hyperparameters)
    except (RuntimeError, TypeError, LookupError) as error:
        raise ValueError(str(error)) from None
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


def numbers_in(shapes: Shapes) -> int:
    """Return how many numbers there are in tensors of some shapes."""
    return sum(torch.Size(shape).numel() for shape in shapes.values())


def rebuilt(name: str, hyperparameters: Hyperparameters, tensors: Mapping[str, Tensor]) -> Network:
    """Return a network with weights, in float32 and in evaluation mode.

    Shapes are to be checked before (`check_shapes`), because here memory is taken.

    Raises:
        RuntimeError: If the tensors are not those of the network.
    """
    network = NETWORKS[name](**hyperparameters)
    network.load_state_dict(
        {
            key: value.float() if value.is_floating_point() else value
            for key, value in tensors.items()
        }
    )
    return network.eval()


def check_shapes(expected: Shapes, found: Shapes) -> None:
    """Raise ValueError if tensors are missing, too many, or of other shapes than expected."""
    for word, names in (
        ("lacks", expected.keys() - found.keys()),
        ("has besides", found.keys() - expected.keys()),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ValueError(f"it {word} {min(names)[:80]}{more}")
    for name, shape in expected.items():
        if found[name] != shape:
            raise ValueError(f"{name} is {_sizes(found[name])}; expected {_sizes(shape)}")


def _sizes(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"
