"""Pictures that were accepted, as clients follow them."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["queued", "working", "done", "failed"]

KEPT = 120.0
"""Seconds that a job is known after its end."""
MOST_KEPT = 1000


class JobExistsError(Exception):
    """A job of this name is under way."""


@dataclass
class Job:
    """A picture on its way.

    Attributes:
        state: How far it is.
        done: Tiles that are done.
        total: Tiles; 0 while their number is not known.
        cancelled: Nobody waits for the result.
        ended: When it ended, by the monotonic clock.
        place: Tells how many wait before it.
    """

    state: State = "queued"
    done: int = 0
    total: int = 0
    cancelled: threading.Event = field(default_factory=threading.Event)
    ended: float | None = None
    place: Callable[[], int] = lambda: 0
    _stop: Callable[[], None] | None = None
    _stopping: threading.Lock = field(default_factory=threading.Lock)

    def on_cancel(self, stop: Callable[[], None] | None) -> None:
        """Set what stops the work that is being done; None when there is nothing to stop.

        What was set before is not called afterwards, because it may work for another job by then.
        The job may have been cancelled already: whoever sets something checks `cancelled`.
        """
        with self._stopping:
            self._stop = stop

    def cancel(self) -> None:
        """Stop the work as soon as that is possible."""
        self.cancelled.set()
        with self._stopping:
            if self._stop is not None:
                self._stop()

    def progress(self, done: int, total: int) -> None:
        """Take a report of the tiles."""
        self.done, self.total = done, total

    def end(self, state: State) -> None:
        """End it."""
        if self.ended is None:
            self.state, self.ended = state, time.monotonic()

    def described(self) -> dict[str, Any]:
        """Return what a client is shown."""
        return {"state": self.state, "place": self.place(), "done": self.done, "total": self.total}


class Jobs:
    """Jobs by the names that clients gave them; those that ended are forgotten after a while."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    def add(self, name: str | None) -> Job:
        """Begin a job.

        Args:
            name: None for one that nobody follows.

        Raises:
            JobExistsError: If there is one of the name.
        """
        self._forget()
        job = Job()
        if name is None:
            return job
        known = self._jobs.get(name)
        if known is not None and known.ended is None:
            raise JobExistsError(name)
        self._jobs[name] = job
        self._jobs.move_to_end(name)
        return job

    def get(self, name: str) -> Job | None:
        """Return a job; None if it is not known."""
        self._forget()
        return self._jobs.get(name)

    def _forget(self) -> None:
        """Forget what ended long ago. Jobs that are under way are bounded by the queue."""
        ended = [(name, job.ended) for name, job in self._jobs.items() if job.ended is not None]
        before = time.monotonic() - KEPT
        surplus = len(self._jobs) - MOST_KEPT
        for place, (name, when) in enumerate(ended):
            if when < before or place < surplus:
                del self._jobs[name]
