"""Measure what it brings to average a network over flips of the picture, and what it costs.

    python -m benchmarks.quality.flips petrichor Rain100L-dev10 Rain100H-dev10 Rain12

Every picture is derained with 1, 2, 4 and 8 flips in turn, so that a change of the machine's pace
affects all alike.
"""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from derain import metrics
from derain.data import find_pairs, read_pair
from derain.images import to_eight_bits, to_floats
from derain.metrics import Score
from derain.restore import FLIPS, Derainer, load


@dataclass(frozen=True)
class FlipScores:
    """A number of flips on one dataset, or on all: means of the scores, medians of the times.

    Attributes:
        ratio: Time over that of the plain result on the same picture, measured just before.
    """

    psnr: float
    ssim: float
    seconds_per_megapixel: float
    ratio: float


def main() -> None:
    """Print a table for each dataset, and one of the means over several."""
    parser = new_parser(__doc__)
    parser.add_argument("model", help="weights by name or file")
    parser.add_argument("datasets", nargs="+", type=Path, help="folders of pairs")
    parser.add_argument("--pictures", type=int, help="of each dataset, the first; default: all")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()

    derainer = load(arguments.model, device=arguments.device, dtype="float32", tile=0)
    tables = [measure(derainer, folder, arguments.pictures) for folder in arguments.datasets]
    named = [(folder.name, table) for folder, table in zip(arguments.datasets, tables, strict=True)]
    if len(tables) > 1:
        named.append(("mean of these", mean(tables)))
    for name, table in named:
        print(f"`{Path(arguments.model).name}`, {name}:\n")
        print("\n".join(describe(table)) + "\n", flush=True)
    print(
        f"y-matlab; {derainer.describe()}, on {torch.get_num_threads()} thread(s), in turns;"
        " medians of the times."
    )
    print(f"Measured on {describe_machine()}.")


def measure(derainer: Derainer, folder: Path, pictures: int | None) -> dict[int, FlipScores]:
    """Return what each number of flips gives on a dataset."""
    scores: dict[int, list[Score]] = {flips: [] for flips in FLIPS}
    seconds: dict[int, list[float]] = {flips: [] for flips in FLIPS}
    for number, pair in enumerate(find_pairs(folder).pairs[:pictures]):
        rainy, clean = read_pair(pair)
        floats = to_floats(rainy)
        megapixels = rainy.shape[0] * rainy.shape[1] / 1e6
        if number == 0:
            derainer(floats)  # the first picture of a process takes longer
        for flips in FLIPS:
            derainer.flips = flips
            began = time.perf_counter()
            result = derainer(floats)
            seconds[flips].append((time.perf_counter() - began) / megapixels)
            scores[flips].append(metrics.score(result, to_eight_bits(clean), "y-matlab"))
        derainer.flips = 1
    return {
        flips: FlipScores(
            statistics.mean(score.psnr for score in scores[flips]),
            statistics.mean(score.ssim for score in scores[flips]),
            statistics.median(seconds[flips]),
            statistics.median(
                taken / plain for taken, plain in zip(seconds[flips], seconds[1], strict=True)
            ),
        )
        for flips in FLIPS
    }


def mean(tables: list[dict[int, FlipScores]]) -> dict[int, FlipScores]:
    """Return the mean over datasets, each of which counts alike."""
    return {
        flips: FlipScores(
            statistics.mean(table[flips].psnr for table in tables),
            statistics.mean(table[flips].ssim for table in tables),
            statistics.mean(table[flips].seconds_per_megapixel for table in tables),
            statistics.mean(table[flips].ratio for table in tables),
        )
        for flips in FLIPS
    }


def describe(table: dict[int, FlipScores]) -> list[str]:
    """Return the lines of a table: each number of flips, and what it adds to half as many."""
    columns = ("to half as many flips, dB", "seconds a megapixel", "times as long")
    lines = [table_head("flips", "PSNR, dB / SSIM", *columns)]
    for flips, row in table.items():
        gain = "" if flips == 1 else f"{row.psnr - table[flips // 2].psnr:+.2f}"
        score = f"{row.psnr:.2f} / {row.ssim:.4f}"
        times = f"{row.seconds_per_megapixel:.2f}", f"{row.ratio:.1f}"
        lines.append(table_row(flips, score, gain, *times))
    return lines


if __name__ == "__main__":
    main()
