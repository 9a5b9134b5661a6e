"""Starting and ending a process without work for what stays loaded until the end."""

import atexit
import gc
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def lasting() -> Generator[None]:
    """Load modules and models in this context without searching them for garbage, now or later.

    They stay until the process ends. Python would still search them several times while they load
    and again at the end, which is a quarter of the time that PyTorch takes.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()


class QuickEnd:
    """Ends the process without freeing its memory piece by piece, after everything else is done.

    Make it before functions for the end of the process are registered.
    """

    def __init__(self) -> None:
        self._status: int | None = None
        # The last to be registered is the first to be called.
        atexit.register(self._end)

    def exit(self, status: int) -> NoReturn:
        """Exit as ``sys.exit`` does: threads are waited for, and all functions for it called."""
        self._status = status
        raise SystemExit(status)

    def _end(self) -> None:
        if self._status is None:
            return
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        except (OSError, ValueError):  # Python says so when it ends as usual
            return
        os._exit(self._status)
