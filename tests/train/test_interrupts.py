"""An interrupted run loses no step."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from commands import status_of
from tiny_runs import TINY, assert_same, final

from derain import train as training
from derain.recipes import find_recipe
from derain.train import TrainingRun, loop, train

RECIPE = find_recipe("petrichor-live", TINY)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[Callable[[], list[Any]]]:
    """What signals are handled by, which the command changes."""

    def present() -> list[Any]:
        return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    before = present()
    yield present
    for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
        signal.signal(number, handler)


def interrupt_after(
    monkeypatch: pytest.MonkeyPatch, step: int, number: int, times: int = 1
) -> None:
    """Let a signal arrive while a step is taken."""
    takes = loop.take_step

    def take_step(module: Any, state: Any, *others: Any) -> Any:
        losses = takes(module, state, *others)
        if state.step == step:
            for _ in range(times):
                os.kill(os.getpid(), number)
        return losses

    monkeypatch.setattr(loop, "take_step", take_step)


def begin(run: TrainingRun) -> int:
    return command(run, *(word for pair in TINY.items() for word in ("--set", "=".join(pair))))


def command(run: TrainingRun, *more: str) -> int:
    places = ("--data", str(run.data.parent), "-o", str(run.out))  # pyright: ignore
    plain = ("--allow-leak", "--device", "cpu", "--dtype", "float32")
    return status_of("train", "petrichor-live", *places, *plain, *more)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_every_step(
    number: int,
    run: TrainingRun,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    handlers: Callable[[], list[Any]],
) -> None:
    whole = replace(run, out=run.out.with_name("whole"))
    list(train(RECIPE, whole))
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2, number)
        assert begin(run) == 130
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == "stopped at step 2 of 6; --resume continues"
    assert said.out == ""
    assert final(run)["numbers"]["step"] == 2
    assert handlers()[0] is signal.default_int_handler
    assert command(run, "--resume") == 0
    assert capsys.readouterr().out == f"{run.out / training.BEST}\n"
    assert_same(final(whole), final(run))


def test_other_settings_than_a_run_was_begun_with_are_refused_or_said(
    run: TrainingRun, capsys: pytest.CaptureFixture[str]
) -> None:
    assert begin(run) == 0
    assert "the plan changed" not in capsys.readouterr().err
    assert command(run, "--resume") == 0
    done = capsys.readouterr()
    assert "6 of 6 steps are done; --set steps=N trains longer" in done.err.splitlines()
    assert done.out == f"{run.out / training.BEST}\n"
    assert command(run, "--resume", "--set", "lr=0.5") == 1
    assert "last.pt: was begun with lr=0.0015; give the same" in capsys.readouterr().err
    assert command(run, "--resume", "--set", "steps=7") == 0
    said = capsys.readouterr().err.splitlines()
    assert "the plan changed from 6 to 7 steps, after 6" in said
    assert not [line for line in said if line.startswith("warning: the plan")]
    assert final(run)["numbers"]["step"] == 7


def test_a_second_interrupt_ends_a_run_at_once(
    run: TrainingRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt_after(monkeypatch, 2, signal.SIGINT, times=2)
    assert begin(run) == 130
    assert "interrupted: step 0 of 6 was reported last" in capsys.readouterr().err
    assert not (run.out / training.CHECKPOINT).exists()


def test_an_interrupt_before_the_steps_ends_a_run_at_once(
    run: TrainingRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse_leaks(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("went on")

    monkeypatch.setattr(loop, "refuse_leaks", refuse_leaks)
    assert begin(run) == 130
    assert "interrupted: step 0 of 6" in capsys.readouterr().err
    assert not (run.out / training.CHECKPOINT).exists()


def test_an_interrupt_in_the_last_step_changes_nothing(
    run: TrainingRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt_after(monkeypatch, 6, signal.SIGINT)
    assert begin(run) == 0
    assert capsys.readouterr().out == f"{run.out / training.BEST}\n"


def test_a_caller_ends_a_run_where_it_wants(run: TrainingRun) -> None:
    left = iter([False, True])
    records = list(train(RECIPE, run, stop=lambda: next(left)))
    assert [record["step"] for record in records] == [2]
    assert final(run)["numbers"]["step"] == 2
