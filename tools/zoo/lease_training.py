"""Train one of Petrichor's sizes for its share of a lease."""

import functools
import json
import math
import os
import time
import traceback
from dataclasses import asdict, dataclass, replace
from typing import IO

import torch

from derain.weights import Card, Stage, store
from tools.zoo.place import SIZES, Place, elapsed, say
from tools.zoo.stepper import FALLBACKS, Stepper, median_seconds, wait_for

CHECKPOINT_SECONDS = 60
CHECK_EVERY = 50
"""Steps; a look at the loss waits for the device."""
FIRST_STEPS, TINY_RATE = 5, 1e-7
"""Steps in which a mode is compiled and recorded, at a rate that hardly moves the weights."""


def ready(place: Place, name: str, modes: list[str]) -> Stepper:
    """Return a stepper in the fastest mode, compiled and recorded, and print all that was tried.

    Raises:
        RuntimeError: If no mode works.
    """
    settings = place.settings(name)
    batches = place.batches(settings)
    say(f"{name}: data are on the device")
    network, _ = place.network(name)
    state = {key: value.clone() for key, value in network.state_dict().items()}

    def stepper_in(mode: str) -> Stepper:
        # Each mode changes the network, so each gets a new one.
        fresh = SIZES[name]()
        fresh.load_state_dict(state)
        stepper = Stepper(fresh, batches, settings, place.device, mode)
        for _ in range(FIRST_STEPS):
            stepper.step(TINY_RATE)
        return stepper

    def seconds_in(mode: str) -> float:
        # A function, so that a GPU never holds the steppers of two modes.
        step = functools.partial(stepper_in(mode).step, TINY_RATE)
        return median_seconds(step, place.device)

    seconds: dict[str, float] = {}
    for mode in (*modes, *FALLBACKS):
        if seconds and mode in FALLBACKS:
            break
        torch.manual_seed(settings.seed)
        try:
            seconds[mode] = seconds_in(mode)
        except Exception as error:  # a compiler or graph that fails is a result
            say(f"{name}, {mode}: failed, {type(error).__name__}: {str(error)[:300]}")
            traceback.print_exc(limit=-6)
            continue
        rate = settings.batch * settings.crop**2 / seconds[mode] / 1e6
        say(f"{name}, {mode}: {1e3 * seconds[mode]:.2f} ms a step, {rate:.0f} megapixels/s")
    if not seconds:
        raise RuntimeError(f"{name}: no mode works; see above")
    fastest = min(seconds, key=lambda mode: seconds[mode])
    stepper = stepper_in(fastest)
    wait_for(place.device)
    say(f"{name}: ready, {fastest}")
    return stepper


def train(place: Place, name: str, plan: dict[str, float], until: float, modes: list[str]) -> None:
    """Train one size for its share of the time, once those before it are done, and write it."""
    card = place.network(name)[1]
    order = list(plan)
    try:
        stepper = ready(place, name, modes)
    except BaseException:
        place.done_mark(name).touch()  # the sizes after this one wait for it
        raise
    with place.turn(name, order), (place.out / "log.jsonl").open("a") as log:
        # What earlier sizes left of the time is divided among this and the later ones.
        share = plan[name] / sum(plan[other] for other in order[order.index(name) :])
        seconds = max(1.0 if place.rehearse else 5.0, share * (until - elapsed()))
        say(f"{name}: trains for {seconds:.0f} s")
        step, took = Training(stepper, name, card, place, log).run(seconds)
    say(f"{name}: {step} steps in {took:.0f} s, {step / took:.1f} a second")


@dataclass(frozen=True)
class Training:
    """One size in training, and where its weights and its losses are written.

    Attributes:
        card: Card of the weights that it began from.
    """

    stepper: Stepper
    name: str
    card: Card
    place: Place
    log: IO[str]

    def run(self, seconds: float) -> tuple[int, float]:
        """Train for a time, and return the steps and the seconds that were taken.

        Raises:
            FloatingPointError: If the loss is no longer finite.
        """
        settings, first = self.stepper.settings, self.stepper.taken
        began = last = time.monotonic()
        trunk_kept = False
        while (done := (time.monotonic() - began) / seconds) < 1:
            step = self.stepper.taken - first
            if done >= 1 - settings.decay and not trunk_kept:
                self.save(step, done * seconds, f"{self.name}-trunk")
                trunk_kept = True
            self.stepper.step(settings.rate(done, step))
            if step % CHECK_EVERY == 0 or self.place.rehearse:
                self._note_loss(step, done * seconds)
            if time.monotonic() - last > CHECKPOINT_SECONDS:
                self.save(step, done * seconds, self.name)
                self.log.flush()
                say(f"{self.name}: step {step}, loss {float(self.stepper.loss):.5f}")
                last = time.monotonic()
        wait_for(self.place.device)
        took, step = time.monotonic() - began, self.stepper.taken - first
        self.save(step, took, self.name)
        return step, took

    def _note_loss(self, step: int, seconds: float) -> None:
        """Write the loss into the log; reading it also keeps the device's queue short."""
        loss = float(self.stepper.loss)
        row = {"name": self.name, "step": step, "seconds": seconds, "loss": loss}
        self.log.write(json.dumps(row) + "\n")
        if not math.isfinite(loss):
            raise FloatingPointError(f"{self.name}: step {step}: the loss is {loss}")

    def save(self, step: int, took: float, file: str) -> None:
        """Write the running mean of the weights with its card."""
        mean = SIZES[self.name]()
        names = [key for key, _ in self.stepper.network.named_parameters()]
        values = (value.cpu() for value in self.stepper.means)
        mean.load_state_dict(dict(zip(names, values, strict=True)))
        schedule = "trunk" if file.endswith("-trunk") else "trunk and branch"
        card = self._card(self._stage(step, took, schedule))
        store.save(mean, card, self.place.out / f"{file}.safetensors")

    def _stage(self, step: int, took: float, schedule: str) -> Stage:
        """Return what the card says about this training; ``took`` is in seconds."""
        recipe = asdict(self.stepper.settings) | {
            "name": self.name,
            "network": self.name,
            "rain": ["mixed"],
            "schedule": schedule,
        }
        device = self.place.device
        number_format = "bfloat16" if device.type == "cuda" else "float32"
        return Stage(
            recipe=json.dumps(recipe),
            data="clean/train",
            steps=step,
            hours=round(took / 3600, 4),
            machine=f"{_device_name(device)}, {number_format}, {self.stepper.mode}",
            commit=os.environ.get("DERAIN_COMMIT", ""),
            curve=(),
        )

    def _card(self, stage: Stage) -> Card:
        """Return the card of the weights that this stage made of those it began from."""
        history = (*self.card.history, stage)
        return replace(
            self.card,
            name=self.name,
            network=self.name,
            recipe=self.name,
            rain="mixed, with streak textures",
            steps=sum(part.steps for part in history),
            hours=round(sum(part.hours for part in history), 3),
            machine=stage.machine,
            scores={},
            commit=stage.commit,
            history=history,
        )


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
