"""The catalogue: what it lists, how a row is replaced, and weights that are no longer in it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from derain import weights
from derain.restore import load
from derain.weights import WeightsError
from derain.weights.catalogue import (
    CATALOGUE,
    RETIRED,
    TABLE,
    check,
    read_rows,
    replace_row,
)

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
