"""Networks as files that other runtimes execute: ONNX, and OpenVINO's own.

The graph is traced, sizes left open. PyTorch's newer exporter was tried: it needs far longer for
NLEDN, since it reasons about every size, and refuses sizes that it took for special. What is traced
computes the same as eagerly (`check_parity`).
"""

import errno
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from derain.engines.engine import Engine
from derain.engines.exported import Exported, open_exported
from derain.errors import DerainError
from derain.extras import require
from derain.files import DRAFT, name_final, write_file
from derain.networks import Network, Petrichor
from derain.networks.cost import count_parameters, multiply_adds
from derain.networks.petrichor_traced import PetrichorTraced
from derain.weights.card import Card
from derain.weights.facts import MACS_SIDE, Facts
from derain.weights.graphs import FACTS
from derain.weights.header import HEADER
from derain.weights.loading import find

Target = Literal["onnx", "openvino"]

OPSET = 18

LEAST_SIDE = 32
"""Pixels: what is traced need not hold below. Engines repeat the border of what is smaller."""

PARITY_SIZES = ((64, 96), (97, 131), (65, 200))
"""Height and width."""

TOLERANCE = 1e-4
"""How far an exported file may be from the network in the mean, of 1."""


def least_side(network: Network) -> int:
    """Return the least side of pictures that an exported network takes, in pixels.

    Engines pad smaller pictures, and all others to multiples of the network's grid.
    """
    return max(LEAST_SIDE, 2 * network.tiling.multiple)


def facts_of(network: Network) -> Facts:
    """Return what has to be known of a network to execute it without PyTorch."""
    once = multiply_adds(network, (MACS_SIDE, MACS_SIDE))
    twice = multiply_adds(network, (MACS_SIDE, 2 * MACS_SIDE))
    return Facts(
        title=type(network).__name__,
        tiling=network.tiling,
        least_side=least_side(network),
        parameters=count_parameters(network),
        multiply_adds=once,
        grows_with_area=once is not None and twice == 2 * once,
    )


def to_onnx(network: Network, card: Card, *, plain: bool = False) -> bytes:
    """Return a network as an ONNX file, with the card in its metadata.

    The graph maps ``rainy`` (n, 3, h, w) float32 in [0, 1] to ``clean``. n, h and w are free, h and
    w multiples of the tiling's.

    Args:
        network: The network to export.
        card: Its card.
        plain: Whether Petrichor is written as for PyTorch, which suits eight bits, instead of in
            the form that is faster in float32.

    Raises:
        MissingExtraError: Without the extra ``onnx``.
    """
    model = traced(network, OPSET, folded=True, plain=plain)
    add_header(model, card, facts_of(network))
    return model.SerializeToString()


def add_header(model: Any, card: Card, facts: Facts) -> None:
    """Put a card and facts into the metadata of an ONNX model."""
    onnx: Any = require("onnx", "exporting")
    onnx.helper.set_model_props(model, {HEADER: card.to_json(), FACTS: facts.to_json()})


def traced(network: Network, opset: int, *, folded: bool, plain: bool = False) -> Any:
    """Return a network as an ONNX model without a card.

    Args:
        network: The network to trace.
        opset: Version of ONNX's operations.
        folded: Whether the graph holds weights as operations take them, or the network's own and
            how others are computed from them.
        plain: As for `to_onnx`.

    Raises:
        MissingExtraError: Without the extra ``onnx``.
    """
    onnx: Any = require("onnx", "exporting")
    assert isinstance(network, nn.Module)
    side = least_side(network)
    free = {0: "n", 2: "h", 3: "w"}
    was = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    was_training = network.training
    form: nn.Module = network.to("cpu").eval()
    if not plain:
        form = _fast_form(form, folded=folded)
    with TemporaryDirectory() as folder, torch.no_grad(), warnings.catch_warnings():
        # The exporter warns about itself, and about sizes, which are left open.
        warnings.simplefilter("ignore")
        path = Path(folder) / "network.onnx"
        torch.onnx.export(
            form,
            (torch.zeros(1, 3, 2 * side, 3 * side),),
            str(path),
            dynamo=False,
            opset_version=opset,
            do_constant_folding=folded,
            input_names=["rainy"],
            output_names=["clean"],
            dynamic_axes={"rainy": free, "clean": free},
        )
        model = onnx.load(path)
    network.to(was).train(was_training)
    if isinstance(form, PetrichorTraced):
        _drop_copies(model.graph)
        _name_sizes(onnx, model)
    return model


def _fast_form(network: nn.Module, *, folded: bool) -> nn.Module:
    """Return a form to trace that runtimes compute faster, if there is one."""
    if isinstance(network, Petrichor):
        return PetrichorTraced(network, folded=folded).eval()
    return network


def _drop_copies(graph: Any) -> None:
    """Let operations take what the exporter, which writes equal constants once, copies to them."""
    copies = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Identity"}
    nodes = [node for node in graph.node if node.op_type != "Identity"]
    for node in nodes:
        node.input[:] = [copies.get(name, name) for name in node.input]
    del graph.node[:]
    graph.node.extend(nodes)


