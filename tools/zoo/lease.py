"""Fifteen minutes of a GPU: tests, the pace of each size, training, speed. One script, rehearsed on a CPU.

A GPU that is lent for minutes must not wait for anything. Rain is made on it for whole batches
(`derain.data.ResidentBatches`), a step is compiled and recorded as a CUDA graph where that measures
faster, and sizes that train one after the other compile at the same time. Whatever only a GPU can
do (compiling, graphs, streams) falls back to the plain step, and says so.

    python tools/zoo/lease.py pace --data DIR --out OUT --scratch runs/lease
    python tools/zoo/lease.py train --data DIR --out OUT --scratch runs/lease \
        --plan petrichor-deep=270 petrichor=130 petrichor-live=60
    python tools/zoo/lease.py speed --out OUT

DIR holds ``clean/train`` and ``textures``; weights begin from the shipped ones, or from
``DIR/NAME.safetensors`` where there is one. ``--rehearse`` makes everything tiny, for a CPU. `train`
takes the seconds that each size trains; of these the last ``--decay`` bring its rate to zero. OUT
gets, for each size, ``NAME.safetensors`` (decayed, averaged), ``NAME-trunk.safetensors`` (as it was
before the decay), written anew every minute, and ``log.jsonl``.
"""

import argparse
import fcntl
import json
import math
import os
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain import rain, weights
from derain.data import ResidentBatches, clean_pictures
from derain.networks import NETWORKS, Petrichor, PetrichorDeep, PetrichorLive, PetrichorWide, grown
from derain.networks.losses import frequency_loss
from derain.networks.petrichor import FREQUENCY_WEIGHT, GatedBlock, ResidualBlock
from derain.train.loop import prefetch
from derain.weights import Card, Point, Stage

SIZES: dict[str, type[Petrichor]] = {
    "petrichor": Petrichor,
    "petrichor-live": PetrichorLive,
    "petrichor-deep": PetrichorDeep,
    "petrichor-wide": PetrichorWide,
}
MODES = ("plain", "graph", "compiled graph", "shifted compiled graph")
"""How a step runs. ``shifted``: depthwise convolutions as sums of shifted maps, which compile well."""

CHECKPOINT_SECONDS = 60
AVERAGE_EVERY = 8
WARM_UP_STEPS = 300
TIMED_STEPS = 12


@dataclass(frozen=True)
class Settings:
    """What a size trains with.

    Attributes:
        lr: The trunk's rate.
        ema: Decay of the running mean, for one step.
        decay: Share of the time in which the rate falls to zero.
        seed: Of crops and rain.
    """

    batch: int
    crop: int = 192
    lr: float = 1.5e-3
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 1e-4
    clip: float = 0.5
    ema: float = 0.9995
    decay: float = 0.3
    exposure: float = 1.0
    blown: float = 0.06
    seed: int = 1000

    def rate(self, done: float, step: int) -> float:
        """Return the rate after a share of the time: warm-up, constant, falling as 1 - sqrt."""
        warm = min(1.0, (step + 1) / WARM_UP_STEPS)
        falling = max(0.0, (done - (1 - self.decay)) / self.decay)
        return self.lr * warm * (1 - math.sqrt(min(1.0, falling)))


SETTINGS = {
    "petrichor": Settings(batch=48, lr=2e-3),
    "petrichor-live": Settings(batch=64, lr=2.5e-3),
    "petrichor-deep": Settings(batch=32),
    "petrichor-wide": Settings(batch=32, lr=1e-3),
}


