"""``derain train`` trains a network from a recipe."""

import signal
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from derain.cli.console import interruptible, one_line_errors, result, say, set_level, warn
from derain.cli.options import CleanOption, LayoutOption, RainyOption, TrainingDeviceOption
from derain.cli.progress import Bars
from derain.cli.startup import lasting
from derain.errors import UsageError
from derain.extras import require

if TYPE_CHECKING:  # needs PyTorch
    from derain.recipes import Recipe
    from derain.train import Ranks, TrainingRun

MANY = 200
"""Number of pictures whose search for leaks takes some seconds."""

RecipeArgument = Annotated[
    str, typer.Argument(help="Name of a recipe. An unknown name lists recipes.")
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Folder of clean pictures or of pairs; it may hold train/ and val/.",
    ),
]
ValOption = Annotated[
    Path | None,
    typer.Option("--val", help="Folder to validate on. Default: val/ in --data."),
]
OutputOption = Annotated[
    Path | None, typer.Option("-o", "--output", help="Folder for the run. Default: runs/RECIPE.")
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Resume from the last checkpoint, with its settings; exactly, on a CPU.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting of the recipe: KEY=VALUE. May be repeated."),
]
AllowLeakOption = Annotated[
    bool,
    typer.Option("--allow-leak", help="Train even if validation pictures are training pictures."),
]
BranchOption = Annotated[
    Path | None,
    typer.Option(
        "--branch",
        help=(
            "Folder of a run with schedule=trunk: branch from its checkpoint, with a falling rate."
        ),
    ),
]
MinutesOption = Annotated[
    float | None, typer.Option(help="Stop after this time, with a checkpoint for --resume.")
]
LicenceOption = Annotated[str, typer.Option(help="Licence of the weights, for their card.")]
TrainingDtypeOption = Annotated[
    str,
    typer.Option(help="Number format: auto (bfloat16 where it is fast), float32 or bfloat16."),
]


def train(
    recipe: RecipeArgument,
    data: DataOption = None,
    rainy: RainyOption = None,
    clean: CleanOption = None,
    val: ValOption = None,
    output: OutputOption = None,
    resume: ResumeOption = False,
    settings: SetOption = None,
    layout: LayoutOption = None,
    allow_leak: AllowLeakOption = False,
    branch: BranchOption = None,
    minutes: MinutesOption = None,
    device: TrainingDeviceOption = "auto",
    dtype: TrainingDtypeOption = "auto",
    licence: LicenceOption = "",
) -> None:
    """Train a network from a recipe.

    The folder of the run holds best.safetensors for derain run -m, last.pt to resume from,
    log.jsonl, curve.svg, and sample-1.png and more pictures.

    derain refuses to train if validation pictures are among the training pictures, also if they are
    cropped, flipped or resized.

    Ctrl-C ends the run after its step, with a checkpoint. A second Ctrl-C ends it at once.

    Several processes train together with: torchrun --nproc-per-node 8 -m derain train ...
    """
    with one_line_errors():
        with lasting():
            require("torch", "derain train")
            from derain.train import has_others, joined_ranks, plan_run

        if has_others():
            # torchrun stops the others in this way when one has failed, even while PyTorch waits.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with joined_ranks() as ranks, _one_voice(ranks):
            chosen, run = plan_run(
                recipe,
                data,
                rainy=rainy,
                clean=clean,
                val=val,
                output=output,
                branch=branch,
                resume=resume,
                settings=_overrides(settings or []),
                layout=layout,
                device=ranks.own_device(device),
                dtype=dtype,
                minutes=minutes,
                allow_leak=allow_leak,
                licence=licence,
            )
            ranks.share(chosen.batch)  # all processes refuse it, before one waits for another
            _train(chosen, run, ranks, resume=resume)


