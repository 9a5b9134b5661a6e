"""From the names that a user gives to pictures, and to what is passed over."""

import glob
import logging
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TypeVar

from derain.errors import DerainError, UsageError, closest
from derain.files import (
    RESULT_MARK,
    Found,
    check_makable,
    is_litter,
    is_result_name,
    is_special,
    is_systems_own,
    natural_key,
    search,
)
from derain.images import READABLE_SUFFIXES, SUFFIXES, readable_suffixes, suffixes_of

_log = logging.getLogger(__name__)

STREAM = Path("-")
"""Standard input or output."""

HEIC = READABLE_SUFFIXES - SUFFIXES.keys()
"""Endings of what is read and not written, which takes a package of its own."""

OF_CLIPS = frozenset({".gif", ".apng", ".avifs"})
"""Endings of animated pictures alone; those of others may be animated as well."""

SHOWN_KINDS = 6
"""Kinds of other files that are named; the rest are counted together."""

MANY = 1000
"""Names in a folder; among more no mistyped one is looked for."""

PathT = TypeVar("PathT", bound=PurePath)


@dataclass(frozen=True)
class Source:
    """A picture.

    Attributes:
        path: Its file, or `STREAM`.
        root: The folder that was searched for it; None if it was named itself.
        alone: It is the only thing that was named: it is derained even if derain made it.
    """

    path: Path
    root: Path | None = None
    alone: bool = False


@dataclass
class Sources:
    """The pictures and folders that names stand for.

    Attributes:
        pictures: Each once, by path, in the order of the names.
        results: What derain made, which is no input.
        others: How many files are no pictures that can be read, by suffix in small letters.
        refused: Names and folders that give no picture, each with the reason.
    """

    pictures: dict[Path, Source] = field(default_factory=dict[Path, Source])
    results: list[Path] = field(default_factory=list[Path])
    others: Counter[str] = field(default_factory=Counter[str])
    refused: list[tuple[Path, Exception]] = field(default_factory=list[tuple[Path, Exception]])


def find_sources(inputs: Sequence[str], output: str | None) -> Sources:
    """Return the pictures that names stand for, and what else there is.

    What the system keeps beside pictures is left out, unless nothing else was named.

    Args:
        inputs: Files, folders, patterns, or ``-``.
        output: Where results go, if that was said.

    Raises:
        NoPlaceError: If a folder's results have no place beside it.
    """
    found = Sources()
    given = [name for name in inputs if not is_systems_own(name)] or inputs
    if len(given) < len(inputs):
        _log.info("%d system files ignored", len(inputs) - len(given))
    for name in given:
        try:
            _add(found, name, inputs, output)
        except NoPlaceError:
            raise
        except (OSError, ValueError, DerainError) as error:
            found.refused.append((Path(name), error))
    if output is not None:
        _leave_own_place(found, output)
    found.results = list(dict.fromkeys(found.results))
    return found


def _leave_own_place(found: Sources, output: str) -> None:
    """Leave what lies in the output folder alone, if other pictures were named with it.

    A shell's ``*/*.jpg`` names both. Where nothing else was named, pictures are to be replaced.
    """
    place = os.path.realpath(output)
    inside = [
        path
        for path, source in found.pictures.items()
        if source.root is None and path != STREAM and os.path.realpath(path.parent) == place
    ]
    if len(inside) < len(found.pictures):
        for path in inside:
            found.results.append(path)
            del found.pictures[path]


def result_folder(folder: PathT) -> PathT | None:
    """Return where a folder's results go by default; None for a root, which nothing lies beside.

    Args:
        folder: Absolute. ``/``, ``C:\\`` and ``\\\\server\\share`` are roots.
    """
    return folder.with_name(folder.name + RESULT_MARK) if folder.name else None


def absolute(folder: Path) -> Path:
    """Return the absolute path of a folder, which does not follow links.

    The results of a link to a folder go beside the link, not beside its target.
    """
    return Path(os.path.abspath(folder))  # noqa: PTH100


class NoPicturesError(DerainError):
    """A folder or pattern holds no pictures.

    Args:
        problem: What was searched, in words.
        others: How many files it holds that are no pictures, by suffix in small letters.
    """

    def __init__(self, problem: str, others: Counter[str]) -> None:
        self.others = others
        super().__init__(f"{problem}; {describe_others(others)}" if others else problem)


