"""Graphs under derain's card that are none of derain's: refused when opened, in one line."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from derain.engines import Exported, open_exported, probing
from derain.extras import is_installed
from derain.tiles import Tiling
from derain.weights import CATALOGUE, Card, WeightsError
from derain.weights.facts import Facts
from derain.weights.graphs import FACTS
from derain.weights.header import HEADER

FREE = ("n", 3, "h", "w")
SOME_FACTS = Facts("DPENet", Tiling(tile=1024, overlap=64, multiple=8), 16, parameters=12)
CARD = Card("x", "dpenet").to_json()
needs_openvino = pytest.mark.skipif(not is_installed("openvino"), reason="needs OpenVINO")


def node(operation: str, inputs: str, output: str = "clean", **attributes: Any) -> onnx.NodeProto:
    names = [name.replace("_", "") for name in inputs.split()]
    return helper.make_node(operation, names, [output], **attributes)


def numbers(name: str, *values: int) -> onnx.TensorProto:
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


def number(name: str, value: int) -> onnx.TensorProto:
    return helper.make_tensor(name, TensorProto.INT64, [], [value])


def graph(
    *nodes: onnx.NodeProto,
    constants: Sequence[onnx.TensorProto] = (),
    takes: tuple[int, Sequence[Any]] = (TensorProto.FLOAT, FREE),
    makes: tuple[int, Sequence[Any] | None] = (TensorProto.FLOAT, FREE),
) -> onnx.ModelProto:
    """A graph with derain's card."""
    ends = [
        helper.make_tensor_value_info(name, *end)
        for name, end in (("rainy", takes), ("clean", makes))
    ]
    body = helper.make_graph(list(nodes), "g", ends[:1], ends[1:], list(constants))
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("me", 1)]
    model = helper.make_model(body, opset_imports=opsets, ir_version=9)
    helper.set_model_props(model, {HEADER: CARD, FACTS: SOME_FACTS.to_json()})
    return model


def to_picture(*nodes: onnx.NodeProto, constants: Sequence[onnx.TensorProto]) -> onnx.ModelProto:
    """A graph that adds the largest value of a map ``m`` to the picture."""
    return graph(
        *nodes,
        node("ReduceMax", "m", "most", keepdims=0),
        node("Add", "rainy most"),
        constants=constants,
    )


def loop() -> onnx.ModelProto:
    ends = {"i": TensorProto.INT64, "c": TensorProto.BOOL, "x": TensorProto.FLOAT}
    made = {"d": TensorProto.BOOL, "y": TensorProto.FLOAT}
    inputs, outputs = (
        [helper.make_tensor_value_info(*end, None) for end in side.items()] for side in (ends, made)
    )
    body = helper.make_graph(
        [node("Identity", "c", "d"), node("Identity", "x", "y")], "b", inputs, outputs
    )
    true = helper.make_tensor("true", TensorProto.BOOL, [], [True])
    return graph(
        node("Loop", "times true rainy", body=body), constants=[number("times", 1 << 40), true]
    )


def sparse() -> onnx.ModelProto:
    model = graph(node("Identity", "rainy"))
    values = helper.make_tensor("k", TensorProto.FLOAT, [1], [1.0])
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, numbers("i", 3), [1 << 30])
    )
    return model


UNIT = node("Identity", "rainy")
LARGE = 1 << 30
TOO_MUCH = r"\(\w+: it takes more than 256 MiB\)"

