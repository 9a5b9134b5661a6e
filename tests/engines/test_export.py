"""Exported files: what they say of themselves, what is none, what is missing."""

import errno
import importlib
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import external_data_helper

from derain.engines import Exported, is_exported, open_exported
from derain.engines.export import Target, export, to_onnx
from derain.errors import reason
from derain.extras import MissingExtraError
from derain.networks import DPENet
from derain.weights import Card, WeightsError
from derain.weights.graphs import FACTS

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
    assert exported.facts.title == "DPENet"
    assert exported.facts.tiling == DPENet.tiling
    assert exported.facts.parameters == sum(p.numel() for p in DPENet(blocks=1).parameters())
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
            {"derain": Card("x", "dpenet").to_json()},
            "an earlier version of derain wrote it; export it again",
        ),
        (
            {"derain": Card("x", "dpenet").to_json(), FACTS: "{}"},
            "its header cannot be read: the facts about its network are not those that this",
        ),
        (
            {"derain": Card("x", "dpenet").to_json(), FACTS: "[1]"},
            "its header cannot be read: the facts about its network are not those that this",
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


def test_what_is_damaged_inside_is_refused(folder: Path, tmp_path: Path) -> None:
    model = onnx.load(folder / "w.onnx")
    model.graph.node[0].op_type = "Convulsion"
    onnx.save(model, tmp_path / "w.onnx")
    exported = Exported.read(tmp_path / "w.onnx")
    with pytest.raises(WeightsError, match="damaged or something else"):
        open_exported(exported)


def test_another_graph_under_the_card_is_refused(folder: Path, tmp_path: Path) -> None:
    header = {entry.key: entry.value for entry in onnx.load(folder / "w.onnx").metadata_props}
    exported = Exported.read(onnx_of(header, tmp_path / "w.onnx"))
    with pytest.raises(WeightsError, match="maps x to y; expected rainy to clean"):
        open_exported(exported)


@pytest.mark.parametrize("place", ["../w.bin", "/etc/hostname", "deeper/w.bin", "link.bin"])
def test_weights_outside_the_folder_are_refused(place: str, folder: Path, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    (inside / "deeper").mkdir(parents=True)
    for path in (tmp_path / "w.bin", inside / "deeper/w.bin"):
        path.write_bytes(bytes(4096))
    (inside / "link.bin").symlink_to(tmp_path / "w.bin")
    model = onnx.load(folder / "w.onnx")
    tensor = model.graph.initializer[0]
    external_data_helper.set_external_data(tensor, place, 0, len(tensor.raw_data))
    tensor.ClearField("raw_data")
    (inside / "w.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match=f"its weights lie in {place}, outside its folder"):
        Exported.read(inside / "w.onnx")


def test_weights_that_are_not_there_are_named(folder: Path, tmp_path: Path) -> None:
    model = onnx.load(folder / "w.onnx")
    onnx.save(model, tmp_path / "w.onnx", save_as_external_data=True, location="w.data")
    assert open_exported(Exported.read(tmp_path / "w.onnx")).parameters > 0
    (tmp_path / "w.data").unlink()
    with pytest.raises(WeightsError, match=r"its weights lie in w\.data, which is not there"):
        Exported.read(tmp_path / "w.onnx")


@pytest.mark.parametrize("name", ["w.onnx", "w.xml"])
def test_what_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such exported file"):
        Exported.read(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "module", "message"),
    [
        ("w.onnx", "onnxruntime", "executing a graph needs ONNX Runtime: pip install derain"),
        ("w.xml", "openvino", r'reading .* needs OpenVINO: pip install "derain\[openvino\]"'),
    ],
)
def test_a_runtime_that_is_missing_is_named(
    name: str, module: str, message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, module)
    with pytest.raises(MissingExtraError, match=f"^{message}$"):
        open_exported(Exported.read(folder / name))


@pytest.mark.parametrize(
    ("module", "target", "message"),
    [
        ("onnx", "onnx", r'exporting needs onnx: pip install "derain\[onnx\]"'),
        ("onnx", "openvino", r'exporting needs onnx: pip install "derain\[onnx\]"'),
        (
            "openvino",
            "openvino",
            r'exporting for OpenVINO needs OpenVINO: pip install "derain\[openvino\]"',
        ),
    ],
)
def test_an_exporter_that_is_missing_is_named(
    module: str, target: Target, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, module)
    with pytest.raises(MissingExtraError, match=f"^{message}$"):
        export(
            DPENet(blocks=1), CARD, tmp_path / ("w.onnx" if target == "onnx" else "w.xml"), target
        )
    assert list(tmp_path.iterdir()) == []


def hide(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    usual = importlib.import_module

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name == module:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return usual(name, *arguments, **options)

    monkeypatch.setattr(importlib, "import_module", refuse)


def test_the_network_stays_as_it_was() -> None:
    network = DPENet(blocks=1).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert to_onnx(network, CARD)
    assert all(value.equal(before[key]) for key, value in network.state_dict().items())
    assert all(module.training for module in network.modules())


@pytest.mark.parametrize(("to", "name"), [("onnx", "w.onnx"), ("openvino", "w.xml")])
def test_a_full_disk_is_named_and_leaves_what_was_there(
    to: Target, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("w.onnx", "w.xml", "w.bin"):
        (tmp_path / part).write_bytes(b"before")

    def full(draft: Path, content: bytes) -> int:
        with draft.open("wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, "No space left on device", str(draft))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left on device") as raised:
        export(DPENet(blocks=1), CARD, tmp_path / name, to)
    assert reason(raised.value) == f"No space left on device: {tmp_path / name}"
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"before"}
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("there", [True, False])
def test_a_pair_is_written_whole_or_not_at_all(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [tmp_path / "w.bin", tmp_path / "w.xml"]
    for path in parts if there else ():
        path.write_bytes(b"before")
    usual = Path.replace

    def fail(path: Path, target: Path) -> Path:
        if target.suffix == ".xml":
            raise OSError(errno.EACCES, "Permission denied", str(path))
        return usual(path, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(PermissionError) as raised:
        export(DPENet(blocks=1), CARD, tmp_path / "w.xml", "openvino")
    assert raised.value.filename == str(tmp_path / "w.xml")
    found = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert found == (dict.fromkeys(parts, b"before") if there else {})


def test_what_openvino_cannot_write_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import openvino

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("Exception from src/core/src/pass/serialize.cpp:1:\n  basic_ios")

    monkeypatch.setattr(openvino, "save_model", fail)
    with pytest.raises(OSError, match="OpenVINO cannot write it") as raised:
        export(DPENet(blocks=1), CARD, tmp_path / "w.xml", "openvino")
    assert reason(raised.value).endswith(f": {tmp_path / 'w.xml'}")
    assert list(tmp_path.iterdir()) == []
