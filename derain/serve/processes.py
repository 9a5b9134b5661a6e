"""Processes that work for the server: started afresh, limited, replaced when they end.

Each is started by spawning, not by forking: a fork of a process with threads may hang. It ignores
the signals by which a service manager or a terminal stops the server, because the server first
finishes what it accepted; it ends when the server's end of its pipe is closed.
"""

import contextlib
import logging
import multiprocessing
import os
import queue
import re
import signal
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from derain.errors import DerainError
from derain.serve.channel import Channel

_log = logging.getLogger(__name__)

START_LIMIT = 120.0
"""Seconds that a process may take to start and to load its model."""

GRACE = 0.5
"""Seconds between the end of a pipe and the end of its process."""

Cause = Literal["timeout", "crash", "memory"]


class EndedError(Exception):
    """A process ended while it worked.

    Args:
        cause: Why: it took too long, it crashed, or it was killed, as systems do that run out of
            memory.

    Attributes:
        phase: What it was doing, where that is known: ``decode`` or ``encode``.
    """

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause)
        self.cause: Cause = cause
        self.phase = ""


class RefusedError(Exception):
    """A process did not do what it was asked to, and works on.

    Args:
        status: Of HTTP.
        detail: What was found, what was expected and what to do, in one line.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class StoppedError(RefusedError):
    """The work on a picture was stopped, because nobody waits for it."""

    def __init__(self) -> None:
        super().__init__(499, "the picture was cancelled")


class NotStartedError(DerainError):
    """A process could not be started; says why in one line."""


class Child:
    """A process and the pipe to it. It says ``{"ready": true}`` when it can work.

    Args:
        main: What it executes, with its end of the pipe and the arguments.
        arguments: They are pickled.
        name: Of the process.
    """

    def __init__(self, main: Callable[..., None], arguments: tuple[Any, ...], name: str) -> None:
        # No file of the working folder takes the place of Python's modules there (Python 3.11).
        os.environ["PYTHONSAFEPATH"] = "1"
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(
            target=main, args=(theirs, *arguments), name=name, daemon=True
        )
        self._process.start()
        theirs.close()
        self.channel = Channel(ours)
        self.jobs = 0
        self._is_ready = self._too_slow = self._killed = False
        self._ending = threading.Lock()

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return not self._killed and self._process.is_alive()

    @property
    def pid(self) -> int | None:
        """Its number."""
        return self._process.pid

    def wait_ready(self) -> None:
        """Wait until it can work.

        Raises:
            NotStartedError: If it cannot.
        """
        if self._is_ready:
            return
        try:
            with limited(START_LIMIT, self):
                said = self.channel.hear()
        except EndedError as error:
            name = self._process.name
            raise NotStartedError(f"{name} ended while it started ({error.cause})") from error
        if "failed" in said:
            raise NotStartedError(str(said["failed"]))
        self._is_ready = True

    def expire(self) -> None:
        """Kill it because it takes too long."""
        self._too_slow = True
        self._process.kill()

    def cause(self) -> Cause | None:
        """Return why it ended; None if it has not."""
        if self._too_slow:
            return "timeout"
        self._process.join(GRACE)
        if self._process.exitcode is None:
            return None
        # Systems that run out of memory send the signal that cannot be caught.
        return "memory" if self._process.exitcode == -9 else "crash"

    def kill(self) -> None:
        """End it at once, and wait for that; any thread may, also at the same time."""
        self._killed = True
        with self._ending:
            self._process.kill()
            self._process.join()
            self.channel.close()


@contextmanager
def limited(seconds: float, *children: Child) -> Generator[None]:
    """Kill processes if what is done with them in this context takes longer.

    Raises:
        EndedError: If one of them ends meanwhile, or its pipe is out of step.
    """

    def expire() -> None:
        for child in children:
            child.expire()

    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (EOFError, OSError) as error:
        causes: list[Cause] = [cause for child in children if (cause := child.cause())]
        raise EndedError(causes[0] if causes else "crash") from error
    finally:
        timer.cancel()


ChildT = TypeVar("ChildT", bound=Child)


class Pool(Generic[ChildT]):
    """Processes of one kind, each used by one thread at a time.

    Args:
        make: Starts a process; it need not be ready.
        size: How many there are.
        jobs: After so many a process is replaced: libraries that lose memory lose it for good.
        on_replaced: Called with the reason when one is replaced.
    """

    def __init__(
        self,
        make: Callable[[], ChildT],
        size: int,
        *,
        jobs: int | None = None,
        on_replaced: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._make, self._size, self._jobs, self._on_replaced = make, size, jobs, on_replaced
        self._idle: queue.SimpleQueue[ChildT] = queue.SimpleQueue()
        self._all: set[ChildT] = set()
        self._lock = threading.Lock()
        self._closed = False

    def start(self) -> None:
        """Start all processes, and wait for one to be ready.

        Raises:
            NotStartedError: If it cannot start.
        """
        for _ in range(self._size):
            self._idle.put(self._new())
        with self.held():
            pass

    @property
    def alive(self) -> int:
        """How many of them have not ended."""
        return sum(child.is_alive for child in self.children)

    @property
    def children(self) -> list[ChildT]:
        """The processes."""
        with self._lock:
            return list(self._all)

    def pids(self) -> list[int]:
        """Return the numbers of the processes."""
        return [child.pid for child in self.children if child.pid is not None]

    @contextmanager
    def held(self) -> Generator[ChildT]:
        """Wait for a process that is free and ready; replace it if anything goes wrong with it.

        Raises:
            NotStartedError: If it cannot start.
        """
        child = self._idle.get()
        reason: str | None = "crash"
        try:
            if not child.is_alive:
                child = self._replaced(child, "crash")
            child.wait_ready()
            child.jobs += 1
            yield child
            reason = "age" if self._jobs is not None and child.jobs >= self._jobs else None
        except RefusedError:
            reason = None
            raise
        except EndedError as error:
            reason = error.cause
            raise
        finally:
            self._idle.put(child if reason is None else self._replaced(child, reason))

    def _replaced(self, child: ChildT, reason: str) -> ChildT:
        """Return a new process in place of one."""
        child.kill()
        with self._lock:
            self._all.discard(child)
        if self._closed:
            return child
        self._on_replaced(reason)
        _log.info("a process was replaced (%s)", reason)
        return self._new()

    def _new(self) -> ChildT:
        child = self._make()
        with self._lock:
            self._all.add(child)
        return child

    def close(self) -> None:
        """End all processes."""
        self._closed = True
        for child in self.children:
            child.kill()


# In the process


def serve_forever(
    connection: "Connection[Any, Any]", answer: Callable[[Channel, Mapping[str, Any]], None]
) -> None:
    """Answer messages until the server closes the pipe.

    Args:
        connection: The pipe.
        answer: Does what a message asks for.
    """
    channel = Channel(connection)
    channel.tell(ready=True)
    while True:
        try:
            message = channel.hear()
        except (EOFError, OSError):
            return
        answer(channel, message)


def ignore_stop_signals() -> None:
    """Leave it to the server when to stop."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def limit_memory(extra: int) -> None:
    """Let this process ask for so many bytes more than it has now (Linux).

    What lies beyond fails as memory that ran out. Bytes of a pipe and files that are mapped do not
    count.
    """
    if not sys.platform.startswith("linux"):
        return
    import resource

    found = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text())
    used = int(found[1]) * 1024 if found else 0
    _set_limit(resource.RLIMIT_DATA, used + extra)


def forbid_files() -> None:
    """Let this process write no file, and leave no image of its memory behind."""
    if sys.platform == "win32":
        return
    import resource

    _set_limit(resource.RLIMIT_FSIZE, 0)
    _set_limit(resource.RLIMIT_CORE, 0)


def _set_limit(kind: int, value: int) -> None:
    import resource

    # A larger number does not fit into a limit, and bounds nothing.
    value = min(value, sys.maxsize)
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (value, hard))
