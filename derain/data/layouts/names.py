"""Match rainy files to clean ones by their names."""

import os
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from derain.data.pairs import Pair, Problem
from derain.files import printable

CLEAN_WORDS = r"no[-_ ]?rain|non[-_ ]?rainy?|clean|target|gt|ground[-_ ]?truth|hq"
RAINY_WORDS = r"rainy?|input|lq|degraded"
_ANY_WORD = rf"(?:{CLEAN_WORDS}|{RAINY_WORDS})"
RAINY_FOLDERS = (
    "rainy",
    "input",
    "inputs",
    "rain",
    "rainyimage",
    "rainyimages",
    "rainimage",
    "rainimages",
    "in",
    "lq",
    "lowquality",
    "degraded",
    "degradation",
)
"""Names of folders of rainy pictures as `folder_key` gives them, the likeliest first.

Names whose order differs between datasets, such as ``A`` and ``B`` or ``X`` and ``Y``, are left
out: which of the two is the rainy one has to be seen (`unknown`).
"""
CLEAN_FOLDERS = (
    "clean",
    "target",
    "targets",
    "norain",
    "nonrain",
    "nonrainy",
    "gt",
    "groundtruth",
    "norainimage",
    "norainimages",
    "cleanimage",
    "cleanimages",
    "hq",
    "highquality",
    "sharp",
)
_STREAKS = re.compile(r"(_s\d+_a\d+|_\d+|x\d+)$")
"""Endings of the many rainy pictures of one clean one: Outdoor-Rain's ``_s80_a04``, Rain1400's
``_14``, Rain100H's ``x2``.
"""


def path_inside(path: Path, root: Path) -> Path:
    """Return a path relative to the folder it was found in, faster than `Path.relative_to`."""
    return Path(os.fspath(path)[len(os.fspath(root)) :].lstrip(os.sep)) if root != Path() else path


def match_names(
    rainy_files: Mapping[Path, Path], clean_files: Mapping[Path, Path]
) -> tuple[list[Pair], list[Problem]]:
    """Return pairs by the common part of their names, and the files that have no counterpart.

    The same names come first, then names that differ in a word or in leading zeros, and last those
    with an ending of the many rainy pictures of one clean one; this one must be left over: beside
    ``img``, ``img_1`` is another scene.

    Args:
        rainy_files: Files, and the path of each inside its half of the dataset.
        clean_files: Likewise.
    """
    # The same names first: beside img.png and its twin, img_1.png is a scene of its own.
    found = _of_one_name(rainy_files, clean_files)
    taken = set(found.values())
    clean_by_key, problems = _by_key(
        {path: inside for path, inside in clean_files.items() if path not in taken}
    )
    one_place = all(inside.parent == Path() for inside in clean_files.values())
    # Then names by their keys, and last those of many rainy pictures of one clean one, each among
    # the clean pictures that are left.
    for keys_of in (_keys, _keys_of_many):
        free = {key: clean for key, clean in clean_by_key.items() if clean not in taken}
        for path, inside in rainy_files.items():
            twin = next(
                (free[key] for key in keys_of(inside, one_place=one_place) if key in free), None
            )
            if twin:
                found.setdefault(path, twin)
        taken = set(found.values())
    pairs: list[Pair] = []
    for path, inside in rainy_files.items():
        if path in found:
            pairs.append(Pair(inside.with_suffix("").as_posix(), path, found[path]))
        else:
            message = (
                f"{printable(path)}: no clean picture of this name; add one, or remove this one"
            )
            problems.append(Problem("unpaired", message, (path,)))
    used = {pair.clean for pair in pairs}
    for path in clean_files.keys() - used if pairs else ():
        problems.append(
            Problem("spare", f"{printable(path)}: a clean picture without a rainy one", (path,))
        )
    return pairs, sorted(problems, key=lambda problem: problem.message)


