"""Exported networks in int8 where they bear it, float32 elsewhere.

What is quantized is written as pairs of QuantizeLinear and DequantizeLinear (QDQ) around float
operations, which both runtimes compute in integers: weights in 8 bits with a scale for each channel
and no offset, maps in 8 bits without sign (Jacob et al., "Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018; the combination x86 has
instructions for). The ranges of maps are what they span on clean pictures with rain of our own.

What touches the picture itself stays in float32, else its own levels would be lost; then whatever
costs most of the likeness, each measured alone, until the rest comes up to `TARGET` on pictures
that gave no ranges.
"""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from derain import rain
from derain.data import clean_pictures
from derain.engines.export import HEADER, Target, require, to_onnx, write_exported
from derain.engines.exported import (
    SUFFIXES,
    Exported,
    OnnxEngine,
    OpenvinoEngine,
    openvino_request,
    session,
)
from derain.images import read_image
from derain.networks import Network
from derain.rain.crops import as_floats, generator_for, planes, random_crop
from derain.weights import Card

Floats = NDArray[np.float32]

TARGET = 46.0
"""PSNR in dB to the float32 network on held-back crops, so that `LEAST` holds on other pictures."""
LEAST = 45.0
LEAST_SHARE = 0.5
"""Of the multiply-adds in int8: below, a file would be called int8 and hardly be."""

PRESET = "mixed"
SIDE = 256
RANGING, HELD_BACK = 40, 8
"""Crops that give ranges, and that measure. With 12 for ranges, maps of one dev picture went far
beyond them: 42 dB, else 54.
"""
RANKING, RANKING_SIDE = 2, 128
"""As many of those held back, and so much of them, tell which operations cost most: over a hundred
are tried.
"""

SEVEN_BITS = True
"""For weights: processors without VNNI add products of two bytes in 16 bits, which then never
overflow. It costs 0 to 0.8 dB.
"""


@dataclass(frozen=True)
class Style:
    """Which operations a runtime computes faster if they are quantized.

    Attributes:
        operations: ONNX names.
        results: Whether what a convolution gives is quantized too.
    """

    operations: tuple[str, ...]
    results: bool


STYLES: dict[Target, Style] = {
    "onnx": Style(("Conv", "Relu", "Add", "Concat", "MaxPool"), results=True),
    "openvino": Style(("Conv",), results=False),
}
"""ONNX Runtime's integer convolution gives integers, and is worth it where they stay so; OpenVINO's
gives floats as readily.
"""


@dataclass(frozen=True)
class Crops:
    """Rainy crops, each (N, 3, H, W) in [0, 1].

    Attributes:
        ranging: Maps take their ranges from these.
        held_back: Likeness is measured on these.
    """

    ranging: Floats
    held_back: Floats

    @classmethod
    def of(cls, clean: Path, side: int = SIDE) -> "Crops":
        """Crops of the clean pictures in a folder, with rain of `PRESET`; always the same of the
        same pictures.

        Raises:
            FileNotFoundError: If there are none.
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
        share: Of the multiply-adds in int8.
        psnr: To float32 on the held-back crops, in dB.
    """

    model: bytes
    share: float
    psnr: float

    def __str__(self) -> str:
        return (
            f"int8 for {self.share:.0%} of the multiply-adds, {self.psnr:.1f} dB to float32 on"
            " held-back crops"
        )


Run = Callable[[Floats], Floats]
"""(1, 3, H, W) -> the same."""


def export_int8(network: Network, card: Card, path: Path, to: Target, crops: Crops) -> Quantized:
    """Writes an exported file in int8, as `derain.engines.export`; its card's note says how much of
    it, and how like float32.

    Raises:
        ImportError: Without the extra ``onnx``, or ``openvino`` for that.
        ValueError: If too little can be in int8.
    """
    quantized = quantize(to_onnx(network, card), crops, to)
    card = replace(card, note="; ".join(filter(None, (card.note, str(quantized)))))
    onnx: Any = require("onnx", "onnx")
    model = onnx.load_from_string(quantized.model)
    onnx.helper.set_model_props(model, {HEADER: card.to_json()})
    write_exported(model.SerializeToString(), card, path, to)
    return quantized


