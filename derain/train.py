"""The training loop: resumes to the bit, validates on seeded rain, keeps the best."""

import contextlib
import hashlib
import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from derain import metrics, rain, weights
from derain.data import (
    LONG_SIDE,
    Batch,
    BatchSource,
    Layout,
    NoPairsError,
    Pair,
    PairedBatches,
    RainyBatches,
    clean_pictures,
    find_pairs,
    generator_for,
    read_pair,
    shrink,
    to_tensor,
)
from derain.data.check import OnProgress, find_leaks, no_progress
from derain.data.pairs import listed
from derain.engines import keep_freed_memory
from derain.images import read_image, write_file
from derain.networks import NETWORKS, Network
from derain.recipes import Recipe

LOG_EVERY = 50
CHECKPOINT = "last.pt"
BEST = "best.safetensors"
LOG = "log.jsonl"
SEAL = "checked.json"
"""Which files no validation picture was found among."""
NORM_BATCHES = 50
"""How many batches the statistics of averaged weights are measured on."""

PLATEAU_FACTOR = 0.9
"""NLEDN, section 4.2."""


class TrainingStep(nn.Module):
    """The thin module that is trained: a network and its summed loss, behind ``forward``, where DistributedDataParallel looks."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        assert isinstance(network, nn.Module)
        self.network = network

    def forward(self, rainy: Tensor, clean: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        terms: dict[str, Tensor] = self.network.loss(rainy, clean)
        return torch.stack(list(terms.values())).sum(), {name: term.detach() for name, term in terms.items()}


@dataclass(frozen=True)
class Run:
    """Where a training run reads and writes.

    Attributes:
        data: Clean pictures, which get rain of our own, or pairs of rainy and clean ones.
        validation: Likewise. Rain on clean pictures is seeded by their place, and so always the same.
        out: Folder of the run: ``last.pt`` to resume from, ``best.safetensors`` to use, ``log.jsonl`` to look at.
        machine: What the card says about the machine.
        layout: How pairs lie on disk, of both; None looks.
        allow_leak: Train though validation pictures are trained on too; the card says so.
        note: What else the card says.
    """

    data: Path
    validation: Path
    out: Path
    device: torch.device
    machine: str = ""
    layout: Layout | None = None
    allow_leak: bool = False
    note: str = ""


class LeakError(ValueError):
    """Validation pictures are among the training pictures."""


@dataclass
class State:
    """What changes while training, all of which a checkpoint holds."""

    network: Network
    averaged: AveragedModel | None
    optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    best: float = -math.inf
    lr_factor: float = 1.0
    epoch_loss: float = 0.0
    epoch_steps: int = 0
    last_epoch_loss: float = math.inf

    @property
    def evaluated(self) -> Network:
        """The weights that are validated and saved."""
        return cast("Network", self.averaged.module) if self.averaged else self.network


def train(
    recipe: Recipe,
    run: Run,
    *,
    resume: bool = False,
    on_progress: OnProgress = no_progress,
    on_note: Callable[[str], None] = lambda _: None,
) -> Generator[dict[str, Any], None, None]:
    """Trains, and yields one record for each line of the log.

    Args:
        resume: Go on from the run's checkpoint, bit for bit as if it had never stopped.
        on_progress: Called while validation pictures are looked for among those to train on.
        on_note: Called with what the user should know.

    Raises:
        FileExistsError: If the run's folder holds a checkpoint and ``resume`` is not asked for.
        FileNotFoundError: If there is nothing to resume, or no pictures.
        LeakError: If validation pictures are among the training pictures, and this is not allowed.
        ValueError: If the checkpoint is of another recipe.
    """
    checkpoint = run.out / CHECKPOINT
    there = next((run.out / name for name in (CHECKPOINT, BEST) if (run.out / name).exists()), None)
    if there and not resume:
        raise FileExistsError(f"{there}: a run of this name is there; give --resume to go on with it, or another -o")
    if resume and not checkpoint.exists():
        raise FileNotFoundError(f"{checkpoint}: nothing to resume; leave out --resume to begin")
    batches = open_batches(recipe, run.data, run.layout)
    validation = ValidationSet(recipe, run.validation, run.layout)
    state = _begin(recipe, run.device)
    if resume:
        _restore(state, recipe, checkpoint, run.device)
    run = _checked(run, on_progress)
    if run.note:
        on_note(run.note)
    if resume:
        _cut_log(run.out / LOG, state.step)
    if run.device.type == "cpu":
        keep_freed_memory()
    module = TrainingStep(state.network).train()
    began = time.monotonic() - state.seconds
    with (run.out / LOG).open("a" if resume else "w") as log:
        for batch in _prefetch(batches, state.step, recipe.steps, run.device):
            record = _step(module, state, recipe, batch, len(batches))
            state.seconds = time.monotonic() - began
            if state.step % recipe.validate_every == 0 or state.step == recipe.steps:
                if state.averaged:
                    _settle_norms(state.averaged, batches, state.step, run.device)
                record |= _validate(state, recipe, run, validation)
                _checkpoint(state, recipe, checkpoint)
            if "validation" in record or state.step % LOG_EVERY == 0:
                log.write(json.dumps(record) + "\n")
                log.flush()
                yield record


def _checked(run: Run, on_progress: OnProgress) -> Run:
    """The run with its folder made, if no validation picture is trained on; not looked at again while no file changes."""
    seal = run.out / SEAL
    files = _state_of_files(run)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        old = json.loads(seal.read_text())
        if old["files"] == files and (run.allow_leak or not old["note"]):
            return replace(run, note=str(old["note"]))
    run = _without_leak(run, on_progress)
    run.out.mkdir(parents=True, exist_ok=True)
    write_file(seal, json.dumps({"files": files, "note": run.note}).encode())
    return run


def _state_of_files(run: Run) -> str:
    """A digest of the names, sizes and dates of all pictures of both datasets, and of which half of a file is the clean one."""
    state = hashlib.sha256(str(run.layout).encode())
    for folder in (run.data, run.validation):
        pairs = _pairs_of(folder, run.layout)
        files = clean_pictures(folder) if pairs is None else [path for pair in pairs for path in (pair.rainy, pair.clean)]
        for path in files:
            with contextlib.suppress(OSError):  # told where it is read
                found = path.stat()
                state.update(f"{path} {found.st_size} {found.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return state.hexdigest()


def _without_leak(run: Run, on_progress: OnProgress) -> Run:
    """The run, if no validation picture is trained on; with a note on its card, if that is allowed."""
    problems = find_leaks(run.validation, run.data, run.layout, on_progress)
    unread = [problem.message for problem in problems if problem.kind == "unreadable"]
    if unread:
        raise ValueError(f"{listed(unread, 3)}: expected pictures that can be read; mend or remove what cannot")
    leaks = [problem for problem in problems if problem.kind == "leak"]
    if not leaks:
        return run
    count = len({leak.paths[0] for leak in leaks})
    what = f"{count} validation picture{'s are' if count > 1 else ' is'} among the training pictures"
    if run.allow_leak:
        return replace(run, note=f"{what}: its validation scores say little")
    raise LeakError(
        f"{what}: {listed([leak.message for leak in leaks], 3)}; take them out (derain data check {run.validation} "
        f"--against {run.data} names them all), or give --allow-leak"
    )


def open_batches(recipe: Recipe, folder: Path, layout: Layout | None = None) -> BatchSource:
    """Pairs if the folder holds some, else its pictures as clean ones under the recipe's rain.

    Raises:
        FileNotFoundError: If the folder holds no pictures.
    """
    options: dict[str, Any] = {
        "batch": recipe.batch,
        "crop": recipe.crop,
        "augment": recipe.augment,
        "seed": recipe.seed,
    }
    pairs = _pairs_of(folder, layout)
    if pairs is not None:
        return PairedBatches(pairs, **options)
    return RainyBatches(clean_pictures(folder), [rain.PRESETS[name] for name in recipe.rain], **options)


def _pairs_of(folder: Path, layout: Layout | None) -> tuple[Pair, ...] | None:
    """The pairs of a folder; None if it is no paired dataset. A broken one raises, or one that is not as it was said to be."""
    try:
        return find_pairs(folder, layout).pairs
    except NoPairsError:
        if layout:
            raise
        return None


class ValidationSet:
    """Pairs to validate on: real ones, or clean pictures with rain seeded by their place, once for each preset."""

    def __init__(self, recipe: Recipe, folder: Path, layout: Layout | None = None) -> None:
        self._pairs: list[tuple[str, Tensor, Tensor]] = []
        pairs = _pairs_of(folder, layout)
        if pairs is not None:
            for pair in pairs:
                rainy, clean = (self._crop(to_tensor(pixels), recipe) for pixels in read_pair(pair))
                self._pairs.append((folder.name, rainy, clean))
        else:
            for name in recipe.validation_rain or recipe.rain:
                for k, path in enumerate(clean_pictures(folder)):
                    clean = self._crop(to_tensor(read_image(path)), recipe)
                    streaks = rain.sample(rain.PRESETS[name], (clean.shape[1], clean.shape[2]), generator_for(k))
                    self._pairs.append((name, rain.compose(clean, streaks), clean))

    @staticmethod
    def _crop(picture: Tensor, recipe: Recipe) -> Tensor:
        if recipe.validation_crop is None:
            return shrink(picture, LONG_SIDE)
        top, left = (max(0, (side - recipe.validation_crop) // 2) for side in picture.shape[1:])
        return picture[:, top : top + recipe.validation_crop, left : left + recipe.validation_crop]

    def score(self, network: Network, device: torch.device) -> dict[str, float]:
        """Mean PSNR (y-matlab) by kind of rain, and ``mean`` over these."""
        scores: dict[str, list[float]] = {}
        with torch.inference_mode():
            for name, rainy, clean in self._pairs:
                output = network(rainy[None].to(device))[0].float().cpu()
                if not bool(torch.isfinite(output).all()):
                    raise FloatingPointError("the network gives values that are no numbers; a smaller lr, or clip=1, may help")
                a, b = (metrics.quantise(np.asarray(t.permute(1, 2, 0))) for t in (output, clean))
                psnr = metrics.psnr(metrics.luma_matlab(a), metrics.luma_matlab(b))
                scores.setdefault(name, []).append(min(psnr, 100.0))
        means = {name: float(np.mean(values)) for name, values in scores.items()}
        return means | {"mean": float(np.mean(list(means.values())))}


def _begin(recipe: Recipe, device: torch.device) -> State:
    torch.manual_seed(recipe.seed)
    if recipe.init:
        network, card = weights.find(recipe.init)
        if card.network != recipe.network or dict(card.hyperparameters) != dict(network.hyperparameters) | dict(
            recipe.hyperparameters
        ):
            raise ValueError(f"init={recipe.init}: holds another {card.network}; expected the recipe's {recipe.network}")
    else:
        network = NETWORKS[recipe.network](**recipe.hyperparameters)
    network = network.to(device).to(memory_format=torch.channels_last)
    averaged = AveragedModel(cast("nn.Module", network), multi_avg_fn=get_ema_multi_avg_fn(recipe.ema)) if recipe.ema else None
    optimiser = torch.optim.AdamW if recipe.optimiser == "adamw" else torch.optim.Adam
    groups = _parameter_groups(cast("nn.Module", network), recipe.lr_of)
    return State(network, averaged, optimiser(groups, lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay))


def _parameter_groups(network: nn.Module, lr_of: Mapping[str, float]) -> list[dict[str, Any]]:
    """The parameters by the rate they train at, relative to the recipe's; those whose rate is 0 are left alone.

    Raises:
        ValueError: If a name of ``lr_of`` begins none.
    """
    names = [name for name, _ in network.named_parameters()]
    idle = [start for start in lr_of if not any(name.startswith(start) for name in names)]
    if idle:
        raise ValueError(f"lr_of={idle[0]}: no parameter's name begins so; expected one such as {names[0]}")
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        relative = next((factor for start, factor in lr_of.items() if name.startswith(start)), 1.0)
        parameter.requires_grad_(relative > 0)
        if relative > 0:
            groups.setdefault(relative, []).append(parameter)
    return [{"params": parameters, "relative_lr": relative} for relative, parameters in groups.items()]


def learning_rate(recipe: Recipe, step: int, lr_factor: float) -> float:
    """The rate of a step that is about to be taken, counted from 0."""
    if recipe.schedule == "plateau":
        return max(recipe.min_lr, recipe.lr * lr_factor)
    if step < recipe.warmup:
        return recipe.lr * (step + 1) / recipe.warmup
    if recipe.schedule == "steps":
        passed = sum(step >= share * recipe.steps for share in recipe.milestones)
        return max(recipe.min_lr, recipe.lr * recipe.decay**passed)
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.min_lr + (recipe.lr - recipe.min_lr) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _step(module: TrainingStep, state: State, recipe: Recipe, batch: Batch, epoch: int) -> dict[str, Any]:
    lr = learning_rate(recipe, state.step, state.lr_factor)
    for group in state.optimiser.param_groups:
        group["lr"] = lr * group.get("relative_lr", 1.0)
    loss, terms = module(
        batch.rainy.contiguous(memory_format=torch.channels_last), batch.clean.contiguous(memory_format=torch.channels_last)
    )
    if not torch.isfinite(loss):
        raise FloatingPointError(f"step {state.step}: the loss is {loss.item()}; a smaller lr, or clip=1, may help")
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    if recipe.clip:
        nn.utils.clip_grad_norm_(module.parameters(), recipe.clip)
    state.optimiser.step()
    if state.averaged:
        _average(state.averaged, module.network, recipe.ema)
    state.step += 1
    if recipe.schedule == "plateau":
        _watch_plateau(state, float(loss.detach()), max(1, epoch // recipe.batch))
    values = {name: float(term) for name, term in terms.items()}
    return {"step": state.step, "lr": lr, "loss": float(loss.detach()), **values, "seconds": round(state.seconds, 1)}


def _average(averaged: AveragedModel, network: nn.Module, decay: float) -> None:
    """Moves the running mean: a young one follows faster, so that it is of use from the first validation on."""
    done = int(averaged.n_averaged)
    averaged.multi_avg_fn = get_ema_multi_avg_fn(min(decay, (1 + done) / (10 + done)))
    averaged.update_parameters(network)


def _watch_plateau(state: State, loss: float, epoch_steps: int) -> None:
    """NLEDN, section 4.2: the rate is multiplied by 0.9 after an epoch whose mean loss did not fall."""
    state.epoch_loss += loss
    state.epoch_steps += 1
    if state.epoch_steps < epoch_steps:
        return
    mean = state.epoch_loss / state.epoch_steps
    if mean >= state.last_epoch_loss:
        state.lr_factor *= PLATEAU_FACTOR
    state.last_epoch_loss, state.epoch_loss, state.epoch_steps = mean, 0.0, 0


def _settle_norms(averaged: AveragedModel, batches: BatchSource, step: int, device: torch.device) -> None:
    """Measures batch normalisation's means and variances for averaged weights, on the latest batches.

    Those of the trained weights, which `AveragedModel` copies, are not theirs; the next step copies these again.
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
            cast("Network", averaged.module).loss(batch.rainy, batch.clean)  # also runs what serves training alone
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    averaged.eval()