class ShiftedDepthwise(nn.Module):
    """A depthwise 3x3 convolution as nine shifted products, under the same parameter names."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, x: Tensor) -> Tensor:
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
    """Takes training steps of one network on one device, in one of `MODES`.

    Raises:
        Exception: Whatever a compiler or a graph comes up with; `best_mode` falls back then.
    """

    def __init__(
        self, network: Petrichor, settings: Settings, device: torch.device, mode: str
    ) -> None:
        self.network = network.to(device).to(memory_format=torch.channels_last).train()
        self.settings = settings
        self._device = device
        self._mode = mode
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
        self._lr = torch.tensor(settings.lr, device=device)
        self._optimiser = torch.optim.AdamW(
            self._parameters,
            lr=self._lr if on_gpu else settings.lr,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            fused=True,
            capturable=on_gpu,
        )
        shape = (settings.batch, 3, settings.crop, settings.crop)
        self._rainy, self._clean = (
            torch.zeros(shape, device=device).to(memory_format=torch.channels_last) for _ in range(2)
        )
        self._graph: torch.cuda.CUDAGraph | None = None
        self._taken = 0
        self.loss = torch.zeros((), device=device)

    def step(self, rainy: Tensor, clean: Tensor, lr: float) -> None:
        """Take one step; nothing waits for the device."""
        self._rainy.copy_(rainy, non_blocking=True)
        self._clean.copy_(clean, non_blocking=True)
        if self._device.type == "cuda":
            self._lr.fill_(lr)
        else:
            self._optimiser.param_groups[0]["lr"] = lr
        if self._graph is not None:
            self._graph.replay()
        elif "graph" not in self._mode:
            self._plain()
        elif self._taken < 3:  # beside the stream that records, as graphs want it
            self._beside()
        else:
            self._record()
        self._taken += 1
        if self._taken % AVERAGE_EVERY == 0:
            decay = min(self.settings.ema, (1 + self._taken) / (10 + self._taken))
            parameters = [parameter.detach() for parameter in self._parameters]
            torch._foreach_lerp_(self.means, parameters, 1 - decay**AVERAGE_EVERY)  # pyright: ignore

    def _plain(self) -> None:
        kind = self._device.type
        with torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda"):
            estimate = self.network.estimate(self._rainy)
        estimate = estimate.float()
        loss = F.l1_loss(estimate, self._clean)
        loss = loss + FREQUENCY_WEIGHT * frequency_loss(estimate, self._clean)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, self.settings.clip)
        self._optimiser.step()
        self.loss = loss.detach()

    def _beside(self) -> None:
        aside, here = torch.cuda.Stream(self._device), torch.cuda.current_stream(self._device)
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            self._plain()
        here.wait_stream(aside)

    def _record(self) -> None:
        """Record one step as a graph, and replay it, since recording does not compute."""
        torch.cuda.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        self._optimiser.zero_grad(set_to_none=True)
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._plain()
        self._graph.replay()


@dataclass(frozen=True)
class Place:
    """Where the script reads and writes, and how small it is to be."""

    data: Path
    out: Path
    scratch: Path
    device: torch.device
    rehearse: bool

    def settings(self, name: str) -> Settings:
        chosen = SETTINGS[name]
        return replace(chosen, batch=2, crop=64) if self.rehearse else chosen

    def network(self, name: str) -> tuple[Petrichor, Card]:
        """Return what a size begins from: its own weights, or the default size grown."""
        own = self.data / f"{name}.safetensors"
        for place in (str(own), name):
            try:
                network, card = weights.find(place)
            except FileNotFoundError:
                continue
            return cast("Petrichor", network), card
        network, card = self.network("petrichor")
        return grown(network, SIZES[name]), replace(card, name=name, network=name)

    def batches(self, settings: Settings) -> ResidentBatches:
        pictures = clean_pictures(self.data / "clean/train")
        bank = self._bank()
        return ResidentBatches(
            pictures[:8] if self.rehearse else pictures,
            rain.PRESETS["mixed"],
            bank,
            self.device,
            batch=settings.batch,
            crop=settings.crop,
            seed=settings.seed,
            exposure=settings.exposure,
            blown=settings.blown,
        )

    def _bank(self) -> rain.TextureBank:
        return rain.load_textures(self.data / "textures")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the device: others of this script compile meanwhile, and wait."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        with (self.scratch / "device.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def say(text: str) -> None:
    print(f"{time.monotonic() - BEGAN:6.1f} s  {text}", flush=True)


BEGAN = time.monotonic()


def pace(place: Place, names: list[str], modes: list[str]) -> None:
    """Measure seconds a step of one size in some modes, and write the fastest down."""
    for name in names:
        settings = place.settings(name)
        batches = place.batches(settings)
        say(f"{name}: pictures and textures are loaded")
        made: dict[str, float] = {}
        for mode in modes:
            try:
                made[mode] = _seconds_a_step(place, name, settings, batches, mode)
            except Exception as error:  # a compiler or graph that fails is a result
                say(f"{name}, {mode}: failed, {type(error).__name__}: {str(error)[:300]}")
                traceback.print_exc(limit=4)
                continue
            pixels = settings.batch * settings.crop**2 / made[mode]
            say(f"{name}, {mode}: {1e3 * made[mode]:.2f} ms a step, {pixels / 1e6:.0f} megapixels/s")
            _write_pace(place, name, mode, made[mode])


def _write_pace(place: Place, name: str, mode: str, seconds: float) -> None:
    place.scratch.mkdir(parents=True, exist_ok=True)
    with (place.scratch / "pace.jsonl").open("a") as file:
        file.write(json.dumps({"name": name, "mode": mode, "seconds": seconds}) + "\n")


def best_mode(place: Place, name: str) -> str:
    """Return the fastest mode measured for a size; the plain step where nothing was."""
    path = place.scratch / "pace.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    mine = [row for row in rows if row["name"] == name] or rows
    return min(mine, key=lambda row: row["seconds"])["mode"] if mine else "plain"


def _seconds_a_step(
    place: Place, name: str, settings: Settings, batches: ResidentBatches, mode: str
) -> float:
    """Return the median time of a whole step, rain included, after it is compiled and recorded."""
    torch.manual_seed(0)
    stepper = Stepper(place.network(name)[0], settings, place.device, mode)
    batch = batches.batch(0, place.device)
    for _ in range(6):  # compiles without holding the device
        stepper.step(batch.rainy, batch.clean, 1e-6)
    _wait(place.device)
    say(f"{name}, {mode}: ready")
    with place.alone():
        rainless = _timed(lambda: stepper.step(batch.rainy, batch.clean, 1e-6), place.device)
        rainy = _timed(lambda: batches.batch(1, place.device), place.device)
        times: list[float] = []
        began = time.perf_counter()
        for batch in prefetch(batches, 0, TIMED_STEPS + 4, place.device):
            stepper.step(batch.rainy, batch.clean, 1e-6)
            _wait(place.device)
            times.append(time.perf_counter() - began)
            began = time.perf_counter()
    say(f"{name}, {mode}: {1e3 * rainless:.2f} ms without rain, {1e3 * rainy:.2f} ms a batch of rain")
    return statistics.median(times[4:])


def _timed(call: Any, device: torch.device) -> float:
    times: list[float] = []
    for _ in range(TIMED_STEPS):
        began = time.perf_counter()
        call()
        _wait(device)
        times.append(time.perf_counter() - began)
    return statistics.median(times[2:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def train(place: Place, name: str, seconds: float) -> None:
    """Train one size for so long, once the device is free, and write what comes of it."""
    settings = place.settings(name)
    mode = best_mode(place, name)
    network, card = place.network(name)
    batches = place.batches(settings)
    torch.manual_seed(settings.seed)
    stepper, mode = _ready(network, settings, place, mode, batches)
    say(f"{name}: ready, {mode}")
    with place.alone(), (place.out / "log.jsonl").open("a") as log:
        began = last = time.monotonic()
        step, trunk_kept = 0, False
        for batch in prefetch(batches, 1, sys.maxsize, place.device):
            now = time.monotonic()
            done = (now - began) / seconds
            if done >= 1:
                break
            if done >= 1 - settings.decay and not trunk_kept:
                _save(stepper, name, card, place, step, now - began, mode, f"{name}-trunk")
                trunk_kept = True
            stepper.step(batch.rainy, batch.clean, settings.rate(done, step))
            step += 1
            if step % 200 == 0 or (place.rehearse and step % 2 == 0):
                loss = float(stepper.loss)
                row = {"name": name, "step": step, "seconds": round(now - began, 2), "loss": loss}
                log.write(json.dumps(row) + "\n")
                if not math.isfinite(loss):
                    raise FloatingPointError(f"{name}: step {step}: the loss is {loss}")
            if now - last > CHECKPOINT_SECONDS:
                _save(stepper, name, card, place, step, now - began, mode, name)
                log.flush()
                say(f"{name}: step {step}, loss {float(stepper.loss):.5f}")
                last = now
        _wait(place.device)
        took = time.monotonic() - began
    _save(stepper, name, card, place, step, took, mode, name)
    say(f"{name}: {step} steps in {took:.0f} s, {step / took:.1f} a second, {mode}")


def _ready(
    network: Petrichor, settings: Settings, place: Place, mode: str, batches: ResidentBatches
) -> tuple[Stepper, str]:
    """Return a stepper that has compiled and recorded its step; the plain one where that fails."""
    kept = {key: value.clone() for key, value in network.state_dict().items()}
    batch = batches.batch(0, place.device)
    for tried in dict.fromkeys([mode, "graph", "plain"]):
        fresh = type(network)()
        fresh.load_state_dict(kept)
        try:
            stepper = Stepper(fresh, settings, place.device, tried)
            for _ in range(6):
                stepper.step(batch.rainy, batch.clean, 1e-6)
            _wait(place.device)
            return stepper, tried
        except Exception as error:  # the next mode is simpler
            say(f"not {tried}: {type(error).__name__}: {str(error)[:200]}")
    raise RuntimeError("no mode works; see above")


def _save(
    stepper: Stepper, name: str, card: Card, place: Place, step: int, took: float, mode: str, file: str
) -> None:
    """Write the running mean of the weights with its card."""
    settings = stepper.settings
    mean = SIZES[name]()
    names = [key for key, _ in stepper.network.named_parameters()]
    state = dict(zip(names, (value.cpu() for value in stepper.means), strict=True))
    mean.load_state_dict(state)
    said = {"name": name, "batch": settings.batch, "crop": settings.crop, "lr": settings.lr}
    said |= {"seed": settings.seed, "exposure": settings.exposure, "blown": settings.blown}
    said |= {"rain": ["mixed"], "schedule": "trunk" if "trunk" in file else "trunk and branch"}
    stage = Stage(
        recipe=json.dumps(said),
        data="clean/train",
        steps=step,
        hours=round(took / 3600, 4),
        machine=f"{_device_name(place.device)}, bfloat16, {mode}",
        commit=os.environ.get("DERAIN_COMMIT", ""),
        curve=(),
    )
    history = (*card.stages, stage)
    written = replace(
        card,
        name=name,
        network=name,
        recipe=name,
        rain="mixed, with streak textures",
        steps=sum(part.steps for part in history),
        hours=round(sum(part.hours for part in history), 3),
        machine=stage.machine,
        scores={},
        commit=stage.commit,
        history=history,
    )
    weights.save(mean, written, place.out / f"{file}.safetensors")


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


SPEED_SIZES = ((321, 481), (1080, 1920), (3000, 4000))


def speed(place: Place, names: list[str]) -> None:
    """Print seconds a picture of some sizes, whole, by number format; sizes take turns."""
    formats = (torch.float32, torch.bfloat16, torch.float16)
    rows: list[dict[str, Any]] = []
    for height, width in SPEED_SIZES[:1] if place.rehearse else SPEED_SIZES:
        picture = torch.rand(1, 3, height, width, device=place.device)
        picture = picture.contiguous(memory_format=torch.channels_last)
        for name in names:
            network = place.network(name)[0].to(place.device).to(memory_format=torch.channels_last)
            for dtype in formats:
                rows.append(_speed(network.eval(), picture, dtype) | {"name": name})
    print("| model | size | format | ms a picture | megapixels/s | peak memory, MB |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        size = f"{row['width']}x{row['height']}"
        rate = row["width"] * row["height"] / row["seconds"] / 1e6
        print(
            f"| `{row['name']}` | {size} | {row['dtype']} | {1e3 * row['seconds']:.2f} | {rate:.0f} | "
            f"{row['memory'] / 1e6:.0f} |"
        )
    (place.out / "speed.json").write_text(json.dumps(rows))


def _speed(network: Petrichor, picture: Tensor, dtype: torch.dtype) -> dict[str, Any]:
    device = picture.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()

    def once() -> None:
        with (
            torch.inference_mode(),
            torch.autocast(device.type, dtype, enabled=dtype != torch.float32),
        ):
            network(picture)

    seconds = _timed(once, device)
    memory = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    height, width = picture.shape[2:]
    kind = str(dtype).removeprefix("torch.")
    return {"height": height, "width": width, "dtype": kind, "seconds": seconds, "memory": memory}


def main() -> None:
    """Run one of the verbs, sizes in processes of their own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=("pace", "train", "speed"))
    parser.add_argument("--data", type=Path, default=Path(".carry"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, default=Path("runs/lease"))
    parser.add_argument("--plan", nargs="+", default=["petrichor-deep=270", "petrichor=130", "petrichor-live=60"])
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", help="size that this process is for; none for all, each in its own")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    place = Place(
        arguments.data, arguments.out, arguments.scratch, torch.device(arguments.device), arguments.rehearse
    )
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    plan = {name: float(seconds) for name, _, seconds in (item.partition("=") for item in arguments.plan)}
    unknown = [name for name in plan if name not in NETWORKS or name not in SIZES]
    if unknown:
        parser.error(f"--plan {unknown[0]}: expected sizes such as petrichor-deep=270")
    if arguments.verb == "speed":
        torch.backends.cudnn.allow_tf32 = False
        speed(place, list(plan))
    elif arguments.only and arguments.verb == "pace":
        pace(place, [arguments.only], arguments.modes)
    elif arguments.only:
        train(place, arguments.only, plan[arguments.only])
    else:
        _each_in_its_own(list(plan))


def _each_in_its_own(names: list[str]) -> None:
    """Run this script once for each size, all at the same time, in the order they take the device."""
    running: list[subprocess.Popen[bytes]] = []
    for name in names:
        running.append(subprocess.Popen([sys.executable, *sys.argv, "--only", name]))
        time.sleep(1)
    failed = [name for name, process in zip(names, running, strict=True) if process.wait()]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
