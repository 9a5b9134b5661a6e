"""Find weights and their cards by name or path, without PyTorch where possible."""

from pathlib import Path

from derain.extras import require
from derain.weights.card import Card
from derain.weights.catalogue import CATALOGUE, check_exists
from derain.weights.header import has_card, is_safetensors, read_card


def find_card(name_or_path: str) -> Card:
    """Return the card of weights: shipped ones by name, or those of a file.

    A checkpoint of other origin has none; it is read, which needs PyTorch, and described.

    Raises:
        FileNotFoundError: If it is neither a name of the catalogue nor a file.
        WeightsError: If the file is not one of weights.
        MissingExtraError: If the file needs PyTorch to be read, and that is not installed.
    """
    check_exists(name_or_path)
    path = Path(name_or_path)
    if name_or_path in CATALOGUE:
        return read_card(CATALOGUE[name_or_path].path)
    if is_safetensors(path) and has_card(path):
        return read_card(path)
    require("torch", f"reading {name_or_path}")
    from derain.weights.loading import find

    return find(name_or_path)[1]
