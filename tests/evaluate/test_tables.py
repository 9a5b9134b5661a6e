"""Evaluations as Markdown, CSV and JSON."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from derain import metrics
from derain.data import find_pairs
from derain.evaluate import evaluate, to_csv, to_json, to_markdown
from derain.images import read_image
from derain.networks import NETWORKS
from derain.restore import Derainer


def test_tables_and_pictures(nothing: Derainer, pairs: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    evaluation = evaluate(nothing, find_pairs(pairs), save_to=tmp_path / "out", on_picture=lambda k, n: seen.append((k, n)))
    assert seen == [(1, 2), (2, 2)]
    assert np.array_equal(read_image(tmp_path / "out/2.png"), read_image(pairs / "rainy/2.png"))
    rainy, output = evaluation.mean("rgb", "rainy"), evaluation.mean("rgb")
    assert output.psnr == pytest.approx(rainy.psnr)
    by_hand = [metrics.psnr(read_image(pairs / f"rainy/{k}.png"), read_image(pairs / f"clean/{k}.png")) for k in (1, 2)]
    assert rainy.psnr == pytest.approx(np.mean(by_hand))
    table = to_markdown([evaluation], per_picture=True).splitlines()
    assert table[0] == (
        "| model | dataset | pictures | y-matlab | y-pil | rgb | parameters | multiply-adds | s/megapixel | peak memory |"
    )
    assert [line.split(" | ")[:2] for line in table[2:6]] == [
        ["| rainy input", "set"],
        ["| nothing", "set/1"],
        ["| nothing", "set/2"],
        ["| nothing", "set"],
    ]
    assert f"{rainy.psnr:.3f} / {rainy.ssim:.4f}" in table[2]
    assert "tile 512, overlap 64, float32, cpu" in table[-1]


def test_json_holds_every_score_and_is_valid_for_perfect_pictures(nothing: Derainer, pairs: Path) -> None:
    for path in (pairs / "clean").iterdir():
        (pairs / "rainy" / path.name).write_bytes(path.read_bytes())

    def no_constant(name: str) -> Any:
        raise AssertionError(f"{name} is no JSON")

    content = json.loads(to_json([evaluate(nothing, find_pairs(pairs), ["rgb"])]), parse_constant=no_constant)
    assert content[0]["dataset"] == "set"
    assert content[0]["execution"] == "tile 512, overlap 64, float32, cpu"
    assert content[0]["pictures"][0]["output"][0]["psnr"] is None
    assert content[0]["mean"]["output"][0] == {"protocol": "rgb", "psnr": 100.0, "ssim": pytest.approx(1)}


def test_comparison_of_models_and_datasets(nothing: Derainer, pairs: Path, tmp_path: Path) -> None:
    folder = pairs.rename(tmp_path / "Rain100L")
    other = shutil.copytree(folder, tmp_path / "else")
    two = Derainer(NETWORKS["dpenet"](blocks=1), name="two", device="cpu")
    evaluations = [evaluate(model, find_pairs(place)) for model in (nothing, two) for place in (folder, other)]
    rows = [line.split(" | ")[:2] for line in to_markdown(evaluations).splitlines()[2:-2]]
    assert rows == [
        ["| rainy input", "Rain100L"],
        ["| nothing", "Rain100L"],
        ["| two", "Rain100L"],
        ["| *NLEDN (as printed in its paper)*", "*Rain100L, whole*"],
        ["| rainy input", "else"],
        ["| nothing", "else"],
        ["| two", "else"],
    ]
    table = list(csv.DictReader(io.StringIO(to_csv(evaluations))))
    assert len(table) == 2 * 2 * 3
    assert [row["paper_psnr"] for row in table] == ["36.57"] * 3 + [""] * 9
    assert table[0]["paper_protocol"] == "y-pil"
    assert float(table[0]["psnr"]) == evaluations[0].mean("y-matlab").psnr
    assert table[0]["parameters"] == "1005379"
    assert table[0]["execution"] == "tile 512, overlap 64, float32, cpu"
    content = json.loads(to_json(evaluations))
    assert content[0]["paper"]["psnr"] == "36.57"
    assert content[1]["paper"] is None
    assert content[2]["cost"]["parameters"] == sum(p.numel() for p in two.engine.network.parameters())


def test_papers_figures_under_a_protocol_not_asked_for_name_it(nothing: Derainer, pairs: Path, tmp_path: Path) -> None:
    evaluation = evaluate(nothing, find_pairs(pairs.rename(tmp_path / "Rain100H")), ["rgb"])
    assert "| *30.38 / 0.8939 (y-pil)* |" in to_markdown([evaluation])