WRONG: dict[str, tuple[onnx.ModelProto, str]] = {
    "another rank": (graph(node("Flatten", "rainy"), makes=(1, None)), "makes float32 .free, free"),
    "one channel": (
        graph(node("ReduceMean", "rainy a"), constants=[numbers("a", 1)], makes=(1, None)),
        "makes float32 .free, 1, free, free",
    ),
    "another type": (
        graph(node("Cast", "rainy", to=11), makes=(11, FREE)),
        r"makes tensor\(double\)|makes f64",
    ),
    "a smaller picture": (
        graph(node("MaxPool", "rainy", kernel_shape=[2, 2], strides=[2, 2])),
        r"makes float32 \(1, 3, 8, 12\) of float32 \(1, 3, 16, 24\)",
    ),
    "height and width confused": (
        graph(node("Transpose", "rainy", perm=[0, 1, 3, 2])),
        r"makes float32 \(1, 3, 24, 16\)",
    ),
    "bytes wanted": (
        graph(node("Cast", "rainy", to=1), takes=(2, FREE)),
        r"takes (tensor\(uint8\)|u8) \(free, 3",
    ),
    "one size only": (graph(UNIT, takes=(1, (1, 3, 32, 40))), r"takes float32 \(1, 3, 32, 40\)"),
    "no batch": (graph(UNIT, takes=(1, FREE[1:]), makes=(1, None)), r"takes float32 \(3, free"),
    "a constant": (
        graph(
            node("Identity", "k"),
            constants=[helper.make_tensor("k", 1, [1, 3, 2, 2], [0.0] * 12)],
            makes=(1, None),
        ),
        r"makes float32 \(1, 3, 2, 2\)",
    ),
    "a number": (
        graph(node("ReduceMean", "rainy", keepdims=0), makes=(1, None)),
        r"makes float32 \(\)",
    ),
    "no numbers": (
        graph(node("Neg", "rainy", "m"), node("Log", "m")),
        "returned NaN or infinity",
    ),
    "what fails": (
        graph(node("Reshape", "rainy s"), constants=[numbers("s", 1, 3, 5, 5)]),
        "fails on a picture of 24x16|damaged",
    ),
    "a large constant": (
        to_picture(node("ConstantOfShape", "s", "m"), constants=[numbers("s", LARGE)]),
        TOO_MUCH,
    ),
    "a large constant that nothing uses": (
        graph(node("ConstantOfShape", "s", "m"), UNIT, constants=[numbers("s", LARGE)]),
        TOO_MUCH,
    ),
    "a long range": (
        to_picture(
            node("Range", "a b c", "r"),
            node("Cast", "r", "m", to=1),
            constants=[number("a", 0), number("b", LARGE), number("c", 1)],
        ),
        TOO_MUCH,
    ),
    "tiles": (
        to_picture(
            node("Tile", "k times", "m"),
            constants=[
                helper.make_tensor("k", 1, [1, 1], [1.0]),
                numbers("times", 1 << 15, 1 << 15),
            ],
        ),
        TOO_MUCH,
    ),
    "an outer sum": (
        to_picture(
            node("ConstantOfShape", "s", "x"),
            node("ConstantOfShape", "t", "y"),
            node("Add", "x y", "m"),
            constants=[numbers("s", 1 << 15, 1), numbers("t", 1, 1 << 15)],
        ),
        TOO_MUCH,
    ),
    "a large enlargement": (
        to_picture(
            node("Resize", "rainy _ k", "m"),
            constants=[helper.make_tensor("k", 1, [4], [1, 1, 1000, 1000])],
        ),
        TOO_MUCH,
    ),
    "doublings": (
        to_picture(
            node("Identity", "rainy", "x0"),
            *(node("Concat", f"x{k} x{k}", f"x{k + 1}", axis=0) for k in range(24)),
            node("Identity", "x24", "m"),
            constants=[],
        ),
        TOO_MUCH,
    ),
    "a loop": (loop(), "has loops or branches"),
    "operations of others": (
        graph(node("Magic", "rainy", domain="me")),
        "has operations that are not ONNX's own",
    ),
    "sparse tensors": (sparse(), "has sparse tensors"),
}