def _name_sizes(onnx: Any, model: Any) -> None:
    """Name the sizes of all maps of a graph whose sides are powers of two of the picture's.

    ONNX Runtime keeps its fast layout only between maps whose sizes have equal names, or are known.
    Names come from a size that is inferred with: its halves are the size of nothing else.
    """
    count, height, width = 7, 8 * 101, 8 * 131
    names = {count: "n", height: "h", width: "w"} | {
        side // part: f"{name}/{part}"
        for name, side in (("h", height), ("w", width))
        for part in (2, 4, 8)
    }
    known = onnx.ModelProto()
    known.CopyFrom(model)
    for value in (*known.graph.input, *known.graph.output):
        shape = value.type.tensor_type.shape.dim
        for axis, size in ((0, count), (2, height), (3, width)):
            shape[axis].dim_value = size
    # What the exporter knew of sizes would contradict.
    del known.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(known, strict_mode=True, data_prop=True)
    del model.graph.value_info[:]
    for value in inferred.graph.value_info:
        sized = [size for size in value.type.tensor_type.shape.dim if size.dim_value in names]
        for size in sized:
            size.dim_param = names[size.dim_value]
        if sized:
            model.graph.value_info.append(value)


def open_weights(
    name_or_path: str, engine: str, device: str = "auto", dtype: str = "auto"
) -> tuple[Engine, Card]:
    """Return an engine for weights that are exported on the way, and their card.

    Raises:
        FileNotFoundError: If there are no such weights.
        WeightsError: If the file does not hold a known network.
        ValueError: As `derain.engines.open_exported`.
        MissingExtraError: Without the extra ``onnx``, or that of the engine.
    """
    network, card = find(name_or_path)
    return open_exported(exported(network), engine, device, dtype), card


def exported(network: Network) -> Exported:
    """Return a network as a graph that is in no file.

    Raises:
        MissingExtraError: Without the extra ``onnx``.
    """
    card = Card("", type(network).__name__)
    return Exported(to_onnx(network, card), card, facts_of(network), trusted=True)


def check_parity(network: Network, path: Path, *, name: Path | None = None) -> float:
    """Return how far an exported file is from the network it was made of, on a scale of 1.

    This is the mean over all values, on pictures of several sizes. It is not the largest difference
    because, where two of the values that NLEDN pools agree to rounding, either may be taken, and
    one pixel moves.

    Args:
        network: In evaluation mode.
        path: The file.
        name: What to call it in an error; None for its path.

    Raises:
        ValueError: If it is too far: the network does something that cannot be exported.
    """
    engine = open_exported(Exported.read(path))
    dice = torch.Generator().manual_seed(0)
    worst = 0.0
    for height, width in PARITY_SIZES:
        rainy = torch.rand(1, 3, height, width, generator=dice)
        with torch.inference_mode():
            expected = network(rainy).numpy()
        worst = max(worst, float(np.abs(engine(rainy.numpy()) - expected).mean()))
    if worst > TOLERANCE:
        raise ValueError(
            f"{name or path}: is {worst:.1e} of 1 from the network in PyTorch; expected at most"
            f" {TOLERANCE:.0e}"
        )
    return worst


def is_exported_from(network: Network, card: Card, path: Path) -> bool:
    """Return whether a file has this card, and computes what the network computes."""
    try:
        # Cards of authors' checkpoints may be equal where weights are not.
        return Exported.read(path).card == card and check_parity(network, path) <= TOLERANCE
    except (DerainError, ValueError):
        return False


def export(network: Network, card: Card, path: Path, to: Target) -> None:
    """Write an exported file completely or not at all.

    OpenVINO's is two files, ``NAME.xml`` and ``NAME.bin``.

    Raises:
        MissingExtraError: Without the extra ``onnx``, or ``openvino`` for that.
    """
    write_exported(to_onnx(network, card), card, facts_of(network), path, to)


def write_exported(data: bytes, card: Card, facts: Facts, path: Path, to: Target) -> None:
    """Write ONNX that has its card, as it is or as OpenVINO's two files.

    Raises:
        MissingExtraError: Without the extra ``openvino``, for that.
        OSError: If it cannot be written; both files of a pair are then as they were.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if to == "onnx":
        write_file(path, data)
        return
    openvino: Any = require("openvino", "exporting for OpenVINO")
    model = openvino.Core().read_model(data)
    model.set_rt_info(card.to_json(), [HEADER])
    model.set_rt_info(facts.to_json(), [FACTS])
    with drafted(path) as made:
        _check_room(made, 2 * len(data) + (1 << 20))
        try:
            openvino.save_model(model, str(made), compress_to_fp16=False)
        except Exception as error:  # OpenVINO has no class for it
            reason = " ".join(str(error).split())[:100]
            raise OSError(errno.EIO, f"OpenVINO cannot write it ({reason})", str(path)) from error


def _check_room(draft: Path, size: int) -> None:
    """Raise OSError if there is no room for a file: OpenVINO does not say why it writes none."""
    try:
        draft.write_bytes(bytes(size))
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def drafted(path: Path) -> Generator[Path]:
    """Yield a temporary name for an exported file, and move it into place when the block ends.

    So do the weights beside a file of OpenVINO's. If the block raises, what was there stays.

    Raises:
        OSError: If a file cannot be written or moved; it names the final path.
    """
    try:
        with TemporaryDirectory(dir=path.parent, prefix=DRAFT) as folder:
            made = Path(folder) / path.name
            yield made
            # The one that is opened last comes last.
            pairs = [
                (part, path.with_suffix(part.suffix))
                for part in (made.with_suffix(".bin"), made)
                if part.exists()
            ]
            _move_all(pairs)
    except OSError as error:
        name_final(error, path)
        raise


def _move_all(pairs: Sequence[tuple[Path, Path]]) -> None:
    """Move files into place, or none of them: then what was there is put back."""
    before = [(target, target.read_bytes() if target.is_file() else None) for _, target in pairs]
    try:
        for made, target in pairs:
            made.replace(target)
    except OSError:
        for target, content in before:
            if content is None:
                target.unlink(missing_ok=True)
            else:
                write_file(target, content)
        raise
