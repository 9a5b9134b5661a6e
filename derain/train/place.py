"""The folder of a run: what is refused before the work, and what is left where writing fails."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager

from derain.errors import DerainError, reason
from derain.files import check_makable, check_takes_files
from derain.recipes import Recipe
from derain.train.checkpoint import CHECKPOINT
from derain.train.run import BEST, TrainingRun
from derain.train.state import State

OTHER_BYTES = 4 << 20
"""Room for what else a run writes: log, curve, samples, cards."""


class RunStoppedError(DerainError):
    """A run cannot write what it has to; says why, and what is left of it."""


def check_place(run: TrainingRun, *, resume: bool) -> None:
    """Refuse to begin over another run, to resume without a checkpoint, or to write in vain.

    Raises:
        FileExistsError: If a run is there that is not to be resumed, or cannot be.
        FileNotFoundError: If there is nothing to resume.
        NotADirectoryError: If a file lies where the folder should.
        OSError: If the folder cannot be made, or written into.
    """
    checkpoint, best = run.out / CHECKPOINT, run.out / BEST
    if checkpoint.exists():
        if not resume:
            raise FileExistsError(
                f"{checkpoint}: a run of this name already exists; use --resume to continue it, or"
                " another -o"
            )
    elif best.exists():
        raise FileExistsError(
            f"{best}: weights of a run without {CHECKPOINT}, which cannot be resumed; name another"
            f" -o; --set init={best} begins from them"
        )
    elif resume:
        raise FileNotFoundError(f"{checkpoint}: nothing to resume; leave out --resume to begin")
    check_makable(run.out)
    if run.out.is_dir():
        check_takes_files(run.out)


def check_space(run: TrainingRun, recipe: Recipe, state: State, *, resume: bool) -> None:
    """Refuse a run whose checkpoints do not fit on the disk.

    A new checkpoint is complete before the one before it goes, so that two have to fit.

    Raises:
        RunStoppedError: If they do not.
    """
    values = state.network.state_dict().values()
    weights = sum(value.numel() * value.element_size() for value in values)
    # Weights, two moments of each in the optimiser, and perhaps their running mean.
    checkpoint = weights * (3 + bool(recipe.ema))
    needed = (checkpoint + weights) * (1 if resume else 2) + OTHER_BYTES
    there = next(place for place in (run.out, *run.out.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise RunStoppedError(
            f"{run.out}: {_megabytes(free)} are free there; checkpoints and weights need"
            f" {_megabytes(needed)}: make room, or name another -o"
        )


@contextmanager
def saying_what_is_left(run: TrainingRun, step: int, saved: int | None) -> Generator[None]:
    """Stop a run that cannot write with what remains usable of it.

    Args:
        run: The run.
        step: Steps that it has taken.
        saved: Steps that its last complete checkpoint has taken; None if there is none.

    Raises:
        RunStoppedError: If the block cannot write a file.
    """
    try:
        yield
    except OSError as error:
        if saved is None or not (run.out / CHECKPOINT).exists():
            left = "without a checkpoint: make that possible and begin again"
        else:
            left = f"{CHECKPOINT} is complete up to step {saved}: make that possible, then --resume"
        if (run.out / BEST).exists():
            left = f"{left}; {BEST} can be used as it is"
        raise RunStoppedError(f"{reason(error)}; stopped at step {step}, {left}") from error


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
