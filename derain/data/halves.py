"""Datasets of pictures that hold rainy and clean side by side, as Rain800 and Rain1200: recognised,
and which half is rainy.
"""

from collections.abc import Sequence
from pathlib import Path

from derain.data.alignment import Float64s, align, luma, rainier
from derain.data.pairs import Half, Pair, halves
from derain.images import ImageError, read_image

LOOKED_AT = 15
"""Pictures, spread evenly over a dataset."""
DOUBT = 3
"""Pictures that decide it alone, where none of them is two in one."""


def rainy_half(files: Sequence[Path]) -> Half | None:
    """Which half of the pictures is rainy, by vote; None if most of them are not two in one."""
    votes: list[int] = []
    seen = 0
    for path in _spread(files):
        both = _both(path)
        seen += 1
        if both and align(*both).verdict == "aligned":
            votes.append(rainier(*both))
        elif seen == DOUBT and not votes:
            return None
    if len(votes) * 2 <= seen:
        return None
    return "left" if sum(votes) >= 0 else "right"


def side_by_side(files: Sequence[Path], folder: Path, rainy: Half) -> list[Pair]:
    """Every picture as a pair."""
    return [
        Pair(path.relative_to(folder).with_suffix("").as_posix(), path, path, rainy)
        for path in files
    ]


def _spread(files: Sequence[Path]) -> list[Path]:
    count = min(LOOKED_AT, len(files))
    return [files[k * len(files) // count] for k in range(count)]


def _both(path: Path) -> tuple[Float64s, Float64s] | None:
    """Luma of the halves; None if it cannot be read or cut."""
    try:
        left, right = halves(read_image(path), path)
    except (ImageError, ValueError, OSError):
        return None
    return luma(left), luma(right)
