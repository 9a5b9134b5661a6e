"""Photographs without clean twins."""

from dataclasses import dataclass
from pathlib import Path

from derain.data import clean_pictures
from derain.evaluate.results import distinct


@dataclass(frozen=True)
class Photograph:
    """A rainy picture that nobody has without the rain; its name keeps the suffix where another
    differs in that alone.
    """

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
    found = [
        Photograph(path.relative_to(folder).with_suffix("").as_posix(), path)
        for path in clean_pictures(folder)
    ]
    return Photographs(folder.resolve().name, distinct(found))
