"""Training: resumes to the bit, keeps the best, says what is wrong."""

import functools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import TINY, assert_same, copy_at, final

from derain import train as training
from derain.recipes import find_recipe
from derain.train import TrainingRun, loop, train
from derain.weights import loading, store


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("nledn", {}),
        # Stopped in the second of two epochs: what a plateau schedule has summed up is kept.
        ("nledn-rain100l-paper", {"batch": "1", "crop": "16", "steps": "6", "validate_every": "4"}),
        ("remaen", {}),
        # Its coarsest maps are a 32nd of the side, and normalisation needs more than one value.
        ("crdnet", {"crop": "64"}),
        ("dpenet", {}),
        ("petrichor-live", {}),
        ("remaen-rain100l-paper", {}),
    ],
)
def test_resumes_bit_exactly(name: str, settings: dict[str, str], run: TrainingRun) -> None:
    recipe = find_recipe(name, TINY | {"steps": "4", "validate_every": "2"} | settings)
    stopped = copy_at(recipe.validate_every, recipe, run)
    records = list(train(recipe, stopped, resume=True))
    assert [record["step"] for record in records] == [recipe.steps]
    assert_same(final(run), final(stopped))


def test_a_run_that_ran_out_of_minutes_resumes_bit_exactly(run: TrainingRun) -> None:
    recipe = find_recipe("petrichor-live", TINY)
    whole = replace(run, out=run.out / "whole")
    list(train(recipe, whole))
    hurried = replace(run, minutes=1e-9)
    assert [record["step"] for record in train(recipe, hurried)] == [1]
    assert [record["step"] for record in train(recipe, hurried, resume=True)] == [2]
    assert [record["step"] for record in train(recipe, run, resume=True)] == [3, 6]
    assert_same(final(whole), final(run))


def test_trains_in_bfloat16_and_says_so(run: TrainingRun) -> None:
    list(train(find_recipe("petrichor-live", TINY), replace(run, dtype=torch.bfloat16)))
    network, card = store.load(run.out / training.BEST)
    assert card.machine.endswith(", bfloat16")
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())


# The compiler looks at the gradients of tensors that it made.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.parametrize("name", ["nledn", "petrichor-live"])
def test_a_compiled_step_trains_the_same(
    name: str, run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The step is traced, and what was traced runs as it stands: no compiler is needed.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    recipe = find_recipe(name, TINY | {"steps": "3"})
    (compiled,) = train(recipe, replace(run, out=run.out / "compiled", compiled=True))
    (plain,) = train(recipe, run)
    # Weights differ more than the loss: Adam's first steps magnify rounding.
    assert compiled["loss"] == pytest.approx(plain["loss"], rel=0.01)
    assert compiled["validation"] == pytest.approx(plain["validation"], abs=0.1)
    assert (
        final(replace(run, out=run.out / "compiled"))["network"].keys()
        == final(run)["network"].keys()
    )


def test_log_best_and_card(run: TrainingRun) -> None:
    recipe = find_recipe("nledn", TINY)
    records = list(train(recipe, run))
    lines = [json.loads(line) for line in (run.out / training.LOG).read_text().splitlines()]
    assert lines == records
    assert [record["step"] for record in records] == [3, 6]
    assert set(records[0]["validation"]) == {"rain100l", "rain100h", "mean"}
    network, card = store.load(run.out / training.BEST)
    assert card.name == "nledn"
    assert json.loads(card.recipe)["crop"] == 16
    assert card.steps in (3, 6)
    best = max(record["validation"]["mean"] for record in records)
    scores = training.ValidationSet(recipe, run.validation).score(network, run.device)
    assert scores["mean"] == pytest.approx(best, abs=0.02)


def test_learns(run: TrainingRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    recipe = find_recipe(
        "nledn-rain100h", TINY | {"steps": "60", "validate_every": "60", "lr": "2e-3"}
    )
    losses = [record["loss"] for record in train(recipe, run)]
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])


def test_going_on_in_another_number_format_is_said(run: TrainingRun) -> None:
    recipe, notes = find_recipe("petrichor-live", TINY), list[str]()
    list(train(recipe, replace(run, minutes=1e-9), on_note=notes.append))
    list(train(recipe, replace(run, minutes=1e-9), resume=True, on_note=notes.append))
    assert not [note for note in notes if "resuming" in note]
    list(train(recipe, replace(run, dtype=torch.bfloat16), resume=True, on_note=notes.append))
    assert [note for note in notes if "resuming" in note] == [
        "resuming in bfloat16, after 2 steps in float32; --dtype float32 keeps that"
    ]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_made_ahead_on_a_gpu_are_those_of_their_steps(run: TrainingRun) -> None:
    batches = training.open_batches(find_recipe("petrichor", TINY), run.data)
    device = torch.device("cuda")
    kept: list[torch.Tensor] = []
    for made in loop.prefetch(batches, 0, 6, device):
        torch.cuda._sleep(100_000_000)  # pyright: ignore[reportPrivateUsage]
        # Queued only: nothing may be written over what it will read.
        kept.append(torch.stack([made.rainy, made.clean]))
    for step, found in enumerate(kept):
        there = batches.batch(step, device)
        assert torch.allclose(found, torch.stack([there.rainy, there.clean]), atol=1e-4)


def test_a_run_is_not_begun_over_another(run: TrainingRun) -> None:
    recipe = find_recipe("petrichor-live", TINY | {"steps": "3"})
    list(train(recipe, run))
    with pytest.raises(FileExistsError, match="use --resume to continue it"):
        next(train(recipe, run))
    with pytest.raises(ValueError, match=r"was begun with lr=0\.0015; give the same"):
        next(train(replace(recipe, lr=0.5), run, resume=True))
    assert len(list(train(replace(recipe, steps=6), run, resume=True))) == 1
    (run.out / training.CHECKPOINT).unlink()
    for resume in (False, True):
        with pytest.raises(FileExistsError, match="cannot be resumed; name another -o; --set init"):
            next(train(recipe, run, resume=resume))


def test_nothing_to_resume_and_no_pictures(run: TrainingRun, tmp_path: Path) -> None:
    recipe = find_recipe("nledn", TINY)
    with pytest.raises(FileNotFoundError, match="nothing to resume"):
        next(train(recipe, run, resume=True))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no pictures here"):
        next(train(recipe, replace(run, data=tmp_path / "empty")))


def test_a_classifier_trained_alone_leaves_the_rest_as_it_was_and_the_latest_is_kept(
    run: TrainingRun,
) -> None:
    recipe = find_recipe(
        "crdnet-density", TINY | {"batch": "1", "crop": "none", "steps": "4", "validate_every": "2"}
    )
    records = list(train(recipe, run))
    assert len({record["best"] for record in records if "best" in record}) == 1
    network, card = store.load(run.out / training.BEST)
    before, after = loading.find("crdnet")[0].state_dict(), network.state_dict()
    assert {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])} == {
        "classifier"
    }
    assert card.history[-1].steps == 4
