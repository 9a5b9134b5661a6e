"""Reads state dicts of derain's own networks, as training and users of PyTorch save them.

``last.pt`` of a training run holds one, beside what it takes to resume. A checkpoint may say in
``hyperparameters`` how its network was made; otherwise that is as by default.
"""

from typing import Any

from derain.networks import NETWORKS, Hyperparameters
from derain.weights.authors.reader import Reader
from derain.weights.card import Stage, stages_from_json
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


def history(tree: Any) -> tuple[Stage, ...]:
    """Return the stages that a checkpoint of ``derain train`` went through, its own the last.

    Args:
        tree: What the checkpoint holds. There are no stages if it is of another program, or if what
            it says of them makes no sense.
    """
    said = [tree.get(key) for key in ("before", "stage")] if isinstance(tree, dict) else []  # pyright: ignore
    texts = [text for text in said if isinstance(text, str)]
    try:
        return tuple(stage for text in texts for stage in stages_from_json(text))
    except (ValueError, RecursionError):
        return ()


def _reader(name: str, hyperparameters: Hyperparameters) -> Reader:
    markers = frozenset(shapes_of(name, hyperparameters))
    return Reader(markers, dict, hyperparameters=lambda _: hyperparameters)