@pytest.mark.parametrize("engine", ["onnx", pytest.param("openvino", marks=needs_openvino)])
@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_derain_is_refused_when_opened(
    case: str, engine: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model, message = WRONG[case]
    path = tmp_path / "w.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match=message) as raised:
        open_exported(Exported.read(path), engine)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < len(str(path)) + 350
    assert capfd.readouterr().err == ""


def as_openvino(model: onnx.ModelProto, path: Path) -> Path:
    """The same graph in OpenVINO's format."""
    import openvino

    read: Any = openvino.Core().read_model(model.SerializeToString())  # pyright: ignore
    read.set_rt_info(CARD, [HEADER])
    read.set_rt_info(SOME_FACTS.to_json(), [FACTS])
    openvino.save_model(read, str(path), compress_to_fp16=False)  # pyright: ignore
    return path


@needs_openvino
@pytest.mark.parametrize(
    "case",
    ["another rank", "another type", "a smaller picture", "no numbers", "one size only"],
)
def test_openvinos_files_are_tried_too(case: str, tmp_path: Path) -> None:
    model, message = WRONG[case]
    path = as_openvino(model, tmp_path / "w.xml")
    with pytest.raises(WeightsError, match=message) as raised:
        open_exported(Exported.read(path))
    assert "\n" not in str(raised.value)


@needs_openvino
@pytest.mark.parametrize("case", ["a large constant", "tiles", "an outer sum"])
def test_openvinos_files_get_no_memory_for_large_constants(case: str, tmp_path: Path) -> None:
    path = as_openvino(WRONG[case][0], tmp_path / "w.xml")
    with pytest.raises(WeightsError, match="damaged or something else"):
        Exported.read(path)


@needs_openvino
def test_openvinos_files_may_be_links(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    path = as_openvino(graph(node("Relu", "rainy")), tmp_path / "deep/w.xml")
    link = tmp_path / "link.xml"
    link.symlink_to(path)
    rainy = np.full((1, 3, 64, 64), 0.5, np.float32)
    direct, linked = (open_exported(Exported.read(one))(rainy) for one in (path, link))
    assert np.array_equal(direct, linked)
    path.with_suffix(".bin").unlink()
    for one in (path, link):
        with pytest.raises(WeightsError, match=rf"{one}: its weights w\.bin are not beside it"):
            Exported.read(one)


@needs_openvino
def test_a_range_that_openvino_computes_on_reading_is_refused(tmp_path: Path) -> None:
    """It would take gigabytes before there is anything to look at."""
    sound = graph(
        node("Range", "a b c", "r"),
        node("Slice", "r zero four", "s"),
        node("Reshape", "rainy s"),
        constants=[
            number("a", 0),
            number("b", 8),
            number("c", 1),
            numbers("zero", 0),
            numbers("four", 4),
        ],
        makes=(1, None),
    )
    path = as_openvino(sound, tmp_path / "w.xml")
    weights = path.with_suffix(".bin")
    content = weights.read_bytes()
    assert content.count((8).to_bytes(8, "little")) == 1
    weights.write_bytes(
        content.replace((8).to_bytes(8, "little"), (LARGE // 2).to_bytes(8, "little"))
    )
    program = f"""
import re
from pathlib import Path
from derain.engines import Exported
from derain.weights import WeightsError
try:
    Exported.read(Path({str(path)!r}))
except WeightsError as error:
    # Not getrusage, in which what the parent took counts.
    print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1], error)
"""
    if sys.platform != "linux":
        pytest.skip("only Linux limits the memory of a process")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        timeout=120,
    )
    peak, _, message = done.stdout.partition(" ")
    assert "damaged or something else" in message
    assert int(peak) < 1 << 20, "kilobytes"


@pytest.mark.parametrize("engine", ["onnx", pytest.param("openvino", marks=needs_openvino)])
def test_what_fails_later_is_one_line(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.onnx"
    # Right for the picture that it is tried on, and for no other.
    fixed = graph(
        node("Expand", "k s"),
        constants=[
            helper.make_tensor("k", 1, [1, 1, 1, 1], [0.5]),
            numbers("s", *probing.probe_picture(SOME_FACTS).shape),
        ],
        makes=(1, None),
    )
    path.write_bytes(fixed.SerializeToString())
    opened = open_exported(Exported.read(path), engine)
    with pytest.raises(WeightsError, match=r"w\.onnx: makes float32 .*; expected the same"):
        opened(np.zeros((1, 3, 40, 40), np.float32))

    def fail(_: Any) -> None:
        raise KeyError("clean")

    monkeypatch.setattr(opened, "_run", fail)
    with pytest.raises(WeightsError, match=r"w\.onnx: fails on a picture of 40x40 \('clean'\)"):
        opened(np.zeros((1, 3, 40, 40), np.float32))


def test_text_that_is_none_is_refused_without_a_word_of_others(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "w.onnx"
    content = graph(UNIT).SerializeToString().replace(b"Identity", b"\xff\xfe\x80\x81tity")
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged or something else"):
        open_exported(Exported.read(path))
    assert capfd.readouterr().err == ""


def test_what_is_shipped_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    from derain.engines import exported, open_model

    def refuse(*_: Any) -> None:
        raise AssertionError("it costs time at every start")

    monkeypatch.setattr(exported, "probe_onnx", refuse)
    assert open_model("petrichor-live", "onnx")[0].runtime == "onnx"
    with pytest.raises(AssertionError):
        open_model(str(CATALOGUE["petrichor-live"].graph_path), "onnx")


@pytest.mark.parametrize(
    ("name", "value"),
    [("least_side", 10**9), ("multiple", 10**6), ("tile", 10**9), ("tile", 3), ("overlap", 10**7)],
)
def test_facts_that_no_network_has_are_refused(name: str, value: int, tmp_path: Path) -> None:
    import json

    facts = json.loads(SOME_FACTS.to_json())
    (facts if name in facts else facts["tiling"])[name] = value
    model = graph(UNIT)
    helper.set_model_props(model, {HEADER: CARD, FACTS: json.dumps(facts)})
    (tmp_path / "w.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match="its header cannot be read: the facts about"):
        Exported.read(tmp_path / "w.onnx")
