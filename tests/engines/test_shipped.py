"""Graphs that take their weights from the file beside them, and the fast form of Petrichor."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from derain.engines import Exported, open_exported
from derain.engines.export import facts_of, to_onnx
from derain.engines.exported import openvino_request, session
from derain.engines.shipped import write_graph
from derain.networks import NETWORKS, Petrichor
from derain.weights import CATALOGUE, Card, store
from derain.weights.loading import find

Infer = Callable[[NDArray[np.float32]], NDArray[np.float32]]

SIZES = ((1, 64, 96), (2, 40, 136), (1, 96, 32))
"""Pictures, height, width: multiples of 8, odd numbers of them too."""
CARD = Card("petrichor — as “rain”", "petrichor-live", licence="MIT")
"""With letters that ASCII lacks."""


def awake(name: str) -> Petrichor:
    """A network all of whose weights matter, and no two norms are the same."""
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    assert isinstance(network, Petrichor)
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            if parameter.ndim != 4 or key.endswith(".scale"):
                parameter.add_(0.1 * torch.randn_like(parameter))
        network.out.weight.normal_(0, 0.02)
    return network


def saved(network: Petrichor, folder: Path, dtype: torch.dtype = torch.float16) -> Petrichor:
    """Save weights as ``w.safetensors``; return what is in the file."""
    name = next(name for name, kind in NETWORKS.items() if kind is type(network))
    card = replace(CARD, network=name)
    store.save(network, card, folder / "w.safetensors", dtype)
    loaded, _ = store.load(folder / "w.safetensors")
    assert isinstance(loaded, Petrichor)
    return loaded


def graph_of(network: Petrichor, folder: Path) -> Path:
    write_graph(network, CARD, folder / "w.safetensors", folder / "w.onnx")
    return folder / "w.onnx"


def assert_parity(network: Petrichor, runs: Infer, pictures: list[NDArray[np.float32]]) -> None:
    for rainy in pictures:
        with torch.inference_mode():
            expected = network(torch.from_numpy(rainy)).numpy()
        assert np.abs(expected - rainy).mean() > 0.01, "it does something"
        found = runs(rainy)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < 2e-5


def random() -> list[NDArray[np.float32]]:
    dice = np.random.default_rng(0)
    return [dice.random((n, 3, h, w), dtype=np.float32) for n, h, w in SIZES]


def in_onnx_runtime(model: Path | bytes) -> Infer:
    opened = session(model)

    def run(rainy: NDArray[np.float32]) -> NDArray[np.float32]:
        return opened.run(None, {"rainy": rainy})[0]

    return run


def in_openvino(model: Path) -> Infer:
    request = openvino_request(model)

    def run(rainy: NDArray[np.float32]) -> NDArray[np.float32]:
        return request.infer({"rainy": rainy})["clean"].copy()

    return run


@pytest.mark.parametrize("name", ["petrichor-live", "petrichor", "petrichor-deep"])
def test_it_equals_the_network(name: str, tmp_path: Path) -> None:
    network = saved(awake(name), tmp_path)
    assert_parity(network, in_onnx_runtime(graph_of(network, tmp_path)), random())


def test_openvino_opens_it_too(tmp_path: Path) -> None:
    network = saved(awake("petrichor-live"), tmp_path)
    assert_parity(network, in_openvino(graph_of(network, tmp_path)), random())


@pytest.mark.parametrize("name", [row.name for row in CATALOGUE.values() if row.graph])
def test_shipped_graphs_compute_what_shipped_weights_do(
    name: str, photo: NDArray[np.uint8]
) -> None:
    network, card = find(name)
    exported = Exported.read(CATALOGUE[name].graph_path)
    assert exported.card == card
    assert exported.facts == facts_of(network)
    engine = open_exported(exported)
    scene = photo[:120, :160].astype(np.float32).transpose(2, 0, 1)[None] / 255
    # Where nothing is in a picture, variances are small.
    for rainy in (scene, scene * 0.02, scene * 0, scene * 0 + 1, scene[..., :67, :91]):
        with torch.inference_mode():
            expected = network(torch.from_numpy(rainy)).numpy()
        assert np.abs(engine(rainy) - expected).max() < 1e-5


@pytest.mark.parametrize("name", ["petrichor-live", "petrichor"])
def test_shipped_graphs_are_what_is_written(name: str, tmp_path: Path) -> None:
    row = CATALOGUE[name]
    network, card = find(name)
    shutil.copy(row.path, tmp_path)
    write_graph(network, card, tmp_path / row.path.name, tmp_path / row.graph_path.name)
    kept, made = (
        onnx.load(path, load_external_data=False)
        for path in (row.graph_path, tmp_path / row.graph_path.name)
    )
    made.producer_version = kept.producer_version
    assert made == kept


@pytest.mark.parametrize("name", ["petrichor-live", "petrichor-wide"])
def test_a_file_of_its_own_equals_the_network(name: str) -> None:
    network = awake(name)
    assert_parity(network, in_onnx_runtime(to_onnx(network, CARD)), random()[:2])


def test_a_file_of_its_own_holds_weights_as_operations_take_them() -> None:
    graph = onnx.load_from_string(to_onnx(awake("petrichor-live"), CARD)).graph
    constants = {initializer.name for initializer in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert all(set(node.input[1:]) <= constants for node in convolutions)


def test_all_weights_are_in_the_weights_file(tmp_path: Path) -> None:
    network = saved(awake("petrichor-live"), tmp_path)
    graph = onnx.load(graph_of(network, tmp_path), load_external_data=False).graph
    content = (tmp_path / "w.safetensors").read_bytes()
    outside = {
        initializer.name: {entry.key: entry.value for entry in initializer.external_data}
        for initializer in graph.initializer
        if initializer.external_data
    }
    state = network.state_dict()
    assert outside.keys() == state.keys()
    for name, where in outside.items():
        assert where["location"] == "w.safetensors"
        first, length = int(where["offset"]), int(where["length"])
        values = np.frombuffer(content[first : first + length], np.float16)
        assert np.array_equal(values.astype(np.float32), state[name].numpy().ravel())
    inside = [
        onnx.numpy_helper.to_array(initializer)
        for initializer in graph.initializer
        if not initializer.external_data
    ]
    # What is left are means and copies over channels: one number, repeated.
    assert all(np.unique(values).size == 1 for values in inside)
    assert not any(
        onnx.numpy_helper.to_array(attribute.t).size > 8
        for node in graph.node
        for attribute in node.attribute
        if attribute.HasField("t")
    )


def test_what_float16_cannot_hold_is_taken_in_float32(tmp_path: Path) -> None:
    network = awake("petrichor-live")
    with torch.no_grad():
        # One takes the other back.
        network.coarse[0].mix.weight[0] *= 2e6  # pyright: ignore
        network.coarse[0].scale[:, 0] /= 2e6  # pyright: ignore
    network = saved(network, tmp_path)
    graph = onnx.load(graph_of(network, tmp_path), load_external_data=False).graph
    kinds = {
        initializer.data_type for initializer in graph.initializer if initializer.external_data
    }
    assert kinds == {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16}
    assert_parity(network, in_onnx_runtime(tmp_path / "w.onnx"), random()[:1])


def test_float32_files_are_taken_too(tmp_path: Path) -> None:
    network = saved(awake("petrichor-live"), tmp_path, torch.float32)
    assert_parity(network, in_onnx_runtime(graph_of(network, tmp_path)), random()[:1])


def test_weights_are_folded_when_it_is_opened(tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "opened.onnx")
    options.log_severity_level = 4
    path = graph_of(saved(awake("petrichor-live"), tmp_path), tmp_path)
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "opened.onnx").graph.node
    found = {node.op_type for node in nodes}
    assert "Conv" in found
    assert not found & {"Cast", "Split", "ReduceMean", "ReduceSum", "Identity"}


def test_it_carries_the_card_and_leaves_sizes_open(tmp_path: Path) -> None:
    network = saved(awake("petrichor-live"), tmp_path)
    path = graph_of(network, tmp_path)
    exported = Exported.read(path)
    assert exported.card == CARD
    assert exported.facts == facts_of(network)
    model = onnx.load(path, load_external_data=False)
    ends = (model.graph.input[0], model.graph.output[0])
    for end, name in zip(ends, ("rainy", "clean"), strict=True):
        shape = end.type.tensor_type.shape.dim
        assert end.name == name
        assert [shape[k].dim_param for k in (0, 2, 3)] == ["n", "h", "w"]


def test_the_same_gives_the_same_bytes(tmp_path: Path) -> None:
    network = saved(awake("petrichor-live"), tmp_path)
    first = graph_of(network, tmp_path).read_bytes()
    assert graph_of(network, tmp_path).read_bytes() == first


def test_other_weights_are_refused(tmp_path: Path) -> None:
    saved(awake("petrichor-live"), tmp_path)
    with pytest.raises(ValueError, match=r"w\.safetensors: lacks the network's .*; expected the"):
        graph_of(awake("petrichor-live"), tmp_path)
    assert not (tmp_path / "w.onnx").exists()


def test_another_folder_is_refused(tmp_path: Path) -> None:
    network = saved(awake("petrichor-live"), tmp_path)
    with pytest.raises(ValueError, match=r"w\.onnx: its weights are in .*; expected one folder"):
        write_graph(network, CARD, tmp_path / "w.safetensors", tmp_path / "deep/w.onnx")
