"""What a network asks of the machine: parameters, multiply-adds, time, memory."""

import contextlib
import ctypes
import gc
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from derain.networks import Network

MACS_SIDE = 512
"""Multiply-adds are counted on a square picture of this side."""


@dataclass(frozen=True)
class Cost:
    """What a network asks of the machine.

    Attributes:
        parameters: Trained numbers, all the weights hold, those of CRDNet's classifier too.
        multiply_adds: Of one 512x512 picture taken whole, in convolutions, matrix products and
            attention, as often as it is flipped; None where they cannot be counted.
        seconds_per_megapixel: Median over the pictures, all of it: tiling, transfers, network.
        peak_memory: Most bytes held while deraining the dataset: of the process on a CPU (Linux),
            of tensors on a GPU; None where the system does not say.
    """

    parameters: int
    multiply_adds: int | None
    seconds_per_megapixel: float
    peak_memory: int | None


def multiply_adds(network: Network, size: tuple[int, int] = (MACS_SIDE, MACS_SIDE)) -> int | None:
    """Multiply-adds of one whole picture of (height, width), counted without computing; None where
    it cannot be traced so.
    """
    try:
        with (
            torch.device("meta"),
            FlopCounterMode(display=False) as counter,
            torch.inference_mode(),
        ):
            twin = type(network)(**network.hyperparameters).eval()
            twin(torch.empty(1, 3, *size))
    except (
        NotImplementedError,
        RuntimeError,
        TypeError,
    ):  # a network that looks at values has none to look at
        return None
    return counter.get_total_flops() // 2


class PeakMemory:
    """The most memory held from here on: tensors on a CUDA device, the process on a CPU where the
    system can be asked (Linux).
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)  # glibc: give back what earlier models left
        self._known = True
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            return
        try:
            Path("/proc/self/clear_refs").write_text("5")  # sets the high-water mark back
        except OSError:
            self._known = False

    def read(self) -> int | None:
        """Bytes, or None where they cannot be known."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        if self._device.type != "cpu" or not self._known:
            return None
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(found[1]) * 1024 if found else None
