"""Make clips whose clean frames are known: things that move before a still picture, and rain.

What moves is cut out of other clean pictures: ellipses of three sizes and speeds, which cross the
scene and overlap. Camera noise comes on top of the rain, and into no clean frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.metrics import Bytes
from derain.rain import PRESETS, generator_for, rain_on

Floats = NDArray[np.float32]

SIZE = 448, 320
"""Width and height of a frame by default, in pixels."""
SPEEDS = 1.5, 4.0, 9.0
"""Of the things that move, in pixels a frame."""
NOISE = 1.5
"""Standard deviation of the camera's noise, in levels."""
ROUND = 6.0
"""How steeply the edge of a thing that moves fades: about a sixth of its radius."""


@dataclass(frozen=True)
class Scene:
    """Frames of one scene.

    Attributes:
        clean: Each (H, W, 3).
        rainy: The same with rain and noise.
        moves: (H, W) each, the pixels before which something moves.
    """

    clean: list[Bytes]
    rainy: list[Bytes]
    moves: list[NDArray[np.bool_]]


@dataclass(frozen=True)
class _Thing:
    """A picture that moves, with how much it covers, and where it begins."""

    picture: Floats
    covers: Floats
    place: tuple[float, float]
    speed: tuple[float, float]

    def on(self, frame: Floats, t: int) -> tuple[Floats, NDArray[np.bool_]]:
        """Return a frame with it at a time, and which pixels it touches."""
        height, width = frame.shape[:2]
        x = (self.place[0] + self.speed[0] * t) % (width - self.covers.shape[1])
        y = float(np.clip(self.place[1] + self.speed[1] * t, 0, height - self.covers.shape[0]))
        shift = np.array([[1, 0, x], [0, 1, y]], np.float32)
        picture = cv2.warpAffine(self.picture, shift, (width, height))
        covers = cv2.warpAffine(self.covers, shift, (width, height))
        mixed = frame + (picture - frame) * covers[..., None]
        return mixed.astype(np.float32), covers > 0


def scene(
    pictures: Sequence[Bytes], preset: str, seed: int, frames: int, size: tuple[int, int] = SIZE
) -> Scene:
    """Return a scene.

    Args:
        pictures: The background, then as many as there are `SPEEDS`: (H, W, 3) each.
        preset: Of `derain.rain.PRESETS`; each frame has rain of its own.
        seed: Of places, noise and rain.
        frames: How many.
        size: Width and height of a frame, in pixels.
    """
    draws = np.random.default_rng(seed)
    background = _cut(pictures[0], size)
    things = [
        _thing(picture, speed, size, draws)
        for picture, speed in zip(pictures[1:], SPEEDS, strict=True)
    ]
    made = Scene([], [], [])
    for t in range(frames):
        frame, moves = background, np.zeros(background.shape[:2], np.bool_)
        for thing in things:
            frame, touched = thing.on(frame, t)
            moves |= touched
        clean = _levels(frame)
        rainy = rain_on(clean, PRESETS[preset], generator_for(seed, t))
        made.clean.append(clean)
        made.rainy.append(_levels(rainy + draws.normal(0, NOISE, clean.shape)))
        made.moves.append(moves)
    return made


def _thing(
    picture: Bytes, speed: float, size: tuple[int, int], draws: np.random.Generator
) -> _Thing:
    radius = int(draws.integers(14, 50))
    width, height = 3 * radius, 2 * radius
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    covers = np.clip((1 - (x**2 + y**2)) * ROUND, 0, 1).astype(np.float32)
    place = draws.uniform(0, size[0] - width), draws.uniform(0, size[1] - height)
    return _Thing(
        _cut(picture, (width, height)),
        covers,
        place,
        (speed * float(draws.choice([-1, 1])), float(draws.uniform(-1, 1))),
    )


def _cut(picture: Bytes, size: tuple[int, int]) -> Floats:
    """Return the upper left of a picture, made smaller as far as that leaves enough."""
    width, height = size
    scale = max(width / picture.shape[1], height / picture.shape[0], 0.6)
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return small[:height, :width].astype(np.float32)


def _levels(frame: NDArray[np.floating]) -> Bytes:
    return np.clip(np.rint(frame), 0, 255).astype(np.uint8)
