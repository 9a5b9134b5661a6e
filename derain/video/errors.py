"""Errors of clips: each says in one line what was found, what was expected, and what to do."""

import os

from derain.errors import DerainError, reason


class VideoError(DerainError, ValueError):
    """A clip cannot be read, encoded or joined."""


def system_error(error: OSError, path: str | os.PathLike[str]) -> OSError:
    """Return an error of the system that PyAV raised as Python's own, which names a path."""
    code = error.errno or 0
    return OSError(code, os.strerror(code), os.fspath(path))


def words_of(error: Exception) -> str:
    """Return what FFmpeg says of an error, without the call that failed."""
    return getattr(error, "strerror", None) or reason(error)


def not_written(error: Exception, path: str | os.PathLike[str]) -> Exception:
    """Return an error of PyAV's that came while a file was written, as derain raises it."""
    if isinstance(error, OSError):
        return system_error(error, path)
    return VideoError(f"{os.fspath(path)}: cannot be written ({words_of(error)})")


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
