"""What a network asks of the machine: parameters, multiply-adds, time and memory."""

import functools
import os
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from derain import __version__
from derain.machine import PeakMemory, processor, version_of
from derain.networks import Network

MACS_SIDE = 512
"""Multiply-adds are counted on a square picture of this side, in pixels."""


@dataclass(frozen=True)
class Cost:
    """What a network asks of the machine.

    Attributes:
        parameters: Trained numbers: all that the weights hold, those of CRDNet's classifier too.
        multiply_adds: Of one 512x512 picture taken whole, in convolutions, matrix products and
            attention, as often as it is flipped; None where they cannot be counted.
        seconds_per_megapixel: Median over the pictures, everything included: tiling, transfers,
            network.
        peak_memory: Most bytes held while deraining the dataset: of the process on a CPU (Linux),
            of tensors on a GPU; None where the system does not say.
    """

    parameters: int
    multiply_adds: int | None
    seconds_per_megapixel: float
    peak_memory: int | None


def count_parameters(network: Network) -> int:
    """Return how many trained numbers a network holds."""
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: Network, size: tuple[int, int] = (MACS_SIDE, MACS_SIDE)) -> int | None:
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


class DevicePeak:
    """The most memory held from here on: tensors on a CUDA device, the process on a CPU."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._process = PeakMemory()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def read(self) -> int | None:
        """Return the peak in bytes; None where the system does not say, and on other devices."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return self._process.read() if self._device.type == "cpu" else None


def describe_machine() -> str:
    """Return versions, processor, threads and accelerator, in one line for tables and reports."""
    versions = f"derain {__version__}, torch {version_of('torch')}"
    threads = f"{os.cpu_count()} cores, PyTorch on {torch.get_num_threads()}"
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{versions}, {processor()}, {threads}{gpu}"
