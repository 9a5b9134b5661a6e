"""The NIQE model of a folder of clean pictures, or of a file."""

import os
from collections.abc import Iterator
from pathlib import Path

from derain.data import clean_pictures, refuse_pairs
from derain.images import Pixels, read_image
from derain.metrics import NaturalModel, NiqeError, niqe
from derain.progress import Progress, silent


def natural_model(place: str | os.PathLike[str], progress: Progress = silent) -> NaturalModel:
    """Return the NIQE model of all pictures under a folder, or of a file.

    Args:
        place: A folder of clean pictures, or a file that `niqe.to_json` made.
        progress: Gets a report of "NIQE of PLACE" before each picture of a folder.

    Raises:
        FileNotFoundError: If there is no such folder or file, or there are no pictures.
        NiqeError: If the pictures make no model, or the file holds none.
        ValueError: If the folder is a paired dataset, half of which is rainy, or a picture cannot
            be read.
        OSError: If a folder cannot be listed.
    """
    place = Path(place)
    if place.is_dir():
        return _fit(place, progress)
    if not place.is_file():
        raise FileNotFoundError(
            f"{place}: no such folder of clean pictures, and no such file with a NIQE model"
        )
    try:
        return niqe.from_json(place.read_bytes())
    except NiqeError as error:
        raise NiqeError(f"{place}: {error}; a folder of clean pictures will do, too") from error


def _fit(folder: Path, progress: Progress) -> NaturalModel:
    refuse_pairs(folder)
    paths = clean_pictures(folder)
    at = folder  # what is being looked at, so that an error can name it

    def pictures() -> Iterator[Pixels]:
        nonlocal at
        for done, at in enumerate(paths):
            progress(f"NIQE of {folder}", done, len(paths))
            yield read_image(at)
        at = folder

    try:
        return niqe.fit(pictures())
    except NiqeError as error:
        raise NiqeError(f"{at}: {error}") from error
