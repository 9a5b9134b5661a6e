"""Exported files and shipped graphs, and the runtimes that execute them."""

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from derain import machine
from derain.engines.engine import NO_NUMBERS, MemoryWatch, Product
from derain.engines.probing import (
    End,
    check_ends,
    check_numbers,
    check_openvino,
    check_result,
    failed,
    onnx_ends,
    openvino_ends,
    probe_onnx,
    probe_picture,
)
from derain.errors import UsageError, is_out_of_memory
from derain.extras import is_installed, require
from derain.machine import PeakMemory
from derain.tiles import Float32s
from derain.weights.card import Card
from derain.weights.facts import Facts
from derain.weights.graphs import (
    FACTS,
    SUFFIXES,
    Runtime,
    damaged,
    header_of,
    read_graph_header,
)
from derain.weights.header import HEADER, WeightsError

SIZES_KEPT = 64
"""Sizes of pictures for which OpenVINO keeps what it has made; memory grows with them."""

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
"""ONNX Runtime's execution providers, by the device that derain calls them."""


Infer = Callable[[Float32s], Float32s]
"""Function that computes a model, (N, 3, H, W) -> (N, 3, H, W) in [0, 1]."""


@dataclass(frozen=True)
class Exported:
    """A graph that `derain export` wrote, or one that is shipped.

    Attributes:
        model: Its file, or what would be in it.
        card: What it says of itself.
        facts: What is known of its network.
        trusted: Whether it is known to be derain's own, and need not be tried.
    """

    model: Path | bytes
    card: Card
    facts: Facts
    trusted: bool = False

    @classmethod
    def read(cls, path: Path) -> "Exported":
        """Read a file's card and facts.

        Raises:
            FileNotFoundError: If it does not exist.
            WeightsError: If derain did not write it, or weights lie outside its folder.
            MissingExtraError: If what reads it is not installed.
        """
        if path.suffix.lower() == ".onnx":
            return cls(path, *read_graph_header(path))
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such exported file")
        check_openvino(path)
        openvino: Any = require("openvino", f"reading {path}")
        try:
            model = openvino.Core().read_model(os.path.realpath(path))
            card, facts = (
                model.get_rt_info([key]).astype(str) if model.has_rt_info([key]) else None
                for key in (HEADER, FACTS)
            )
        except Exception as error:  # OpenVINO has no class for it
            if is_out_of_memory(error):
                raise
            raise damaged(path) from error
        return cls(path, *header_of(card, facts, path))

    @property
    def suits(self) -> tuple[Runtime, ...]:
        """The runtimes that read it; OpenVINO reads ONNX, too."""
        xml = isinstance(self.model, Path) and SUFFIXES[self.model.suffix.lower()] == "openvino"
        return ("openvino",) if xml else ("onnx", "openvino")


class Unwatched:
    """A watch on memory that nobody can say anything about."""

    def read(self) -> int | None:
        """Return None."""
        return None