class NoPlaceError(UsageError):
    """Nothing can lie beside a folder, and nobody said where its results go."""


def _add(found: Sources, name: str, inputs: Sequence[str], output: str | None) -> None:
    """Add what one name stands for.

    Raises:
        DerainError: If it stands for nothing.
        NoPlaceError: As `find_sources`.
    """
    path = Path(name)
    if not name:
        raise DerainError("an empty name; expected a picture, a folder or a pattern")
    if name == str(STREAM):
        _add_picture(found, Source(path, alone=True))
    elif path.is_file():
        _add_file(found, path, alone=len(inputs) == 1)
    elif path.is_dir():
        inside = _add_folder(found, path, output, alone=len(inputs) == 1)
        if inside.is_empty:
            raise NoPicturesError("no pictures in this folder", inside.others)
        found.others += inside.others
    elif glob.has_magic(name):
        _add_matches(found, name, output)
    else:
        raise _missing(path, name, inputs)


def _add_picture(found: Sources, source: Source) -> None:
    found.pictures.setdefault(source.path, source)


def _add_file(found: Sources, path: Path, *, alone: bool) -> None:
    """Add a file that was named itself."""
    if path.name.startswith("._") or (is_litter(path.name) and not _is_readable(path)):
        raise DerainError("a system file without a picture; expected a picture")
    if is_result_name(path.name) and not alone:
        found.results.append(path)
    else:
        _add_picture(found, Source(path, alone=alone))


def _add_folder(found: Sources, path: Path, output: str | None, *, alone: bool = False) -> Found:
    """Add the pictures in a folder, and return what is in it.

    Raises:
        NoPlaceError: As `find_sources`.
        OSError: If the results could not be written.
    """
    is_place = output is not None and os.path.realpath(path) == os.path.realpath(output)
    if (is_result_name(path.name) or is_place) and not alone:
        found.results.append(path)
        return Found(files=[path])
    if output is None:
        _check_beside(path)
    inside = search(path, searched())
    results = {file for file in inside.files if _is_result(file, path, output)}
    for file in inside.files:
        if file in results:
            found.results.append(file)
        else:
            _add_picture(found, Source(file, path))
    for error in inside.unreadable:
        message = f"cannot be read: {error.strerror}"
        found.refused.append((Path(error.filename), DerainError(message)))
    nothing = DerainError("cannot be read: a link to what is not there")
    found.refused += [(link, nothing) for link in inside.dangling]
    return inside


def _check_beside(folder: Path) -> None:
    """Check before a search that its results have a place.

    Raises:
        NoPlaceError: If nothing can lie beside the folder.
        OSError: If nothing can be written there.
    """
    target = result_folder(absolute(folder))
    if target is None:
        raise NoPlaceError(
            f"{folder}: no results can lie beside it", option="output", advice="say where with"
        )
    if not target.exists():  # otherwise each picture is tried: all may be there
        check_makable(target)


def _is_result(file: Path, root: Path, output: str | None) -> bool:
    """Return whether a name or place says that derain made what was found in a folder.

    That is ``photo_derained.jpg``, what lies in ``photos_derained``, and what lies in an output
    folder inside the folder. Pictures that say so themselves are found when they are read.
    """
    if any(is_result_name(part) for part in file.relative_to(root).parts):
        return True
    if output is None:
        return False
    top, inside = os.path.realpath(root), os.path.realpath(output)
    return os.path.realpath(file).startswith(inside + os.sep) and inside.startswith(
        top.rstrip(os.sep) + os.sep
    )


# Patterns


def _add_matches(found: Sources, pattern: str, output: str | None) -> None:
    """Add what fits a pattern, as if a shell had handed it over: files, and folders to search.

    Folders that fit ``**`` are not searched, because the files in them fit it too.

    Raises:
        DerainError: If no picture fits.
        NoPlaceError: As `find_sources`.
        OSError: As for a folder that was named.
    """
    fits, others = False, Counter[str]()
    for path in _matches(pattern):
        if path.is_dir():
            inside = Found() if "**" in pattern else _add_folder(found, path, output)
            fits = fits or not inside.is_empty
            others += inside.others
        elif is_special(path):  # as in folders
            continue
        elif not _is_readable(path):
            others[path.suffix.lower()] += 1
        else:
            fits = True
            if _is_result(path, Path(_split(pattern)[0]), output):
                found.results.append(path)
            else:
                _add_picture(found, Source(path))
    if not fits:
        found_none = f"no {'picture' if others else 'file'} fits this pattern"
        raise NoPicturesError(found_none, others)
    found.others += others


