"""What the scripts behind docs/results.md and docs/zoo.md print."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.quality import ablation, results_tables, seeds
from derain import weights
from derain.evaluate import to_json
from derain.images import write_image
from derain.networks import NETWORKS, NLEDN
from derain.recipes import RECIPES
from derain.weights import CATALOGUE, Card, Point, Stage
from tools.zoo import means, zoo_cards

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
    page = (Path(__file__).parents[2] / "docs/zoo.md").read_text()
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


def row(
    model: str, dataset: str, psnr: float, paper: dict[str, str] | None = None
) -> results_tables.Row:
    means = {
        of: [
            {"protocol": protocol, "psnr": value, "ssim": 0.9} for protocol in ("y-matlab", "y-pil")
        ]
        for of, value in (("rainy", 20.0), ("output", psnr))
    }
    return {"model": model, "network": "NLEDN", "dataset": dataset, "mean": means, "paper": paper}


def test_tables_across_sets_and_beside_papers() -> None:
    paper = {"protocol": "y-pil", "psnr": "36.57", "ssim": "0.9747"}
    rows = [row("a", "light", 31.0, paper), row("a", "heavy", 25.0), row("b", "light", 19.5, paper)]
    across = list(results_tables.across_sets(rows))
    assert across[1] == "| rainy input | 20.00 / 0.9000 | 20.00 / 0.9000 |"
    assert across[2] == "| `a` | 31.00 / 0.9000 (+11.0) | 25.00 / 0.9000 (+5.0) |"
    assert across[3] == "| `b` | 19.50 / 0.9000 (-0.5) |  |"
    beside = list(results_tables.beside_papers(rows))
    assert beside[1:] == [
        "| NLEDN | light | `a` | 31.00 / 0.9000 | 31.00 / 0.9000 | y-pil | 36.57 / 0.9747 |",
        "| NLEDN | light | `b` | 19.50 / 0.9000 | 19.50 / 0.9000 | y-pil | 36.57 / 0.9747 |",
    ]
    assert to_json([]) == "[]"  # what the scripts write and this reads


@pytest.mark.parametrize("name", ablation.VARIANTS)
def test_variants_are_those_of_table_2(name: str) -> None:
    recipe = ablation.recipe_of(name, 1, 400, 2, 64)
    assert (recipe.rain, recipe.seed) == (RECIPES["nledn-rain100l"].rain, 1)
    network = NETWORKS["nledn"](**recipe.hyperparameters)
    assert isinstance(network, NLEDN)
    names = " ".join(network.state_dict())
    assert ("non_local" in names) == (name in ("Re", "Rf"))
    assert ("joints" in names) == (name in ("Rd", "Rf"))
    assert len(network.blocks) == (1 if name in ("Ra", "Rb") else 6)


def test_seeds_are_trained_alike_and_told_with_their_spread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draws = np.random.default_rng(0)
    for name in ("clean/train", "clean/val", "pairs/rainy", "pairs/clean"):
        (tmp_path / name).mkdir(parents=True)
        write_image(tmp_path / name / "1.png", draws.integers(0, 256, (40, 50, 3), np.uint8))
    places = [str(tmp_path / name) for name in ("clean", "pairs")]
    options = [
        "--out",
        str(tmp_path / "runs"),
        "--steps",
        "2",
        "--batch",
        "1",
        "--crop",
        "16",
        "--seeds",
        "2",
        "--device",
        "cpu",
    ]
    monkeypatch.setattr("sys.argv", ["seeds.py", "nledn", *places, *options])
    seeds.main()
    _, _, *rows = [
        line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("|")
    ]
    assert [cells[0] for cells in rows] == ["| 0", "| 1", "| mean ± deviation"]
    scores = [float(cells[2]) for cells in rows[:2]]
    assert scores[0] != scores[1]
    mean, deviation = (float(text) for text in rows[2][2].split(" ± "))
    assert mean == pytest.approx(sum(scores) / 2, abs=0.011)
    assert deviation == pytest.approx(abs(scores[0] - scores[1]) / 2**0.5, abs=0.02)


def test_the_mean_of_weights_is_of_weights_of_one_size() -> None:
    networks = [NETWORKS["dpenet"](blocks=1) for _ in range(2)]
    halfway = means.mean_of(networks).state_dict()
    a, b = (network.state_dict() for network in networks)
    assert all(torch.allclose(halfway[key], (a[key] + b[key]) / 2, atol=1e-6) for key in a)
    with pytest.raises(ValueError, match="have no mean"):
        means.mean_of([networks[0], NETWORKS["dpenet"](blocks=2)])
