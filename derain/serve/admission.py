"""Limit the pictures that may wait, and their memory.

`Admission` and `Bytes` belong to the event loop, and `Pixels` to the threads that do the work.
"""

import asyncio
import math
import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

MEMORY_OF_TIME = 0.2
"""Weight of the last picture in the mean of the time that pictures take."""
LONGEST_RETRY = 600
"""Seconds after which a client is asked to come again, at the most."""


class FullError(Exception):
    """There is no place, or no memory, for one more.

    Args:
        detail: What there is too much of.
        retry_after: Seconds after which there should be room.
    """

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.detail, self.retry_after = detail, retry_after


class Incoming(Protocol):
    """A file that comes in."""

    pace: float
    """Bytes a second in the last seconds; infinite while it has only begun."""

    def give_up(self) -> None:
        """Let it come no further, and give its memory back."""


class Bytes:
    """Memory for files, of which each takes its part as it comes in.

    Args:
        most: Bytes that there are.

    Attributes:
        incoming: Files that have not come completely.
    """

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, 0
        self.incoming: set[Incoming] = set()

    def take(self, count: int) -> bool:
        """Take bytes; return False, and take none, if there are not so many left."""
        if self.taken + count > self.most:
            return False
        self.taken += count
        return True

    def take_anyway(self, count: int) -> None:
        """Take bytes for existing data: the results of accepted pictures."""
        self.taken += count

    def give_back(self, count: int) -> None:
        """Give bytes back."""
        self.taken -= count

    def give_up_slowest(self, pace: float) -> None:
        """Give up the file that comes most slowly, if it is slower than so many bytes a second."""
        slowest = min(self.incoming, key=lambda file: file.pace, default=None)
        if slowest is not None and slowest.pace < pace:
            self.incoming.discard(slowest)
            slowest.give_up()


class Ticket:
    """A place in the queue, and then at work."""

    def __init__(self) -> None:
        self.turn = asyncio.Event()


class Admission:
    """A queue of limited length, first come, first served.

    Args:
        places: Pictures that may wait.
        at_once: Pictures that may be worked on at once.
        lanes: Pictures that are derained at once, which is what the rate depends on.
    """

    def __init__(self, places: int, at_once: int, lanes: int) -> None:
        self._places, self._at_once, self._lanes = places, at_once, lanes
        self._waiting: deque[Ticket] = deque()
        self._working: set[Ticket] = set()
        self.seconds = 1.0

    @property
    def waiting(self) -> int:
        """Pictures that wait."""
        return len(self._waiting)

    @property
    def working(self) -> int:
        """Pictures that are worked on."""
        return len(self._working)

    @property
    def is_full(self) -> bool:
        """Whether there is no place left."""
        return len(self._waiting) >= self._places

    @property
    def retry_after(self) -> int:
        """Seconds until the queue should be empty, by what pictures took so far."""
        seconds = self.seconds * (self.waiting + 1) / self._lanes
        return max(1, min(LONGEST_RETRY, math.ceil(seconds)))

    def check(self) -> None:
        """Raise FullError if there is no place left."""
        if self.is_full:
            raise FullError(f"{self.waiting} pictures wait already", self.retry_after)

    def enter(self) -> Ticket:
        """Take the last place in the queue.

        Raises:
            FullError: If there is none.
        """
        self.check()
        ticket = Ticket()
        self._waiting.append(ticket)
        self._call()
        return ticket

    def place(self, ticket: Ticket) -> int:
        """Return how many wait before one; 0 also for one whose turn has come."""
        return self._waiting.index(ticket) if ticket in self._waiting else 0

    def leave(self, ticket: Ticket) -> None:
        """Give a place back, and let the next one go to work."""
        if ticket in self._working:
            self._working.discard(ticket)
        elif ticket in self._waiting:
            self._waiting.remove(ticket)
        self._call()

    def took(self, seconds: float) -> None:
        """Learn how long a picture took in a worker."""
        self.seconds += MEMORY_OF_TIME * (seconds - self.seconds)

    def _call(self) -> None:
        while self._waiting and len(self._working) < self._at_once:
            ticket = self._waiting.popleft()
            self._working.add(ticket)
            ticket.turn.set()


class Pixels:
    """Memory for decoded pictures: threads wait for it, first come, first served.

    Args:
        most: Pixels that may be decoded at once.
    """

    def __init__(self, most: int) -> None:
        self._most, self._taken = most, 0
        self._line: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def held(self, count: int) -> Generator[None]:
        """Wait until there is room for so many pixels, and keep it in this context."""
        count = min(count, self._most)
        place = object()
        with self._changed:
            self._line.append(place)
            self._changed.wait_for(
                lambda: self._line[0] is place and self._taken + count <= self._most
            )
            self._line.popleft()
            self._taken += count
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._taken -= count
                self._changed.notify_all()
