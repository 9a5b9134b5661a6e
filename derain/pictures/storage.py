"""Where pictures are read from and results are written to."""

from pathlib import Path
from typing import Protocol

from derain.files import write_file


class Storage(Protocol):
    """Reads pictures and writes results, in a thread for each."""

    def read(self, source: Path) -> Path | bytes:
        """Return a picture's file, or its bytes.

        Raises:
            OSError: If it cannot be read.
        """
        ...

    def write(self, target: Path, data: bytes) -> None:
        """Write a result completely or not at all, in a folder that may have to be made.

        Raises:
            OSError: If it cannot be written.
        """
        ...


class Folders:
    """Files of this machine."""

    def read(self, source: Path) -> Path:
        """Return the file, which is then read as a whole."""
        return source

    def write(self, target: Path, data: bytes) -> None:
        """Write a file, with the folders that it lies in.

        Raises:
            OSError: If it cannot be written; nothing is left behind.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        write_file(target, data)


FOLDERS = Folders()
"""Those of every job that names nothing else."""
