"""Progress of the work, shown as bars on a terminal.

Only work that lasts gets bars. They take some time to load, and those of a small picture would be
gone before anyone has read them.
"""

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from derain.cli import console
from derain.files import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

DELAY = 0.3
"""Seconds of work before the bars appear."""


@dataclass
class _Task:
    """What a bar shows: the name of the work, a note, how many of how many items are done."""

    name: str
    done: int = 0
    total: int | None = None
    note: str = ""
    shown: "TaskID | None" = None
    """Its bar, once there are bars."""


class Bars:
    """A `derain.progress.Progress` that shows each stage as a bar of its own.

    It is used as a context. Where stderr is no terminal, or only errors are wanted, nothing is
    shown. The bars appear after `DELAY` seconds. A thread loads what draws them during the work.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, _Task] = {}
        self._progress: Progress | None = None
        self._over = False
        self._lock = threading.RLock()
        self._timer = threading.Timer(DELAY, self._show)

    def __enter__(self) -> "Bars":
        # FORCE_COLOR and the like say how to show things on a terminal, not that there is one.
        if console.errors_on_terminal() and not console.is_quiet():
            self._timer.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._over = True
            if self._progress is not None:
                self._progress.stop()
                console.write_above(None)
        if self._timer.ident is not None:
            self._timer.join()

    def __call__(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        """Show how far a stage has come; a new one gets a bar of its own.

        Args:
            stage: What is being worked on.
            done: Number of items done.
            total: Number of items in all; None while it is not known.
            note: What stands behind the name, such as how fast it goes.
        """
        with self._lock:
            task = self._tasks.setdefault(stage, _Task(printable(stage)))
            task.done, task.total, task.note = done, total, note
            self._draw(task)

    def remove(self, stage: str) -> None:
        """Remove the bar of a stage that is over."""
        with self._lock:
            task = self._tasks.pop(stage, None)
            if task is not None and task.shown is not None and self._progress is not None:
                self._progress.remove_task(task.shown)

    def _draw(self, task: _Task) -> None:
        if self._progress is None:
            return
        text = f"{task.name} {task.note}".rstrip()
        if task.shown is None:
            task.shown = self._progress.add_task(text, completed=task.done, total=task.total)
        else:
            self._progress.update(
                task.shown, description=text, completed=task.done, total=task.total
            )

    def _show(self) -> None:
        """Show bars of all stages there are."""
        progress = _load_bars()
        with self._lock:
            if self._over or progress.disable:
                return
            self._progress = progress
            console.write_above(progress.console)
            progress.start()
            for task in self._tasks.values():
                self._draw(task)


def _load_bars() -> "Progress":
    """Return bars without tasks; disabled if the terminal cannot show them."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    terminal = Console(stderr=True, highlight=False, soft_wrap=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=terminal,
        disable=terminal.is_dumb_terminal or not terminal.is_interactive,
        transient=True,
        redirect_stdout=False,  # results must reach stdout, wherever it goes
    )
