"""Stages of work in threads, with short queues between: a stage that is ahead waits.

If a stage fails, or the calling thread is interrupted, all stages end at once.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from threading import Condition, Thread
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_AWAKE = 0.5
"""Seconds after which a waiting thread looks up, so that signals reach it on every system."""


class CancelledError(Exception):
    """Another stage has failed, or the work was interrupted."""


class Channel(Generic[T]):
    """A queue from one thread to another.

    Args:
        room: Items that it holds at most.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._items: deque[T] = deque()
        self._changed = Condition()
        self._ended = False
        self._cancelled = False

    def put(self, item: T) -> None:
        """Add an item when there is room.

        Raises:
            CancelledError: If the work has ended.
        """
        with self._changed:
            while len(self._items) >= self._room and not self._cancelled:
                self._changed.wait(_AWAKE)
            if self._cancelled:
                raise CancelledError
            self._items.append(item)
            self._changed.notify_all()

    def end(self) -> None:
        """Say that nothing more is added."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Let both threads end at once."""
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()

    def take(self, most: int = 1) -> list[T]:
        """Return the next items, as many as are there, but no more than that; none at the end.

        Raises:
            CancelledError: If the work has ended.
        """
        with self._changed:
            while not (self._items or self._ended or self._cancelled):
                self._changed.wait(_AWAKE)
            if self._cancelled:
                raise CancelledError
            items = [self._items.popleft() for _ in range(min(most, len(self._items)))]
            self._changed.notify_all()
        return items

    def __iter__(self) -> Iterator[T]:
        while items := self.take():
            yield items.pop()


class Stages:
    """Threads at work; a context manager that ends when all have, and raises what one raised.

    Args:
        channels: All that are between them.
    """

    def __init__(self, channels: Sequence[Channel[Any]]) -> None:
        self._channels = channels
        self._threads: list[Thread] = []
        self._failures: list[BaseException] = []

    def start(self, name: str, work: Callable[[], None], *, detached: bool = False) -> None:
        """Begin a stage in a thread of its own.

        Args:
            name: Of the thread.
            work: What it does.
            detached: Nobody waits for its end: it may hang in a pipe as long as another program
                likes.
        """
        thread = Thread(target=self._guarded, args=(work,), name=name, daemon=detached)
        if not detached:
            self._threads.append(thread)
        thread.start()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except CancelledError:
            pass
        except BaseException as error:
            self._failures.append(error)
            self._cancel()

    def _cancel(self) -> None:
        for channel in self._channels:
            channel.cancel()

    def __enter__(self) -> "Stages":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._cancel()
        try:
            for thread in self._threads:
                thread.join()
        except BaseException:  # another interruption
            self._cancel()
            raise
        if self._failures and (error is None or isinstance(error, CancelledError)):
            raise self._failures[0]
