"""What a dataset is, in a line that belongs to every score."""

import hashlib
from pathlib import Path

from derain.data import PairedFolder
from derain.evaluate.photographs import Photographs


def identity(dataset: PairedFolder | Photographs) -> str:
    """Layout, number of pictures and a digest of the files' bytes in their order; a file that cannot be read counts as empty."""
    if isinstance(dataset, PairedFolder):
        paths = [path for pair in dataset.pairs for path in (pair.rainy, pair.clean)]
        return f"{dataset.layout}, {len(dataset.pairs)} pairs, sha256 {_digest(paths)[:12]}"
    paths = [photograph.rainy for photograph in dataset.photographs]
    return f"{dataset.layout}, {len(paths)} pictures, sha256 {_digest(paths)[:12]}"


def _digest(paths: list[Path]) -> str:
    """SHA-256 over each file's own."""
    whole = hashlib.sha256()
    for path in paths:
        try:
            data = path.read_bytes()
        except OSError:
            data = b""
        whole.update(hashlib.sha256(data).digest())
    return whole.hexdigest()
