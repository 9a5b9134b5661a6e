"""The queue of the zoo: trains whichever weights need it most, and says how well the machine was
used.

Which weights there are is in `derain.recipes.ZOO`; how far each has come, on the cards of those in
the package and of the runs under --out. What is taken next: a stage that is not at its end; else
what has no weights at all; else, of what has fewer steps than its recipe plans, the one that is
farthest behind the best of the zoo on the same validation rain; else the farthest behind of all. A
stage gets as many steps as fit into the minutes, so that its rate has fallen to nothing at the end;
stopped earlier, it goes on, on a CPU to the bit. `ship_weights.py` puts what comes out into the
package.

    python benchmarks/train_zoo.py CLEAN --minutes 9          # CLEAN holds train/ and val/
    python benchmarks/train_zoo.py CLEAN --list
"""

import argparse
import contextlib
import fcntl
import json
import math
import shutil
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from machine import describe_machine
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from training import add_arguments, run_of
from zoo_cards import FORWARD_AND_BACKWARD, recipe_of

from derain import train, weights
from derain.files import write_file
from derain.networks import NETWORKS
from derain.recipes import ZOO, Entry, Recipe
from derain.train.batches import Batch, BatchSource
from derain.train.leaks import SEAL
from derain.train.loop import prefetch, prepare, set_training
from derain.train.state import logged
from derain.weights import CATALOGUE, Card

PLAN = "plan.json"
UNTIMED_STEPS, TIMED_STEPS = 2, 8
SHARE_OF_TIME = 0.9
"""Of the minutes for steps; the rest is for validation."""
LEAST_STEPS = 10
CONV_CHANNELS, CONV_SIDE = 64, 256
"""Of the convolution whose rate is the machine's: 3x3, as the networks' are."""
WORTH_COMPILING = 0.95


@dataclass(frozen=True)
class Standing:
    """How far an entry has come: its best weights, and the folder of a stage that is not at its
    end.
    """

    entry: Entry
    best: str = ""
    card: Card | None = None
    begun: Path | None = None

    @property
    def scores(self) -> dict[str, float]:
        """PSNR on validation pictures by kind of rain; of weights older than today's presets there
        may be none.
        """
        names = self.entry.planned.validation_rain
        told = {
            name: self.card.scores.get(f"validation {name} y-matlab") if self.card else None
            for name in names
        }
        return {name: float(value) for name, value in told.items() if value}

    @property
    def finished(self) -> bool:
        return self.card is not None and self.card.steps >= self.entry.planned.steps


def standings(out: Path) -> list[Standing]:
    """All entries, in the order of the zoo."""
    return [_standing(entry, out / name) for name, entry in ZOO.items()]


def _standing(entry: Entry, folder: Path) -> Standing:
    runs = sorted((path for path in folder.glob("stage-*") if (path / PLAN).exists()), key=_number)
    kept = [str(run / train.BEST) for run in runs if (run / train.BEST).exists()]
    shipped = [entry.recipe] if entry.recipe in CATALOGUE else []
    cards = {place: weights.find_card(place) for place in (*shipped, *kept)}
    best = max(cards, key=lambda place: _mean(cards[place]), default="")
    begun = next((run for run in runs if not _ended(run) and not _is_claimed(run)), None)
    return Standing(entry, best, cards.get(best), begun)


def _number(run: Path) -> int:
    text = run.name.removeprefix("stage-")
    return int(text) if text.isdecimal() else 0


def _is_claimed(run: Path) -> bool:
    """Whether another process trains it."""
    try:
        with claim(run):
            return False
    except BlockingIOError:
        return True


@contextlib.contextmanager
def claim(run: Path) -> Generator[None]:
    """Holds the folder of a stage for this process alone.

    Raises:
        BlockingIOError: If another has it.
    """
    with (run / "claimed").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _mean(card: Card) -> float:
    return float(card.scores.get("validation mean y-matlab", "0"))


@dataclass(frozen=True)
class Plan:
    """What a stage was begun with; lies in its folder, so that it goes on alike when the table has
    changed.
    """

    recipe: Recipe
    compiled: bool = False

    @staticmethod
    def read(folder: Path) -> "Plan":
        told: dict[str, Any] = json.loads((folder / PLAN).read_text())
        compiled = bool(told.pop("compiled", False))
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in told.items()
        }
        return Plan(Recipe(**values), compiled)

    def write(self, folder: Path) -> None:
        write_file(
            folder / PLAN, json.dumps(asdict(self.recipe) | {"compiled": self.compiled}).encode()
        )


def _ended(run: Path) -> bool:
    """Whether a stage took all its steps."""
    return Plan.read(run).recipe.steps <= max(
        (line["step"] for line in logged(run / train.LOG)), default=0
    )


