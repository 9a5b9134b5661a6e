"""Recognise paired datasets in the layouts they are published in."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from derain.data.layouts.halves import pairs_of_halves, rainy_half
from derain.data.layouts.lists import is_list, is_sure_list, read_list
from derain.data.layouts.names import half_by_name, match_names
from derain.data.pairs import Half, Pair, PairedFolder, Problem
from derain.data.photographs import clean_pictures
from derain.errors import UsageError, did_you_mean
from derain.files import listed, natural_key, printable
from derain.images import READABLE_SUFFIXES, Pixels, find_images, read_image

Layout = Literal["folders", "flat", "rainy-left", "rainy-right", "list"]
"""How a paired dataset lies on disk.

``folders``: rainy and clean pictures in subfolders of their own, one to one or many to one; the
clean ones may lie beside the rainy folder. ``flat``: ``rain-1.png`` beside ``norain-1.png``.
``rainy-left``, ``rainy-right``: two in one picture, side by side. ``list``: a text file of two
paths a line.
"""
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

RAINY_FOLDERS = (
    "rainy",
    "input",
    "rain",
    "rainy_image",
    "rain_images",
    "rainy_images",
    "rain_image",
    "in",
)
CLEAN_FOLDERS = (
    "clean",
    "target",
    "norain",
    "gt",
    "groundtruth",
    "ground_truth",
    "ground truth",
    "no_rain",
    "norain_images",
    "clean_images",
    "clean_image",
)

Read = Callable[[Path], Pixels]
"""Reads a picture (H, W, 3)."""


class NoPairsError(ValueError):
    """A folder is not a paired dataset at all, rather than a broken one."""


@dataclass(frozen=True)
class _Found:
    """Pairs in a layout, how they lie there in words, and what is wrong with them."""

    layout: str
    pairs: list[Pair]
    problems: list[Problem]


def layout_named(name: str | None) -> Layout | None:
    """Return the layout that a user asks for, or None if the user asks for nothing.

    Raises:
        UsageError: If there is no such layout.
    """
    for layout in LAYOUTS:
        if layout == name:
            return layout
    if name is not None:
        expected = f"expected one of {', '.join(LAYOUTS)}{did_you_mean(name, LAYOUTS)}"
        raise UsageError(expected, option="layout", value=name)
    return None


def find_pairs(folder: Path, layout: Layout | None = None) -> PairedFolder:
    """Return the pairs of a dataset in one of the layouts of `Layout`.

    In ``folders`` and ``flat``, both pictures of a pair have the same name, or names that differ in
    a word such as ``rain`` or ``norain``, or rainy names that add ``_1``, ``x2``, ``_s80_a04`` to
    the clean one (many to one).

    Args:
        folder: The dataset, or a folder that holds it and no other pictures, or a list file.
        layout: How it lies on disk; None recognises it.

    Raises:
        FileNotFoundError: If there is no such folder.
        NoPairsError: If no layout fits.
        ValueError: If a rainy picture has no twin, or two, says which; or if there is not one pair.
    """
    found, problems = survey(folder, layout)
    wrong = [problem for problem in problems if problem.unsound]
    if wrong:
        more = (
            f" ({len(wrong) - 1} more like it: derain data check names them all)"
            if len(wrong) > 1
            else ""
        )
        raise ValueError(wrong[0].message + more)
    if not found.pairs:
        raise ValueError(
            f"{printable(folder)}: {found.layout}, but not one pair; expected rainy pictures with"
            " clean twins"
        )
    return found


def survey(
    folder: Path, layout: Layout | None = None, read: Read = read_image
) -> tuple[PairedFolder, tuple[Problem, ...]]:
    """Return the pairs of a dataset, and all that is wrong with how it is put together.

    Args:
        folder: The dataset, or a folder that holds it and no other pictures, or a list file.
        layout: How it lies on disk; None recognises it.
        read: Reads the few pictures that have to be seen to recognise a layout; raises OSError or
            ValueError if it cannot.

    Raises:
        FileNotFoundError: If there is no such folder.
        NoPairsError: If no layout fits.
        ValueError: If a list cannot be read.
    """
    if not folder.is_dir() and not folder.is_file():
        raise FileNotFoundError(
            f"{folder}: no such folder; expected one with rainy and clean pictures"
        )
    name = folder.resolve().name
    for recognise in [_RECOGNISE[layout]] if layout else dict.fromkeys(_RECOGNISE.values()):
        found = recognise(folder, layout, read)
        if found:
            return PairedFolder(name, found.layout, tuple(found.pairs)), tuple(found.problems)
    # Downloads often are a folder in a folder.
    inner = _dataset_in(folder) if folder.is_dir() else None
    if inner:
        dataset, problems = survey(inner, layout, read)
        return PairedFolder(name, f"{inner.name}: {dataset.layout}", dataset.pairs), problems
    raise NoPairsError(
        f"{folder}: found no rainy and clean pictures"
        f"{f' in the layout {layout}' if layout else ''}; expected subfolders such as rainy/ and"
        " clean/, input/ and target/, or rain-1.png beside norain-1.png, or two in one picture, or"
        " a list of pairs"
    )


def _recognise_folders(folder: Path, _layout: Layout | None, _read: Read) -> _Found | None:
    """Find a rainy and a clean subfolder, or a rainy one among the clean pictures.

    The latter is how PReNet's test sets lie.
    """
    children = _subfolders(folder)
    rainy_root = next((children[name] for name in RAINY_FOLDERS if name in children), None)
    clean_root = next((children[name] for name in CLEAN_FOLDERS if name in children), None)
    if not rainy_root:
        return None
    if clean_root:
        pairs, problems = _match(
            clean_pictures(rainy_root), rainy_root, clean_pictures(clean_root), clean_root
        )
        return _Found(
            f"{printable(rainy_root.name)}/ and {printable(clean_root.name)}/, {_ratio(pairs)}",
            pairs,
            problems,
        )
    beside = [path for path in _pictures_in(folder) if half_by_name(path.name) != "rainy"]
    rainy_files = find_images(rainy_root)[0] if beside else []
    pairs, problems = _match(rainy_files, rainy_root, beside, folder)
    if len(pairs) * 2 <= len(rainy_files):
        return None
    return _Found(
        f"{printable(rainy_root.name)}/ among the clean pictures, {_ratio(pairs)}", pairs, problems
    )


def _recognise_flat(folder: Path, layout: Layout | None, _read: Read) -> _Found | None:
    """Find rainy and clean pictures in one folder by their names."""
    if not folder.is_dir():
        return None
    files = find_images(folder)[0]
    sides = {path: half_by_name(path.name) for path in files}
    rainy_files, clean_files = (
        [path for path, side in sides.items() if side == half] for half in ("rainy", "clean")
    )
    named = len(rainy_files) + len(clean_files)
    if not rainy_files or not clean_files or (named * 2 < len(files) and layout != "flat"):
        return None
    pairs, problems = _match(rainy_files, folder, clean_files, folder)
    rest = [path for path, side in sides.items() if side is None]
    problems += [
        Problem("ignored", f"{printable(path)}: neither rainy nor clean by its name", (path,))
        for path in rest
    ]
    return (
        _Found(f"{_example(pairs)} in one folder, {_ratio(pairs)}", pairs, problems)
        if pairs
        else None
    )


def _recognise_list(folder: Path, layout: Layout | None, _read: Read) -> _Found | None:
    """Find a list file, or the only one of a folder."""
    is_one = is_list if layout == "list" else is_sure_list
    lists = (
        [folder]
        if folder.is_file()
        else [path for path in sorted(folder.glob("*.txt")) if is_one(path)]
    )
    if len(lists) != 1:
        return None
    pairs, problems = read_list(lists[0])
    return _Found(f"listed in {printable(lists[0].name)}, {_ratio(pairs)}", pairs, problems)


def _recognise_halves(folder: Path, layout: Layout | None, read: Read) -> _Found | None:
    """Find rainy and clean side by side in one picture.

    Which half is rainy is seen in some of the pictures, unless a layout is asked for.
    """
    files = find_images(folder)[0] if folder.is_dir() else []
    asked: dict[Layout | None, Half] = {"rainy-left": "left", "rainy-right": "right"}
    rainy = asked.get(layout) or rainy_half(files, read)
    if not rainy or not files:
        return None
    return _Found(f"side by side, rainy on the {rainy}", pairs_of_halves(files, folder, rainy), [])


_RECOGNISE: dict[Layout, Callable[[Path, Layout | None, Read], _Found | None]] = {
    "folders": _recognise_folders,
    "flat": _recognise_flat,
    "list": _recognise_list,
    "rainy-left": _recognise_halves,
    "rainy-right": _recognise_halves,
}


def _match(
    rainy_files: Sequence[Path], rainy_root: Path, clean_files: Sequence[Path], clean_root: Path
) -> tuple[list[Pair], list[Problem]]:
    inside = (
        {path: _inside(path, root) for path in files}
        for files, root in ((rainy_files, rainy_root), (clean_files, clean_root))
    )
    return match_names(*inside)


def _inside(path: Path, root: Path) -> Path:
    """Return a path relative to the folder it was found in, faster than `Path.relative_to`."""
    return Path(os.fspath(path)[len(os.fspath(root)) :].lstrip(os.sep)) if root != Path() else path


def _subfolders(folder: Path) -> dict[str, Path]:
    """Return the folders in a folder by their names in small letters."""
    if not folder.is_dir():
        return {}
    return {child.name.lower(): child for child in sorted(folder.iterdir()) if child.is_dir()}


def _pictures_in(folder: Path) -> list[Path]:
    """Return the pictures that lie directly in a folder, img2 before img10."""
    names = sorted((entry.name for entry in os.scandir(folder) if entry.is_file()), key=natural_key)
    return [folder / name for name in names if Path(name).suffix.lower() in READABLE_SUFFIXES]


def _dataset_in(folder: Path) -> Path | None:
    """Return the one folder beneath this that holds all its pictures, or None.

    Raises:
        ValueError: If a dataset is there among others, or among other pictures.
    """
    inner = [child for child in _subfolders(folder).values() if find_images(child)[0]]
    if len(inner) == 1 and not _pictures_in(folder):
        return inner[0]
    paired = [child.name for child in inner if _is_paired(_subfolders(child))]
    if paired:
        names = listed([printable(name) for name in paired])
        raise ValueError(
            f"{printable(folder)}: holds paired datasets beside other pictures ({names}); name the"
            " folder of one"
        )
    return None


def _is_paired(subfolders: Mapping[str, Path]) -> bool:
    return any(name in subfolders for name in RAINY_FOLDERS) and any(
        name in subfolders for name in CLEAN_FOLDERS
    )


def _example(pairs: Sequence[Pair]) -> str:
    return (
        f"{printable(pairs[0].rainy.name)} beside {printable(pairs[0].clean.name)}" if pairs else ""
    )


def _ratio(pairs: Sequence[Pair]) -> str:
    """Say how many rainy pictures a clean one has: ``one to one``, ``14 to one``."""
    clean = len({pair.clean for pair in pairs})
    if clean in (0, len(pairs)):
        return "one to one"
    return f"{len(pairs) / clean:.3g} to one"
