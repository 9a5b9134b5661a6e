"""The training loop: resumes to the bit, validates on seeded rain, keeps the best weights."""

import json
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import torch
from torch import Tensor, nn

from derain.progress import Progress, silent
from derain.recipes import Recipe
from derain.train.batches import Batch, BatchSource
from derain.train.cards import Provenance
from derain.train.checkpoint import CHECKPOINT
from derain.train.leaks import refuse_leaks
from derain.train.log import cut_log
from derain.train.run import BEST, LOG, TrainingRun
from derain.train.sources import ValidationSet, lacks_textures, open_batches, rain_of
from derain.train.state import State, begin, resumed
from derain.train.step import (
    TrainingStep,
    check_loss,
    prepare,
    set_training,
    settle_norms,
    take_step,
)
from derain.weights import store

LOG_EVERY = 50

AS_GOOD = 1e-3
"""Validations that differ by less, in dB, are equal, and the latest is kept."""


def train(
    recipe: Recipe,
    run: TrainingRun,
    *,
    resume: bool = False,
    progress: Progress = silent,
    on_note: Callable[[str], None] = lambda _: None,
) -> Generator[dict[str, Any], None, None]:
    """Train, and yield one record for each line of the log.

    The run's time limit may end it before its last step.

    Args:
        resume: Continue from the run's checkpoint, bit for bit as if it had never stopped.
        progress: Called while validation pictures are searched for among those to train on.
        on_note: Called with what the user should know, such as a change of the number format.

    Raises:
        FileExistsError: If the run's folder holds a checkpoint and ``resume`` is not set.
        FileNotFoundError: If there is nothing to resume, or no pictures.
        LeakError: If validation pictures are among the training pictures, and this is not allowed.
        ValueError: If the checkpoint is of another recipe, a picture cannot be read, or the weights
            to begin from do not fit.
        FloatingPointError: If the loss, or what the network gives, is not a finite number.
    """
    arrived = time.monotonic()
    batches, state, provenance = _prepare(
        recipe, run, resume=resume, progress=progress, on_note=on_note
    )
    validation = ValidationSet(recipe, run.validation, run.layout)
    module = _module(state, recipe, run)
    began = time.monotonic() - state.seconds
    with (run.out / LOG).open("a" if resume else "w") as log:
        for batch in prefetch(batches, state.step, recipe.steps, run.device):
            losses = take_step(module, state, recipe, batch, len(batches))
            state.seconds = time.monotonic() - began
            validates = state.step % recipe.validate_every == 0 or state.step == recipe.steps
            stops = run.minutes is not None and time.monotonic() - arrived >= 60 * run.minutes
            if not (validates or stops or state.step % LOG_EVERY == 0):
                continue
            record = _record(state, losses)
            if validates:
                record |= _validate(state, provenance, validation, batches)
                set_training(module, recipe)
            log.write(json.dumps(record) + "\n")
            log.flush()
            # After the log, which a resumed run cuts to where its checkpoint stands.
            if validates or stops:
                stage = provenance.stage(state, record.get("validation", {}))
                state.checkpoint(recipe, stage).write(run.out / CHECKPOINT)
            yield record
            if stops:
                return


def _prepare(
    recipe: Recipe,
    run: TrainingRun,
    *,
    resume: bool,
    progress: Progress,
    on_note: Callable[[str], None],
) -> tuple[BatchSource, State, Provenance]:
    """Return what a run trains on, holds and says about itself, with its folder ready.

    Whatever can be refused is refused here, the cheap checks first: the search for leaks may take
    minutes, and the validation set is decoded after it.
    """
    _check_place(run, resume=resume)
    batches = open_batches(recipe, run.data, run.layout)
    if resume:
        state = resumed(recipe, run.out / CHECKPOINT, run.device)
    else:
        state = begin(recipe, run.device)
    if lacks_textures(recipe, batches):
        on_note(
            f"{', '.join(recipe.rain)}: all rain is drawn; with --set textures=DIR some is cut from"
            " streak textures"
        )
    leak = refuse_leaks(run, progress)
    if leak:
        on_note(leak)
    if state.dtype not in ("", run.number_format):
        on_note(
            f"continues in {run.number_format}, was in {state.dtype} until step {state.step};"
            f" --dtype {state.dtype} keeps it"
        )
    state.dtype = run.number_format
    if resume:
        cut_log(run.out / LOG, state.step)
    return batches, state, Provenance(recipe, run, rain_of(recipe, batches), leak)


def _check_place(run: TrainingRun, *, resume: bool) -> None:
    """Refuse to begin over another run, and to resume where there is no checkpoint."""
    there = next((run.out / name for name in (CHECKPOINT, BEST) if (run.out / name).exists()), None)
    if there and not resume:
        raise FileExistsError(
            f"{there}: a run of this name is there; give --resume to go on with it, or another -o"
        )
    if resume and not (run.out / CHECKPOINT).exists():
        raise FileNotFoundError(
            f"{run.out / CHECKPOINT}: nothing to resume; leave out --resume to begin"
        )


def _module(state: State, recipe: Recipe, run: TrainingRun) -> nn.Module:
    """Return the module whose steps are taken, in training mode and compiled if the run says so."""
    prepare(run.device, recipe)
    module = TrainingStep(state.network, run.dtype)
    set_training(module, recipe)
    return cast("nn.Module", torch.compile(module)) if run.compiled else module


def _record(state: State, losses: dict[str, Tensor]) -> dict[str, Any]:
    """Return a line of the log.

    Raises:
        FloatingPointError: If the loss is not a finite number. On a GPU it is looked at here only.
    """
    check_loss(losses["loss"], state.step - 1)
    group = state.optimiser.param_groups[0]
    lr = group["lr"] / group["relative_lr"]
    values = {name: float(term) for name, term in losses.items()}
    return {"step": state.step, "lr": lr, **values, "seconds": round(state.seconds, 1)}


def _validate(
    state: State, provenance: Provenance, validation: ValidationSet, batches: BatchSource
) -> dict[str, Any]:
    """Return the validation's part of a record, and save the weights if they are the best."""
    run, recipe = provenance.run, provenance.recipe
    if state.averaged and not recipe.frozen_norms:
        settle_norms(state.averaged, batches, state.step, run.device)
    network = state.evaluated.eval()
    scores = validation.score(network, run.device)
    # Of equal ones the latest is kept: a part may be trained that no picture shows, such as the
    # density classifier alone.
    if scores["mean"] > state.best - AS_GOOD:
        state.best = max(state.best, scores["mean"])
        store.save(network, provenance.card(state, scores), run.out / BEST)
    return {"validation": scores, "best": state.best}


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
