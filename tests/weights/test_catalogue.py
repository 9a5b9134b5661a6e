"""The catalogue: what it lists, how a row is replaced, and weights that are no longer in it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from derain import weights
from derain.restore import load
from derain.weights import WeightsError
from derain.weights.catalogue import (
    CATALOGUE,
    COSTS,
    MEASURED,
    RETIRED,
    TABLE,
    Cost,
    check,
    read_rows,
    replace_costs,
    replace_row,
)
from derain.weights.listing import HEADINGS, listed

HASH = "0" * 64


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "catalogue.json"
    path.write_bytes(TABLE.read_bytes())
    return path


def test_a_row_is_replaced_and_nothing_else_changes(table: Path) -> None:
    row = replace(CATALOGUE["remaen"], sha256=HASH)
    replace_row(table, row)
    assert read_rows(table) == CATALOGUE | {"remaen": row}
    assert list(read_rows(table)) == list(CATALOGUE)
    replace_row(table, CATALOGUE["remaen"])
    assert table.read_bytes() == TABLE.read_bytes(), "a diff shows the changed row alone"
    assert list(table.parent.iterdir()) == [table]


def test_a_row_that_was_replaced_in_the_meantime_is_kept(table: Path) -> None:
    ours = replace(read_rows(table)["nledn"], sha256=HASH)
    theirs = replace(CATALOGUE["remaen"], sha256="1" * 64)
    replace_row(table, theirs)
    replace_row(table, ours)
    assert read_rows(table) == CATALOGUE | {"nledn": ours, "remaen": theirs}


def test_only_a_row_of_the_table_is_replaced(table: Path) -> None:
    with pytest.raises(ValueError, match="no row of snow; expected one of petrichor, "):
        replace_row(table, replace(CATALOGUE["remaen"], name="snow"))
    assert table.read_bytes() == TABLE.read_bytes()


def test_another_file_than_the_row_says_is_refused() -> None:
    with pytest.raises(WeightsError, match="not the file the catalogue lists"):
        check(replace(CATALOGUE["remaen"], sha256=HASH))


@pytest.mark.parametrize("name", RETIRED)
@pytest.mark.parametrize("find", [weights.find_card, load])
def test_retired_weights_name_those_to_use_instead(
    find: Callable[[str], object], name: str
) -> None:
    general = RETIRED[name]
    assert (name in CATALOGUE, general in CATALOGUE) == (False, True)
    message = rf"^{name}: these weights were retired .*; use {general} instead$"
    with pytest.raises(FileNotFoundError, match=message):
        find(name)


@pytest.mark.torch
@pytest.mark.parametrize("name", RETIRED)
def test_retired_weights_are_of_the_network_of_those_to_use_instead(name: str) -> None:
    from derain.recipes import find_recipe
    from derain.weights import loading

    general = RETIRED[name]
    assert weights.find_card(general).network == find_recipe(name).network
    with pytest.raises(FileNotFoundError, match=rf"use {general} instead$"):
        loading.find(name)


@pytest.mark.parametrize("find", [weights.find_card, load])
@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("petrichor-dep", "petrichor-deep"),
        ("Petrichor", "petrichor"),
        ("petrichor_live", "petrichor-live"),
        ("petrichor.safetensors", "petrichor"),
        ("nledn.onnx", "nledn"),
        ("nlden", "nledn"),
    ],
)
def test_a_mistyped_name_says_what_may_be_meant(
    find: Callable[[str], object], word: str, meant: str
) -> None:
    with pytest.raises(FileNotFoundError, match=rf"^{word}: no such .*; did you mean {meant}\?$"):
        find(word)


@pytest.mark.parametrize("find", [weights.find_card, load])
@pytest.mark.parametrize("word", ["petrichor.safetensor", "petricor.safetensors", "petrichor.pth"])
def test_a_mistyped_file_says_what_may_be_meant(
    find: Callable[[str], object], word: str, tmp_path: Path
) -> None:
    (tmp_path / "petrichor.safetensors").write_bytes(b"")
    (tmp_path / ".petrichor.safetensor").write_bytes(b"")
    meant = tmp_path / "petrichor.safetensors"
    with pytest.raises(FileNotFoundError, match=rf"did you mean ({meant}|petrichor)\?$"):
        find(str(tmp_path / word))


def test_a_name_like_none_is_not_guessed() -> None:
    with pytest.raises(FileNotFoundError, match=r"or a weights file$"):
        weights.find_card("umbrella")


@pytest.mark.parametrize("name", CATALOGUE)
def test_all_weights_are_listed_with_what_decides_between_them(name: str) -> None:
    (row,) = [row for row in listed() if row[0] == name]
    shown = dict(zip(HEADINGS, row, strict=True))
    card = weights.find_card(name)
    assert shown["MB"] == f"{CATALOGUE[name].path.stat().st_size / 1e6:.1f}"
    assert card.scores["Rain100L-dev10 y-matlab"].startswith(f"{shown['light']} / ")
    assert card.scores["Rain100H-dev10 y-matlab"].startswith(f"{shown['heavy']} / ")
    assert float(shown["s/MP"].removesuffix(" T")) == pytest.approx(
        COSTS[name].onnx or COSTS[name].torch, abs=0.0051
    )
    assert shown["take them for"]
    assert "commit" in MEASURED


@pytest.mark.torch
@pytest.mark.parametrize("name", CATALOGUE)
def test_listed_parameters_are_those_of_the_network(name: str) -> None:
    from derain.networks import NETWORKS
    from derain.networks.cost import count_parameters

    card = weights.find_card(name)
    network = NETWORKS[card.network](**card.hyperparameters)
    assert COSTS[name].parameters == count_parameters(network)


def test_costs_are_replaced_and_nothing_else_changes(table: Path) -> None:
    replace_costs(table, COSTS, MEASURED)
    assert table.read_bytes() == TABLE.read_bytes()
    replace_costs(table, {"nledn": Cost(3, 1.5)}, "here")
    content, before = (json.loads(path.read_text()) for path in (table, TABLE))
    figures = {"nledn": {"parameters": 3, "torch": 1.5, "onnx": None}}
    assert content == before | {"costs": {"measured": "here", "figures": figures}}


def test_the_files_together_leave_the_wheel_small() -> None:
    assert sum(row.path.stat().st_size for row in CATALOGUE.values()) < 14_500_000


@pytest.mark.parametrize("name", CATALOGUE)
def test_shipped_files_are_those_of_the_catalogue(name: str) -> None:
    row = CATALOGUE[name]
    check(row)
    assert row.path.stat().st_size < 3_500_000
    card = weights.find_card(name)
    assert card.name == name
    assert card.recipe
    assert card.data
    assert card.licence == "Apache-2.0"
    assert card.scores