def _of_one_name(
    rainy_files: Mapping[Path, Path], clean_files: Mapping[Path, Path]
) -> dict[Path, Path]:
    """Return the clean file of each rainy one that has the same name but for suffix or folder."""
    names: dict[str, list[Path]] = {}
    for path, inside in clean_files.items():
        names.setdefault(_composed(inside.with_suffix("")), []).append(path)
    only = {name: files[0] for name, files in names.items() if len(files) == 1}
    one_place = all(inside.parent == Path() for inside in clean_files.values())
    twins = {
        path: only.get(_composed(inside.with_suffix("")))
        or (only.get(_composed(Path(inside.stem))) if one_place else None)
        for path, inside in rainy_files.items()
    }
    return {path: twin for path, twin in twins.items() if twin}


def _composed(inside: Path) -> str:
    """Return a path as text in which each letter is one character with its accents.

    Some systems write them apart, so that one name may be spelt in two ways.
    """
    return unicodedata.normalize("NFC", inside.as_posix())


def _by_key(clean_files: Mapping[Path, Path]) -> tuple[dict[str, Path], list[Problem]]:
    """Return clean files by the key of their names, and which files share one."""
    by_key: dict[str, Path] = {}
    problems: list[Problem] = []
    for path, inside in clean_files.items():
        other = by_key.setdefault(twin_key(inside), path)
        if other is not path:
            both = f"{printable(path)} and {printable(other)}"
            message = f"{both}: two clean pictures of one name; expected one"
            problems.append(Problem("ambiguous", message, (path, other)))
    return by_key, problems


def _keys(inside: Path, *, one_place: bool) -> list[str]:
    """Return the keys that a rainy picture's clean twin may have, the likeliest first.

    Where the clean pictures lie in one place, the rainy ones may be in folders by kind of rain:
    ``X2/norain-001x2.png``.
    """
    places = [inside, Path(inside.name)] if one_place and inside.parent != Path() else [inside]
    return [twin_key(place) for place in places]


def _keys_of_many(inside: Path, *, one_place: bool) -> list[str]:
    """Return the keys as `_keys`, for one of many rainy pictures of a clean one."""
    return [_STREAKS.sub("", key) for key in _keys(inside, one_place=one_place)]


def twin_key(inside: Path) -> str:
    """Return the common part of the names of a rainy picture and its clean one.

    For example, ``rain-007``, ``norain-007`` and ``007gt`` give ``7``.
    """
    inside = Path(_composed(inside))
    key = re.sub(rf"^{_ANY_WORD}([-_ ]|(?=\d)|$)", "", inside.stem.lower())
    key = re.sub(rf"([-_ ]|(?<=\d)){_ANY_WORD}$", "", key)
    numbered = re.sub(r"^0+(?=\d)", "", key)
    return (inside.parent / (numbered or "0")).as_posix().lower()


def half_by_name(name: str) -> Literal["rainy", "clean"] | None:
    """Return which half of a dataset a file belongs to by its name, None if it does not say.

    For example, ``norain-7.png`` is clean, ``7_rain.png`` and ``input.png`` are rainy.
    """
    stem = Path(name).stem.lower()
    if re.search(_at_an_end(CLEAN_WORDS), stem):
        return "clean"
    return "rainy" if re.search(_at_an_end(RAINY_WORDS), stem) else None


def folder_key(name: str) -> str:
    """Return the name of a folder without case, spaces, hyphens, underscores and dots.

    >>> folder_key("Ground_Truth")
    'groundtruth'
    """
    return re.sub(r"[-_ .]", "", name).casefold()


def half_by_folder(name: str) -> Literal["rainy", "clean"] | None:
    """Return which half of a dataset a folder holds by its name, None if it does not say.

    Unlike `half_by_name` it goes by the whole name: ``input photos`` says nothing.
    """
    key = folder_key(name)
    if key in CLEAN_FOLDERS:
        return "clean"
    return "rainy" if key in RAINY_FOLDERS else None


def _at_an_end(words: str) -> str:
    """Return a pattern for a word at either end of a name."""
    return rf"^({words})([-_ ]|\d|$)|([-_ ]|\d)({words})$"
