"""Measure what models do to pictures without rain, as they are and overexposed.

White sky between leaves, railings and grass are no rain and should stay. The pictures of CLEAN/val,
or those of a folder without a val, are used as they are, and one and two stops brighter, where
skies turn white.

    python -m benchmarks.quality.dry CLEAN petrichor nledn
"""

import statistics
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from derain import metrics
from derain.data import clean_pictures
from derain.images import read_image, to_eight_bits
from derain.restore import load

STOPS = (0, 1, 2)


def main() -> None:
    """Print a row for each model."""
    parser = new_parser(__doc__)
    parser.add_argument("clean", type=Path, help="holds val/ of clean pictures, or these")
    parser.add_argument("models", nargs="+")
    arguments = parser.parse_args()
    held_out = arguments.clean / "val"
    folder = held_out if held_out.is_dir() else arguments.clean
    pictures = [to_eight_bits(read_image(path)) for path in clean_pictures(folder)]
    columns = [name for stops in STOPS for name in (f"+{stops} stops, dB", "darker by")]
    print(table_head("model", *columns))
    for name in arguments.models:
        derainer = load(name, dtype="float32")
        cells: list[str] = []
        for stops in STOPS:
            bright = [exposed(picture, stops) for picture in pictures]
            results = [derainer(picture) for picture in bright]
            cells.append(f"{statistics.mean(map(fidelity, results, bright)):.2f}")
            cells.append(f"{statistics.mean(map(darkening, results, bright)):.2f}")
        print(table_row(f"`{name}`", *cells), flush=True)
    print(
        f"\n{len(pictures)} pictures without rain; PSNR of result against picture, y-matlab; levels"
        " of 255. ",
        end="",
    )
    print(f"Measured on {describe_machine()}.")


def exposed(picture: NDArray[np.uint8], stops: float) -> NDArray[np.uint8]:
    """Return the picture brighter by so many stops, clipped."""
    return np.clip(np.rint(picture * 2.0**stops), 0, 255).astype(np.uint8)


def fidelity(result: NDArray[np.uint8], picture: NDArray[np.uint8]) -> float:
    """Return the PSNR in dB on luma (y-matlab); identical pictures count as 100 dB."""
    return min(100.0, metrics.psnr(metrics.luma_matlab(result), metrics.luma_matlab(picture)))


def darkening(result: NDArray[np.uint8], picture: NDArray[np.uint8]) -> float:
    """Return by how many levels of 255 the result is darker in the mean."""
    return float(picture.mean() - result.mean())


if __name__ == "__main__":
    main()
