"""Fifteen minutes of a GPU: tests, the pace of each size, training, speed. One script, rehearsed on
a CPU.

A GPU that is lent for minutes must not wait for anything. Rain is made on it for whole batches
(`derain.train.ResidentBatches`), a step is compiled and recorded as a CUDA graph where that
measures faster, and sizes that train one after the other compile at the same time. Whatever only a
GPU can do (compiling, graphs, streams) falls back to the plain step, and says so.

    python tools/zoo/lease.py test --out OUT
    python tools/zoo/lease.py train --data DIR --out OUT --scratch runs/lease \
        --until 530 --plan petrichor-deep=6 petrichor=3 petrichor-live=1
    python tools/zoo/lease.py speed --out OUT

DIR holds ``clean/train`` and ``textures``; weights begin from the shipped ones, or from
``DIR/NAME.safetensors`` where there is one. ``--rehearse`` makes everything tiny, for a CPU. `test`
runs the tests that want a GPU. `train` times each size in several modes, and shares the time up to
``--until`` (seconds from the start) out among sizes by the shares of ``--plan``; over the last part
of each the rate falls to zero. OUT gets, for each size, ``NAME.safetensors`` (decayed, averaged),
``NAME-trunk.safetensors`` (as it was before the decay), written anew every minute, and
``log.jsonl``.
"""

import argparse
import functools
import json
import math
import os
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from derain import rain, weights
from derain.data import clean_pictures
from derain.images import read_image
from derain.networks import Petrichor, PetrichorDeep, PetrichorLive, PetrichorWide, grown
from derain.networks.losses import frequency_loss
from derain.networks.petrichor import FREQUENCY_WEIGHT, GatedBlock, ResidualBlock
from derain.train.batches import Batch
from derain.train.resident import ResidentBatches, read_bytes
from derain.weights import Card, Stage

SIZES: dict[str, type[Petrichor]] = {
    "petrichor": Petrichor,
    "petrichor-live": PetrichorLive,
    "petrichor-deep": PetrichorDeep,
    "petrichor-wide": PetrichorWide,
}
MODES = ("compiled", "graph", "compiled graph", "shifted compiled graph")
"""How a step runs. ``shifted``: depthwise convolutions as sums of shifted maps, which compile well;
``compiled``: blocks by torch.compile; ``graph``: all of it, rain included, as one CUDA graph."""
FALLBACKS = ("shifted compiled half-graph", "half-graph", "plain")
"""What is tried where none of these works; ``half-graph`` records the step without the rain."""

CHECKPOINT_SECONDS = 60
AVERAGE_EVERY = 8
CHECK_EVERY = 50
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
    blown: float = 0.1
    compressed: float = 0.35
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
        Exception: Whatever a compiler or a graph comes up with; `ready` tries the next mode then.
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
        """Take one step; nothing waits for the device."""
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
        """Train on the batch that is there while the next is made."""
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
        self._next += 1
        return self._laid_out(self._batches.numbered(self._next))

    @staticmethod
    def _laid_out(batch: Batch) -> Batch:
        halves = (batch.rainy, batch.clean)
        return Batch(*(half.contiguous(memory_format=torch.channels_last) for half in halves))

    def _train(self) -> None:
        kind = self._device.type
        with torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda"):
            estimate = self.network.estimate(self._batch.rainy)
        estimate = estimate.float()
        loss = F.l1_loss(estimate, self._batch.clean)
        loss = loss + FREQUENCY_WEIGHT * frequency_loss(estimate, self._batch.clean)
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


@dataclass(frozen=True)
class Place:
    """Where the script reads and writes, and how small it is to be."""

    data: Path
    out: Path
    scratch: Path
    device: torch.device
    rehearse: bool

    @property
    def prepared(self) -> Path:
        """Where pictures and textures lie decoded; those of a rehearsal are few, and no others."""
        return self.scratch / ("rehearsal.pt" if self.rehearse else "data.pt")

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

    def prepare(self) -> None:
        """Decode all pictures and textures, once for all sizes, into one file."""
        paths = clean_pictures(self.data / "clean/train")
        textures = clean_pictures(self.data / "textures")
        if self.rehearse:
            paths, textures = paths[:8], textures[:8]
        side = max(self.settings(name).crop for name in SIZES)
        with ProcessPoolExecutor() as pool:
            grey = list(pool.map(_grey, textures, chunksize=8))
            pictures = list(pool.map(_pixels, paths, [side] * len(paths), chunksize=8))
        bank = rain.bank_of("textures", [torch.from_numpy(texture) for texture in grey])
        parts = {name: getattr(bank, name) for name in BANK_PARTS}
        content = {"pictures": [torch.from_numpy(picture) for picture in pictures], "bank": parts}
        self.scratch.mkdir(parents=True, exist_ok=True)
        draft = self.prepared.with_suffix(".part")
        torch.save(content, draft)
        os.replace(draft, self.prepared)

    def batches(self, settings: Settings) -> ResidentBatches:
        """Wait until the data are prepared, and put them on the device."""
        while not self.prepared.exists():
            time.sleep(0.1)
        content = torch.load(self.prepared, weights_only=True)
        return ResidentBatches(
            content["pictures"],
            rain.PRESETS["mixed"],
            rain.TextureBank("textures", **content["bank"]),
            self.device,
            batch=settings.batch,
            crop=settings.crop,
            seed=settings.seed,
            exposure=settings.exposure,
            blown=settings.blown,
            compressed=settings.compressed,
        )

    @contextmanager
    def turn(self, name: str, order: list[str]) -> Generator[None]:
        """Wait until the sizes before this one are done; they may have failed."""
        before = [self.scratch / f"{other}.done" for other in order[: order.index(name)]]
        while not all(mark.exists() for mark in before):
            time.sleep(0.05)
        try:
            yield
        finally:
            (self.scratch / f"{name}.done").touch()


