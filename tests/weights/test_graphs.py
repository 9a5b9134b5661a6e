"""Graphs read without PyTorch and onnx: those that are shipped, of others, and damaged ones."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from headers import FACTS as SOME_FACTS
from headers import encoded, text

from derain.engines import Exported, open_exported
from derain.restore import load
from derain.weights import CATALOGUE, Card, WeightsError, read_card
from derain.weights.catalogue import check
from derain.weights.graphs import FACTS, read_graph_header
from derain.weights.protobuf import fields

SHIPPED = [name for name, row in CATALOGUE.items() if row.graph]
GRAPH, PROPERTY = 7, 14
INITIALIZER, EXTERNAL_DATA = 5, 13
CARD = Card("some", "dpenet").to_json()


def entry(key: str, value: str) -> bytes:
    """A key and a value, as metadata and references to weights are written."""
    return text(1, key.encode()) + text(2, value.encode())


def graph_of(properties: dict[str, str], *places: str) -> bytes:
    """The least there can be of a model: a graph with weights in places, and metadata."""
    tensors = [text(EXTERNAL_DATA, entry("location", place)) for place in places]
    graph = text(GRAPH, b"".join(text(INITIALIZER, tensor) for tensor in tensors))
    return graph + b"".join(text(PROPERTY, entry(*pair)) for pair in properties.items())


def places_in(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yield what a graph's initializers refer to: location, offset, length."""
    (graph,) = (value for number, value in fields(path.read_bytes()) if number == GRAPH)
    assert isinstance(graph, memoryview)
    for number, tensor in fields(graph):
        if number != INITIALIZER or not isinstance(tensor, memoryview):
            continue
        pairs: dict[str, str] = {}
        for inner, value in fields(tensor):
            if inner == EXTERNAL_DATA and isinstance(value, memoryview):
                _, key = next(fields(value))
                *_, (_, content) = fields(value)
                assert isinstance(key, memoryview)
                assert isinstance(content, memoryview)
                pairs[bytes(key).decode()] = bytes(content).decode()
        if pairs:
            yield pairs["location"], int(pairs["offset"]), int(pairs["length"])


