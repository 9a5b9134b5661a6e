"""Pictures for a report, gathered while they are derained.

These are windows of a few pictures, and the change of mean colour of all photographs. Whole
pictures are not kept, so that memory is bounded by the number of windows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from derain.data import PairedFolder
from derain.evaluate.photographs import Photographs
from derain.evaluate.report.crops import Window, busiest_window, to_png
from derain.evaluate.results import distinct
from derain.evaluate.scores import OnResult
from derain.metrics import Bytes, quantise

PAIRS = 4
"""Pictures shown of a dataset of pairs."""
PHOTOGRAPHS = 16
"""Pictures shown of a folder of photographs."""
PAIR_SIDE, PHOTOGRAPH_SIDE = 192, 256
"""Largest side of a window, in pixels."""
PAIR_PIXELS, PHOTOGRAPH_PIXELS = 1_000_000, 2_000_000
"""Of all windows of a dataset together: what a page can carry, at three bytes a pixel.

With many models windows are smaller.
"""


@dataclass
class Exhibit:
    """A window of one picture, as PNG files.

    Attributes:
        name: What the picture is called in results.
        window: Where it lies.
        rainy: The rainy input.
        clean: The clean picture; None for a photograph.
        outputs: What each model made of it, by the model's name.
    """

    name: str
    window: Window
    rainy: bytes
    clean: bytes | None
    outputs: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Exhibits:
    """The pictures of a dataset that are kept for the report.

    Attributes:
        chosen: Names of the pictures to show.
        side: Largest side of their windows, in pixels.
        by_name: Windows of the pictures that could be scored.
        changes: Change of mean colour of photographs, by model and picture: red, green and blue in
            levels of 255.
    """

    chosen: tuple[str, ...]
    side: int
    by_name: dict[str, Exhibit] = field(default_factory=dict)
    changes: dict[str, dict[str, NDArray[np.float64]]] = field(default_factory=dict)

    @property
    def shown(self) -> list[Exhibit]:
        """Windows of the pictures that could be scored, in the dataset's order."""
        return [self.by_name[name] for name in self.chosen if name in self.by_name]

    def add(self, model: str, name: str, rainy: Bytes, output: Bytes, clean: Bytes | None) -> None:
        """Keep what is shown of a picture as a model derained it; all pixels are (H, W, 3)."""
        if clean is None:
            change = output.mean(axis=(0, 1)) - rainy.mean(axis=(0, 1))
            self.changes.setdefault(model, {})[name] = change
        if name not in self.chosen:
            return
        # The window is chosen once, by the first model, so that it is the same for all.
        if name not in self.by_name:
            self.by_name[name] = _exhibit(name, rainy, output, clean, self.side)
        exhibit = self.by_name[name]
        exhibit.outputs[model] = to_png(exhibit.window.of(output))


def _exhibit(name: str, rainy: Bytes, output: Bytes, clean: Bytes | None, side: int) -> Exhibit:
    """Return the window where rain is densest; of a photograph, where the output changed most."""
    window = busiest_window(rainy, output if clean is None else clean, side)
    clean_part = None if clean is None else to_png(window.of(clean))
    return Exhibit(name, window, to_png(window.of(rainy)), clean_part)


class Gallery:
    """The exhibits of all datasets, by name.

    Args:
        models: How many will be compared, which the size of the windows depends on.
    """

    def __init__(self, models: int) -> None:
        self._models = models
        self.exhibits: dict[str, Exhibits] = {}

    def on_result(self, model: str, dataset: PairedFolder | Photographs) -> OnResult:
        """Return what `evaluate` calls after each picture, for a model of a name on a dataset."""
        exhibits = self.exhibits.setdefault(dataset.name, _exhibits(dataset, self._models))

        def keep(
            name: str,
            rainy: NDArray[np.floating],
            output: NDArray[np.floating],
            clean: Bytes | None,
        ) -> None:
            exhibits.add(model, name, quantise(rainy), quantise(output), clean)

        return keep


def _exhibits(dataset: PairedFolder | Photographs, models: int) -> Exhibits:
    """Choose the pictures of a dataset to show, and the size of their windows."""
    if isinstance(dataset, PairedFolder):
        chosen = evenly([pair.name for pair in distinct(dataset.pairs)], PAIRS)
        return Exhibits(chosen, _side(PAIR_SIDE, PAIR_PIXELS, len(chosen) * (models + 2)))
    chosen = evenly([photograph.name for photograph in distinct(dataset.photographs)], PHOTOGRAPHS)
    return Exhibits(chosen, _side(PHOTOGRAPH_SIDE, PHOTOGRAPH_PIXELS, len(chosen) * (models + 1)))


def _side(most: int, pixels: int, windows: int) -> int:
    """Return the side of windows that may have so many pixels together, and at most a side."""
    return min(most, math.isqrt(pixels // max(windows, 1)))


def evenly(names: Sequence[str], at_most: int) -> tuple[str, ...]:
    """Return names at equal distances; the first and the last are among them if two fit."""
    count = min(at_most, len(names))
    return tuple(names[k * (len(names) - 1) // max(count - 1, 1)] for k in range(count))
