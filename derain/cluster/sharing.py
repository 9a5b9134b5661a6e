"""How long clips are shared out among workers, in rounds.

    first   whole       all files; a long clip is only looked at, and comes back with its length
    then    part        some segments of a long clip, which go to OUTPUT/.derain/parts/
    last    join        a long clip whose parts are there: segments and other streams together

A part that fails fails its clip. Its other parts stay for the next run, like those of a run that is
interrupted.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from derain.cluster.ledger import Row
from derain.cluster.listing import Item
from derain.cluster.manifest import RECORDS, Terms
from derain.cluster.places import Place

FOLDER = f"{RECORDS}/parts"
LEAST = 3
"""Segments of a clip that is long; see `derain.video.encoding.SEGMENT_FRAMES`."""
PER_WORKER = 2
"""Parts for each worker, about: each copies the clip, but all should end at the same time."""
ENOUGH = 4
"""Clips for each worker from which on none is shared out: they keep all busy."""

LONG = "long"
"""Status of a clip that is to be shared out."""


def folder_of(item: Item, terms: Terms) -> str:
    """Return the folder for the segments of a clip on certain terms."""
    facts = (item.path, item.size, item.modified, terms.model_sha256, terms.settings, terms.version)
    return f"{FOLDER}/{hashlib.sha256(repr(facts).encode()).hexdigest()[:32]}"


def is_shared(clips: int, workers: int) -> bool:
    """Return whether long clips are shared out where there are so many clips."""
    return workers > 1 and 0 < clips < workers * ENOUGH


class Shared:
    """The clips of a run that are shared out.

    Args:
        workers: How many work at once.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._segments: dict[str, int] = {}
        self._clips: dict[str, Item] = {}
        self._seconds: dict[str, float] = {}
        self._failed: list[Item] = []

    def ended(self, rows: Iterable[Row]) -> list[Row]:
        """Return the rows that say what became of a file, and take down the others."""
        return [row for row in rows if self._note(row)]

    def parts(self) -> Iterator[Item]:
        """Yield what is to be done of the long clips; a short one among these as a whole."""
        size = max(1, -(-sum(self._segments.values()) // (self._workers * PER_WORKER)))
        for path, item in list(self._clips.items()):
            segments = self._segments[path]
            count = -(-segments // size)
            if count == 1:
                del self._clips[path]
                yield item
                continue
            for k in range(count):
                ends = k * segments // count, (k + 1) * segments // count
                yield replace(item, task="part", first=ends[0], end=ends[1])

    def joins(self) -> Iterator[Item]:
        """Yield the clips whose parts are there."""
        for item in self._clips.values():
            yield replace(item, task="join")

    def remove_parts(self, place: Place, terms: Terms) -> None:
        """Remove all segments that no clip waits for, at the end of a run.

        Args:
            place: Of the results.
            terms: Of clips.

        Raises:
            OSError: If they cannot be removed.
        """
        waiting = {folder_of(item, terms) for item in self._failed}
        for name in place.contents(FOLDER).folders:
            folder = f"{FOLDER}/{name}"
            if folder not in waiting:
                for file in place.contents(folder).files:
                    place.remove(f"{folder}/{file.name}")
                place.remove_folder(folder)

    def _note(self, row: Row) -> bool:
        """Take a row down; return whether it says what became of a file."""
        task, segments, path = row.pop("task"), row.pop("segments", None), row["path"]
        if row["status"] == LONG:
            item = Item(path, row["target"], row["size"], row["modified"], "clip")
            self._clips[path], self._segments[path] = item, segments
        if row["status"] == LONG or task == "part":
            self._seconds[path] = self._seconds.get(path, 0.0) + row["seconds"]
            # Of the parts that fail, one speaks for the clip.
            return row["status"] == "failed" and self._fail(path)
        row["seconds"] += self._seconds.pop(path, 0.0)
        if task == "join" and row["status"] == "failed":
            self._fail(path)
        return True

    def _fail(self, path: str) -> bool:
        """Note that a clip has failed; return whether that is new."""
        item = self._clips.pop(path, None)
        if item is not None:
            self._failed.append(item)
        return item is not None
