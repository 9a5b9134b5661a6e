"""What a paired dataset is made of, and how a pair is read."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

from torch import Tensor

from derain.images import Pixels, read_image

Half = Literal["left", "right"]
Unsound = Literal[
    "no pictures",
    "unpaired",
    "ambiguous",
    "unreadable",
    "sizes differ",
    "misaligned",
    "not twins",
    "exchanged",
    "leak",
    "known test picture",
]
"""Problems that make training unsound."""
Kind = Unsound | Literal["duplicate", "no rain", "spare", "ignored"]
"""What can be wrong with a dataset; the others are worth knowing: pictures that count twice, files
that are left out.
"""


class SizesDifferError(ValueError):
    """The twins of a pair are of two sizes."""


@dataclass(frozen=True)
class Problem:
    """Something wrong with files of a dataset, in one line that names them.

    Attributes:
        harmless: Only worth knowing here, though others of its kind make training unsound.
    """

    kind: Kind
    message: str
    paths: tuple[Path, ...] = ()
    harmless: bool = False

    @property
    def unsound(self) -> bool:
        """It makes training unsound."""
        return self.kind in get_args(Unsound) and not self.harmless


@dataclass(frozen=True)
class Pair:
    """A rainy picture and its clean twin, named by the rainy file.

    Attributes:
        rainy_half: Which half of one picture is the rainy one, where both paths are of the same
            file.
    """

    name: str
    rainy: Path
    clean: Path
    rainy_half: Half | None = None


@dataclass(frozen=True)
class PairedFolder:
    """The pairs of a dataset and how they lie on disk, in words."""

    name: str
    layout: str
    pairs: tuple[Pair, ...]


Picture = TypeVar("Picture", Pixels, Tensor)


def read_pair(pair: Pair, read: Callable[[Path], Picture] = read_image) -> tuple[Picture, Picture]:
    """The rainy and the clean picture, each (H, W, 3) and of one size.

    Args:
        read: How a file is read: a cache perhaps, which may give tensors instead of arrays.

    Raises:
        SizesDifferError: If sizes differ.
        ValueError: If they cannot be read.
        OSError: If a file cannot be opened.
    """
    if pair.rainy_half:
        left, right = halves(read(pair.rainy), pair.rainy)
        return (left, right) if pair.rainy_half == "left" else (right, left)
    rainy, clean = read(pair.rainy), read(pair.clean)
    if rainy.shape != clean.shape:
        sizes = " and ".join(f"{pixels.shape[1]}x{pixels.shape[0]}" for pixels in (rainy, clean))
        raise SizesDifferError(
            f"{shown(pair.rainy)} and {shown(pair.clean)} are {sizes}: expected twins of one size"
        )
    return rainy, clean


def halves(pixels: Picture, path: Path) -> tuple[Picture, Picture]:
    """(H, 2W, 3) -> two of (H, W, 3), left and right.

    Raises:
        ValueError: If there is no middle to cut at.
    """
    width = pixels.shape[1]
    if width % 2:
        raise ValueError(
            f"{shown(path)}: {width} pixels wide; expected an even number, two pictures side by"
            " side"
        )
    return pixels[:, : width // 2], pixels[:, width // 2 :]


def shown(path: Path | str) -> str:
    """A path on one line: a newline or another control character in a name becomes an escape."""
    return "".join(
        letter if letter.isprintable() else ascii(letter)[1:-1] for letter in os.fspath(path)
    )


def listed(names: Sequence[str], at_most: int = 5) -> str:
    """A few of many, and how many more there are."""
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more


def file_digest(path: Path) -> str | OSError:
    """SHA-256 of a file's bytes, in hexadecimal, or what kept it from being read."""
    whole = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                whole.update(block)
    except OSError as error:
        return error
    return whole.hexdigest()
