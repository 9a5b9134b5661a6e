"""Sources of training data: pairs of a folder, or clean pictures under synthetic rain."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from derain import metrics, rain
from derain.data import (
    Layout,
    NoPairsError,
    PairedFolder,
    Place,
    TwoFolders,
    clean_pictures,
    find_pairs,
    read_pair,
    unknown_pairs,
)
from derain.errors import SettingError
from derain.files import amount, printable
from derain.images import Pixels, read_image
from derain.networks import Network
from derain.rain.crops import generator_for, shrink, to_tensor
from derain.recipes import RECIPES, Recipe
from derain.train.batches import LONG_SIDE, BatchSource, PairedBatches, RainyBatches
from derain.train.ranks import ALONE, Ranks

BEST_PSNR = 100.0
"""PSNR in dB that perfect results count as: means of infinity say nothing."""


OF_PHOTOGRAPHS: Mapping[str, float | str] = {
    "bars": 0.0,
    "exposure": 0.0,
    "blown": 0.0,
    "compressed": 0.0,
    "textures": "",
}
"""Settings of what happens to photographs, and their values where nothing does, as with pairs."""


@dataclass(frozen=True)
class Source:
    """The content of a folder: pairs, or photographs without rain.

    Attributes:
        pairs: None for photographs.
        photographs: Empty for pairs.
    """

    place: Place
    pairs: PairedFolder | None = None
    photographs: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All files there are, each once."""
        if self.pairs is None:
            return self.photographs
        both = (path for pair in self.pairs.pairs for path in (pair.rainy, pair.clean))
        return tuple(dict.fromkeys(both))

    def describe(self, rain: Sequence[str]) -> str:
        """Say in a line what was found.

        Args:
            rain: Presets that fall on photographs.
        """
        where = printable(str(self.place))
        if self.pairs is None:
            count = amount(len(self.photographs), "photograph")
            return f"{count} in {where}, with synthetic rain ({', '.join(rain)})"
        count = amount(len(self.pairs.pairs), "pair")
        return f"{count} in {where}, {self.pairs.layout}; no rain is added"


def find_source(place: Place, layout: Layout | None = None) -> Source:
    """Return what lies in a folder, a list, or two folders.

    Raises:
        FileNotFoundError: If there are no pictures.
        ValueError: If there are pairs that are broken, in another layout than the one that was
            named, or in none that derain knows.
    """
    try:
        return Source(place, pairs=find_pairs(place, layout))
    except NoPairsError:
        if layout not in (None, "photographs") or isinstance(place, TwoFolders):
            raise
    doubt = None if layout else unknown_pairs(place)
    if doubt:
        raise ValueError(doubt.message)
    return Source(place, photographs=tuple(clean_pictures(place)))


def open_batches(recipe: Recipe, source: Place | Source, *, ranks: Ranks = ALONE) -> BatchSource:
    """Return batches of pairs, or of clean pictures under the recipe's rain.

    Args:
        recipe: Says what batches are made of.
        source: What `find_source` found, or where it shall look.
        ranks: The processes that share each batch.

    Raises:
        FileNotFoundError: If there are no pictures.
        ValueError: If there are pairs that are broken, or in another layout, or the batch cannot be
            divided over the processes.
    """
    options: dict[str, Any] = {
        "batch": recipe.batch,
        "crop": recipe.crop,
        "augment": recipe.augment,
        "seed": recipe.seed,
        "places": ranks.share(recipe.batch),
    }
    found = source if isinstance(source, Source) else find_source(source)
    if found.pairs is not None:
        return PairedBatches(found.pairs.pairs, **options)
    return RainyBatches(
        found.photographs,
        [rain.PRESETS[name] for name in recipe.rain],
        bars=recipe.bars,
        exposure=recipe.exposure,
        blown=recipe.blown,
        compressed=recipe.compressed,
        bank=rain.load_textures(Path(recipe.textures)) if recipe.textures else None,
        **options,
    )


def refuse_unused(recipe: Recipe, source: Source) -> None:
    """Refuse settings that were made for photographs if there are pairs, which stay as they are.

    Raises:
        SettingError: For one that the recipe of this name has not, and pairs make no use of.
    """
    if source.pairs is None:
        return
    usual = RECIPES.get(recipe.name, recipe)
    for key, unused in OF_PHOTOGRAPHS.items():
        value = getattr(recipe, key)
        if value not in (getattr(usual, key), unused):
            raise SettingError(
                "is for photographs, and these are pairs, which stay as they are; leave it out",
                option=key,
                value=str(value),
            )


