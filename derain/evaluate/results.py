"""What the results of a dataset are called, and where they go: each a name of its own, none outside
its folder.
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from derain.data import Pair

if TYPE_CHECKING:
    from derain.evaluate.photographs import Photograph

Named = TypeVar("Named", Pair, "Photograph")


def distinct(pictures: Sequence[Named]) -> tuple[Named, ...]:
    """The pictures under names that occur once: those of one name keep their suffix, and a number
    where that is one, too.
    """
    times = Counter(picture.name for picture in pictures)
    names = [
        picture.name if times[picture.name] == 1 else picture.name + picture.rainy.suffix
        for picture in pictures
    ]
    return tuple(
        replace(picture, name=name) for picture, name in zip(pictures, numbered(names), strict=True)
    )


def numbered(names: Sequence[str]) -> list[str]:
    """Names that occur once: of equal ones the first stays, ``name-2`` and so on follow."""
    taken = set(names)
    seen: Counter[str] = Counter()
    own: list[str] = []
    for name in names:
        seen[name] += 1
        if seen[name] == 1:
            own.append(name)
            continue
        seen[name] = next(
            number for number in itertools.count(seen[name]) if f"{name}-{number}" not in taken
        )
        own.append(f"{name}-{seen[name]}")
        taken.add(own[-1])
    return own


def result_file(folder: Path, name: str) -> Path:
    """Where in a folder the result of a picture goes.

    Raises:
        ValueError: If that is outside the folder, as the names in a list of pairs may ask for.
    """
    target = folder / f"{name}.png"
    if not target.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"{name}: its result would lie outside {folder}; expected a name without .."
        )
    return target
