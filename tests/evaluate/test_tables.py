"""Evaluations as Markdown, CSV and JSON."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from numpy_engines import Local, Unchanged

from derain import metrics
from derain.data import find_pairs
from derain.evaluate import (
    Evaluation,
    Failure,
    Scoring,
    evaluate,
    evaluate_each,
    find_photographs,
    identity,
    to_csv,
    to_json,
    to_markdown,
)
from derain.evaluate.cost import Cost
from derain.evaluate.tables import cost_cells
from derain.images import read_image, write_image
from derain.metrics import NaturalModel, niqe
from derain.restore import Derainer


def test_tables_and_pictures(nothing: Derainer, pairs: Path, tmp_path: Path) -> None:
    evaluation = evaluate(nothing, find_pairs(pairs), save_to=tmp_path / "out")
    assert np.array_equal(read_image(tmp_path / "out/2.png"), read_image(pairs / "rainy/2.png"))
    rainy, output = evaluation.mean("rgb", "rainy"), evaluation.mean("rgb")
    assert output.psnr == pytest.approx(rainy.psnr)
    by_hand = [
        metrics.psnr(read_image(pairs / f"rainy/{k}.png"), read_image(pairs / f"clean/{k}.png"))
        for k in (1, 2)
    ]
    assert rainy.psnr == pytest.approx(np.mean(by_hand))
    table = to_markdown([evaluation], per_picture=True).splitlines()
    assert (
        table[0]
        == "| model | dataset | pictures | y-matlab | y-pil | rgb | parameters | multiply-adds |"
        " s/megapixel | peak memory |"
    )
    assert [line.split(" | ")[:2] for line in table[2:6]] == [
        ["| rainy input", "set"],
        ["| nothing", "set/1"],
        ["| nothing", "set/2"],
        ["| nothing", "set"],
    ]
    assert f"{rainy.psnr:.3f} / {rainy.ssim:.4f}" in table[2]
    assert (
        table[-2]
        == "PSNR in dB / SSIM. tile 512, overlap 64, numpy, float32, cpu. Multiply-adds of 512x512"
        " pixels."
    )
    assert table[-1] == f"set: {evaluation.data}."


def test_json_holds_every_score_and_is_valid_for_perfect_pictures(
    nothing: Derainer, pairs: Path
) -> None:
    for path in (pairs / "clean").iterdir():
        (pairs / "rainy" / path.name).write_bytes(path.read_bytes())

    def no_constant(name: str) -> Any:
        raise AssertionError(f"{name} is no JSON")

    content = json.loads(
        to_json([evaluate(nothing, find_pairs(pairs), ["rgb"])]), parse_constant=no_constant
    )
    assert content[0]["dataset"] == "set"
    assert "2 pairs" in content[0]["data"]
    assert content[0]["execution"] == "tile 512, overlap 64, numpy, float32, cpu"
    assert content[0]["pictures"][0]["output"][0]["psnr"] is None
    assert content[0]["mean"]["output"][0] == {
        "protocol": "rgb",
        "psnr": 100.0,
        "ssim": pytest.approx(1),
    }


def test_comparison_of_models_and_datasets(nothing: Derainer, pairs: Path, tmp_path: Path) -> None:
    folder = pairs.rename(tmp_path / "Rain100L")
    other = shutil.copytree(folder, tmp_path / "else")
    two = Derainer(Local(), name="two")
    evaluations = [
        evaluate(model, find_pairs(place)) for model in (nothing, two) for place in (folder, other)
    ]
    rows = [line.split(" | ")[:2] for line in to_markdown(evaluations).splitlines()[2:-4]]
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
    assert table[0]["parameters"] == "1234"
    assert table[0]["execution"] == "tile 512, overlap 64, numpy, float32, cpu"
    assert table[0]["data"] == evaluations[0].data == identity(find_pairs(folder))
    assert {row["niqe"] for row in table} == {""}
    content = json.loads(to_json(evaluations))
    assert content[0]["paper"]["psnr"] == "36.57"
    assert content[1]["paper"] is None
    assert content[2]["cost"]["parameters"] == two.engine.parameters


def test_notes_say_whose_tiles_are_whose(nothing: Derainer, pairs: Path) -> None:
    small = Derainer(Unchanged(), name="small", tile=64)
    line = to_markdown(
        [evaluate(model, find_pairs(pairs)) for model in (nothing, small)]
    ).splitlines()[-2]
    assert (
        "nothing: tile 512, overlap 64, numpy, float32, cpu;"
        " small: tile 64, overlap 16, numpy, float32, cpu" in line
    )


def test_papers_figures_under_a_protocol_not_asked_for_name_it(
    nothing: Derainer, pairs: Path, tmp_path: Path
) -> None:
    evaluation = evaluate(nothing, find_pairs(pairs.rename(tmp_path / "Rain100H")), ["rgb"])
    assert "| *30.38 / 0.8939 (y-pil)* |" in to_markdown([evaluation])


def test_niqe_in_every_table(
    nothing: Derainer, pairs: Path, tmp_path: Path, natural: NaturalModel
) -> None:
    (tmp_path / "photos").mkdir()
    photo = skimage.data.coffee()[:192, :192]
    write_image(tmp_path / "photos/1.png", photo)
    for name in ("rainy", "clean"):
        write_image(pairs / name / "2.png", photo)  # large enough for NIQE, as the first is not
    outcomes = [
        outcome
        for dataset in (find_pairs(pairs), find_photographs(tmp_path / "photos"))
        for outcome in evaluate_each(nothing, dataset, Scoring(["rgb"], natural))
    ]
    ignored = [outcome.path for outcome in outcomes if isinstance(outcome, Failure)]
    assert ignored == [pairs / "rainy/1.png"]
    evaluations = [outcome for outcome in outcomes if isinstance(outcome, Evaluation)]
    expected = niqe.niqe(photo, natural)
    lines = to_markdown(evaluations, per_picture=True).splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:6]] for line in lines]
    assert rows[0] == ["model", "dataset", "pictures", "rgb", "niqe"]
    assert rows[2][2:] == ["2", rows[5][3], f"{expected:.3f} (1 of 2)"]
    assert [row[4] for row in rows[3:6]] == ["", f"{expected:.3f}", f"{expected:.3f} (1 of 2)"]
    assert [row[1:] for row in rows[6:9]] == [
        ["photos", "1", "", f"{expected:.3f}"],
        ["photos/1", "", "", f"{expected:.3f}"],
        ["photos", "1", "", f"{expected:.3f}"],
    ]
    assert lines[-1] == f"NIQE, lower is better: {natural.describe()}."
    table = list(csv.DictReader(io.StringIO(to_csv(evaluations))))
    assert [row["protocol"] for row in table] == ["rgb", ""]
    assert [float(row["niqe"]) for row in table] == pytest.approx([expected, expected])
    assert [float(row["rainy_niqe"]) for row in table] == pytest.approx([expected, expected])
    assert table[1]["psnr"] == table[1]["rainy_ssim"] == ""
    assert {row["niqe_model"] for row in table} == {natural.describe()}
    content = json.loads(to_json(evaluations))
    assert content[1]["mean_niqe"] == pytest.approx({"rainy": expected, "output": expected})
    assert [picture["niqe"] is None for picture in content[0]["pictures"]] == [True, False]
    alone = to_markdown(evaluations[1:]).splitlines()
    assert alone[0].startswith("| model | dataset | pictures | niqe | parameters |")
    assert "PSNR" not in "".join(alone)


def test_pictures_that_could_not_be_scored_show(nothing: Derainer, pairs: Path) -> None:
    (pairs / "rainy/1.png").write_bytes(b"no picture")
    *_, evaluation = evaluate_each(nothing, find_pairs(pairs), Scoring(["rgb"]))
    assert isinstance(evaluation, Evaluation)
    rows = [line.split(" | ") for line in to_markdown([evaluation]).splitlines()[2:4]]
    assert [row[2] for row in rows] == ["1 of 2", "1 of 2"]
    (row,) = csv.DictReader(io.StringIO(to_csv([evaluation])))
    assert (row["pictures"], row["unscored"]) == ("1", "1")
    assert json.loads(to_json([evaluation]))[0]["unscored"] == ["1"]


@pytest.mark.parametrize(
    ("count", "cell"), [(2_058_878_976, "2.1 G"), (21_233_664, "21.2 M"), (None, "")]
)
def test_small_networks_cost_something_too(count: int | None, cell: str) -> None:
    cells = cost_cells(Cost(84, count, seconds_per_megapixel=0.5, peak_memory=None))
    assert cells == ["84", cell, "0.50", ""]
