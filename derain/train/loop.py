"""The training loop: resumes to the bit, validates on seeded rain, keeps the best weights."""

import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from derain.files import write_file
from derain.progress import Progress, silent
from derain.recipes import Recipe
from derain.train.batches import Batch, BatchSource
from derain.train.cards import Provenance
from derain.train.checkpoint import CHECKPOINT
from derain.train.leaks import Checked, check_same_pictures, refuse_leaks
from derain.train.log import cut_log, describe_scores
from derain.train.notes import notes_on
from derain.train.place import check_place, check_space
from derain.train.ranks import ALONE, Ranks
from derain.train.records import Recorder
from derain.train.run import LOG, TrainingRun
from derain.train.sources import (
    Source,
    ValidationSet,
    find_source,
    open_batches,
    rain_of,
    refuse_unused,
    validated_part,
)
from derain.train.state import State, begin, resumed
from derain.train.step import (
    TrainingStep,
    prepare,
    set_training,
    take_step,
)

LOG_EVERY = 50

Say = Callable[[str], None]


def train(
    recipe: Recipe,
    run: TrainingRun,
    *,
    resume: bool = False,
    ranks: Ranks = ALONE,
    progress: Progress = silent,
    stop: Callable[[], bool] = lambda: False,
    on_note: Say = lambda _: None,
    on_start: Say = lambda _: None,
) -> Generator[dict[str, Any], None, None]:
    """Train to the last step or the time limit, and yield a record for each line of the log.

    Args:
        recipe: What to train, and how. To resume a run, give its own, as `plan_run` returns it.
        run: Data, folder and device of the run.
        resume: Continue from the run's checkpoint, bit for bit as if it had never stopped.
        ranks: The processes of the run, which share every batch and validation. Each calls this
            function, and the first writes. Their number may change between checkpoints.
        progress: Receives the stages "pairs" and "copies" (the search for what is refused) and
            "training" (steps, or seconds if they are limited).
        stop: Asked after each step of a run in one process; True ends it, as its time limit does.
        on_note: Called with what the user should know, such as a change of the number format.
        on_start: Called before the work with what the folders were taken for, a line each.

    Raises:
        FileExistsError: If the run's folder holds a checkpoint and ``resume`` is not set.
        FileNotFoundError: If there is nothing to resume, or no pictures.
        OSError: If the run's folder cannot be written into.
        LeakError: If validation pictures are among the training pictures, and this is not allowed.
        ValueError: If checkpoint or weights do not fit the recipe, or pictures cannot be used.
        FloatingPointError: If the loss or the network's result is NaN or infinity.
        RankLostError: If another process of the run ended.
        RunStoppedError: If the disk is full, before the work or while it lasts.
    """
    ending = _Ending(run, ranks, stop)
    said = _Said(on_note, on_start)
    prepared = _prepare(recipe, run, resume=resume, ranks=ranks, progress=progress, say=said)
    batches, state = prepared.batches, prepared.state
    validation = ValidationSet(recipe, prepared.validation)
    _say_scores(recipe, run, state, validation, ranks, said.start)
    module = _module(state, recipe, run)
    began = time.monotonic() - state.seconds
    recorder = Recorder(recipe, prepared.provenance, validation, batches, state, on_note, ranks)
    with closing(recorder):
        for batch in prefetch(batches, state.step, recipe.steps, run.device):
            losses = take_step(module, state, recipe, batch, len(batches), ranks)
            state.seconds = time.monotonic() - began
            _report(progress, state.step, recipe, ending.elapsed, run.minutes)
            validates = state.step % recipe.validate_every == 0 or state.step == recipe.steps
            stops = ending.is_here()
            if not (validates or stops or state.step % LOG_EVERY == 0):
                continue
            record = recorder.record(losses, validates=validates, saves=validates or stops)
            if validates:
                set_training(module, recipe)
            yield record
            if stops:
                return


