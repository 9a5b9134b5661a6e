"""How a network is executed: device, number format, memory layout."""

import ctypes
import functools
import os
import sys

import torch
from torch import Tensor

from derain.networks import Network, SensesDensity

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Options of glibc's mallopt, from its malloc.h."""
NEVER = -1


class TorchEngine:
    """A network on a device, in a number format.

    What comes out is checked: where half precision gave a value that is no number, the tile is done again in float32.

    Args:
        device: ``auto`` is CUDA, else MPS, else the CPU.
        dtype: ``auto`` is float32.

    Raises:
        ValueError: If the device asked for is not there, or the names are unknown.
    """

    def __init__(self, network: Network, device: str = "auto", dtype: str = "auto") -> None:
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.network = network.to(self.device).to(memory_format=torch.channels_last).eval()

    def __call__(self, rainy: Tensor) -> Tensor:
        """Rainy (N, 3, H, W) float32 on the CPU -> clean, likewise.

        Raises:
            FloatingPointError: If what comes out is no number even in float32.
        """
        on_device = rainy.to(self.device).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            for dtype in dict.fromkeys((self.dtype, torch.float32)):
                with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
                    clean = self.network(on_device).float()
                if bool(torch.isfinite(clean).all()):
                    return clean.cpu()
        raise FloatingPointError("the network gave values that are no numbers; its weights are damaged, or were never trained")

    @property
    def senses_density(self) -> bool:
        """Whether the network can tell how dense rain is."""
        return isinstance(self.network, SensesDensity) and self.network.senses_density

    def density(self, rainy: Tensor) -> Tensor:
        """Rainy (N, 3, H, W) float32 on the CPU -> (N, 3), heavy, medium, light, always computed in float32.

        Raises:
            ValueError: If the network cannot tell.
            FloatingPointError: If what comes out is no number.
        """
        if not (isinstance(self.network, SensesDensity) and self.network.senses_density):
            raise ValueError("these weights cannot tell how dense rain is; expected CRDNet's with a classifier, such as crdnet")
        with torch.inference_mode():
            sensed = self.network.density(rainy.to(self.device).contiguous(memory_format=torch.channels_last)).float().cpu()
        if not bool(torch.isfinite(sensed).all()):
            raise FloatingPointError("the classifier gave values that are no numbers; its weights are damaged, or never trained")
        return sensed


@functools.cache
def keep_freed_memory() -> None:
    """Tells glibc to keep what the main thread frees for its next use, once and for the whole process.

    Every layer of every tile asks for blocks of the same sizes again. By default large ones go back to the system each time and
    are mapped and cleared anew page by page, which costs as much as the arithmetic (`benchmarks/kept_memory.py`). The price is
    that a process keeps the most it ever held. Nothing happens where there is no glibc, or where the environment has a
    ``MALLOC_`` variable of glibc's: then the user has decided.
    """
    if not sys.platform.startswith("linux") or any(name.startswith("MALLOC_") for name in os.environ):
        return
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option:  # musl has none
        for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER)):
            set_option(option, value)


def choose_device(name: str) -> torch.device:
    """The device of a name.

    Raises:
        ValueError: If it is not there.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    kind, _, number = name.partition(":")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if not available.get(kind, False) or (number and not (number.isdecimal() and int(number) < count)):
        there = ", ".join(kind for kind, is_there in available.items() if is_there)
        raise ValueError(f"--device {name}: not available here; expected auto or one of: {there}")
    return torch.device(name)


def choose_dtype(name: str) -> torch.dtype:
    """The number format of a name.

    Raises:
        ValueError: If there is none of it.
    """
    known = {"auto": torch.float32, "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in known:
        raise ValueError(f"--dtype {name}: expected one of {', '.join(known)}")
    return known[name]
