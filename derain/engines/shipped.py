"""Graphs that are shipped beside weights: ONNX whose numbers stay in the weights file.

A graph holds no weights. Each is a tensor of the safetensors file next to it, as ONNX's external
data, by name of the file, offset and length. What is stored in float16 is cast to float32; that,
and every weight that is computed from others, are nodes of the graph, which runtimes compute once,
when they open it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from derain.engines.export import add_header, facts_of, traced
from derain.extras import require
from derain.files import write_file
from derain.networks import Network
from derain.weights.card import Card

OPSET = 14
"""The oldest whose shapes can be inferred (see `derain.engines.export`): ONNX Runtime of 2021."""

LARGEST_CONSTANT = 8192
"""Bytes: what is no weight and stays in the graph, such as a mean over channels, is smaller."""

KINDS = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}


@dataclass(frozen=True)
class Stored:
    """A tensor of a safetensors file.

    Attributes:
        name: As the file has it.
        kind: ``F16``, ``F32`` or another of the format's.
        offset: Of its first byte in the file.
        length: In bytes.
    """

    name: str
    kind: str
    offset: int
    length: int


def write_graph(network: Network, card: Card, weights_file: Path, graph_file: Path) -> None:
    """Write a network as ONNX that takes its weights from a file beside it.

    It maps ``rainy`` (n, 3, h, w) float32 in [0, 1] to ``clean``, as `to_onnx` of
    `derain.engines.export` does. The same arguments always give the same bytes.

    Args:
        network: What the weights file holds, in float32.
        card: Goes into the metadata of the graph.
        weights_file: Safetensors in float16 or float32, in the folder that the graph goes to.
        graph_file: Ends in ``.onnx``.

    Raises:
        ValueError: If the files are for different folders, or the weights file holds other weights
            than the network.
        MissingExtraError: Without the extra ``onnx``.
        OSError: If a file cannot be read or written.
    """
    onnx: Any = require("onnx", "exporting")
    if weights_file.resolve().parent != graph_file.resolve().parent:
        raise ValueError(
            f"{graph_file}: its weights are in {weights_file.parent}; expected one folder for both"
        )
    model = traced(network, OPSET, folded=False)
    _refer(onnx, model.graph, weights_file)
    add_header(model, card, facts_of(network))
    write_file(graph_file, model.SerializeToString(deterministic=True))


def _refer(onnx: Any, graph: Any, weights_file: Path) -> None:
    """Put references to a weights file in place of a graph's weights, and casts where needed."""
    stored = _stored(weights_file)
    kept: list[Any] = []
    casts: list[Any] = []
    referred: set[str] = set()
    for initializer in graph.initializer:
        values = onnx.numpy_helper.to_array(initializer).tobytes()
        tensor = stored.get((tuple(initializer.dims), values))
        if tensor is None:
            if len(values) > LARGEST_CONSTANT:
                raise ValueError(
                    f"{weights_file}: lacks the network's {initializer.name}, or holds other"
                    " numbers; expected the weights that the network was loaded from"
                )
            kept.append(initializer)
            continue
        name = initializer.name
        if tensor.kind == "F16":
            casts.append(
                onnx.helper.make_node(
                    "Cast", [tensor.name], [name], f"cast {name}", to=onnx.TensorProto.FLOAT
                )
            )
            name = tensor.name
        if name not in referred:
            kept.append(_reference(onnx, name, initializer.dims, tensor, weights_file.name))
            referred.add(name)
    for field, content in ((graph.initializer, kept), (graph.node, [*casts, *graph.node])):
        del field[:]
        field.extend(content)


def _reference(onnx: Any, name: str, shape: Sequence[int], tensor: Stored, location: str) -> Any:
    """Return an initializer whose numbers are in a file."""
    kind = {"F16": onnx.TensorProto.FLOAT16, "F32": onnx.TensorProto.FLOAT}[tensor.kind]
    reference = onnx.TensorProto(
        name=name, data_type=kind, dims=shape, data_location=onnx.TensorProto.EXTERNAL
    )
    where = {"location": location, "offset": tensor.offset, "length": tensor.length}
    for key, value in where.items():
        reference.external_data.add(key=key, value=str(value))
    return reference


def _stored(weights_file: Path) -> dict[tuple[tuple[int, ...], bytes], Stored]:
    """Return the tensors of a safetensors file by shape and by their numbers in float32.

    Its format is a length in 8 bytes, so much JSON, and then the numbers: little endian, in order.
    """
    content = weights_file.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8:start])
    header.pop("__metadata__", None)
    found: dict[tuple[tuple[int, ...], bytes], Stored] = {}
    for name, entry in sorted(header.items()):
        kind = entry["dtype"]
        if kind not in KINDS:
            continue
        first, last = (start + place for place in entry["data_offsets"])
        values = np.frombuffer(content[first:last], KINDS[kind]).astype("<f4").tobytes()
        # Of equal tensors, such as biases of zeros, any will do.
        found.setdefault((tuple(entry["shape"]), values), Stored(name, kind, first, last - first))
    return found
