"""Paired datasets in the layouts they are published in, and folders of clean pictures."""

import re
from dataclasses import dataclass
from pathlib import Path

from derain.images import SUFFIXES, find_images

RAINY_FOLDERS = ("rainy", "input", "rain", "rainy_image", "rain_images")
CLEAN_FOLDERS = ("clean", "target", "norain", "gt", "groundtruth", "ground_truth")


@dataclass(frozen=True)
class Pair:
    """A rainy picture and its clean twin, named by the rainy file."""

    name: str
    rainy: Path
    clean: Path


@dataclass(frozen=True)
class PairedFolder:
    """The pairs of a dataset and how they lie on disk."""

    name: str
    layout: str
    pairs: tuple[Pair, ...]


def clean_pictures(folder: Path) -> list[Path]:
    """Picture files anywhere under a folder, img2 before img10.

    Raises:
        FileNotFoundError: If there are none.
        OSError: If a folder cannot be looked into.
    """
    found, unreadable = find_images(folder)
    if unreadable:
        raise unreadable[0]
    if not found:
        raise FileNotFoundError(f"{folder}: no pictures here; expected some in {' '.join(SUFFIXES)}")
    return found


class NoPairsError(ValueError):
    """A folder is no paired dataset at all, rather than a broken one."""


def find_pairs(folder: Path) -> PairedFolder:
    """Reads a paired dataset by looking at it.

    Recognised: two subfolders (``rainy/clean``, ``input/target``, ``rain/norain`` and their kin), where twins have the same name,
    or names that differ in a ``rain``/``norain`` word, or rainy names that add ``_1``, ``x2`` … to the clean one (many to one);
    and one flat folder of ``rain-001.png`` beside ``norain-001.png``.

    Raises:
        FileNotFoundError: If there is no such folder.
        NoPairsError: If no layout fits.
        ValueError: If a rainy picture has no twin, or two; says which.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; expected one with rainy and clean pictures")
    children = {child.name.lower(): child for child in folder.iterdir() if child.is_dir()}
    rainy_root = next((children[name] for name in RAINY_FOLDERS if name in children), None)
    clean_root = next((children[name] for name in CLEAN_FOLDERS if name in children), None)
    if rainy_root and clean_root:
        rainy_files, clean_files = clean_pictures(rainy_root), clean_pictures(clean_root)
        layout = f"{rainy_root.name}/{clean_root.name}"
    else:
        rainy_root = clean_root = folder
        files = find_images(folder)[0]
        clean_files = [path for path in files if re.match(r"(?i)no-?rain\W", path.name)]
        rainy_files = [path for path in files if re.match(r"(?i)rain\W", path.name)]
        layout = "rain-N beside norain-N"
    if not rainy_files or not clean_files:
        raise NoPairsError(
            f"{folder}: found no rainy and clean pictures; expected subfolders such as rainy/ and clean/, input/ and target/, "
            f"or rain-1.png beside norain-1.png"
        )
    pairs = _match(
        {path: path.relative_to(rainy_root) for path in rainy_files}, {p: p.relative_to(clean_root) for p in clean_files}
    )
    return PairedFolder(folder.resolve().name, layout, tuple(pairs))


def _match(rainy_files: dict[Path, Path], clean_files: dict[Path, Path]) -> list[Pair]:
    """Pairs by what names have in common, given each file's path inside its half of the dataset."""
    twins: dict[str, Path] = {}
    for path, inside in clean_files.items():
        other = twins.setdefault(_twin_key(inside), path)
        if other is not path:
            raise ValueError(f"{path} and {other}: two clean pictures of one name; expected one")
    pairs: list[Pair] = []
    for path, inside in rainy_files.items():
        key = _twin_key(inside)
        twin = twins.get(key) or twins.get(re.sub(r"(_\d+|x\d+)$", "", key))
        if twin is None:
            raise ValueError(f"{path}: no clean twin of this name; add one, or take this one away")
        pairs.append(Pair(inside.with_suffix("").as_posix(), path, twin))
    return pairs


_TWIN_WORD = r"(no-?rain|rainy?|clean|input|target|gt)"


def _twin_key(inside: Path) -> str:
    """What a rainy name and its clean twin's have in common: ``rain-007`` and ``norain-007`` give ``7``."""
    key = re.sub(rf"^{_TWIN_WORD}([-_ ]|(?=\d)|$)", "", inside.stem.lower())
    key = re.sub(rf"[-_ ]{_TWIN_WORD}$", "", key).lstrip("0") or "0"
    return (inside.parent / key).as_posix().lower()
