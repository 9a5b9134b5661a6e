"""Rain as picture editors make it: noise, motion blur, levels, for a whole layer at once.

Layers are filtered by Fourier transform. Much of the rain in benchmarks was made so (Rain1200 and
Rain1400 in Photoshop; the dense lines of Rain100H look like specks under a motion filter), and it
differs from streaks drawn one by one: all lines of a layer have one direction and one length to the
pixel, they clump as noise does, and where they merge their light is capped or left to add up.

The picture lies on a torus somewhat larger than itself: what leaves at one side comes back at the
other, far from the picture unless it is very long.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import torch
from torch import Tensor

from derain.rain.numbers import Draws, Range, check_ranges, normal_noise, white_noise

MARGIN = 96
"""Pixels by which the torus exceeds the picture, at least."""

CELLS_AT_ONCE = {"cpu": 1 << 18}
"""Pixels of torus worked on at once: on a CPU few enough for its cache."""
CELLS_ELSEWHERE = 1 << 26


Shape = Literal["even", "tapered", "comet"]
SHAPES: tuple[Shape, ...] = ("even", "tapered", "comet")


@dataclass(frozen=True)
class Field:
    """Ranges for one layer of filtered noise; a layer draws one value from each.

    Attributes:
        probability: How often the layer is there at all.
        coverage: Share of the picture that lines lie on before levels; beyond 0.9 they are noise
            rather than lines.
        angle: Direction in degrees from the vertical, positive towards the right on the way down.
        length: Of the motion blur, pixels, drawn log-uniformly.
        width: Full width of a line's sharp core, pixels, drawn log-uniformly.
        softness: Standard deviation of the blur around it, pixels.
        brightness: What the layer adds where it is brightest (``cap``), or where a single bright
            line is (``sum``), of 1.
        fading: Specks have the strength ``u ** fading``, u uniform: 0 makes all alike, 3 most of
            them faint.
        levels: How much of the darker part is cut off after blurring, which thins soft lines and
            leaves their cores; from 0.
        clumping: How unevenly lines are strewn, 0 for evenly.
        shape: Along a line: ``even`` ends abruptly, ``tapered`` rises and falls, ``comet`` fades
            from a bright head.
        overlap: ``cap`` where merging lines stay as bright as one, ``sum`` where their light adds.
        noise: Standard deviation of noise of each rain pixel, relative to its brightness; present
            in ``noise_probability``.
    """

    probability: float = 1.0
    coverage: Range = (0.05, 0.3)
    angle: Range = (-35, 35)
    length: Range = (8, 80)
    width: Range = (0.5, 3)
    softness: Range = (0, 1)
    brightness: Range = (0.2, 0.9)
    fading: Range = (0, 2)
    levels: Range = (0, 0.8)
    clumping: Range = (0, 1)
    shape: tuple[Shape, ...] = ("even", "tapered", "comet")
    overlap: Literal["cap", "sum", "either"] = "either"
    noise: Range = (0, 0.4)
    noise_probability: float = 0.1

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class Filter:
    """The numbers that one layer of filtered noise drew.

    The angle is in radians; ``key`` and ``wave_key`` seed the noise; the rest is as in `Field`.
    """

    coverage: float
    angle: float
    length: float
    width: float
    softness: float
    brightness: float
    fading: float
    levels: float
    clumping: float
    shape: int
    cap: bool
    noise: float
    key: int
    wave_key: int


def choose(field: Field, draws: Draws) -> Filter:
    """Draw the numbers of one layer."""
    return Filter(
        coverage=draws.uniform(field.coverage),
        angle=math.radians(draws.uniform(field.angle)),
        length=draws.log_uniform(field.length),
        width=draws.log_uniform(field.width),
        softness=draws.uniform(field.softness),
        brightness=draws.uniform(field.brightness),
        fading=draws.uniform(field.fading),
        levels=draws.uniform(field.levels),
        clumping=draws.uniform(field.clumping),
        shape=SHAPES.index(field.shape[int(draws.unit() * len(field.shape))]),
        cap=field.overlap == "cap" or (field.overlap == "either" and draws.chance(0.5)),
        noise=draws.uniform(field.noise) if draws.chance(field.noise_probability) else 0.0,
        key=draws.key(),
        wave_key=draws.key(),
    )


def draw(layers: Sequence[Filter], size: tuple[int, int], device: torch.device) -> Tensor:
    """Return the light of each layer, (n, H, W), at least 0."""
    torus = torus_around(size)
    at_once = max(1, CELLS_AT_ONCE.get(device.type, CELLS_ELSEWHERE) // (torus[0] * torus[1]))
    parts = [
        _draw(layers[k : k + at_once], torus, size, device) for k in range(0, len(layers), at_once)
    ]
    return torch.cat(parts) if parts else torch.zeros(0, *size, device=device)


def _smooth(side: int) -> int:
    """Return the next length that transforms fast: a product of 2, 3 and 5, and even."""
    while True:
        rest = side
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1 and side % 2 == 0:
            return side
        side += 1


def _draw(
    layers: Sequence[Filter], torus: tuple[int, int], size: tuple[int, int], device: torch.device
) -> Tensor:
    numbers = {
        name: [getattr(layer, name) for layer in layers]
        for name in (field.name for field in fields(Filter))
    }
    columns = {
        name: torch.tensor(
            values, dtype=torch.int32 if "key" in name else torch.float32, device=device
        )
        for name, values in numbers.items()
    }
    return draw_table(columns, torus, size, noisy=any(numbers["noise"]))


def torus_around(size: tuple[int, int]) -> tuple[int, int]:
    """Return the size of the torus that a picture of this size is cut from."""
    return _smooth(size[0] + MARGIN), _smooth(size[1] + MARGIN)


def draw_table(
    columns: dict[str, Tensor], torus: tuple[int, int], size: tuple[int, int], *, noisy: bool = True
) -> Tensor:
    """Return the light of layers given as columns, (n, H, W).

    Args:
        columns: One (n,) tensor for each attribute of `Filter`.
        torus: Height and width of the torus that the picture is cut from.
        size: Height and width of the picture.
        noisy: Whether any layer has noise of each rain pixel.
    """
    of = {name: column.view(-1, 1, 1) for name, column in columns.items()}
    area = of["length"] * torch.hypot(of["width"], 2.5 * of["softness"])
    rate = (-torch.log1p(-of["coverage"]) / area).clamp(max=1)
    specks = _specks(of, rate, torus)
    blurred = torch.fft.irfft2(torch.fft.rfft2(specks) * _line_spectrum(of, torus), s=torus)
    blurred = blurred[:, : size[0], : size[1]].clamp(min=0)  # (n, H, W)
    # Specks of strength u ** fading have mean 1 / (fading + 1) and mean square 1 / (2 fading + 1)
    # (Campbell's theorem).
    mean = rate * area / (of["fading"] + 1)
    spread = torch.sqrt(rate * area * 0.7 / (2 * of["fading"] + 1))
    capped = of["cap"] > 0
    one = torch.where(capped, torch.ones_like(mean), (mean + 2 * spread).clamp(min=1))
    cut = of["levels"] * torch.where(capped, (mean + spread).clamp(max=0.9), mean + spread)
    light = (blurred - cut).clamp(min=0) / (one - cut).clamp(min=0.05)
    light = torch.where(capped, light.clamp(max=1), light)
    if noisy:
        # Another key than the specks have, or noise would follow them.
        grain = normal_noise(of["key"] ^ 0x5BD1E995, size)
        light = (light * (1 + of["noise"] * grain)).clamp(min=0)
    return light * of["brightness"]


def _specks(of: dict[str, Tensor], rate: Tensor, torus: tuple[int, int]) -> Tensor:
    """Strew single bright pixels at a rate that three long waves modulate: (n, *torus)."""
    wave = torch.zeros_like(rate)
    down = torch.arange(torus[0], device=rate.device).view(1, -1, 1) / torus[0]
    right = torch.arange(torus[1], device=rate.device).view(1, 1, -1) / torus[1]
    # Whole periods on the torus each way, of 20 pixels and more.
    most = torus[0] // 40, torus[1] // 20
    numbers = white_noise(of["wave_key"].flatten(), (3, 3))
    for k in range(3):
        fall, cross, phase = (numbers[:, k, j].view(-1, 1, 1) for j in range(3))
        periods = (
            ((2 * most[0] + 1) * fall).floor() - most[0],
            ((2 * most[1] + 1) * cross).floor() - most[1],
        )
        # The sine of a sum, from those of rows and columns: few of them, where a picture has many
        # pixels.
        row, column = 2 * math.pi * periods[0] * down, 2 * math.pi * (periods[1] * right + phase)
        wave = wave + torch.sin(row) * torch.cos(column) + torch.cos(row) * torch.sin(column)
    uneven = torch.exp(of["clumping"] * wave - 0.75 * of["clumping"] ** 2)
    here = (rate * uneven).clamp(1e-9, 1)
    noise = white_noise(of["key"].flatten(), torus)
    if noise.device.type != "cpu":  # counting would wait for a GPU
        return (noise / here).clamp(max=1) ** of["fading"] * (noise < here)
    hit = (noise < here).flatten().nonzero().flatten()  # of a hundred pixels one or two
    fading = of["fading"].flatten()[hit // noise[0].numel()]
    specks = torch.zeros_like(noise)
    specks.view(-1)[hit] = (noise.view(-1)[hit] / here.reshape(-1)[hit]) ** fading
    return specks


def _line_spectrum(of: dict[str, Tensor], torus: tuple[int, int]) -> Tensor:
    """Return the Fourier transform of a line of peak 1, seen through pixels: (n, H, W // 2 + 1)."""
    down = torch.fft.fftfreq(torus[0], device=of["angle"].device).view(1, -1, 1)
    right = torch.fft.rfftfreq(torus[1], device=of["angle"].device).view(1, 1, -1)
    sine, cosine = torch.sin(of["angle"]), torch.cos(of["angle"])
    along = right * sine + down * cosine
    across = right * cosine - down * sine
    even = torch.sinc(of["length"] * along)
    tapered = torch.sinc(of["length"] / 2 * along) ** 2 / 2
    box = torch.where(of["shape"] == SHAPES.index("tapered"), tapered, even)
    # A tail that decays upwards from the drop's head, e-fold in a third of the length.
    decay = 1 / torch.complex(torch.full_like(along, 3), -2 * math.pi * of["length"] * along)
    sharp = torch.sinc(of["width"] * across) * torch.sinc(down) * torch.sinc(right)
    soft = torch.exp(-2 * (math.pi * of["softness"]) ** 2 * (across**2 + along**2))
    # A core of this width under this blur would peak at erf(...) of its strength.
    peak = torch.erf(of["width"] / 2 / (2**0.5 * of["softness"].clamp(min=0.05)))
    integral = of["length"] * of["width"] / peak
    comet = of["shape"] == SHAPES.index("comet")
    return torch.where(comet, decay, box.to(decay.dtype)) * (sharp * soft * integral)
