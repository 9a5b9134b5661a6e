"""PyTorch: device, number format, memory layout."""

import functools
import os

import torch
from torch import Tensor

from derain import machine
from derain.errors import UsageError
from derain.networks import Network, SensesDensity

MOST_AT_ONCE = 8


class TorchEngine:
    """A network on a device, in a number format.

    What comes out is checked: where half precision gave a value that is no number, the tile is done
    again in float32.

    Args:
        device: ``auto`` is CUDA, else MPS, else the CPU.
        dtype: ``auto`` is float32; `has_bfloat16` says where bfloat16 is faster.

    Raises:
        ValueError: If the device asked for is not there, or the names are unknown.
    """

    def __init__(self, network: Network, device: str = "auto", dtype: str = "auto") -> None:
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype)
        if self.device.type == "cpu":
            machine.keep_freed_memory()
            # PyTorch starts a thread for every core of the machine, whatever a container may use.
            if "OMP_NUM_THREADS" not in os.environ:
                torch.set_num_threads(min(torch.get_num_threads(), machine.available_cores()))
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # tiles come in few sizes
        self.network = network.to(self.device).to(memory_format=torch.channels_last).eval()

    @property
    def name(self) -> str:
        """Number format and device."""
        return f"{str(self.dtype).removeprefix('torch.')}, {self.device}"

    def __call__(self, rainy: Tensor) -> Tensor:
        """Return clean pictures: rainy (N, 3, H, W) float32 on the CPU -> the same shape.

        Raises:
            FloatingPointError: If what comes out is no number even in float32.
        """
        on_device = self._sent(rainy)
        with torch.inference_mode():
            for dtype in dict.fromkeys((self.dtype, torch.float32)):
                with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
                    clean = self.network(on_device).float()
                if bool(torch.isfinite(clean).all()):
                    return clean.cpu()
        raise FloatingPointError(
            "the network gave values that are no numbers; its weights are damaged, or were never"
            " trained"
        )

    def _sent(self, rainy: Tensor) -> Tensor:
        if self.device.type == "cuda":  # from pinned memory the copy does not wait
            rainy = rainy.contiguous(memory_format=torch.channels_last).pin_memory()
        return rainy.to(self.device, non_blocking=True).contiguous(
            memory_format=torch.channels_last
        )

    def tiles_at_once(self, memory: int) -> int:
        """Return 1 on a processor, which one tile keeps busy; on a GPU as many as pay.

        That is up to eight, in half of the free memory.
        """
        free = free_memory(self.device) if self.device.type == "cuda" else None
        return 1 if free is None else min(MOST_AT_ONCE, max(1, free // 2 // memory))

    @property
    def senses_density(self) -> bool:
        """Whether the network can tell how dense rain is."""
        return isinstance(self.network, SensesDensity) and self.network.senses_density

    def density(self, rainy: Tensor) -> Tensor:
        """Return how dense the rain is: (N, 3, H, W) -> (N, 3), heavy, medium, light.

        It is always computed in float32.

        Raises:
            ValueError: If the network cannot tell.
            FloatingPointError: If what comes out is no number.
        """
        if not (isinstance(self.network, SensesDensity) and self.network.senses_density):
            raise ValueError(
                "these weights cannot tell how dense rain is; expected CRDNet's with a classifier,"
                " such as crdnet"
            )
        with torch.inference_mode():
            sensed = self.network.density(self._sent(rainy)).float().cpu()
        if not bool(torch.isfinite(sensed).all()):
            raise FloatingPointError(
                "the classifier gave values that are no numbers; its weights are damaged, or never"
                " trained"
            )
        return sensed


@functools.cache
def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device has instructions for bfloat16.

    A processor without them is slower in bfloat16 than in float32.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return machine.cpu_has_bfloat16()


def free_memory(device: torch.device) -> int | None:
    """Return how many bytes may still be asked for on a device; None where nobody can say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return machine.free_memory() if device.type == "cpu" else None


def choose_device(name: str) -> torch.device:
    """Return the device of a name.

    Raises:
        ValueError: If it is not there.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    kind, _, number = name.partition(":")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if not available.get(kind, False) or (
        number and not (number.isdecimal() and int(number) < count)
    ):
        there = ", ".join(kind for kind, is_there in available.items() if is_there)
        raise UsageError(
            f"not available here; expected auto or one of: {there}", option="device", value=name
        )
    return torch.device(name)


def choose_training_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the number format to train in.

    ``auto`` is bfloat16 where the device has instructions for it, which is faster.

    Raises:
        ValueError: If there is none of the name, or gradients would vanish in it (float16).
    """
    if name == "auto":
        return torch.bfloat16 if has_bfloat16(device) else torch.float32
    if name not in ("float32", "bfloat16"):
        raise UsageError(
            "expected auto, float32 or bfloat16 to train in", option="dtype", value=name
        )
    return choose_dtype(name)


def choose_dtype(name: str) -> torch.dtype:
    """Return the number format of a name.

    Raises:
        ValueError: If there is none of it.
    """
    known = {
        "auto": torch.float32,
        "float32": torch.float32,
        "bfloat16": torch.bfloat16,
        "float16": torch.float16,
    }
    if name not in known:
        raise UsageError(f"expected one of {', '.join(known)}", option="dtype", value=name)
    return known[name]