def test_petrichor_is_shipped_as_graphs() -> None:
    assert SHIPPED == ["petrichor", "petrichor-live", "petrichor-deep"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_graph_has_the_card_of_its_weights(name: str) -> None:
    row = CATALOGUE[name]
    check(row)
    card, facts = read_graph_header(row.graph_path)
    assert card == read_card(row.path)
    assert facts.title.startswith("Petrichor")
    assert (facts.tiling.multiple, facts.grows_with_area) == (8, True)
    assert facts.tiling.reach is not None
    assert facts.multiply_adds is not None
    assert facts.multiply_adds > 1e9
    stored = sum(length for _, _, length in places_in(row.graph_path))
    assert facts.parameters <= stored <= row.path.stat().st_size, "two bytes each, or four"


@pytest.mark.parametrize("name", SHIPPED)
def test_the_weights_of_a_shipped_graph_are_in_the_file_beside_it(name: str) -> None:
    row = CATALOGUE[name]
    places = list(places_in(row.graph_path))
    assert len(places) > 20
    assert {location for location, _, _ in places} == {f"{name}.safetensors"}
    size = row.path.stat().st_size
    assert all(0 < offset < offset + length <= size for _, offset, length in places)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_graph_without_its_row_or_its_file_is_refused(name: str) -> None:
    row = CATALOGUE[name]
    with pytest.raises(WeightsError, match=rf"{name}\.onnx: not the file the catalogue lists"):
        check(replace(row, graph="0" * 64))
    other = replace(row, name="elsewhere")
    with pytest.raises(WeightsError, match=r"elsewhere\.safetensors: not the file the catalogue"):
        check(other)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of a shipped graph and its weights."""
    row = CATALOGUE["petrichor-live"]
    for path in (row.path, row.graph_path):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path / row.graph_path.name


@pytest.mark.parametrize(
    "content",
    [bytes(8 << 20), text(GRAPH, text(1, b"") * (2 << 20)), (encoded(3 << 3) + b"\0") * (2 << 20)],
)
def test_what_has_too_many_parts_is_refused_at_once(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.onnx").write_bytes(content)
    began = time.process_time()
    with pytest.raises(WeightsError, match=r"damaged or something else$"):
        read_graph_header(tmp_path / "w.onnx")
    assert time.process_time() - began < 20  # a machine with other work takes 5


def test_a_large_graph_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "w.onnx").open("wb") as file:
        file.truncate(8 << 30)
    with pytest.raises(WeightsError, match="larger than 128 MiB"):
        read_graph_header(tmp_path / "w.onnx")


def test_a_graph_may_be_copied_with_its_weights(copied: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    shipped = load("petrichor-live", engine="onnx")
    assert np.array_equal(load(str(copied))(image), shipped(image))


def test_a_graph_may_be_reached_by_links(tmp_path: Path) -> None:
    row = CATALOGUE["petrichor-live"]
    for path in (row.path, row.graph_path):
        (tmp_path / path.name).symlink_to(path)
    linked = open_exported(Exported.read(tmp_path / row.graph_path.name))
    rainy = np.random.default_rng(0).random((1, 3, 40, 56), np.float32)
    shipped = open_exported(Exported.read(row.graph_path))
    assert np.array_equal(linked(rainy), shipped(rainy))


def test_a_graph_without_its_weights_is_refused(copied: Path) -> None:
    copied.with_suffix(".safetensors").unlink()
    with pytest.raises(
        WeightsError, match=r"weights lie in petrichor-live\.safetensors, which is not there"
    ):
        Exported.read(copied)


def test_a_graph_beside_other_weights_is_refused(copied: Path) -> None:
    name = next(name for name in SHIPPED if name != copied.stem)
    copied.with_suffix(".safetensors").write_bytes(CATALOGUE[name].path.read_bytes())
    with pytest.raises(WeightsError, match=rf"{copied.stem}\.safetensors, which holds others"):
        read_graph_header(copied)


def test_a_graph_whose_weights_are_cut_short_is_refused(copied: Path) -> None:
    weights = copied.with_suffix(".safetensors")
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"petrichor-live\.safetensors: .* is damaged"):
        Exported.read(copied)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_graph_that_is_cut_short_is_refused(share: float, copied: Path) -> None:
    content = copied.read_bytes()
    copied.write_bytes(content[: int(share * len(content))])
    with pytest.raises(WeightsError) as raised:
        open_exported(Exported.read(copied))
    assert str(raised.value).startswith(f"{copied}: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"once upon a time", bytes(range(256)) * 8, encoded(2**60)])
def test_what_is_no_graph_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.onnx").write_bytes(content)
    with pytest.raises(WeightsError, match=r"damaged or something else$"):
        read_graph_header(tmp_path / "w.onnx")


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({}, "derain did not write it"),
        ({"author": "me"}, "derain did not write it"),
        ({"derain": "once upon a time"}, "its header cannot be read"),
        ({"derain": "{}"}, "its header cannot be read: the header names no network"),
        ({"derain": CARD}, "an earlier version of derain wrote it; export it again"),
        (
            {"derain": CARD, FACTS: "{}"},
            "the facts about its network are not those that this version knows",
        ),
        (
            {"derain": CARD, FACTS: "[" * 100_000},
            "the facts about its network are not those that this version knows",
        ),
        (
            {
                "derain": CARD,
                FACTS: json.dumps(json.loads(SOME_FACTS.to_json()) | {"least_side": "x"}),
            },
            "the facts about its network are not numbers",
        ),
    ],
)
def test_files_of_others_are_refused(
    properties: dict[str, str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "w.onnx").write_bytes(graph_of(properties))
    with pytest.raises(WeightsError, match=message) as raised:
        read_graph_header(tmp_path / "w.onnx")
    assert str(raised.value).startswith(str(tmp_path / "w.onnx"))
    assert "\n" not in str(raised.value)


def test_what_is_written_by_hand_is_read(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"")
    (tmp_path / "w.onnx").write_bytes(
        graph_of({"derain": CARD, FACTS: SOME_FACTS.to_json()}, "w.bin")
    )
    card, facts = read_graph_header(tmp_path / "w.onnx")
    assert (card.to_json(), facts) == (CARD, SOME_FACTS)
    with pytest.raises(WeightsError, match=r"damaged or something else$"):
        open_exported(Exported.read(tmp_path / "w.onnx"))


@pytest.mark.parametrize(
    "place", ["../w.bin", "/etc/hostname", "deeper/w.bin", "link.bin", "../inside2/w.bin"]
)
def test_weights_outside_the_folder_are_refused(place: str, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    for folder in (inside / "deeper", tmp_path / "inside2"):
        folder.mkdir(parents=True)
    for path in (tmp_path / "w.bin", inside / "deeper/w.bin", tmp_path / "inside2/w.bin"):
        path.write_bytes(bytes(4096))
    (inside / "link.bin").symlink_to(tmp_path / "w.bin")
    content = graph_of({"derain": CARD, FACTS: SOME_FACTS.to_json()}, place)
    (inside / "w.onnx").write_bytes(content)
    with pytest.raises(WeightsError, match=f"its weights lie in {place}, outside its folder"):
        read_graph_header(inside / "w.onnx")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such exported file"):
        read_graph_header(tmp_path / "w.onnx")
