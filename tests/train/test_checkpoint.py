"""Checkpoints: resumed to the bit, branched from, refused when damaged."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_runs import TINY, TRUNK, assert_same, copy_at, final

from derain import train as training
from derain import weights
from derain.networks import NETWORKS
from derain.recipes import find_recipe
from derain.train import TrainingRun, train
from derain.train.checkpoint import Checkpoint
from derain.weights import store


@pytest.mark.parametrize(
    "content", [{"recipe": 3}, {"recipe": {}}, {"recipe": {}, "numbers": {}}, [1]]
)
def test_a_checkpoint_of_something_else_is_refused_in_one_line(
    run: TrainingRun, content: object
) -> None:
    run.out.mkdir()
    torch.save(content, run.out / training.CHECKPOINT)
    with pytest.raises(
        ValueError, match=r"last\.pt: expected a checkpoint of derain train"
    ) as caught:
        list(train(find_recipe("nledn", TINY), run, resume=True))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"text", b"PK"])
def test_damaged_checkpoint(content: bytes, run: TrainingRun) -> None:
    run.out.mkdir()
    (run.out / training.CHECKPOINT).write_bytes(content)
    with pytest.raises(ValueError, match=r"last\.pt: expected a checkpoint of derain train"):
        next(train(find_recipe("nledn", TINY), run, resume=True))


def test_a_run_goes_on_though_the_weights_it_began_from_are_gone(run: TrainingRun) -> None:
    run.out.mkdir()
    begun = run.out / "begun.safetensors"
    network = NETWORKS["dpenet"](blocks=1)  # of a size that the recipe does not tell
    store.save(
        network,
        weights.Card(
            "small", "dpenet", network.hyperparameters, history=(weights.Stage(steps=77),)
        ),
        begun,
    )
    recipe = find_recipe("dpenet", TINY | {"init": str(begun)})
    list(train(recipe, replace(run, minutes=1e-9, out=run.out / "run")))
    begun.unlink()
    list(train(recipe, replace(run, out=run.out / "run"), resume=True))
    network, card = store.load(run.out / "run" / training.BEST)
    assert network.hyperparameters["blocks"] == 1
    assert card.history[0].steps == 77


def test_runs_begun_before_a_setting_was_there_go_on(run: TrainingRun) -> None:
    recipe = find_recipe("nledn", TINY)
    list(train(replace(recipe, steps=3), run))
    content = final(run)
    for setting in ("milestones", "decay", "lr_of"):
        del content["recipe"][setting]
    torch.save(content, run.out / training.CHECKPOINT)
    assert [record["step"] for record in train(recipe, run, resume=True)] == [6]


def test_a_trunk_resumes_bit_exactly(trunk: TrainingRun, trunk_halfway: TrainingRun) -> None:
    assert final(trunk_halfway)["numbers"]["step"] == 20
    list(train(find_recipe("petrichor-live", TRUNK), trunk_halfway, resume=True))
    assert_same(final(trunk), final(trunk_halfway))


def test_a_branch_resumes_bit_exactly_though_its_trunk_went_on(trunk: TrainingRun) -> None:
    recipe = training.branch_recipe(trunk.out, {"validate_every": "2"})
    whole = replace(trunk, out=trunk.out / "whole")
    stopped = copy_at(2, recipe, whole)
    list(train(find_recipe("petrichor-live", TRUNK | {"steps": "60"}), trunk, resume=True))
    kept, taken = training.checkpoint_recipe(stopped.out / training.CHECKPOINT)
    assert (kept, taken) == (recipe, 2)
    list(train(kept, stopped, resume=True))
    assert_same(final(whole), final(stopped))
    assert training.branch_recipe(trunk.out, {}).steps == 6  # one begun now would be longer


def test_a_branch_takes_a_tenth_of_the_steps_under_a_seed_of_its_own(trunk: TrainingRun) -> None:
    recipe = training.branch_recipe(trunk.out, {"min_lr": "1e-5"})
    checkpoint = trunk.out / training.CHECKPOINT
    lengths = (recipe.steps, recipe.validate_every, recipe.warmup)
    assert (recipe.schedule, *lengths) == ("branch", 4, 1, 0)
    assert (recipe.seed, recipe.min_lr, recipe.init) == (1, 1e-5, str(checkpoint))
    assert recipe == training.branch_recipe(checkpoint, {"min_lr": "1e-5"})


def test_what_is_no_trunk_gets_no_branch(run: TrainingRun) -> None:
    list(train(find_recipe("petrichor-live", TINY | {"steps": "3"}), run))
    checkpoint = run.out / training.CHECKPOINT
    with pytest.raises(
        ValueError, match=r"last\.pt: was trained with schedule=cosine; expected schedule=trunk"
    ):
        training.branch_recipe(run.out, {})
    by_hand = find_recipe("petrichor-live", TINY | {"schedule": "branch", "init": str(checkpoint)})
    with pytest.raises(
        ValueError, match=r"last\.pt: was trained with schedule=cosine; expected schedule=trunk"
    ):
        next(train(by_hand, replace(run, out=run.out / "branch")))
    with pytest.raises(
        FileNotFoundError, match="no such checkpoint; expected one that derain train wrote"
    ):
        training.branch_recipe(run.out / "nowhere", {})
    with pytest.raises(
        ValueError, match="schedule=branch: begins from a trunk's checkpoint; expected init too"
    ):
        find_recipe("petrichor-live", {"schedule": "branch"})


def test_textures_may_move_but_not_change_their_name(
    run: TrainingRun, textures: Path, tmp_path: Path
) -> None:
    recipe = find_recipe("petrichor-live", TINY | {"textures": str(textures)})
    list(train(recipe, replace(run, minutes=1e-9)))
    moved = textures.rename(tmp_path / "streaks")
    list(train(replace(recipe, textures=str(moved)), replace(run, minutes=1e-9), resume=True))
    other = moved.rename(tmp_path / "bars")
    with pytest.raises(ValueError, match="was begun with textures=streaks"):
        next(train(replace(recipe, textures=str(other)), run, resume=True))


def test_a_checkpoint_without_a_running_mean_fits_no_recipe_with_one(run: TrainingRun) -> None:
    trunk = find_recipe("petrichor-live", TRUNK | {"ema": "0"})
    list(train(trunk, replace(run, minutes=1e-9)))
    branch = training.branch_recipe(run.out, {"ema": "0.9"})
    with pytest.raises(ValueError, match=r"last\.pt: holds no running mean of weights; .* ema=0"):
        next(train(branch, replace(run, out=run.out / "branch")))


def test_a_checkpoint_is_written_whole_or_not_at_all(
    trunk: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint.read(trunk.out / training.CHECKPOINT, trunk.device)

    def full(draft: Path, data: bytes) -> None:
        with draft.open("wb") as file:
            file.write(data[:1000])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = {path.name: path.read_bytes() for path in trunk.out.iterdir() if path.is_file()}
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left") as raised:
        checkpoint.write(trunk.out / training.CHECKPOINT)
    assert raised.value.filename == str(trunk.out / training.CHECKPOINT)
    after = {path.name: path.read_bytes() for path in trunk.out.iterdir() if path.is_file()}
    assert after == before
