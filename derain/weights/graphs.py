"""ONNX graphs: what they say of themselves, and where their weights lie, without a runtime.

A shipped graph holds no weights: these lie in the safetensors file beside it, as external data.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from derain.weights.card import Card
from derain.weights.facts import Facts
from derain.weights.header import HEADER, WeightsError, card_of, read_card
from derain.weights.protobuf import fields

Runtime = Literal["onnx", "openvino"]

SUFFIXES: dict[str, Runtime] = {".onnx": "onnx", ".xml": "openvino"}
"""Of exported files, and the runtime that each is for."""

FACTS = "derain.network"
"""Name of the metadata that holds the facts."""

GRAPH = 7
"""Number of a model's field that holds its graph."""

LARGEST_GRAPH = 128 << 20
"""Bytes of a graph, and of the files its weights lie in; the largest network here takes 20 MB."""

MOST_NODES = 50_000
"""Ten times as many as the largest network here has."""

MOST_FIELDS = 1_000_000
"""Parts that are looked at, ten times as many as the largest network here has."""

_MESSAGES: dict[str, dict[int, str]] = {
    "model": {GRAPH: "graph", 14: "property", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute", 7: "domain"},
    "attribute": {5: "tensor", 6: "inner graph", 10: "tensor", 11: "inner graph"}
    | dict.fromkeys((22, 23), "sparse tensor"),
    "tensor": {13: "external data"},
}
"""The messages inside each message, by the number of the field (onnx.proto)."""

_NEVER_WRITTEN = {
    "training": "a part to train with",
    "function": "functions, which may call each other without end",
    "inner graph": "loops or branches",
    "sparse tensor": "sparse tensors, which may be of any size",
    "domain": "operations that are not ONNX's own",
}
"""What no graph of derain's has, and what could take any time and memory."""


def read_graph_header(path: Path) -> tuple[Card, Facts]:
    """Return the card of an ONNX file that derain wrote, and the facts about its network.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If derain did not write it, it is damaged, or weights lie outside its folder.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such exported file")
    check_size(path, path.stat().st_size)
    try:
        found = list(_entries(path.read_bytes()))
        if "graph" not in {kind for kind, _ in found}:
            raise ValueError("it has no graph")
        properties = {
            _text(pair.get(1)): _text(pair.get(2)) for kind, pair in found if kind == "property"
        }
        places = [
            (_text(pair.get(1)), _text(pair.get(2)))
            for kind, pair in found
            if kind == "external data"
        ]
        if any("\0" in place for _, place in places):
            raise ValueError("a file name in it is invalid")
    except (ValueError, IndexError) as error:
        raise damaged(path) from error
    targets = {_target(path, place) for key, place in places if key == "location"}
    card, facts = header_of(properties.get(HEADER), properties.get(FACTS), path)
    _check_parts(path, [kind for kind, _ in found])
    if sum(target.stat().st_size for target in targets) > LARGEST_GRAPH:
        raise WeightsError(f"{path}: its weights are larger than {LARGEST_GRAPH >> 20} MiB")
    for target in targets:
        # The graph knows where in the file its numbers are, whatever the file holds by now.
        if target.suffix == ".safetensors" and read_card(target) != card:
            raise WeightsError(
                f"{path}: its weights lie in {target.name}, which holds others; export it again"
            )
    return card, facts


def _check_parts(path: Path, kinds: Sequence[str]) -> None:
    """Raise WeightsError if a graph has parts that derain's never have, or too many nodes."""
    for kind, words in _NEVER_WRITTEN.items():
        if kind in kinds:
            raise WeightsError(f"{path}: has {words}; expected a graph as derain export writes it")
    if kinds.count("node") > MOST_NODES:
        raise WeightsError(f"{path}: has over {MOST_NODES} operations; no graph of derain's has")


def check_size(path: Path, size: int) -> None:
    """Raise WeightsError if an exported file has more bytes than any of derain's."""
    if size > LARGEST_GRAPH:
        raise WeightsError(
            f"{path}: larger than {LARGEST_GRAPH >> 20} MiB; no graph of derain's is"
        )


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


Fields = dict[int, int | memoryview]

_PAIRS = ("property", "external data")
"""Messages of a key and a value."""


def _entries(model: bytes) -> Iterator[tuple[str, Fields]]:
    """Yield the parts of a model: what each is, and the fields of metadata and external data.

    What is never written is not looked into. Graphs may lie inside nodes of graphs, as deep as
    someone likes.
    """
    waiting: list[tuple[str, memoryview]] = [("model", memoryview(model))]
    count = 0
    while waiting:
        kind, message = waiting.pop()
        if kind == "domain" and bytes(message[:8]) in (b"", b"ai.onnx"):
            continue
        inside = _MESSAGES.get(kind, {})
        kept: Fields = {}
        for number, value in fields(message) if inside or kind in _PAIRS else ():
            count += 1
            if count > MOST_FIELDS:
                raise ValueError("it has more parts than any graph of derain's")
            if kind in _PAIRS:
                kept[number] = value
            elif number in inside and isinstance(value, memoryview):
                waiting.append((inside[number], value))
        yield kind, kept


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
