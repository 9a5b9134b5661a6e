"""Data to train on and to score, of one picture of noise each."""

from pathlib import Path

import numpy as np

from derain.images import write_image


def noise_places(folder: Path) -> list[str]:
    """Return a folder of clean pictures and one of pairs, as the scripts take them."""
    draws = np.random.default_rng(0)
    for name in ("clean/train", "clean/val", "pairs/rainy", "pairs/clean"):
        (folder / name).mkdir(parents=True)
        write_image(folder / name / "1.png", draws.integers(0, 256, (40, 50, 3), np.uint8))
    return [str(folder / name) for name in ("clean", "pairs")]