def _validate(state: State, recipe: Recipe, run: Run, validation: ValidationSet) -> dict[str, Any]:
    network = state.evaluated.eval()
    scores = validation.score(network, run.device)
    state.network.train()
    if scores["mean"] > state.best:
        state.best = scores["mean"]
        weights.save(network, _card(state, recipe, run, scores), run.out / BEST)
    return {"validation": scores, "best": state.best}


def _card(state: State, recipe: Recipe, run: Run, scores: dict[str, float]) -> weights.Card:
    return weights.Card(
        name=recipe.name,
        network=recipe.network,
        recipe=json.dumps(asdict(replace(recipe, init=Path(recipe.init).name))),
        data=f"{run.data.parent.name}/{run.data.name}",
        steps=state.step,
        hours=round(state.seconds / 3600, 3),
        machine=run.machine or f"{platform.machine()}, {os.cpu_count()} CPU cores, {run.device.type}",
        scores={f"validation {name} y-matlab": f"{value:.2f}" for name, value in scores.items()},
        licence="Apache-2.0",
        commit=_commit(),
        note=run.note,
    )


def _commit() -> str:
    """The commit this code is of, if it runs from a checkout; an environment inside some other checkout is none."""
    here = Path(__file__)

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=here.parent, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)
        return git("describe", "--always", "--dirty", "--abbrev=12")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _checkpoint(state: State, recipe: Recipe, path: Path) -> None:
    draft = path.with_suffix(".part")
    content = {
        "recipe": asdict(recipe),
        "network": state.network.state_dict(),
        "averaged": state.averaged.state_dict() if state.averaged else None,
        "optimiser": state.optimiser.state_dict(),
        "numbers": {name: getattr(state, name) for name in _NUMBERS},
    }
    try:
        torch.save(content, draft)
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


