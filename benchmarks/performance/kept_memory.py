"""Measure what it brings to keep freed memory: time and peak memory of one picture.

    python -m benchmarks.performance.kept_memory petrichor crdnet --size 1920 1080

Processes with and without it take turns.
"""

import argparse
import contextlib
import json
import resource
import statistics
import subprocess
import sys
import unittest.mock

import numpy as np

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from derain import machine
from derain.bench.ceiling import seconds_of
from derain.restore import load

MODULE = "benchmarks.performance.kept_memory"
"""The name under which this script starts itself again."""


def main() -> None:
    """Run the processes and print a table, or be one of the processes."""
    parser = new_parser(__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument(
        "--size", nargs=2, type=int, default=(1920, 1080), metavar=("WIDTH", "HEIGHT")
    )
    parser.add_argument("--repeats", type=int, default=3, help="processes of each kind")
    parser.add_argument("--one", choices=("kept", "given back"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        kept = arguments.one == "kept"
        print(json.dumps(measure(arguments.models[0], arguments.size, kept=kept)))
        return
    columns = ("given back, s", "kept, s", "ratio", "given back, peak MB", "kept, peak MB")
    print(table_head("model", *columns))
    for model in arguments.models:
        found: dict[str, list[dict[str, float]]] = {"given back": [], "kept": []}
        for _ in range(arguments.repeats):
            for kind, rows in found.items():
                rows.append(in_own_process(model, arguments.size, kind))
        before, after = (
            statistics.median(row["seconds"] for row in rows) for rows in found.values()
        )
        peaks = [statistics.median(row["peak"] for row in rows) for rows in found.values()]
        times = f"{before:.2f}", f"{after:.2f}", f"{before / after:.2f}"
        print(table_row(f"`{model}`", *times, *(f"{peak:.0f}" for peak in peaks)))
    width, height = arguments.size
    print(
        f"\n{width}x{height}, default tiles, median of seven pictures after two, and of the"
        " processes."
    )
    print(f"Measured on {describe_machine()}.")


def in_own_process(model: str, size: tuple[int, int], kind: str) -> dict[str, float]:
    """Measure one kind in a process of its own, since glibc's options hold for all of one."""
    sides = [str(side) for side in size]
    command = [sys.executable, "-m", MODULE, model, "--size", *sides, "--one", kind]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(model: str, size: tuple[int, int], *, kept: bool) -> dict[str, float]:
    """Return median seconds of seven pictures after two, and the peak memory in MB."""
    given_back = unittest.mock.patch.object(machine, "keep_freed_memory")
    with contextlib.nullcontext() if kept else given_back:
        derainer = load(model, device="cpu")
    picture = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    seconds = [seconds_of(lambda: derainer(picture)) for _ in range(9)]
    return {
        "seconds": statistics.median(seconds[2:]),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    main()