def rain_of(recipe: Recipe, batches: BatchSource) -> str:
    """Return what rain falls on the pictures, for the card; empty for pairs, which have theirs."""
    if not isinstance(batches, RainyBatches):
        return ""
    names = ", ".join(recipe.rain)
    if not batches.textured:
        return names
    return f"{names}, with streak textures ({Path(recipe.textures).name})"


def lacks_textures(recipe: Recipe, batches: BatchSource) -> bool:
    """Return whether a preset has layers of textures that are drawn because there are no files."""
    wanted = any(rain.PRESETS[name].has_textures for name in recipe.rain)
    return isinstance(batches, RainyBatches) and wanted and not batches.textured


@dataclass(frozen=True)
class ValidationPair:
    """A pair that is validated on, (3, h, w) in [0, 1] each, and the kind of its rain."""

    rain: str
    rainy: Tensor
    clean: Tensor


class ValidationSet:
    """Pairs to validate on: real ones, or clean pictures under each of the recipe's presets.

    Rain is seeded by the place of a picture in its folder, and so always the same.

    Args:
        recipe: Says which part of a picture is validated on, and under which rain.
        source: What `find_source` found, or where it shall look.
    """

    def __init__(self, recipe: Recipe, source: Place | Source) -> None:
        self._side = recipe.validation_crop
        found = source if isinstance(source, Source) else find_source(source)
        self.pairs: list[ValidationPair] = []
        if found.pairs is not None:
            for pair in found.pairs.pairs:
                rainy, clean = (self._cut(pixels) for pixels in read_pair(pair))
                self.pairs.append(ValidationPair(found.place.name, rainy, clean))
            return
        crops = [self._cut(read_image(path)) for path in found.photographs]
        for name in recipe.validation_rain or recipe.rain:
            for k, clean in enumerate(crops):
                size = (clean.shape[1], clean.shape[2])
                drops = rain.sample(rain.PRESETS[name], size, generator_for(k))
                self.pairs.append(ValidationPair(name, rain.compose(clean, drops), clean))

    def _cut(self, pixels: Pixels) -> Tensor:
        """Return the centre of a picture, or the whole of it, as (3, h, w) in [0, 1]."""
        picture = to_tensor(pixels)
        if self._side is None:
            return shrink(picture, LONG_SIDE)
        top, left = (max(0, (side - self._side) // 2) for side in picture.shape[1:])
        return picture[:, top : top + self._side, left : left + self._side]

    def score(
        self,
        network: Network,
        device: torch.device,
        on_result: Callable[[int, Tensor], None] = lambda _number, _output: None,
        ranks: Ranks = ALONE,
    ) -> dict[str, float]:
        """Return the mean PSNR (y-matlab) in dB by kind of rain, and ``mean`` over these.

        Args:
            network: In evaluation mode.
            device: Where it computes.
            on_result: Gets the number of each of `pairs`, and what the network makes of it,
                (3, h, w) in about [0, 1].
            ranks: The processes that share the pairs; each gets all scores.

        Raises:
            FloatingPointError: If the network gives values that are not finite numbers.
        """
        found: dict[int, float] = {}
        with torch.inference_mode():
            for number, pair in enumerate(self.pairs):
                if not ranks.takes(number):
                    continue
                output = network(pair.rainy[None].to(device))[0].float().cpu()
                if not bool(torch.isfinite(output).all()):
                    raise FloatingPointError(
                        "the network returned NaN or infinity; a smaller lr, or clip=1, may help"
                    )
                psnr = metrics.psnr(_luma(output), _luma(pair.clean))
                found[number] = min(psnr, BEST_PSNR)
                on_result(number, output)
        psnrs = ranks.joined(found)
        scores: dict[str, list[float]] = {}
        # In the order of the pairs, so that the sums are those of one process.
        for number, pair in enumerate(self.pairs):
            scores.setdefault(pair.rain, []).append(psnrs[number])
        means = {name: float(np.mean(values)) for name, values in scores.items()}
        return means | {"mean": float(np.mean(list(means.values())))}


def validated_part(recipe: Recipe) -> str:
    """Say which part of each picture is validated on."""
    side = recipe.validation_crop
    if side is None:
        return f"whole pictures, made smaller where a side is longer than {LONG_SIDE} pixels"
    return f"the middle {side}x{side} pixels of each picture"


def _luma(picture: Tensor) -> NDArray[np.float64]:
    """Return the luma of (3, H, W) in [0, 1] as y-matlab compares it, (H, W)."""
    levels = metrics.quantise(np.asarray(picture.permute(1, 2, 0)))
    return metrics.luma_matlab(levels)