class ExportedEngine(ABC):
    """Pad what the graph does not take, and refuse what is no number.

    Args:
        exported: The graph.
        device: ``auto`` is the CPU.
        dtype: ``auto`` is float32.

    Raises:
        ValueError: If device or number format are unknown or not there.
        WeightsError: If the graph is damaged.
        MissingExtraError: If the runtime is not installed.
    """

    runtime: ClassVar[str]
    dtypes: ClassVar[tuple[str, ...]] = ("float32",)

    def __init__(self, exported: Exported, device: str = "auto", dtype: str = "auto") -> None:
        if dtype not in ("auto", *self.dtypes):
            raise UsageError(
                f"{self.runtime} takes auto or one of: {', '.join(self.dtypes)}",
                option="dtype",
                value=dtype,
            )
        if self.runtime not in exported.suits:
            raise UsageError(
                f"cannot read {exported.model}; expected a .onnx file, or openvino",
                option="engine",
                value=self.runtime,
            )
        self.dtype = "float32" if dtype == "auto" else dtype
        self.device = "cpu" if device in ("auto", "cpu:0") else device
        facts = exported.facts
        self.title, self.tiling, self.parameters = facts.title, facts.tiling, facts.parameters
        self._facts, self._model, self._trusted = facts, exported.model, exported.trusted
        self._open_or_refuse(exported.model)

    def _open_or_refuse(self, model: Path | bytes) -> None:
        if not self._trusted and isinstance(model, Path) and model.suffix.lower() == ".onnx":
            probe_onnx(model, self._facts)
        try:
            self._open(model)
        except (ImportError, UsageError, WeightsError, MemoryError):
            raise
        except Exception as error:  # each runtime has classes of its own
            if is_out_of_memory(error) or not isinstance(model, Path):
                raise
            raise damaged(model) from error
        check_ends(model, *self._ends())

    @abstractmethod
    def _open(self, model: Path | bytes) -> None: ...

    @abstractmethod
    def _ends(self) -> tuple[list[End], list[End]]:
        """Return what goes in and what comes out, as the graph declares them."""

    @abstractmethod
    def _run(self, rainy: Float32s) -> Float32s: ...

    def _checked(self, rainy: Float32s) -> Float32s:
        """Return what the graph makes of pictures, if that is pictures.

        Raises:
            WeightsError: If it fails, or makes something else.
            MemoryError, RuntimeError: If memory runs out.
        """
        try:
            clean = self._run(rainy)
        except Exception as error:  # each runtime has classes of its own
            if is_out_of_memory(error):
                raise
            raise failed(self._model_name, rainy, error) from error
        check_result(self._model_name, clean, rainy)
        return clean

    @property
    def _model_name(self) -> object:
        return self._model if isinstance(self._model, Path) else self.title

    @property
    def name(self) -> str:
        """Engine, number format, device."""
        return f"{self.runtime}, {self.dtype}, {self.device}"

    def __call__(self, rainy: Float32s) -> Float32s:
        """Return clean pictures: rainy (N, 3, H, W) -> the same shape.

        Raises:
            FloatingPointError: If what comes out is no number.
            WeightsError: If the graph fails, or what comes out is of another shape.
        """
        height, width = rainy.shape[2:]
        below, right = self._short_of(height), self._short_of(width)
        padded = (
            np.pad(rainy, ((0, 0), (0, 0), (0, below), (0, right)), mode="edge")
            if below or right
            else rainy
        )
        clean = self._checked(np.ascontiguousarray(padded))[..., :height, :width]
        if not np.isfinite(clean).all():
            raise FloatingPointError(NO_NUMBERS)
        return clean

    def _short_of(self, side: int) -> int:
        """Return how many pixels a side lacks for the graph to take it."""
        needed = max(self._facts.least_side, side)
        return needed + -needed % self.tiling.multiple - side

    def count(self, height: int, width: int) -> int | None:
        """Return the multiply-adds of one whole picture; None where they are not known."""
        return self._facts.count(height, width)

    def free_memory(self) -> int | None:
        """Return how many bytes may still be asked for; None on other devices than the CPU."""
        return machine.free_memory() if self.device == "cpu" else None

    def watch_memory(self) -> MemoryWatch:
        """Return a watch on the process's memory; None is known of other devices than the CPU."""
        return PeakMemory() if self.device == "cpu" else Unwatched()

    def product(self, side: int) -> Product | None:
        """Return NumPy's matrix product in float32, on the CPU."""
        if self.device != "cpu" or self.dtype != "float32":
            return None
        dice = np.random.default_rng(0)
        left, right = (dice.standard_normal((side, side), np.float32) for _ in range(2))
        return lambda: left @ right

    def tiles_at_once(self, memory: int) -> int:  # noqa: ARG002 (as other engines)
        """One: it keeps a processor busy."""
        return 1

    @property
    def senses_density(self) -> bool:
        """Never: what is exported derains."""
        return False

    def density(self, rainy: Float32s) -> Float32s:  # noqa: ARG002 (as other engines)
        """Not in what is exported."""
        raise UsageError(
            "cannot measure rain density; expected torch", option="engine", value=self.runtime
        )


class OnnxEngine(ExportedEngine):
    """ONNX Runtime, in float32; in int8 what was quantized."""

    runtime = "onnx"

    def _open(self, model: Path | bytes) -> None:
        self._session = session(model, self.device)

    def _ends(self) -> tuple[list[End], list[End]]:
        return onnx_ends(self._session)

    def _run(self, rainy: Float32s) -> Float32s:
        try:
            return self._session.run(None, {"rainy": rainy})[0]
        except MemoryError:
            raise
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
        if self.device != "cpu":
            raise UsageError(
                "openvino runs on the CPU; expected auto or cpu",
                option="device",
                value=self.device,
            )
        self._request = openvino_request(model, self.dtype)
        # One request serves one call, and its result is its own memory: calls take turns.
        self._turn = threading.Lock()
        if not self._trusted:
            check_ends(model, *self._ends())
            rainy = probe_picture(self._facts)
            check_numbers(model, self._checked(rainy))

    def _ends(self) -> tuple[list[End], list[End]]:
        return openvino_ends(self._request.get_compiled_model())

    def _run(self, rainy: Float32s) -> Float32s:
        with self._turn:
            return self._request.infer({"rainy": rainy})["clean"].copy()


