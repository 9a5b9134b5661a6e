"""Streaks drawn one by one, each with its own place, direction, length, width and brightness."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from derain.rain.numbers import Draws, Range, check_ranges, normal_noise

CHUNK = {"cpu": 256}
"""Streaks drawn at once: on a CPU few enough that the working set stays in the cache."""
CHUNK_ELSEWHERE = 16384
PIXELS_AT_ONCE = 1 << 23
"""In the windows of streaks drawn at once, unless one streak alone has more: what bounds memory."""


@dataclass(frozen=True)
class Streaks:
    """Ranges for one layer of streaks.

    A layer draws its means from them, and its streaks scatter around these.

    Attributes:
        probability: How often the layer is there at all.
        coverage: Share of the picture that streaks lie on, if none were clipped.
        angle: Direction in degrees from the vertical, positive towards the right on the way down.
        angle_spread: Standard deviation of a streak's direction around the layer's, degrees.
        length: Mean length in pixels, drawn log-uniformly.
        length_spread: Standard deviation of the logarithm of a streak's length.
        width: Mean full width in pixels, drawn log-uniformly; streaks vary by a quarter of it.
        softness: Standard deviation in pixels of the blur across a streak. Under 0.2 the edge is
            that of a hard line, box-filtered by the pixel.
        brightness: What the brightest streaks add, of 1.
        fading: Streak brightness is ``brightness * u ** fading``, u uniform: 0 makes all alike, 2
            most of them faint.
        taper: 0 keeps brightness and width along the streak, 1 lets them fall to nothing and to
            half at both ends.
        flicker: Depth of a slow random wave along the streak.
        overlap: ``max`` where streaks of a layer merge, ``sum`` where their light adds.
        noise: Standard deviation of noise of each rain pixel, relative to its brightness; present
            in ``noise_probability``.
    """

    probability: float = 1.0
    coverage: Range = (0.05, 0.25)
    angle: Range = (-30, 30)
    angle_spread: Range = (0, 3)
    length: Range = (10, 60)
    length_spread: Range = (0.1, 0.6)
    width: Range = (1, 3)
    softness: Range = (0, 1)
    brightness: Range = (0.2, 0.8)
    fading: Range = (0, 2)
    taper: Range = (0, 1)
    flicker: Range = (0, 0.5)
    overlap: Literal["max", "sum", "either"] = "either"
    noise: Range = (0, 0.3)
    noise_probability: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class Lines:
    """Streaks of one layer, each tensor (n,).

    Centres and sizes are in pixels, angles in radians from the vertical.

    Attributes:
        flat: They lie rather than stand: rows and columns are exchanged.
        hard: Edges are box-filtered, else Gaussian.
        add: Light adds where streaks cross, else the brighter wins.
        noise: Of each rain pixel, relative; ``key`` seeds it.
    """

    x: Tensor
    y: Tensor
    angle: Tensor
    length: Tensor
    width: Tensor
    brightness: Tensor
    wave: Tensor
    phase: Tensor
    softness: Tensor
    taper: Tensor
    flicker: Tensor
    flat: bool
    hard: bool
    add: bool
    noise: float
    key: int


_PER_STREAK: tuple[str, ...] = (
    "x",
    "y",
    "angle",
    "length",
    "width",
    "brightness",
    "wave",
    "phase",
    "softness",
    "taper",
    "flicker",
)
_LENGTH = _PER_STREAK.index("length")


def scatter(streaks: Streaks, size: tuple[int, int], draws: Draws) -> Lines:
    """Draw the streaks of one layer on a picture of (height, width) pixels."""
    mean_angle = math.radians(draws.uniform(streaks.angle))
    spread = math.radians(draws.uniform(streaks.angle_spread))
    # Windows of pixels slide along a streak row by row, so it must stand rather than lie.
    flat = abs(mean_angle) > math.pi / 4
    height, width = size
    if flat:
        height, width = width, height
        mean_angle = math.copysign(math.pi / 2, mean_angle) - mean_angle
    length, length_spread = draws.log_uniform(streaks.length), draws.uniform(streaks.length_spread)
    breadth, softness = draws.log_uniform(streaks.width), draws.uniform(streaks.softness)
    # Centres lie in the picture and as far around it as streaks reach in.
    margin = length / 2 + breadth
    area = (height + 2 * margin) * (width + 2 * margin)
    # Streaks that fall independently leave exp(-n size / area) of the area free.
    covered = -math.log(1 - draws.uniform(streaks.coverage)) * area
    n = max(1, round(covered / (length * (breadth + softness))))
    return Lines(
        x=draws.scatter(n) * (width + 2 * margin) - margin,
        y=draws.scatter(n) * (height + 2 * margin) - margin,
        angle=(mean_angle + spread * draws.normal(n)).clamp(-math.pi / 3, math.pi / 3),
        length=length * torch.exp(length_spread * draws.normal(n)),
        width=breadth * (1 + 0.25 * draws.normal(n)),
        brightness=draws.uniform(streaks.brightness)
        * draws.scatter(n) ** draws.uniform(streaks.fading),
        wave=0.5 + 2 * draws.scatter(n),
        phase=2 * math.pi * draws.scatter(n),
        softness=torch.full((n,), softness),
        taper=torch.full((n,), draws.uniform(streaks.taper)),
        flicker=torch.full((n,), draws.uniform(streaks.flicker)),
        flat=flat,
        hard=softness < 0.2,
        add=streaks.overlap == "sum" or (streaks.overlap == "either" and draws.chance(0.5)),
        noise=draws.uniform(streaks.noise) if draws.chance(streaks.noise_probability) else 0.0,
        key=draws.key(),
    )


def draw(layers: Sequence[Lines], size: tuple[int, int], device: torch.device) -> Tensor:
    """Return the light of each layer, (n, H, W), at least 0."""
    result = torch.zeros(len(layers), *size, device=device)
    kinds: dict[tuple[bool, bool, bool], list[int]] = {}
    for k, lines in enumerate(layers):
        kinds.setdefault((lines.flat, lines.hard, lines.add), []).append(k)
    for (flat, hard, add), members in kinds.items():
        alike = [layers[k] for k in members]
        turned = (size[1], size[0]) if flat else size
        drawn = _draw_alike(alike, turned, device, hard=hard, add=add)
        result[members] = drawn.transpose(1, 2) if flat else drawn
    noisy = [k for k, lines in enumerate(layers) if lines.noise > 0]
    if noisy:
        strength = torch.tensor([layers[k].noise for k in noisy], device=device).view(-1, 1, 1)
        grain = normal_noise(torch.tensor([layers[k].key for k in noisy], device=device), size)
        result[noisy] = (result[noisy] * (1 + strength * grain)).clamp(min=0)
    return result


def _draw_alike(
    layers: Sequence[Lines], size: tuple[int, int], device: torch.device, *, hard: bool, add: bool
) -> Tensor:
    """Draw layers that stand upright and share edges and overlap: (n, H, W).

    Each streak lies on a window of pixels that slides along with it::

        . . # # . .        centre of the window in row y: x + (row - y) tan(angle)
      . . # # . .          across: distance d to the axis, box- or Gaussian-filtered edge
    . . # # . .            along:  distance t from the middle, one pixel of ramp at the ends
    """
    height, width = size
    # One place more than the pictures takes what falls outside.
    canvas = torch.zeros(len(layers) * height * width + 1, device=device)
    # The number of a layer is exact as a float, so that it is copied with the rest.
    owners = torch.cat([torch.full_like(lines.x, k) for k, lines in enumerate(layers)])
    rows = [torch.cat([getattr(lines, name) for lines in layers]) for name in _PER_STREAK]
    table = torch.stack([*rows, owners])  # (attributes + 1, streaks)
    # Streaks drawn together are of like length, which keeps their common window small.
    table = table[:, table[_LENGTH].argsort()]
    chunk = CHUNK.get(device.type, CHUNK_ELSEWHERE)
    for part, there in zip(table.split(chunk, 1), table.to(device).split(chunk, 1), strict=True):
        _add_to(canvas, part, there, size, hard=hard, add=add)
    return canvas[:-1].view(len(layers), height, width)


def _add_to(
    canvas: Tensor, table: Tensor, there: Tensor, size: tuple[int, int], *, hard: bool, add: bool
) -> None:
    """Draw streaks on the canvas of all layers, in halves if they are too many for their length.

    Args:
        canvas: All layers in a row, and one place more.
        table: A column for each streak, a row for each of `_PER_STREAK` and one for the layer, on
            the CPU: windows are measured on it.
        there: The same on the canvas's device.
        size: Height and width of a layer.
        hard: Whether edges are box-filtered.
        add: Whether light adds up where streaks cross.
    """
    rows, columns = _reach(dict(zip(_PER_STREAK, table, strict=False)))
    half = table.shape[1] // 2
    if half and table.shape[1] * (2 * rows + 1) * (2 * columns + 1) > PIXELS_AT_ONCE:
        for part in (slice(half), slice(half, None)):
            _add_to(canvas, table[:, part], there[:, part], size, hard=hard, add=add)
        return
    height, width = size
    device = canvas.device
    *values, owner = (row.view(-1, 1, 1) for row in there)
    streak = dict(zip(_PER_STREAK, values, strict=True))
    # Windows of pixels around the centres: rows (n, R, 1), pixels (n, R, C).
    row = streak["y"].floor() + torch.arange(-rows, rows + 1, device=device).view(1, -1, 1)
    along = row - streak["y"]
    centre = streak["x"] + along * torch.tan(streak["angle"])
    pixel = centre.floor() + torch.arange(-columns, columns + 1, device=device).view(1, 1, -1)
    light = _light(streak, along, pixel - streak["x"], hard=hard)
    inside = (row >= 0) & (row < height) & (pixel >= 0) & (pixel < width)
    place = (owner.long() * height + row.long()) * width + pixel.long()
    target = torch.where(inside, place, canvas.numel() - 1)
    canvas.scatter_reduce_(0, target.flatten(), light.flatten(), "sum" if add else "amax")


def _reach(streak: dict[str, Tensor]) -> tuple[int, int]:
    """Return half the height and width, in pixels, of a window that holds any of these streaks."""
    rows = streak["length"] / 2 + streak["width"] / 2 + 1
    columns = (streak["width"] / 2 + 1 + 3 * streak["softness"]) / torch.cos(streak["angle"])
    return math.ceil(float(rows.max())), math.ceil(float(columns.max()))


def _light(streak: dict[str, Tensor], along: Tensor, across: Tensor, *, hard: bool) -> Tensor:
    """Return what streaks add at offsets from their centres: (n, rows, columns).

    Args:
        streak: Attributes of `_PER_STREAK`, each (n, 1, 1).
        along: Offsets down.
        across: Offsets to the right.
        hard: Whether edges are box-filtered.
    """
    sine, cosine = torch.sin(streak["angle"]), torch.cos(streak["angle"])
    d = across * cosine - along * sine
    t = across * sine + along * cosine
    half = streak["length"] / 2
    place = (t / half).clamp(-1, 1)
    thinned = streak["taper"] * place**2
    wave = 1 + torch.sin(math.pi * streak["wave"] * place + streak["phase"])
    width, softness = streak["width"] * (1 - 0.5 * thinned), None if hard else streak["softness"]
    profile = _edge_profile(d, width, softness)
    ends = (half + 0.5 - t.abs()).clamp(0, 1)
    flicker = 1 - 0.5 * streak["flicker"] * wave
    return profile * ends * (1 - thinned) * flicker * streak["brightness"]


def _edge_profile(d: Tensor, width: Tensor, softness: Tensor | None) -> Tensor:
    """Return how much of a strip a pixel at a distance from its axis sees, 0 to 1.

    Args:
        d: Distance, in pixels.
        width: Of the strip.
        softness: Of its edges; None for hard ones.
    """
    if softness is None:
        return (d + width / 2 + 0.5).clamp(0, 1) - (d - width / 2 + 0.5).clamp(0, 1)
    sigma = 2**0.5 * torch.hypot(softness, torch.tensor(PIXEL))
    return 0.5 * (torch.erf((d + width / 2) / sigma) - torch.erf((d - width / 2) / sigma))


PIXEL = 12**-0.5
"""Standard deviation of a pixel's own box."""