def behind(standing: Standing, others: list[Standing]) -> float:
    """How many dB below the best of the zoo on the same validation rain, in the mean."""
    gaps = [
        max(other.scores.get(rain, 0.0) for other in others) - score
        for rain, score in standing.scores.items()
    ]
    return sum(gaps) / len(gaps) if gaps else float("inf")


def choose(found: list[Standing]) -> Standing:
    """What is trained next."""
    return min(
        found,
        key=lambda standing: (
            standing.begun is None,
            standing.card is not None,
            standing.finished,
            -behind(standing, found),
        ),
    )


def print_standings(found: list[Standing]) -> None:
    """A row an entry."""
    print(
        "| weights | steps | of | hours | validation, dB | behind the best, dB | next"
        " |\n|---|---|---|---|---|---|---|"
    )
    upcoming = choose(found)
    for standing in found:
        card, scores = (
            standing.card,
            ", ".join(f"{name} {score:.2f}" for name, score in standing.scores.items()),
        )
        cells = [
            standing.entry.recipe,
            f"{card.steps if card else 0:,}",
            f"{standing.entry.planned.steps:,}",
            f"{card.hours if card else 0:.2f}",
            scores,
            f"{behind(standing, found):.2f}" if scores else "",
            "this" if standing is upcoming else "to be gone on with" if standing.begun else "",
        ]
        print(f"| {' | '.join(cells)} |")


