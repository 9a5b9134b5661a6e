"""Draw every preset on one picture, two seeds each, as docs/concepts/rain-presets.jpg shows them.

python -m benchmarks.rain.gallery PICTURE OUT.jpg [--textures DIR]
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from benchmarks.command import new_parser
from derain.images import read_image, to_eight_bits
from derain.rain import PRESETS, TextureBank, compose_pixels, generator_for, load_textures, sample

MIXTURES = ("light", "heavy", "clear", "mixed")
"""To train on; they have no look of their own."""

COLUMNS = 4
SIZE = (240, 320)
CAPTION = 14


def main() -> None:
    """Draw the sheet."""
    parser = new_parser(__doc__)
    parser.add_argument("picture", type=Path, help="a clean picture, at least 320x240")
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument(
        "--textures", type=Path, help="folder of streak textures; without it all rain is drawn"
    )
    arguments = parser.parse_args()
    clean = middle(to_eight_bits(read_image(arguments.picture)))
    bank = load_textures(arguments.textures) if arguments.textures else None
    panels = [("clean", clean)]
    for name in (name for name in PRESETS if name not in MIXTURES):
        panels += [(name, rained_on(clean, name, (arguments.seed, k), bank)) for k in range(2)]
    rows = -(-len(panels) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (SIZE[1] + 4) - 4, rows * (SIZE[0] + CAPTION + 4)), "white")
    for k, (name, pixels) in enumerate(panels):
        x, y = k % COLUMNS * (SIZE[1] + 4), k // COLUMNS * (SIZE[0] + CAPTION + 4)
        ImageDraw.Draw(sheet).text((x + 2, y), name, fill="black")
        sheet.paste(Image.fromarray(pixels), (x, y + CAPTION))
    sheet.save(arguments.output, quality=80)


def rained_on(
    clean: NDArray[np.uint8], name: str, seed: tuple[int, int], bank: TextureBank | None
) -> NDArray[np.uint8]:
    """Return the picture under rain of a preset."""
    drops = sample(PRESETS[name], SIZE, generator_for(*seed), bank=bank)
    return compose_pixels(clean, drops)


def middle(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the part of the picture that is shown."""
    top, left = ((side - size) // 2 for side, size in zip(picture.shape, SIZE, strict=False))
    return picture[top : top + SIZE[0], left : left + SIZE[1]]


if __name__ == "__main__":
    main()
