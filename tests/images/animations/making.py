"""Animations of a few small frames, as Pillow and as derain write them."""

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain.images import Metadata, Picture
from derain.images.animations import AnimatedFormat, Facts, TimedFrame, write_animation

HEIGHT, WIDTH = 12, 17
SUFFIXES: dict[AnimatedFormat, str] = {
    "GIF": ".gif",
    "PNG": ".png",
    "WEBP": ".webp",
    "AVIF": ".avif",
}

LOSSLESS = Metadata("WEBP", encoding={"lossless": True})


def levels(count: int, *, seed: int = 0, dtype: Any = np.uint8) -> list[NDArray[Any]]:
    """Frames of a few colours, of which a part stays: (HEIGHT, WIDTH, 3)."""
    dice = np.random.default_rng(seed)
    top = np.iinfo(dtype).max
    palette = dice.integers(0, top, (8, 3), dtype, endpoint=True)
    still = palette[dice.integers(0, 8, (HEIGHT, WIDTH))]
    made: list[NDArray[Any]] = []
    for _ in range(count):
        frame = still.copy()
        frame[3:8, 4:11] = palette[dice.integers(0, 8, (5, 7))]
        made.append(frame)
    return made


def shapes(count: int, *, seed: int = 0, dtype: Any = np.uint8) -> list[NDArray[Any]]:
    """Alpha that is nothing or all, (HEIGHT, WIDTH)."""
    dice = np.random.default_rng(seed)
    top = np.iinfo(dtype).max
    return [(dice.random((HEIGHT, WIDTH)) < 0.6).astype(dtype) * top for _ in range(count)]


def facts(
    plays: int = 0,
    *,
    has_alpha: bool = False,
    grey: bool = False,
    metadata: Metadata = LOSSLESS,
    dtype: Any = np.uint8,
) -> Facts:
    """What an animation of such frames has besides them."""
    alpha: Any = np.zeros((1, 1), dtype) if has_alpha else None
    picture = Picture(np.zeros((1, 1, 3), dtype), alpha, grey, metadata)
    return Facts(WIDTH, HEIGHT, plays, picture)


def timed(
    frames: list[NDArray[Any]],
    seconds: list[Fraction],
    alphas: list[NDArray[Any]] | None = None,
) -> list[TimedFrame]:
    """Frames with their times."""
    given = alphas or [None] * len(frames)
    return [TimedFrame(*each) for each in zip(frames, given, seconds, strict=True)]


def written(
    folder: Path,
    format: AnimatedFormat,
    frames: list[TimedFrame],
    of: Facts | None = None,
) -> tuple[Path, list[str]]:
    """Write an animation; return its file and the notes."""
    path, notes = folder / f"a{SUFFIXES[format]}", list[str]()
    assert write_animation(path, format, of or facts(), frames, notes) == len(frames)
    return path, notes


def saved(frames: list[NDArray[Any]], format: str, **options: Any) -> bytes:
    """Return an animation as Pillow writes it."""
    images = [Image.fromarray(frame) for frame in frames]
    out = io.BytesIO()
    images[0].save(out, format, save_all=True, append_images=images[1:], **options)
    return out.getvalue()
