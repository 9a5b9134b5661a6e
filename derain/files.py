"""Files: atomic writes, digests, names in natural order and on one line, pictures in folders."""

import hashlib
import os
import re
import secrets
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from itertools import filterfalse
from pathlib import Path

DRAFT = ".derain-"
"""What the names of unfinished files begin with."""

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


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Generator[Path]:
    """Yield a temporary name beside a file, and move it into place when the block ends.

    The file appears under its final name complete or not at all: if the block raises, the
    temporary file is removed and what was there before stays.

    Raises:
        OSError: If the folder cannot be written into; it names the final path.
    """
    path = Path(path)
    draft = path.with_name(f"{DRAFT}{secrets.token_hex(8)}.part")
    try:
        # Not tempfile's, which nobody else may read: some file systems refuse to change that.
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        error.filename = str(path)
        raise
    try:
        yield draft
        os.replace(draft, path)
    except BaseException as error:
        draft.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)
        raise


def write_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file completely or not at all.

    Raises:
        OSError: If it cannot be written; nothing is left behind.
    """
    with replacing(path) as draft:
        draft.write_bytes(data)


def file_digest(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        OSError: If it cannot be read.
    """
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def find_files(
    folder: str | os.PathLike[str], suffixes: Collection[str]
) -> tuple[list[Path], list[OSError]]:
    """Return files anywhere under a folder by suffix, and the folders that cannot be listed.

    What `is_litter` names is left out.

    Args:
        folder: Where to begin; links to files count, links to folders are not followed.
        suffixes: In small letters, with the dot.

    Returns:
        Paths in natural order, files before the folders beside them; one error for each folder
        that cannot be listed.
    """
    unreadable: list[OSError] = []
    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=unreadable.append):
        folders[:] = sorted(filterfalse(is_litter, folders), key=natural_key)
        named = (
            Path(place, name)
            for name in sorted(filterfalse(is_litter, names), key=natural_key)
            if Path(name).suffix.lower() in suffixes
        )
        # os.path.isfile is false for a link to itself, where Path.is_file raises.
        found += [path for path in named if os.path.isfile(path)]  # noqa: PTH113
    return found, unreadable


def natural_key(text: str) -> list[tuple[int, str]]:
    """Return a sort key under which ``img2`` comes before ``img10``."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)
    ]


def printable(path: str | os.PathLike[str]) -> str:
    """Return a name on one line: line ends and other control characters become escapes."""
    return "".join(
        letter if letter.isprintable() else ascii(letter)[1:-1] for letter in os.fspath(path)
    )


def listed(names: Sequence[str], at_most: int = 5) -> str:
    """Return the first of many names, and how many more there are."""
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more
