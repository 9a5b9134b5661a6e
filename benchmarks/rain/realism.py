r"""Score published checkpoints, trained on real benchmarks, on clean pictures under seeded rain.

A checkpoint that was trained on real benchmark rain does well on synthetic rain that looks the same
to it. With pairs of the benchmark, it is also scored on the rain that it was trained for; these may
have fewer pictures than the whole test set. With textures, presets that are cut from them are
scored, too.

    python -m benchmarks.rain.realism PATH/TO/clean/val --textures TEXTURES \
        --light net_Rain100L.pth Rain100L-dev10 --heavy Rain100H.pth Rain100H-dev10
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.pairs import PixelPair, real_pairs, synthetic_pairs
from benchmarks.rain.gap import VALIDATION
from benchmarks.tables import table_head, table_row
from derain import metrics
from derain.images import to_floats
from derain.rain import TextureBank, load_textures
from derain.restore import Derainer, load


def main() -> None:
    """Print input and output for light and heavy rain."""
    parser = new_parser(__doc__)
    parser.add_argument("clean", type=Path, help="clean pictures")
    for kind, preset in VALIDATION.items():
        what = f"weights trained on the set that {preset} imitates, and pairs of it"
        parser.add_argument(f"--{kind}", nargs="+", help=what)
    parser.add_argument("--textures", type=Path, help="folder of streak textures")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    bank = load_textures(arguments.textures) if arguments.textures else None
    print("PSNR in dB, y-matlab.\n")
    print(table_head("weights", "rain", "pictures", "input", "output", "gain"))
    for kind, preset in VALIDATION.items():
        if given := getattr(arguments, kind):
            weights, *folders = given
            derainer = load(weights)
            real = ((folder, real_pairs(Path(folder))) for folder in folders)
            for name, pairs in (*real, *rains(arguments.clean, preset, arguments.seed, bank)):
                before, after = np.mean([both(derainer, pair) for pair in pairs], 0)
                cells = len(pairs), f"{before:.2f}", f"{after:.2f}", f"{after - before:.2f}"
                print(table_row(Path(weights).name, Path(name).name, *cells), flush=True)
    print(f"\nMeasured on {describe_machine()}.")


def rains(
    clean: Path, preset: str, seed: int, bank: TextureBank | None
) -> Iterator[tuple[str, list[PixelPair]]]:
    """Yield a preset, and its form with textures, each with pairs under it."""
    yield preset, synthetic_pairs(clean, preset, seed)
    if bank:
        yield f"{preset}-textures", synthetic_pairs(clean, f"{preset}-textures", seed, bank)


def both(derainer: Derainer, pair: PixelPair) -> tuple[float, float]:
    """Return the PSNR in dB of the input and of the output."""
    rainy = to_floats(pair[0])
    return tuple(
        metrics.score(picture, pair[1], "y-matlab").psnr for picture in (rainy, derainer(rainy))
    )  # pyright: ignore[reportReturnType]


if __name__ == "__main__":
    main()
