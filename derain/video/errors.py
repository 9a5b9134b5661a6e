"""Errors of clips: each says in one line what was found, what was expected, and what to do."""

import os

from derain.errors import DerainError


class VideoError(DerainError, ValueError):
    """A clip cannot be read, encoded or joined."""


def system_error(error: OSError, path: str | os.PathLike[str]) -> OSError:
    """Return an error of the system that PyAV raised as Python's own, which names a path."""
    code = error.errno or 0
    return OSError(code, os.strerror(code), os.fspath(path))


def clock(seconds: float) -> str:
    """Return a time in a clip as people read it.

    >>> clock(3723.5)
    '1:02:03.50'
    >>> clock(0.76)
    '0:00.76'
    """
    hundredths = round(max(seconds, 0) * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02}" if hours else str(minutes)
    return f"{start}:{rest // 100:02}.{rest % 100:02}"
