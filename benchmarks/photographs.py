"""How far models change the mean colour of real photographs: rain taken out darkens a picture, a
colour shift leans it.

python benchmarks/photographs.py nledn dpenet PATH/TO/photos
"""

import argparse
from pathlib import Path

import numpy as np
from machine import describe_machine

from derain.data import clean_pictures
from derain.images import read_image
from derain.restore import load


def main() -> None:
    """Prints the change of each model: mean over the pictures, and the largest."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", help="weights by name or file")
    parser.add_argument("folder", type=Path, help="photographs")
    arguments = parser.parse_args()
    photographs = [read_image(path) for path in clean_pictures(arguments.folder)]
    print(f"{len(photographs)} photographs, levels of 255.\n")
    print(
        "| model | brightness, mean | darkest | lean of a channel from the others, mean | largest"
        " |\n|---|---|---|---|---|"
    )
    for name in arguments.models:
        derainer = load(name)
        change = np.array(
            [(derainer(photo).astype(float) - photo).mean((0, 1)) for photo in photographs]
        )  # (pictures, 3)
        brightness = change.mean(1)
        lean = np.abs(change - brightness[:, None]).max(1)
        cells = [f"{value:+.1f}" for value in (brightness.mean(), brightness.min())]
        print(
            f"| `{name}` | {' | '.join(cells)} | {lean.mean():.1f} | {lean.max():.1f} |", flush=True
        )
    print(f"\nMeasured on {describe_machine()}.")


if __name__ == "__main__":
    main()
