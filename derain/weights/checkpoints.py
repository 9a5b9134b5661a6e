"""Recognise authors' checkpoints of several files, without reading them."""

import re
from pathlib import Path


def is_checkpoint(path: Path) -> bool:
    """Return whether a path names a checkpoint of several files.

    That is a folder of CRDNet's parts, or a TensorFlow bundle.
    """
    return is_parts_folder(path) or is_bundle(path)


def is_parts_folder(path: Path) -> bool:
    """Return whether a path is a folder that holds a CRDNet's parts."""
    return all((path / part).is_dir() for part in ("stage1", "stage2"))


def is_bundle(path: Path) -> bool:
    """Return whether a path is a TensorFlow bundle's index, its data, or what their names share."""
    if path.suffix == ".index" or re.search(r"\.data-\d+-of-\d+$", path.name):
        return True
    return (path.suffix == ".meta" or not path.exists()) and index_of(path).is_file()


def index_of(path: Path) -> Path:
    """Return the index that belongs to any of a bundle's files, or to the name they share."""
    return path.parent / (re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", path.name) + ".index")
