r"""Compare the graphs of Petrichor: as written for PyTorch, in the faster form, and PyTorch.

    python -m benchmarks.performance.graph_form
    python -m benchmarks.performance.graph_form petrichor-live --sizes 512x512 --openvino

All of a model take turns in one process, in float32. *Opening* is what ONNX Runtime takes to open
the graph, weights included. Peak memory is that of a process that only executes the graph, on a
square picture of the largest tile.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from derain.bench import picture
from derain.engines.exported import Infer, onnx_run, openvino_run, session
from derain.machine import PeakMemory
from derain.tiles import Float32s

MODULE = "benchmarks.performance.graph_form"
"""The name under which this script starts itself again."""


def main() -> None:
    """Measure and print a table, or measure the memory of one graph."""
    parser = new_parser(__doc__)
    parser.add_argument(
        "models", nargs="*", default=["petrichor-live", "petrichor", "petrichor-deep"]
    )
    parser.add_argument(
        "--sizes", nargs="+", default=["512x512", "1920x1080"], metavar="WIDTHxHEIGHT"
    )
    parser.add_argument("--rounds", type=int, default=7, help="after one that is not counted")
    parser.add_argument("--openvino", action="store_true", help="also both graphs in OpenVINO")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        path, side = arguments.memory
        print(json.dumps(peak_memory(Path(path), int(side))))
        return
    columns = ("model", "what", "opening, ms", "peak, MB")
    times = [name for size in arguments.sizes for name in (f"{size}, s", "times as fast")]
    print(table_head(*columns, *times))
    for model in arguments.models:
        with TemporaryDirectory() as folder:
            rows = measure(model, Path(folder), arguments)
        for row in rows:
            print(row, flush=True)
    print(
        f"\nMedians of {arguments.rounds} rounds, in turns in one process; 'times as fast' as the"
        " plain graph in ONNX Runtime. The process keeps freed memory, as PyTorch's engine asks."
    )
    print(f"Measured on {describe_machine()}.")


def measure(model: str, folder: Path, arguments: argparse.Namespace) -> list[str]:
    """Return the rows of a model's table."""
    from derain.engines.pytorch import TorchEngine
    from derain.weights.loading import find

    network, _ = find(model)
    graphs = {"plain graph": folder / "plain.onnx", "faster graph": folder / f"{model}.onnx"}
    write_graphs(model, graphs)
    runs: dict[str, Infer] = {name: onnx_run(path) for name, path in graphs.items()}
    if arguments.openvino:
        runs |= {f"{name}, OpenVINO": openvino_run(path) for name, path in graphs.items()}
    runs["PyTorch"] = TorchEngine(network, "cpu")
    cells: dict[str, list[object]] = {name: [f"`{model}`", name] for name in runs}
    for name in runs:
        held = (
            (f"{opening(graphs[name]):.0f}", f"{in_own_process(graphs[name], model):.0f}")
            if name in graphs
            else ("", "")
        )
        cells[name] += held
    for size in arguments.sizes:
        width, height = (int(side) for side in size.split("x"))
        seconds = in_turns(runs, width, height, arguments.rounds)
        for name, taken in seconds.items():
            cells[name] += [f"{taken:.3f}", f"{seconds['plain graph'] / taken:.2f}"]
    return [table_row(*row) for row in cells.values()]


def write_graphs(model: str, graphs: Mapping[str, Path]) -> None:
    """Write the plain graph of a shipped model, and the faster one beside its weights."""
    import torch

    from derain.engines.export import to_onnx
    from derain.engines.shipped import write_graph
    from derain.weights.loading import find
    from derain.weights.store import save

    network, card = find(model)
    graphs["plain graph"].write_bytes(to_onnx(network, card, plain=True))
    faster = graphs["faster graph"]
    stored = faster.with_suffix(".safetensors")
    save(network, card, stored, torch.float16)
    write_graph(network, card, stored, faster)


def opening(path: Path, repeats: int = 5) -> float:
    """Return the median time that ONNX Runtime takes to open a graph, in milliseconds."""
    taken: list[float] = []
    for _ in range(repeats):
        began = time.perf_counter()
        session(path)
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


def in_turns(runs: Mapping[str, Infer], width: int, height: int, rounds: int) -> dict[str, float]:
    """Return the median seconds of each, on a picture padded to multiples of 8."""
    scene = picture(width, height)
    sides = ((0, -height % 8), (0, -width % 8), (0, 0))
    rainy = np.pad(scene, sides, mode="edge").transpose(2, 0, 1)[None]
    rainy = np.ascontiguousarray(rainy, dtype=np.float32)
    expected: Float32s | None = None
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            clean = run(rainy)
            seconds[name].append(time.perf_counter() - began)
            expected = clean if expected is None else expected
            assert np.abs(clean - expected).mean() < 1e-4, f"{name} computes something else"
    return {name: statistics.median(taken[1:]) for name, taken in seconds.items()}


def in_own_process(path: Path, model: str) -> float:
    """Return the peak memory in MB of a process that executes a graph on the largest tile."""
    from derain.networks import NETWORKS

    side = str(NETWORKS[model]().tiling.tile)
    command = [sys.executable, "-m", MODULE, "--memory", str(path), side]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak_memory(path: Path, side: int) -> float:
    """Execute a graph twice on a square picture; return the peak memory of the process in MB."""
    # What a system says of a child at its end counts what it shared with this script at its start.
    peak = PeakMemory()
    run = onnx_run(path)
    for _ in range(2):
        run(np.zeros((1, 3, side, side), np.float32))
    return (peak.read() or 0) / 1e6


if __name__ == "__main__":
    main()
