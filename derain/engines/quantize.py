"""Exported networks in int8 where that costs little accuracy, in float32 elsewhere.

Quantized operations are written as pairs of QuantizeLinear and DequantizeLinear (QDQ) around float
operations, which both runtimes compute in integers: weights in 8 bits with a scale for each channel
and no offset, feature maps in 8 bits without sign (Jacob et al., "Quantization and Training of
Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018; x86 has instructions
for this combination). The ranges of maps are those they span on clean pictures under synthetic
rain.

Operations that touch the picture itself stay in float32, because 8 bits would lose its own levels.
Then those that cost most accuracy, each measured alone, are kept in float32 until the rest reaches
`TARGET` on crops that were not used for ranges.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from derain import metrics, rain
from derain.data import clean_pictures
from derain.engines.export import Target, add_header, facts_of, to_onnx, write_exported
from derain.engines.exported import (
    Exported,
    Infer,
    onnx_run,
    open_exported,
    openvino_run,
    session,
)
from derain.extras import require
from derain.images import read_image
from derain.networks import Network
from derain.rain.crops import as_floats, generator_for, planes, random_crop
from derain.tiles import Float32s
from derain.weights import Card

TARGET = 46.0
"""PSNR in dB to the float32 network on held-back crops, so that `LEAST` holds on other pictures."""

LEAST = 45.0
"""Least PSNR in dB between a written file and its network."""

LEAST_SHARE = 0.5
"""Least share of the multiply-adds in int8; with less a file would hardly deserve the name."""

PRESET = "mixed"
SIDE = 256
"""Side of the calibration crops, in pixels."""

RANGING, HELD_BACK = 40, 8
"""Numbers of crops that give ranges and that measure accuracy.

With 12 for ranges, maps of one development picture went far beyond them: 42 dB instead of 54.
"""

RANKING, RANKING_SIDE = 2, 128
"""Number and side of the held-back crops that rank operations: over a hundred are tried."""

SEVEN_BITS = True
"""Whether weights use seven of their eight bits, which costs 0 to 0.8 dB.

Processors without VNNI add products of two bytes in 16 bits, which then never overflow.
"""


@dataclass(frozen=True)
class Style:
    """The operations that a runtime computes faster if they are quantized.

    Attributes:
        operations: Their ONNX names.
        results: Whether the results of convolutions are quantized too.
    """

    operations: tuple[str, ...]
    results: bool


STYLES: dict[Target, Style] = {
    "onnx": Style(("Conv", "Relu", "Add", "Concat", "MaxPool"), results=True),
    "openvino": Style(("Conv",), results=False),
}
"""ONNX Runtime's integer convolution gives integers, and pays where they stay integers.

