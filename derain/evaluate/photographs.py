"""Photographs without clean twins."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from derain.data import clean_pictures


@dataclass(frozen=True)
class Photograph:
    """A rainy picture that nobody has without the rain; its name keeps the suffix where another differs in that alone."""

    name: str
    rainy: Path


@dataclass(frozen=True)
class Photographs:
    """A folder of them."""

    name: str
    photographs: tuple[Photograph, ...]

    layout = "photographs without clean twins"


def find_photographs(folder: Path) -> Photographs:
    """All pictures anywhere under a folder, img2 before img10.

    Raises:
        FileNotFoundError: If there are none.
        OSError: If a folder cannot be looked into.
    """
    found = {path: path.relative_to(folder) for path in clean_pictures(folder)}
    stems = Counter(inside.with_suffix("") for inside in found.values())
    names = {path: inside.with_suffix("") if stems[inside.with_suffix("")] == 1 else inside for path, inside in found.items()}
    return Photographs(folder.resolve().name, tuple(Photograph(name.as_posix(), path) for path, name in names.items()))
