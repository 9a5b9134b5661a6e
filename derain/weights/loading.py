"""Weights by name or path, as networks in PyTorch."""

from pathlib import Path

from derain.networks import Network
from derain.weights import authors, store
from derain.weights.card import Card
from derain.weights.catalogue import CATALOGUE, check, check_exists
from derain.weights.header import has_card, is_safetensors


def find(name_or_path: str) -> tuple[Network, Card]:
    """Return network and card of shipped weights by name, or of a weights file.

    Args:
        name_or_path: A name in the catalogue, a ``.safetensors`` file that derain wrote, or a
            checkpoint of other origin (`derain.weights.authors.load`).

    Raises:
        FileNotFoundError: If it is neither a name of the catalogue nor a file.
        WeightsError: If the file is not one of these.
    """
    check_exists(name_or_path)
    if name_or_path in CATALOGUE:
        row = CATALOGUE[name_or_path]
        check(row)
        return store.load(row.path)
    path = Path(name_or_path)
    if is_safetensors(path) and has_card(path):
        return store.load(path)
    return authors.load(path)