def _matches(pattern: str) -> list[Path]:
    """Return what fits a pattern, img2 before img10, without what the system keeps there.

    Brackets are tried as they stand first: in ``"Trip [2024]/*.jpg"`` they are part of a name.
    """
    prefix, rest = _split(pattern)
    ending = os.sep if pattern.endswith(("/", os.sep)) else ""
    for tail in dict.fromkeys((rest.replace("[", "[[]"), rest)):
        # glob, since Path.glob refuses absolute patterns.
        found = glob.glob(glob.escape(prefix) + tail + ending, recursive=True)  # noqa: PTH207
        paths = [Path(name) for name in found]
        own = [path for path in paths if not is_systems_own(str(path)[len(prefix) :])]
        if own:
            return sorted(dict.fromkeys(own), key=lambda path: natural_key(str(path)))
    return []


def _split(pattern: str) -> tuple[str, str]:
    """Return the folders at the head of a pattern that exist under this very name, and the rest."""
    parts = Path(pattern).parts
    literal = 0
    while literal < len(parts) and os.path.lexists(Path(*parts[: literal + 1])):
        literal += 1
    if not literal:
        return "", str(Path(*parts))
    prefix, rest = str(Path(*parts[:literal])), str(Path(*parts[literal:]))
    return (prefix if prefix.endswith(os.sep) else prefix + os.sep), rest


def searched() -> frozenset[str]:
    """Return endings of what folders and patterns are searched for."""
    return readable_suffixes() | OF_CLIPS


def _is_readable(path: Path) -> bool:
    return path.suffix.lower() in searched()


# Words for the user


def describe_others(others: Counter[str]) -> str:
    """Return the number of ignored files, and their kinds.

    >>> describe_others(Counter({".mp4": 1, ".cr2": 3, "": 1}))
    '5 other files ignored: 3 .cr2, 1 .mp4, 1 without an ending'
    """
    kinds = sorted(others.items(), key=lambda kind: (-kind[1], not kind[0], kind[0]))
    words = [f"{count} {suffix or 'without an ending'}" for suffix, count in kinds[:SHOWN_KINDS]]
    if rest := sum(count for _, count in kinds[SHOWN_KINDS:]):
        words.append(f"{rest} of other kinds")
    total = others.total()
    hint = ""
    lacking = others.keys() & (READABLE_SUFFIXES - readable_suffixes())
    if lacking & HEIC:
        hint = '; pip install "derain[heif]" reads HEIC'
    if lacking.intersection(suffixes_of("AVIF")):
        hint += "; pip install -U pillow reads AVIF"
    files = "file" if total == 1 else "files"
    return f"{total} other {files} ignored: {', '.join(words)}{hint}"


def _missing(path: Path, name: str, inputs: Sequence[str]) -> DerainError:
    """Return the error for a name that is that of no file, with what it may stand for."""
    if "://" in name:
        return DerainError(
            "an address; expected a file: download it first, or derain its folder with --cluster"
        )
    if path.exists():
        return DerainError("a pipe or a device; expected a file, or - for standard input")
    folders = [Path(other).is_dir() for other in inputs[:-1]]
    is_file = path.suffix.lower() in READABLE_SUFFIXES and not any(folders)
    if folders and name == inputs[-1] and (is_file or name.endswith(("/", os.sep))):
        return UsageError(
            "no such file or folder", option="output", advice="a name for results comes after"
        )
    given = {Path(other).name for other in inputs}
    meant = closest(path.name, (other for other in _names_in(path.parent) if other not in given))
    hint = f"; did you mean {path.with_name(meant)}?" if meant else ""
    return DerainError(f"no such file or folder{hint}")


def _names_in(folder: Path) -> Iterable[str]:
    """Return the names in a folder that may be meant, unless there are too many."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 (names, of which there may be many)
    except OSError:
        return []
    return [] if len(names) > MANY else [name for name in names if not is_litter(name)]
