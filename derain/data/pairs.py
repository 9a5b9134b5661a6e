"""Pairs of a rainy and a clean picture, how one is read, and what can be wrong with them."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, get_args

from derain.errors import UsageError
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
    "unknown layout",
]
"""Problems that make training unsound."""
Kind = Unsound | Literal["duplicate", "no rain", "spare", "ignored"]
"""What can be wrong with a dataset.

Those that are not `Unsound` are worth knowing: pictures that count twice, files that are left out.
"""


class SizesDifferError(ValueError):
    """The two pictures of a pair differ in size."""


@dataclass(frozen=True)
class Problem:
    """Something wrong with files of a dataset, in one line that names them.

    Attributes:
        kind: What is wrong.
        message: Says so in one line, with what to do.
        paths: The files and folders.
        harmless: It does not make training unsound here, though others of its kind do.
    """

    kind: Kind
    message: str
    paths: tuple[Path, ...] = ()
    harmless: bool = False

    @property
    def unsound(self) -> bool:
        """Whether it makes training unsound."""
        return self.kind in get_args(Unsound) and not self.harmless


@dataclass(frozen=True)
class Pair:
    """A rainy picture and its clean one, named by the rainy file.

    Attributes:
        name: Of the rainy file.
        rainy: Path of the rainy picture.
        clean: Path of the clean picture.
        rainy_half: Which half is the rainy one, if both are in one picture and both paths are the
            same.
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

    def __len__(self) -> int:
        return len(self.pairs)


@dataclass(frozen=True)
class TwoFolders:
    """A folder of rainy pictures and one of their clean pictures, anywhere on the disk."""

    rainy: Path
    clean: Path

    def __str__(self) -> str:
        return f"{self.rainy} and {self.clean}"

    @property
    def folder(self) -> Path:
        """The innermost folder that holds both."""
        return Path(os.path.commonpath([self.rainy.resolve(), self.clean.resolve()]))

    @property
    def name(self) -> str:
        """Name of that folder, or of both if they have only the root in common."""
        return self.folder.name or f"{self.rainy.name} and {self.clean.name}"


def named_folders(rainy: Path | None, clean: Path | None) -> TwoFolders | None:
    """Return the two folders that a user names; None for a user who names neither.

    Raises:
        UsageError: If only one of them is named.
        FileNotFoundError: If one is no folder.
    """
    if rainy is None and clean is None:
        return None
    if rainy is None or clean is None:
        given, other = ("clean", "rainy") if rainy is None else ("rainy", "clean")
        raise UsageError(
            f"one half of pairs; expected the folder of the {other} half too ({other})",
            option=given,
            value=clean or rainy,
        )
    for folder in (rainy, clean):
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder; expected one of pictures")
    return TwoFolders(rainy, clean)


Place = Path | TwoFolders
"""Where a dataset lies: a folder or a list file that is looked at, or two folders as named."""

GivenPlace = Place | str | os.PathLike[str]
"""A place as it may be given in Python."""


def place_of(given: GivenPlace) -> Place:
    """Return a place, however it was given.

    Raises:
        TypeError: If it is neither a path nor two folders.
    """
    return given if isinstance(given, TwoFolders) else Path(given)


class Sliceable(Protocol):
    """An array or a tensor, so that reading pairs needs no PyTorch."""

    @property
    def shape(self) -> Sequence[int]:
        """Sizes of its dimensions."""
        ...

    def __getitem__(self, index: Any, /) -> Any:
        """Return a part of it."""
        ...


Array = TypeVar("Array", bound=Sliceable)


def read_pair(pair: Pair, read: Callable[[Path], Array] = read_image) -> tuple[Array, Array]:
    """Return the rainy and the clean picture, each (H, W, 3) and of one size.

    Args:
        pair: The pair.
        read: Reads a file, perhaps through a cache; may return a tensor instead of an array.

    Raises:
        SizesDifferError: If sizes differ.
        ValueError: If a file is not a picture that can be decoded.
        OSError: If a file cannot be opened.
    """
    if pair.rainy_half:
        left, right = halves(read(pair.rainy), pair.rainy)
        return (left, right) if pair.rainy_half == "left" else (right, left)
    rainy, clean = read(pair.rainy), read(pair.clean)
    if rainy.shape != clean.shape:
        sizes = " and ".join(f"{pixels.shape[1]}x{pixels.shape[0]}" for pixels in (rainy, clean))
        both = f"{printable(pair.rainy)} and {printable(pair.clean)}"
        raise SizesDifferError(f"{both} are {sizes}: expected the same size")
    return rainy, clean


def halves(pixels: Array, path: Path) -> tuple[Array, Array]:
    """Cut a picture (H, 2W, 3) into its left and right half, (H, W, 3) each.

    Raises:
        ValueError: If its width is odd; names the file.
    """
    width = pixels.shape[1]
    if width % 2:
        raise ValueError(
            f"{printable(path)}: {width} pixels wide; expected an even number, two pictures side"
            " by side"
        )
    return pixels[:, : width // 2], pixels[:, width // 2 :]


def digest_or_error(path: Path, digest: Callable[[Path], str] = file_digest) -> str | OSError:
    """Return the SHA-256 of a file's bytes, or what kept it from being read.

    Args:
        path: The file.
        digest: Reads it.
    """
    try:
        return digest(path)
    except OSError as error:
        return error
