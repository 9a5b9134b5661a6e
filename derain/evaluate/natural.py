"""The NIQE model of a folder of clean pictures, or of a file."""

from collections.abc import Callable, Iterator
from pathlib import Path

from derain.data import NoPairsError, clean_pictures, find_pairs
from derain.images import Pixels, read_image
from derain.metrics import NaturalModel, NiqeError, niqe


def natural_model(
    place: Path, on_picture: Callable[[int, int], None] = lambda _done, _total: None
) -> NaturalModel:
    """Fits a model on all pictures anywhere under a folder, or reads one from a file that
    `niqe.to_json` made.

    Args:
        on_picture: Called before each picture with the number done and the number of all.

    Raises:
        FileNotFoundError: If there is no such folder or file, or no pictures.
        NiqeError: If the pictures make no model, or the file holds none.
        ValueError: If the folder is a paired dataset, half of which is rainy, or a picture cannot
            be read.
        OSError: If something cannot be looked into.
    """
    if place.is_dir():
        return _fit(place, on_picture)
    if not place.is_file():
        raise FileNotFoundError(
            f"{place}: no such folder of clean pictures, and no such file with a NIQE model"
        )
    try:
        return niqe.from_json(place.read_bytes())
    except NiqeError as error:
        raise NiqeError(f"{place}: {error}; a folder of clean pictures will do, too") from error


def _fit(folder: Path, on_picture: Callable[[int, int], None]) -> NaturalModel:
    if _is_paired(folder):
        raise ValueError(
            f"{folder}: holds rainy pictures too; expected clean ones alone, such as its folder of"
            " clean twins"
        )
    paths = clean_pictures(folder)
    at = folder

    def pictures() -> Iterator[Pixels]:
        nonlocal at
        for done, at in enumerate(paths):
            on_picture(done, len(paths))
            yield read_image(at)
        at = folder

    try:
        return niqe.fit(pictures())
    except NiqeError as error:
        raise NiqeError(f"{at}: {error}") from error


def _is_paired(folder: Path) -> bool:
    try:
        find_pairs(folder)
    except NoPairsError:
        return False
    except ValueError:  # pairs, and something wrong with them
        return True
    return True
