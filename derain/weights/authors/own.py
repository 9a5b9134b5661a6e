"""Reads state dicts of derain's own networks, as training and users of PyTorch save them.

``last.pt`` of a training run holds one, beside what it takes to resume. A checkpoint may say in
``hyperparameters`` how its network was made; otherwise that is as by default.
"""

from typing import Any

from derain.networks import NETWORKS, Hyperparameters
from derain.weights.authors.reader import Reader
from derain.weights.rebuilding import shapes_of


def readers(tree: Any) -> dict[str, Reader]:
    """Return readers of derain's own networks, by the network's name.

    Args:
        tree: What the checkpoint holds.
    """
    said = tree.get("hyperparameters") if isinstance(tree, dict) else None  # pyright: ignore
    given: dict[str, Any] = said if isinstance(said, dict) else {}
    found: dict[str, Reader] = {}
    for name in NETWORKS:
        try:
            found[name] = _reader(name, given)
        except ValueError:  # what is given is another network's
            found[name] = _reader(name, {})
    return found


def _reader(name: str, hyperparameters: Hyperparameters) -> Reader:
    markers = frozenset(shapes_of(name, hyperparameters))
    return Reader(markers, dict, hyperparameters=lambda _: hyperparameters)
