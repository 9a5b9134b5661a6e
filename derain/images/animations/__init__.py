"""Animated files: GIF, WebP, PNG and AVIF of several frames, read and written one frame at a time.

`reading` says what a file holds and composes its frames on a `canvas`, `writing` stores frames as
they come. A GIF's 256 colours are chosen by `palettes`; AVIF, whose frames Pillow alone knows, has
its own module.
"""

from derain.images.animations.canvas import TimedFrame
from derain.images.animations.reading import (
    SUFFIXES,
    AnimatedFormat,
    Animation,
    Facts,
    open_animation,
)
from derain.images.animations.writing import animated_format_of, check_facts, write_animation

__all__ = [
    "SUFFIXES",
    "AnimatedFormat",
    "Animation",
    "Facts",
    "TimedFrame",
    "animated_format_of",
    "check_facts",
    "open_animation",
    "write_animation",
]
