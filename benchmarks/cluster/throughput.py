"""Compare the rate of an archive on Ray with the sum of its workers alone.

    python -m benchmarks.cluster.throughput -m petrichor-live --pictures 240

Alone, as many processes as workers each derain their share of the same files with
`derain.pictures.run`, at the same time and without Ray. Both are timed from when every process has
loaded its model: on Ray, from the end of the first shard on, without its pictures. Rounds of the
two alternate; the table has medians and the median of the ratios of each round.
"""

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path

from benchmarks.cluster.started import SETTINGS, draw, started
from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from derain import pictures
from derain.cluster import Request, run
from derain.restore import load


def main() -> None:
    """Measure in turns, and print a table."""
    parser = new_parser(__doc__)
    parser.add_argument("-m", "--model", default="petrichor-live")
    parser.add_argument("--pictures", type=int, default=240)
    parser.add_argument("--size", nargs=2, type=int, default=(320, 240))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    rates: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as name, started():
        folder = Path(name)
        paths = draw(folder / "in", arguments.pictures, arguments.size)
        for number in range(arguments.rounds):
            output = folder / f"out{number}"
            measures = [
                lambda output=output: on_ray(folder / "in", output, arguments),
                lambda output=output: alone(paths, output / "alone", arguments),
            ]
            order = measures if number % 2 == 0 else measures[::-1]
            found = [measure() for measure in order]
            rates.append((found[0], found[1]) if number % 2 == 0 else (found[1], found[0]))
    report(rates, arguments)


def report(rates: Sequence[tuple[float, float]], arguments: object) -> None:
    """Print the table."""
    width, height = vars(arguments)["size"]
    what = f"{vars(arguments)['pictures']} PNG, {width}x{height}"
    print(table_head("model", "pictures", "workers alone, pictures/s", "on Ray", "ratio", "rounds"))
    medians = [statistics.median(one) for one in zip(*rates, strict=True)]
    ratios = [ray / others for ray, others in rates]
    print(
        table_row(
            f"`{vars(arguments)['model']}`",
            what,
            f"{medians[1]:.1f}",
            f"{medians[0]:.1f}",
            f"{statistics.median(ratios):.0%}",
            f"{min(ratios):.0%} to {max(ratios):.0%}",
        )
    )
    print(f"\n{vars(arguments)['workers']} workers of one core; {len(rates)} rounds in turns.")
    print(f"Measured on {describe_machine('onnx')}.")


def on_ray(source: Path, output: Path, arguments: object) -> float:
    """Return pictures a second on Ray.

    Raises:
        SystemExit: If a picture could not be done.
    """
    chosen = vars(arguments)
    request = Request(
        str(source), str(output), chosen["model"], SETTINGS, workers=chosen["workers"]
    )
    times: list[tuple[float, int]] = []

    def progress(stage: str, done: int, _total: int, /) -> None:
        if stage == "files" and done:
            times.append((time.perf_counter(), done))

    if any(outcome.status != "done" for outcome in run(request, progress)):
        raise SystemExit("a picture was not done")
    # Every worker has begun when the second one has done its first shard.
    first, last = times[chosen["workers"] - 1], times[-1]
    return (last[1] - first[1]) / (last[0] - first[0])


def alone(paths: Sequence[Path], output: Path, arguments: object) -> float:
    """Return pictures a second of as many processes, added up."""
    chosen = vars(arguments)
    context = multiprocessing.get_context("spawn")
    count = chosen["workers"]
    barrier, results = context.Barrier(count), context.Queue()
    processes = [
        context.Process(
            target=work, args=(paths[k::count], output, chosen["model"], barrier, results)
        )
        for k in range(count)
    ]
    for process in processes:
        process.start()
    rates = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return sum(rates)


def work(
    paths: Sequence[Path], output: Path, model: str, barrier: Barrier, results: object
) -> None:
    """Derain pictures in one process, and put how many a second it did."""
    derainer = load(model, **SETTINGS)  # pyright: ignore[reportArgumentType]
    jobs = [pictures.Job(path, output / path.name) for path in paths]
    for _ in pictures.run(jobs[:1], derainer):
        pass
    barrier.wait()
    begin = time.perf_counter()
    for _ in pictures.run(jobs[1:], derainer):
        pass
    rate = (len(jobs) - 1) / (time.perf_counter() - begin)
    results.put(rate)  # pyright: ignore[reportAttributeAccessIssue]


if __name__ == "__main__":
    main()
