"""Self-describing weights files: safetensors whose header is a `Card`.

Loading is strict and never unpickles code.
"""

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from derain.files import write_file
from derain.networks import NETWORKS, Network
from derain.weights.card import Card
from derain.weights.header import HEADER, WeightsError, opened, read_card
from derain.weights.rebuilding import check_shapes, rebuilt, shapes_of


def save(network: Network, card: Card, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write weights and card, completely or not at all; missing folders are made.

    Args:
        network: Its hyperparameters take the place of the card's.
        card: What the header says.
        path: Ends in ``.safetensors``.
        dtype: How numbers are stored: float16 halves the file, and is brought back to float32 by
            `load`. Tensors with values beyond its range, as normalisation's variances may have,
            stay as they are.

    Raises:
        OSError: If the file cannot be written.
    """
    card = replace(card, hyperparameters=dict(network.hyperparameters))
    tensors = {
        key: _narrowed(value.detach().cpu(), dtype).contiguous()
        for key, value in network.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, to_bytes(tensors, metadata={HEADER: card.to_json()}))


def _narrowed(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a tensor in another number format if it holds floats that all fit, else as it is."""
    if not value.is_floating_point():
        return value
    narrow = value.to(dtype)
    return value if bool((narrow.isinf() & ~value.isinf()).any()) else narrow


def load(path: Path) -> tuple[Network, Card]:
    """Rebuild the network that a file describes, in float32 and in evaluation mode.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If it is not a safetensors file that derain wrote, or its tensors do not fit
            its network.
    """
    card = read_card(path)
    if card.network not in NETWORKS:
        raise WeightsError(
            f"{path}: holds a {card.network!r} network; this version knows {', '.join(NETWORKS)}"
        )
    try:
        # Names and shapes are compared before anything of the size the file claims is read or made.
        expected = shapes_of(card.network, card.hyperparameters)
        with opened(path) as file:
            names: list[str] = list(file.keys())
            check_shapes(
                expected, {name: tuple(file.get_slice(name).get_shape()) for name in names}
            )
        return rebuilt(card.network, card.hyperparameters, load_file(path)), card
    except (RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, WeightsError):
            raise
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(
            f"{path}: its tensors are not those of the {card.network} it says it holds ({reason})"
        ) from None


def holds(path: Path, network: Network, card: Card) -> bool:
    """Return whether a file holds the weights of a network, to the bit, and a card."""
    try:
        there, found = load(path)
    except WeightsError:
        return False
    ours, theirs = network.state_dict(), there.state_dict()
    return (
        found == card
        and ours.keys() == theirs.keys()
        and all(torch.equal(ours[key], value) for key, value in theirs.items())
    )
