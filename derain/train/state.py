"""The state of a training run: network, running mean, optimiser and step."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from derain import weights
from derain.networks import NETWORKS, Network, Petrichor, grown
from derain.recipes import Recipe
from derain.train.checkpoint import Checkpoint, check_same_recipe, check_trunk
from derain.weights import loading

FUSED_ON = ("cpu", "cuda")
"""Devices for which PyTorch has an optimiser that takes its step in one pass over memory."""

_NUMBERS = ("step", "seconds", "best", "lr_factor", "epoch_loss", "epoch_steps", "last_epoch_loss")
"""Fields of the state that a checkpoint holds as numbers."""


@dataclass
class State:
    """The state of a training run, which a checkpoint holds completely.

    Attributes:
        network: Weights that the optimiser changes.
        averaged: Their running mean; None for recipes without one.
        before: Stages that the weights it began from went through.
        trunk_steps: Steps of its trunk that the running mean of a branch has followed.
        planned: Steps that it was to take until now; 0 at the beginning.
        dtype: Number format it was trained in until now; empty at the beginning.
        digest: Of the files it was trained on until now, likewise.
        validation: Of the files it was validated on until now, likewise.
        licence: Of its weights, for their card.
        step: Steps taken.
        seconds: Time taken.
        best: Best validation score so far, in dB.
        lr_factor: Factor that a plateau schedule has come to.
        epoch_loss: Sum of losses in this epoch, for a plateau schedule.
        epoch_steps: Steps in this epoch, likewise.
        last_epoch_loss: Mean loss of the last epoch, likewise.
    """

    network: Network
    averaged: AveragedModel | None
    optimiser: torch.optim.Optimizer
    before: tuple[weights.Stage, ...] = ()
    trunk_steps: int = 0
    planned: int = 0
    dtype: str = ""
    digest: str = ""
    validation: str = ""
    licence: str = ""
    step: int = 0
    seconds: float = 0.0
    best: float = -math.inf
    lr_factor: float = 1.0
    epoch_loss: float = 0.0
    epoch_steps: int = 0
    last_epoch_loss: float = math.inf

    @property
    def evaluated(self) -> Network:
        """The network with the weights that are validated and saved."""
        return cast("Network", self.averaged.module) if self.averaged else self.network

    def checkpoint(self, recipe: Recipe, stage: weights.Stage) -> Checkpoint:
        """Return a checkpoint of the state.

        Args:
            recipe: Recipe of the run.
            stage: What the run did so far.
        """
        return Checkpoint(
            recipe=recipe,
            network=self.network.state_dict(),
            averaged=self.averaged.state_dict() if self.averaged else None,
            optimiser=self.optimiser.state_dict(),
            numbers={name: getattr(self, name) for name in _NUMBERS},
            hyperparameters=dict(self.network.hyperparameters),
            before=self.before,
            stage=stage,
            dtype=self.dtype,
            validation=self.validation,
            licence=self.licence,
        )

    def fill(self, checkpoint: Checkpoint, path: Path) -> None:
        """Take weights, running mean and moments from a checkpoint.

        Raises:
            ValueError: If the recipe wants a running mean and the checkpoint holds none.
        """
        self.network.load_state_dict(checkpoint.network)
        self.optimiser.load_state_dict(checkpoint.optimiser)
        if self.averaged is None:
            return
        if checkpoint.averaged is None:
            raise ValueError(f"{path}: holds no running mean of weights; expected ema=0")
        self.averaged.load_state_dict(checkpoint.averaged)
        # The mean follows faster while it is young, and that of a branch is as old as its trunk.
        self.trunk_steps = int(self.averaged.n_averaged) - self.step


def begin(recipe: Recipe, device: torch.device) -> State:
    """Return the state of a run at its beginning, seeded.

    Raises:
        FileNotFoundError: If there are no weights to begin from.
        ValueError: If these are of another network, or rates are given for parts that it has not.
    """
    torch.manual_seed(recipe.seed)
    if recipe.schedule == "branch":
        return _branched(recipe, Path(recipe.init), device)
    if not recipe.init:
        return _assemble(NETWORKS[recipe.network](**recipe.hyperparameters), recipe, (), device)
    network, card = loading.find(recipe.init)
    wrong = ValueError(
        f"init={recipe.init}: holds another {card.network}; expected the recipe's {recipe.network}"
    )
    if card.network == recipe.network:
        wanted = dict(network.hyperparameters) | dict(recipe.hyperparameters)
        if dict(card.hyperparameters) != wanted:
            raise wrong
        return _assemble(network, recipe, card.history, device)
    larger = NETWORKS[recipe.network](**recipe.hyperparameters)
    if not (isinstance(network, Petrichor) and isinstance(larger, Petrichor)):
        raise wrong
    return _assemble(grown(network, type(larger), recipe.seed), recipe, card.history, device)


def resumed(recipe: Recipe, path: Path, device: torch.device) -> State:
    """Return the state of a run at its checkpoint.

    Nothing but the checkpoint is needed: the weights that the run began from may be gone.

    Raises:
        ValueError: If the file is damaged or is not a checkpoint, or is of another recipe; steps
            and the interval of validations may differ.
    """
    checkpoint = Checkpoint.read(path, device)
    check_same_recipe(recipe, checkpoint.recipe, path)
    torch.manual_seed(recipe.seed)
    network = NETWORKS[recipe.network](**checkpoint.hyperparameters)
    state = _assemble(network, recipe, checkpoint.before, device)
    state.planned, state.dtype = checkpoint.recipe.steps, checkpoint.dtype
    state.digest, state.validation = checkpoint.stage.digest, checkpoint.validation
    state.licence = checkpoint.licence
    for name in _NUMBERS:
        setattr(state, name, checkpoint.numbers[name])
    state.fill(checkpoint, path)
    return state


def _branched(recipe: Recipe, path: Path, device: torch.device) -> State:
    """Return the state of a branch: all that its trunk's checkpoint holds, and steps from 0."""
    checkpoint = Checkpoint.read(path, device)
    check_trunk(checkpoint.recipe, path)
    if checkpoint.recipe.network != recipe.network:
        raise ValueError(
            f"{path}: is a trunk of {checkpoint.recipe.network}; expected one of {recipe.network}"
        )
    history = (*checkpoint.before, checkpoint.stage)
    network = NETWORKS[recipe.network](**checkpoint.hyperparameters)
    state = _assemble(network, recipe, history, device)
    # The optimiser takes only the moments from the trunk: the branch's recipe may have another
    # weight decay.
    groups = state.optimiser.param_groups
    own = [{key: value for key, value in group.items() if key != "params"} for group in groups]
    state.fill(checkpoint, path)
    for group, options in zip(state.optimiser.param_groups, own, strict=True):
        group.update(options)
    return state


def _assemble(
    network: Network, recipe: Recipe, before: tuple[weights.Stage, ...], device: torch.device
) -> State:
    """Return a state around a network, with the optimiser and running mean of its recipe."""
    network = network.to(device).to(memory_format=torch.channels_last)
    module = cast("nn.Module", network)
    averaged = None
    if recipe.ema:
        averaged = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema))
    optimiser = torch.optim.AdamW if recipe.optimiser == "adamw" else torch.optim.Adam
    made = optimiser(
        _parameter_groups(module, recipe.lr_of),
        lr=recipe.lr,
        betas=recipe.betas,
        weight_decay=recipe.weight_decay,
        fused=device.type in FUSED_ON,
    )
    return State(network, averaged, made, before)


def _parameter_groups(network: nn.Module, lr_of: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return the parameters grouped by the rate they train at, relative to the recipe's.

    Parameters whose rate is 0 are in no group and get no gradient.

    Raises:
        ValueError: If no parameter's name begins with a name of ``lr_of``.
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
