"""Recognise paired datasets in the layouts they are published in."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from derain.data.layouts.halves import pairs_of_halves, rainy_half
from derain.data.layouts.lists import LISTS, is_list, is_sure_list, read_list
from derain.data.layouts.names import (
    CLEAN_FOLDERS,
    RAINY_FOLDERS,
    folder_key,
    half_by_folder,
    half_by_name,
    match_names,
    path_inside,
)
from derain.data.pairs import (
    GivenPlace,
    Half,
    Pair,
    PairedFolder,
    Problem,
    TwoFolders,
    place_of,
)
from derain.data.photographs import clean_pictures
from derain.errors import UsageError, check_choice
from derain.files import amount, is_litter, listed, natural_key, printable
from derain.images import Pixels, find_images, read_image, readable_suffixes

Layout = Literal["folders", "flat", "rainy-left", "rainy-right", "list", "photographs"]
"""How a paired dataset lies on disk.

``folders``: rainy and clean pictures in subfolders of their own, one to one or many to one; the
clean ones may lie beside the rainy folder. ``flat``: ``rain-1.png`` beside ``norain-1.png``.
``rainy-left``, ``rainy-right``: two in one picture, side by side. ``list``: a text file of two
paths a line. ``photographs``: no pairs, whatever names and pictures look like.
"""
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

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
        check_choice(name, LAYOUTS, "layout")
    return None


def check_layout(layout: Layout | None, places: Sequence[GivenPlace]) -> None:
    """Check that a layout that a user asks for is that of anything.

    Raises:
        UsageError: If the datasets are two folders each, which have none.
    """
    if layout is not None and all(isinstance(place, TwoFolders) for place in places):
        raise UsageError("two folders have none; leave it out", option="layout", value=layout)


def find_pairs(folder: GivenPlace, layout: Layout | None = None) -> PairedFolder:
    """Return the pairs of a dataset in one of the layouts of `Layout`.

    In ``folders`` and ``flat``, both pictures of a pair have the same name, or names that differ in
    a word such as ``rain`` or ``norain``, or rainy names that add ``_1``, ``x2``, ``_s80_a04`` to
    the clean one (many to one).

    Args:
        folder: The dataset, or a folder that holds it and no other pictures, or a list file; or its
            two folders.
        layout: How it lies on disk; None recognises it. Two folders have none.

    Raises:
        FileNotFoundError: If there is no such folder.
        NoPairsError: If no layout fits.
        ValueError: If a rainy picture has no twin, or two, says which; or if there is not one pair.
    """
    folder = place_of(folder)
    found, problems = survey(folder, layout)
    wrong = [problem for problem in problems if problem.unsound]
    if wrong and isinstance(folder, TwoFolders):
        raise ValueError(f"{_counts(folder)}, {wrong[0].message}{_more_like_it(wrong)}")
    if wrong:
        raise ValueError(wrong[0].message + _more_like_it(wrong))
    if not found.pairs:
        raise ValueError(
            f"{printable(str(folder))}: {found.layout}, but no pair; expected rainy pictures, and"
            " clean ones of the same names"
        )
    return found


def _more_like_it(wrong: Sequence[Problem]) -> str:
    more = len(wrong) - 1
    return f" ({more} more like it: derain data check names them all)" if more else ""


def _counts(folders: TwoFolders) -> str:
    """Say how many pictures each of two folders holds."""
    counts = [
        f"{printable(folder)} holds {len(files)}" for folder, files in _files_of_both(folders)
    ]
    return " and ".join(counts) + " pictures"


def survey(
    folder: GivenPlace, layout: Layout | None = None, read: Read = read_image
) -> tuple[PairedFolder, tuple[Problem, ...]]:
    """Return the pairs of a dataset, and all that is wrong with how it is put together.

    Args:
        folder: The dataset, or a folder that holds it and no other pictures, or a list file; or its
            two folders.
        layout: How it lies on disk; None recognises it. Two folders have none.
        read: Reads the few pictures that have to be seen to recognise a layout; raises OSError or
            ValueError if it cannot.

    Raises:
        FileNotFoundError: If there is no such folder.
        NoPairsError: If no layout fits.
        ValueError: If a list cannot be read.
    """
    folder = place_of(folder)
    if isinstance(folder, TwoFolders):
        return _survey_two(folder)
    if not folder.is_dir() and not folder.is_file():
        is_list = folder.suffix.lower() in LISTS
        raise FileNotFoundError(
            f"{folder}: no such list; expected one of pairs of pictures"
            if is_list
            else f"{folder}: no such folder; expected one with rainy and clean pictures"
        )
    if folder.is_file() and folder.suffix.lower() in readable_suffixes():
        raise ValueError(
            f"{printable(folder)}: one picture; expected a folder of pairs, or a list of them"
        )
    if layout == "photographs":
        raise NoPairsError(f"{folder}: photographs, as asked for; pairs have another layout")
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


def _survey_two(folders: TwoFolders) -> tuple[PairedFolder, tuple[Problem, ...]]:
    """Return the pairs of two folders, matched by names as in the layout ``folders``."""
    (_, rainy_files), (_, clean_files) = _files_of_both(folders)
    pairs, problems = _match(rainy_files, folders.rainy, clean_files, folders.clean)
    names = f"{printable(folders.rainy.name)}/ and {printable(folders.clean.name)}/"
    layout = f"{names} as named, {_ratio(pairs)}"
    return PairedFolder(folders.name, layout, tuple(pairs)), tuple(problems)


def _files_of_both(folders: TwoFolders) -> list[tuple[Path, list[Path]]]:
    """Return both folders with the pictures in them; where one lies inside the other, only its own.

    Raises:
        FileNotFoundError: If one holds no pictures.
        UsageError: If both are the same.
    """
    rainy, clean = folders.rainy, folders.clean
    if rainy.resolve() == clean.resolve():
        raise UsageError("is the rainy folder too; expected another", option="clean", value=clean)
    both: list[tuple[Path, list[Path]]] = []
    for folder, other in ((rainy, clean), (clean, rainy)):
        inner = other.resolve()
        apart = not inner.is_relative_to(folder.resolve())
        files = [
            path
            for path in clean_pictures(folder)
            if apart or not path.resolve().is_relative_to(inner)
        ]
        both.append((folder, files))
    return both


def _recognise_folders(folder: Path, _layout: Layout | None, _read: Read) -> _Found | None:
    """Find a rainy and a clean subfolder, or a rainy one among the clean pictures.

    The latter is how PReNet's test sets lie.
    """
    subfolders = _subfolders(folder)
    children = {folder_key(child.name): child for child in reversed(subfolders)}
    rainy_root = next((children[name] for name in RAINY_FOLDERS if name in children), None)
    clean_root = next((children[name] for name in CLEAN_FOLDERS if name in children), None)
    if not rainy_root:
        return None
    if clean_root:
        pairs, problems = _match(
            clean_pictures(rainy_root), rainy_root, clean_pictures(clean_root), clean_root
        )
        others = [child for child in subfolders if child not in (rainy_root, clean_root)]
        names = f"{printable(rainy_root.name)}/ and {printable(clean_root.name)}/"
        problems += _left_out(others, names)
        return _Found(f"{names}, {_ratio(pairs)}", pairs, problems)
    beside = [path for path in _pictures_in(folder) if half_by_name(path.name) != "rainy"]
    rainy_files = find_images(rainy_root)[0] if beside else []
    pairs, problems = _match(rainy_files, rainy_root, beside, folder)
    if len(pairs) * 2 <= len(rainy_files):
        return None
    return _Found(
        f"{printable(rainy_root.name)}/ among the clean pictures, {_ratio(pairs)}", pairs, problems
    )


def _left_out(folders: Sequence[Path], names: str) -> list[Problem]:
    """Return a note for each folder of pictures that lies beside both halves of a dataset.

    Links to folders are left to those who look for them.
    """
    counts = {folder: len(find_images(folder)[0]) for folder in folders if not folder.is_symlink()}
    return [
        Problem(
            "ignored",
            f"{printable(folder)}: left out, {amount(count, 'picture')}; the pairs are those of"
            f" {names}",
            (folder,),
        )
        for folder, count in counts.items()
        if count
    ]


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
        else [
            path
            for path in sorted(folder.iterdir())
            if path.suffix.lower() in LISTS and not is_litter(path.name) and is_one(path)
        ]
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
    both = (
        {path: path_inside(path, root) for path in files}
        for files, root in ((rainy_files, rainy_root), (clean_files, clean_root))
    )
    return match_names(*both)


def _subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder by their names, without the system's own."""
    if not folder.is_dir():
        return []
    return [
        child for child in sorted(folder.iterdir()) if not is_litter(child.name) and child.is_dir()
    ]


