"""Errors of clips: each says in one line what was found, what was expected, and what to do."""

from derain.errors import DerainError


class VideoError(DerainError, ValueError):
    """A clip cannot be read, encoded or joined."""


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
