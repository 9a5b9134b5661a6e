r"""Compare the published networks with a plain form of each: time, memory, share of the ceiling.

    python -m benchmarks.performance.speed
    python -m benchmarks.performance.speed --networks nledn --sizes 1920x1080 \
        --rounds 1 --json speed.json

The plain form (`plain.py`) is what a programmer writes down from the paper: whole pictures,
ordinary layout, float32, memory as the system gives it. Both kinds get processes of their own, in
turns, and in each the network and a large matrix product take turns. `derain bench` measures other
engines and sizes, and Petrichor, which has no plain form.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.performance.plain import plain_form
from benchmarks.tables import table_head, table_row
from derain.bench import Case, Ceiling, in_turns, picture, time_cases
from derain.bench.ceiling import CEILING_SIDE
from derain.engines.pytorch import has_bfloat16
from derain.machine import PeakMemory
from derain.weights import loading

CPU = torch.device("cpu")

MODULE = "benchmarks.performance.speed"
"""The name under which this script starts itself again."""


def main() -> None:
    """Run the processes and print a table, or be one of the processes."""
    parser = new_parser(__doc__)
    parser.add_argument(
        "--networks", nargs="+", default=["nledn", "dpenet", "remaen", "crdnet"], metavar="MODEL"
    )
    parser.add_argument("--sizes", nargs="+", default=["512x512"], metavar="WIDTHxHEIGHT")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each kind")
    parser.add_argument(
        "--pictures", type=int, default=2, help="timed in each, after one that is not"
    )
    parser.add_argument("--json", type=Path, help="also write what was found here")
    parser.add_argument("--plain", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.plain:
        model, width, height = arguments.plain
        print(json.dumps(measure_plain(model, int(width), int(height), arguments.pictures)))
        return
    dtypes = ["float32", *(["bfloat16"] if has_bfloat16(CPU) else [])]
    columns = [
        name
        for dtype in dtypes
        for name in (f"{dtype}, s", "times as fast", "of matrix products", "MB")
    ]
    print(table_head("network", "size", "plain, s", "plain, MB", *columns))
    found: list[dict[str, Any]] = []
    for model in arguments.networks:
        for size in arguments.sizes:
            rows = compare(model, size, dtypes, arguments.rounds, arguments.pictures)
            found += rows
            print(line(model, size, rows), flush=True)
    print(
        f"\nMedian of {arguments.rounds} processes of {arguments.pictures} pictures each, in turns;"
        " peak memory of the process."
    )
    print(
        "Measured on"
        f" {describe_machine()}{'' if len(dtypes) > 1 else ', which has no bfloat16 instructions'}."
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


def compare(
    model: str, size: str, dtypes: list[str], rounds: int, pictures: int
) -> list[dict[str, Any]]:
    """Return a row for the plain form, then a row for each number format of derain's.

    A row holds seconds, peak memory in bytes, and the share of the ceiling but for the plain form.
    """
    width, height = (int(side) for side in size.split("x"))
    cases = [Case(model, "torch", dtype, "cpu", width, height) for dtype in dtypes]
    plain: list[dict[str, Any]] = []
    ours: list[list[Any]] = []
    for _ in range(rounds):
        plain.append(in_own_process(model, size, pictures))
        ours.append(time_cases(cases, rounds=1, pictures=pictures))
    rows = [
        {
            "kind": "plain",
            "seconds": median_of(row["seconds"] for row in plain),
            "memory": max(r["peak_memory"] for r in plain),
        }
    ]
    for dtype, timings in zip(dtypes, zip(*ours, strict=True), strict=True):
        row = {"kind": dtype, "seconds": statistics.median(timing.seconds for timing in timings)}
        row |= {
            "memory": max(timing.peak_memory or 0 for timing in timings),
            "share": median_of([[t.share] for t in timings]),
        }
        rows.append(row)
    return [{"model": model, "size": size} | row for row in rows]


def median_of(values: Any) -> float:
    """Return the median of all numbers of several lists."""
    return statistics.median(value for row in values for value in row)


def line(model: str, size: str, rows: list[dict[str, Any]]) -> str:
    """Return a line of the table."""
    plain, *ours = rows
    cells = [f"{plain['seconds']:.2f}", f"{plain['memory'] / 1e6:.0f}"]
    for row in ours:
        cells.append(f"{row['seconds']:.2f}")
        cells.append(f"{plain['seconds'] / row['seconds']:.2f}")
        cells.append(f"{row['share']:.0%}")
        cells.append(f"{row['memory'] / 1e6:.0f}")
    return table_row(f"`{model}`", size, *cells)


def in_own_process(model: str, size: str, pictures: int) -> dict[str, Any]:
    """Measure the plain form in a process of its own."""
    width, height = size.split("x")
    command = [
        sys.executable,
        "-m",
        MODULE,
        "--pictures",
        str(pictures),
        "--plain",
        model,
        width,
        height,
    ]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure_plain(model: str, width: int, height: int, pictures: int) -> dict[str, Any]:
    """Measure the plain form in this process."""
    network: nn.Module = plain_form(loading.find(model)[0])  # pyright: ignore[reportArgumentType]
    left, right = torch.randn(2, CEILING_SIDE, CEILING_SIDE)
    rainy = torch.from_numpy(picture(width, height)).permute(2, 0, 1)[None].contiguous()
    peak = PeakMemory()
    with torch.inference_mode():
        clean: Tensor = network(rainy)
        held = peak.read()
        found = in_turns(
            lambda: network(rainy), Ceiling(lambda: left @ right, CEILING_SIDE), pictures
        )
    assert clean.shape == rainy.shape
    return found | {"peak_memory": held}


if __name__ == "__main__":
    main()
