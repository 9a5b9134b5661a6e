"""The zoo's queue: what is trained next, and how a stage is resumed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from derain import weights
from derain.weights import Card
from tools.zoo import train_zoo, zoo_cards
from tools.zoo.entries import ZOO, ZooEntry
from tools.zoo.train_zoo import Standing

SPECIALISED = ZooEntry("dpenet-rain100h", origin="dpenet")
"""An entry for one kind of rain, such as the zoo may hold again."""


def standing(
    name: str, scores: dict[str, float], *, steps: int = 1000, begun: Path | None = None
) -> Standing:
    scores_by_key = {
        f"validation {rain} y-matlab": f"{value:.2f}" for rain, value in scores.items()
    }
    entry = ZOO.get(name, SPECIALISED)
    card = Card(name, entry.planned.network, steps=steps, scores=scores_by_key)
    return Standing(entry, name, card, begun)


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
def queue(
    train_and_val: Path,
    tmp_path: Path,
    one_thread: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., str]:
    """Run the queue in this process, and return what it prints."""
    monkeypatch.setattr(train_zoo, "TIMED_STEPS", 2)
    places = [str(train_and_val), "--out", str(tmp_path / "zoo")]

    def run(*arguments: str) -> str:
        options = ["--device", "cpu", *arguments]
        monkeypatch.setattr("sys.argv", ["train_zoo.py", *places, *options])
        train_zoo.main()
        return capsys.readouterr().out

    return run


def test_a_stage_is_begun_stopped_resumed_and_ended(
    queue: Callable[..., str], tmp_path: Path
) -> None:
    begun = queue("--entry", "petrichor-live", "--steps", "10", "--minutes", "0.0001")
    folder = tmp_path / "zoo/petrichor-live/stage-1"
    assert "petrichor-live: stage-1, 10 steps from petrichor-live" in begun
    assert "of this machine's convolution rate" in begun
    assert begun.endswith("stopped; the same command resumes it\n")
    rows = [line for line in queue("--list").splitlines() if line.startswith("| petrichor-live ")]
    assert "| this |" in rows[0]
    ended = queue("--minutes", "5")
    assert "petrichor-live: stage-1, 10 steps" in ended
    assert "`tools.zoo.ship_weights` puts it into the package" in ended
    card = weights.read_card(folder / "best.safetensors")
    assert card.history[:-1] == weights.find_card("petrichor-live").history
    seeds = [zoo_cards.recipe_of(stage).get("seed", 0) for stage in card.history]
    assert seeds[-1] > max(seeds[:-1]), "other crops and rain than the stages before"
    steps = [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]
    assert steps[-1] == 10


def test_a_stage_that_another_process_trains_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "crdnet/stage-3"
    folder.mkdir(parents=True)
    train_zoo.StagePlan(ZOO["crdnet"].stage("cpu", 50, "crdnet")).write(folder)
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
    train_zoo.StagePlan(recipe).write(folder)
    assert train_zoo.StagePlan.read(folder).recipe == recipe
    (tmp_path / "crdnet/stage-9").mkdir()
    assert train_zoo._next_folder(tmp_path / "crdnet").name == "stage-11"  # pyright: ignore[reportPrivateUsage]


def test_a_stage_begins_from_its_own_weights_or_from_better_ones_of_its_origin() -> None:
    general, heavy = standing("dpenet", GOOD), standing("dpenet-rain100h", {"rain100h": 26.0})
    assert train_zoo.beginning(heavy, [general, heavy]) == "dpenet"
    better = standing("dpenet-rain100h", {"rain100h": 27.5})
    assert train_zoo.beginning(better, [general, better]) == "dpenet-rain100h"
    assert train_zoo.beginning(general, [general, better]) == "dpenet"
    assert train_zoo.beginning(Standing(ZOO["remaen"]), [general]) == ""
