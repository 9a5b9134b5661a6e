"""Facts about networks: what follows from them, and that they survive the file."""

import json
from dataclasses import replace

import pytest
from headers import FACTS

from derain.weights.facts import MACS_SIDE, Facts


def test_multiply_adds_follow_the_area_on_the_networks_grid() -> None:
    assert FACTS.count(MACS_SIDE, MACS_SIDE) == FACTS.multiply_adds
    assert FACTS.count(2 * MACS_SIDE, MACS_SIDE) == 2 * MACS_SIDE**2 * 10
    assert FACTS.count(8, 16) == 8 * 16 * 10
    assert FACTS.count(1, 9) == 8 * 16 * 10


def test_multiply_adds_that_do_not_grow_with_the_area_are_known_of_one_size() -> None:
    regions = replace(FACTS, grows_with_area=False)
    assert regions.count(MACS_SIDE, MACS_SIDE) == FACTS.multiply_adds
    assert regions.count(MACS_SIDE, 2 * MACS_SIDE) is None


def test_multiply_adds_that_cannot_be_counted_are_unknown() -> None:
    unknown = replace(FACTS, multiply_adds=None)
    assert unknown.count(MACS_SIDE, MACS_SIDE) is None
    assert unknown.count(8, 8) is None


@pytest.mark.parametrize(
    "facts",
    [FACTS, replace(FACTS, multiply_adds=None, tiling=replace(FACTS.tiling, reach=None))],
)
def test_facts_come_back_from_their_text(facts: Facts) -> None:
    assert Facts.from_json(facts.to_json()) == facts


def test_facts_that_this_version_cannot_heed_are_refused() -> None:
    values = json.loads(FACTS.to_json())
    with pytest.raises(ValueError, match="unexpected keyword argument 'mood'"):
        Facts.from_json(json.dumps(values | {"mood": "good"}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("least_side", "16"),
        ("parameters", -1),
        ("multiply_adds", "many"),
        ("title", 3),
        ("tile", None),
        ("overlap", 0.5),
        ("reach", "far"),
        ("multiple", 0),
        ("memory", "4000"),
    ],
)
def test_facts_of_other_kinds_are_refused(name: str, value: object) -> None:
    values = json.loads(FACTS.to_json())
    (values if name in values else values["tiling"])[name] = value
    with pytest.raises(ValueError, match=r"the facts about its network (are not numbers|have no)"):
        Facts.from_json(json.dumps(values))


@pytest.mark.parametrize("name", ["title", "tiling", "least_side", "parameters"])
def test_facts_that_are_not_complete_are_refused(name: str) -> None:
    values = json.loads(FACTS.to_json())
    del values[name]
    with pytest.raises(
        ValueError, match="the facts about its network are not those that this version knows"
    ):
        Facts.from_json(json.dumps(values))


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '"text"', "null"])
def test_what_is_no_table_is_refused(content: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        Facts.from_json(content)
