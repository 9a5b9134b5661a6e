"""Make the pictures that the browser tests need, and what the library makes of them.

    python pictures.py FOLDER

FOLDER gets the pictures, FOLDER/expected what `derain run` writes.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from derain import load, pictures
from derain.images import read, write_image

EXAMPLES = Path(__file__).parents[2] / "examples"
ROTATED = 6
"""EXIF orientation of a camera that was held upright."""


def make(folder: Path) -> None:
    """Write the pictures."""
    for name in ("rocket.jpg", "coffee.jpg"):
        shutil.copy(EXAMPLES / name, folder)
    rocket = Image.open(EXAMPLES / "rocket.jpg")
    small = rocket.resize((320, 214))
    small.save(folder / "Straße im Regen.PNG")
    pixels = np.asarray(small).astype(np.uint16) * 257
    write_image(folder / "deep.tif", pixels)
    exif = Image.Exif()
    exif[0x0112] = ROTATED
    small.save(folder / "rotated.jpg", exif=exif, quality=95)
    small.save(folder / "rotated.png", exif=exif)
    # Long enough in the slowest model to be cancelled.
    rocket.resize((1920, 1281)).save(folder / "large.jpg")
    (folder / "empty.jpg").touch()
    (folder / "notes.txt").write_text("No picture.\n")


def derain_all(folder: Path, names: list[str]) -> None:
    """Write what the library makes of pictures, each in its own format."""
    options = pictures.Options()
    plan = pictures.plan([str(folder / name) for name in names], f"{folder / 'expected'}/", options)
    for result in pictures.run(plan.jobs, load()):
        if result.status != "done":
            raise SystemExit(f"{result.source}: {result.message}")


def main(folder: Path) -> None:
    """Write the pictures and results."""
    make(folder)
    (folder / "expected").mkdir()
    derain_all(folder, ["rocket.jpg", "coffee.jpg", "Straße im Regen.PNG", "deep.tif"])
    derained = read(folder / "expected" / "deep.tif")
    if not derained.is_deep:
        raise SystemExit("deep.tif: its result has 8 bits a channel; expected 16")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
