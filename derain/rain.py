"""Rain made by hand: streak layers drawn analytically on tensors, on CPU or GPU, the same from the same seed.

A preset is a frozen dataclass of ranges. `sample` draws one picture's rain from it, `compose` puts rain on a picture:

>>> import torch
>>> rain = sample(PRESETS["rain100l"], (64, 96), torch.Generator().manual_seed(7))
>>> rainy = compose(torch.full((3, 64, 96), 0.5), rain)

All numbers are drawn on the CPU from the generator given, whatever the device, so a seed means the same rain everywhere (to
rounding). The model of Rain100 follows from the plain differences ``rainy - clean`` of its pairs: additive, equal in the three
channels, clipped at 1, never negative; Yang et al., "Deep Joint Rain Detection and Removal", CVPR 2017 (JORDER), Eq. 2.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Range = tuple[float, float]
Density = Literal["light", "medium", "heavy"]

MASK_THRESHOLD = 8 / 255
"""A pixel counts as rain where the layer adds more than this."""

CHUNK = 256
"""Streaks drawn at once: small enough that the working set stays in the cache, and memory stays small."""


@dataclass(frozen=True)
class Streaks:
    """Ranges for one layer of streaks. A layer draws its own means from them; streaks scatter around these.

    Attributes:
        probability: How often the layer is there at all.
        coverage: Share of the picture that streaks lie on, if none were clipped.
        angle: Direction in degrees from the vertical, positive towards the right on the way down.
        angle_spread: Standard deviation of a streak's direction around the layer's, degrees.
        length: Mean length in pixels, drawn log-uniformly.
        length_spread: Standard deviation of the logarithm of a streak's length.
        width: Mean full width in pixels, drawn log-uniformly; streaks vary by a quarter of it.
        softness: Standard deviation in pixels of the blur across a streak. Under 0.2 the edge is that of a hard line,
            box-filtered by the pixel.
        brightness: What the brightest streaks add, of 1.
        fading: Streak brightness is ``brightness * u ** fading``, u uniform: 0 makes all alike, 2 most of them faint.
        taper: 0 keeps brightness and width along the streak, 1 lets them fall to nothing and to half at both ends.
        flicker: Depth of a slow random wave along the streak.
        overlap: ``max`` where streaks of a layer merge, ``sum`` where their light adds.
        noise: Standard deviation of noise of each rain pixel, relative to its brightness; present in ``noise_probability``.
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


@dataclass(frozen=True)
class RainPreset:
    """A kind of rain: layers that are added up, and what it imitates."""

    name: str
    imitates: str
    layers: tuple[Streaks, ...]


@dataclass(frozen=True)
class Rain:
    """One picture's rain.

    Attributes:
        layer: What is added to the picture, (1, H, W), at least 0.
        mask: Where it adds more than `MASK_THRESHOLD`, (1, H, W) of bool.
        coverage: Share of the picture under the mask.
        density: The same in three words; under 25% is light, under 55% medium.
    """

    layer: Tensor
    mask: Tensor
    coverage: float
    density: Density


_SOFT = Streaks(
    coverage=(0.03, 0.35),
    angle=(-35, 35),
    angle_spread=(0, 4),
    length=(10, 120),
    length_spread=(0.1, 0.7),
    width=(0.7, 5),
    softness=(0, 1.6),
    brightness=(0.12, 1.0),
    fading=(0, 2.5),
    taper=(0, 1),
    flicker=(0, 0.7),
    noise_probability=0.1,
)

_DENSE = Streaks(
    coverage=(0.3, 0.92),
    angle=(-35, 35),
    angle_spread=(0, 6),
    length=(12, 120),
    length_spread=(0.05, 0.6),
    width=(0.8, 4.5),
    softness=(0, 1.2),
    brightness=(0.15, 0.6),
    fading=(0, 1),
    taper=(0, 0.5),
    flicker=(0, 0.3),
    noise_probability=0.25,
)

PRESETS: dict[str, RainPreset] = {
    preset.name: preset
    for preset in (
        RainPreset("rain100l", "Rain100L: one layer of soft streaks (JORDER, CVPR 2017)", (_SOFT,)),
        RainPreset(
            "rain100h",
            "Rain100H: dense segments, mostly hard-edged, often crossing, over a soft layer (JORDER, CVPR 2017)",
            (_SOFT, _DENSE, replace(_DENSE, probability=0.6)),
        ),
    )
}


