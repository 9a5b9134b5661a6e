"""Photographs that nobody has without the rain."""

from dataclasses import dataclass
from pathlib import Path

from derain.data import clean_pictures
from derain.evaluate.results import distinct
from derain.files import is_result_name


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

    layout = "photographs without clean twins"

    def __len__(self) -> int:
        return len(self.photographs)


def find_photographs(folder: Path) -> Photographs:
    """Return all pictures anywhere under a folder, img2 before img10.

    Results of derain that lie beside their inputs are none of them, unless there is nothing else.

    Raises:
        FileNotFoundError: If there are no pictures.
        OSError: If a folder cannot be listed.
    """
    paths = clean_pictures(folder)
    rainy = [path for path in paths if not is_result_name(path.name)] or paths
    found = [
        Photograph(path.relative_to(folder).with_suffix("").as_posix(), path) for path in rainy
    ]
    return Photographs(folder.resolve().name, distinct(found))
