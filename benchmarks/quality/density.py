"""Count how often the sensed rain density is right, on clean pictures under seeded rain.

The correct label is computed from each pair.

    python -m benchmarks.quality.density crdnet PATH/TO/clean/val
"""

from collections import Counter
from pathlib import Path

import numpy as np
import torch

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from derain import rain
from derain.data import clean_pictures
from derain.images import read_image
from derain.networks.losses import cumulative_labels
from derain.rain.crops import generator_for, to_tensor
from derain.restore import load

WORDS = ("none", "light", "medium", "heavy")


def main() -> None:
    """Count labels against what is sensed, and print a table."""
    parser = new_parser(__doc__)
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
    print(table_head("label", *(f"sensed {word}" for word in WORDS)))
    for label in WORDS:
        print(table_row(label, *(counts[label, word] for word in WORDS)))
    right = sum(count for (label, word), count in counts.items() if label == word)
    print(f"\n{right} of {counts.total()} right. Measured on {describe_machine()}.")


if __name__ == "__main__":
    main()
