"""Train whichever weights of the zoo need it most, and print how well the machine was used.

`tools.zoo.entries.ZOO` lists the weights. How far each has come is on the cards of those in the
package and of the runs under --out. The queue takes, in this order: a stage that is not finished;
an entry without weights; of the entries with fewer steps than their recipe plans, the one that is
farthest behind the best of the zoo on the same validation rain; of all, the farthest behind. A
stage gets as many steps as fit into the minutes, so that its rate has fallen to its minimum at the
end. An interrupted stage is resumed, on a CPU bit for bit. `tools.zoo.ship_weights` puts the result
into the package.

    python -m tools.zoo.train_zoo CLEAN --minutes 9          # CLEAN holds train/ and val/
    python -m tools.zoo.train_zoo CLEAN --list
"""

import contextlib
import fcntl
import json
import math
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from benchmarks.training import add_arguments, pass_on_seal, run_of
from derain import train, weights
from derain.files import write_file
from derain.networks import NETWORKS
from derain.recipes import Recipe
from derain.train import Batch, BatchSource, prefetch, prepare, read_log, set_training
from derain.weights import CATALOGUE, Card
from tools.zoo.entries import ZOO, ZooEntry
from tools.zoo.zoo_cards import FORWARD_AND_BACKWARD, recipe_of

PLAN = "plan.json"
UNTIMED_STEPS, TIMED_STEPS = 2, 8
SHARE_OF_TIME = 0.9
"""Share of the minutes that goes into steps; the rest is for validation."""
LEAST_STEPS = 10
CONV_CHANNELS, CONV_SIDE = 64, 256
"""Sizes of the 3x3 convolution, as the networks have it, whose rate steps are compared with."""
WORTH_COMPILING = 0.95


@dataclass(frozen=True)
class Standing:
    """How far an entry has come: its best weights, and the folder of an unfinished stage."""

    entry: ZooEntry
    best: str = ""
    card: Card | None = None
    begun: Path | None = None

    @property
    def scores(self) -> dict[str, float]:
        """Return PSNR in dB on validation pictures, by kind of rain.

        It is empty for weights that were scored on other presets than today's.
        """
        names = self.entry.planned.validation_rain
        known = self.card.scores if self.card else {}
        keys = {name: f"validation {name} y-matlab" for name in names}
        return {name: float(known[key]) for name, key in keys.items() if known.get(key)}

    @property
    def finished(self) -> bool:
        """Return whether the entry has taken all steps that its recipe plans."""
        return self.card is not None and self.card.steps >= self.entry.planned.steps


def standings(out: Path) -> list[Standing]:
    """Return the standing of every entry, in the order of the zoo."""
    return [_standing(entry, out / name) for name, entry in ZOO.items()]


def _standing(entry: ZooEntry, folder: Path) -> Standing:
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
    """Return whether another process trains this stage."""
    try:
        with claim(run):
            return False
    except BlockingIOError:
        return True


@contextlib.contextmanager
def claim(run: Path) -> Generator[None]:
    """Hold the folder of a stage for this process alone.

    Raises:
        BlockingIOError: If another process holds it.
    """
    with (run / "claimed").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _mean(card: Card) -> float:
    return float(card.scores.get("validation mean y-matlab", "0"))


@dataclass(frozen=True)
class StagePlan:
    """The settings that a stage began with.

    They are stored in its folder, so that it is resumed alike even if the table has changed.
    """

    recipe: Recipe
    compiled: bool = False

    @staticmethod
    def read(folder: Path) -> "StagePlan":
        """Read the plan from the folder of a stage."""
        stored: dict[str, Any] = json.loads((folder / PLAN).read_text())
        compiled = bool(stored.pop("compiled", False))
        # JSON has lists where a recipe has tuples.
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()
        }
        return StagePlan(Recipe(**values), compiled)

    def write(self, folder: Path) -> None:
        """Write the plan into the folder of a stage."""
        write_file(
            folder / PLAN, json.dumps(asdict(self.recipe) | {"compiled": self.compiled}).encode()
        )


def _ended(run: Path) -> bool:
    """Return whether a stage has taken all its steps."""
    taken = max((line["step"] for line in read_log(run / train.LOG)), default=0)
    return StagePlan.read(run).recipe.steps <= taken


def behind(standing: Standing, others: list[Standing]) -> float:
    """Return how many dB an entry is below the best of the zoo, in the mean over its rain."""
    gaps = [
        max(other.scores.get(rain, 0.0) for other in others) - score
        for rain, score in standing.scores.items()
    ]
    return sum(gaps) / len(gaps) if gaps else float("inf")


def choose(found: list[Standing]) -> Standing:
    """Return the entry to train next."""
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
    """Print a row for each entry."""
    columns = ("weights", "steps", "of", "hours", "validation, dB", "behind the best, dB", "next")
    print(table_head(*columns))
    upcoming = choose(found)
    for standing in found:
        card = standing.card
        scores = ", ".join(f"{name} {score:.2f}" for name, score in standing.scores.items())
        cells = [
            standing.entry.recipe,
            f"{card.steps if card else 0:,}",
            f"{standing.entry.planned.steps:,}",
            f"{card.hours if card else 0:.2f}",
            scores,
            f"{behind(standing, found):.2f}" if scores else "",
            "this" if standing is upcoming else "to be resumed" if standing.begun else "",
        ]
        print(table_row(*cells))


