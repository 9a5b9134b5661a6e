"""Time the search for validation pictures among training pictures, and count what it finds.

    python -m benchmarks.quality.copies PATH/TO/val PATH/TO/train

Copies of each picture of the first folder are hidden among those of the second: cropped to half of
each side or more, flipped, turned, resized, compressed as JPEG, or all at once, by seeded random
numbers.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from derain.data import clean_pictures
from derain.data.audit.check import find_leaks
from derain.data.copies import find_copies
from derain.images import read_image, to_eight_bits
from derain.metrics import Bytes

Change = Callable[[Bytes, np.random.Generator], Bytes]


def main() -> None:
    """Print how long the search takes, and a table of what it finds."""
    parser = new_parser(__doc__)
    parser.add_argument("pictures", type=Path, help="a folder of clean pictures to look for")
    parser.add_argument(
        "among", type=Path, help="a folder of clean pictures to look in, without those"
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    pictures, among = clean_pictures(arguments.pictures), clean_pictures(arguments.among)
    began = time.perf_counter()
    leaks = find_leaks(arguments.pictures, arguments.among)
    print(
        f"{len(pictures)} pictures among {len(among)}: {time.perf_counter() - began:.1f} s,"
        f" {len(leaks)} taken for copies.\n"
    )
    with tempfile.TemporaryDirectory() as place:
        copies = hide(pictures, Path(place), arguments.seed)
        found = {
            (copy.picture, copy.of) for copy in find_copies(pictures, [*among, *copies]).copies
        }
    print(table_head("change", "hidden", "found"))
    for name in CHANGES:
        hidden = [(original, copy) for copy, (original, change) in copies.items() if change == name]
        print(table_row(name, len(hidden), sum(pair in found for pair in hidden)))
    true = {(original, copy) for copy, (original, _) in copies.items()}
    print(
        f"\n{len(found & true)} of {len(true)} found, {len(found - true)} others taken for copies."
    )
    print(f"\nMeasured on {describe_machine()}.")


def hide(pictures: Sequence[Path], place: Path, seed: int) -> dict[Path, tuple[Path, str]]:
    """Write a copy of each picture by each change.

    Returns:
        The original picture and the name of the change, by the path of the copy.
    """
    copies: dict[Path, tuple[Path, str]] = {}
    for k, path in enumerate(pictures):
        pixels = to_eight_bits(read_image(path))
        for number, name in enumerate(CHANGES):
            random = np.random.default_rng((seed, k, number))
            copy = place / f"{k}-{number}.jpg"
            quality = (
                95
                if name in ("cropped", "flipped or turned", "resized")
                else int(random.integers(40, 91))
            )
            Image.fromarray(np.ascontiguousarray(CHANGES[name](pixels, random))).save(
                copy, quality=quality
            )
            copies[copy] = (path, name)
    return copies


def crop(pixels: Bytes, random: np.random.Generator) -> Bytes:
    """Return a part of 0.5 to 0.95 of each side of (H, W, 3)."""
    height, width = (round(side * random.uniform(0.5, 0.95)) for side in pixels.shape[:2])
    top, left = (
        int(random.integers(pixels.shape[0] - height + 1)),
        int(random.integers(pixels.shape[1] - width + 1)),
    )
    return pixels[top : top + height, left : left + width]


def turn(pixels: Bytes, random: np.random.Generator) -> Bytes:
    """Return one of the seven flips and quarter turns that change a picture."""
    way = int(random.integers(1, 8))
    turned = np.rot90(pixels, way % 4)
    return turned[:, ::-1] if way >= 4 else turned


def resize(pixels: Bytes, random: np.random.Generator) -> Bytes:
    """Return the picture at 0.5 to 0.9 or 1.1 to 2 of its size."""
    factor = random.uniform(0.5, 0.9) if random.integers(2) else random.uniform(1.1, 2)
    size = round(pixels.shape[1] * factor), round(pixels.shape[0] * factor)
    return np.asarray(
        Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BICUBIC)
    )


CHANGES: dict[str, Change] = {
    "cropped": crop,
    "flipped or turned": turn,
    "resized": resize,
    "recompressed": lambda pixels, _: pixels,
    "all at once": lambda pixels, random: resize(turn(crop(pixels, random), random), random),
}
"""What is done to pictures; the last two are stored as JPEG of quality 40 to 90, the others of 95.
"""


if __name__ == "__main__":
    main()
