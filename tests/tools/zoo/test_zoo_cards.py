"""Cards of the zoo: what docs/zoo.md says of the weights, and what they had cost."""

import json
from pathlib import Path

import pytest

from derain import weights
from derain.weights import CATALOGUE, Card, Point, Stage
from tools.zoo import zoo_cards

RECIPE = json.dumps({"name": "nledn", "batch": 2, "crop": 64, "lr": 1e-3, "init": ""})
CURVE = (Point(100, 0.1, {"mean": 30.0}), Point(200, 0.2, {"mean": 31.0}))
CARD = Card(
    "nledn",
    "nledn",
    {"blocks": 6},
    data="pictures",
    rain="mixed, veil",
    steps=300,
    hours=0.3,
    scores={
        "validation mean y-matlab": "31.00",
        "Rain100L-dev10 y-matlab": "33.1 / 0.95",
        "Rain12 rgb": "30.0 / 0.9",
        "yard still-camera y-matlab gain": "+0.72",
    },
    failures="snow stays",
    history=(
        Stage(recipe=RECIPE, steps=100, hours=0.1, machine="a"),
        Stage(recipe=RECIPE, steps=200, hours=0.2, curve=CURVE),
    ),
)


def test_a_card_says_what_the_weights_say_of_themselves() -> None:
    page = "\n".join(zoo_cards.describe(CARD))
    for text in (
        "## nledn",
        "| rain | `mixed`, `veil` |",
        "300 in 0.30 h",
        "mean 31.00",
        "snow stays",
        "blocks=6",
    ):
        assert text in page
    assert "| Rain100L-dev10 | 33.1 / 0.95 |  |  |" in page
    assert "| Rain12 |  |  | 30.0 / 0.9 |" in page
    assert "| real rain, still camera | `yard` +0.72 dB over the input, `y-matlab` |" in page
    assert "| yard |" not in page, "a gain is no row of the test scores"
    assert "| 1 | `nledn` | random weights | 100 | 2, 64 | 0.001 | 0.10 | a |" in page


def test_the_page_in_the_docs_is_of_the_weights_in_the_package() -> None:
    page = (Path(__file__).parents[3] / "docs/zoo.md").read_text()
    for name in CATALOGUE:
        assert "\n".join(zoo_cards.describe(weights.find_card(name))) in page, (
            f"{name}: print docs/zoo.md anew"
        )


def test_what_a_validation_had_cost() -> None:
    (curve,) = zoo_cards.spent("nledn", CARD)
    a_step = 3 * 116.6e9 / 512**2 * 2 * 64**2
    assert [point.operations for point in curve] == pytest.approx(
        [200 * a_step, 300 * a_step], rel=0.01
    )
    assert [point.scores["mean"] for point in curve] == [30.0, 31.0]
