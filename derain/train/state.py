"""What a run reads, holds and writes: where it lies, what changes while it trains, checkpoints, the
card of its weights.
"""

import contextlib
import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from derain import weights
from derain.data import Layout
from derain.files import write_file
from derain.networks import NETWORKS, Network, Petrichor, grown
from derain.recipes import Recipe, override

CHECKPOINT = "last.pt"
BEST = "best.safetensors"
LOG = "log.jsonl"

_PATHS = ("init", "textures")
"""Of a recipe: cards name what lies there, not where."""

FUSED_ON = ("cpu", "cuda")
"""Devices for which PyTorch has an optimiser that takes its step in one pass over memory."""


@dataclass(frozen=True)
class Run:
    """Where a training run reads and writes.

    Attributes:
        data: Clean pictures, which get rain of our own, or pairs of rainy and clean ones.
        validation: Likewise. Rain on clean pictures is seeded by their place, and so always the
            same.
        out: Folder of the run: ``last.pt`` to resume from, ``best.safetensors`` to use,
            ``log.jsonl`` to look at.
        dtype: Number format that convolutions and products are computed in; weights, losses and
            optimiser stay in float32.
        compiled: Whether the step is compiled first (torch.compile), which takes minutes and pays
            on GPUs.
        minutes: After how long the run stops, the search for leaks included, with a checkpoint to
            go on from; None for never.
        machine: What the card says about the machine.
        layout: How pairs lie on disk, of both; None looks.
        allow_leak: Train though validation pictures are trained on too; the card says so.
        note: What else the card says.
    """

    data: Path
    validation: Path
    out: Path
    device: torch.device
    dtype: torch.dtype = torch.float32
    compiled: bool = False
    minutes: float | None = None
    machine: str = ""
    layout: Layout | None = None
    allow_leak: bool = False
    note: str = ""

    @property
    def number_format(self) -> str:
        """As ``--dtype`` takes it."""
        return str(self.dtype).removeprefix("torch.")


@dataclass
class State:
    """What changes while training, all of which a checkpoint holds.

    Besides, for the card: what the weights it began from went through, the commit it runs under,
    and the rain that falls; and the number format it is trained in, to say when that changes.
    """

    network: Network
    averaged: AveragedModel | None
    optimiser: torch.optim.Optimizer
    before: tuple[weights.Stage, ...] = ()
    commit: str = ""
    rain: str = ""
    dtype: str = ""
    trunk_steps: int = 0
    """Steps of its trunk that the running mean of a branch has followed before the branch began."""
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


def begin(recipe: Recipe, device: torch.device) -> State:
    """A run at its beginning, seeded.

    Raises:
        FileNotFoundError: If there are no weights to begin from.
        ValueError: If these are of another network, or rates are given for parts that it has not.
    """
    torch.manual_seed(recipe.seed)
    if recipe.schedule == "branch":
        return _branched(recipe, Path(recipe.init), device)
    if not recipe.init:
        return _assemble(NETWORKS[recipe.network](**recipe.hyperparameters), recipe, (), device)
    network, card = weights.find(recipe.init)
    if card.network == recipe.network:
        wanted = dict(network.hyperparameters) | dict(recipe.hyperparameters)
        if dict(card.hyperparameters) != wanted:
            raise ValueError(
                f"init={recipe.init}: holds another {card.network}; expected the recipe's"
                f" {recipe.network}"
            )
        return _assemble(network, recipe, card.history, device)
    larger = NETWORKS[recipe.network](**recipe.hyperparameters)
    if not (isinstance(network, Petrichor) and isinstance(larger, Petrichor)):
        raise ValueError(
            f"init={recipe.init}: holds another {card.network}; expected the recipe's"
            f" {recipe.network}"
        )
    return _assemble(grown(network, type(larger), recipe.seed), recipe, card.history, device)


