"""What outlives a worker: which files of its shard are done, and which it was at when it ended."""

from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass
class Shard:
    """What is known of a shard that was given to a worker.

    Attributes:
        begun: How often each file was begun that is not done, by number in the shard.
        rows: What became of the others, likewise.
    """

    begun: dict[int, int] = field(default_factory=dict[int, int])
    rows: dict[int, Row] = field(default_factory=dict[int, Row])


class Ledger:
    """Keeps shards until the driver has what became of their files.

    Ray gives a shard to another worker if its own one ends, from the first file on. The other one
    asks here what is done, and does alone what the first one was at: a file that ends every worker
    then ends none of its neighbours with it, and after some tries it is given up.

    Ray executes one call at a time, those of one worker in the order in which they were made.
    """

    def __init__(self) -> None:
        self._shards: dict[int, Shard] = {}

    def open(self, number: int) -> Shard:
        """Return what is known of a shard."""
        return self._shards.setdefault(number, Shard())

    def begin(self, number: int, place: int) -> None:
        """Note that a file is begun."""
        begun = self.open(number).begun
        begun[place] = begun.get(place, 0) + 1

    def end(self, number: int, place: int, row: Row) -> None:
        """Note what became of a file."""
        shard = self.open(number)
        shard.rows[place] = row
        shard.begun.pop(place, None)

    def forget(self, numbers: list[int]) -> None:
        """Drop shards that the driver has."""
        for number in numbers:
            self._shards.pop(number, None)

    def size(self) -> int:
        """Return how many shards are kept."""
        return len(self._shards)
