"""ONNX graphs: what they say of themselves, and where their weights lie, without a runtime.

A shipped graph holds no weights: these lie in the safetensors file beside it, as external data.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from derain.weights.card import Card
from derain.weights.facts import Facts
from derain.weights.header import HEADER, WeightsError, card_of, read_card
from derain.weights.protobuf import fields

FACTS = "derain.network"
"""Name of the metadata that holds the facts."""

GRAPH = 7
"""Number of a model's field that holds its graph."""

_MESSAGES: dict[str, dict[int, str]] = {
    "model": {GRAPH: "graph", 14: "property", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"}
    | dict.fromkeys((22, 23), "sparse tensor"),
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {13: "external data"},
}
"""The messages inside each message, by the number of the field (onnx.proto)."""


def read_graph_header(path: Path) -> tuple[Card, Facts]:
    """Return the card of an ONNX file that derain wrote, and the facts about its network.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If derain did not write it, it is damaged, or weights lie outside its folder.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such exported file")
    try:
        content = path.read_bytes()
        if GRAPH not in {number for number, _ in fields(content)}:
            raise ValueError("it has no graph")
        found = list(_entries(content))
        properties = dict(pair for kind, *pair in found if kind == "property")
        places = [
            value for kind, key, value in found if (kind, key) == ("external data", "location")
        ]
        if any("\0" in place for place in places):
            raise ValueError("a file name in it is none")
    except (ValueError, IndexError) as error:
        raise damaged(path) from error
    targets = {_target(path, place) for place in places}
    card, facts = header_of(properties.get(HEADER), properties.get(FACTS), path)
    for target in targets:
        # The graph knows where in the file its numbers are, whatever the file holds by now.
        if target.suffix == ".safetensors" and read_card(target) != card:
            raise WeightsError(
                f"{path}: its weights lie in {target.name}, which holds others; export it again"
            )
    return card, facts


def header_of(card: str | None, facts: str | None, path: Path) -> tuple[Card, Facts]:
    """Return the card and the facts that an exported file's metadata hold.

    Raises:
        WeightsError: If they are missing, or something else.
    """
    if card is None:
        raise WeightsError(
            f"{path}: derain did not write it, so sizes and ranges it takes are unknown; expected"
            " derain export's"
        )
    read = card_of(card, path)
    if facts is None:
        raise WeightsError(f"{path}: an earlier version of derain wrote it; export it again")
    try:
        return read, Facts.from_json(facts)
    except ValueError as error:
        raise WeightsError(f"{path}: its header cannot be read: {error}") from None


def damaged(path: Path) -> WeightsError:
    """Return the error for an exported file that cannot be read."""
    return WeightsError(
        f"{path}: expected what derain export writes, but it is damaged or something else"
    )


def _entries(model: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield the keys and values in a model: (kind, key, value), of metadata and external data.

    Graphs lie inside nodes of graphs, as deep as someone likes: hence no recursion.
    """
    waiting: list[tuple[str, memoryview]] = [("model", memoryview(model))]
    while waiting:
        kind, message = waiting.pop()
        if kind in ("property", "external data"):
            pair = dict(fields(message))
            yield kind, _text(pair.get(1)), _text(pair.get(2))
            continue
        inside = _MESSAGES[kind]
        for number, value in fields(message):
            if number in inside and isinstance(value, memoryview):
                waiting.append((inside[number], value))


def _text(value: int | memoryview | None) -> str:
    """Return a field of text; empty if it is missing."""
    return bytes(value).decode() if isinstance(value, memoryview) else ""


def _target(path: Path, place: str) -> Path:
    """Return the file that holds weights of a graph, which has to be beside it.

    A graph of others could read any file, and not every version of ONNX Runtime refuses that.

    Raises:
        WeightsError: If it is elsewhere, or not there.
    """
    folder = os.path.realpath(path.parent)
    target = os.path.realpath(os.path.join(folder, place))  # noqa: PTH118 (place may be absolute)
    real = os.path.realpath(path)
    if os.path.dirname(target) not in (folder, os.path.dirname(real)):  # noqa: PTH120
        raise WeightsError(
            f"{path}: its weights lie in {place}, outside its folder; expected them beside it"
        )
    if not os.path.isfile(target):  # noqa: PTH113
        raise WeightsError(
            f"{path}: its weights lie in {place}, which is not there; export it again"
        )
    return Path(target)