def _branched(recipe: Recipe, path: Path, device: torch.device) -> State:
    """Begin a branch where a trunk's checkpoint stands: weights, running mean and moments as they
    are, steps from 0.
    """
    held = _read_checkpoint(path, device, averaged=bool(recipe.ema))
    _check_trunk(held.recipe, path)
    if held.recipe["network"] != recipe.network:
        raise ValueError(
            f"{path}: is a trunk of {held.recipe['network']}; expected one of {recipe.network}"
        )
    trunk = held.before + ((held.stage,) if held.stage else ())
    state = _assemble(NETWORKS[recipe.network](**held.hyperparameters), recipe, trunk, device)
    options = [
        {key: value for key, value in group.items() if key != "params"}
        for group in state.optimiser.param_groups
    ]
    _fill(state, held)
    # Of the optimiser only the moments are the trunk's: the branch's recipe may have another weight
    # decay.
    for group, own in zip(state.optimiser.param_groups, options, strict=True):
        group.update(own)
    state.trunk_steps = _trunk_steps(state)
    return state


def _check_trunk(recipe: Mapping[str, Any], path: Path) -> None:
    if recipe["schedule"] != "trunk":
        raise ValueError(
            f"{path}: was trained with schedule={recipe['schedule']}; expected schedule=trunk"
        )


BRANCH_SHARE = 0.1
"""Steps of a branch, relative to those of its trunk."""


