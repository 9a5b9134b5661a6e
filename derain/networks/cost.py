"""Count the parameters and multiply-adds of a network, without computing it."""

import functools
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from derain.networks.network import Network


def count_parameters(network: Network) -> int:
    """Return how many trained numbers a network holds."""
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: Network, size: tuple[int, int]) -> int | None:
    """Return the multiply-adds of one whole picture, counted without computing.

    Args:
        network: Counted by its class and hyperparameters; its weights do not matter.
        size: Height and width of the picture in pixels.

    Returns:
        The number; None where the network cannot be traced without values.
    """
    return _count(type(network), tuple(network.hyperparameters.items()), size)


@functools.cache
def _count(
    kind: type[Network], hyperparameters: tuple[tuple[str, Any], ...], size: tuple[int, int]
) -> int | None:
    """Count once for each architecture and size, which takes a second for the largest."""
    try:
        with (
            torch.device("meta"),
            FlopCounterMode(display=False) as counter,
            torch.inference_mode(),
        ):
            network = kind(**dict(hyperparameters)).eval()
            network(torch.empty(1, 3, *size))
    except (NotImplementedError, RuntimeError, TypeError):
        # A network that decides by the values of a picture: on the meta device there are no values.
        return None
    return counter.get_total_flops() // 2