def main() -> None:
    """Trains, and prints what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument(
        "--out", type=Path, default=Path("runs/zoo"), help="folder of the runs, one a stage"
    )
    parser.add_argument(
        "--entry", choices=list(ZOO), help="this one, instead of the one that needs it most"
    )
    parser.add_argument(
        "--steps", type=int, help="of a new stage; default: as many as fit into the minutes"
    )
    parser.add_argument(
        "--list", action="store_true", help="print how far each has come, train nothing"
    )
    arguments = parser.parse_args()
    ends = time.monotonic() + 60 * arguments.minutes
    found = standings(arguments.out)
    if arguments.list:
        print_standings(found)
        return
    asked = [standing for standing in found if standing.entry.recipe == arguments.entry]
    chosen = asked[0] if asked else choose(found)
    train_one(chosen, found, run_of(arguments), arguments.out, ends, arguments.steps)


def train_one(
    standing: Standing,
    found: list[Standing],
    run: train.Run,
    out: Path,
    ends: float,
    steps: int | None,
) -> None:
    """Goes on with the stage that was begun, or begins one."""
    folder = standing.begun or _next_folder(out / standing.entry.recipe)
    folder.mkdir(parents=True, exist_ok=True)
    with claim(folder):
        if standing.begun:
            plan = Plan.read(folder)
            recipe = plan.recipe
            pace = measure(recipe, run, compiled=plan.compiled)
        else:
            init = beginning(standing, found)
            pace = measure(standing.entry.stage(run.device.type, steps or LEAST_STEPS, init), run)
            fitting = max(
                LEAST_STEPS, int(SHARE_OF_TIME * (ends - time.monotonic()) / pace.seconds)
            )
            recipe = standing.entry.stage(
                run.device.type, steps or fitting, init, _unused_seed(folder, init)
            )
            Plan(recipe, pace.compiled).write(folder)
        begins = recipe.init or "random weights"
        print(
            f"{recipe.name}: {folder.name}, {recipe.steps} steps from {begins};"
            f" {pace.describe(recipe)}",
            flush=True,
        )
        _know_of_leaks(folder, out)
        machine = describe_machine().rpartition("; commit")[0]
        run = replace(
            run,
            out=folder,
            compiled=pace.compiled,
            minutes=(ends - time.monotonic()) / 60,
            machine=machine,
        )
        for record in train.train(
            recipe, run, resume=(folder / train.CHECKPOINT).exists(), on_note=print
        ):
            print(train.describe(record), flush=True)
    print(
        f"{folder / train.BEST}; `ship_weights.py` puts it into the package"
        if _ended(folder)
        else "stopped; the same goes on"
    )


def _unused_seed(folder: Path, init: str) -> int:
    """Of crops and rain that neither the weights it begins from nor other stages of the entry have
    seen.
    """
    taken = (
        [recipe_of(stage).get("seed", 0) for stage in weights.find_card(init).history]
        if init
        else []
    )
    taken += [
        Plan.read(run).recipe.seed for run in folder.parent.glob("stage-*") if (run / PLAN).exists()
    ]
    return max(taken, default=-1) + 1


def _next_folder(folder: Path) -> Path:
    """Beyond all that are there, whatever became of them."""
    return (
        folder / f"stage-{max((_number(path) for path in folder.glob('stage-*')), default=0) + 1}"
    )


def beginning(standing: Standing, found: list[Standing]) -> str:
    """The weights that a stage begins from: its own best, or its origin's where these do better on
    its rain; or none.
    """
    rains = standing.entry.planned.validation_rain
    known = [
        other
        for other in found
        if other.entry.recipe in (standing.entry.recipe, standing.entry.origin) and other.best
    ]
    return (
        max(known, key=lambda other: sum(other.scores.get(rain, 0.0) for rain in rains)).best
        if known
        else ""
    )


def _know_of_leaks(folder: Path, out: Path) -> None:
    """What earlier stages found out holds as long as no file changes."""
    seal = next(iter(out.glob(f"*/*/{SEAL}")), None)
    if seal and not (folder / SEAL).exists():
        shutil.copy(seal, folder / SEAL)


@dataclass(frozen=True)
class Pace:
    """How fast steps are, compiled or not, and what share of the machine's convolution rate they
    reach.
    """

    seconds: float
    compiled: bool
    operations: float
    ceiling: float

    def describe(self, recipe: Recipe) -> str:
        rate, share = recipe.batch / self.seconds, self.operations / self.seconds / self.ceiling
        return (
            f"{self.seconds:.3f} s a step, {rate:.1f} pairs a"
            f" second{', compiled' if self.compiled else ''}, {share:.0%} of this machine's"
            f" convolution rate of {self.ceiling / 1e9:,.0f} GFLOP/s"
        )


def measure(recipe: Recipe, run: train.Run, *, compiled: bool | None = None) -> Pace:
    """Times whole steps, rain included; on a GPU compiled ones too, of which the faster are taken.

    Args:
        compiled: What was taken when the stage was begun.
    """
    prepare(run.device, recipe)
    batches = train.open_batches(recipe, run.data)
    module = train.TrainingStep(NETWORKS[recipe.network](**recipe.hyperparameters), run.dtype)
    set_training(module, recipe)
    module.to(run.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    batch = batches.batch(0, run.device)
    with FlopCounterMode(
        display=False
    ) as counter:  # with gradients: without, layers are fused into what is not counted
        module(batch.rainy, batch.clean)
    tried = run.device.type == "cuda" and compiled is not False
    faster = _seconds_compiled(module, batches, run.device) if tried else math.inf
    known = compiled and faster < math.inf  # to pay, which need not be measured again
    seconds = math.inf if known else seconds_a_step(module, batches, run.device)
    pays = faster < WORTH_COMPILING * seconds
    operations = (
        FORWARD_AND_BACKWARD * counter.get_total_flops()
    )  # counted backwards, depthwise kernels come out too large
    return Pace(
        faster if pays else seconds, pays, operations, convolution_rate(run.device, run.dtype)
    )


def _seconds_compiled(module: nn.Module, batches: BatchSource, device: torch.device) -> float:
    """Infinity where compiling fails, which is said: training goes on without."""
    try:
        return seconds_a_step(cast("nn.Module", torch.compile(module)), batches, device)
    except Exception as error:  # whatever a compiler, or the lack of one, comes up with
        print(
            f"not compiled: {type(error).__name__}:"
            f" {str(error).splitlines()[0] if str(error) else ''}",
            flush=True,
        )
        return math.inf


def _step(module: nn.Module, batch: Batch) -> None:
    loss, _ = module(
        *(half.contiguous(memory_format=torch.channels_last) for half in (batch.rainy, batch.clean))
    )
    loss.backward()


def seconds_a_step(module: nn.Module, batches: BatchSource, device: torch.device) -> float:
    """The median of some, after two that are not timed; the optimiser's part, which is small, is
    left out.
    """
    times: list[float] = []
    ended = time.perf_counter()
    for batch in prefetch(batches, 0, UNTIMED_STEPS + TIMED_STEPS, device):
        _step(module, batch)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        began, ended = ended, time.perf_counter()  # the wait for the batch is part of the step
        times.append(ended - began)
    return sorted(times[UNTIMED_STEPS:])[TIMED_STEPS // 2]


def convolution_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a 3x3 convolution, two for a multiply-add; the best of some runs."""
    count = 1 if device.type == "cpu" else 32
    maps = torch.rand(count, CONV_CHANNELS, CONV_SIDE, CONV_SIDE, device=device).to(
        dtype, memory_format=torch.channels_last
    )
    conv = (
        nn.Conv2d(CONV_CHANNELS, CONV_CHANNELS, 3, padding=1)
        .to(device, dtype)
        .to(memory_format=torch.channels_last)
    )  # pyright: ignore[reportCallIssue]
    best = min(_seconds(conv, maps) for _ in range(TIMED_STEPS))
    return 2 * count * 9 * CONV_CHANNELS**2 * CONV_SIDE**2 / best


def _seconds(conv: nn.Module, maps: Tensor) -> float:
    began = time.perf_counter()
    with torch.inference_mode():
        conv(maps)
    if maps.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
