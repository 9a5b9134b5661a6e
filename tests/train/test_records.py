"""What a run writes for people changes nothing of what it trains."""

from dataclasses import replace
from typing import Any

import pytest
from tiny_runs import TINY, assert_same, final

from derain import train as training
from derain.recipes import find_recipe
from derain.train import TrainingRun, records, train
from derain.train.samples import Samples


def test_curve_and_samples_lie_in_the_folder_at_each_validation(run: TrainingRun) -> None:
    going = train(find_recipe("petrichor-live", TINY), run)
    next(going)
    wanted = {training.CURVE, *(training.SAMPLES.format(k) for k in (1, 2, 3))}
    assert wanted <= {path.name for path in run.out.iterdir()}
    first = (run.out / training.CURVE).read_text()
    assert "step 3 of 6" in first
    next(going)
    assert "step 6 of 6" in (run.out / training.CURVE).read_text()
    # No drafts are left.
    assert not [path.name for path in run.out.iterdir() if path.name.startswith(".")]


def test_they_do_not_change_what_is_trained(
    run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = find_recipe("petrichor-live", TINY)
    shown, blind = (replace(run, out=run.out / name) for name in ("shown", "blind"))
    list(train(recipe, shown))

    def nothing(*_: Any) -> None:
        pass

    monkeypatch.setattr(records.Recorder, "_show", nothing)
    list(train(recipe, blind))
    assert_same(final(shown), final(blind))
    assert not (blind.out / training.CURVE).exists()


def test_what_is_for_people_may_fail(run: TrainingRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "sample-1.png")

    monkeypatch.setattr(Samples, "write", full)
    notes: list[str] = []
    recipe = find_recipe("petrichor-live", TINY | {"rain": "light"})
    assert [record["step"] for record in train(recipe, run, on_note=notes.append)] == [3, 6]
    assert (
        notes.count("No space left on device: sample-1.png: no more curves and samples are written")
        == 1
    )
    assert final(run)["numbers"]["step"] == 6


def test_progress_is_reported_in_steps_or_in_seconds(run: TrainingRun) -> None:
    seen: list[tuple[str, int, int]] = []

    def progress(stage: str, done: int, total: int) -> None:
        if stage.startswith("training"):
            seen.append((stage, done, total))

    recipe = find_recipe("petrichor-live", TINY)
    list(train(recipe, run, progress=progress))
    assert seen == [("training", step, 6) for step in range(1, 7)]
    seen.clear()
    timed = replace(run, out=run.out / "timed", minutes=1.0)
    list(train(recipe, timed, progress=progress))
    assert {(stage, total) for stage, _, total in seen} == {("training, seconds", 60)}