def check_likeness(network: Network, path: Path, rainy: Floats) -> float:
    """PSNR of an exported file in int8 to the network it was made of, in dB, on (N, 3, H, W).

    Raises:
        ValueError: If it is less than `LEAST`.
    """
    engine = {"onnx": OnnxEngine, "openvino": OpenvinoEngine}[SUFFIXES[path.suffix]](
        Exported.read(path)
    )
    pictures = torch.from_numpy(rainy).split(1)
    with torch.inference_mode():
        found = psnr(
            [engine(picture).numpy() for picture in pictures],
            [network(picture).numpy() for picture in pictures],
        )
    if found < LEAST:
        raise ValueError(
            f"{path}: is {found:.1f} dB from the network in PyTorch; expected at least {LEAST:g} dB"
        )
    return found


def quantize(model: bytes, crops: Crops, to: Target, target: float = TARGET) -> Quantized:
    """A network as ONNX in float32 -> the same in int8, as much of it as comes up to the target.

    Args:
        to: The runtime it is for, in which likeness is measured.
        target: Least PSNR on the held-back crops, in dB.

    Raises:
        ImportError: Without the extra ``onnx``.
        ValueError: If less than `LEAST_SHARE` of the multiply-adds can be in int8.
    """
    graph, open_model = Graph(model, STYLES[to], crops.ranging), RUNS[to]
    exact = _outputs(open_model(model), crops.held_back)

    def made(nodes: Sequence[str]) -> Quantized:
        quantized = graph.quantized(nodes)
        return Quantized(
            quantized,
            graph.share(nodes),
            psnr(_outputs(open_model(quantized), crops.held_back), exact),
        )

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
    """What comes up to the target with the fewest of the first nodes in float32, or the most if it
    does not even with these.

    Likeness is taken to grow with their number, so that halving finds it.

    Args:
        nodes: The one that costs most first.
        most: So many may be kept; none were tried already, in vain.
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


def ranked(graph: "Graph", rainy: Floats) -> list[str]:
    """Candidates by what each costs when it alone is quantized, the dearest first; convolutions,
    which gain most, after all else.

    Args:
        rainy: (N, 3, H, W), to measure on.
    """
    exact = _outputs(onnx_run(graph.model), rainy)
    errors = {
        node: psnr(_outputs(onnx_run(graph.quantized([node])), rainy), exact)
        for node in graph.candidates
    }
    return sorted(errors, key=lambda node: (node in graph.work, errors[node]))


def psnr(one: Sequence[Floats], other: Sequence[Floats]) -> float:
    """Over several pictures in [0, 1] at once, in dB."""
    error = float(
        np.mean([np.mean((a.astype(np.float64) - b) ** 2) for a, b in zip(one, other, strict=True)])
    )
    return -10 * math.log10(error) if error else math.inf


def onnx_run(model: bytes) -> Run:
    """ONNX Runtime on a model."""
    opened = session(require("onnxruntime", "onnx"), model)
    return lambda rainy: opened.run(None, {"rainy": rainy})[0]


def openvino_run(model: bytes) -> Run:
    """OpenVINO on ONNX."""
    request = openvino_request(model)
    return lambda rainy: request.infer({"rainy": rainy})["clean"].copy()


RUNS: dict[Target, Callable[[bytes], Run]] = {"onnx": onnx_run, "openvino": openvino_run}


def _outputs(run: Run, rainy: Floats) -> list[Floats]:
    """(N, 3, H, W), one at a time."""
    return [run(picture[None]) for picture in rainy]


class Graph:
    """An ONNX network, and what has to be known of it to quantize it.

    Args:
        model: ONNX in float32, ``rainy`` -> ``clean``.
        style: Which operations may be quantized.
        rainy: (N, 3, H, W), of which maps take their ranges.

    Attributes:
        candidates: Names of nodes that may be quantized: none that the picture comes to, or the
            result from, without a convolution between.
        work: Multiply-adds of every convolution, on a crop.
    """

    def __init__(self, model: bytes, style: Style, rainy: Floats) -> None:
        onnx: Any = require("onnx", "onnx")
        self.model = model
        self._onnx, self._style = onnx, style
        self._inferred = onnx.shape_inference.infer_shapes(onnx.load_from_string(model))
        nodes = self._inferred.graph.node
        touched = _around_picture(nodes)
        self.candidates = [
            node.name
            for node in nodes
            if node.op_type in style.operations and node.name not in touched
        ]
        kinds = {
            value.name: value.type.tensor_type.elem_type
            for value in self._inferred.graph.value_info
        }
        wanted = {
            name
            for node in nodes
            if node.op_type in style.operations
            for name in (*node.input, *node.output)
        }
        self._measure(
            sorted(name for name in wanted if kinds.get(name) == onnx.TensorProto.FLOAT), rainy
        )

    def _measure(self, maps: list[str], rainy: Floats) -> None:
        """Notes what every map spans, and the multiply-adds of every convolution."""
        asked = {"ReduceMin": "low", "ReduceMax": "high", "Shape": "shape"}
        make = self._onnx.helper
        shown = self._onnx.load_from_string(self.model)
        for operation, key in asked.items():
            keep = {} if operation == "Shape" else {"keepdims": 0}
            shown.graph.node.extend(
                make.make_node(operation, [name], [f"{name} {key}"], **keep) for name in maps
            )
            shown.graph.output.extend(
                self._onnx.ValueInfoProto(name=f"{name} {key}") for name in maps
            )
        opened = session(require("onnxruntime", "onnx"), shown.SerializeToString())
        answers = [
            opened.run(
                [f"{name} {key}" for key in asked.values() for name in maps], {"rainy": x[None]}
            )
            for x in rainy
        ]
        count = len(maps)
        low, high = (
            np.min([a[:count] for a in answers], axis=0),
            np.max([a[count : 2 * count] for a in answers], axis=0),
        )
        self._ranges = {name: (np.array(low[k]), np.array(high[k])) for k, name in enumerate(maps)}
        areas = {
            name: int(np.prod(shape[2:]))
            for name, shape in zip(maps, answers[0][2 * count :], strict=True)
        }
        sizes = {value.name: math.prod(value.dims) for value in self._inferred.graph.initializer}
        convolutions = [node for node in self._inferred.graph.node if node.op_type == "Conv"]
        self.work: dict[str, int] = {
            node.name: sizes[node.input[1]] * areas[node.output[0]] for node in convolutions
        }

    def share(self, nodes: Collection[str]) -> float:
        """Of the convolutions' multiply-adds, those of some nodes."""
        return sum(self.work.get(node, 0) for node in nodes) / max(1, sum(self.work.values()))

    def quantized(self, nodes: Sequence[str]) -> bytes:
        """The network with these nodes in int8."""
        if not nodes:
            return self.model
        tools: Any = require("onnxruntime.quantization", "onnx")
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
    """Names of nodes with no convolution between them and the rainy picture, or them and the clean
    one.
    """
    before = _reached([(node, node.input, node.output) for node in nodes], "rainy")
    return before | _reached([(node, node.output, node.input) for node in reversed(nodes)], "clean")


def _reached(steps: Iterable[tuple[Any, Sequence[str], Sequence[str]]], start: str) -> set[str]:
    """Names of nodes that a map comes to, the first convolutions on its way included.

    Args:
        steps: Nodes in order, with the maps they are reached by and those that they lead to.
    """
    maps, names = {start}, set[str]()
    for node, entered, left in steps:
        if maps.intersection(entered):
            names.add(node.name)
            maps.update(left if node.op_type != "Conv" else ())
    return names
