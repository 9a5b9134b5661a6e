"""The training loop: resumes to the bit, validates on seeded rain, keeps the best."""

import json
import math
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from derain import weights
from derain.data.audit.check import OnProgress, no_progress
from derain.machine import keep_freed_memory
from derain.networks import Network
from derain.recipes import Recipe
from derain.train.batches import Batch, BatchSource
from derain.train.leaks import checked
from derain.train.sources import ValidationSet, lacks_textures, open_batches, rain_of
from derain.train.state import (
    BEST,
    CHECKPOINT,
    LOG,
    Run,
    State,
    begin,
    card_of,
    cut_log,
    resumed,
    save_checkpoint,
    stage_of,
)

LOG_EVERY = 50
NORM_BATCHES = 50
"""How many batches the statistics of averaged weights are measured on."""

AS_GOOD = 1e-3
"""Validations that differ by less, in dB, are equal, and the latest is kept."""

PLATEAU_FACTOR = 0.9
"""NLEDN, section 4.2."""


class TrainingStep(nn.Module):
    """The thin module that is trained: a network and its summed loss, behind ``forward``, where
    DistributedDataParallel looks.

    Args:
        dtype: Number format of convolutions and products; the terms of the loss are float32.
    """

    def __init__(self, network: Network, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        assert isinstance(network, nn.Module)
        self.network = network
        self.dtype = dtype

    def forward(self, rainy: Tensor, clean: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.autocast(rainy.device.type, self.dtype, enabled=self.dtype != torch.float32):
            terms = {name: term.float() for name, term in self.network.loss(rainy, clean).items()}
        return torch.stack(list(terms.values())).sum(), {
            name: term.detach() for name, term in terms.items()
        }


def train(
    recipe: Recipe,
    run: Run,
    *,
    resume: bool = False,
    on_progress: OnProgress = no_progress,
    on_note: Callable[[str], None] = lambda _: None,
) -> Generator[dict[str, Any], None, None]:
    """Trains, and yields one record for each line of the log; the run's minutes may end it before
    its last step.

    Args:
        resume: Go on from the run's checkpoint, bit for bit as if it had never stopped.
        on_progress: Called while validation pictures are looked for among those to train on.
        on_note: Called with what the user should know, such as that the run goes on in another
            number format.

    Raises:
        FileExistsError: If the run's folder holds a checkpoint and ``resume`` is not asked for.
        FileNotFoundError: If there is nothing to resume, or no pictures.
        LeakError: If validation pictures are among the training pictures, and this is not allowed.
        ValueError: If the checkpoint is of another recipe, a picture cannot be read, or the weights
            to begin from do not fit.
        FloatingPointError: If the loss, or what the network gives, is no number.
    """
    arrived = time.monotonic()
    checkpoint = run.out / CHECKPOINT
    _check_place(run, resume=resume)
    batches = open_batches(recipe, run.data, run.layout)
    validation = ValidationSet(recipe, run.validation, run.layout)
    state = resumed(recipe, checkpoint, run.device) if resume else begin(recipe, run.device)
    state.rain = rain_of(recipe, batches)
    if lacks_textures(recipe, batches):
        on_note(
            f"{', '.join(recipe.rain)}: all rain is drawn; with --set textures=DIR some is cut from"
            " streak textures"
        )
    run = checked(run, on_progress)
    if run.note:
        on_note(run.note)
    if state.dtype not in ("", run.number_format):
        on_note(
            f"goes on in {run.number_format}, was in {state.dtype} until step {state.step}; --dtype"
            f" {state.dtype} keeps it"
        )
    state.dtype = run.number_format
    if resume:
        cut_log(run.out / LOG, state.step)
    prepare(run.device, recipe)
    module: nn.Module = TrainingStep(state.network, run.dtype)
    set_training(module, recipe)
    if run.compiled:
        module = cast("nn.Module", torch.compile(module))
    began = time.monotonic() - state.seconds
    with (run.out / LOG).open("a" if resume else "w") as log:
        for batch in prefetch(batches, state.step, recipe.steps, run.device):
            losses = _step(module, state, recipe, batch, len(batches))
            state.seconds = time.monotonic() - began
            validates = state.step % recipe.validate_every == 0 or state.step == recipe.steps
            stops = run.minutes is not None and time.monotonic() - arrived >= 60 * run.minutes
            if not (validates or stops or state.step % LOG_EVERY == 0):
                continue
            record = _record(state, losses)
            if validates:
                if state.averaged and not recipe.frozen_norms:
                    _settle_norms(state.averaged, batches, state.step, run.device)
                record |= _validate(state, recipe, run, validation)
                set_training(module, recipe)
            log.write(json.dumps(record) + "\n")
            log.flush()
            if validates or stops:  # after the log, which a resumed run cuts to where it goes on
                save_checkpoint(
                    state,
                    recipe,
                    checkpoint,
                    stage_of(state, recipe, run, record.get("validation", {})),
                )
            yield record
            if stops:
                return


def prepare(device: torch.device, recipe: Recipe) -> None:
    """What makes steps faster on a device, for the whole process."""
    if device.type == "cpu":
        keep_freed_memory()
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = bool(recipe.crop)  # crops are of one size


def set_training(module: nn.Module, recipe: Recipe) -> None:
    """Training mode, but for normalisation whose statistics are to stay."""
    module.train()
    for part in module.modules() if recipe.frozen_norms else ():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()


def _check_place(run: Run, *, resume: bool) -> None:
    there = next((run.out / name for name in (CHECKPOINT, BEST) if (run.out / name).exists()), None)
    if there and not resume:
        raise FileExistsError(
            f"{there}: a run of this name is there; give --resume to go on with it, or another -o"
        )
    if resume and not (run.out / CHECKPOINT).exists():
        raise FileNotFoundError(
            f"{run.out / CHECKPOINT}: nothing to resume; leave out --resume to begin"
        )


def learning_rate(recipe: Recipe, step: int, lr_factor: float) -> float:
    """The rate of a step that is about to be taken, counted from 0."""
    if recipe.schedule == "plateau":
        return max(recipe.min_lr, recipe.lr * lr_factor)
    if recipe.schedule == "branch":
        return recipe.min_lr + (recipe.lr - recipe.min_lr) * (1 - math.sqrt(step / recipe.steps))
    if step < recipe.warmup:
        return recipe.lr * (step + 1) / recipe.warmup
    if recipe.schedule == "trunk":
        return recipe.lr
    if recipe.schedule == "steps":
        passed = sum(step >= share * recipe.steps for share in recipe.milestones)
        return max(recipe.min_lr, recipe.lr * recipe.decay**passed)
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.min_lr + (recipe.lr - recipe.min_lr) * 0.5 * (
        1 + math.cos(math.pi * min(1.0, done))
    )


def _step(
    module: nn.Module, state: State, recipe: Recipe, batch: Batch, epoch: int
) -> dict[str, Tensor]:
    """One step; the loss and its terms stay on the device, so that a GPU need not be waited for."""
    lr = learning_rate(recipe, state.step, state.lr_factor)
    for group in state.optimiser.param_groups:
        group["lr"] = lr * group.get("relative_lr", 1.0)
    loss, terms = module(
        batch.rainy.contiguous(memory_format=torch.channels_last),
        batch.clean.contiguous(memory_format=torch.channels_last),
    )
    if loss.device.type == "cpu":
        _check_loss(loss, state.step)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    if recipe.clip:
        nn.utils.clip_grad_norm_(module.parameters(), recipe.clip)
    state.optimiser.step()
    if state.averaged:
        _average(
            state.averaged,
            cast("nn.Module", state.network),
            state.trunk_steps + state.step,
            recipe.ema,
        )
    state.step += 1
    if recipe.schedule == "plateau":
        _watch_plateau(state, float(loss.detach()), max(1, epoch // recipe.batch))
    return {"loss": loss.detach(), **terms}


def _record(state: State, losses: dict[str, Tensor]) -> dict[str, Any]:
    """A line of the log. Weights spoilt on the way, which a GPU is not asked after each step, are
    told here.
    """
    _check_loss(losses["loss"], state.step - 1)
    group = state.optimiser.param_groups[0]
    lr = group["lr"] / group.get("relative_lr", 1.0)
    values = {name: float(term) for name, term in losses.items()}
    return {"step": state.step, "lr": lr, **values, "seconds": round(state.seconds, 1)}


def _check_loss(loss: Tensor, step: int) -> None:
    if not torch.isfinite(loss):
        raise FloatingPointError(
            f"step {step}: the loss is {loss.item()}; a smaller lr, or clip=1, may help"
        )


def _average(averaged: AveragedModel, network: nn.Module, done: int, decay: float) -> None:
    """Moves the running mean: a young one follows faster, so that it is of use from the first
    validation on.

    As `AveragedModel.update_parameters` does, which would wait for a GPU at every step.
    """
    share = 1 - min(decay, (1 + done) / (10 + done)) if done else 1.0
    with torch.no_grad():
        means = [parameter.detach() for parameter in averaged.module.parameters()]
        latest = [parameter.detach() for parameter in network.parameters()]
        torch._foreach_lerp_(means, latest, share)  # pyright: ignore
        for mean, now in zip(averaged.module.buffers(), network.buffers(), strict=True):
            mean.copy_(now)
        averaged.n_averaged += 1


def _watch_plateau(state: State, loss: float, epoch_steps: int) -> None:
    """NLEDN, section 4.2: the rate is multiplied by 0.9 after an epoch whose mean loss did not
    fall.
    """
    state.epoch_loss += loss
    state.epoch_steps += 1
    if state.epoch_steps < epoch_steps:
        return
    mean = state.epoch_loss / state.epoch_steps
    if mean >= state.last_epoch_loss:
        state.lr_factor *= PLATEAU_FACTOR
    state.last_epoch_loss, state.epoch_loss, state.epoch_steps = mean, 0.0, 0


def _settle_norms(
    averaged: AveragedModel, batches: BatchSource, step: int, device: torch.device
) -> None:
    """Measures batch normalisation's means and variances for averaged weights, on the latest
    batches.

    Those of the trained weights, which `AveragedModel` copies, are not theirs; the next step copies
    these again.
    """
    norms = [module for module in averaged.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all batches
    averaged.train()
    with torch.no_grad():
        for k in range(max(0, step - NORM_BATCHES), step):
            batch = batches.batch(k, device)
            cast("Network", averaged.module).loss(
                batch.rainy, batch.clean
            )  # also runs what serves training alone
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    averaged.eval()


def _validate(state: State, recipe: Recipe, run: Run, validation: ValidationSet) -> dict[str, Any]:
    network = state.evaluated.eval()
    scores = validation.score(network, run.device)
    if (
        scores["mean"] > state.best - AS_GOOD
    ):  # the latest, for parts may be trained that no picture shows
        state.best = max(state.best, scores["mean"])
        weights.save(network, card_of(state, recipe, run, scores), run.out / BEST)
    return {"validation": scores, "best": state.best}


def prefetch(batches: BatchSource, start: int, stop: int, device: torch.device) -> Iterator[Batch]:
    """The batches of all steps; on a GPU each is made while the one before is trained on.

    On a CPU a second thread would only take cores from the first. On CUDA the thread has a stream
    of its own: what it waits for, copies above all, is its own work then, and not the step that is
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
            if (
                aside
            ):  # their memory must not be given to the next batch before the step has read it
                for half in (batch.rainy, batch.clean):
                    half.record_stream(torch.cuda.current_stream(device))
            yield batch


def describe(record: dict[str, Any]) -> str:
    """A record of the log as one line for people."""
    line = (
        f"step {record['step']}  loss {record['loss']:.5f}  lr {record['lr']:.2e} "
        f" {record['seconds']:.0f} s"
    )
    if "validation" in record:
        line += "  validation " + ", ".join(
            f"{name} {value:.2f} dB" for name, value in record["validation"].items()
        )
    return line