_NUMBERS = ("step", "seconds", "best", "lr_factor", "epoch_loss", "epoch_steps", "last_epoch_loss")


def _restore(state: State, recipe: Recipe, path: Path, device: torch.device) -> None:
    try:
        content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        theirs = dict(content["recipe"])
        numbers = {name: content["numbers"][name] for name in _NUMBERS}
        parts = {name: dict(content[name]) for name in ("network", "optimiser", *(["averaged"] if state.averaged else []))}
    except Exception as error:  # damaged pickles raise whatever they stumble over
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: expected a checkpoint of derain train, but it is damaged or something else ({why})") from None
    mine = asdict(recipe)
    theirs = {key: theirs.get(key, getattr(Recipe, key, {})) for key in mine}  # what came later stood at its default
    changed = [key for key in mine if mine[key] != theirs[key] and key not in ("steps", "validate_every", "source")]
    if changed:
        was = ", ".join(f"{key}={theirs[key]}" for key in changed)
        raise ValueError(f"{path}: was begun with {was}; give the same, or another -o (steps may change)")
    state.network.load_state_dict(parts["network"])
    if state.averaged:
        state.averaged.load_state_dict(parts["averaged"])
    state.optimiser.load_state_dict(parts["optimiser"])
    for name, value in numbers.items():
        setattr(state, name, value)


def _cut_log(path: Path, step: int) -> None:
    """Takes away the lines of steps that are done again, and what was half written."""
    kept: list[str] = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            if json.loads(line)["step"] <= step:
                kept.append(f"{line}\n")
    write_file(path, "".join(kept).encode())


def _prefetch(batches: BatchSource, start: int, stop: int, device: torch.device) -> Iterator[Batch]:
    """The batches of all steps; on a GPU each is made while the one before is trained on.

    On a CPU a second thread would only take cores from the first.
    """
    if device.type == "cpu":
        yield from (batches.batch(step, device) for step in range(start, stop))
        return
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(batches.batch, start, device)
        for step in range(start, stop):
            batch = ahead.result()
            ahead = pool.submit(batches.batch, min(step + 1, stop - 1), device)
            yield batch


def describe(record: dict[str, Any]) -> str:
    """A record of the log as one line for people."""
    line = f"step {record['step']}  loss {record['loss']:.5f}  lr {record['lr']:.2e}  {record['seconds']:.0f} s"
    if "validation" in record:
        line += "  validation " + ", ".join(f"{name} {value:.2f} dB" for name, value in record["validation"].items())
    return line
