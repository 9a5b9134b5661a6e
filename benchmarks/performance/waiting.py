"""Measure how long OpenMP's threads should wait for work: time of a picture, alone and beside work.

    python -m benchmarks.performance.waiting petrichor --spins default 1000 10000 100000

Threads of PyTorch that have nothing to do spin for a while before they sleep. Where another program
needs their core, they keep it from that very thread of PyTorch that has something to do. Processes
with each count of spins take turns, first alone, then beside one that keeps a core busy.
"""

import argparse
import importlib
import os
import statistics
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from derain.bench.ceiling import seconds_of
from derain.restore import load

MODULE = "benchmarks.performance.waiting"
"""The name under which this script starts itself again."""

VARIABLE = "GOMP_SPINCOUNT"


def main() -> None:
    """Run the processes and print a table, or be one of the processes."""
    parser = new_parser(__doc__)
    parser.add_argument("model")
    parser.add_argument("--size", nargs=2, type=int, default=(1920, 1080), metavar=("W", "H"))
    parser.add_argument("--spins", nargs="+", default=["default", "1000", "10000", "100000"])
    parser.add_argument("--repeats", type=int, default=3, help="processes of each kind")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size = (arguments.size[0], arguments.size[1])
    if arguments.one:
        if VARIABLE not in os.environ:
            importlib.import_module("torch")  # reads its settings before derain has its own
        print(measure(arguments.model, size))
        return
    print(table_head("spins", "alone, s", "beside a busy process, s"))
    found: dict[tuple[str, bool], list[float]] = {}
    for busy in (False, True):
        for _ in range(arguments.repeats):
            for spins in arguments.spins:
                with busy_core(busy=busy):
                    seconds = in_own_process(arguments.model, size, spins)
                found.setdefault((spins, busy), []).append(seconds)
    for spins in arguments.spins:
        times = (statistics.median(found[spins, busy]) for busy in (False, True))
        print(table_row(spins, *(f"{seconds:.2f}" for seconds in times)))
    print(
        f"\n`{arguments.model}` in PyTorch, float32, {size[0]}x{size[1]}; median of three pictures"
        f" after one, and of {arguments.repeats} processes."
        f" Measured on {describe_machine()}."
    )


@contextmanager
def busy_core(*, busy: bool) -> Generator[None]:
    """Keep a core busy in this context."""
    if not busy:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            yield
        finally:
            other.kill()


def in_own_process(model: str, size: tuple[int, int], spins: str) -> float:
    """Measure in a process of its own, since OpenMP reads its settings once."""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    if spins != "default":
        environment[VARIABLE] = spins
    sides = [str(side) for side in size]
    command = [sys.executable, "-m", MODULE, model, "--size", *sides, "--one"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return float(done.stdout)


def measure(model: str, size: tuple[int, int]) -> float:
    """Return the median seconds of three pictures after one."""
    derainer = load(model, engine="torch", device="cpu", dtype="float32")
    picture = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    seconds = [seconds_of(lambda: derainer(picture)) for _ in range(4)]
    return statistics.median(seconds[1:])


if __name__ == "__main__":
    main()