def branch_recipe(run: Path, overrides: Mapping[str, str]) -> Recipe:
    """Return the recipe of a branch: its trunk's, with a rate that falls in a tenth of the steps
    taken.

    Args:
        run: Folder of the trunk, or its checkpoint.
        overrides: As for `find_recipe`; ``seed`` is the trunk's plus one where it is not among
            them.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If it is damaged, or of a run that is no trunk.
    """
    path = run / CHECKPOINT if run.is_dir() else run
    trunk, taken = checkpoint_recipe(path)
    _check_trunk(asdict(trunk), path)
    steps = max(1, round(BRANCH_SHARE * taken))
    every = max(1, min(trunk.validate_every, steps // 4))
    branch = replace(
        trunk,
        schedule="branch",
        init=str(path),
        warmup=0,
        steps=steps,
        validate_every=every,
        seed=trunk.seed + 1,
    )
    return override(branch, overrides)


def checkpoint_recipe(path: Path) -> tuple[Recipe, int]:
    """Return the recipe that a checkpoint was trained by, and the steps it has taken.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If it is damaged.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such checkpoint; expected one that derain train wrote")
    held = _read_checkpoint(path, torch.device("cpu"), averaged=False)
    known = {f.name for f in fields(Recipe)}
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in held.recipe.items()
        if key in known
    }
    return Recipe(**values), int(held.numbers["step"])


def _assemble(
    network: Network, recipe: Recipe, before: tuple[weights.Stage, ...], device: torch.device
) -> State:
    """All that a run holds, around a network."""
    network = network.to(device).to(memory_format=torch.channels_last)
    averaged = (
        AveragedModel(cast("nn.Module", network), multi_avg_fn=get_ema_multi_avg_fn(recipe.ema))
        if recipe.ema
        else None
    )
    optimiser = torch.optim.AdamW if recipe.optimiser == "adamw" else torch.optim.Adam
    groups = _parameter_groups(cast("nn.Module", network), recipe.lr_of)
    options: dict[str, Any] = {
        "lr": recipe.lr,
        "betas": recipe.betas,
        "weight_decay": recipe.weight_decay,
    }
    made = optimiser(groups, **options, fused=device.type in FUSED_ON)
    return State(network, averaged, made, before, _commit())


def _parameter_groups(network: nn.Module, lr_of: Mapping[str, float]) -> list[dict[str, Any]]:
    """The parameters by the rate they train at, relative to the recipe's; those whose rate is 0 are
    left alone.

    Raises:
        ValueError: If a name of ``lr_of`` begins none.
    """
    names = [name for name, _ in network.named_parameters()]
    idle = [start for start in lr_of if not any(name.startswith(start) for name in names)]
    if idle:
        raise ValueError(
            f"lr_of={idle[0]}: no parameter's name begins so; expected one such as {names[0]}"
        )
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        relative = next((factor for start, factor in lr_of.items() if name.startswith(start)), 1.0)
        parameter.requires_grad_(relative > 0)
        if relative > 0:
            groups.setdefault(relative, []).append(parameter)
    return [
        {"params": parameters, "relative_lr": relative} for relative, parameters in groups.items()
    ]


def card_of(state: State, recipe: Recipe, run: Run, scores: dict[str, float]) -> weights.Card:
    """What is known of the weights as they stand, with all that those they began from went
    through.
    """
    stage = stage_of(state, recipe, run, scores)
    history = (*state.before, stage)
    return weights.Card(
        name=recipe.name,
        network=recipe.network,
        recipe=stage.recipe,
        data=stage.data,
        rain=state.rain,
        steps=sum(part.steps for part in history),
        hours=round(sum(part.hours for part in history), 3),
        machine=stage.machine,
        scores=on_a_card(scores),
        licence="Apache-2.0",
        commit=stage.commit,
        note=run.note,
        history=history,
    )


def on_a_card(scores: Mapping[str, float]) -> dict[str, str]:
    """Validation scores by kind of rain, as cards word them."""
    return {f"validation {rain} y-matlab": f"{value:.2f}" for rain, value in scores.items()}


def stage_of(state: State, recipe: Recipe, run: Run, scores: dict[str, float]) -> weights.Stage:
    """This run so far, with its validations: those in its log, and the one that was just made.

    Args:
        scores: Of that one; empty where a run stops between two.
    """
    points = [
        weights.Point(line["step"], round(line["seconds"] / 3600, 4), line["validation"])
        for line in logged(run.out / LOG)
        if "validation" in line and line["step"] < state.step
    ]
    if scores:
        points.append(weights.Point(state.step, round(state.seconds / 3600, 4), scores))
    machine = (
        run.machine
        or f"{platform.machine()}, {torch.get_num_threads()} CPU threads, {run.device.type}"
    )
    return weights.Stage(
        recipe=json.dumps(
            asdict(replace(recipe, **{name: Path(getattr(recipe, name)).name for name in _PATHS}))
        ),
        data=f"{run.data.parent.name}/{run.data.name}",
        steps=state.step,
        hours=round(state.seconds / 3600, 3),
        machine=f"{machine}, {run.number_format}",
        commit=state.commit,
        curve=tuple(points),
    )


def _commit() -> str:
    """The commit this code is of, if it runs from a checkout; an environment inside some other
    checkout is none.
    """
    here = Path(__file__)

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=here.parent, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)
        return git("describe", "--always", "--dirty", "--abbrev=12")
    except (OSError, subprocess.CalledProcessError):
        return ""


def save_checkpoint(state: State, recipe: Recipe, path: Path, stage: weights.Stage) -> None:
    """Writes all that a run goes on from, whole or not at all.

    Args:
        stage: What the run did so far, for the cards of branches.
    """
    draft = path.with_suffix(".part")
    content = {
        "recipe": asdict(recipe),
        "network": state.network.state_dict(),
        "averaged": state.averaged.state_dict() if state.averaged else None,
        "optimiser": state.optimiser.state_dict(),
        "numbers": {name: getattr(state, name) for name in _NUMBERS},
        "stage": json.dumps([asdict(stage)]),
        "before": json.dumps([asdict(stage) for stage in state.before]),
        "hyperparameters": dict(state.network.hyperparameters),
        "dtype": state.dtype,
    }
    try:
        torch.save(content, draft)
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


_NUMBERS = ("step", "seconds", "best", "lr_factor", "epoch_loss", "epoch_steps", "last_epoch_loss")


def resumed(recipe: Recipe, path: Path, device: torch.device) -> State:
    """A run where its checkpoint stands, which is all it takes: the weights it once began from need
    not be there any more.

    Raises:
        ValueError: If the file is damaged or none, or of another recipe; steps and how often is
            validated may differ.
    """
    held = _read_checkpoint(path, device, averaged=bool(recipe.ema))
    _check_recipe(recipe, held.recipe, path)
    torch.manual_seed(recipe.seed)
    state = _assemble(NETWORKS[recipe.network](**held.hyperparameters), recipe, held.before, device)
    _fill(state, held)
    state.dtype = held.dtype
    for name, value in held.numbers.items():
        setattr(state, name, value)
    state.trunk_steps = _trunk_steps(state)
    return state


@dataclass(frozen=True)
class _Held:
    """What a checkpoint holds; ``stage`` is None in those written before there were branches."""

    recipe: dict[str, Any]
    numbers: dict[str, Any]
    parts: dict[str, dict[str, Any]]
    hyperparameters: dict[str, Any]
    before: tuple[weights.Stage, ...]
    stage: weights.Stage | None
    dtype: str


def _read_checkpoint(path: Path, device: torch.device, *, averaged: bool) -> _Held:
    """Read a checkpoint.

    Raises:
        ValueError: If the file is damaged, or something else.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        stages = weights.stages_from_json(content["stage"]) if "stage" in content else ()
        return _Held(
            recipe=dict(content["recipe"]),
            numbers={name: content["numbers"][name] for name in _NUMBERS},
            parts={
                name: dict(content[name])
                for name in ("network", "optimiser", *(["averaged"] if averaged else []))
            },
            hyperparameters=dict(content["hyperparameters"]),
            before=weights.stages_from_json(content["before"]),
            stage=stages[0] if stages else None,
            dtype=str(content.get("dtype", "")),
        )
    except Exception as error:  # damaged pickles raise whatever they stumble over
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{path}: expected a checkpoint of derain train, but it is damaged or something else"
            f" ({why})"
        ) from None


def _fill(state: State, held: _Held) -> None:
    state.network.load_state_dict(held.parts["network"])
    if state.averaged:
        state.averaged.load_state_dict(held.parts["averaged"])
    state.optimiser.load_state_dict(held.parts["optimiser"])


def _trunk_steps(state: State) -> int:
    return int(state.averaged.n_averaged) - state.step if state.averaged else 0


def _check_recipe(recipe: Recipe, theirs: dict[str, Any], path: Path) -> None:
    mine = asdict(recipe)
    mine["textures"], theirs["textures"] = (
        Path(told.get("textures", "")).name for told in (mine, theirs)
    )
    theirs = {
        key: theirs.get(key, getattr(Recipe, key, {})) for key in mine
    }  # what came later stood at its default
    changed = [
        key
        for key in mine
        if mine[key] != theirs[key] and key not in ("steps", "validate_every", "source")
    ]
    if changed:
        was = ", ".join(f"{key}={theirs[key]}" for key in changed)
        raise ValueError(
            f"{path}: was begun with {was}; give the same, or another -o (steps may change)"
        )


def cut_log(path: Path, step: int) -> None:
    """Takes away the lines of steps that are done again, and what was half written."""
    kept = [line for line in logged(path) if line["step"] <= step]
    write_file(path, "".join(f"{json.dumps(line)}\n" for line in kept).encode())


def logged(path: Path) -> list[dict[str, Any]]:
    """The records of a log, without what was half written or is none."""
    lines: list[dict[str, Any]] = []
    for text in path.read_text(errors="replace").splitlines() if path.exists() else []:
        with contextlib.suppress(ValueError):
            line = json.loads(text)
            if isinstance(line, dict) and {"step", "seconds"} <= line.keys():
                lines.append(line)
    return lines
