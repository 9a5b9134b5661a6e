"""The header of a weights file, a model card, read without the tensors."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from derain.errors import DerainError
from derain.weights.card import Card

HEADER = "derain"
"""Name of the metadata that holds the card, in weights files and in exported ones."""


class WeightsError(DerainError, ValueError):
    """A weights file cannot be used; says what was found, what was expected, and what to do."""


LARGEST_HEADER = 4 << 20
"""Bytes of a safetensors file that are not numbers: names and shapes of tensors, and a card."""


def is_safetensors(path: Path) -> bool:
    """Return whether a file is to be read as safetensors: by its content, whatever it is called.

    What is neither that nor a checkpoint of PyTorch's, but is called so, is a damaged one.
    """
    if not path.is_file():
        return False
    with path.open("rb") as file:
        begin = file.read(9)
    size = int.from_bytes(begin[:8], "little")
    if begin[8:] == b"{" and size < path.stat().st_size:
        return True
    return path.suffix.lower() == ".safetensors" and begin[:1] not in (b"P", b"\x80")


def has_card(path: Path) -> bool:
    """Return whether a safetensors file has a header that derain wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If it is no safetensors file.
    """
    with opened(path) as file:
        return HEADER in (file.metadata() or {})


def read_card(path: Path) -> Card:
    """Return the card of a weights file.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If it is not a safetensors file that derain wrote.
    """
    with opened(path) as file:
        header = (file.metadata() or {}).get(HEADER)
        names = list(file.keys())
    if header is None:
        found = ", ".join(names[:3])
        raise WeightsError(
            f"{path}: a safetensors file that derain did not write (its first tensors: {found})"
        )
    return card_of(header, path)


@contextmanager
def opened(path: Path) -> Generator[Any]:
    """Open a safetensors file, whose numbers stay unread.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If it is damaged or something else.
    """
    # Only files need it: the catalogue is listed without.
    from safetensors import SafetensorError, safe_open

    check_is_file(path)
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
    what = f"{path}: expected a safetensors file, but it is damaged or something else"
    # The library would take a hundred million bytes, and many times that in memory.
    if size > LARGEST_HEADER:
        raise WeightsError(f"{what} (its header claims {size} bytes)")
    try:
        file = safe_open(path, framework="np")
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{what} ({' '.join(str(error).split())[:200]})") from None
    with file:
        yield file


def card_of(header: str, path: Path) -> Card:
    """Return the card that a header holds.

    Raises:
        WeightsError: If the header holds no card.
    """
    try:
        return Card.from_json(header)
    except ValueError as error:
        raise WeightsError(f"{path}: its header cannot be read: {error}") from None


def check_is_file(path: Path) -> None:
    """Raise FileNotFoundError with a hint, or PermissionError, if there is no file to read."""
    if path.is_dir():
        raise FileNotFoundError(
            f"{path}: a folder; expected a weights file, such as {path / 'best.safetensors'} of"
            " a run"
        )
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file")
    path.open("rb").close()
