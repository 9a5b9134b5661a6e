r"""Score published checkpoints, trained on real benchmarks, on clean pictures under seeded rain.

A checkpoint that was trained on real benchmark rain does well on synthetic rain that looks the same
to it.

    python -m benchmarks.rain.realism PATH/TO/clean/val \
        --light net_Rain100L.pth --heavy Rain100H.pth
"""

from pathlib import Path

import numpy as np

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.pairs import PixelPair, synthetic_pairs
from benchmarks.rain.gap import VALIDATION
from benchmarks.tables import table_head, table_row
from derain import metrics
from derain.images import to_floats
from derain.restore import Derainer, load

REAL = {
    "light": "Rain100L (100): input 26.90, its published NLEDN 37.88",
    "heavy": "Rain100H (100): input 13.55, its published DPENet 31.63",
}


def main() -> None:
    """Print input and output for light and heavy rain."""
    parser = new_parser(__doc__)
    parser.add_argument("clean", type=Path, help="clean pictures")
    parser.add_argument("--light", help="weights trained on Rain100L")
    parser.add_argument("--heavy", help="weights trained on Rain100H")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--per-picture", action="store_true")
    arguments = parser.parse_args()
    print("PSNR in dB, y-matlab.\n")
    print(table_head("rain", "pictures", "input", "output", "for comparison"))
    for kind, preset in VALIDATION.items():
        if weights := getattr(arguments, kind):
            derainer = load(weights)
            scores = [
                both(derainer, pair)
                for pair in synthetic_pairs(arguments.clean, preset, arguments.seed)
            ]
            before, after = np.mean(scores, 0)
            cells = len(scores), f"{before:.2f}", f"{after:.2f}", REAL[kind]
            print(table_row(f"`{preset}`", *cells), flush=True)
            if arguments.per_picture:
                print(
                    "\n".join(f"  {k}: {a:.2f} -> {b:.2f}" for k, (a, b) in enumerate(scores)),
                    flush=True,
                )
    print(f"\nMeasured on {describe_machine()}.")


def both(derainer: Derainer, pair: PixelPair) -> tuple[float, float]:
    """Return the PSNR in dB of the input and of the output."""
    rainy = to_floats(pair[0])
    return tuple(
        metrics.score(picture, pair[1], "y-matlab").psnr for picture in (rainy, derainer(rainy))
    )  # pyright: ignore[reportReturnType]


if __name__ == "__main__":
    main()
