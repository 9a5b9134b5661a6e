"""Datasets whose pairs are listed in a text file, as in SPA-data's ``real_test_1000.txt``."""

import codecs
import os
import re
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from derain.data.layouts.names import half_by_name
from derain.data.pairs import Pair, Problem
from derain.files import is_special, printable
from derain.images import READABLE_SUFFIXES

LISTS = (".txt", ".csv", ".tsv", ".lst", ".list")
"""Suffixes of files that may list pairs."""
LONGEST = 8192
"""Characters of a line at most: two paths are not longer."""
LOOKED_AT = 100
"""Lines that decide whether a text file is a list."""
TITLES = 4
"""Lines at most that a list has before the first that names two pictures."""
ABOVE = 3
"""Folders that paths may be relative to: the list's own, and those above it.

SPA's begin at the folder that was unpacked.
"""


PICTURE = re.compile(rf"({'|'.join(map(re.escape, sorted(READABLE_SUFFIXES)))})\b", re.IGNORECASE)
"""The ending of a picture's name, anywhere in a line."""


def is_list(path: Path) -> bool:
    """Return whether a text file's first line names two pictures, even if they are missing.

    Titles may stand before it.
    """
    lines = _without_titles(_first_lines(path, TITLES + 1))
    return bool(lines) and _names_two(lines[0])


def _names_two(line: str) -> bool:
    return any(_two_pictures(parts) for parts in _splits(line))


def _without_titles(lines: list[str]) -> list[str]:
    """Return lines from the first on that names two pictures, if there are few before it.

    A title names no picture: a line with one is a mistake, not a title.
    """
    for k, line in enumerate(lines[: TITLES + 1]):
        if _names_two(line):
            return lines[k:]
        if "://" in line or PICTURE.search(line):
            break
    return lines


def names_pairs(path: Path) -> bool:
    """Return whether one of a text file's first lines names two pictures, even if they are missing.

    Unlike `is_list` it bears other lines than titles before it. Addresses, as lists of sources
    hold, are no files.
    """
    lines = [line for line in _first_lines(path, TITLES + 1) if "://" not in line]
    return any(map(_names_two, lines))


def is_sure_list(path: Path) -> bool:
    """Return whether a file is a list, and most of its first lines name pictures that exist."""
    lines = _without_titles(_first_lines(path, LOOKED_AT)) if is_list(path) else []
    return sum(_are_there(line, path) for line in lines) * 2 > len(lines)


def _first_lines(path: Path, count: int) -> list[str]:
    """Return some lines of a text file, or nothing if it is no text or has longer lines."""
    if is_special(path):
        return []
    try:
        with path.open(encoding="utf-8") as file:
            lines = list(islice(_lines(iter(partial(file.readline, LONGEST + 1), "")), count))
    except (OSError, UnicodeDecodeError):
        return []
    return [] if any(len(line) > LONGEST for line in lines) else lines


def _are_there(line: str, path: Path) -> bool:
    try:
        return all(_is_file(place) for place in _two(line, path))
    except ValueError:
        return False


def read_list(path: Path) -> tuple[list[Pair], list[Problem]]:
    """Read the pairs of a list, and which of its files are missing.

    A line holds two paths, rainy and clean, with a tab, a comma or blanks between them. Paths are
    absolute, or relative to the list's folder or one above it, with or without a slash in front.
    Backslashes are slashes where no file has them in its name. Where names contain blanks, the
    files that exist decide; a tab between the two leaves no doubt.
    Empty lines, those that begin with #, and titles before the first pair are skipped.

    Raises:
        ValueError: If a line does not hold two paths, or the file is not text.
        OSError: If the list cannot be read.
    """
    data = path.read_bytes()
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"{path}: is UTF-16; save it as UTF-8")
    text = data.decode("utf-8", "surrogateescape")
    lines = _without_titles(list(_lines(iter(text.split("\n")))))
    found = [_two(line, path) for line in lines]
    if sum(_is_turned(*both) for both in found) * 2 > len(found):
        found = [(clean, rainy) for rainy, clean in found]
    pairs: list[Pair] = []
    problems: list[Problem] = []
    for rainy, clean in found:
        missing = [place for place in (rainy, clean) if not _is_file(place)]
        if missing:
            message = (
                f"{printable(missing[0])}: is in {printable(path.name)}, but there is no such file;"
                " get it, or strike out its line"
            )
            problems.append(Problem("unpaired", message, tuple(missing)))
        else:
            pairs.append(Pair(rainy.with_suffix("").name, rainy, clean))
    problems += _listed_twice(pairs, path)
    return _with_own_names(pairs), problems


