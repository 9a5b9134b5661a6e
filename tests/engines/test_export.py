"""Exported files: what they say of themselves, what is none, what is missing."""

import importlib
from pathlib import Path
from typing import Any

import onnx
import pytest

from derain.engines import Exported, Target, export, is_exported
from derain.engines.export import to_onnx
from derain.networks import DPENet
from derain.weights import Card, WeightsError

CARD = Card(
    "dry — as “dust”", "dpenet", {"blocks": 1}, steps=7, scores={"a": "32.1"}, licence="MIT"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a network in both formats."""
    folder = tmp_path_factory.mktemp("exported")
    export(DPENet(blocks=1), CARD, folder / "deep/w.onnx", "onnx")
    export(DPENet(blocks=1), CARD, folder / "deep/w.xml", "openvino")
    return folder / "deep"


@pytest.mark.parametrize("name", ["w.onnx", "w.xml"])
def test_the_card_comes_back(name: str, folder: Path) -> None:
    exported = Exported.read(folder / name)
    assert exported.card == CARD
    assert exported.network.hyperparameters == {"blocks": 1}
    assert exported.tiling == DPENet.tiling
    assert is_exported(folder / name)


def test_nothing_else_is_left_behind(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {"w.onnx", "w.xml", "w.bin"}


def test_graphs_leave_sizes_open(folder: Path) -> None:
    graph = onnx.load(folder / "w.onnx").graph
    for value, name in ((graph.input[0], "rainy"), (graph.output[0], "clean")):
        dimensions = value.type.tensor_type.shape.dim
        assert value.name == name
        assert [dimensions[k].dim_param for k in (0, 2, 3)] == ["n", "h", "w"]


def onnx_of(properties: dict[str, str], path: Path) -> Path:
    """A graph that somebody else wrote: it gives what it takes."""
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])], "g", ends[:1], ends[1:]
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8
    )
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({}, "derain did not write it"),
        ({"author": "me"}, "derain did not write it"),
        ({"derain": "once upon a time"}, "its header cannot be read"),
        ({"derain": "{}"}, "its header cannot be read: the header names no network"),
        (
            {"derain": Card("x", "unet").to_json()},
            "holds a 'unet' network; this version knows nledn",
        ),
        (
            {"derain": Card("x", "dpenet", {"depth": 3}).to_json()},
            "its header is not that of the dpenet it says it holds",
        ),
    ],
)
def test_files_of_others_are_refused(
    properties: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=message) as raised:
        Exported.read(onnx_of(properties, tmp_path / "w.onnx"))
    assert str(raised.value).startswith(str(tmp_path / "w.onnx"))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["w.onnx", "w.xml"])
@pytest.mark.parametrize("content", [b"", b"once upon a time", bytes(range(256)) * 8])
def test_what_is_damaged_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        WeightsError,
        match=r"expected what derain export writes, but it is damaged or something else$",
    ):
        Exported.read(tmp_path / name)


@pytest.mark.parametrize("name", ["w.onnx", "w.xml"])
def test_what_is_cut_short_is_refused(name: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes((folder / "w.bin").read_bytes())
    (tmp_path / name).write_bytes((folder / name).read_bytes()[:9000])
    with pytest.raises(WeightsError, match="damaged or something else"):
        Exported.read(tmp_path / name)


@pytest.mark.parametrize("name", ["w.onnx", "w.xml"])
def test_what_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such exported file"):
        Exported.read(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("w.onnx", "onnxruntime", "onnx"), ("w.xml", "openvino", "openvino")],
)
def test_a_runtime_that_is_missing_is_named(
    name: str, module: str, extra: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, module)
    with pytest.raises(
        ImportError,
        match=rf"^{module} is not installed; expected .*: pip install 'derain\[{extra}\]'$",
    ):
        Exported.read(folder / name)


@pytest.mark.parametrize(
    ("module", "target"), [("onnx", "onnx"), ("onnx", "openvino"), ("openvino", "openvino")]
)
def test_an_exporter_that_is_missing_is_named(
    module: str, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, module)
    with pytest.raises(
        ImportError,
        match=rf"^{module} is not installed; expected .*: pip install 'derain\[{module}\]'$",
    ):
        export(
            DPENet(blocks=1), CARD, tmp_path / ("w.onnx" if target == "onnx" else "w.xml"), target
        )
    assert list(tmp_path.iterdir()) == []


def hide(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    usual = importlib.import_module

    def refuse(name: str, *arguments: Any) -> Any:
        if name == module:
            raise ImportError(f"No module named {name!r}")
        return usual(name, *arguments)

    monkeypatch.setattr(importlib, "import_module", refuse)


def test_the_network_stays_as_it_was() -> None:
    network = DPENet(blocks=1)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert to_onnx(network, CARD)
    assert all(value.equal(before[key]) for key, value in network.state_dict().items())