OpenVINO's gives floats at no extra cost.
"""


@dataclass(frozen=True)
class Crops:
    """Rainy crops, each (N, 3, H, W) in [0, 1].

    Attributes:
        ranging: Crops that give the ranges of maps.
        held_back: Crops that accuracy is measured on.
    """

    ranging: Float32s
    held_back: Float32s

    @classmethod
    def of(cls, clean: Path, side: int = SIDE) -> "Crops":
        """Return crops of the clean pictures in a folder under rain of `PRESET`.

        The same pictures always give the same crops.

        Raises:
            FileNotFoundError: If there are no pictures.
        """
        rainy = _rainy_crops(clean_pictures(clean), RANGING + HELD_BACK, side).numpy()
        return cls(rainy[:RANGING], rainy[RANGING:])


def _rainy_crops(pictures: Sequence[Path], count: int, side: int) -> Tensor:
    """Return crops under rain of `PRESET`, (N, 3, side, side) in [0, 1], always the same."""
    # These are the first batch that training with seed 0 would see: shipped int8 files were made
    # with it. Hence the two draws that go unused, where training chooses a flip and a preset.
    epochs = -(-count // len(pictures))
    places = torch.cat(
        [torch.randperm(len(pictures), generator=generator_for(0, 1, k)) for k in range(epochs)]
    )
    generators = [generator_for(0, 2, 0, k) for k in range(count)]
    clean: list[Tensor] = []
    for place, generator in zip(places.tolist(), generators, strict=False):
        picture = planes(torch.from_numpy(read_image(pictures[place])))
        clean.append(as_floats(random_crop(picture, side, generator)))
        for choices in (8, 1):
            torch.randint(choices, (), generator=generator)
    drops = rain.sample_batch([rain.PRESETS[PRESET]] * count, (side, side), generators)
    return rain.compose(torch.stack(clean), drops)


@dataclass(frozen=True)
class Quantized:
    """A network in int8.

    Attributes:
        model: ONNX with QDQ.
        share: Share of the multiply-adds in int8, in [0, 1].
        psnr: PSNR to the float32 network on the held-back crops, in dB.
    """

    model: bytes
    share: float
    psnr: float

    def __str__(self) -> str:
        return (
            f"int8 for {self.share:.0%} of the multiply-adds, {self.psnr:.1f} dB to float32 on"
            " held-back crops"
        )


def export_int8(network: Network, card: Card, path: Path, to: Target, crops: Crops) -> Quantized:
    """Write an exported file in int8, as `derain.engines.export` does in float32.

    The note of its card says how much of it is int8, and how close it is to float32.

    Args:
        network: The network to export.
        card: Its card.
        path: Ends in the suffix of the runtime.
        to: The runtime that it is for.
        crops: Crops to calibrate with.

    Raises:
        MissingExtraError: Without the extra ``onnx``, or ``openvino`` for that.
        ValueError: If too little can be in int8.
    """
    quantized = quantize(to_onnx(network, card, plain=True), crops, to)
    card = replace(card, note="; ".join(filter(None, (card.note, str(quantized)))))
    facts = facts_of(network)
    onnx: Any = require("onnx", "exporting")
    model = onnx.load_from_string(quantized.model)
    add_header(model, card, facts)
    write_exported(model.SerializeToString(), card, facts, path, to)
    return quantized


def check_likeness(
    network: Network, path: Path, rainy: Float32s, *, name: Path | None = None
) -> float:
    """Return the PSNR of an exported file in int8 to the network it was made from, in dB.

    Args:
        network: The network, in float32.
        path: The exported file.
        rainy: Pictures to compare on, (N, 3, H, W) in [0, 1].
        name: What to call it in an error; None for its path.

    Raises:
        ValueError: If it is less than `LEAST`.
    """
    engine = open_exported(Exported.read(path))
    with torch.inference_mode():
        found = _psnr(
            _outputs(engine, rainy),
            _outputs(lambda picture: network(torch.from_numpy(picture)).numpy(), rainy),
        )
    if found < LEAST:
        raise ValueError(
            f"{name or path}: is {found:.1f} dB from the network in PyTorch; expected at least"
            f" {LEAST:g} dB"
        )
    return found


def quantize(model: bytes, crops: Crops, to: Target, target: float = TARGET) -> Quantized:
    """Return a network in int8, except for as few operations as the target allows.

    Args:
        model: The network as ONNX in float32.
        crops: Crops to calibrate with.
        to: The runtime it is for, which accuracy is measured in.
        target: Least PSNR on the held-back crops, in dB.

    Raises:
        MissingExtraError: Without the extra ``onnx``.
        ValueError: If less than `LEAST_SHARE` of the multiply-adds can be in int8.
    """
    graph, open_model = Graph(model, STYLES[to], crops.ranging), OPENERS[to]
    exact = _outputs(open_model(model), crops.held_back)

    def made(nodes: Sequence[str]) -> Quantized:
        quantized = graph.quantized(nodes)
        found = _outputs(open_model(quantized), crops.held_back)
        return Quantized(quantized, graph.share(nodes), _psnr(found, exact))

    # Everything at once first: where that is close enough, nothing has to be ranked.
    found = made(graph.candidates)
    if found.psnr < target and found.share >= LEAST_SHARE:
        nodes = ranked(graph, crops.held_back[:RANKING, :, :RANKING_SIDE, :RANKING_SIDE])
        most = max(k for k in range(len(nodes)) if graph.share(nodes[k:]) >= LEAST_SHARE)
        found = _fewest_kept(made, nodes, most, target)
    if found.psnr < target or found.share < LEAST_SHARE:
        reached = f"{found.psnr:.1f} dB with {found.share:.0%} of the multiply-adds in int8"
        raise ValueError(
            f"{reached}; expected {target:g} dB with {LEAST_SHARE:.0%}; export it without --int8"
        )
    return found


def _fewest_kept(
    made: Callable[[Sequence[str]], Quantized], nodes: Sequence[str], most: int, target: float
) -> Quantized:
    """Return what reaches the target with the fewest of the first nodes in float32.

    If the most that may be kept do not suffice, it is the result all the same. Accuracy is taken to
    grow with their number, so that bisection finds it.

    Args:
        made: Quantizes some nodes and measures the result.
        nodes: Names of nodes, the one that costs most first.
        most: Number of nodes that may be kept; keeping 0 was tried already and did not suffice.
        target: Least PSNR in dB.
    """
    fails, enough, best = 0, most, made(nodes[most:])
    while best.psnr >= target and enough - fails > 1:
        middle = (fails + enough) // 2
        tried = made(nodes[middle:])
        if tried.psnr >= target:
            enough, best = middle, tried
        else:
            fails = middle
    return best


def ranked(graph: "Graph", rainy: Float32s) -> list[str]:
    """Return the candidates by what each costs when it alone is quantized, the dearest first.

    Convolutions, which gain most, come after all others.

    Args:
        graph: The graph to quantize.
        rainy: Pictures to measure on, (N, 3, H, W) in [0, 1].
    """
    exact = _outputs(onnx_run(graph.model), rainy)
    errors = {
        node: _psnr(_outputs(onnx_run(graph.quantized([node])), rainy), exact)
        for node in graph.candidates
    }
    return sorted(errors, key=lambda node: (node in graph.work, errors[node]))


def _psnr(one: Float32s, other: Float32s) -> float:
    """Return the PSNR of pictures in [0, 1], over all of them at once, in dB."""
    return metrics.psnr(one, other, peak=1.0)


OPENERS: dict[Target, Callable[[bytes], Infer]] = {"onnx": onnx_run, "openvino": openvino_run}


def _outputs(infer: Infer, rainy: Float32s) -> Float32s:
    """Return what a model makes of pictures, (N, 3, H, W), computed one at a time."""
    return np.concatenate([infer(picture[None]) for picture in rainy])


class Graph:
    """An ONNX network, and what has to be known about it to quantize it.

    Args:
        model: ONNX in float32, ``rainy`` -> ``clean``.
        style: Which operations may be quantized.
        rainy: Pictures that give the ranges of maps, (N, 3, H, W) in [0, 1].

    Attributes:
        candidates: Names of nodes that may be quantized: those with a convolution between them and
            the rainy picture, and between them and the clean one.
        work: Multiply-adds of every convolution, on a crop, by name.
    """

    def __init__(self, model: bytes, style: Style, rainy: Float32s) -> None:
        onnx: Any = require("onnx", "exporting")
        self.model = model
        self._onnx, self._style = onnx, style
        self._inferred = onnx.shape_inference.infer_shapes(onnx.load_from_string(model))
        nodes = self._inferred.graph.node
        kept = _around_picture(nodes)
        suited = [node for node in nodes if node.op_type in style.operations]
        self.candidates = [node.name for node in suited if node.name not in kept]
        # Only maps of floats have ranges: other inputs of these nodes are constants, or shapes.
        kinds = {
            value.name: value.type.tensor_type.elem_type
            for value in self._inferred.graph.value_info
        }
        around = {name for node in suited for name in (*node.input, *node.output)}
        maps = sorted(name for name in around if kinds.get(name) == onnx.TensorProto.FLOAT)
        lows, highs, shapes = self._measure(maps, rainy)
        self._ranges = dict(zip(maps, zip(lows, highs, strict=True), strict=True))
        self.work = self._count(dict(zip(maps, shapes, strict=True)))

    def _measure(self, maps: Sequence[str], rainy: Float32s) -> tuple[list[Any], list[Any], Any]:
        """Return the least and the largest value of every map, and its shape on the first picture.

        A copy of the network with these as further outputs is run on every picture.
        """
        helper = self._onnx.helper
        measures = {"ReduceMin": "low", "ReduceMax": "high", "Shape": "shape"}
        model = self._onnx.load_from_string(self.model)
        for operation, key in measures.items():
            options = {} if operation == "Shape" else {"keepdims": 0}
            model.graph.node.extend(
                helper.make_node(operation, [name], [f"{name} {key}"], **options) for name in maps
            )
            model.graph.output.extend(
                self._onnx.ValueInfoProto(name=f"{name} {key}") for name in maps
            )
        opened = session(model.SerializeToString())
        outputs = [f"{name} {key}" for key in measures.values() for name in maps]
        answers = [opened.run(outputs, {"rainy": picture[None]}) for picture in rainy]
        # Each answer has the lows of all maps, then the highs, then the shapes.
        count = len(maps)
        lows = np.min([answer[:count] for answer in answers], axis=0)
        highs = np.max([answer[count : 2 * count] for answer in answers], axis=0)
        shapes = answers[0][2 * count :]
        return [np.array(low) for low in lows], [np.array(high) for high in highs], shapes

    def _count(self, shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
        """Return the multiply-adds of every convolution, from the shapes of maps (N, C, H, W)."""
        sizes = {value.name: math.prod(value.dims) for value in self._inferred.graph.initializer}
        return {
            node.name: sizes[node.input[1]] * int(np.prod(shapes[node.output[0]][2:]))
            for node in self._inferred.graph.node
            if node.op_type == "Conv"
        }

    def share(self, nodes: Collection[str]) -> float:
        """Return the share of some nodes in the convolutions' multiply-adds, in [0, 1]."""
        return sum(self.work.get(node, 0) for node in nodes) / max(1, sum(self.work.values()))

    def quantized(self, nodes: Sequence[str]) -> bytes:
        """Return the network with these nodes in int8, as ONNX."""
        if not nodes:
            return self.model
        tools: Any = require("onnxruntime.quantization", "exporting in int8")
        copy = self._onnx.ModelProto()
        copy.CopyFrom(self._inferred)
        ranges = tools.calibrate.TensorsData(tools.CalibrationMethod.MinMax, self._ranges)
        types = (tools.QuantType.QInt8, tools.QuantType.QUInt8)
        options = {} if self._style.results else {"OpTypesToExcludeOutputQuantization": ["Conv"]}
        operations = list(self._style.operations)
        quantizer = tools.QDQQuantizer(
            copy, True, SEVEN_BITS, *types, ranges, list(nodes), [], operations, options
        )
        quantizer.quantize_model()
        return quantizer.model.model.SerializeToString()


def _around_picture(nodes: Sequence[Any]) -> set[str]:
    """Return the names of nodes that touch the rainy picture, or the clean one.

    These are nodes with no convolution between them and the picture.
    """
    before = _reached([(node, node.input, node.output) for node in nodes], "rainy")
    return before | _reached([(node, node.output, node.input) for node in reversed(nodes)], "clean")


def _reached(steps: Iterable[tuple[Any, Sequence[str], Sequence[str]]], start: str) -> set[str]:
    """Return the names of nodes that a map reaches, up to the first convolutions on its way.

    Args:
        steps: Nodes in order, with the maps they are reached by and those that they lead to.
        start: Name of the map.
    """
    maps, names = {start}, set[str]()
    for node, entered, left in steps:
        if maps.intersection(entered):
            names.add(node.name)
            maps.update(left if node.op_type != "Conv" else ())
    return names