class _Ending:
    """Where a run ends before its last step: at its time limit, or where it is asked to."""

    def __init__(self, run: TrainingRun, ranks: Ranks, stop: Callable[[], bool]) -> None:
        self._minutes, self._ranks, self._stop = run.minutes, ranks, stop
        self._arrived = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the run arrived."""
        return time.monotonic() - self._arrived

    def is_here(self) -> bool:
        """Return whether the step just taken is the last."""
        if self._ranks.count == 1 and self._stop():
            return True
        # Clocks differ, and all processes have to stop at one step.
        return self._minutes is not None and self._ranks.of_first(
            self.elapsed >= 60 * self._minutes
        )


def _say_scores(
    recipe: Recipe,
    run: TrainingRun,
    state: State,
    validation: ValidationSet,
    ranks: Ranks,
    say: Say,
) -> None:
    """Say what the weights score that a run begins from."""
    if recipe.init and state.step == 0:
        scores = validation.score(state.evaluated.eval(), run.device, ranks=ranks)
        say(f"before training, {Path(recipe.init).name} has {describe_scores(scores)}")


def _report(
    progress: Progress, step: int, recipe: Recipe, elapsed: float, minutes: float | None
) -> None:
    """Say how far the run has come: by the clock if that ends it."""
    if minutes is None:
        progress("training", step, recipe.steps)
    else:
        progress("training, seconds", min(round(elapsed), round(60 * minutes)), round(60 * minutes))


@dataclass(frozen=True)
class _Said:
    """Where what a user should know goes: notes, and what the folders were taken for."""

    note: Say
    start: Say


@dataclass(frozen=True)
class _Prepared:
    """What a run trains on, validates on, holds, and says about itself."""

    batches: BatchSource
    validation: Source
    state: State
    provenance: Provenance


def _prepare(
    recipe: Recipe,
    run: TrainingRun,
    *,
    resume: bool,
    ranks: Ranks,
    progress: Progress,
    say: _Said,
) -> _Prepared:
    """Return what a run needs, with its folder ready.

    Whatever can be refused is refused here, the cheap checks first: the search for leaks may take
    minutes, and the validation set is decoded after it.
    """
    ranks.share(recipe.batch)  # refuses a batch that cannot be divided
    if ranks.writes:
        check_place(run, resume=resume)
    training, validation = (find_source(each, run.layout) for each in (run.data, run.validation))
    refuse_unused(recipe, training)
    say.start(f"training on {training.describe(recipe.rain)}")
    rain = recipe.validation_rain or recipe.rain
    say.start(f"validating on {validation.describe(rain)}; {validated_part(recipe)}")
    batches = open_batches(recipe, training, ranks=ranks)
    state = _state(recipe, run, ranks, resume=resume)
    _say_plan(recipe, state, say.start)
    for note in notes_on(recipe, batches, state, ranks, sources=(training, validation)):
        say.note(note)
    looks = ranks.writes
    checked = refuse_leaks(run, training, validation, progress) if looks else Checked()
    checked = ranks.of_first(checked)
    if checked.note:
        say.note(checked.note)
    check_same_pictures(state, checked, run.out / CHECKPOINT)
    state.digest, state.validation = checked.digest, checked.validation
    state.licence = run.licence or state.licence
    if state.dtype not in ("", run.number_format):
        say.note(
            f"resuming in {run.number_format}, after {state.step} steps in {state.dtype};"
            f" --dtype {state.dtype} keeps that"
        )
    state.dtype = run.number_format
    if ranks.writes and resume:
        cut_log(run.out / LOG, state.step)
    elif ranks.writes:
        write_file(run.out / LOG, b"")
    licensed = replace(run, licence=state.licence)
    provenance = Provenance(recipe, licensed, rain_of(recipe, batches), checked)
    return _Prepared(batches, validation, state, provenance)


def _say_plan(recipe: Recipe, state: State, say: Say) -> None:
    """Say how many steps a run that is resumed takes now, if it was to take others or none is left.

    The rate follows from the number of steps, so that another number trains otherwise.
    """
    if state.planned not in (0, recipe.steps):
        say(f"the plan changed from {state.planned} to {recipe.steps} steps, after {state.step}")
    if state.step >= recipe.steps:
        say(f"{state.step} of {recipe.steps} steps are done; --set steps=N trains longer")


def _state(recipe: Recipe, run: TrainingRun, ranks: Ranks, *, resume: bool) -> State:
    """Return the state that a run begins from, the same in all processes."""
    if resume:
        state = resumed(recipe, run.out / CHECKPOINT, run.device)
    else:
        state = begin(recipe, run.device)
    if ranks.writes:
        check_space(run, recipe, state, resume=resume)
    # Processors of different kinds may draw, or compute, other weights from one seed.
    for network in (state.network, state.averaged):
        if isinstance(network, nn.Module):
            ranks.copy_first(network.state_dict().values())
    return state


def _module(state: State, recipe: Recipe, run: TrainingRun) -> nn.Module:
    """Return the module whose steps are taken, in training mode and compiled if the run says so."""
    prepare(run.device, recipe)
    module = TrainingStep(state.network, run.dtype, recipe.loss)
    set_training(module, recipe)
    return cast("nn.Module", torch.compile(module)) if run.compiled else module


def prefetch(batches: BatchSource, start: int, stop: int, device: torch.device) -> Iterator[Batch]:
    """Yield the batches of steps; on a GPU each is made while the one before is trained on.

    On a CPU a second thread would only take cores from the first. On CUDA the thread has a stream
    of its own, so that it waits for its own work, copies above all, and not for the step that is
    being trained.
    """
    if device.type == "cpu" or start == stop:
        yield from (batches.batch(step, device) for step in range(start, stop))
        return
    aside = torch.cuda.Stream(device) if device.type == "cuda" else None

    def make(step: int) -> Batch:
        with torch.cuda.stream(aside):
            batch = batches.batch(step, device)
            if aside:
                aside.synchronize()
        return batch

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(make, start)
        for step in range(start, stop):
            batch = ahead.result()
            if step + 1 < stop:
                ahead = pool.submit(make, step + 1)
            if aside:
                # Memory of this batch must not go to the next one before the step has read it.
                for half in (batch.rainy, batch.clean):
                    half.record_stream(torch.cuda.current_stream(device))
            yield batch