BANK_PARTS = ("texels", "slopes", "starts", "heights", "widths")


def _grey(path: Path) -> NDArray[np.float32]:
    return np.asarray(read_image(path), np.float32).mean(axis=2) / 255


def _pixels(path: Path, side: int) -> NDArray[np.uint8]:
    return read_bytes(path, side).numpy()


def say(text: str) -> None:
    print(f"{elapsed():6.1f} s  {text}", flush=True)


BEGAN = float(os.environ.setdefault("DERAIN_LEASE_BEGAN", str(time.monotonic())))
"""When the script began, for the processes it starts too; monotonic clocks are the machine's."""


def elapsed() -> float:
    return time.monotonic() - BEGAN


def ready(place: Place, name: str, modes: list[str]) -> Stepper:
    """Return the stepper of the fastest mode, compiled and recorded; modes that fail are named."""
    settings = place.settings(name)
    batches = place.batches(settings)
    say(f"{name}: data are on the device")
    network, _ = place.network(name)
    kept = {key: value.clone() for key, value in network.state_dict().items()}
    found: list[tuple[float, str]] = []
    for mode in (*modes, *FALLBACKS):
        if found and mode in FALLBACKS:
            break
        torch.manual_seed(settings.seed)
        fresh = SIZES[name]()
        fresh.load_state_dict(kept)
        try:
            stepper = Stepper(fresh, batches, settings, place.device, mode)
            for _ in range(5):
                stepper.step(1e-7)
            seconds = _timed(functools.partial(stepper.step, 1e-7), place.device)
        except Exception as error:  # a compiler or graph that fails is a result
            say(f"{name}, {mode}: failed, {type(error).__name__}: {str(error)[:300]}")
            traceback.print_exc(limit=-6)
            continue
        rate = settings.batch * settings.crop**2 / seconds / 1e6
        say(f"{name}, {mode}: {1e3 * seconds:.2f} ms a step, {rate:.0f} megapixels/s")
        found.append((seconds, mode))
        del stepper
    if not found:
        raise RuntimeError(f"{name}: no mode works; see above")
    fresh = SIZES[name]()
    fresh.load_state_dict(kept)
    stepper = Stepper(fresh, batches, settings, place.device, min(found)[1])
    for _ in range(5):
        stepper.step(1e-7)
    _wait(place.device)
    say(f"{name}: ready, {min(found)[1]}")
    return stepper


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


def train(place: Place, name: str, plan: dict[str, float], until: float, modes: list[str]) -> None:
    """Train one size for its share of the time, once those before it are done, and write it."""
    settings = place.settings(name)
    card = place.network(name)[1]
    order = list(plan)
    try:
        stepper = ready(place, name, modes)
    except BaseException:
        (place.scratch / f"{name}.done").touch()
        raise
    with place.turn(name, order), (place.out / "log.jsonl").open("a") as log:
        began = last = time.monotonic()
        share = plan[name] / sum(plan[other] for other in order[order.index(name) :])
        least = 1.0 if place.rehearse else 5.0
        seconds = max(least, share * (until - elapsed()))
        first, trunk_kept = stepper.taken, False
        say(f"{name}: trains for {seconds:.0f} s")
        while (done := (time.monotonic() - began) / seconds) < 1:
            step = stepper.taken - first
            if done >= 1 - settings.decay and not trunk_kept:
                _save(stepper, name, card, place, step, done * seconds, f"{name}-trunk")
                trunk_kept = True
            stepper.step(settings.rate(done, step))
            if step % CHECK_EVERY == 0 or place.rehearse:
                loss = float(stepper.loss)  # also keeps the queue of the device short
                row = {"name": name, "step": step, "seconds": done * seconds, "loss": loss}
                log.write(json.dumps(row) + "\n")
                if not math.isfinite(loss):
                    raise FloatingPointError(f"{name}: step {step}: the loss is {loss}")
            if time.monotonic() - last > CHECKPOINT_SECONDS:
                _save(stepper, name, card, place, step, done * seconds, name)
                log.flush()
                say(f"{name}: step {step}, loss {float(stepper.loss):.5f}")
                last = time.monotonic()
        _wait(place.device)
        took, step = time.monotonic() - began, stepper.taken - first
        _save(stepper, name, card, place, step, took, name)
    say(f"{name}: {step} steps in {took:.0f} s, {step / took:.1f} a second")


