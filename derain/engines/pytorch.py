"""PyTorch: device, number format, memory layout."""

import functools
import logging
import os
from typing import ClassVar

import torch
from torch import Tensor, nn

from derain import machine
from derain.engines.engine import NO_NUMBERS, MemoryWatch, Product, Tiled
from derain.errors import UsageError, check_choice
from derain.machine import PeakMemory
from derain.networks import Network, SensesDensity
from derain.networks.cost import count_parameters, multiply_adds
from derain.tiles import Float32s, Tiling
from derain.weights.card import Card
from derain.weights.catalogue import CATALOGUE
from derain.weights.loading import find

_log = logging.getLogger(__name__)

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

    runtime: ClassVar[str] = "torch"

    def __init__(self, network: Network, device: str = "auto", dtype: str = "auto") -> None:
        self._device = choose_device(device)
        self._dtype = choose_dtype(dtype)
        self.device = str(self._device)
        self.dtype = str(self._dtype).removeprefix("torch.")
        if self._device.type == "cpu" and self._dtype == torch.float16:
            _log.warning("float16 on a CPU is slower than float32, and loses digits")
        if self._device.type == "cpu":
            machine.keep_freed_memory()
            # PyTorch starts a thread for every core of the machine, whatever a container may use.
            if "OMP_NUM_THREADS" not in os.environ:
                torch.set_num_threads(min(torch.get_num_threads(), machine.available_cores()))
        if self._device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # tiles come in few sizes
        self.network = network.to(self._device).to(memory_format=torch.channels_last).eval()
        self.title = type(network).__name__
        self.tiling = network.tiling
        self.parameters = count_parameters(network)

    @property
    def name(self) -> str:
        """Number format and device."""
        return f"{self.dtype}, {self.device}"

    def __call__(self, rainy: Float32s) -> Float32s:
        """Return clean pictures: rainy (N, 3, H, W) -> the same shape.

        Raises:
            FloatingPointError: If what comes out is no number even in float32.
            TypeError: If the network returns something else than pictures of that shape.
        """
        on_device = self._sent(rainy)
        with torch.inference_mode():
            for dtype in dict.fromkeys((self._dtype, torch.float32)):
                with torch.autocast(self._device.type, dtype, enabled=dtype != torch.float32):
                    clean = self.network(on_device)
                _check_returned(self.title, clean, on_device)
                clean = clean.float()
                # A sum is read faster than every number; those in [0, 1] do not overflow it.
                if bool(torch.isfinite(clean.sum())):
                    return clean.cpu().numpy()
        raise FloatingPointError(NO_NUMBERS)

    def _sent(self, rainy: Float32s) -> Tensor:
        # PyTorch has no negative strides, which flipped arrays have.
        flipped = any(stride < 0 for stride in rainy.strides)
        pictures = torch.from_numpy(rainy.copy() if flipped else rainy)
        if self._device.type == "cuda":  # from pinned memory the copy does not wait
            pictures = pictures.contiguous(memory_format=torch.channels_last).pin_memory()
        return pictures.to(self._device, non_blocking=True).contiguous(
            memory_format=torch.channels_last
        )

    def count(self, height: int, width: int) -> int | None:
        """Return the multiply-adds of one whole picture; None where it cannot be traced."""
        return multiply_adds(self.network, (height, width))

    def free_memory(self) -> int | None:
        """Return how many bytes may still be asked for on the device; None on others than CUDA."""
        return free_memory(self._device)

    def watch_memory(self) -> MemoryWatch:
        """Return a watch on the process's memory, or on the tensors on a GPU."""
        return CudaPeak(self._device) if self._device.type == "cuda" else PeakMemory()

    def product(self, side: int) -> Product:
        """Return a matrix product in its number format on its device."""
        left, right = (
            torch.randn(side, side, device=self._device).to(self._dtype) for _ in range(2)
        )

        def compute() -> None:
            _ = left @ right
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)

        return compute

    def tiles_at_once(self, memory: int) -> int:
        """Return 1 on a processor, which one tile keeps busy; on a GPU as many as pay.

        That is up to eight, in half of the free memory.
        """
        free = self.free_memory() if self._device.type == "cuda" else None
        return 1 if free is None else min(MOST_AT_ONCE, max(1, free // 2 // memory))

    @property
    def senses_density(self) -> bool:
        """Whether the network can tell how dense rain is."""
        return isinstance(self.network, SensesDensity) and self.network.senses_density

    def density(self, rainy: Float32s) -> Float32s:
        """Return how dense the rain is: (N, 3, H, W) -> (N, 3), heavy, medium, light.

        It is always computed in float32.

        Raises:
            ValueError: If the network cannot tell.
            FloatingPointError: If what comes out is no number.
        """
        if not (isinstance(self.network, SensesDensity) and self.network.senses_density):
            raise ValueError(
                "these weights cannot measure rain density; expected CRDNet's with a classifier,"
                " such as crdnet"
            )
        with torch.inference_mode():
            sensed = self.network.density(self._sent(rainy)).float().cpu()
        if not bool(torch.isfinite(sensed).all()):
            raise FloatingPointError(
                "the classifier returned NaN or infinity; its weights are damaged or were never"
                " trained"
            )
        return sensed.numpy()


def open_network(model: Tiled, device: str = "auto", dtype: str = "auto") -> TorchEngine:
    """Return an engine for a network that was described without PyTorch.

    Raises:
        TypeError: If it is no network.
        ValueError: As `TorchEngine`.
    """
    return TorchEngine(as_network(model), device, dtype)


def _check_returned(title: str, clean: object, rainy: Tensor) -> None:
    """Refuse what is no clean pictures for rainy ones.

    Raises:
        TypeError: If that is so.
    """
    shape = tuple(clean.shape) if isinstance(clean, Tensor) else ""
    if shape != tuple(rainy.shape):
        found = f"{type(clean).__name__} {shape}".rstrip()
        raise TypeError(f"{title} returns a {found}; expected a tensor {tuple(rainy.shape)}")


def as_network(model: Tiled) -> Network:
    """Return the argument if it is a network.

    Raises:
        TypeError: If it is not a network, or its weights are not in float32.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"a {type(model).__name__}; expected a network, or an engine")
    if not isinstance(getattr(model, "tiling", None), Tiling):
        raise TypeError(
            f"a {type(model).__name__}, which has no tiling; expected a network as"
            " derain.networks.Network describes it"
        )
    others = {w.dtype for w in model.parameters() if w.is_floating_point()} - {torch.float32}
    if others:
        found = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in others))
        raise TypeError(
            f"a network in {found}; expected float32: call its float(), and choose the number"
            " format by dtype"
        )
    network: Network = model  # pyright: ignore[reportAssignmentType] (its methods are not checked)
    return network


def open_weights(
    name_or_path: str, device: str = "auto", dtype: str = "auto"
) -> tuple[TorchEngine, Card]:
    """Return an engine for weights, and their card.

    Shipped weights that lose nothing by it are executed in bfloat16 where that is faster.

    Raises:
        FileNotFoundError: If there are no such weights.
        WeightsError: If the file does not hold a known network.
        ValueError: As `TorchEngine`.
    """
    network, card = find(name_or_path)
    entry = CATALOGUE.get(name_or_path)
    if dtype == "auto" and entry and entry.bfloat16 and has_bfloat16(choose_device(device)):
        dtype = "bfloat16"
    return TorchEngine(network, device, dtype), card


class CudaPeak:
    """The most memory that tensors on a CUDA device hold from here on."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        torch.cuda.reset_peak_memory_stats(device)

    def read(self) -> int:
        """Return the peak in bytes."""
        return torch.cuda.max_memory_allocated(self._device)


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
    kind, colon, number = name.partition(":")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if not available.get(kind, False) or (
        colon and not (number.isdecimal() and int(number) < count)
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
        ValueError: If the name is unknown, or gradients would vanish in it (float16).
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
        ValueError: If the name is unknown.
    """
    known = {
        "auto": torch.float32,
        "float32": torch.float32,
        "bfloat16": torch.bfloat16,
        "float16": torch.float16,
    }
    check_choice(name, known, "dtype")
    return known[name]
