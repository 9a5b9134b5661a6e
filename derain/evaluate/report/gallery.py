"""What a report shows of pictures, gathered while they are derained: a window of a few, and how
mean colours changed.

Nothing whole is kept, so that memory is bounded by the number of windows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from derain.data import PairedFolder
from derain.evaluate.photographs import Photographs
from derain.evaluate.report.crops import Bytes, Window, busiest_window, to_png
from derain.evaluate.results import distinct
from derain.evaluate.scores import OnResult
from derain.metrics import quantise

PAIRS = 4
"""Pictures shown of a dataset of pairs."""
PHOTOGRAPHS = 16
"""Pictures shown of a folder of photographs."""
PAIR_SIDE, PHOTOGRAPH_SIDE = 192, 256
"""Largest side of a window, in pixels."""
PAIR_PIXELS, PHOTOGRAPH_PIXELS = 1_000_000, 2_000_000
"""Of all windows of a dataset together: what a page can carry, at three bytes a pixel. With many
models windows are smaller.
"""


@dataclass
class Scene:
    """A window of one picture, as PNG files: the rainy one, what each model made of it, the clean
    one if there is any.
    """

    name: str
    window: Window
    rainy: bytes
    clean: bytes | None
    outputs: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Exhibits:
    """What is kept of a dataset.

    Attributes:
        chosen: Names of the pictures to show.
        side: Of their windows, at most, in pixels.
        scenes: By name, those that could be scored.
        changes: Of mean colour, by model and picture: red, green and blue in levels of 255. Only of
            photographs.
    """

    chosen: tuple[str, ...]
    side: int
    scenes: dict[str, Scene] = field(default_factory=dict)
    changes: dict[str, dict[str, NDArray[np.float64]]] = field(default_factory=dict)

    @property
    def shown(self) -> list[Scene]:
        """The scenes in the dataset's order."""
        return [self.scenes[name] for name in self.chosen if name in self.scenes]

    def add(self, model: str, name: str, rainy: Bytes, output: Bytes, clean: Bytes | None) -> None:
        """A picture as a model derained it: (H, W, 3)."""
        if clean is None:
            self.changes.setdefault(model, {})[name] = output.mean(axis=(0, 1)) - rainy.mean(
                axis=(0, 1)
            )
        if name not in self.chosen:
            return
        if name not in self.scenes:
            self.scenes[name] = _scene(name, rainy, output, clean, self.side)
        scene = self.scenes[name]
        scene.outputs[model] = to_png(scene.window.of(output))


def _scene(name: str, rainy: Bytes, output: Bytes, clean: Bytes | None, side: int) -> Scene:
    """The window where rain is densest, or where the output, of the first model, differs most from
    a photograph.
    """
    window = busiest_window(rainy, output if clean is None else clean, side)
    return Scene(
        name, window, to_png(window.of(rainy)), None if clean is None else to_png(window.of(clean))
    )


class Gallery:
    """The exhibits of all datasets, by name.

    Args:
        models: How many will be compared, which the size of the windows depends on.
    """

    def __init__(self, models: int) -> None:
        self._models = models
        self.exhibits: dict[str, Exhibits] = {}

    def on_result(self, model: str, dataset: PairedFolder | Photographs) -> OnResult:
        """What `evaluate` is to call after each picture of a dataset, for the model of that
        name.
        """
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
    if isinstance(dataset, PairedFolder):
        chosen = evenly([pair.name for pair in distinct(dataset.pairs)], PAIRS)
        return Exhibits(chosen, _side(PAIR_SIDE, PAIR_PIXELS, len(chosen) * (models + 2)))
    chosen = evenly([photograph.name for photograph in distinct(dataset.photographs)], PHOTOGRAPHS)
    return Exhibits(chosen, _side(PHOTOGRAPH_SIDE, PHOTOGRAPH_PIXELS, len(chosen) * (models + 1)))


def _side(most: int, pixels: int, windows: int) -> int:
    """Of so many windows that may have so many pixels together."""
    return min(most, math.isqrt(pixels // max(windows, 1)))


def evenly(names: Sequence[str], at_most: int) -> tuple[str, ...]:
    """Names at equal distances, the first and the last among them unless there is but one to
    choose.
    """
    count = min(at_most, len(names))
    return tuple(names[k * (len(names) - 1) // max(count - 1, 1)] for k in range(count))
