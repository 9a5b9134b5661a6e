"""Show the progress of clips, and report on them afterwards."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from derain.cli.console import (
    complain,
    errors_on_terminal,
    is_verbose,
    line_of,
    say,
    show_traceback,
)
from derain.cli.console import result as show_result
from derain.cli.progress import Bars
from derain.files import listed, printable

if TYPE_CHECKING:
    from derain.clips.plan import Job
    from derain.clips.results import Result
    from derain.clips.sequences import SequenceJob

SKIPPED = "skipped because they already exist"

_EVERY = 30.0
"""Seconds between lines about how far a clip has come, where no bar is shown."""


def say_left(results: Sequence[Path]) -> None:
    """Say which files derain made, and does not derain again."""
    if results:
        what = "1 result" if len(results) == 1 else f"{len(results)} results"
        names = listed([printable(path) for path in results])
        say(f"{what} of derain ignored: {names}; name one alone to derain it again")


class Shown:
    """Shows how far a clip has come: on a terminal as a bar, else as a line now and then."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._name = ""
        self._begin = self._said = 0.0
        self._first = 0
        self.done = 0

    def begin(self, job: "Job | SequenceJob") -> "Shown":
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
        """Remove the bar."""
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


def complain_of(path: Path, error: Exception) -> None:
    """Say why a clip was not derained, in one line."""
    show_traceback(error)
    name = printable(path)
    line = line_of(error, has_limit=True)
    if isinstance(error, FileNotFoundError) and error.filename == str(path):
        line = "no such file"
    complain(f"error: {name}: {line.removeprefix(f'{name}: ')}")


def say_skipped(text: str, *, is_only: bool) -> None:
    """Name a file that is skipped because its result exists, if details are wanted.

    There may be thousands where work is resumed. They are counted, see `say_skipped_count`.

    Args:
        text: The file, and why.
        is_only: Whether it is the only one there is to do; it is named in any case.
    """
    if is_only or is_verbose():
        say(f"skipped {text}")


def say_skipped_count(count: int, what: str = "") -> None:
    """Say how many files were skipped, if any.

    Args:
        count: Of files.
        what: What they are, such as "clips ".
    """
    if count:
        say(f"{count} {what}{SKIPPED}")


def report(result: "Result", *, is_only: bool) -> None:
    """Say what became of a clip; the path of its result goes to standard output.

    Args:
        result: What became of it.
        is_only: As for `say_skipped`.
    """
    name = printable(result.source)
    if result.status == "skipped" and result.error is not None:
        say_skipped(f"{name}: {line_of(result.error)}", is_only=is_only)
        return
    if result.error is not None:
        complain_of(result.source, result.error)
        if result.unfinished:
            say(f"{name}: what is finished is kept; the same command with --resume continues")
        return
    rate = (result.frames - result.resumed) / max(result.seconds, 1e-9)
    resumed = f", {result.resumed} of them before" if result.resumed else ""
    say(
        f"{name}: {_frames(result.frames)}{resumed}, {result.seconds:.1f} s, {rate:.1f} frames/s"
        f"{_note(result.notes)}"
    )
    if result.unsteadiness:
        say_unsteadiness(name, *result.unsteadiness)
    show_result(f"{result.target}")


def say_unsteadiness(name: str, before: float, after: float) -> None:
    """Say how much still pixels of a clip change, in levels of 255."""
    say(f"{name}: still pixels vary by {after:.2f} levels from frame to frame, before {before:.2f}")


def _frames(count: int) -> str:
    return f"{count} frame{'' if count == 1 else 's'}"


def _note(notes: Sequence[str]) -> str:
    return f" ({'; '.join(notes)})" if notes else ""
