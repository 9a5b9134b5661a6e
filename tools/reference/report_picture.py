"""Make the picture of a report that docs/guides/evaluate.md shows.

    python -m tools.reference.report_picture

Needs PyTorch, the extra ``report``, scikit-image and Chromium (CHROMIUM names another browser). The
data are crops of the two photographs of examples/, without rain as scikit-image holds them, with
synthetic rain: all may be redistributed.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from derain import cli
from derain.images import write_image

PICTURE = Path(__file__).parent.parent.parent / "docs/guides/report.png"
MODELS = ("petrichor-live", "petrichor", "crdnet")
PRESETS = {"light-rain": "rain100l", "heavy-rain": "rain100h"}
SIDE = 200
WINDOW = (1000, 2190)
"""Width and height of the browser's window in pixels; the page is cut off at its bottom."""
COLOURS = 160
"""Colours of the picture: enough for its crops, and the file stays small."""


def crops() -> Iterator[NDArray[np.uint8]]:
    """Yield eight crops of the photographs in examples/."""
    for photo in (skimage.data.rocket(), skimage.data.coffee()):
        for top, left in ((0, 120), (0, 320), (200, 120), (200, 320)):
            yield np.ascontiguousarray(photo[top : top + SIDE, left : left + SIDE])


def call(*arguments: object) -> None:
    """Run the command in this process.

    Raises:
        SystemExit: If it fails.
    """
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as error:
        if error.code:
            raise


def take_picture(page: Path, target: Path) -> None:
    """Write the top of a page as Chromium shows it to a PNG file."""
    browser = os.environ.get("CHROMIUM", "chromium")
    size = f"--window-size={WINDOW[0]},{WINDOW[1]}"
    shot = page.with_suffix(".png")
    options = ("--headless", "--no-sandbox", "--hide-scrollbars", size, f"--screenshot={shot}")
    subprocess.run([browser, *options, page.as_uri()], check=True, capture_output=True)
    with Image.open(shot) as image:
        image.convert("RGB").quantize(COLOURS).save(target, optimize=True)


def main() -> None:
    """Make pairs, score models on them, and take a picture of the report."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "clean").mkdir()
        for number, crop in enumerate(crops()):
            write_image(place / f"clean/{number}.png", crop)
        for folder, preset in PRESETS.items():
            call("synth", place / "clean", "-o", place / folder, "--preset", preset, "--seed", 7)
        report = place / "report.html"
        data = (place / folder for folder in PRESETS)
        call("evaluate", *MODELS, *data, "--report", report, "--csv", place / "scores.csv")
        take_picture(report, PICTURE)
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
