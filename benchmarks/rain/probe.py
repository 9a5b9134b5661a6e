"""Find the rain that a checkpoint is not used to, by its gain under layers of filtered noise.

Each crop lies under one layer. The gain is printed by quarters of every knob.

    python -m benchmarks.rain.probe PATH/TO/clean/val Rain100H.pth --kind heavy
"""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from derain import metrics
from derain.data import clean_pictures
from derain.images import Pixels, read_image, to_eight_bits, to_floats
from derain.rain import Field, field, generator_for
from derain.rain.numbers import Draws
from derain.restore import Derainer, load

SIDE = 192
WIDE = Field(
    coverage=(0.05, 0.3),
    angle=(-40, 40),
    length=(8, 100),
    width=(0.6, 3),
    softness=(0, 1),
    brightness=(0.2, 0.9),
    fading=(0, 3),
    levels=(0, 0.6),
    noise_probability=0.3,
)
KINDS = {
    "light": WIDE,
    "heavy": replace(WIDE, coverage=(0.3, 0.85), brightness=(0.15, 0.45), fading=(0, 0.6)),
}
KNOBS = (
    "coverage",
    "angle",
    "length",
    "width",
    "softness",
    "brightness",
    "fading",
    "levels",
    "clumping",
    "noise",
)


def main() -> None:
    """Print input and output, y-matlab, by quarters of each knob."""
    parser = new_parser(__doc__)
    parser.add_argument("clean", type=Path)
    parser.add_argument("weights")
    parser.add_argument("--kind", choices=list(KINDS), default="light")
    parser.add_argument("--crops", type=int, default=160)
    arguments = parser.parse_args()
    derainer = load(arguments.weights)
    pictures = [read_image(path) for path in clean_pictures(arguments.clean)]
    drawn = [
        field.choose(KINDS[arguments.kind], Draws(generator_for(11, k)))
        for k in range(arguments.crops)
    ]
    scores = np.array(
        [score(derainer, pictures[k % len(pictures)], layer, k) for k, layer in enumerate(drawn)]
    )
    values = {
        f.name: np.array([getattr(layer, f.name) for layer in drawn], float)
        for f in fields(field.Filter)
    }
    values["angle"] = np.degrees(np.abs(values["angle"]))
    print(
        f"{arguments.crops} crops of {SIDE}x{SIDE}, y-matlab, input -> output in dB, from each"
        " quarter's least value up.\n"
    )
    print(table_head("knob", "lowest quarter", "second", "third", "highest"))
    for name in KNOBS:
        print(table_row(name, *quarters(values[name], scores)))
    for k, name in enumerate(field.SHAPES):
        before, after = scores[values["shape"] == k].mean(0)
        print(f"| shape `{name}` | {before:.1f} -> {after:.1f} | | | |")
    print(f"\nMeasured on {describe_machine()}.")


def score(derainer: Derainer, picture: Pixels, layer: field.Filter, k: int) -> tuple[float, float]:
    """Return the PSNR in dB of one crop before and after."""
    top, left = (60 + 7 * (k % 5) if side > SIDE + 100 else 0 for side in picture.shape[:2])
    clean = to_eight_bits(picture)[top : top + SIDE, left : left + SIDE]
    light = field.draw([layer], (clean.shape[0], clean.shape[1]), torch.device("cpu"))[0].numpy()
    rainy = to_floats(np.rint(np.clip(clean + 255 * light[..., None], 0, 255)).astype(np.uint8))
    before, after = (
        metrics.score(each, clean, "y-matlab").psnr for each in (rainy, derainer(rainy))
    )
    return before, after


def quarters(values: NDArray[np.float64], scores: NDArray[np.float64]) -> list[str]:
    """Return the lowest value of each quarter, and the means of its scores."""
    order = values.argsort(kind="stable")
    cells: list[str] = []
    for part in np.array_split(order, 4):
        before, after = scores[part].mean(0)
        cells.append(f"{values[part[0]]:.2g}: {before:.1f} -> {after:.1f}")
    return cells


if __name__ == "__main__":
    main()
