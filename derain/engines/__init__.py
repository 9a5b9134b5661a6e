"""How a network is executed: with PyTorch, ONNX Runtime or OpenVINO (`make_engine`)."""

from pathlib import Path
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

from derain.engines.export import Target, export
from derain.engines.exported import SUFFIXES, Exported, OnnxEngine, OpenvinoEngine, check_parity
from derain.engines.pytorch import (
    TorchEngine,
    choose_device,
    choose_dtype,
    choose_training_dtype,
    free_memory,
    has_bfloat16,
)
from derain.errors import UsageError
from derain.networks import Network

EngineName = Literal["torch", "onnx", "openvino"]


class Engine(Protocol):
    """Maps rainy (N, 3, H, W) float32 on the CPU to clean, likewise, for every H, W >= 1."""

    network: Network
    device: torch.device
    dtype: torch.dtype

    @property
    def name(self) -> str:
        """What belongs to a score: engine if it is not PyTorch, number format, device."""
        ...

    def __call__(self, rainy: Tensor) -> Tensor:
        """Return the clean pictures.

        Raises:
            FloatingPointError: If what comes out is no number even in float32.
        """
        ...

    def tiles_at_once(self, memory: int) -> int:
        """Return how many tiles of one size to give together, each of so many bytes."""
        ...

    @property
    def senses_density(self) -> bool:
        """Whether the network can tell how dense rain is, and the engine can ask it."""
        ...

    def density(self, rainy: Tensor) -> Tensor:
        """Return how dense the rain is: (N, 3, H, W) -> (N, 3), heavy, medium, light.

        Raises:
            ValueError: If it cannot.
        """
        ...


def make_engine(
    network: Network | Exported, engine: str = "auto", device: str = "auto", dtype: str = "auto"
) -> Engine:
    """Return an engine for a network, or for a file that `derain export` wrote.

    Args:
        engine: ``auto`` is PyTorch for a network, and for a file what its suffix says.

    Raises:
        ValueError: If engine, device or number format are unknown or do not go together.
        ImportError: If the engine is not installed.
    """
    if engine == "auto":
        engine = SUFFIXES[network.path.suffix.lower()] if isinstance(network, Exported) else "torch"
    if engine not in get_args(EngineName):
        raise UsageError(
            f"expected auto or one of {', '.join(get_args(EngineName))}",
            option="engine",
            value=engine,
        )
    if engine == "torch":
        if isinstance(network, Exported):
            raise UsageError(
                f"{network.path} is an exported file; expected weights, or another engine",
                option="engine",
                value=engine,
            )
        return TorchEngine(network, device, dtype)
    if choose_device("cpu" if device == "auto" else device).type != "cpu":
        raise UsageError(
            f"{engine} runs on the CPU; expected auto or cpu", option="device", value=device
        )
    kind = OnnxEngine if engine == "onnx" else OpenvinoEngine
    return kind(network, dtype)


def is_exported(path: Path) -> bool:
    """Return whether `derain export` writes files of this name."""
    return path.suffix.lower() in SUFFIXES


__all__ = [
    "Engine",
    "EngineName",
    "Exported",
    "OnnxEngine",
    "OpenvinoEngine",
    "Target",
    "TorchEngine",
    "check_parity",
    "choose_device",
    "choose_dtype",
    "choose_training_dtype",
    "export",
    "free_memory",
    "has_bfloat16",
    "is_exported",
    "make_engine",
]
