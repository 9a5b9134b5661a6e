"""What a paired dataset is made of, and how a pair is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, get_args

from derain.files import file_digest, printable
from derain.images import read_image

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


class Sliceable(Protocol):
    """An array or tensor of (H, W, 3)."""

    @property
    def shape(self) -> Sequence[int]:
        """Sizes of its dimensions."""
        ...

    def __getitem__(self, index: Any, /) -> Any:
        """Return a part of it."""
        ...


Array = TypeVar("Array", bound=Sliceable)


def read_pair(pair: Pair, read: Callable[[Path], Array] = read_image) -> tuple[Array, Array]:
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
        both = f"{printable(pair.rainy)} and {printable(pair.clean)}"
        raise SizesDifferError(f"{both} are {sizes}: expected twins of one size")
    return rainy, clean


def halves(pixels: Array, path: Path) -> tuple[Array, Array]:
    """(H, 2W, 3) -> two of (H, W, 3), left and right.

    Raises:
        ValueError: If there is no middle to cut at.
    """
    width = pixels.shape[1]
    if width % 2:
        raise ValueError(
            f"{printable(path)}: {width} pixels wide; expected an even number, two pictures side by"
            " side"
        )
    return pixels[:, : width // 2], pixels[:, width // 2 :]


def digest_or_error(path: Path) -> str | OSError:
    """Return the SHA-256 of a file's bytes, or what kept it from being read."""
    try:
        return file_digest(path)
    except OSError as error:
        return error
