"""The table of ``derain weights list``: sizes, times, quality and uses.

Nothing but the headers of the files is read, without the packages that read the rest of them.
"""

import json
from pathlib import Path

from derain.weights.card import Card
from derain.weights.catalogue import CATALOGUE, COSTS, DEFAULT, MEASURED, ShippedWeights
from derain.weights.header import HEADER

DATASETS = ("Rain100L-dev10", "Rain100H-dev10")
"""Whose scores are shown."""

PROTOCOL = "y-matlab"

HEADINGS = ("weights", "million", "MB", "s/MP", "light", "heavy", "take them for")

NOTES = (
    "million: parameters in millions. s/MP: seconds a megapixel with ONNX Runtime, or (T) with"
    " PyTorch, which these weights need.",
    f"light, heavy: PSNR in dB on {' and '.join(DATASETS)}, {PROTOCOL}. derain weights show NAME"
    " says more.",
    f"Measured: {MEASURED}",
)
"""What the headings mean."""


def listed() -> list[tuple[str, ...]]:
    """Return a row of text for each of the weights in the package, under `HEADINGS`."""
    return [_row(row) for row in CATALOGUE.values()]


def _row(row: ShippedWeights) -> tuple[str, ...]:
    scores = _card_in(row.path).scores
    cost = COSTS.get(row.name)
    if cost is None:
        size, speed = "?", "?"
    else:
        size = f"{cost.parameters / 1e6:.2f}"
        speed = f"{cost.torch:.2f} T" if cost.onnx is None else f"{cost.onnx:.2f}  "
    return (
        row.name,
        size,
        f"{row.path.stat().st_size / 1e6:.1f}",
        speed,
        *(scores.get(f"{name} {PROTOCOL}", "?").partition(" / ")[0] for name in DATASETS),
        row.advice + (" (default)" if row.name == DEFAULT else ""),
    )


def _card_in(path: Path) -> Card:
    """Return the card of a file in the package, which is known to be sound."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return Card.from_json(header["__metadata__"][HEADER])
