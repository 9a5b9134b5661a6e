"""Pictures that hold rainy and clean side by side, as in Rain800 and Rain1200."""

from collections.abc import Callable, Sequence
from pathlib import Path

from derain.data.alignment import align, luma, rainier
from derain.data.pairs import Half, Pair, halves
from derain.images import Pixels, read_image
from derain.metrics import Float64s

LOOKED_AT = 15
"""Pictures that vote, spread evenly over a dataset."""
DOUBT = 3
"""Pictures that decide alone if none of them is two in one."""


def rainy_half(files: Sequence[Path], read: Callable[[Path], Pixels] = read_image) -> Half | None:
    """Return which half of the pictures is rainy, by vote; None if most are not two in one.

    Args:
        files: Pictures of one dataset.
        read: Reads a picture (H, W, 3); it raises OSError or ValueError if it cannot.
    """
    votes: list[int] = []
    seen = 0
    for path in _spread(files):
        both = _both(path, read)
        seen += 1
        if both and align(*both).verdict == "aligned":
            votes.append(rainier(*both))
        elif seen == DOUBT and not votes:
            return None
    if len(votes) * 2 <= seen:
        return None
    return "left" if sum(votes) >= 0 else "right"


def pairs_of_halves(files: Sequence[Path], folder: Path, rainy: Half) -> list[Pair]:
    """Return every picture as a pair."""
    return [
        Pair(path.relative_to(folder).with_suffix("").as_posix(), path, path, rainy)
        for path in files
    ]


def _spread(files: Sequence[Path]) -> list[Path]:
    count = min(LOOKED_AT, len(files))
    return [files[k * len(files) // count] for k in range(count)]


def _both(path: Path, read: Callable[[Path], Pixels]) -> tuple[Float64s, Float64s] | None:
    """Return the luma of both halves, or None if the picture cannot be read or cut."""
    try:
        left, right = halves(read(path), path)
    except (ValueError, OSError):
        return None
    return luma(left), luma(right)
