"""Training steps of one of Petrichor's sizes on one device, in one of several modes."""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.networks import Petrichor
from derain.networks.losses import rmse_loss
from derain.networks.petrichor import GatedBlock, ResidualBlock
from derain.train import Batch, ResidentBatches

MODES = ("compiled", "graph", "compiled graph", "shifted compiled graph")
"""How a step runs. ``shifted``: depthwise convolutions as sums of shifted maps, which compile well;
``compiled``: blocks by torch.compile; ``graph``: all of it, rain included, as one CUDA graph."""
FALLBACKS = ("shifted compiled half-graph", "half-graph", "plain")
"""What is tried where no other mode works; ``half-graph`` records the step without the rain."""

AVERAGE_EVERY = 8
WARM_UP_STEPS = 300
TIMED_STEPS = 12
UNTIMED_STEPS = 2
"""The first of the timed steps, which do not count."""


@dataclass(frozen=True)
class Settings:
    """Settings that a size trains with.

    Attributes:
        lr: The trunk's rate.
        ema: Decay of the running mean, for one step.
        decay: Share of the time in which the rate falls to zero.
        seed: Seed of crops and rain.
    """

    batch: int
    crop: int = 192
    lr: float = 1.5e-3
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 1e-4
    clip: float = 0.5
    ema: float = 0.9995
    decay: float = 0.3
    bars: float = 0.1
    exposure: float = 1.0
    blown: float = 0.1
    compressed: float = 0.35
    seed: int = 1000

    def rate(self, done: float, step: int) -> float:
        """Return the rate after a share of the time: warm-up, constant, falling as 1 - sqrt."""
        warm = min(1.0, (step + 1) / WARM_UP_STEPS)
        falling = max(0.0, (done - (1 - self.decay)) / self.decay)
        return self.lr * warm * (1 - math.sqrt(min(1.0, falling)))


class ShiftedDepthwise(nn.Module):
    """A depthwise 3x3 convolution as nine shifted products, under the same parameter names."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of (N, C, H, W), of the same shape."""
        height, width = x.shape[2:]
        around = F.pad(x, (1, 1, 1, 1))
        assert self.bias is not None
        total = self.bias.view(1, -1, 1, 1)
        for down in range(3):
            for right in range(3):
                factor = self.weight[:, 0, down, right].view(1, -1, 1, 1)
                part = around[:, :, down : down + height, right : right + width]
                total = total + part * factor
        return total.to(x.dtype)


class Stepper:
    """Training steps of one network on one device, in one of `MODES`.

    Raises:
        Exception: Whatever a compiler or a graph raises; another mode may work then.
    """

    def __init__(
        self,
        network: Petrichor,
        batches: ResidentBatches,
        settings: Settings,
        device: torch.device,
        mode: str,
    ) -> None:
        self.network = network.to(device).to(memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]
        self.settings = settings
        self._device = device
        self.mode = mode
        self._half = "half" in mode
        if "shifted" in mode:
            for block in (m for m in self.network.modules() if isinstance(m, GatedBlock)):
                block.context = cast("nn.Conv2d", ShiftedDepthwise(block.context))
        if "compiled" in mode:  # block by block: those of one kind are compiled once
            for block in self.network.modules():
                if isinstance(block, GatedBlock | ResidualBlock):
                    block.forward = torch.compile(block.forward, dynamic=False)
        self._parameters = list(self.network.parameters())
        self.means = [parameter.detach().clone() for parameter in self._parameters]
        on_gpu = device.type == "cuda"
        if on_gpu:
            self._aside = torch.cuda.Stream(device)
        self._lr = torch.tensor(settings.lr, device=device)
        self._optimiser = torch.optim.AdamW(
            self._parameters,
            lr=self._lr if on_gpu else settings.lr,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            fused=True,
            capturable=on_gpu,
        )
        self._batches = batches
        self._next = torch.zeros((), dtype=torch.int64, device=device)
        self._batch = self._laid_out(batches.numbered(self._next))
        self._graph: torch.cuda.CUDAGraph | None = None
        self.taken = 0
        self.loss = torch.zeros((), device=device)

    def step(self, lr: float) -> None:
        """Take one step, without waiting for the device."""
        if self._device.type == "cuda":
            self._lr.fill_(lr)
        else:
            self._optimiser.param_groups[0]["lr"] = lr
        if self._graph is not None and self._half:
            self._whole(self._graph.replay)
        elif self._graph is not None:
            self._graph.replay()
        elif "graph" not in self.mode:
            self._whole(self._train)
        elif self.taken < 3:  # beside the stream that records, as graphs want it
            aside, here = torch.cuda.Stream(self._device), torch.cuda.current_stream(self._device)
            aside.wait_stream(here)
            with torch.cuda.stream(aside):
                self._whole(self._train)
            here.wait_stream(aside)
        else:
            self._record()
        self.taken += 1
        if self.taken % AVERAGE_EVERY == 0:
            decay = min(self.settings.ema, (1 + self.taken) / (10 + self.taken))
            parameters = [parameter.detach() for parameter in self._parameters]
            torch._foreach_lerp_(self.means, parameters, 1 - decay**AVERAGE_EVERY)  # pyright: ignore

    def _whole(self, train: Callable[[], None]) -> None:
        """Train on the current batch while the next one is made."""
        if self._device.type != "cuda":
            train()
            self._batch = self._made()
            return
        here = torch.cuda.current_stream(self._device)
        self._aside.wait_stream(here)
        train()
        with torch.cuda.stream(self._aside):
            made = self._made()
        here.wait_stream(self._aside)
        self._batch.rainy.copy_(made.rainy)
        self._batch.clean.copy_(made.clean)

    def _made(self) -> Batch:
        """Return the next batch."""
        self._next += 1
        return self._laid_out(self._batches.numbered(self._next))

    @staticmethod
    def _laid_out(batch: Batch) -> Batch:
        halves = (batch.rainy, batch.clean)
        return Batch(*(half.contiguous(memory_format=torch.channels_last) for half in halves))

    def _train(self) -> None:
        """Take a step on the current batch."""
        kind = self._device.type
        with torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda"):
            estimate = self.network.estimate(self._batch.rainy)
        loss = rmse_loss(estimate.float(), self._batch.clean)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, self.settings.clip)
        self._optimiser.step()
        self.loss = loss.detach()

    def _record(self) -> None:
        """Record one step as a graph, and replay it, since recording does not compute."""
        torch.cuda.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        self._optimiser.zero_grad(set_to_none=True)
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            if self._half:
                self._train()
            else:
                self._whole(self._train)
        self._graph.replay()


def median_seconds(call: Callable[[], None], device: torch.device) -> float:
    """Return the median seconds of a call, after two that do not count."""
    times: list[float] = []
    for _ in range(TIMED_STEPS):
        began = time.perf_counter()
        call()
        wait_for(device)
        times.append(time.perf_counter() - began)
    return statistics.median(times[UNTIMED_STEPS:])


def wait_for(device: torch.device) -> None:
    """Wait until the device has computed all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
