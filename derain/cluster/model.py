"""Weights, as each worker of a cluster gets them."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from derain.clips.names import model_for
from derain.cluster.request import Kind, Request
from derain.errors import DerainError
from derain.files import file_digest
from derain.restore import Derainer, check_asked, load
from derain.weights.catalogue import CATALOGUE

_LARGEST = 1 << 30
"""Bytes of weights that are sent to the workers; others have to lie where all find them."""


@dataclass(frozen=True)
class Model:
    """Weights that were chosen, and their content where that is a file of the user's.

    Attributes:
        name: As `derain.restore.load` takes it.
        sha256: Of the file, in hexadecimal.
        flips: Over how many flips of a picture results are averaged.
        data: Of the file; None for shipped weights, and for what is a folder or many files.
    """

    name: str
    sha256: str
    flips: int = 1
    data: bytes | None = None

    def load(self, settings: dict[str, Any]) -> Derainer:
        """Return the weights, ready to work.

        Raises:
            DerainError: If they cannot be loaded on this machine, or are other ones.
        """
        # The weights and the flips are what the quality stands for.
        settings = {name: value for name, value in settings.items() if name != "quality"}
        settings["flips"] = self.flips
        if self.name in CATALOGUE:
            if digest_of(self.name) != self.sha256:
                raise DerainError(
                    f"{self.name}: other weights on this machine; expected the same derain"
                )
            return load(self.name, **settings)
        if self.data is None:
            return load(self.name, **settings)
        with tempfile.TemporaryDirectory(prefix="derain-") as folder:
            # Under its own name, which messages show, and whose ending says what it is.
            path = Path(folder, Path(self.name).name)
            path.write_bytes(self.data)
            return load(path, **settings)


def model_of(request: Request, kind: Kind) -> Model:
    """Return the weights for one kind of files.

    Raises:
        FileNotFoundError: If there are no such weights.
        ValueError: As `derain.restore.check_asked`.
    """
    name = request.model
    if kind == "clip":
        name = model_for(name, request.settings.get("quality"))
    quality = check_asked(name, **request.settings)
    chosen = quality.weights
    path = Path(chosen)
    is_sent = chosen not in CATALOGUE and path.is_file() and path.stat().st_size <= _LARGEST
    data = path.read_bytes() if is_sent else None
    return Model(_anywhere(chosen), digest_of(chosen), quality.flips, data)


def digest_of(name_or_path: str) -> str:
    """Return the SHA-256 of weights: of their file, or of the names and digests of several.

    Raises:
        OSError: If they cannot be read.
    """
    if name_or_path in CATALOGUE:
        row = CATALOGUE[name_or_path]
        return row.sha256
    path = Path(name_or_path)
    if path.is_file():
        return file_digest(path)
    import hashlib

    digest = hashlib.sha256()
    for file in _files_of(path):
        digest.update(f"{file.name} {file_digest(file)}\n".encode())
    return digest.hexdigest()


def _files_of(path: Path) -> Iterator[Path]:
    """Yield the files of a checkpoint that is a folder, or that several files share a name of."""
    inside = path if path.is_dir() else path.parent
    with contextlib.suppress(FileNotFoundError):
        for file in sorted(inside.iterdir()):
            if file.is_file() and (path.is_dir() or file.name.startswith(f"{path.name}.")):
                yield file


def _anywhere(name_or_path: str) -> str:
    """Return a name that is the same in every working folder."""
    return name_or_path if name_or_path in CATALOGUE else os.path.abspath(name_or_path)  # noqa: PTH100
