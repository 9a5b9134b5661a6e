"""The header of a weights file, a model card, read without the tensors."""

from pathlib import Path

from derain.errors import DerainError
from derain.weights.card import Card

HEADER = "derain"
"""Name of the metadata that holds the card, in weights files and in exported ones."""


class WeightsError(DerainError, ValueError):
    """A weights file cannot be used; says what was found, what was expected, and what to do."""


def read_card(path: Path) -> Card:
    """Return the card of a weights file.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If it is not a safetensors file that derain wrote.
    """
    # Only files need it: the catalogue is listed without.
    from safetensors import SafetensorError, safe_open

    check_is_file(path)
    try:
        with safe_open(path, framework="np") as file:
            header = (file.metadata() or {}).get(HEADER)
            names = list(file.keys())
    except SafetensorError as error:
        raise WeightsError(
            f"{path}: expected a safetensors file, but it is damaged or something else ({error})"
        ) from None
    if header is None:
        found = ", ".join(names[:3])
        raise WeightsError(
            f"{path}: a safetensors file that derain did not write (its first tensors: {found})"
        )
    return card_of(header, path)


def card_of(header: str, path: Path) -> Card:
    """Return the card that a header holds.

    Raises:
        WeightsError: If it is none.
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
