"""What is trained and validated on: pairs of a folder, or its clean pictures with rain of ours."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from derain import metrics, rain
from derain.data import Layout, NoPairsError, Pair, clean_pictures, find_pairs, read_pair
from derain.images import read_image
from derain.networks import Network
from derain.rain.crops import generator_for, shrink, to_tensor
from derain.recipes import Recipe
from derain.train.batches import LONG_SIDE, BatchSource, PairedBatches, RainyBatches


def open_batches(recipe: Recipe, folder: Path, layout: Layout | None = None) -> BatchSource:
    """Pairs if the folder holds some, else its pictures as clean ones under the recipe's rain.

    Raises:
        FileNotFoundError: If the folder holds no pictures.
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
    presets = [rain.PRESETS[name] for name in recipe.rain]
    bank = rain.load_textures(Path(recipe.textures)) if recipe.textures else None
    return RainyBatches(
        clean_pictures(folder),
        presets,
        exposure=recipe.exposure,
        blown=recipe.blown,
        compressed=recipe.compressed,
        bank=bank,
        **options,
    )


def rain_of(recipe: Recipe, batches: BatchSource) -> str:
    """Say what falls on the pictures, for the card: nothing of ours where they are pairs."""
    if not isinstance(batches, RainyBatches):
        return ""
    names = ", ".join(recipe.rain)
    return (
        f"{names}, with streak textures ({Path(recipe.textures).name})"
        if batches.textured
        else names
    )


def lacks_textures(recipe: Recipe, batches: BatchSource) -> bool:
    """Whether rain that is made of textures elsewhere is drawn, because there are none."""
    wanted = any(rain.PRESETS[name].has_textures for name in recipe.rain)
    return isinstance(batches, RainyBatches) and wanted and not batches.textured


def pairs_of(folder: Path, layout: Layout | None) -> tuple[Pair, ...] | None:
    """The pairs of a folder; None if it is no paired dataset. A broken one raises, or one that is
    not as it was said to be.
    """
    try:
        return find_pairs(folder, layout).pairs
    except NoPairsError:
        if layout:
            raise
        return None


class ValidationSet:
    """Pairs to validate on: real ones, or clean pictures with rain seeded by their place, once for
    each preset.
    """

    def __init__(self, recipe: Recipe, folder: Path, layout: Layout | None = None) -> None:
        self._pairs: list[tuple[str, Tensor, Tensor]] = []
        pairs = pairs_of(folder, layout)
        if pairs is not None:
            for pair in pairs:
                rainy, clean = (self._crop(to_tensor(pixels), recipe) for pixels in read_pair(pair))
                self._pairs.append((folder.name, rainy, clean))
        else:
            for name in recipe.validation_rain or recipe.rain:
                for k, path in enumerate(clean_pictures(folder)):
                    clean = self._crop(to_tensor(read_image(path)), recipe)
                    streaks = rain.sample(
                        rain.PRESETS[name], (clean.shape[1], clean.shape[2]), generator_for(k)
                    )
                    self._pairs.append((name, rain.compose(clean, streaks), clean))

    @staticmethod
    def _crop(picture: Tensor, recipe: Recipe) -> Tensor:
        if recipe.validation_crop is None:
            return shrink(picture, LONG_SIDE)
        top, left = (max(0, (side - recipe.validation_crop) // 2) for side in picture.shape[1:])
        return picture[:, top : top + recipe.validation_crop, left : left + recipe.validation_crop]

    def score(self, network: Network, device: torch.device) -> dict[str, float]:
        """Mean PSNR (y-matlab) by kind of rain, and ``mean`` over these."""
        scores: dict[str, list[float]] = {}
        with torch.inference_mode():
            for name, rainy, clean in self._pairs:
                output = network(rainy[None].to(device))[0].float().cpu()
                if not bool(torch.isfinite(output).all()):
                    raise FloatingPointError(
                        "the network gives values that are no numbers; a smaller lr, or clip=1, may"
                        " help"
                    )
                a, b = (metrics.quantise(np.asarray(t.permute(1, 2, 0))) for t in (output, clean))
                psnr = metrics.psnr(metrics.luma_matlab(a), metrics.luma_matlab(b))
                scores.setdefault(name, []).append(min(psnr, 100.0))
        means = {name: float(np.mean(values)) for name, values in scores.items()}
        return means | {"mean": float(np.mean(list(means.values())))}