def _log_uniform(bounds: Range, generator: torch.Generator) -> float:
    """For sizes: as many between 1 and 2 pixels as between 2 and 4."""
    low, high = bounds
    return math.exp(_uniform((math.log(low), math.log(high)), generator))


def _uniform(bounds: Range, generator: torch.Generator) -> float:
    low, high = bounds
    return low + (high - low) * float(torch.rand((), generator=generator))


@dataclass(frozen=True)
class _Lines:
    """Streaks of one layer, each attribute (n,); centres and sizes in pixels, angles in radians from the vertical."""

    x: Tensor
    y: Tensor
    angle: Tensor
    length: Tensor
    width: Tensor
    brightness: Tensor
    wave: Tensor
    phase: Tensor
    softness: float
    taper: float
    flicker: float

    def reach(self, i: slice) -> tuple[int, int]:
        """Half-height and half-width in pixels of a window, moving with the streak, that holds any of streaks ``i``."""
        rows = self.length[i] / 2 + self.width[i] / 2 + 1
        columns = (self.width[i] / 2 + 1 + 3 * self.softness) / torch.cos(self.angle[i])
        return math.ceil(float(rows.max())), math.ceil(float(columns.max()))


def sample(preset: RainPreset, size: tuple[int, int], generator: torch.Generator, device: torch.device | str = "cpu") -> Rain:
    """Draws the rain of one picture.

    Args:
        size: Height and width in pixels.
        generator: A CPU generator; the same state gives the same rain on every device.
        device: Where streaks are drawn and the result lies.
    """
    total = torch.zeros(size, device=device)
    for streaks in preset.layers:
        if _uniform((0, 1), generator) < streaks.probability:
            total += _sample_layer(streaks, size, generator, torch.device(device))
    layer = total.unsqueeze(0)
    mask = layer > MASK_THRESHOLD
    coverage = float(mask.float().mean())
    density: Density = "light" if coverage < 0.25 else "medium" if coverage < 0.55 else "heavy"
    return Rain(layer, mask, coverage, density)


def compose(clean: Tensor, rain: Rain) -> Tensor:
    """Rainy picture: added and clipped (JORDER, Eq. 2). (3, H, W) in [0, 1] -> the same."""
    return (clean + rain.layer).clamp(0, 1)


def rain_on(pixels: NDArray[Any], preset: RainPreset, generator: torch.Generator) -> NDArray[Any]:
    """Rain on an image: (H, W, 3) of uint8 or uint16 -> the same."""
    top = np.iinfo(pixels.dtype).max
    clean = torch.from_numpy(pixels.astype(np.float32) / np.float32(top)).permute(2, 0, 1)
    rainy = compose(clean, sample(preset, (pixels.shape[0], pixels.shape[1]), generator))
    return np.rint(rainy.permute(1, 2, 0).numpy() * top).astype(pixels.dtype)


