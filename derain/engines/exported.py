"""Exported files, and the runtimes that execute them."""

import functools
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from derain.engines.export import HEADER, TOLERANCE, least_side, require, to_onnx
from derain.errors import UsageError
from derain.networks import NETWORKS, Network, Tiling
from derain.weights import Card, WeightsError

PARITY_SIZES = ((64, 96), (97, 131), (65, 200))
"""Height and width."""

SUFFIXES: dict[str, Literal["onnx", "openvino"]] = {".onnx": "onnx", ".xml": "openvino"}
"""Of exported files, and the engine that each is for."""


@dataclass(frozen=True)
class Exported:
    """A file that `derain export` wrote.

    Attributes:
        path: The file.
        card: What it says of itself.
    """

    path: Path
    card: Card

    @classmethod
    def read(cls, path: Path) -> "Exported":
        """Open a file and read its card.

        Raises:
            FileNotFoundError: If there is none.
            WeightsError: If it is none that derain wrote.
            ImportError: If what reads it is not installed.
        """
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such exported file")
        try:
            header = (
                _onnx_header(path) if path.suffix.lower() == ".onnx" else _openvino_header(path)
            )
        except ImportError:
            raise
        except Exception as error:  # each runtime has errors of its own
            raise WeightsError(
                f"{path}: expected what derain export writes, but it is damaged or something else"
            ) from error
        if header is None:
            raise WeightsError(
                f"{path}: derain did not write it, so sizes and ranges it takes are unknown;"
                " expected derain export's"
            )
        try:
            exported = cls(path, Card.from_json(header))
        except ValueError as error:
            raise WeightsError(f"{path}: its header cannot be read: {error}") from None
        if exported.card.network not in NETWORKS:
            raise WeightsError(
                f"{path}: holds a {exported.card.network!r} network; this version knows"
                f" {', '.join(NETWORKS)}"
            )
        try:
            _ = exported.network
        except (TypeError, ValueError) as error:
            raise WeightsError(
                f"{path}: its header is not that of the {exported.card.network} it says it holds"
                f" ({error})"
            ) from None
        return exported

    @functools.cached_property
    def network(self) -> Network:
        """The network with random weights: what a tile does to it, and what it costs."""
        return NETWORKS[self.card.network](**self.card.hyperparameters).eval()

    @property
    def tiling(self) -> Tiling:
        """What cutting a picture does to the network."""
        return self.network.tiling


def _onnx_header(path: Path) -> str | None:
    runtime: Any = require("onnxruntime", "onnx")
    return session(runtime, str(path)).get_modelmeta().custom_metadata_map.get(HEADER)


def _openvino_header(path: Path) -> str | None:
    openvino: Any = require("openvino", "openvino")
    model = openvino.Core().read_model(path)
    return model.get_rt_info([HEADER]).astype(str) if model.has_rt_info([HEADER]) else None


