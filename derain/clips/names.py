"""Which files are clips, and what their results are called."""

import os
from pathlib import Path

from derain.files import RESULT_MARK

SUFFIXES = frozenset(
    {
        ".3gp",
        ".avi",
        ".flv",
        ".m2ts",
        ".m4v",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".ogv",
        ".ts",
        ".webm",
        ".wmv",
        ".y4m",
    }
)
"""What the names of clips end in, in small letters."""


def is_clip_name(name: str | os.PathLike[str]) -> bool:
    """Return whether a file is called as a clip.

    >>> is_clip_name("yard.MP4"), is_clip_name("yard.jpg")
    (True, False)
    """
    return Path(name).suffix.lower() in SUFFIXES


PREVIEW_MARK = "_preview"
"""What the names of results of a few seconds end in."""


def result_name(name: str, suffix: str, mark: str = RESULT_MARK) -> str:
    """Return what the result of a clip is called.

    Args:
        name: The last part of the clip's path.
        suffix: Of the result, with the dot.
        mark: `RESULT_MARK` or `PREVIEW_MARK`.

    >>> result_name("yard.mpg", ".mp4")
    'yard_derained.mp4'
    """
    return f"{Path(name).stem}{mark}{suffix}"
