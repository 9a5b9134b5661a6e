"""The zoo's queue: what is taken next, that a stage goes on to the bit, what becomes of its
weights.
"""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import ship_weights
import still_camera
import torch
import train_zoo
import zoo_cards
from numpy.typing import NDArray
from train_zoo import Standing

from derain import weights
from derain.files import file_digest
from derain.images import write_image
from derain.recipes import ZOO
from derain.restore import Derainer
from derain.weights import Card
from derain.weights.catalogue import ShippedWeights

ROOT = Path(__file__).parents[2]


def standing(
    name: str, scores: dict[str, float], *, steps: int = 1000, begun: Path | None = None
) -> Standing:
    told = {f"validation {rain} y-matlab": f"{value:.2f}" for rain, value in scores.items()}
    return Standing(
        ZOO[name], name, Card(name, ZOO[name].planned.network, steps=steps, scores=told), begun
    )


GOOD = {"rain100l": 34.0, "rain100h": 27.0}
POOR = {"rain100l": 32.0, "rain100h": 24.0}


def test_what_is_not_at_its_end_comes_first() -> None:
    found = [
        standing("petrichor", POOR),
        Standing(ZOO["crdnet"]),
        standing("nledn", GOOD, begun=Path("stage-2")),
    ]
    assert train_zoo.choose(found).entry.recipe == "nledn"


def test_then_what_has_no_weights_in_the_order_of_the_zoo() -> None:
    found = [
        standing("petrichor", POOR),
        Standing(ZOO["crdnet"]),
        Standing(ZOO["dpenet"]),
        standing("nledn", GOOD),
    ]
    assert train_zoo.choose(found).entry.recipe == "crdnet"


def test_then_the_farthest_behind_on_its_own_rain_of_what_is_not_finished() -> None:
    found = [
        standing("petrichor", GOOD),
        standing("nledn", POOR),
        standing("dpenet-rain100h", {"rain100h": 26.0}),
    ]
    assert train_zoo.behind(found[1], found) == pytest.approx(2.5)
    assert train_zoo.behind(found[2], found) == pytest.approx(1.0)
    assert train_zoo.choose(found).entry.recipe == "nledn"
    done = replace(found[1], card=replace(found[1].card or Card("", ""), steps=100_000))
    assert train_zoo.choose([found[0], done, found[2]]).entry.recipe == "dpenet-rain100h"


def test_scores_older_than_the_validation_rain_are_none() -> None:
    found = [standing("petrichor", GOOD), standing("nledn", {"rain800": 30.0})]
    assert found[1].scores == {}
    assert train_zoo.choose(found).entry.recipe == "nledn"


@pytest.fixture
def clean(tmp_path: Path, photo: NDArray[np.uint8]) -> Path:
    halves = {"train": photo[:, :80], "val": photo[::-1, 80:]}
    for name, half in halves.items():
        (tmp_path / "clean" / name).mkdir(parents=True)
        write_image(tmp_path / "clean" / name / "1.png", np.ascontiguousarray(half))
    return tmp_path / "clean"


