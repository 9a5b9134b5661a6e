"""Three validation pictures as they come, derained, and clean, for people to look at."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from derain.evaluate.report.crops import busiest_window, to_png
from derain.files import write_file
from derain.metrics import quantise
from derain.train.ranks import Ranks
from derain.train.run import SAMPLES
from derain.train.sources import ValidationPair

COUNT = 3
SIDE = 240
"""Longest side of a window in pixels."""
LINE = 4
"""Width of the white lines between pictures, in pixels."""


class Samples:
    """Windows of some validation pictures: with rain, derained, and clean, side by side.

    The window is where rain changes a picture most. It is the same in every validation.

    Args:
        pairs: All that are validated on.
    """

    def __init__(self, pairs: Sequence[ValidationPair]) -> None:
        self._pairs = pairs
        self._chosen = list(spread(pairs))
        self._outputs: dict[int, Tensor] = {}

    def keep(self, number: int, output: Tensor) -> None:
        """Keep what the network makes of a pair, (3, h, w), if it is one of those."""
        if number in self._chosen:
            self._outputs[number] = output

    def share(self, ranks: Ranks) -> None:
        """Exchange what was kept between the processes of a run."""
        self._outputs = ranks.joined(self._outputs)

    def write(self, folder: Path) -> None:
        """Write what was kept, a file for each pair.

        Raises:
            OSError: If a file cannot be written.
        """
        for place, number in enumerate(self._chosen, 1):
            pair = self._pairs[number]
            rainy, derained, clean = (
                _levels(picture) for picture in (pair.rainy, self._outputs[number], pair.clean)
            )
            window = busiest_window(rainy, clean, SIDE)
            line = np.full((window.height, LINE, 3), 255, np.uint8)
            parts = [window.of(rainy), line, window.of(derained), line, window.of(clean)]
            write_file(folder / SAMPLES.format(place), to_png(np.concatenate(parts, axis=1)))


def spread(pairs: Sequence[ValidationPair]) -> Iterator[int]:
    """Yield the numbers of a few pairs, of different pictures and, if possible, kinds of rain."""
    kinds: dict[str, list[int]] = {}
    for number, pair in enumerate(pairs):
        kinds.setdefault(pair.rain, []).append(number)
    groups = list(kinds.values())
    count = min(COUNT, len(pairs))
    taken: set[int] = set()
    for k in range(count):
        group = groups[k % len(groups)]
        # Kinds of rain fall on the same pictures: another place is another picture.
        number = group[(2 * k + 1) * len(group) // (2 * count)]
        if number not in taken:
            taken.add(number)
            yield number


def _levels(picture: Tensor) -> NDArray[np.uint8]:
    """Return a picture (3, H, W) in about [0, 1] as levels (H, W, 3)."""
    return quantise(np.asarray(picture.permute(1, 2, 0)))
