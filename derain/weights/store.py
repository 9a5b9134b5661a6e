"""Self-describing weights files: safetensors whose header is a `Card`.

Loading is strict and never unpickles code.
"""

from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from derain.errors import DerainError
from derain.files import write_file
from derain.networks import NETWORKS, Network
from derain.weights.card import Card

HEADER = "derain"


class WeightsError(DerainError, ValueError):
    """A weights file cannot be used; says what was found, what was expected, and what to do."""


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


def read_card(path: Path) -> Card:
    """Return the card of a weights file.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If it is not a safetensors file that derain wrote.
    """
    return _read(path)[0]


def load(path: Path) -> tuple[Network, Card]:
    """Rebuild the network that a file describes, in float32 and in evaluation mode.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If it is not a safetensors file that derain wrote, or its tensors do not fit
            its network.
    """
    card, tensors = _read(path)
    if card.network not in NETWORKS:
        raise WeightsError(
            f"{path}: holds a {card.network!r} network; this version knows {', '.join(NETWORKS)}"
        )
    try:
        network = NETWORKS[card.network](**card.hyperparameters)
        network.load_state_dict(
            {
                key: value.float() if value.is_floating_point() else value
                for key, value in tensors.items()
            }
        )
    except (RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(
            f"{path}: its tensors are not those of the {card.network} it says it holds ({reason})"
        ) from None
    return network.eval(), card


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


def _read(path: Path) -> tuple[Card, dict[str, Tensor]]:
    check_is_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(HEADER)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise WeightsError(
            f"{path}: expected a safetensors file, but it is damaged or something else ({error})"
        ) from None
    if header is None:
        found = ", ".join(list(tensors)[:3])
        raise WeightsError(
            f"{path}: a safetensors file that derain did not write (its first tensors: {found})"
        )
    try:
        return Card.from_json(header), tensors
    except ValueError as error:
        raise WeightsError(f"{path}: its header cannot be read: {error}") from None
