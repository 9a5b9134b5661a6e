"""Graphs that nobody vouches for: tried on a small picture, with little memory, when opened.

A graph may be sound as a file and still be none that derains: its result may have another shape, or
a few bytes of it may ask for gigabytes. What derain ships is known by its digest and is not tried.
"""

import contextlib
import os
import re
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from derain.engines.engine import NO_NUMBERS
from derain.extras import require
from derain.machine import python_command
from derain.tiles import Float32s
from derain.weights.facts import Facts
from derain.weights.graphs import check_size, damaged
from derain.weights.header import WeightsError

MEMORY = 256 << 20
"""Bytes that a probe may take; the largest network here takes a tenth."""

SECONDS = 10.0
"""Time that a probe may take; the largest network here takes a tenth of a second."""

EXPECTED = "expected float32 (n, 3, h, w) from and to it, as derain export writes it"

_hearing = threading.Lock()


@dataclass(frozen=True)
class End:
    """An input or output of a graph, as the graph declares it.

    Attributes:
        name: Its name.
        kind: Number format: ``float32``.
        shape: Sizes, None for those that are free; None if even their number is.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        sizes = "?" if self.shape is None else ", ".join(str(size or "free") for size in self.shape)
        return f"{self.kind} ({sizes})"


def check_ends(model: object, inputs: Sequence[End], outputs: Sequence[End]) -> None:
    """Raise WeightsError unless a graph maps pictures of any size to pictures.

    Args:
        model: For the error.
        inputs: What goes in.
        outputs: What comes out.
    """
    names = [[end.name for end in ends] for ends in (inputs, outputs)]
    if names != [["rainy"], ["clean"]]:
        raise WeightsError(
            f"{model}: maps {' and '.join(names[0])} to {' and '.join(names[1])};"
            " expected rainy to clean, as derain export writes it"
        )
    rainy, clean = inputs[0], outputs[0]
    if rainy.kind != "float32" or rainy.shape not in ((None, 3, None, None), (None,) * 4):
        raise WeightsError(f"{model}: takes {rainy}; {EXPECTED}")
    if clean.kind != "float32" or (
        clean.shape and (len(clean.shape) != 4 or clean.shape[1] not in (None, 3))
    ):
        raise WeightsError(f"{model}: makes {clean}; {EXPECTED}")


def probe_picture(facts: Facts) -> Float32s:
    """Return a picture to try a graph on, (1, 3, H, W) in [0, 1], as small as it takes."""
    multiple = facts.tiling.multiple
    side = facts.least_side + -facts.least_side % multiple
    # Not square, so that a graph that confuses height and width is found.
    shape = (1, 3, side, side + multiple)
    return np.random.default_rng(0).random(shape, np.float32)


def check_result(model: object, clean: Any, rainy: Float32s) -> None:
    """Raise WeightsError unless a result has the shape and the type of the picture."""
    if not isinstance(clean, np.ndarray) or (clean.shape, clean.dtype) != (  # pyright: ignore[reportUnknownMemberType]
        rainy.shape,
        rainy.dtype,
    ):
        found = f"{getattr(clean, 'dtype', type(clean).__name__)} {getattr(clean, 'shape', '')}"
        raise WeightsError(
            f"{model}: makes {found.strip()} of float32 {rainy.shape}; expected the same; export it"
            " again"
        )


def check_numbers(model: object, clean: Float32s) -> None:
    """Raise WeightsError unless the result of a probe is numbers."""
    if not np.isfinite(clean).all():
        raise WeightsError(f"{model}: {NO_NUMBERS}")


def failed(model: object, rainy: Float32s, error: BaseException) -> WeightsError:
    """Return the error for a graph that fails on a picture."""
    height, width = rainy.shape[2:]
    text = " ".join(str(error).split())
    operation = re.search(r"while running (\w+) node", text)
    if "smaller than requested bytes" in text:
        reason = f"it takes more than {MEMORY >> 20} MiB"
    elif "terminate flag" in text:
        reason = f"it takes longer than {SECONDS:.0f} s"
    else:
        # What ONNX Runtime says begins with where in its own source it says so.
        reason = re.sub(r"^.*Status Message: (/\S+ )?", "", text)[:150]
    if operation:
        reason = f"{operation.group(1)}: {reason}"
    return WeightsError(
        f"{model}: fails on a picture of {width}x{height} ({reason}); expected what derain export"
        " writes"
    )


def probe_onnx(path: Path, facts: Facts) -> None:
    """Try a graph in ONNX Runtime as it stands, in bounded memory and time.

    Without optimisation nothing is computed before there is a picture.

    Raises:
        WeightsError: If it is damaged, fails, takes too much, or makes no picture.
        MissingExtraError: Without ONNX Runtime.
    """
    runtime: Any = require("onnxruntime", "executing a graph")
    rainy = probe_picture(facts)
    with unheard():
        try:
            session = _bounded_session(runtime, path)
        except Exception as error:  # ONNX Runtime has classes of its own
            raise damaged(path) from error
        check_ends(path, *onnx_ends(session))
        settings = runtime.RunOptions()
        settings.log_severity_level = 4
        stop = threading.Timer(SECONDS, setattr, (settings, "terminate", True))
        stop.start()
        try:
            clean = session.run(None, {"rainy": rainy}, settings)[0]
        except Exception as error:
            raise failed(path, rainy, error) from error
        finally:
            stop.cancel()
    check_result(path, clean, rainy)
    check_numbers(path, clean)


def _bounded_session(runtime: Any, path: Path) -> Any:
    info = runtime.OrtMemoryInfo(
        "Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT
    )
    limits = runtime.OrtArenaCfg({"max_mem": MEMORY, "arena_extend_strategy": 1})
    runtime.create_and_register_allocator(info, limits)
    options = runtime.SessionOptions()
    # Only sessions that ask for it take the allocator with limits.
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.enable_mem_pattern = False
    options.log_severity_level = 4  # fatal; errors are raised too
    return runtime.InferenceSession(
        os.path.realpath(path), options, providers=["CPUExecutionProvider"], enable_fallback=0
    )


def onnx_ends(session: Any) -> tuple[list[End], list[End]]:
    """Return what goes into a session of ONNX Runtime, and what comes out."""
    inputs, outputs = (
        [End(one.name, _kind(one.type), _sizes(one.shape)) for one in side]
        for side in (session.get_inputs(), session.get_outputs())
    )
    return inputs, outputs


def _kind(declared: str) -> str:
    return "float32" if declared == "tensor(float)" else declared


def _sizes(shape: Sequence[Any] | None) -> tuple[int | None, ...] | None:
    """Return sizes that a graph declares: names, and numbers below zero, stand for free ones."""
    if shape is None:
        return None
    return tuple(size if isinstance(size, int) and size >= 0 else None for size in shape)


def openvino_ends(model: Any) -> tuple[list[End], list[End]]:
    """Return what goes into a model of OpenVINO, and what comes out."""

    def end(one: Any) -> End:
        sizes = one.get_partial_shape()
        shape = (
            None
            if sizes.rank.is_dynamic
            else tuple(None if size.is_dynamic else size.get_length() for size in sizes)
        )
        kind = one.get_element_type().get_type_name()
        name = one.get_any_name() if one.get_names() else "?"
        return End(name, "float32" if kind == "f32" else kind, shape)

    return [end(one) for one in model.inputs], [end(one) for one in model.outputs]


MEASURING = """
import math, sys
import openvino
path, side, memory, seconds = sys.argv[1], *map(int, sys.argv[2:])
try:
    import resource
    resource.setrlimit(resource.RLIMIT_DATA, (4 * memory, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
except (ImportError, OSError, ValueError, AttributeError):
    pass  # where a process cannot be limited, the sizes below have to do
model = openvino.Core().read_model(path)
if len(model.inputs) == 1 and model.inputs[0].get_partial_shape().rank == openvino.Dimension(4):
    model.reshape([1, 3, side, side])
outputs = [output for node in model.get_ordered_ops() for output in node.outputs()]
fixed = [output for output in outputs if output.get_partial_shape().is_static]
sizes = [math.prod(output.get_shape()) * output.get_element_type().size for output in fixed]
sys.exit(0 if max(sizes, default=0) <= memory else 3)
"""
"""Reads a file of OpenVINO's, whose shapes may depend on what it computes, within limits."""

MEASURED_SIDE = 512
"""Pixels, a multiple of all grids."""

_sound: set[tuple[object, ...]] = set()


def check_openvino(path: Path) -> None:
    """Refuse a file of OpenVINO's that would take too much memory when it is read.

    A process of its own finds out, since OpenVINO computes constants on reading and has no limit.
    It starts while this one imports OpenVINO.

    Raises:
        WeightsError: If it would, it is damaged, or its weights are missing.
        MissingExtraError: Without OpenVINO.
    """
    # Takes longer to load than all else here, and only files of OpenVINO's need it.
    import subprocess

    # OpenVINO looks for weights beside the file that it is given, and so not beside a link.
    real = Path(os.path.realpath(path))
    weights = real.with_suffix(".bin")
    if not weights.is_file() and _is_openvino(real):
        raise WeightsError(
            f"{path}: its weights {weights.name} are not beside it; expected both files that derain"
            " export writes"
        )
    stats = [file.stat() for file in (real, weights) if file.is_file()]
    check_size(path, sum(stat.st_size for stat in stats))
    state = (real, *((stat.st_mtime_ns, stat.st_size) for stat in stats))
    if state in _sound:
        return
    numbers = map(str, (MEASURED_SIDE, MEMORY, int(SECONDS)))
    command = python_command(MEASURING, str(real), *numbers)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as child:
        try:
            require("openvino", f"reading {path}")
            status = child.wait(3 * SECONDS)
        except subprocess.TimeoutExpired:
            status = 3
        finally:
            child.kill()
    if status:
        raise damaged(path)
    _sound.add(state)


def _is_openvino(path: Path) -> bool:
    """Return whether a file begins as OpenVINO's graphs do."""
    with path.open("rb") as file:
        return b"<net " in file.read(1024)


@contextmanager
def unheard() -> Generator[None]:
    """Keep what libraries write to standard error in this context to themselves.

    Their readers print what they find wrong, which the error that follows says in one line.
    """
    import tempfile

    with _hearing, tempfile.TemporaryFile() as sink:
        try:
            kept = os.dup(2)
        except OSError:  # there is no standard error
            yield
            return
        with contextlib.suppress(AttributeError, OSError, ValueError):
            sys.stderr.flush()
        os.dup2(sink.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        # Nothing was wrong, so that what was written is of other threads.
        sink.seek(0)
        with contextlib.suppress(OSError):
            os.write(2, sink.read())
