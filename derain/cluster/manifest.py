"""The record of what was done with each file of an archive, in the folder of the results.

    OUTPUT/.derain/manifest/00000001764352800000000000-000000.parquet

Files are only ever added. A file has the rows of some seconds of a run; when the run is over they
are written again as one. Of several rows for a path the last one counts, in the order of the files'
names, which begin with the time.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derain.clips.names import is_clip_name
from derain.cluster.listing import Item
from derain.cluster.places import Place
from derain.cluster.tables import (
    SUFFIX,
    read_table,
    read_tables,
    table_names,
    write_rows,
    write_table,
)
from derain.extras import require

RECORDS = ".derain"
"""Folder of the records in that of the results; listings leave it out."""
FOLDER = f"{RECORDS}/manifest"

COLUMNS = {
    "path": "string",
    "target": "string",
    "size": "int64",
    "modified": "int64",
    "input_sha256": "string",
    "output_sha256": "string",
    "output_size": "int64",
    "model": "string",
    "model_sha256": "string",
    "settings": "string",
    "version": "string",
    "seconds": "float64",
    "status": "string",
    "error": "string",
    "notes": "string",
    "attempts": "int32",
    "finished": "time",
}
"""Of a row, by name: types of Arrow."""

_OF_KEY = (
    "path",
    "size",
    "modified",
    "model_sha256",
    "settings",
    "status",
    "output_size",
    "target",
)
MOST_ROWS = 1000
"""Rows that are not written yet, at most."""
SECONDS = 10.0
"""Between two files of a run, about."""
_LARGEST = 20_000
"""Rows of a file that is written again as one of several."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Terms:
    """All besides a file itself that its result depends on.

    Attributes:
        model: Name of the weights.
        model_sha256: Of their file.
        settings: As text.
        version: Of derain; another one alone makes nothing due again.
    """

    model: str
    model_sha256: str
    settings: str
    version: str


class Known:
    """What a manifest says, by hashes: some tens of bytes for each path.

    Of 2**64 values two paths, or two states of a file, have the same one with a probability of
    about 3e-8 among a million.
    """

    def __init__(self, tables: Iterator[Any]) -> None:
        keys: list[NDArray[np.uint64]] = []
        states: list[NDArray[np.uint64]] = []
        sizes: list[NDArray[np.int64]] = []
        claims: list[int] = []
        for table in tables:
            columns = [table.column(name).to_pylist() for name in _OF_KEY]
            rows = list(zip(*columns, strict=True))
            keys.append(np.array([hashed(row[0]) for row in rows], np.uint64))
            states.append(np.array([_state(*row[1:6]) for row in rows], np.uint64))
            sizes.append(np.array([-1 if row[6] is None else row[6] for row in rows], np.int64))
            claims += [claim(row[0], row[7]) for row in rows if row[5] == "done"]
        self._claims = np.unique(np.array(claims, np.uint64))
        every = np.concatenate([np.empty(0, np.uint64), *keys])
        order = np.argsort(every, kind="stable")
        every = every[order]
        # Of equal keys, which stand in the order of the files, the last one counts.
        is_last = np.ones(len(every), bool)
        is_last[:-1] = every[1:] != every[:-1]
        self._keys = every[is_last]
        self._states = np.concatenate([np.empty(0, np.uint64), *states])[order][is_last]
        self._sizes = np.concatenate([np.empty(0, np.int64), *sizes])[order][is_last]

    def __len__(self) -> int:
        return len(self._keys)

    def has_made(self, item: Item) -> bool:
        """Return whether a run has written the result of a file where the item has it."""
        return has_number(self._claims, claim(item.path, item.target))

    def is_done(self, item: Item, terms: Terms) -> bool:
        """Return whether a file was done on these terms, and its result is still there."""
        place = self._find(item.path)
        if place is None:
            return False
        found = (item.size, item.modified, terms.model_sha256, terms.settings)
        if self._states[place] == np.uint64(_state(*found, "done")):
            return item.there is not None and item.there == self._sizes[place]
        return bool(self._states[place] == np.uint64(_state(*found, "left")))

    def _find(self, path: str) -> int | None:
        key = np.uint64(hashed(path))
        place = int(np.searchsorted(self._keys, key))
        return place if place < len(self._keys) and self._keys[place] == key else None


def claim(path: str, target: str) -> int:
    """Return a number for a file and the place of its result; a clip's ending does not count."""
    place = PurePosixPath(target)
    return hashed(f"{path}\0{place.with_suffix('') if is_clip_name(path) else place}")


def has_number(numbers: NDArray[np.uint64], number: int) -> bool:
    """Return whether a number is among sorted ones."""
    place = int(np.searchsorted(numbers, np.uint64(number)))
    return place < len(numbers) and bool(numbers[place] == np.uint64(number))


def hashed(text: str) -> int:
    """Return a number of 64 bits for a text."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _state(size: int, modified: int, model: str, settings: str, status: str) -> int:
    return hashed(f"{size} {modified} {model} {status} {settings}")


class Manifest:
    """The records of an archive, which a run reads first and then adds to.

    Args:
        place: Of the results.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._rows: list[Row] = []
        self._written: list[str] = []
        self._at = time.monotonic()
        self._begun = _stamp()

    def known(self) -> Known:
        """Return what earlier runs have done.

        Raises:
            DerainError: If the records are damaged.
            OSError: If they cannot be read.
        """
        return Known(read_tables(self._place, FOLDER, _OF_KEY))

    def add(self, rows: Sequence[Row]) -> None:
        """Add rows; they are written some seconds later.

        Raises:
            OSError: If they cannot be written.
        """
        self._rows += rows
        if len(self._rows) >= MOST_ROWS or time.monotonic() - self._at > SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is not written yet."""
        if self._rows:
            name = f"{self._begun}-{len(self._written):06}{SUFFIX}"
            write_rows(self._place, f"{FOLDER}/{name}", self._rows, COLUMNS)
            self._written.append(name)
        self._rows, self._at = [], time.monotonic()

    def close(self) -> None:
        """Write what is left, and what this run wrote again in fewer files."""
        self.flush()
        gathered: list[Any] = []
        names: list[str] = []
        for name in self._written:
            gathered.append(read_table(self._place, f"{FOLDER}/{name}"))
            names.append(name)
            if sum(map(len, gathered)) >= _LARGEST:
                self._replace(names, gathered)
                gathered, names = [], []
        self._replace(names, gathered)
        self._written = []

    def _replace(self, names: Sequence[str], tables: Sequence[Any]) -> None:
        """Write files again as one, under the name of the last of them."""
        if len(names) > 1:
            rows = require("pyarrow").concat_tables(tables)
            write_table(self._place, f"{FOLDER}/{names[-1]}", rows)
            for name in names[:-1]:
                self._place.remove(f"{FOLDER}/{name}")


def _stamp() -> str:
    return f"{time.time_ns():026}"


def read_manifest(place: Place) -> dict[str, Row]:
    """Return the last row of each path, by path; it holds them all in memory.

    Args:
        place: Of the results.

    Raises:
        OSError: If a file cannot be read.
    """
    rows: dict[str, Row] = {}
    for name in table_names(place, FOLDER):
        found = read_table(place, f"{FOLDER}/{name}").to_pylist()
        rows |= {row["path"]: row for row in found}
    return rows
