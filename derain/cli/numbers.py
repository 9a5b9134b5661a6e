"""Large numbers as users write them."""

import re

from derain.errors import UsageError

_SCALES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_LONGEST = 40
"""Letters of a text; a float holds no number of hundreds of digits."""


def whole_number(text: str, option: str, unit: str = "pixels") -> int:
    """Return a number: ``200000000``, ``200M`` and ``0.2G`` are the same.

    Args:
        text: As the user wrote it.
        option: Name of the Python argument.
        unit: What is counted.

    Raises:
        UsageError: If it is no number, or less than one.

    >>> whole_number("0.2G", "max_pixels")
    200000000
    """
    found = re.fullmatch(
        r"((?:\d[\d_]*)?\.?\d+)\s*([kmg]?)(?:p|px|pixels|b|bytes)?", text.strip().lower()
    )
    number = 0
    if found and len(text) < _LONGEST:
        number = round(float(found[1].replace("_", "")) * _SCALES[found[2]])
    if number < 1:
        raise UsageError(
            f"expected a number of {unit}, such as 200M for 200 million", option=option, value=text
        )
    return number