def session(runtime: Any, model: str | bytes) -> Any:
    """Open a file or its content in ONNX Runtime, with as many threads as PyTorch."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # fatal; errors are raised too
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def openvino_request(model: Path | bytes, dtype: torch.dtype = torch.float32) -> Any:
    """Open a file or ONNX in OpenVINO, with as many threads as PyTorch, in a number format."""
    openvino: Any = require("openvino", "openvino")
    settings = {
        "INFERENCE_PRECISION_HINT": {torch.float32: "f32", torch.bfloat16: "bf16"}[dtype],
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    core = openvino.Core()
    return core.compile_model(core.read_model(model), "CPU", settings).create_infer_request()


def check_parity(network: Network, path: Path) -> float:
    """Return how far an exported file is from the network it was made of, on a scale of 1.

    This is the mean over all values, on pictures of several sizes. It is not the largest difference
    because, where two of the values that NLEDN pools agree to rounding, either may be taken, and
    one pixel moves.

    Raises:
        ValueError: If it is too far: the network does something that cannot be exported.
    """
    engine = {"onnx": OnnxEngine, "openvino": OpenvinoEngine}[SUFFIXES[path.suffix]](
        Exported.read(path)
    )
    dice = torch.Generator().manual_seed(0)
    worst = 0.0
    for height, width in PARITY_SIZES:
        rainy = torch.rand(1, 3, height, width, generator=dice)
        with torch.inference_mode():
            worst = max(worst, float((engine(rainy) - network(rainy)).abs().mean()))
    if worst > TOLERANCE:
        raise ValueError(
            f"{path}: is {worst:.1e} of 1 from the network in PyTorch; expected at most"
            f" {TOLERANCE:.0e}"
        )
    return worst


class ExportedEngine(ABC):
    """Pad what the graph does not take, and refuse what is no number.

    Args:
        network: A network, exported first, or an exported file.
        dtype: ``auto`` is float32.
    """

    device = torch.device("cpu")
    runtime: str
    dtypes: tuple[str, ...] = ("float32",)

    def __init__(self, network: Network | Exported, dtype: str = "auto") -> None:
        if dtype not in ("auto", *self.dtypes):
            raise UsageError(
                f"{self.runtime} takes auto or one of: {', '.join(self.dtypes)}",
                option="dtype",
                value=dtype,
            )
        self.dtype: torch.dtype = getattr(torch, "float32" if dtype == "auto" else dtype)
        self.network = network.network if isinstance(network, Exported) else network
        self._multiple, self._least = self.network.tiling.multiple, least_side(self.network)
        model = (
            network.path
            if isinstance(network, Exported)
            else to_onnx(network, Card("", type(network).__name__))
        )
        self._open(model)

    @abstractmethod
    def _open(self, model: Path | bytes) -> None: ...

    @abstractmethod
    def _run(self, rainy: NDArray[np.float32]) -> NDArray[np.float32]: ...

    @property
    def name(self) -> str:
        """Engine, number format, device."""
        return f"{self.runtime}, {str(self.dtype).removeprefix('torch.')}, cpu"

    def __call__(self, rainy: Tensor) -> Tensor:
        """Return clean pictures: rainy (N, 3, H, W) float32 on the CPU -> the same shape.

        Raises:
            FloatingPointError: If what comes out is no number.
        """
        height, width = rainy.shape[2:]
        padded = F.pad(
            rainy, (0, self._short_of(width), 0, self._short_of(height)), mode="replicate"
        )
        clean = torch.from_numpy(self._run(padded.contiguous().numpy()))[..., :height, :width]
        if not bool(torch.isfinite(clean).all()):
            raise FloatingPointError(
                "the network gave values that are no numbers; its weights are damaged, or were"
                " never trained"
            )
        return clean

    def _short_of(self, side: int) -> int:
        """Return how many pixels a side lacks for the graph to take it."""
        return max(self._least - side, -side % self._multiple)

    def tiles_at_once(self, memory: int) -> int:  # noqa: ARG002 (as other engines)
        """One: it keeps a processor busy."""
        return 1

    @property
    def senses_density(self) -> bool:
        """Never: what is exported derains."""
        return False

    def density(self, rainy: Tensor) -> Tensor:  # noqa: ARG002 (as other engines)
        """Not in what is exported."""
        raise UsageError(
            "cannot tell how dense rain is; expected torch", option="engine", value=self.runtime
        )


class OnnxEngine(ExportedEngine):
    """ONNX Runtime on a processor, in float32; in int8 what was quantized."""

    runtime = "onnx"

    def _open(self, model: Path | bytes) -> None:
        if isinstance(model, Path) and model.suffix.lower() != ".onnx":
            raise UsageError(
                f"cannot read {model}; expected a .onnx file, or openvino",
                option="engine",
                value="onnx",
            )
        self._session = session(
            require("onnxruntime", "onnx"), model if isinstance(model, bytes) else os.fspath(model)
        )

    def _run(self, rainy: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            return self._session.run(None, {"rainy": rainy})[0]
        # ONNX Runtime has classes of its own, one of which says that memory ran out.
        except Exception as error:
            raise RuntimeError(f"ONNX Runtime: {error}") from error


class OpenvinoEngine(ExportedEngine):
    """OpenVINO on a processor.

    Its precision is always set, because its default is bfloat16 where the processor has that.
    """

    runtime = "openvino"
    dtypes = ("float32", "bfloat16")

    def _open(self, model: Path | bytes) -> None:
        self._request = openvino_request(model, self.dtype)

    def _run(self, rainy: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._request.infer({"rainy": rainy})["clean"].copy()