def _sample_layer(streaks: Streaks, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Tensor:
    height, width = size
    mean_angle = math.radians(_uniform(streaks.angle, generator))
    spread = math.radians(_uniform(streaks.angle_spread, generator))
    flat = abs(mean_angle) > math.pi / 4  # lies rather than stands: drawn with rows and columns exchanged
    if flat:
        height, width = width, height
        mean_angle = math.copysign(math.pi / 2, mean_angle) - mean_angle
    lines = _scatter_lines(streaks, (height, width), mean_angle, spread, generator)
    add = streaks.overlap == "sum" or (streaks.overlap == "either" and _uniform((0, 1), generator) < 0.5)
    layer = _draw(lines, (height, width), "sum" if add else "amax", device)
    if flat:
        layer = layer.T
    noise = _uniform(streaks.noise, generator)
    if _uniform((0, 1), generator) < streaks.noise_probability:
        grain = torch.randn(size, generator=generator).to(device)
        layer = (layer * (1 + noise * grain)).clamp(min=0)
    return layer


def _scatter_lines(
    streaks: Streaks, size: tuple[int, int], mean_angle: float, spread: float, generator: torch.Generator
) -> _Lines:
    height, width = size
    length = _log_uniform(streaks.length, generator)
    length_spread = _uniform(streaks.length_spread, generator)
    breadth = _log_uniform(streaks.width, generator)
    softness = _uniform(streaks.softness, generator)
    # Centres lie in the picture and as far around it as streaks reach in.
    margin = length / 2 + breadth
    area = (height + 2 * margin) * (width + 2 * margin)
    coverage = _uniform(streaks.coverage, generator)
    n = max(1, round(-math.log(1 - coverage) * area / (length * (breadth + softness))))

    def scatter(shape: int = n) -> Tensor:
        return torch.rand(shape, generator=generator)

    def normal() -> Tensor:
        return torch.randn(n, generator=generator).clamp(-2, 2)

    lengths = length * torch.exp(length_spread * normal())
    order = lengths.argsort()  # streaks drawn together are then of like length, which keeps their common window small
    return _Lines(
        x=scatter() * (width + 2 * margin) - margin,
        y=scatter() * (height + 2 * margin) - margin,
        angle=(mean_angle + spread * normal()).clamp(-math.pi / 3, math.pi / 3),
        length=lengths[order],
        width=breadth * (1 + 0.25 * normal()),
        brightness=_uniform(streaks.brightness, generator) * scatter() ** _uniform(streaks.fading, generator),
        wave=0.5 + 2 * scatter(),
        phase=2 * math.pi * scatter(),
        softness=softness,
        taper=_uniform(streaks.taper, generator),
        flicker=_uniform(streaks.flicker, generator),
    )


def _draw(lines: _Lines, size: tuple[int, int], reduce: Literal["sum", "amax"], device: torch.device) -> Tensor:
    """Light of all streaks on an (H, W) canvas.

    Each streak is evaluated on a window of pixels that slides along with it, row by row::

            . . # # . .        centre of the window in row y: x + (row - y) tan(angle)
          . . # # . .          across: distance d to the axis, box- or Gaussian-filtered edge
        . . # # . .            along:  distance t from the middle, one pixel of ramp at the ends
    """
    height, width = size
    # One row and column more than the picture takes what falls outside.
    canvas = torch.zeros((height + 1) * (width + 1), device=device)
    for start in range(0, len(lines.x), CHUNK):
        part = slice(start, start + CHUNK)
        rows, columns = lines.reach(part)

        def column(values: Tensor, part: slice = part) -> Tensor:
            return values[part].to(device).view(-1, 1, 1)

        x, y, angle = column(lines.x), column(lines.y), column(lines.angle)
        row = y.floor() + torch.arange(-rows, rows + 1, device=device).view(1, -1, 1)
        along = row - y
        centre = x + along * torch.tan(angle)
        pixel = centre.floor() + torch.arange(-columns, columns + 1, device=device).view(1, 1, -1)
        across = pixel - x
        d = across * torch.cos(angle) - along * torch.sin(angle)
        t = across * torch.sin(angle) + along * torch.cos(angle)
        half = column(lines.length) / 2
        place = (t / half).clamp(-1, 1)
        width_here = column(lines.width) * (1 - 0.5 * lines.taper * place**2)
        light = _edge_profile(d, width_here, lines.softness) * (half + 0.5 - t.abs()).clamp(0, 1)
        light = light * (1 - lines.taper * place**2)
        light = light * (1 - lines.flicker * 0.5 * (1 + torch.sin(math.pi * column(lines.wave) * place + column(lines.phase))))
        light = light * column(lines.brightness)
        inside = (row >= 0) & (row < height) & (pixel >= 0) & (pixel < width)
        target = torch.where(inside, row.long() * (width + 1) + pixel.long(), canvas.numel() - 1)
        canvas.scatter_reduce_(0, target.flatten(), light.flatten(), reduce)
    return canvas.view(height + 1, width + 1)[:height, :width]


def _edge_profile(d: Tensor, width: Tensor, softness: float) -> Tensor:
    """How much of a strip of ``width`` a pixel at distance ``d`` from its axis sees, 0 to 1."""
    if softness < 0.2:
        return (d + width / 2 + 0.5).clamp(0, 1) - (d - width / 2 + 0.5).clamp(0, 1)
    sigma = math.sqrt(2) * math.hypot(softness, 0.29)  # 0.29: standard deviation of the pixel's own box
    return 0.5 * (torch.erf((d + width / 2) / sigma) - torch.erf((d - width / 2) / sigma))
