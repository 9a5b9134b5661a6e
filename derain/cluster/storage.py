"""Where workers read files and write results: a place each, whose errors may pass."""

import hashlib
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from derain.cluster.ledger import Row
from derain.cluster.listing import Archive, Item
from derain.files import file_digest

PAUSE = 0.5
"""Seconds before a file is tried again; each further time twice as many."""
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
"""What is not worth another try."""

T = TypeVar("T")


class PlaceStorage:
    """A `derain.pictures` storage that reads from one place and writes to another.

    Args:
        archive: The two.
        retries: Further tries after an error that may pass.
        on_read: Called with the name of a picture before it is read, in the thread that reads.
    """

    def __init__(self, archive: Archive, retries: int, on_read: Callable[[str], None]) -> None:
        self._archive, self._retries, self._on_read = archive, retries, on_read
        self._facts: dict[str, Row] = {}

    def read(self, source: Path) -> bytes:
        """Return a picture's bytes.

        Raises:
            OSError: If it cannot be read.
        """
        name = source.as_posix()
        self._on_read(name)
        data, tries = self._tried(lambda: self._archive.source.read(name))
        facts = self._facts.setdefault(name, {"attempts": 1})
        facts |= {"attempts": max(facts["attempts"], tries), "input_sha256": sha256_of(data)}
        return data

    def write(self, target: Path, data: bytes) -> None:
        """Write a result.

        Raises:
            OSError: If it cannot be written.
        """
        name = target.as_posix()
        _, tries = self._tried(lambda: self._archive.output.write(name, data))
        facts = {"attempts": tries, "output_sha256": sha256_of(data), "output_size": len(data)}
        self._facts[f">{name}"] = facts

    def fetch(self, name: str, path: Path) -> None:
        """Copy a file of the archive to a path of this machine.

        Raises:
            OSError: If it cannot be read, or written here.
        """
        _, tries = self._tried(lambda: self._archive.source.fetch(name, path))
        self._facts[name] = {"attempts": tries, "input_sha256": file_digest(path)}

    def keep(self, name: str, data: bytes) -> None:
        """Write a file that is no result.

        Raises:
            OSError: If it cannot be written.
        """
        self._tried(lambda: self._archive.output.write(name, data))

    def kept(self, name: str) -> bytes:
        """Return the bytes of a file that is no result.

        Raises:
            OSError: If it cannot be read.
        """
        return self._tried(lambda: self._archive.output.read(name))[0]

    def facts(self, item: Item) -> Row:
        """Return what is known of a file's bytes, and forget it."""
        read = self._facts.pop(item.path, {})
        written = self._facts.pop(f">{item.target}", {})
        tries = max(read.get("attempts", 1 + self._retries), written.get("attempts", 1))
        return {**read, **written, "attempts": tries}

    def _tried(self, work: Callable[[], T]) -> tuple[T, int]:
        """Do something with a store; return what it gives, and how often it was tried."""
        for tries in range(1, self._retries + 2):
            try:
                return work(), tries
            except _FINAL:
                raise
            except OSError:
                if tries > self._retries:
                    raise
                # Not all workers at the same time.
                time.sleep(PAUSE * 2 ** (tries - 1) * (0.5 + random.random()))
        raise AssertionError("not reached")


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
