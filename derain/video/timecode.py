"""Time codes: the clock that a camera counts frames by, as text such as ``01:00:00:00``.

(SMPTE ST 12-1. A semicolon or a point before the frames marks drop-frame counting.)
"""

import math
import re
from fractions import Fraction

_TIMECODE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d{1,4})")
_DAY = 24 * 60
"""Minutes after which a time code begins again."""


def is_timecode(text: str, rate: Fraction) -> bool:
    """Return whether a text is a time code of so many frames a second.

    Args:
        text: Such as ``01:00:00:00``.
        rate: Frames a second; drop-frame counting is for multiples of 30 once they are rounded.
    """
    found = _TIMECODE.fullmatch(text)
    return found is not None and (found[4] == ":" or _rounded(rate) % 30 == 0)


def later(timecode: str, frames: int, rate: Fraction) -> str:
    """Return the time code of a later frame.

    Args:
        timecode: One that `is_timecode` accepts.
        frames: How many frames later.
        rate: Frames a second.

    Returns:
        A time code that counts in the same way.

    Raises:
        ValueError: If it is no time code of this rate.
    """
    found = _TIMECODE.fullmatch(timecode)
    if found is None or not is_timecode(timecode, rate):
        raise ValueError(f"{timecode!r} is no time code at {rate} frames a second")
    if not frames:
        return timecode
    count = _rounded(rate)
    # Numbers that are left out at the beginning of each minute, but for every tenth.
    dropped = 0 if found[4] == ":" else count // 15
    hour, minute, second, place = (int(found[k]) for k in (1, 2, 3, 5))
    minute += 60 * hour
    number = (60 * minute + second) * count + place - dropped * (minute - minute // 10)
    number = (number + frames) % (60 * _DAY * count - dropped * (_DAY - _DAY // 10))
    if dropped:
        tens, rest = divmod(number, 600 * count - 9 * dropped)
        minutes = max(0, rest - dropped) // (60 * count - dropped)
        number += dropped * (9 * tens + minutes)
    second, place = divmod(number, count)
    minute, second = divmod(second, 60)
    hour, minute = divmod(minute, 60)
    return f"{hour:02}:{minute:02}:{second:02}{found[4]}{place:0{len(found[5])}}"


def _rounded(rate: Fraction) -> int:
    """Return the frames that a time code counts in a second; 29.97 are 30."""
    return max(1, math.floor(rate + Fraction(1, 2)))
