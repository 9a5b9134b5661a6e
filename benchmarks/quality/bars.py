"""Measure what models do to upright bars, which look like rain, without rain and under it.

The pictures of CLEAN/val are scored as they are, and behind seeded bars such as railings and fences
have. Each is dry, under seeded `rain100l`, and under seeded `rain100h`.

    python -m benchmarks.quality.bars CLEAN petrichor nledn
"""

import statistics
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.quality.dry import fidelity
from benchmarks.tables import table_head, table_row
from derain.data import clean_pictures
from derain.images import read_image, to_eight_bits
from derain.rain import PRESETS, generator_for, rain_on
from derain.rain.crops import to_tensor
from derain.restore import load
from derain.train.bars import BAR_NUMBERS, stand_bars

RAIN = ("clear", "rain100l", "rain100h")


def main() -> None:
    """Print a row for each model."""
    parser = new_parser(__doc__)
    parser.add_argument("clean", type=Path, help="holds val/ of clean pictures")
    parser.add_argument("models", nargs="+")
    arguments = parser.parse_args()
    plain = [to_eight_bits(read_image(path)) for path in clean_pictures(arguments.clean / "val")]
    barred = [with_bars(picture, k) for k, picture in enumerate(plain)]
    columns = [f"{rain}{bars}" for rain in RAIN for bars in ("", ", bars", ", bars, lowest")]
    print(table_head("model", *columns))
    for name in arguments.models:
        derainer = load(name, dtype="float32")
        cells: list[str] = []
        for rain in RAIN:
            without, behind = (
                [
                    fidelity(derainer(rain_on(picture, PRESETS[rain], generator_for(k))), picture)
                    for k, picture in enumerate(pictures)
                ]
                for pictures in (plain, barred)
            )
            scores = (statistics.mean(without), statistics.mean(behind), min(behind))
            cells += [f"{score:.2f}" for score in scores]
        print(table_row(f"`{name}`", *cells), flush=True)
    print(f"\n{len(plain)} pictures; PSNR in dB, y-matlab. Measured on {describe_machine()}.")


def with_bars(picture: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Return a picture of (H, W, 3) with seeded bars before it."""
    numbers = torch.rand(1, BAR_NUMBERS, generator=generator_for(seed))
    barred = stand_bars(to_tensor(picture)[None], numbers)[0]
    return (255 * barred).round().byte().permute(1, 2, 0).numpy()


if __name__ == "__main__":
    main()
