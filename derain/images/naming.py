"""Decide whether a name for results is a file or a folder."""

import os
import re
from pathlib import Path

from derain.errors import UsageError, closest
from derain.images.picture import SUFFIXES

_ENDING = re.compile(r"\.(?!v\d+$)\d*[a-z][a-z0-9]*")
"""Letters, and digits at most besides; a version, ``.v2``, is no ending."""


def names_a_file(output: str) -> bool:
    """Return whether a name is that of a file rather than of a folder.

    ``clean.jpg`` is a file. ``dry``, ``dry.2024``, ``v1.5``, ``dry.jpg/`` and what is a folder
    already are folders.

    Raises:
        UsageError: If the name is empty, or has an ending of no format that derain writes.
    """
    if not output.strip():
        raise UsageError("an empty name; expected a file or a folder", option="output")
    path = Path(output)
    if output.endswith(("/", os.sep)) or path.is_dir():
        return False
    suffix, trimmed = path.suffix.lower(), output.rstrip(". ")
    if suffix in SUFFIXES:
        return True
    if _ENDING.fullmatch(suffix):
        found = f"{suffix} is not a picture format that derain writes"
        meant = closest(suffix, SUFFIXES) or next(iter(SUFFIXES))
    elif trimmed != output and Path(trimmed).suffix.lower() in SUFFIXES:
        found, meant = "a name that ends in a dot or a space", trimmed
    else:
        return False
    raise UsageError(
        f"{found}; did you mean {meant}? a folder's name ends in /", option="output", value=output
    )
