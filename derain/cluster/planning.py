"""What is to be done, written down for the workers: a file for some thousand rows.

    OUTPUT/.derain/plans/00000001764352800000000000/000000.parquet

A plan is removed when its run is over. One that is left says of which files a run that was cut
short may have written results without recording them: they are done again.
"""

import posixpath
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from derain.cluster.listing import Item
from derain.cluster.manifest import RECORDS, claim, has_number
from derain.cluster.places import Place
from derain.cluster.tables import SUFFIX, read_table, read_tables, table_names, write_rows

FOLDER = f"{RECORDS}/plans"
ROWS = 4096
"""Of a file; a power of two, so that shards do not lie across files."""
MOST_SHARDS = 4096
"""About; what Ray and the driver hold does not grow with more files."""
LARGEST_SHARD = 64
"""Rows of a shard of up to as many files as `MOST_SHARDS` of them have."""
PER_WORKER = 16
"""Shards for each worker at least, so that all end at about the same time."""
SMALL = 1 << 20
"""Bytes of small files that a shard may have in spite of that: a shard costs some milliseconds."""
FEW_PER_WORKER = 4
"""Shards for each worker then."""

COLUMNS = {
    "path": "string",
    "target": "string",
    "size": "int64",
    "modified": "int64",
    "kind": "string",
    "format": "string",
    "there": "int64",
    "task": "string",
    "first": "int64",
    "end": "int64",
}


class Plan:
    """Files to do, in shards: numbers from 0, each some rows that one worker does in one go."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._folder = f"{FOLDER}/{time.time_ns():026}"
        self._rows: list[dict[str, Any]] = []
        self._files = self._bytes = 0
        self.count = 0
        self.step = 1
        self._kept: tuple[str, Any] | None = None

    def add(self, item: Item) -> None:
        """Add a file.

        Raises:
            OSError: If what is planned cannot be written.
        """
        self._rows.append(asdict(item))
        self.count += 1
        self._bytes += item.size
        if len(self._rows) == ROWS:
            self._flush()

    def close(self, workers: int) -> None:
        """Write what is left, and cut it into shards.

        Args:
            workers: How many work at once.

        Raises:
            OSError: If it cannot be written.
        """
        if self._rows:
            self._flush()
        small = min(
            SMALL * self.count // max(self._bytes, 1), self.count // (workers * FEW_PER_WORKER)
        )
        step = min(max(self.count // (workers * PER_WORKER), small, 1), LARGEST_SHARD)
        step = max(step, -(-self.count // MOST_SHARDS))
        # The next power of two below, but not more than a file has.
        self.step = min(1 << (step.bit_length() - 1), ROWS)

    @property
    def shards(self) -> int:
        """How many there are."""
        return -(-self.count // self.step)

    def items(self, shard: int) -> list[Item]:
        """Return the files of a shard.

        Raises:
            OSError: If the plan cannot be read.
        """
        first = shard * self.step
        rows = self._table(f"{self._folder}/{first // ROWS:06}{SUFFIX}")
        return [Item(**row) for row in rows.slice(first % ROWS, self.step).to_pylist()]

    def remove(self) -> None:
        """Remove it: the run is over."""
        for name in table_names(self._place, self._folder):
            self._place.remove(f"{self._folder}/{name}")
        self._place.remove_folder(self._folder)

    def _table(self, name: str) -> Any:
        """Return a file's rows; the last one is kept, since neighbouring shards need it, too."""
        if self._kept is None or self._kept[0] != name:
            self._kept = name, read_table(self._place, name)
        return self._kept[1]

    def _flush(self) -> None:
        name = f"{self._folder}/{self._files:06}{SUFFIX}"
        write_rows(self._place, name, self._rows, COLUMNS)
        self._files += 1
        self._rows = []


class Unfinished:
    """Plans of runs that were cut short, other than this one's."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._folders = sorted(place.contents(FOLDER).folders)
        self._keys = np.unique(np.fromiter(self._read(), np.uint64))

    def has(self, item: Item) -> bool:
        """Return whether a file was planned, and may have been done, with this result."""
        return has_number(self._keys, claim(item.path, item.target))

    def remove(self) -> None:
        """Remove these plans."""
        for folder in self._folders:
            inside = posixpath.join(FOLDER, folder)
            for name in table_names(self._place, inside):
                self._place.remove(f"{inside}/{name}")
            self._place.remove_folder(inside)

    def _read(self) -> Iterator[int]:
        for folder in self._folders:
            for table in read_tables(self._place, f"{FOLDER}/{folder}", ["path", "target"]):
                columns: list[Sequence[str]] = [column.to_pylist() for column in table.columns]
                yield from map(claim, *columns)
