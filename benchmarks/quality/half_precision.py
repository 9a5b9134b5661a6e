r"""Compare scores in bfloat16 with scores in float32 on pairs, and the results themselves.

    python -m benchmarks.quality.half_precision petrichor nledn \
        --data Rain100L Rain100H --pictures 10

Weights that lose under 0.05 dB on all sets are marked so in `derain.weights.CATALOGUE`: they run in
bfloat16 by default where the device has instructions for it. Elsewhere PyTorch computes the same,
only more slowly, so that quality can be measured anywhere.
"""

import statistics
from pathlib import Path

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.pairs import PixelPair, real_pairs
from benchmarks.tables import table_head, table_row
from derain import metrics
from derain.images import to_floats
from derain.restore import Derainer, load


def main() -> None:
    """Print a row for each model and set."""
    parser = new_parser(__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=10, help="of each set, the first")
    arguments = parser.parse_args()
    columns = ("float32, dB", "bfloat16, dB", "change", "bfloat16 to float32, dB")
    print(table_head("model", "set", *columns))
    for model in arguments.models:
        exact, half = (load(model, device="cpu", dtype=dtype) for dtype in ("float32", "bfloat16"))
        for folder in arguments.data:
            rows = [compare(exact, half, pair) for pair in real_pairs(folder)[: arguments.pictures]]
            before, after, apart = (statistics.mean(column) for column in zip(*rows, strict=True))
            scores = f"{before:.3f}", f"{after:.3f}", f"{after - before:+.3f}", f"{apart:.1f}"
            print(table_row(f"`{model}`", folder.name, *scores), flush=True)
    print(
        f"\nMean PSNR, y-matlab, of {arguments.pictures} pictures. Measured on"
        f" {describe_machine()}."
    )


def compare(exact: Derainer, half: Derainer, pair: PixelPair) -> tuple[float, float, float]:
    """Return the PSNR in dB of both results, and the PSNR between them."""
    rainy, clean = pair
    floats = to_floats(rainy)
    one, other = exact(floats), half(floats)
    before, after = (metrics.score(result, clean, "y-matlab").psnr for result in (one, other))
    return before, after, metrics.psnr(one, other, peak=1.0)


if __name__ == "__main__":
    main()