def _save(
    stepper: Stepper, name: str, card: Card, place: Place, step: int, took: float, file: str
) -> None:
    """Write the running mean of the weights with its card."""
    settings = stepper.settings
    mean = SIZES[name]()
    names = [key for key, _ in stepper.network.named_parameters()]
    state = dict(zip(names, (value.cpu() for value in stepper.means), strict=True))
    mean.load_state_dict(state)
    schedule = "trunk" if file.endswith("-trunk") else "trunk and branch"
    recipe = asdict(settings) | {
        "name": name,
        "network": name,
        "rain": ["mixed"],
        "schedule": schedule,
    }
    number_format = "bfloat16" if place.device.type == "cuda" else "float32"
    stage = Stage(
        recipe=json.dumps(recipe),
        data="clean/train",
        steps=step,
        hours=round(took / 3600, 4),
        machine=f"{_device_name(place.device)}, {number_format}, {stepper.mode}",
        commit=os.environ.get("DERAIN_COMMIT", ""),
        curve=(),
    )
    history = (*card.history, stage)
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


TESTED = ("tests/rain", "tests/data", "tests/test_train.py")
"""Where tests are that want a GPU, and have it in their names."""

SPEED_SIZES = ((321, 481), (1080, 1920), (3000, 4000))


def speed(place: Place, names: list[str]) -> None:
    """Print seconds a picture of some sizes, whole, by number format; sizes take turns."""
    formats = (torch.float32, torch.bfloat16, torch.float16)
    rows: list[dict[str, Any]] = []
    for height, width in SPEED_SIZES[:1] if place.rehearse else SPEED_SIZES:
        picture = torch.rand(1, 3, height, width, device=place.device)
        picture = picture.contiguous(memory_format=torch.channels_last)
        for name in names:
            network = place.network(name)[0].to(place.device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
            for dtype in formats:
                rows.append(_speed(network.eval(), picture, dtype) | {"name": name})
    print("| model | size | format | ms a picture | megapixels/s | peak memory, MB |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        size = f"{row['width']}x{row['height']}"
        rate = row["width"] * row["height"] / row["seconds"] / 1e6
        print(
            f"| `{row['name']}` | {size} | {row['dtype']} | {1e3 * row['seconds']:.2f} | {rate:.0f}"
            f" | {row['memory'] / 1e6:.0f} |"
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
    parser.add_argument("verb", choices=("test", "train", "speed"))
    parser.add_argument("--data", type=Path, default=Path(".carry"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, default=Path("runs/lease"))
    parser.add_argument(
        "--plan", nargs="+", default=["petrichor-deep=6", "petrichor=3", "petrichor-live=1"]
    )
    parser.add_argument("--until", type=float, default=530, help="seconds from the start")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--only", help="size that this process is for; none for all, each in its own"
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    place = Place(
        arguments.data,
        arguments.out,
        arguments.scratch,
        torch.device(arguments.device),
        arguments.rehearse,
    )
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    plan: dict[str, float] = {}
    for item in arguments.plan:
        name, _, share = item.partition("=")
        if name not in SIZES or not share.replace(".", "", 1).isdecimal():
            parser.error(
                f"--plan {item}: expected a size and its share of the time, such as"
                " petrichor-deep=6"
            )
        plan[name] = float(share)
    if arguments.verb == "test":
        sys.exit(subprocess.call([sys.executable, "-m", "pytest", "-n", "0", "-k", "gpu", *TESTED]))
    if arguments.verb == "speed":
        torch.backends.cudnn.allow_tf32 = False
        speed(place, list(plan))
    elif arguments.only:
        train(place, arguments.only, plan, arguments.until, arguments.modes)
    else:
        _each_in_its_own(place, list(plan))


def _each_in_its_own(place: Place, names: list[str]) -> None:
    """Run this script once for each size, all at the same time, in the order they take the
    device.
    """
    for name in names:
        (place.scratch / f"{name}.done").unlink(missing_ok=True)
    running: list[subprocess.Popen[bytes]] = []
    for name in names:
        running.append(subprocess.Popen([sys.executable, *sys.argv, "--only", name]))
    try:
        if not place.prepared.exists():
            place.prepare()
            say("data are prepared")
    except BaseException:  # they would wait for the data until the time is over
        for process in running:
            process.terminate()
        raise
    failed: list[str] = []
    for name, process in zip(names, running, strict=True):
        if process.wait():
            failed.append(name)
        (place.scratch / f"{name}.done").touch()  # one that was killed could not say so
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
