"""One step of training: loss, gradient, optimiser, running mean, rate."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from derain.machine import keep_freed_memory
from derain.networks import Network
from derain.networks.losses import rmse_loss
from derain.recipes import Loss, Recipe
from derain.train.batches import Batch, BatchSource
from derain.train.ranks import ALONE, Ranks
from derain.train.schedule import learning_rate
from derain.train.state import State

NORM_BATCHES = 50
"""Number of batches that the statistics of averaged weights are measured on."""

PLATEAU_FACTOR = 0.9
"""NLEDN, section 4.2."""


class TrainingStep(nn.Module):
    """The module that is trained: a network and its summed loss.

    The loss is computed in ``forward``, where torch.compile looks.

    Args:
        network: The network.
        dtype: Number format of convolutions and products; the terms of the loss are float32.
        loss: As of a recipe.
    """

    def __init__(
        self, network: Network, dtype: torch.dtype = torch.float32, loss: Loss = "network"
    ) -> None:
        super().__init__()
        assert isinstance(network, nn.Module)
        self.network = network
        self.dtype = dtype
        self.loss: Loss = loss

    def forward(self, rainy: Tensor, clean: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its terms, these without gradient, for pictures of (N, 3, H, W)."""
        with torch.autocast(rainy.device.type, self.dtype, enabled=self.dtype != torch.float32):
            terms = self._terms(rainy, clean)
        terms = {name: term.float() for name, term in terms.items()}
        loss = torch.stack(list(terms.values())).sum()
        return loss, {name: term.detach() for name, term in terms.items()}

    def _terms(self, rainy: Tensor, clean: Tensor) -> dict[str, Tensor]:
        if self.loss == "rmse":
            return {"rmse": rmse_loss(self.network.estimate(rainy), clean)}
        return self.network.loss(rainy, clean)


def prepare(device: torch.device, recipe: Recipe) -> None:
    """Set what makes steps faster on a device, for the whole process."""
    if device.type == "cpu":
        keep_freed_memory()
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = bool(recipe.crop)  # crops are of one size


def set_training(module: nn.Module, recipe: Recipe) -> None:
    """Set training mode, except for normalisation whose statistics the recipe freezes."""
    module.train()
    for part in module.modules() if recipe.frozen_norms else ():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()


def measures_norms(state: State, recipe: Recipe) -> bool:
    """Return whether batch normalisation measures the batches that are trained on."""
    parts = cast("nn.Module", state.network).modules()
    return not recipe.frozen_norms and any(isinstance(part, nn.BatchNorm2d) for part in parts)


def take_step(
    module: nn.Module,
    state: State,
    recipe: Recipe,
    batch: Batch,
    epoch: int,
    ranks: Ranks = ALONE,
) -> dict[str, Tensor]:
    """Take one step, and return the loss and its terms.

    These stay on the device, so that the processor need not wait for a GPU.

    Args:
        module: A `TrainingStep`, perhaps compiled.
        state: State of the training, which the step changes.
        recipe: Recipe of the run.
        batch: This process's part of the batch.
        epoch: Number of pictures in an epoch.
        ranks: The processes that take the step together; the loss is the mean over them.

    Raises:
        FloatingPointError: If the loss is not a finite number; on a GPU `check_loss` finds out.
    """
    lr = learning_rate(recipe, state.step, state.lr_factor)
    for group in state.optimiser.param_groups:
        group["lr"] = lr * group["relative_lr"]
    # Convolutions are faster on channels that lie next to each other, as the network's weights do.
    loss, terms = module(
        batch.rainy.contiguous(memory_format=torch.channels_last),
        batch.clean.contiguous(memory_format=torch.channels_last),
    )
    # Averaged first, so that no process takes a step from a loss that another one stops at.
    losses = ranks.means({"loss": loss.detach(), **terms})
    # Before the optimiser, so that the weights are not spoilt; a GPU is not waited for.
    if loss.device.type == "cpu":
        check_loss(losses["loss"], state.step)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    ranks.average_gradients(module)
    if not recipe.frozen_norms:
        ranks.average_norms(module)
    if recipe.clip:
        nn.utils.clip_grad_norm_(module.parameters(), recipe.clip)
    state.optimiser.step()
    if state.averaged:
        network = cast("nn.Module", state.network)
        _average(state.averaged, network, state.trunk_steps + state.step, recipe.ema)
    state.step += 1
    if recipe.schedule == "plateau":
        watch_plateau(state, float(losses["loss"]), max(1, epoch // recipe.batch))
    return losses


def check_loss(loss: Tensor, step: int) -> None:
    """Raise FloatingPointError if the loss of a step is not a finite number."""
    if not torch.isfinite(loss):
        raise FloatingPointError(
            f"step {step}: the loss is {loss.item()}; a smaller lr, or clip=1, may help"
        )


def _average(averaged: AveragedModel, network: nn.Module, done: int, decay: float) -> None:
    """Move the running mean of the weights towards the latest ones.

    A young mean follows faster, so that it is of use from the first validation on. This does what
    `AveragedModel.update_parameters` does, which would wait for a GPU at every step.

    Args:
        averaged: The running mean, which is changed.
        network: The network with the latest weights.
        done: Steps that the mean has followed so far.
        decay: Share of the old mean that is kept, in [0, 1).
    """
    share = 1 - min(decay, (1 + done) / (10 + done)) if done else 1.0
    with torch.no_grad():
        means = [parameter.detach() for parameter in averaged.module.parameters()]
        latest = [parameter.detach() for parameter in network.parameters()]
        torch._foreach_lerp_(means, latest, share)  # pyright: ignore
        for mean, now in zip(averaged.module.buffers(), network.buffers(), strict=True):
            mean.copy_(now)
        averaged.n_averaged += 1


def watch_plateau(state: State, loss: float, epoch_steps: int) -> None:
    """Multiply the rate by 0.9 after an epoch whose mean loss did not fall (NLEDN, section 4.2)."""
    state.epoch_loss += loss
    state.epoch_steps += 1
    if state.epoch_steps < epoch_steps:
        return
    mean = state.epoch_loss / state.epoch_steps
    if mean >= state.last_epoch_loss:
        state.lr_factor *= PLATEAU_FACTOR
    state.last_epoch_loss, state.epoch_loss, state.epoch_steps = mean, 0.0, 0


def settle_norms(
    averaged: AveragedModel,
    batches: BatchSource,
    step: int,
    device: torch.device,
    ranks: Ranks = ALONE,
) -> None:
    """Measure batch normalisation's means and variances for averaged weights.

    They are measured on the latest batches. `AveragedModel` copies the statistics of the trained
    weights, which do not fit the averaged ones; the next step copies them again.
    """
    norms = [module for module in averaged.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all batches
    averaged.train()
    network = cast("Network", averaged.module)
    with torch.no_grad():
        for k in range(max(0, step - NORM_BATCHES), step):
            batch = batches.batch(k, device)
            # The loss also computes parts of the network that only training uses.
            network.loss(batch.rainy, batch.clean)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    ranks.average_norms(averaged)
    averaged.eval()
