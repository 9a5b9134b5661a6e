"""Files: atomic writes, digests, names in natural order and on one line, pictures in folders."""

import errno
import hashlib
import logging
import os
import re
import secrets
from collections import Counter
from collections.abc import Collection, Container, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import filterfalse
from pathlib import Path
from typing import BinaryIO

_log = logging.getLogger(__name__)

DRAFT = ".derain-"
"""What the names of unfinished files begin with."""

SCORES = "derain-scores.jsonl"
"""The file of scores in a folder of results that an evaluation has saved."""

LITTER = frozenset(
    {
        "@eadir",  # Synology: thumbnails, in folders that are called as the pictures
        "#recycle",
        "#snapshot",
        "@recycle",  # QNAP
        "@recently-snapshot",
        "$recycle.bin",
        "system volume information",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
        "__macosx",  # what macOS adds to archives
        "lost+found",
        "lost.dir",
        "synophoto_thumb",
    }
)
"""Files and folders that systems make beside people's own, in small letters."""


def is_litter(name: str) -> bool:
    """Return whether a file or folder of this name is the system's, not the user's.

    That is what `LITTER` names, and every name that begins with a dot: ``._IMG.jpg`` (macOS),
    ``.trashed-1700000000-IMG.jpg`` (Android), ``.thumbnails``. Searches leave them out; what a user
    names is tried.

    Args:
        name: The last part of a path.
    """
    return name.startswith(".") or name.lower() in LITTER


def is_systems_own(name: str) -> bool:
    """Return whether a path that a shell's pattern may have handed over is not the user's.

    It is narrower than `is_litter`, because users name hidden files and folders, too: what `LITTER`
    names and what lies in such folders, ``._IMG.jpg``, and hidden files without an ending, such as
    ``.DS_Store``.

    Args:
        name: A path, as it was given.
    """
    path = Path(name)
    if path.name.startswith("._") or any(part.lower() in LITTER for part in path.parts):
        return True
    hidden = path.name.startswith(".") and path.name != ".."
    return hidden and not path.suffix and path.is_file()


