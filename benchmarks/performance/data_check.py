"""Count how often `derain data check` opens and decodes each picture file, and time it.

    python -m benchmarks.performance.data_check PAIRS --against CLEAN
    python -m benchmarks.performance.data_check PAIRS --against CLEAN --before OTHER_CHECKOUT

With another checkout, both take turns on the same files, and every second round begins with the
other one. Opening is counted by an audit hook, decoding by calls of Pillow's `Image.open`. Hooks
cannot be removed, so each run is a process of its own; its time includes imports of the verb. The
time of all cores together hardly depends on what else the machine does.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row

RUN = """
import collections, json, os, sys, time

from PIL import Image

report, *arguments = sys.argv[1:]
suffixes = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
opens, decodes = collections.Counter(), 0
decode = Image.open

def audit(event, arguments):
    if event == "open" and str(arguments[0]).lower().endswith(suffixes):
        opens[os.path.realpath(arguments[0])] += 1

def count(*arguments, **options):
    global decodes
    decodes += 1
    return decode(*arguments, **options)

Image.open = count
sys.addaudithook(audit)
sys.argv = ["derain", "data", "check", *arguments]
began = time.perf_counter()
from derain.cli import main
try:
    main()
except SystemExit as end:
    status = end.code
found = {
    "opens": opens,
    "decodes": decodes,
    "seconds": time.perf_counter() - began,
    "core_seconds": time.process_time(),
    "status": status,
}
with open(report, "w") as file:
    json.dump(found, file)
"""
HERE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Run:
    """What one run of the verb did.

    Attributes:
        files: Different picture files that were opened.
        opens: How often all of them were opened.
        most: How often one of them was opened at most.
        decodes: How often a picture was decoded.
        seconds: From the first import to the end.
        core_seconds: Time of all cores together.
        output: What the verb printed.
    """

    files: int
    opens: int
    most: int
    decodes: int
    seconds: float
    core_seconds: float
    output: str


def main() -> None:
    """Print a row for each checkout."""
    parser = new_parser(__doc__)
    parser.add_argument("folder", type=Path, help="a dataset, paired or clean")
    parser.add_argument("--against", type=Path, help="training data")
    parser.add_argument("--before", type=Path, help="another checkout to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    verb = [str(arguments.folder.absolute())]
    verb += ["--against", str(arguments.against.absolute())] if arguments.against else []
    trees = {"before": arguments.before, "now": HERE} if arguments.before else {"now": HERE}
    runs: dict[str, list[Run]] = {name: [] for name in trees}
    for number in range(arguments.rounds):
        for name in list(trees)[:: -1 if number % 2 else 1]:
            runs[name].append(run(trees[name].absolute(), verb))
    if len({each.output for made in runs.values() for each in made}) > 1:
        raise SystemExit("the reports differ between runs")
    print(
        table_head(
            "checkout",
            "files",
            "opens a file, mean",
            "at most",
            "decodes a file, mean",
            "seconds",
            "seconds of all cores",
        )
    )
    for name, made in runs.items():
        print(row_of(name, made))
    print(f"\nMedian and range of {arguments.rounds} runs in turns; all reports are equal.")
    print(f"`derain data check {' '.join(verb)}`. Measured on {describe_machine()}.")


def run(checkout: Path, arguments: Sequence[str]) -> Run:
    """Run the verb of a checkout in a process of its own.

    Raises:
        SystemExit: If it fails; 1 says that the data are unsound, which is no failure.
    """
    with tempfile.NamedTemporaryFile("r") as report:
        process = subprocess.run(
            [sys.executable, "-c", RUN, report.name, *arguments],
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout)},
            capture_output=True,
            text=True,
            check=False,
        )
        text = report.read()
    found: dict[str, Any] = json.loads(text) if text else {"status": process.returncode}
    if not text or found["status"] not in (None, 0, 1):
        raise SystemExit(f"{checkout}: the verb failed: {process.stderr.strip()}")
    opens = found["opens"].values()
    return Run(
        files=len(opens),
        opens=sum(opens),
        most=max(opens),
        decodes=found["decodes"],
        seconds=found["seconds"],
        core_seconds=found["core_seconds"],
        output=process.stdout,
    )


def row_of(name: str, runs: Sequence[Run]) -> str:
    """Return the row of a checkout; counts are the same in every run."""
    first = runs[0]
    return table_row(
        name,
        first.files,
        f"{first.opens / first.files:.2f}",
        first.most,
        f"{first.decodes / first.files:.2f}",
        spread([each.seconds for each in runs]),
        spread([each.core_seconds for each in runs]),
    )


def spread(seconds: Sequence[float]) -> str:
    """Return the median and the range of times."""
    return f"{statistics.median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"


if __name__ == "__main__":
    main()
