"""What a decoder says of a frame beside its pixels: how it is turned, captions, HDR metadata."""

import math
from typing import Any

from av.video.frame import VideoFrame

_ONE = 1 << 16


def side_data_of(frame: VideoFrame) -> dict[str, Any]:
    """Return side data by FFmpeg's names, such as ``DISPLAYMATRIX``; each has ``bytes``.

    It is empty where a frame has any of a kind that PyAV has no name for, such as the EXIF of a
    Motion-JPEG: PyAV then gives none at all.
    """
    try:
        held: Any = frame.side_data
        return {each.type.name: each for each in held}
    except ValueError:
        return {}


def display_matrix_of(frame: VideoFrame) -> tuple[int, ...]:
    """Return nine integers that turn a frame upright, empty if none do."""
    found = side_data_of(frame).get("DISPLAYMATRIX")
    if found is not None:
        return tuple(memoryview(bytes(found)).cast("i"))
    # PyAV gives the angle in any case: counterclockwise, in degrees.
    angle = math.radians(frame.rotation)
    across, down = round(_ONE * math.cos(angle)), round(-_ONE * math.sin(angle))
    return (across, down, 0, -down, across, 0, 0, 0, 1 << 30)
