"""How often the sensed rain density is right: clean pictures under seeded rain, the label told from
each pair.

python benchmarks/density.py crdnet PATH/TO/clean/val
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from machine import describe_machine

from derain import rain
from derain.data import clean_pictures
from derain.images import read_image
from derain.networks.losses import cumulative_labels
from derain.rain.crops import generator_for, to_tensor
from derain.restore import load

WORDS = ("none", "light", "medium", "heavy")


def main() -> None:
    """Counts labels against what is sensed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument(
        "folder", type=Path, help="clean pictures that the model was not trained on"
    )
    arguments = parser.parse_args()
    derainer = load(arguments.model)
    counts: Counter[tuple[str, str]] = Counter()
    for k, path in enumerate(clean_pictures(arguments.folder)):
        clean = to_tensor(read_image(path))
        pictures = [clean]
        for preset in (rain.PRESETS["rain100l"], rain.PRESETS["rain100h"]):
            streaks = rain.sample(preset, (clean.shape[1], clean.shape[2]), generator_for(k))
            pictures.append(rain.compose(clean, streaks))
        for rainy in pictures:
            label = WORDS[int(cumulative_labels(rainy[None], clean[None]).sum())]
            levels = torch.round(rainy * 255).byte().permute(1, 2, 0).numpy()
            counts[label, derainer.density(np.ascontiguousarray(levels)).word] += 1
    print("| label | " + " | ".join(f"sensed {word}" for word in WORDS) + " |")
    print("|---|" + "---|" * len(WORDS))
    for label in WORDS:
        print(f"| {label} | " + " | ".join(str(counts[label, word]) for word in WORDS) + " |")
    right = sum(count for (label, word), count in counts.items() if label == word)
    print(f"\n{right} of {counts.total()} right. Measured on {describe_machine()}.")


if __name__ == "__main__":
    main()
