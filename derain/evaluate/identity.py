"""Identify a dataset in a line that is printed with every score."""

import contextlib
import hashlib
from pathlib import Path

from derain.data import PairedFolder, identify
from derain.data.pairs import digest_or_error
from derain.evaluate.photographs import Photographs
from derain.files import amount


def identity(dataset: PairedFolder | Photographs) -> str:
    """Return which benchmark a dataset is and which version, its layout on disk, and a digest.

    The words are those of `derain data check`. A dataset with a picture that cannot be read is not
    recognised: its line has the layout, the number of pairs, and a digest of the files in their
    order that leaves out what cannot be opened.
    """
    if isinstance(dataset, PairedFolder):
        with contextlib.suppress(ValueError, OSError):
            return f"{identify(dataset).describe()}, {dataset.layout}"
        paths = [path for pair in dataset.pairs for path in (pair.rainy, pair.clean)]
        count = amount(len(dataset.pairs), "pair")
        return f"{dataset.layout}, {count}, sha256 {_digest(paths)[:12]}"
    paths = [photograph.rainy for photograph in dataset.photographs]
    return f"{dataset.layout}, {amount(len(paths), 'picture')}, sha256 {_digest(paths)[:12]}"


def _digest(paths: list[Path]) -> str:
    """Return the SHA-256 over the digests of files, in their order."""
    whole = hashlib.sha256()
    for path in paths:
        digest = digest_or_error(path)
        whole.update(b"" if isinstance(digest, OSError) else bytes.fromhex(digest))
    return whole.hexdigest()
