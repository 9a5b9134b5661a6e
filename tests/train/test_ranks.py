"""Several processes train as one would."""

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from ranked_runs import train_in
from tiny_runs import TINY, final

from derain import train as training
from derain.errors import SettingError, UsageError
from derain.recipes import Recipe, find_recipe
from derain.train import ALONE, Ranks, TrainingRun, loop, open_batches, state, train
from derain.train.log import read_log

DYING = """
import os, signal, sys
from derain.train import loop
from derain.cli import main

takes = loop.take_step

def take_step(module, state, *others):
    if (os.environ["RANK"], os.environ["TORCHELASTIC_RESTART_COUNT"], state.step) == ("1", "0", 5):
        os.kill(os.getpid(), signal.SIGKILL)
    return takes(module, state, *others)

loop.take_step = take_step
main()
"""
"""The command, of which the second process is killed before its sixth step, once."""


@pytest.fixture(autouse=True)
def logs_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LOG_EVERY", 5)


def curve(run: TrainingRun) -> list[dict[str, Any]]:
    return [
        {"step": line["step"], "loss": line["loss"], **line.get("validation", {})}
        for line in read_log(run.out / training.LOG)
    ]


def assert_both_train_alike(recipe: Recipe, run: TrainingRun) -> None:
    """Assert that two processes give the loss curve, and the files, of one."""
    both = replace(run, out=run.out.with_name("both"))
    assert train_in(2, recipe, both) == ["", ""]
    list(train(recipe, run))
    assert [line["step"] for line in curve(run)] == list(range(5, recipe.steps + 1, 5))
    for alone, together in zip(curve(run), curve(both), strict=True):
        assert together == pytest.approx(alone, rel=1e-3)
    files = {path.name for path in run.out.iterdir()}
    assert {path.name for path in both.out.iterdir()} == files


def test_two_processes_give_the_loss_curve_of_one(run: TrainingRun) -> None:
    settings = {"steps": "50", "validate_every": "25", "clip": "0.1"}
    assert_both_train_alike(find_recipe("petrichor-live", TINY | settings), run)


def test_what_gets_no_gradient_stays_as_it_was(run: TrainingRun) -> None:
    # With one recurrence no part of the loss depends on the state's convolutions.
    recipe = find_recipe("remaen", TINY | {"steps": "5", "validate_every": "5"})
    recipe = replace(recipe, hyperparameters={"recurrences": 1}, weight_decay=0.1)
    assert_both_train_alike(recipe, run)
    begun = state.begin(recipe, run.device).network.state_dict()
    trained = final(replace(run, out=run.out.with_name("both")))["network"]
    kept = {key for key, value in begun.items() if torch.equal(value, trained[key])}
    idle = {key for key in begun if ".of_state." in key or ".of_reset_state." in key}
    assert idle
    assert kept == idle


def test_a_run_is_resumed_by_another_number_of_processes(run: TrainingRun) -> None:
    # The rate of a trunk does not depend on the number of steps.
    trunk = find_recipe("petrichor-live", TINY | {"schedule": "trunk", "validate_every": "5"})
    first, second, third = (replace(trunk, steps=steps) for steps in (10, 20, 30))
    whole = replace(run, out=run.out.with_name("whole"))
    list(train(third, whole))
    list(train(first, run))
    assert train_in(2, second, run, resume=True) == ["", ""]
    list(train(third, run, resume=True))
    for unbroken, resumed in zip(curve(whole), curve(run), strict=True):
        assert resumed == pytest.approx(unbroken, rel=1e-3)


def test_the_process_that_fails_first_says_why(run: TrainingRun) -> None:
    recipe = find_recipe("petrichor-live", TINY | {"steps": "20"})
    assert train_in(2, recipe, run, broken=1) == ["silent", "ValueError: this one is broken"]


def test_a_killed_process_is_replaced_and_the_run_continues(run: TrainingRun) -> None:
    script = run.out.parent / "dying.py"
    script.write_text(DYING)
    settings = TINY | {"steps": "9"}
    result = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", "--max-restarts", "1", script),
            *("train", "petrichor-live", "--data", run.data.parent, "-o", run.out),  # pyright: ignore
            *("--allow-leak", "--device", "cpu", "--dtype", "float32"),
            *(word for pair in settings.items() for word in ("--set", "=".join(pair))),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "another process of this run ended" in errors[0]
    assert result.stdout.splitlines() == [str(run.out / training.BEST)]
    steps = [line for line in result.stderr.splitlines() if line.startswith("step ")]
    assert [line.split()[1] for line in steps] == ["3", "6", "9"]


def test_processes_make_the_parts_of_one_batch(run: TrainingRun) -> None:
    recipe = find_recipe("petrichor-live", TINY | {"batch": "6", "compressed": "0.5"})
    whole = open_batches(recipe, run.data).batch(3, run.device)
    parts = [
        open_batches(recipe, run.data, ranks=Ranks(rank, 3)).batch(3, run.device)
        for rank in range(3)
    ]
    assert torch.equal(torch.cat([part.clean for part in parts]), whole.clean)
    assert torch.allclose(torch.cat([part.rainy for part in parts]), whole.rainy, atol=1e-5)


def test_a_batch_that_cannot_be_divided_is_refused(run: TrainingRun) -> None:
    assert [list(Ranks(rank, 2).share(6)) for rank in range(2)] == [[0, 1, 2], [3, 4, 5]]
    assert list(ALONE.share(3)) == [0, 1, 2]
    recipe = find_recipe("petrichor-live", TINY | {"batch": "3"})
    with pytest.raises(SettingError, match="batch=3: cannot be divided over 2 processes; expected"):
        next(train(recipe, run, ranks=Ranks(0, 2)))
    assert not run.out.exists()


def test_each_process_has_a_device_of_its_own() -> None:
    assert ALONE.own_device("cuda:1") == "cuda:1"
    assert Ranks(3, 4, 1).own_device("cuda") == "cuda:1"
    assert Ranks(3, 4, 1).own_device("cpu") == "cpu"
    with pytest.raises(UsageError, match="device=cuda:1: names one device for 4 processes"):
        Ranks(3, 4, 1).own_device("cuda:1")


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")  # of something else: the rest is missing
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with training.joined_ranks() as ranks:
        assert ranks is ALONE
