"""Print what small pictures cost in archives of different sizes.

    python -m benchmarks.cluster.cost

Ray runs already; each archive is derained from the listing to the last record. The start is the
time until both workers have given rows: listing, planning, starting them, loading the model. The
cost of a picture is that of those after it.
"""

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.cluster.started import SETTINGS, draw, started
from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from derain.cluster import Request, run

SIDE = 32


def main() -> None:
    """Measure in turns, and print a table."""
    parser = new_parser(__doc__)
    parser.add_argument("-m", "--model", default="petrichor-live")
    parser.add_argument("--counts", nargs="+", type=int, default=(100, 300, 1000, 3000))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    found: dict[int, list[tuple[float, float, float]]] = {}
    with tempfile.TemporaryDirectory() as name, started():
        for count in arguments.counts:
            draw(Path(name, f"in{count}"), count, (SIDE, SIDE))
        for number in range(arguments.rounds):
            for count in arguments.counts:
                output = Path(name, f"out{count}-{number}")
                times = measure(Path(name, f"in{count}"), output, arguments.model)
                found.setdefault(count, []).append(times)
    print(table_head("pictures", "start, s", "ms/picture after it", "whole, s"))
    for count, rounds in found.items():
        start, each, whole = (statistics.median(one) for one in zip(*rounds, strict=True))
        print(table_row(count, f"{start:.1f}", f"{1000 * each:.1f}", f"{whole:.1f}"))
    print(f"\n`{arguments.model}`, PNG of {SIDE}x{SIDE}; medians of {arguments.rounds} rounds.")
    print(f"Measured on {describe_machine('onnx')}.")


def measure(source: Path, output: Path, model: str) -> tuple[float, float, float]:
    """Return seconds until both workers work, for each picture after them, and for all.

    Raises:
        SystemExit: If a picture could not be done.
    """
    times: list[tuple[float, int]] = []

    def progress(stage: str, done: int, _total: int, /) -> None:
        if stage == "files" and done:
            times.append((time.perf_counter(), done))

    begin = time.perf_counter()
    request = Request(str(source), str(output), model, SETTINGS, workers=2)
    if any(outcome.status != "done" for outcome in run(request, progress)):
        raise SystemExit("a picture was not done")
    whole = time.perf_counter() - begin
    first, last = times[1], times[-1]
    return first[0] - begin, (last[0] - first[0]) / (last[1] - first[1]), whole


if __name__ == "__main__":
    main()
