"""Check that two pictures differ by one grey level at most.

python .ci/within_a_level.py one.png other.png
"""

import sys

import numpy as np

from derain.images import read_image


def main() -> None:
    """Compare the pictures that the two arguments name."""
    one, other = (read_image(path).astype(int) for path in sys.argv[1:3])
    apart = np.abs(one - other)
    if apart.max() > 1:
        raise SystemExit(f"{sys.argv[1:3]} differ by {apart.max()} levels; expected 1 at most")
    print(f"{(apart > 0).mean():.2%} of the values differ by a level, the others not at all")


if __name__ == "__main__":
    main()
