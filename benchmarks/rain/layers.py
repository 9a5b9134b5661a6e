r"""Measure layers of real rain (rainy minus clean) and of the presets in the same way.

    python -m benchmarks.rain.layers PATH/TO/Rain100L-dev10 PATH/TO/Rain100H-dev10 \
        --clean PATH/TO/clean/val
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.pairs import PixelPair, real_pairs, synthetic_pairs
from benchmarks.tables import table_head, table_row

Layer = NDArray[np.float64]
RAINY = 8 / 255


@dataclass(frozen=True)
class Measures:
    """Measures of one picture's rain.

    Attributes:
        coverage: Share of pixels to which it adds more than 8 of 255.
        median: What it adds there, of 255.
        bright: The same, 95th percentile.
        lean: Main direction in degrees from the vertical, either way.
        parallel: How much of the gradient lies across that direction, 0.5 for any, 1 for all.
        width: Distance across in pixels at which the layer's correlation with itself falls to a
            half.
        length: The same along.
        saturated: Share of pixels that the rain made white.
    """

    coverage: float
    median: float
    bright: float
    lean: float
    parallel: float
    width: float
    length: float
    saturated: float


def main() -> None:
    """Print a table: median over the pictures, and the range."""
    parser = new_parser(__doc__)
    parser.add_argument("pairs", nargs="+", type=Path, help="folders of real pairs")
    parser.add_argument("--clean", type=Path, required=True, help="clean pictures for our presets")
    parser.add_argument("--presets", nargs="+", default=["rain100l", "light", "rain100h", "heavy"])
    arguments = parser.parse_args()
    names = [field.name for field in fields(Measures)]
    print("Median (least to most) over the pictures.\n")
    print(table_head("rain", *names))
    for folder in arguments.pairs:
        print_row(folder.name, real_pairs(folder))
    for preset in arguments.presets:
        print_row(f"`{preset}`", synthetic_pairs(arguments.clean, preset))
    print(f"\nMeasured on {describe_machine()}.")


def print_row(name: str, pairs: Sequence[PixelPair]) -> None:
    """Print the row of one set of pairs."""
    found = [measure(pair) for pair in pairs]
    cells: list[str] = []
    for field in fields(Measures):
        values = np.array([getattr(each, field.name) for each in found])
        digits = (
            2
            if field.name in ("coverage", "parallel", "saturated")
            else 1
            if field.name in ("width", "length")
            else 0
        )
        cells.append(
            f"{np.median(values):.{digits}f} ({values.min():.{digits}f} to"
            f" {values.max():.{digits}f})"
        )
    print(table_row(name, *cells), flush=True)


def measure(pair: PixelPair) -> Measures:
    """Measure the difference of a pair.

    The channel with the largest difference counts at each pixel, since it is clipped least.
    """
    rainy, clean = (picture.astype(np.float64) for picture in pair)
    layer = (rainy - clean).max(2)
    lit = layer[layer > RAINY * 255]
    lean, parallel = direction(layer)
    width, length = reach(layer, lean)
    white = ((rainy == 255).all(2) & ~(clean == 255).all(2)).mean()
    median, bright = np.percentile(lit, [50, 95]) if lit.size else (0.0, 0.0)
    return Measures(
        lit.size / layer.size,
        float(median),
        float(bright),
        abs(lean),
        parallel,
        width,
        length,
        float(white),
    )


def direction(layer: Layer) -> tuple[float, float]:
    """Return the direction along which a layer changes least, and how much less.

    Returns:
        Degrees from the vertical, and the share of the structure tensor's larger eigenvalue.
    """
    down, right = np.gradient(layer)
    cross = (down * right).sum()
    values, vectors = np.linalg.eigh(
        np.array([[(right**2).sum(), cross], [cross, (down**2).sum()]])
    )
    x, y = vectors[:, 0]
    return float(np.degrees(np.arctan(x / y))) if y else 90.0, float(
        values[1] / max(values.sum(), 1e-12)
    )


def reach(layer: Layer, lean: float) -> tuple[float, float]:
    """Return the distances in pixels, across and along, at which correlation falls to a half."""
    spectrum = np.abs(np.fft.fft2(layer - layer.mean())) ** 2
    correlation = np.fft.ifft2(spectrum).real
    correlation /= correlation[0, 0]
    along = np.array([np.cos(np.radians(lean)), np.sin(np.radians(lean))])
    across = np.array([-along[1], along[0]])
    return half_life(correlation, across), half_life(correlation, along)


def half_life(correlation: Layer, step: NDArray[np.float64]) -> float:
    """Return the first distance at which the correlation in a direction is under a half.

    It is tried every quarter of a pixel, bilinear between pixels, up to 60.
    """
    for distance in np.arange(0.25, 60, 0.25):
        y, x = step * distance
        top, left = int(np.floor(y)), int(np.floor(x))
        corners = [
            [
                correlation[(top + i) % correlation.shape[0], (left + j) % correlation.shape[1]]
                for j in (0, 1)
            ]
            for i in (0, 1)
        ]
        weights = np.outer([1 - (y - top), y - top], [1 - (x - left), x - left])
        if (np.array(corners) * weights).sum() < 0.5:
            return float(distance)
    return 60.0


if __name__ == "__main__":
    main()
