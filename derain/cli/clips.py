"""Clips among what derain run is given: their options, and what it says of them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from derain.cli.console import (
    complain,
    errors_on_terminal,
    interruptible,
    line_of,
    one_line_errors,
    say,
    show_traceback,
)
from derain.cli.console import result as show_result
from derain.cli.progress import Bars
from derain.clips.names import is_clip_name
from derain.errors import UsageError
from derain.files import printable

if TYPE_CHECKING:
    from derain.clips.plan import Job, Options, Plan
    from derain.clips.results import Result
    from derain.restore import Derainer

MODEL = "petrichor-live"
"""Shipped weights that are fast enough for clips."""
NO_MODEL = "none"

_EVERY = 30.0
"""Seconds between lines about how far a clip has come, where no bar is shown."""

TemporalOption = Annotated[
    str, typer.Option(metavar="auto|off|N", help="Clips: how many frames help each other.")
]
CodecOption = Annotated[
    str, typer.Option(help="Clips: h264, h265, av1, vp9, mpeg4, or ffv1, which is lossless.")
]
CrfOption = Annotated[
    float | None, typer.Option(help="Clips: quality of the codec, less is better. Default: its.")
]
PresetOption = Annotated[
    str | None, typer.Option(help="Clips: speed of the encoder, such as fast or slow.")
]
PreviewOption = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="Clips: derain so much of each, as NAME_preview."),
]
StartOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="Clips: where to begin, as 90 or 1:30.")
]
EndOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="Clips: where to end, as 95 or 1:35.")
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Clips: go on with what an interrupted run has finished.")
]


@dataclass(frozen=True)
class ClipOptions:
    """What the command line says of clips; names are those of the flags."""

    temporal: str = "auto"
    codec: str = "h264"
    crf: float | None = None
    preset: str | None = None
    preview: float | None = None
    start: str | None = None
    end: str | None = None
    resume: bool = False

    def check_unused(self) -> None:
        """Check that nothing is said of clips, where there are none.

        Raises:
            UsageError: Else.
        """
        for option, value in vars(self).items():
            if value != getattr(ClipOptions, option):
                raise UsageError("is for clips, of which none is named", option=option)

    def plain(self, *, force: bool) -> "Options":
        """Return the library's options.

        Raises:
            UsageError: If a time cannot be read.
        """
        from derain.clips.plan import Options

        start, end = seconds_of(self.start, "start"), seconds_of(self.end, "end")
        return Options(
            temporal=self.temporal,
            codec=self.codec,
            crf=self.crf,
            preset=self.preset,
            start=start or 0.0,
            end=end,
            preview=self.preview,
            resume=self.resume,
            force=force,
        )


def seconds_of(text: str | None, option: str) -> float | None:
    """Return a time in seconds: ``90``, ``1:30`` and ``0:01:30.0`` are the same.

    Args:
        text: As the user gave it.
        option: Name of the Python argument.

    >>> seconds_of("1:02:03.5", "start")
    3723.5

    Raises:
        UsageError: If it is none.
    """
    if text is None:
        return None
    parts = text.strip().split(":")
    if len(parts) > 3 or not all(part.replace(".", "", 1).isdecimal() for part in parts):
        raise UsageError("expected a time, such as 90 or 1:30", option=option, value=text)
    seconds = 0.0
    for part in parts:
        seconds = 60 * seconds + float(part)
    return seconds


def parted(inputs: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the clips among names of inputs, and the others."""
    clips = [name for name in inputs if is_clip_name(name) and not Path(name).is_dir()]
    return clips, [name for name in inputs if name not in clips]


def derain_clips(
    names: Sequence[str],
    output: str | None,
    model: str | None,
    settings: dict[str, Any],
    options: ClipOptions,
    *,
    force: bool,
) -> bool:
    """Derain clips and report each.

    Args:
        names: Of the files.
        output: A file or a folder; None for beside the clips.
        model: Weights; None for those of the quality, or for `MODEL`; ``none`` for none.
        settings: For `derain.restore.load`.
        options: Of clips.
        force: Overwrite what is there.

    Returns:
        Whether all are done, or were there.

    Raises:
        typer.Exit: If an option cannot be meant, or the user interrupts the work.
    """
    with one_line_errors():
        from derain.extras import require

        require("av", f"derain {printable(Path(names[0]).name)}")
        from derain.clips.plan import plan
        from derain.restore import check_asked

        chosen = MODEL if model is None and settings.get("quality") is None else model
        if chosen != NO_MODEL:
            check_asked(chosen, **settings)
        planned = plan(names, output, options.plain(force=force))
        for path, error in planned.refused:
            _complain_of(path, error)
        derainer = _loaded(planned, chosen, settings)
        done = _do(planned, derainer)
    return done and not planned.refused


