"""What a run trains and validates on: pairs of a folder, or clean pictures under synthetic rain."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from derain import metrics, rain
from derain.data import Layout, NoPairsError, Pair, clean_pictures, find_pairs, read_pair
from derain.images import Pixels, read_image
from derain.networks import Network
from derain.rain.crops import generator_for, shrink, to_tensor
from derain.recipes import Recipe
from derain.train.batches import LONG_SIDE, BatchSource, PairedBatches, RainyBatches

BEST_PSNR = 100.0
"""PSNR in dB that perfect results count as: means of infinity say nothing."""


def open_batches(recipe: Recipe, folder: Path, layout: Layout | None = None) -> BatchSource:
    """Return batches of a folder's pairs, or of its clean pictures under the recipe's rain.

    Raises:
        FileNotFoundError: If the folder holds no pictures.
        ValueError: If it holds pairs that are broken, or in another layout.
    """
    options: dict[str, Any] = {
        "batch": recipe.batch,
        "crop": recipe.crop,
        "augment": recipe.augment,
        "seed": recipe.seed,
    }
    pairs = pairs_of(folder, layout)
    if pairs is not None:
        return PairedBatches(pairs, **options)
    return RainyBatches(
        clean_pictures(folder),
        [rain.PRESETS[name] for name in recipe.rain],
        exposure=recipe.exposure,
        blown=recipe.blown,
        compressed=recipe.compressed,
        bank=rain.load_textures(Path(recipe.textures)) if recipe.textures else None,
        **options,
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


def pairs_of(folder: Path, layout: Layout | None) -> tuple[Pair, ...] | None:
    """Return the pairs of a folder; None if it is not a paired dataset.

    Raises:
        ValueError: If the dataset is broken, or is not in the layout that was named.
    """
    try:
        return find_pairs(folder, layout).pairs
    except NoPairsError:
        if layout:
            raise
        return None


class ValidationSet:
    """Pairs to validate on: real ones, or clean pictures under each of the recipe's presets.

    Rain is seeded by the place of a picture in its folder, and so always the same.
    """

    def __init__(self, recipe: Recipe, folder: Path, layout: Layout | None = None) -> None:
        self._side = recipe.validation_crop
        self._pairs: list[tuple[str, Tensor, Tensor]] = []
        pairs = pairs_of(folder, layout)
        if pairs is not None:
            for pair in pairs:
                rainy, clean = (self._cut(pixels) for pixels in read_pair(pair))
                self._pairs.append((folder.name, rainy, clean))
            return
        crops = [self._cut(read_image(path)) for path in clean_pictures(folder)]
        for name in recipe.validation_rain or recipe.rain:
            for k, clean in enumerate(crops):
                size = (clean.shape[1], clean.shape[2])
                drops = rain.sample(rain.PRESETS[name], size, generator_for(k))
                self._pairs.append((name, rain.compose(clean, drops), clean))

    def _cut(self, pixels: Pixels) -> Tensor:
        """Return the centre of a picture, or the whole of it, as (3, h, w) in [0, 1]."""
        picture = to_tensor(pixels)
        if self._side is None:
            return shrink(picture, LONG_SIDE)
        top, left = (max(0, (side - self._side) // 2) for side in picture.shape[1:])
        return picture[:, top : top + self._side, left : left + self._side]

    def score(self, network: Network, device: torch.device) -> dict[str, float]:
        """Return the mean PSNR (y-matlab) in dB by kind of rain, and ``mean`` over these.

        Raises:
            FloatingPointError: If the network gives values that are not finite numbers.
        """
        scores: dict[str, list[float]] = {}
        with torch.inference_mode():
            for name, rainy, clean in self._pairs:
                output = network(rainy[None].to(device))[0].float().cpu()
                if not bool(torch.isfinite(output).all()):
                    raise FloatingPointError(
                        "the network gives values that are no numbers; a smaller lr, or clip=1, may"
                        " help"
                    )
                psnr = metrics.psnr(_luma(output), _luma(clean))
                scores.setdefault(name, []).append(min(psnr, BEST_PSNR))
        means = {name: float(np.mean(values)) for name, values in scores.items()}
        return means | {"mean": float(np.mean(list(means.values())))}


def _luma(picture: Tensor) -> NDArray[np.float64]:
    """Return the luma of (3, H, W) in [0, 1] as y-matlab compares it, (H, W)."""
    levels = metrics.quantise(np.asarray(picture.permute(1, 2, 0)))
    return metrics.luma_matlab(levels)