def main() -> None:
    """Train an entry, or print how far each has come."""
    parser = new_parser(__doc__)
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
    run: train.TrainingRun,
    out: Path,
    ends: float,
    steps: int | None,
) -> None:
    """Resume the stage that was begun, or begin one."""
    folder = standing.begun or _next_folder(out / standing.entry.recipe)
    folder.mkdir(parents=True, exist_ok=True)
    with claim(folder):
        if standing.begun:
            plan = StagePlan.read(folder)
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
            StagePlan(recipe, pace.compiled).write(folder)
        begins = recipe.init or "random weights"
        print(
            f"{recipe.name}: {folder.name}, {recipe.steps} steps from {begins};"
            f" {pace.describe(recipe)}",
            flush=True,
        )
        pass_on_seal(out, folder)
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
        f"{folder / train.BEST}; `tools.zoo.ship_weights` puts it into the package"
        if _ended(folder)
        else "stopped; the same command resumes it"
    )


def _unused_seed(folder: Path, init: str) -> int:
    """Return a seed whose crops and rain no stage has seen.

    Stages of the entry count, and those of the weights it begins from.
    """
    before = weights.find_card(init).history if init else ()
    taken = [recipe_of(stage).get("seed", 0) for stage in before]
    taken += [
        StagePlan.read(run).recipe.seed
        for run in folder.parent.glob("stage-*")
        if (run / PLAN).exists()
    ]
    return max(taken, default=-1) + 1


def _next_folder(folder: Path) -> Path:
    """Return a stage's folder with a number above all that exist."""
    last = max((_number(path) for path in folder.glob("stage-*")), default=0)
    return folder / f"stage-{last + 1}"


def beginning(standing: Standing, found: list[Standing]) -> str:
    """Return the weights that a stage begins from; empty for random weights.

    They are its own best, or its origin's where these do better on its rain.
    """
    rains = standing.entry.planned.validation_rain
    names = (standing.entry.recipe, standing.entry.origin)
    known = [other for other in found if other.entry.recipe in names and other.best]
    if not known:
        return ""
    return max(known, key=lambda other: sum(other.scores.get(rain, 0.0) for rain in rains)).best


@dataclass(frozen=True)
class Pace:
    """How fast steps are, and what share of the machine's convolution rate they reach."""

    seconds: float
    compiled: bool
    operations: float
    ceiling: float

    def describe(self, recipe: Recipe) -> str:
        """Return seconds, pairs a second and the share of the convolution rate, in words."""
        rate, share = recipe.batch / self.seconds, self.operations / self.seconds / self.ceiling
        compiled = ", compiled" if self.compiled else ""
        return (
            f"{self.seconds:.3f} s a step, {rate:.1f} pairs a second{compiled}, {share:.0%} of"
            f" this machine's convolution rate of {self.ceiling / 1e9:,.0f} GFLOP/s"
        )


def measure(recipe: Recipe, run: train.TrainingRun, *, compiled: bool | None = None) -> Pace:
    """Time whole steps, rain included; on a GPU also compiled steps, if these are faster.

    Args:
        recipe: Recipe of the stage.
        run: Data and device of the stage.
        compiled: Whether the stage began with compiled steps; None for a new stage.
    """
    prepare(run.device, recipe)
    batches = train.open_batches(recipe, run.data)
    network = NETWORKS[recipe.network](**recipe.hyperparameters)
    module = train.TrainingStep(network, run.dtype, recipe.loss)
    set_training(module, recipe)
    module.to(run.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    batch = batches.batch(0, run.device)
    # With gradients: without them, layers are fused into operations that are not counted.
    with FlopCounterMode(display=False) as counter:
        module(batch.rainy, batch.clean)
    tried = run.device.type == "cuda" and compiled is not False
    faster = _seconds_compiled(module, batches, run.device) if tried else math.inf
    # A stage that began with compiled steps is resumed with them, whatever plain steps take.
    resumed = compiled and faster < math.inf
    seconds = math.inf if resumed else seconds_a_step(module, batches, run.device)
    pays = faster < WORTH_COMPILING * seconds
    # The backward pass is not counted: depthwise kernels would come out too large.
    operations = FORWARD_AND_BACKWARD * counter.get_total_flops()
    return Pace(
        faster if pays else seconds, pays, operations, convolution_rate(run.device, run.dtype)
    )


def _seconds_compiled(module: nn.Module, batches: BatchSource, device: torch.device) -> float:
    """Return the seconds of a compiled step; infinity, with a message, if it fails."""
    try:
        return seconds_a_step(cast("nn.Module", torch.compile(module)), batches, device)
    except Exception as error:  # whatever a compiler, or the lack of one, comes up with
        reason = next(iter(str(error).splitlines()), "")
        print(f"not compiled: {type(error).__name__}: {reason}", flush=True)
        return math.inf


def _step(module: nn.Module, batch: Batch) -> None:
    loss, _ = module(
        *(half.contiguous(memory_format=torch.channels_last) for half in (batch.rainy, batch.clean))
    )
    loss.backward()


def seconds_a_step(module: nn.Module, batches: BatchSource, device: torch.device) -> float:
    """Return the median seconds of some steps, after two that are not timed.

    The optimiser's part, which is small, is left out.
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
    """Return the best rate of a 3x3 convolution in operations a second.

    A multiply-add counts as two.
    """
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
