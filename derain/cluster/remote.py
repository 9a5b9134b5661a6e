"""A run whose driver is on the cluster, for a machine that reaches it by ``ray://`` alone.

Ray Data needs more of the cluster than Ray's client lets through. So the client starts an actor
there that lists, plans and records, and takes what it reports.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from derain.cluster.request import Outcome, Tally
from derain.errors import DerainError, reason
from derain.extras import require
from derain.progress import Progress

MOST_EVENTS = 1000
"""Reports that wait for the client; then the driver waits."""
_PATIENCE = 1.0
"""Seconds that the client waits for the next report before it asks again."""


@dataclass(frozen=True)
class Step:
    """How far a stage has come."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class End:
    """The run is over; with what ended it, if that was an error."""

    error: str = ""


Event = Outcome | Tally | Step | End

Drive = Callable[[Progress, Callable[[Tally], None]], Iterator[Outcome]]
"""A run, which takes what reports go to."""


class Driver:
    """Executes a run in a thread; Ray makes an actor of it.

    Args:
        drive: The run.
    """

    def __init__(self, drive: Drive) -> None:
        self._events: queue.Queue[Event] = queue.Queue(MOST_EVENTS)
        threading.Thread(target=self._work, args=(drive,), daemon=True).start()

    def take(self) -> list[Event]:
        """Return the next reports; none if there are none for a second."""
        events: list[Event] = []
        try:
            events.append(self._events.get(timeout=_PATIENCE))
            while len(events) < MOST_EVENTS:
                events.append(self._events.get_nowait())
        except queue.Empty:
            pass
        return events

    def _work(self, drive: Drive) -> None:
        def progress(stage: str, done: int, total: int, /) -> None:
            self._events.put(Step(stage, done, total))

        try:
            for outcome in drive(progress, self._events.put):
                self._events.put(outcome)
        except Exception as error:
            self._events.put(End(reason(error)))
        else:
            self._events.put(End())


def drive_there(
    drive: Drive, progress: Progress, on_plan: Callable[[Tally], None]
) -> Iterator[Outcome]:
    """Execute a run on the cluster that Ray's client is connected to, and yield what it yields.

    Raises:
        DerainError: If the run raises an error, or the cluster cannot be reached any more.
    """
    ray: Any = require("ray")
    driver = ray.remote(num_cpus=0)(Driver).remote(drive)
    try:
        while True:
            for event in ray.get(driver.take.remote()):
                if isinstance(event, End):
                    if event.error:
                        raise DerainError(event.error)
                    return
                if isinstance(event, Outcome):
                    yield event
                elif isinstance(event, Tally):
                    on_plan(event)
                else:
                    progress(event.stage, event.done, event.total)
    except (ray.exceptions.RayError, ConnectionError) as error:
        text = " ".join(str(error).split())[:200]
        raise DerainError(
            f"the cluster cannot be reached ({text}); the same command continues"
        ) from error
    finally:
        ray.kill(driver)
