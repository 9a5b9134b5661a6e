"""What bfloat16 costs in quality: scores in float32 and in bfloat16 on pairs, and how far apart the
results are.

    python benchmarks/half_precision.py petrichor nledn --data Rain100L Rain100H --pictures 10

Weights that lose under 0.05 dB on all sets are marked so in `derain.weights.CATALOGUE`: they are
executed in bfloat16 by themselves where the device has instructions for it. Where it has none
PyTorch computes the same, only more slowly, so that quality can be measured anywhere.
"""

import argparse
import statistics
from pathlib import Path

import numpy as np
from machine import describe_machine
from rain_gap import Pair, real_pairs

from derain import metrics
from derain.restore import Derainer, load


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=10, help="of each set, the first")
    arguments = parser.parse_args()
    print(
        "| model | set | float32, dB | bfloat16, dB | change | bfloat16 to float32, dB"
        " |\n|---|---|---|---|---|---|"
    )
    for model in arguments.models:
        exact, half = (load(model, device="cpu", dtype=dtype) for dtype in ("float32", "bfloat16"))
        for folder in arguments.data:
            rows = [compare(exact, half, pair) for pair in real_pairs(folder)[: arguments.pictures]]
            before, after, apart = (statistics.mean(column) for column in zip(*rows, strict=True))
            print(
                f"| `{model}` | {folder.name} | {before:.3f} | {after:.3f} | {after - before:+.3f}"
                f" | {apart:.1f} |",
                flush=True,
            )
    print(
        f"\nMean PSNR, y-matlab, of {arguments.pictures} pictures. Measured on"
        f" {describe_machine()}."
    )


def compare(exact: Derainer, half: Derainer, pair: Pair) -> tuple[float, float, float]:
    """PSNR of either, and between them."""
    rainy, clean = pair
    floats = rainy.astype(np.float32) / np.float32(255)
    one, other = exact(floats), half(floats)
    before, after = (metrics.score(result, clean, "y-matlab").psnr for result in (one, other))
    return before, after, metrics.psnr(255.0 * one.astype(np.float64), 255.0 * other)


if __name__ == "__main__":
    main()