def _listed_twice(pairs: list[Pair], path: Path) -> Iterator[Problem]:
    """Yield rainy pictures that several lines name: they count twice, or have two clean ones."""
    lines: dict[Path, list[Path]] = {}
    for pair in pairs:
        lines.setdefault(pair.rainy, []).append(pair.clean)
    for rainy, found in lines.items():
        clean = list(dict.fromkeys(found))
        if clean[1:]:
            several = " and ".join(printable(one) for one in clean[:2])
            message = f"{printable(rainy)}: {printable(path.name)} pairs it with {several}"
            yield Problem("ambiguous", f"{message}; expected one clean picture", (rainy, *clean))
        elif found[1:]:
            message = f"{printable(rainy)}: is in {len(found)} lines of {printable(path.name)}"
            yield Problem("duplicate", f"{message}, and counts as often", (rainy,))


def _lines(lines: Iterator[str]) -> Iterator[str]:
    """Yield the lines that hold something, without line ends and byte order marks."""
    stripped = (line.strip("\r\n\ufeff") for line in lines)
    return (line for line in stripped if line.strip() and not line.startswith("#"))


def _splits(line: str) -> Iterator[tuple[str, str]]:
    """Yield every way to see two paths in a line, the surest first."""
    for separator in ("\t", ",", " "):
        k = line.find(separator)
        while k >= 0:
            first, second = _unquoted(line[:k]), _unquoted(line[k + 1 :])
            if first and second:
                yield first, second
            k = line.find(separator, k + 1)


def _unquoted(part: str) -> str:
    """Return a path without what separates it, and without a spreadsheet's quotation marks."""
    part = part.strip(" ,\t")
    if len(part) > 1 and part[0] == part[-1] == '"':
        return part[1:-1].replace('""', '"')
    return part


def _two_pictures(parts: tuple[str, str]) -> bool:
    return all(os.path.splitext(part)[1].lower() in READABLE_SUFFIXES for part in parts)  # noqa: PTH122 (faster)


def _two(line: str, path: Path) -> tuple[Path, Path]:
    """Return the two files of a line; those that exist decide between ways to see it."""
    splits = (
        [parts for parts in _splits(line) if _two_pictures(parts)] if len(line) <= LONGEST else []
    )
    if not splits:
        raise ValueError(
            f"{path}: the line {line[:80]!r} holds no two pictures; expected RAINY, a tab and CLEAN"
        )
    for first, second in splits:
        places = _place(first, path.parent), _place(second, path.parent)
        if all(places):
            return places[0] or Path(), places[1] or Path()
    return path.parent / splits[0][0].lstrip("/"), path.parent / splits[0][1].lstrip("/")


def _place(name: str, folder: Path) -> Path | None:
    """Return the file of this name, or None if it does not exist."""
    roots = [folder, *list(folder.absolute().parents)[: ABOVE - 1]]
    candidates = [Path(name)] if Path(name).is_absolute() else []
    # Lists that were written on Windows have backslashes, which other systems allow in names.
    for spelling in dict.fromkeys((name, name.replace("\\", "/"))):
        candidates += [root / spelling.lstrip("/") for root in roots]
    return next((place for place in candidates if _is_file(place)), None)


def _is_file(place: Path) -> bool:
    return os.path.isfile(place)  # noqa: PTH113 (false, not an error, of a name that is too long)


def _is_turned(first: Path, second: Path) -> bool:
    """Return whether the clean picture comes first, by its name or its folder's."""
    return all(
        half in (half_by_name(path.name), half_by_name(path.parent.name))
        for path, half in ((first, "clean"), (second, "rainy"))
    )


def _with_own_names(pairs: list[Pair]) -> list[Pair]:
    """Name pairs by their folder too if file names occur twice."""
    names = [pair.name for pair in pairs]
    if len(set(names)) == len(names):
        return pairs
    whole = [Path(os.path.abspath(pair.rainy)) for pair in pairs]  # noqa: PTH100 (without following links)
    shared = os.path.commonpath([path.parent for path in whole])
    return [
        Pair(path.relative_to(shared).with_suffix("").as_posix(), pair.rainy, pair.clean)
        for path, pair in zip(whole, pairs, strict=True)
    ]
