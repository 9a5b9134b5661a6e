"""Cards tell where weights come from."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_runs import TINY, TRUNK, final

from derain import __version__
from derain import train as training
from derain.data import TwoFolders
from derain.data.audit.check import check
from derain.recipes import find_recipe
from derain.train import TrainingRun, train
from derain.weights import loading, store


def test_the_card_knows_all_stages_and_their_curves(run: TrainingRun) -> None:
    first = find_recipe("nledn", TINY | {"rain": "rain100l"})
    list(train(first, run))
    begun = run.out / training.BEST
    second = replace(run, out=run.out / "second")
    list(train(find_recipe("nledn-rain100h", TINY | {"init": str(begun), "steps": "3"}), second))
    once, twice = (store.load(place / training.BEST)[1] for place in (run.out, second.out))
    assert twice.history[:-1] == once.history
    assert (twice.steps, twice.rain) == (once.steps + 3, "heavy")
    assert twice.hours == pytest.approx(sum(stage.hours for stage in twice.history), abs=1e-3)
    best = max(point.scores["mean"] for point in once.history[0].curve)
    assert once.history[0].curve[-1].scores["mean"] == best
    assert [point.step for point in once.history[0].curve] == [3, 6][: len(once.history[0].curve)]
    assert json.loads(twice.history[-1].recipe)["init"] == training.BEST


def test_what_came_before_is_told_by_the_checkpoint(run: TrainingRun) -> None:
    recipe = find_recipe("petrichor-live", TINY | {"init": "petrichor-live"})
    list(train(recipe, replace(run, minutes=1e-9)))
    content = final(run)
    content["before"] = json.dumps([{"steps": 77}])
    torch.save(content, run.out / training.CHECKPOINT)
    list(train(recipe, run, resume=True))
    history = store.load(run.out / training.BEST)[1].history
    assert (len(history), history[0].steps) == (2, 77)


def test_the_card_of_a_branch_tells_of_its_trunk(trunk: TrainingRun) -> None:
    recipe = training.branch_recipe(trunk.out, {})
    branch = replace(trunk, out=trunk.out / "branch")
    list(train(recipe, branch))
    card = store.load(branch.out / training.BEST)[1]
    stages = [json.loads(stage.recipe) for stage in card.history]
    assert [(stage["schedule"], stage["init"]) for stage in stages] == [
        ("trunk", ""),
        ("branch", training.CHECKPOINT),
    ]
    assert card.history[0].steps == 40
    assert [point.step for point in card.history[0].curve] == [20, 40]
    assert card.steps == 40 + card.history[1].steps


def test_weights_that_begin_from_a_checkpoint_tell_of_its_stages(run: TrainingRun) -> None:
    recipe = find_recipe("petrichor-live", TINY | {"init": "petrichor-live", "steps": "3"})
    list(train(recipe, run))
    checkpoint = run.out / training.CHECKPOINT
    second = replace(run, out=run.out / "second")
    list(train(replace(recipe, init=str(checkpoint)), second))
    before = loading.find("petrichor-live")[1].history
    history = store.load(second.out / training.BEST)[1].history
    assert history[: len(before)] == before
    assert [stage.steps for stage in history[len(before) :]] == [3, 3]
    content = final(run)
    content["before"] = "[" * 100_000
    torch.save(content, checkpoint)
    assert loading.find(str(checkpoint))[1].history == ()


def test_a_trunk_that_stopped_between_validations_tells_only_of_those_it_made(
    run: TrainingRun,
) -> None:
    recipe = find_recipe("petrichor-live", TRUNK)
    list(train(recipe, replace(run, minutes=1e-9)))
    branch = replace(run, out=run.out / "branch")
    list(train(training.branch_recipe(run.out, {}), branch))
    stages = store.load(branch.out / training.BEST)[1].history
    assert [(stage.steps, len(stage.curve)) for stage in stages] == [(1, 0), (1, 1)]


def test_a_card_names_no_path(run: TrainingRun, textures: Path, tmp_path: Path) -> None:
    trunk = find_recipe("petrichor-live", TRUNK | {"steps": "10", "textures": str(textures)})
    list(train(trunk, run))
    branch = replace(run, out=run.out / "branch")
    list(train(training.branch_recipe(run.out, {}), branch))
    further = find_recipe(
        "petrichor-live",
        TINY | {"init": str(branch.out / training.BEST), "textures": str(textures)},
    )
    list(train(further, replace(run, out=run.out / "further")))
    for folder in (run.out, branch.out, run.out / "further"):
        card = store.load(folder / training.BEST)[1].to_json()
        assert str(tmp_path) not in card
        assert "somewhere" not in card
        assert "streaks" in card


def test_a_card_names_a_licence_only_where_one_is_given(run: TrainingRun) -> None:
    recipe = find_recipe("petrichor-live", TINY | {"steps": "3"})
    list(train(recipe, run))
    assert store.load(run.out / training.BEST)[1].licence == ""
    licensed = replace(run, out=run.out / "licensed", licence="CC-BY-4.0")
    list(train(recipe, licensed))
    assert store.load(licensed.out / training.BEST)[1].licence == "CC-BY-4.0"


def test_a_card_names_the_version_and_the_digest_that_data_check_prints(
    run: TrainingRun, pairs: Path
) -> None:
    recipe = find_recipe("petrichor-live", TINY | {"steps": "3"})
    both = TwoFolders(pairs / "rainy", pairs / "clean")
    assert isinstance(run.data, Path)
    for place in (run.data, pairs, both):
        out = run.out / str(len(list(run.out.parent.rglob("*"))))
        list(train(recipe, replace(run, data=place, out=out)))
        card = store.load(out / training.BEST)[1]
        assert (card.version, card.digest) == (__version__, check(place).digest)
        assert f"data {card.digest}" in check(place).describe()
        assert (card.history[-1].version, card.history[-1].digest) == (__version__, card.digest)
        assert card.validation == "the middle 24x24 pixels of each picture"
        # It is kept with the run: resuming does not read all files again.
        list(train(replace(recipe, steps=6), replace(run, data=place, out=out), resume=True))
        assert store.load(out / training.BEST)[1].digest == card.digest
    assert check(pairs).digest == check(both).digest != check(run.data).digest