def queue(clean: Path, out: Path, *arguments: str) -> str:
    command = [
        sys.executable,
        "benchmarks/train_zoo.py",
        str(clean),
        "--out",
        str(out),
        "--device",
        "cpu",
        *arguments,
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_stage_is_begun_stopped_gone_on_with_and_ended(clean: Path, tmp_path: Path) -> None:
    out = tmp_path / "zoo"
    begun = queue(clean, out, "--entry", "petrichor-live", "--steps", "10", "--minutes", "0.0001")
    folder = out / "petrichor-live/stage-1"
    assert "petrichor-live: stage-1, 10 steps from petrichor-live" in begun
    assert "of this machine's convolution rate" in begun
    assert begun.endswith("stopped; the same goes on\n")
    assert "| this |" in next(
        line
        for line in queue(clean, out, "--list").splitlines()
        if line.startswith("| petrichor-live ")
    )
    ended = queue(clean, out, "--minutes", "5")
    assert "petrichor-live: stage-1, 10 steps" in ended
    assert "`ship_weights.py` puts it into the package" in ended
    card = weights.read_card(folder / "best.safetensors")
    assert card.history[:-1] == weights.find_card("petrichor-live").history
    seeds = [zoo_cards.recipe_of(stage).get("seed", 0) for stage in card.history]
    assert seeds[-1] > max(seeds[:-1]), "other crops and rain than the stages before"
    assert [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()][
        -1
    ] == 10


def test_a_stage_that_another_process_trains_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "crdnet/stage-3"
    folder.mkdir(parents=True)
    train_zoo.Plan(ZOO["crdnet"].stage("cpu", 50, "crdnet")).write(folder)
    assert [found.begun for found in train_zoo.standings(tmp_path) if found.begun] == [folder]
    with train_zoo.claim(folder):
        assert [found.begun for found in train_zoo.standings(tmp_path) if found.begun] == []
        with pytest.raises(BlockingIOError), train_zoo.claim(folder):
            pass


def test_a_stage_goes_on_as_it_was_begun_and_the_next_gets_a_folder_of_its_own(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "crdnet/stage-10"
    folder.mkdir(parents=True)
    recipe = replace(ZOO["crdnet"].stage("cpu", 50, "crdnet"), crop=96, lr=1e-5)
    train_zoo.Plan(recipe).write(folder)
    assert train_zoo.Plan.read(folder).recipe == recipe
    (tmp_path / "crdnet/stage-9").mkdir()
    assert train_zoo._next_folder(tmp_path / "crdnet").name == "stage-11"  # pyright: ignore[reportPrivateUsage]


def test_a_stage_begins_from_its_own_weights_or_from_better_ones_of_its_origin() -> None:
    general, heavy = standing("dpenet", GOOD), standing("dpenet-rain100h", {"rain100h": 26.0})
    assert train_zoo.beginning(heavy, [general, heavy]) == "dpenet"
    better = standing("dpenet-rain100h", {"rain100h": 27.5})
    assert train_zoo.beginning(better, [general, better]) == "dpenet-rain100h"
    assert train_zoo.beginning(general, [general, better]) == "dpenet"
    assert train_zoo.beginning(Standing(ZOO["remaen"]), [general]) == ""


def test_shipped_weights_are_rounded_scored_and_listed(
    clean: Path, yard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, card = weights.find("petrichor-live")
    weights.save(
        network, replace(card, failures="", scores={"old": "1"}), tmp_path / "best.safetensors"
    )
    table = tmp_path / "catalogue.json"
    rows = [
        ShippedWeights("petrichor", "ours", "0a"),
        ShippedWeights("petrichor-live", "the same, smaller", "77", bfloat16=True),
    ]
    table.write_text(json.dumps({"weights": [asdict(row) for row in rows], "retired": {}}))
    monkeypatch.setattr(ship_weights.catalogue, "TABLE", table)
    monkeypatch.setattr(ship_weights.catalogue, "FOLDER", tmp_path / "files")
    arguments = [
        str(tmp_path / "best.safetensors"),
        "petrichor-live",
        str(clean),
        "--failures",
        "snow stays",
    ]
    arguments += ["--still", str(yard)]
    monkeypatch.setattr(sys, "argv", ["ship_weights.py", *arguments])
    ship_weights.main()
    shipped = tmp_path / "files/petrichor-live.safetensors"
    assert shipped.stat().st_size < 0.6 * (tmp_path / "best.safetensors").stat().st_size
    rounded, told = weights.load(shipped)
    assert (told.name, told.failures, told.history) == (
        "petrichor-live",
        "snow stays",
        card.history,
    )
    gain = told.scores.pop("yard still-camera y-matlab gain")
    expected = still_camera.still_scores(
        still_camera.still_frames(yard), Derainer(rounded, device="cpu")
    ).gain
    assert gain == f"{expected:+.2f}"
    assert float(gain) > 0
    assert set(told.scores) == {
        f"validation {name} y-matlab" for name in ("rain100l", "rain100h", "mean")
    }
    with torch.inference_mode():
        assert torch.allclose(
            rounded(torch.full((1, 3, 16, 16), 0.5)),
            network(torch.full((1, 3, 16, 16), 0.5)),
            atol=2e-3,
        )
    listed = ship_weights.catalogue.read_rows(table)
    assert listed["petrichor-live"] == replace(rows[1], sha256=file_digest(shipped))
    assert listed["petrichor"] == rows[0]
    for name, message in (
        ("nledn", "expected weights of nledn, found petrichor-live"),
        ("petrichor-live-2", "no recipe"),
    ):
        with pytest.raises(ValueError, match=message):
            ship_weights.check(name, card)
    table.write_text('{"weights": [], "retired": {}}')
    with pytest.raises(ValueError, match="no row of petrichor-live; expected one"):
        ship_weights.check("petrichor-live", card)
