"""The log of a run, whole and damaged."""

import json
from dataclasses import replace

from tiny_runs import TINY

from derain import train as training
from derain.recipes import find_recipe
from derain.train import TrainingRun, train


def test_a_run_that_never_validated_begins_anew(run: TrainingRun) -> None:
    run.out.mkdir()
    (run.out / training.LOG).write_text('{"step": 1}\n')
    records = list(train(find_recipe("nledn", TINY | {"steps": "3"}), run))
    assert [
        json.loads(line)["step"] for line in (run.out / training.LOG).read_text().splitlines()
    ] == [records[-1]["step"]]


def test_a_half_written_log_does_not_keep_from_resuming(run: TrainingRun) -> None:
    recipe = find_recipe("nledn", TINY | {"steps": "3"})
    list(train(recipe, run))
    with (run.out / training.LOG).open("a") as log:
        log.write('[]\n{"step": 4, "lo')
    list(train(replace(recipe, steps=6), run, resume=True))
    assert [
        json.loads(line)["step"] for line in (run.out / training.LOG).read_text().splitlines()
    ] == [3, 6]