def _train(recipe: "Recipe", run: "TrainingRun", ranks: "Ranks", *, resume: bool) -> None:
    """Train, and write to stdout where the weights are."""
    from derain.train import BEST, CHECKPOINT, is_restarted, train

    # torchrun repeats the command, which may be the one that began the run.
    resume = resume or (is_restarted() and (run.out / CHECKPOINT).exists())
    where = f"{run.device} in {run.number_format}"
    if ranks.count > 1:
        where = f"{ranks.count} processes, the first on {where}"
    say(f"{recipe.name}: {recipe.source}; {recipe.steps} steps on {where}")
    interrupts = _Interrupts()
    with Bars() as bars, interrupts.heeded(alone=ranks.count == 1):
        records = train(
            recipe,
            run,
            resume=resume,
            ranks=ranks,
            progress=_Progress(bars),
            stop=interrupts,
            on_note=warn,
            on_start=say,
        )
        step = _follow(records, run.out, recipe.steps, ranks)
    if interrupts.asked and step < recipe.steps:
        raise typer.Exit(130)
    if ranks.writes and (run.out / BEST).exists():  # a short run may not have validated
        result(str(run.out / BEST))


@contextmanager
def _one_voice(ranks: "Ranks") -> Generator[None]:
    """Let one process of a run speak to the user: the first, or the one that fails first."""
    if ranks.count == 1:
        yield
        return
    if not ranks.writes:
        set_level(quiet=True, verbose=False)
    try:
        yield
    except typer.Exit:
        raise
    except KeyboardInterrupt:
        if ranks.reports():
            raise
        raise typer.Exit(130) from None
    except Exception:
        if ranks.reports():
            raise
        raise typer.Exit(1) from None


class _Interrupts:
    """Interrupts by the user: the first one ends a run after its step, with a checkpoint.

    The second one ends it at once, and so does any before the first step was taken.

    Attributes:
        asked: Whether there was an interrupt while steps were taken.
    """

    def __init__(self) -> None:
        self.asked = False
        self._is_training = False

    def __call__(self) -> bool:
        """Return whether the run should end, which is asked after each step."""
        self._is_training = True
        return self.asked

    @contextmanager
    def heeded(self, *, alone: bool) -> Generator[None]:
        """Heed interrupts meanwhile, if the process is alone in its run."""
        if not alone or threading.current_thread() is not threading.main_thread():
            yield
            return
        # What a shell starts in the background ignores Ctrl-C.
        numbers = [
            number
            for number in (signal.SIGINT, signal.SIGTERM)
            if signal.getsignal(number) is not signal.SIG_IGN
        ]
        before = [(number, signal.signal(number, self._hear)) for number in numbers]
        try:
            yield
        finally:
            for number, handler in before:
                signal.signal(number, handler)

    def _hear(self, _signal: int, _frame: object) -> None:
        if self.asked or not self._is_training:
            raise KeyboardInterrupt
        self.asked = True


def _follow(records: Iterable[dict[str, Any]], out: Path, steps: int, ranks: "Ranks") -> int:
    """Train, say how it comes along, and return the last step.

    Args:
        records: The run, as a generator of lines of its log.
        out: Its folder.
        steps: How many there are in all.
        ranks: The processes of the run, of which one says so if the user interrupts them.
    """
    from derain.train import describe

    step = 0
    with interruptible(lambda: _so_far(step, steps, out)), _one_voice(ranks):
        for record in records:
            step = record["step"]
            say(describe(record))
    if 0 < step < steps:
        say(f"stopped at step {step} of {steps}; --resume continues")
    return step


class _Progress:
    """A `derain.progress.Progress` of training, which says so if the search for leaks lasts."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage has come; what comes before the training until it ends."""
        shown = "looking for leaks" if stage == "copies" else stage
        self._bars(shown, done, total)
        if stage == "copies" and done == 1 and total > MANY:
            say(f"looking for the validation pictures among {total} pictures")
        if done >= total and not stage.startswith("training"):
            self._bars.remove(shown)


def _so_far(step: int, steps: int, folder: Path) -> str:
    """Return what was done by the time of an interruption."""
    continues = f"--resume continues from the last checkpoint, if any, in {folder}"
    return f"step {step} of {steps} was reported last; {continues}"


def _overrides(settings: Sequence[str]) -> dict[str, str]:
    """Return the settings of --set as a table."""
    pairs = [setting.partition("=") for setting in settings]
    wrong = [setting for setting, (_, sign, _) in zip(settings, pairs, strict=True) if not sign]
    if wrong:
        raise UsageError("expected KEY=VALUE, such as lr=3e-4", option="set", value=wrong[0])
    return {key: value for key, _, value in pairs}
