r"""Compare int8 with float32: closeness, scores on pairs and time, in both runtimes.

    python -m benchmarks.performance.int8 petrichor dpenet --clean CLEAN \
        --data Rain100L-dev10 Rain100H-dev10 --files FOLDER

Files that already exist in FOLDER are used as they are.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from derain.bench import picture
from derain.data import find_pairs, read_pair
from derain.engines import Exported, export, quantize
from derain.images import to_eight_bits, to_floats
from derain.metrics import psnr, score
from derain.restore import Derainer, load
from derain.weights import loading

KINDS: tuple[tuple[export.Target, str], ...] = (("onnx", ".onnx"), ("openvino", ".xml"))


@dataclass(frozen=True)
class Likeness:
    """Closeness of int8 to float32 on the pictures of a dataset.

    Attributes:
        overall: PSNR in dB over all pictures.
        worst: PSNR in dB of the worst picture.
        change: Change of the mean score, in dB.
    """

    overall: float
    worst: float
    change: float


def main() -> None:
    """Export what does not exist yet, measure, and print a table."""
    parser = new_parser(__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--clean", type=Path, required=True, help="clean pictures to calibrate on")
    parser.add_argument(
        "--data", type=Path, nargs="*", default=[], help="folders of pairs to score on"
    )
    parser.add_argument("--files", type=Path, required=True, help="folder for exported files")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    sets = [f"{folder.name}: dB to float32 (worst), score" for folder in arguments.data]
    print(table_head("model", "runtime", "what", *sets, "float32, ms", "int8, ms", "ratio"))
    for model in arguments.models:
        derainers = exported(model, arguments.clean, arguments.files)
        seconds = median_times(list(derainers.values()), arguments.repeats)
        for k, (kind, _) in enumerate(KINDS):
            exact, integer = derainers[kind, False], derainers[kind, True]
            found = [likeness(exact, integer, folder) for folder in arguments.data]
            cells = [f"{one.overall:.1f} ({one.worst:.1f}), {one.change:+.3f}" for one in found]
            before, after = seconds[2 * k], seconds[2 * k + 1]
            times = f"{1000 * before:.0f}", f"{1000 * after:.0f}", f"{before / after:.2f}"
            what = note(arguments.files / named(model, kind, int8=True))
            print(table_row(f"`{model}`", kind, what, *cells, *times), flush=True)
    print(
        f"\n512x512, 2 threads, in turns in one process, medians of {arguments.repeats} after one."
    )
    print(
        f"Whole pictures; scores: change of PSNR under y-matlab. Measured on {describe_machine()}."
    )


def named(model: str, kind: export.Target, *, int8: bool) -> str:
    """Return the name of an exported file."""
    return f"{model}-{'int8' if int8 else 'float32'}{dict(KINDS)[kind]}"


def note(path: Path) -> str:
    """Return what an exported file says about its int8."""
    return Exported.read(path).card.note.split("; ")[-1].removesuffix(" on held-back crops")


def exported(model: str, clean: Path, folder: Path) -> dict[tuple[export.Target, bool], Derainer]:
    """Return Derainers for both runtimes, in float32 and in int8, for whole pictures."""
    network, card = loading.find(model)
    for kind, _ in KINDS:
        if not (path := folder / named(model, kind, int8=False)).exists():
            export.export(network, card, path, kind)
        if not (path := folder / named(model, kind, int8=True)).exists():
            quantize.export_int8(network, card, path, kind, quantize.Crops.of(clean))
    return {
        (kind, int8): load(str(folder / named(model, kind, int8=int8)), tile=0)
        for kind, _ in KINDS
        for int8 in (False, True)
    }


def likeness(exact: Derainer, integer: Derainer, folder: Path) -> Likeness:
    """Compare a Derainer in int8 with one in float32 on a dataset."""
    each: list[float] = []
    changes: list[float] = []
    for pair in find_pairs(folder).pairs:
        rainy, clean = read_pair(pair)
        results = [derainer(to_floats(rainy)) for derainer in (exact, integer)]
        each.append(psnr(results[1], results[0], peak=1.0))
        before, after = (score(result, to_eight_bits(clean), "y-matlab").psnr for result in results)
        changes.append(after - before)
    overall = -10 * np.log10(np.mean([10 ** (-value / 10) for value in each]))
    return Likeness(float(overall), min(each), statistics.mean(changes))


def median_times(derainers: Sequence[Derainer], repeats: int) -> list[float]:
    """Return the median seconds that each Derainer takes for a picture of 512x512."""
    rainy = picture(512, 512)
    seconds: list[list[float]] = [[] for _ in derainers]
    for _ in range(repeats + 1):
        for derainer, taken in zip(derainers, seconds, strict=True):
            began = time.perf_counter()
            derainer(rainy)
            taken.append(time.perf_counter() - began)
    return [statistics.median(taken[1:]) for taken in seconds]


if __name__ == "__main__":
    main()
