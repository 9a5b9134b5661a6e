"""Photographs that nobody has without the rain."""

import os
from dataclasses import dataclass
from pathlib import Path

from derain.data import clean_pictures
from derain.evaluate.results import distinct


@dataclass(frozen=True)
class Photograph:
    """A rainy picture without a clean one to compare with.

    Attributes:
        name: Its path inside the folder without the suffix, which stays where another picture
            differs in nothing else.
        rainy: Its file.
    """

    name: str
    rainy: Path


@dataclass(frozen=True)
class Photographs:
    """A folder of photographs."""

    name: str
    photographs: tuple[Photograph, ...]

    layout = "photographs without ground truth"

    def __len__(self) -> int:
        return len(self.photographs)


def find_photographs(folder: str | os.PathLike[str]) -> Photographs:
    """Return all pictures anywhere under a folder, img2 before img10.

    Raises:
        FileNotFoundError: If there are no pictures.
        OSError: If a folder cannot be listed.
    """
    folder = Path(folder)
    found = [
        Photograph(path.relative_to(folder).with_suffix("").as_posix(), path)
        for path in clean_pictures(folder)
    ]
    return Photographs(folder.resolve().name, distinct(found))