KINDS: dict[Runtime, type[ExportedEngine]] = {"onnx": OnnxEngine, "openvino": OpenvinoEngine}
"""The engines, by runtime."""


def open_exported(
    exported: Exported, engine: str = "auto", device: str = "auto", dtype: str = "auto"
) -> ExportedEngine:
    """Return an engine for a graph; ``auto`` is the runtime that its file is for.

    Raises:
        ValueError: As `ExportedEngine`, or if the engine is not one for graphs.
        WeightsError: If the graph is damaged.
        MissingExtraError: If the runtime is not installed.
    """
    chosen = exported.suits[0] if engine == "auto" else engine
    if chosen not in KINDS:
        raise UsageError(
            f"{exported.model} is an exported file; expected weights, or another engine",
            option="engine",
            value=engine,
        )
    return KINDS[chosen](exported, device, dtype)


def is_exported(path: Path) -> bool:
    """Return whether `derain export` writes files of this name."""
    return path.suffix.lower() in SUFFIXES


def session(model: Path | bytes, device: str = "cpu") -> Any:
    """Open a graph in ONNX Runtime on a device.

    Raises:
        UsageError: If there is no such device, or this ONNX Runtime was built without it.
    """
    runtime: Any = require("onnxruntime", "executing a graph")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = machine.compute_threads() or 0
    options.log_severity_level = 4  # fatal; errors are raised too
    # Threads that spin while they wait take cores from other programs, and bring nothing alone.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Planning memory for every size of tile takes more of it than it saves.
    options.enable_mem_pattern = False
    provider = _provider(device, runtime.get_available_providers())
    content = os.path.realpath(model) if isinstance(model, Path) else model
    unused = UsageError(
        "ONNX Runtime could not use it; its libraries may be missing", option="device", value=device
    )

    def opened(provider: tuple[str, dict[str, str]]) -> Any:
        # With a fallback it would write to standard output, and change to the CPU in silence.
        return runtime.InferenceSession(content, options, providers=[provider], enable_fallback=0)

    try:
        made = opened(provider)
    except MemoryError:
        raise
    except Exception as error:  # ONNX Runtime has classes of its own
        if device != "cpu" and not is_out_of_memory(error):
            opened((PROVIDERS["cpu"], {}))  # raises what is wrong with the graph, if that is it
            raise unused from error
        raise RuntimeError(f"ONNX Runtime: {error}") from error
    # Some versions leave a provider out whose libraries are missing, without an error.
    if made.get_providers()[0] != provider[0]:
        raise unused
    return made


def _provider(device: str, available: list[str]) -> tuple[str, dict[str, str]]:
    """Return the execution provider of a device and its options.

    Raises:
        UsageError: If the name is unknown, or this build lacks it.
    """
    kind, colon, number = device.partition(":")
    there = [name for name, provider in PROVIDERS.items() if provider in available]
    numbered = kind in ("cuda", "directml")
    if kind not in there or (colon and not (numbered and number.isdecimal())):
        expected = f"expected auto or one of: {', '.join(there)}"
        if kind == "cuda" and not is_installed("torch"):
            expected += ', or PyTorch for it: pip install "derain[torch]"'
        raise UsageError(
            f"not available in this ONNX Runtime; {expected}",
            option="device",
            value=device,
        )
    return PROVIDERS[kind], {"device_id": number} if number else {}


def openvino_request(model: Path | bytes, dtype: str = "float32") -> Any:
    """Open a file or ONNX in OpenVINO, in a number format."""
    openvino: Any = require("openvino", "the engine openvino")
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[dtype],
        "PERFORMANCE_HINT": "LATENCY",
        # By default it keeps what it has made for thousands of sizes.
        "CPU_RUNTIME_CACHE_CAPACITY": SIZES_KEPT,
    }
    if threads := machine.compute_threads():
        settings["INFERENCE_NUM_THREADS"] = threads
    core = openvino.Core()
    read = core.read_model(os.path.realpath(model) if isinstance(model, Path) else model)
    return core.compile_model(read, "CPU", settings).create_infer_request()


def onnx_run(model: Path | bytes) -> Infer:
    """Return a function that computes an ONNX model in ONNX Runtime."""
    opened = session(model)
    return lambda rainy: opened.run(None, {"rainy": rainy})[0]


def openvino_run(model: Path | bytes) -> Infer:
    """Return a function that computes an ONNX model in OpenVINO."""
    request = openvino_request(model)
    return lambda rainy: request.infer({"rainy": rainy})["clean"].copy()
