"""Count the hours, and the cost, of a million pictures on machines like this one.

    python -m benchmarks.cluster.million --size 1280 720 --price 0.04

Pictures are JPEG files, read and written by `derain.pictures.run` as for `derain FOLDER`. Models
take turns, picture chunk by picture chunk, so that other work on the machine slows all of them.
Prices are for one core (or the whole machine, where a GPU computes) and one hour, in whatever
currency.
"""

import os
import statistics
import tempfile
from pathlib import Path

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.performance.folder_rate import make_jobs, time_files
from benchmarks.tables import table_head, table_row
from derain import pictures
from derain.restore import Derainer, load

MILLION = 1_000_000


def main() -> None:
    """Make the pictures, derain them with each model in turn, and print a table."""
    parser = new_parser(__doc__)
    parser.add_argument(
        "-m", "--models", nargs="+", default=["petrichor-live", "petrichor", "petrichor-deep"]
    )
    parser.add_argument(
        "--size", nargs=2, type=int, default=(1280, 720), metavar=("WIDTH", "HEIGHT")
    )
    parser.add_argument("--pictures", type=int, default=8, help="in each turn of each model")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each model")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--price", type=float, help="of a core, or a machine with a GPU, an hour")
    arguments = parser.parse_args()
    derainers = [
        load(name, engine=arguments.engine, device=arguments.device) for name in arguments.models
    ]
    with tempfile.TemporaryDirectory() as folder:
        jobs = make_jobs(Path(folder), arguments.pictures, arguments.size, "jpg")
        seconds = measure(jobs, derainers, arguments.rounds)
    cores = os.cpu_count() or 1
    on_gpu = not derainers[0].engine.device.startswith("cpu")
    print_table(arguments.models, derainers, seconds, 1 if on_gpu else cores, arguments.price)
    width, height = arguments.size
    per = "machine" if on_gpu else "core"
    print(
        f"\n{width}x{height}, JPEG to JPEG, median of {arguments.rounds} turns of"
        f" {arguments.pictures} pictures; hours of one {per} ({cores} cores were used together)."
    )
    print(f"Measured on {describe_machine(derainers[0].engine.runtime)}.")


def measure(jobs: list[pictures.Job], derainers: list[Derainer], rounds: int) -> list[list[float]]:
    """Return the seconds a picture of each turn, for each model."""
    for derainer in derainers:
        time_files(jobs[:1], derainer)
        clear(jobs)
    seconds: list[list[float]] = [[] for _ in derainers]
    for _ in range(rounds):
        for derainer, taken in zip(derainers, seconds, strict=True):
            taken.append(time_files(jobs, derainer) / len(jobs))
            clear(jobs)
    return seconds


def clear(jobs: list[pictures.Job]) -> None:
    """Delete the results."""
    for job in jobs:
        job.target.unlink(missing_ok=True)


def print_table(
    names: list[str],
    derainers: list[Derainer],
    seconds: list[list[float]],
    share: int,
    price: float | None,
) -> None:
    """Print what a million pictures take.

    Args:
        names: Of the models.
        derainers: In the order of the names.
        seconds: A picture, of each turn, for each model.
        share: Cores that worked together.
        price: Of an hour; None for none.
    """
    head = ["model", "number format", "pictures/s", "hours for a million"]
    print(table_head(*head, *([] if price is None else [f"cost at {price:g} an hour"])))
    for name, derainer, taken in zip(names, derainers, seconds, strict=True):
        each = statistics.median(taken)
        hours = each * share * MILLION / 3600
        cost = [] if price is None else [f"{hours * price:,.0f}"]
        rate = f"{1 / each:.2f}"
        print(table_row(f"`{name}`", derainer.engine.dtype, rate, f"{hours:,.0f}", *cost))


if __name__ == "__main__":
    main()