def is_special(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is a pipe, a socket or a device: opening one may wait forever."""
    # os.path's are false where Path's raise: for a link to itself, and a name that is too long.
    return os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))  # noqa: PTH110, PTH112, PTH113


BLOCK = 1 << 20
"""Bytes that are read of a file at once."""
LONGEST_PATH = 4096
"""Bytes of a path that Linux takes, with the end; no system takes more."""

_ADDRESS = re.compile(r"^([a-z][a-z0-9+.-]+):/(?!/)")

RESULT_MARK = "_derained"
"""What the names of results end in, where they lie beside the rainy pictures."""
AGAIN = "is already a result of derain and was derained again"
"""Note on a picture or clip that derain made and that was named alone."""
COMPARISON_MARK = "_compare"
"""What the names of before/after pictures end in, after those of the results."""


def is_result_name(name: str) -> bool:
    """Return whether a file or folder is called as derain calls a result or a comparison.

    Args:
        name: The last part of a path.

    >>> is_result_name("photo_derained.jpg"), is_result_name("photo_derained_compare.png")
    (True, True)
    """
    stem = Path(name).stem
    return stem.removesuffix(COMPARISON_MARK).endswith(RESULT_MARK)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Generator[Path]:
    """Yield a temporary name beside a file, and move it into place when the block ends.

    The file appears under its final name complete or not at all: if the block raises, the
    temporary file is removed and what was there before stays.

    Raises:
        OSError: If the folder cannot be written into; it names the final path.
    """
    path = Path(path)
    draft = _make_draft(path.parent, path)
    try:
        yield draft
        os.replace(draft, path)
    except BaseException as error:
        draft.unlink(missing_ok=True)
        if isinstance(error, OSError):
            name_final(error, path)
        raise


def name_final(error: OSError, path: Path) -> None:
    """Let an error name a file in place of its draft.

    One about another file stays as it is: what is written may be read from there meanwhile. So does
    one that is only a text.
    """
    named, draft = error.filename, str(path.with_name(DRAFT).absolute())
    # Writing to an open file names none.
    if error.strerror and (named is None or str(Path(named).absolute()).startswith(draft)):
        error.filename = str(path)


def write_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file completely or not at all.

    Raises:
        OSError: If it cannot be written; nothing is left behind.
    """
    with replacing(path) as draft:
        draft.write_bytes(data)


def append_line(path: str | os.PathLike[str], line: bytes) -> None:
    """Write a line to the end of a file, after cutting off a half written one.

    Args:
        path: The file; it is made if it is not there.
        line: Without its end.

    Raises:
        OSError: If it cannot be written; it names the file. A part of the line may have been.
    """
    try:
        with Path(path).open("a+b") as file:
            end = _end_of_lines(file)
            if end < file.seek(0, os.SEEK_END):
                file.truncate(end)
            file.write(line + b"\n")
    except OSError as error:  # writing to an open file names none
        error.filename = str(path)
        raise


def _end_of_lines(file: BinaryIO) -> int:
    """Return where the last complete line of a file ends."""
    end = file.seek(0, os.SEEK_END)
    while end:
        begin = max(0, end - BLOCK)
        file.seek(begin)
        last = file.read(end - begin).rfind(b"\n")
        if last >= 0:
            return begin + last + 1
        end = begin
    return 0


def file_digest(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        OSError: If it cannot be read.
    """
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


@dataclass
class Found:
    """Files that were found in folders.

    Attributes:
        files: Those of the suffixes searched for, in natural order, files before the folders beside
            them.
        others: How many other files there are, by suffix in small letters.
        unreadable: One error for each folder that cannot be listed.
        dangling: Links to what is not there, called like those searched for.
    """

    files: list[Path] = field(default_factory=list[Path])
    others: Counter[str] = field(default_factory=Counter[str])
    unreadable: list[OSError] = field(default_factory=list[OSError])
    dangling: list[Path] = field(default_factory=list[Path])

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found that is wanted, or that might have been."""
        return not (self.files or self.unreadable or self.dangling)


def find_files(
    folder: str | os.PathLike[str], suffixes: Collection[str]
) -> tuple[list[Path], list[OSError]]:
    """Return files anywhere under a folder by suffix, and the folders that cannot be listed.

    Arguments and order are those of `search`. Results of derain are left out where the pictures
    that they were made from lie beside them.
    """
    found = search(folder, suffixes)
    return without_results(found.files), found.unreadable


def without_results(paths: Sequence[Path]) -> list[Path]:
    """Return pictures without the results and comparisons of others among them."""
    originals = {path.with_suffix("") for path in paths}
    kept = [path for path in paths if not _is_made_from(path, originals)]
    if len(kept) < len(paths):
        _log.info("%d results of derain ignored", len(paths) - len(kept))
    return kept


def _is_made_from(path: Path, originals: Container[Path]) -> bool:
    """Return whether a picture is a result, or a comparison, of one among others.

    Args:
        path: The picture.
        originals: Those that there are, without suffixes: a result may have another.
    """
    if not is_result_name(path.name):
        return False
    stem = path.stem.removesuffix(COMPARISON_MARK).removesuffix(RESULT_MARK)
    return bool(stem) and path.with_name(stem) in originals


def search(folder: str | os.PathLike[str], suffixes: Collection[str]) -> Found:
    """Search a folder to the bottom for files by suffix.

    What `is_litter` names is left out, and so are folders of results that an evaluation has saved,
    unless one is where the search begins: beside the data they would be taken for data.

    Args:
        folder: Where to begin; links to files count, links to folders are not followed.
        suffixes: In small letters, with the dot.
    """
    found = Found()
    for place, folders, names in os.walk(folder, onerror=found.unreadable.append):
        if SCORES in names and place != os.fspath(folder):
            _log.info("%s: results of derain evaluate, ignored", printable(place))
            folders.clear()
            continue
        folders[:] = sorted(filterfalse(is_litter, folders), key=natural_key)
        for name in sorted(filterfalse(is_litter, names), key=natural_key):
            path = Path(place, name)
            if path.suffix.lower() not in suffixes:
                found.others[path.suffix.lower()] += 1
            # os.path.isfile is false for a link to itself, where Path.is_file raises.
            elif os.path.isfile(path):  # noqa: PTH113
                found.files.append(path)
            elif not os.path.exists(path):  # noqa: PTH110
                found.dangling.append(path)
    return found


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check, before the work that fills it, that a file can be written, with the folders above it.

    Raises:
        OSError: If a name is longer than the file system takes, or what is there of the folders is
            none, or may not be written into. A full disk is not foreseen.
    """
    path = Path(path)
    above = next(place for place in path.parents if os.path.lexists(place))
    if not above.is_dir():
        raise NotADirectoryError(f"{above}: a file; expected a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise PermissionError(f"{above.absolute()}: may not be written into")
    longest, whole = _longest_name(above), len(os.fsencode(path.absolute()))
    for name in path.relative_to(above).parts:
        if len(os.fsencode(name)) > longest:
            raise OSError(errno.ENAMETOOLONG, f"a name of more than {longest} bytes", str(path))
    if os.name == "posix" and whole >= LONGEST_PATH:
        raise OSError(errno.ENAMETOOLONG, f"a path of {whole} bytes", str(path))


def check_takes_files(folder: str | os.PathLike[str]) -> None:
    """Check that files can be made in an existing folder, by making one and removing it.

    Rights alone do not tell, see `check_makable`.

    Raises:
        OSError: If the system refuses; it names the folder.
    """
    _make_draft(Path(folder), Path(folder)).unlink()


def check_makable(folder: str | os.PathLike[str]) -> None:
    """Check, before the work that fills it, that a folder can be made, by making it.

    Rights alone do not tell: shares, Windows and systems of their own refuse in spite of them. What
    was not there before is not there afterwards.

    Raises:
        OSError: As `check_writable`, and what the system says.
    """
    folder = Path(folder)
    check_writable(folder / "a")
    missing = [place for place in (folder, *folder.parents) if not os.path.lexists(place)]
    if missing:
        try:
            missing[-1].mkdir()
            missing[-1].rmdir()
        except OSError as error:
            _name_place(error, folder, missing[-1].parent)
            raise


def _make_draft(folder: Path, asked: Path) -> Path:
    """Make an empty file of a new name in a folder; an error names what was asked for."""
    draft = folder / f"{DRAFT}{secrets.token_hex(8)}.part"
    try:
        # Not tempfile's, which nobody else may read: some file systems refuse to change that.
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        _name_place(error, asked, folder)
        raise
    return draft


def _name_place(error: OSError, path: Path, folder: Path) -> None:
    """Let an error name what cannot be made, and say so where the folder that refuses is there.

    Systems' own folders, such as ``/proc``, answer as if it were missing.
    """
    error.filename = str(path)
    if error.errno == errno.ENOENT and folder.is_dir():
        error.strerror = "No file or folder can be made here"


def _longest_name(folder: Path) -> int:
    """Return how many bytes a name in a folder may have."""
    with suppress(AttributeError, OSError, ValueError):  # Windows, and some network drives
        return os.pathconf(folder, "PC_NAME_MAX")
    return 255


def natural_key(text: str) -> list[tuple[int, str]]:
    """Return a sort key under which ``img2`` comes before ``img10``."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)
    ]


def printable(path: str | os.PathLike[str]) -> str:
    """Return a name on one line: line ends and other control characters become escapes.

    An address gets back the slash that it lost as a path.

    >>> printable(Path("s3://bucket/photo.jpg"))
    's3://bucket/photo.jpg'
    """
    name = _ADDRESS.sub(r"\1://", os.fspath(path))
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)


def is_plain_name(text: str) -> bool:
    """Return whether a text that a file of others holds may be the name of a file.

    >>> [is_plain_name(text) for text in ("petrichor", "../evil", "C:evil", "", "..", "a\\nb")]
    [True, False, False, False, False, False]
    """
    special = text in ("", ".", "..") or any(letter in text for letter in "/\\:")
    return text.isprintable() and not special


def amount(count: int, noun: str, plural: str = "") -> str:
    """Return a number and what it counts: ``1 picture``, ``2 pictures``.

    Args:
        count: The number.
        noun: Its noun in the singular.
        plural: The plural, if more than an s differs.
    """
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"


def listed(names: Sequence[str], at_most: int = 5) -> str:
    """Return the first of many names, and how many more there are."""
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more