def _pictures_in(folder: Path) -> list[Path]:
    """Return the pictures that lie directly in a folder, img2 before img10."""
    entries = [entry for entry in os.scandir(folder) if entry.is_file()]
    names = sorted((entry.name for entry in entries if not is_litter(entry.name)), key=natural_key)
    readable = readable_suffixes()
    return [folder / name for name in names if Path(name).suffix.lower() in readable]


def _dataset_in(folder: Path) -> Path | None:
    """Return the one folder beneath this that holds all its pictures, or None.

    Raises:
        ValueError: If a dataset is there among others, or among other pictures.
    """
    inner = [child for child in _subfolders(folder) if find_images(child)[0]]
    alone = not _pictures_in(folder)
    if len(inner) == 1 and alone:
        return inner[0]
    paired = [child.name for child in inner if _is_paired(_subfolders(child))]
    if paired:
        names = listed([printable(name) for name in paired])
        beside = "" if alone and len(paired) == len(inner) else " beside other pictures"
        raise ValueError(
            f"{printable(folder)}: holds paired datasets{beside} ({names}); name the folder of one"
        )
    return None


def _is_paired(subfolders: Sequence[Path]) -> bool:
    halves = {half_by_folder(child.name) for child in subfolders}
    return {"rainy", "clean"} <= halves


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