def _loaded(plan: "Plan", model: str | None, settings: dict[str, Any]) -> "Derainer | None":
    """Load a model, if there is anything for it to do."""
    from derain.restore import load

    if model == NO_MODEL or all(job.target.exists() and not job.force for job in plan.jobs):
        return None
    derainer = load(model, **settings)
    say(f"{derainer.name}: {derainer.describe()}")
    return derainer


def _do(plan: "Plan", derainer: "Derainer | None") -> bool:
    """Do the jobs and report each; return whether none has failed."""
    from derain.clips.pipeline import run

    count = 0

    def describe() -> str:
        return f"{count} of {len(plan.jobs)} clips done; the same command with --resume goes on"

    well = True
    with interruptible(describe), Bars() as bars:
        shown = Shown(bars)
        for result in run(plan.jobs, derainer, shown.begin):
            shown.remove()
            _report(result)
            count += result.status != "failed"
            well = well and result.status != "failed"
    return well


class Shown:
    """Shows how far a clip has come: on a terminal as a bar, else as a line now and then."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._name = ""
        self._begin = self._said = 0.0
        self._first = 0
        self.done = 0

    def begin(self, job: "Job") -> "Shown":
        """Show another clip."""
        return self.show(job.source.name, job.frames)

    def show(self, name: str, frames: int) -> "Shown":
        """Show other work: its name, and how many frames there should be, 0 where nobody says."""
        self.remove()
        self._name = printable(name)
        self._begin = self._said = time.monotonic()
        self._first = -1
        self._bars(self._name, 0, frames or None)
        return self

    def remove(self) -> None:
        """Show nothing."""
        self._bars.remove(self._name)

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        if stage != "frames":
            return
        self.done = done
        now = time.monotonic()
        if self._first < 0:
            # What is resumed took no time.
            self._first, self._begin = done, now
        rate = (done - self._first) / max(now - self._begin, 1e-9)
        note = f"{rate:.1f} frames/s" if done > self._first else ""
        self._bars(self._name, done, total or None, note)
        if not errors_on_terminal() and now - self._said >= _EVERY and rate > 0:
            self._said = now
            left = f", {_duration((total - done) / rate)} left" if total else ""
            of = f" of {total}" if total else ""
            say(f"{self._name}: {done}{of} frames, {note}{left}")


def _duration(seconds: float) -> str:
    """Return a time as people read it: ``0:42``, ``1:02:03``."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _complain_of(path: Path, error: Exception) -> None:
    show_traceback(error)
    name = printable(path)
    complain(f"error: {name}: {line_of(error).removeprefix(f'{name}: ')}")


def _report(result: "Result") -> None:
    """Say what became of a clip; the path of its result goes to standard output."""
    name = printable(result.source)
    if result.status == "skipped" and result.error is not None:
        say(f"skipped {name}: {line_of(result.error)}")
        return
    if result.error is not None:
        _complain_of(result.source, result.error)
        if result.unfinished:
            say(f"{name}: what is finished is kept; the same command with --resume goes on")
        return
    rate = (result.frames - result.resumed) / max(result.seconds, 1e-9)
    resumed = f", {result.resumed} of them before" if result.resumed else ""
    say(
        f"{name}: {result.frames} frames{resumed}, {result.seconds:.1f} s, {rate:.1f} frames/s"
        f"{_note(result.notes)}"
    )
    if result.unsteadiness:
        say_unsteadiness(name, *result.unsteadiness)
    show_result(f"{result.target}")


def say_unsteadiness(name: str, before: float, after: float) -> None:
    """Say how much still pixels of a clip change, in levels of 255."""
    say(f"{name}: still pixels vary by {after:.2f} levels from frame to frame, before {before:.2f}")


def _note(notes: Sequence[str]) -> str:
    return f" ({'; '.join(notes)})" if notes else ""
