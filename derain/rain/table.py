"""Rain of a whole batch drawn at once: presets as a table of ranges, numbers from hashes.

`derain.rain.sample` draws the numbers of one picture after the other in Python, which a processor
does not notice and a GPU waits for. Here a mixture is flattened into a table, a row a preset and a
slot a layer, and all numbers of a batch are looked up in it together. They are hashes of a key for
each picture, so a picture's rain depends on its key alone, on every device.

The distributions are those of `sample`, with three simplifications: streaks drawn one by one are
replaced by filtered noise of like ranges (`as_field`), layers that fall together take their
direction from the range of the first, present or not, and veils are not drawn.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from derain.rain import field, textures
from derain.rain.field import SHAPES, Field
from derain.rain.numbers import Range, mixed_bits, normal_noise, white_noise
from derain.rain.presets import Layer, RainPreset
from derain.rain.scene import Rain
from derain.rain.streaks import PIXEL, Streaks
from derain.rain.textures import RAIN100L_GAIN, Texture, TextureBank

NONE, FIELD, TEXTURE = 0, 1, 2
STAGES = 3
"""A part of a mixture of a mixture may have a scale on each level."""

_SHAPE_CHOICES = 12
"""A multiple of the lengths of all lists of shapes."""

_FIELD_RANGES = (
    "coverage", "angle", "length", "width", "softness",
    "brightness", "fading", "levels", "clumping", "noise",
)  # fmt: skip
_TEXTURE_RANGES = ("scale", "gain", "angle")
_LOGARITHMIC = ("length", "width", "scale")
_RANGES: tuple[str, ...] = (*_FIELD_RANGES, "scale", "gain")
_FLAGS = ("probability", "noise_probability", "cap", "sheared", "portrait")
_FILTER = tuple(field.Filter.__dataclass_fields__)
_WINDOW = tuple(textures.Window.__dataclass_fields__)
_OF_LAYER: tuple[str, ...] = (
    "noise", "cap", "sheared", "portrait", "mirrored", "texture",
    "left", "top", "shape", "key", "wave_key", "present",
)  # fmt: skip
"""Uniform numbers that a layer takes besides one for each of its ranges."""

_OF_PICTURE: tuple[str, ...] = (
    "row", *(f"scaled {k}" for k in range(STAGES)), *(f"scale {k}" for k in range(STAGES)),
    "angle", "together", "defocus", "light", "lean", "camera",
)  # fmt: skip
"""Uniform numbers that a picture takes."""

_UNIFORMS = len(_RANGES) + len(_OF_LAYER)
"""Drawn for each layer, and as many for the picture, which needs fewer."""


class RainTable:
    """A table of rain that draws whole batches.

    Args:
        preset: A mixture, or a preset alone.
        bank: Textures; without them layers of textures are drawn.
        device: Where everything is drawn.

    Raises:
        ValueError: If a part of the preset has a veil.
    """

    def __init__(self, preset: RainPreset, bank: TextureBank | None, device: torch.device) -> None:
        rows = list(_rows(preset, 1.0, ()))
        if any(row.veil for _, row, _ in rows):
            raise ValueError(
                f"{preset.name}: veils are not drawn in batches; expected a preset without"
            )
        self._bank = bank.on(device) if bank else None
        self._device = device
        self.exact = device.type == "cpu"
        """Whether layers are counted, so that as many are drawn as there are."""
        self._slots = max(len(row.layers) for _, row, _ in rows)
        weights = torch.tensor([weight for weight, _, _ in rows], dtype=torch.float64)
        self._cumulative = (weights / weights.sum()).cumsum(0).float().to(device)
        # One row of weights: (rows, STAGES, 3).
        self._scales = self._tensor([_scales(scales) for _, _, scales in rows])
        self._picture = {
            name: self._tensor([getattr(row, name) for _, row, _ in rows])
            for name in ("together", "light", "defocus", "camera")
        }
        self._hides = self._tensor([float(row.composition != "add") for _, row, _ in rows])
        self._alpha = self._tensor([float(row.composition == "alpha") for _, row, _ in rows])
        layers = [[self._as_drawn(layer) for layer in row.layers] for _, row, _ in rows]
        for row in layers:
            row += [None] * (self._slots - len(row))
        self._kind = self._tensor([[_kind(layer) for layer in row] for row in layers])
        self._ranges = self._tensor([[_ranges(layer) for layer in row] for row in layers])
        self._flags = self._tensor([[_flags(layer) for layer in row] for row in layers])
        self._shapes = self._tensor([[_shapes(layer) for layer in row] for row in layers])
        self._kinds = {_kind(layer) for row in layers for layer in row} - {NONE}
        shares = (weights / weights.sum()).tolist()
        self._counts = {
            wanted: _count(
                shares, [[layer for layer in row if _kind(layer) == wanted] for row in layers]
            )
            for wanted in self._kinds
        }

    def _tensor(self, values: object) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self._device)

    def _as_drawn(self, layer: Layer) -> "Field | Texture | None":
        if isinstance(layer, Streaks):
            return as_field(layer)
        if isinstance(layer, Texture) and self._bank is None:
            return replace(layer.otherwise, probability=layer.probability)
        return layer

    def sample(self, keys: Tensor, size: tuple[int, int]) -> Rain:
        """Draw the rain of as many pictures as there are keys, (N,) int32, each of this size."""
        count = len(keys)
        u = white_noise(keys, (self._slots + 1, _UNIFORMS))  # (N, slots + 1, numbers)
        whole = dict(zip(_OF_PICTURE, u[:, 0].unbind(-1), strict=False))  # each (N,)
        ranged, own = u[:, 1:].split([len(_RANGES), len(_OF_LAYER)], dim=-1)
        each = dict(zip(_OF_LAYER, own.unbind(-1), strict=True))  # each (N, slots)
        row = torch.searchsorted(self._cumulative, whole["row"].contiguous(), right=True)
        row = row.clamp(max=len(self._cumulative) - 1)
        scale = self._scale(row, whole)
        of = self._layer_numbers(row, whole, ranged, each, scale)
        kind, present = self._kind[row], each["present"] < self._flags[row][..., 0]
        light = torch.zeros(count, *size, device=self._device)
        torus = field.torus_around(size)
        for wanted, names in ((FIELD, _FILTER), (TEXTURE, _WINDOW)):
            if wanted not in self._kinds:
                continue
            chosen, share = self._chosen((kind == wanted) & present, wanted)
            if not len(chosen):
                continue
            columns = {name: of[name].flatten()[chosen] for name in names}
            if wanted == TEXTURE and self._bank is not None:
                drawn = textures.draw_table(columns, self._bank, size)
            else:
                drawn = field.draw_table(columns, torus, size)
            light.index_add_(0, chosen // self._slots, drawn * share)
        return self._under(row, whole, light, keys, size)

    def _chosen(self, present: Tensor, kind: int) -> tuple[Tensor, Tensor]:
        """Return the numbers of the layers that are present, and how much each counts.

        On a GPU their count is not asked for, which would wait for it: as many are drawn as a batch
        of this size hardly ever exceeds, and those that are not present count nothing.
        """
        flat = present.flatten()
        if self.exact:
            chosen = flat.nonzero().flatten()
            return chosen, torch.ones(len(chosen), 1, 1)
        mean, variance = self._counts[kind]
        most = math.ceil(mean * len(present) + 5 * math.sqrt(variance * len(present))) + 1
        chosen = (~flat).to(torch.uint8).argsort(stable=True)[: min(most, len(flat))]
        return chosen, flat[chosen].float().view(-1, 1, 1)

    def _scale(self, row: Tensor, whole: dict[str, Tensor]) -> Tensor:
        """Return the factor on the streaks of each picture, (N, 1)."""
        stages = self._scales[row]  # (N, STAGES, 3): logarithms of the range, probability
        chance, value = (
            torch.stack([whole[f"{name} {k}"] for k in range(STAGES)], 1)
            for name in ("scaled", "scale")
        )
        drawn = stages[..., 0] + (stages[..., 1] - stages[..., 0]) * value
        return torch.exp((drawn * (chance < stages[..., 2])).sum(1, keepdim=True))

    def _layer_numbers(
        self,
        row: Tensor,
        whole: dict[str, Tensor],
        ranged: Tensor,
        each: dict[str, Tensor],
        scale: Tensor,
    ) -> dict[str, Tensor]:
        """Return what every layer drew, present or not, each (N, slots)."""
        ranges = self._ranges[row]  # (N, slots, ranges, 2)
        flags = dict(zip(_FLAGS, self._flags[row].unbind(-1), strict=True))  # each (N, slots)
        low, high = ranges.unbind(-1)
        values = low + (high - low) * ranged
        of = dict(zip(_RANGES, values.unbind(-1), strict=True))
        for name in _LOGARITHMIC:
            of[name] = torch.exp(of[name])
        # One direction for all layers of a picture where they fall together.
        first = ranges[:, :1, _RANGES.index("angle")]
        common = first[..., 0] + (first[..., 1] - first[..., 0]) * whole["angle"].unsqueeze(1)
        together = (whole["together"] < self._picture["together"][row]).unsqueeze(1)
        degrees = torch.where(together, common, of["angle"])
        of["angle"] = torch.deg2rad(degrees)
        for name in ("length", "width", "softness", "scale"):
            of[name] = of[name] * scale
        self._defocus(of, ranges, scale, row, whole)
        of["noise"] = of["noise"] * (each["noise"] < flags["noise_probability"])
        of["cap"] = (each["cap"] < flags["cap"]).float()
        of["sheared"] = ((each["sheared"] < flags["sheared"]) | together).float()
        of["portrait"] = (each["portrait"] < flags["portrait"]).float()
        of["mirrored"] = (each["mirrored"] < 0.5).float()
        of |= {name: each[name] for name in ("texture", "left", "top")}
        of["slope"] = torch.tan(of["angle"].clamp(-1.2, 1.2))
        of["gain"] = of["gain"] * RAIN100L_GAIN
        choice = (each["shape"] * _SHAPE_CHOICES).long().clamp(max=_SHAPE_CHOICES - 1)
        of["shape"] = self._shapes[row].gather(-1, choice.unsqueeze(-1)).squeeze(-1)
        for name in ("key", "wave_key"):
            of[name] = mixed_bits((each[name] * 2**24).int()) & 0x7FFFFFFF
        return of

    def _defocus(
        self,
        of: dict[str, Tensor],
        ranges: Tensor,
        scale: Tensor,
        row: Tensor,
        whole: dict[str, Tensor],
    ) -> None:
        """Spread the light of drawn layers as a lens does that is focused farther away.

        As in `sample`, the sharpest lines of a range decide how much dimmer all of it becomes.
        """
        low, high = self._picture["defocus"][row].unbind(-1)
        blur = (low + (high - low) * whole["defocus"]).unsqueeze(1)
        width = scale * torch.exp(ranges[:, :, _RANGES.index("width")].mean(-1))
        softness = scale * ranges[:, :, _RANGES.index("softness"), 0]
        sharp = torch.hypot(width, 2.5 * softness)
        of["brightness"] = of["brightness"] * sharp / torch.hypot(sharp, 2.5 * blur).clamp(min=1e-6)
        of["softness"] = torch.hypot(of["softness"], blur)

    def _under(
        self,
        row: Tensor,
        whole: dict[str, Tensor],
        light: Tensor,
        keys: Tensor,
        size: tuple[int, int],
    ) -> Rain:
        """Return the layers with all else that the pictures have."""
        low, high = self._picture["light"][row].unbind(-1)
        level, lean = low + (high - low) * whole["light"], -0.02 + 0.07 * whole["lean"]
        greyish = torch.stack([(level - lean).clamp(min=0), level, (level + lean).clamp(max=1)], 1)
        colour = 1 + self._alpha[row].unsqueeze(1) * (greyish - 1)
        low, high = self._picture["camera"][row].unbind(-1)
        strength = (low + (high - low) * whole["camera"]).view(-1, 1, 1, 1)
        own = mixed_bits(keys ^ 0x3C6EF372)
        channels = torch.arange(3, dtype=torch.int32, device=self._device)
        noise = normal_noise((own[:, None] ^ channels).flatten(), size).view(len(row), 3, *size)
        hides = self._hides[row].view(-1, 1, 1, 1)
        return Rain(light.unsqueeze(1), colour.view(-1, 3, 1, 1), hides, camera=noise * strength)


def as_field(streaks: Streaks) -> Field:
    """Return filtered noise that looks like streaks drawn one by one, and is as bright.

    Streaks that are thin under their blur, or flicker, stay below their brightness. Lines of a
    field reach it, so what streaks lose at the middle of their ranges is taken off its brightness.
    """
    width = math.sqrt(streaks.width[0] * streaks.width[1])
    softness, flicker = sum(streaks.softness) / 2, sum(streaks.flicker) / 2
    peak = math.erf(width / 2 / (2**0.5 * math.hypot(softness, PIXEL)))
    dimmer = peak * (1 - 0.5 * flicker)
    return Field(
        probability=streaks.probability,
        coverage=streaks.coverage,
        angle=streaks.angle,
        length=streaks.length,
        width=streaks.width,
        softness=streaks.softness,
        brightness=(dimmer * streaks.brightness[0], dimmer * streaks.brightness[1]),
        fading=streaks.fading,
        levels=(0, 0),
        clumping=(0, 0.2),
        shape=("even", "tapered"),
        overlap="cap" if streaks.overlap == "max" else streaks.overlap,
        noise=streaks.noise,
        noise_probability=streaks.noise_probability,
    )


_Scales = tuple[tuple[Range, float], ...]


def _rows(
    preset: RainPreset, weight: float, scales: _Scales
) -> Iterator[tuple[float, RainPreset, _Scales]]:
    """Yield the presets with layers that a mixture comes down to, their weights, their scales."""
    if preset.scale != (1, 1):
        scales = (*scales, (preset.scale, preset.scale_probability))
    if not preset.mixture:
        yield weight, preset, scales
        return
    total = sum(part for part, _ in preset.mixture)
    for part, inner in preset.mixture:
        yield from _rows(inner, weight * part / total, scales)


def _scales(scales: _Scales) -> list[list[float]]:
    if len(scales) > STAGES:
        raise ValueError(
            f"a part has {len(scales)} scales, one in another; expected at most {STAGES}"
        )
    rows = [[math.log(low), math.log(high), chance] for (low, high), chance in scales]
    return rows + [[0.0, 0.0, 0.0]] * (STAGES - len(rows))


def _ranges(layer: Field | Texture | None) -> list[list[float]]:
    """Return the ranges that a layer draws from, as `_RANGES`; those of `_LOGARITHMIC` as logs."""
    return [_range(layer, name) for name in _RANGES]


def _range(layer: Field | Texture | None, name: str) -> list[float]:
    known = _FIELD_RANGES if isinstance(layer, Field) else _TEXTURE_RANGES if layer else ()
    low, high = getattr(layer, name) if name in known else (1.0, 1.0)
    return [math.log(low), math.log(high)] if name in _LOGARITHMIC else [low, high]


def _flags(layer: Field | Texture | None) -> list[float]:
    """Return how often a layer is there, noisy, capped, sheared, a portrait's: as `_FLAGS`."""
    if isinstance(layer, Field):
        cap = {"cap": 1.0, "sum": 0.0, "either": 0.5}[layer.overlap]
        return [layer.probability, layer.noise_probability, cap, 0.0, 0.0]
    if isinstance(layer, Texture):
        return [layer.probability, 0.0, 0.0, layer.sheared, layer.portrait]
    return [0.0] * len(_FLAGS)


def _shapes(layer: Field | Texture | None) -> list[int]:
    """Return the shapes of a layer, each as often as it is drawn."""
    names = layer.shape if isinstance(layer, Field) else SHAPES[:1]
    return [SHAPES.index(names[k * len(names) // _SHAPE_CHOICES]) for k in range(_SHAPE_CHOICES)]


def _kind(layer: Field | Texture | None) -> int:
    return FIELD if isinstance(layer, Field) else TEXTURE if layer else NONE


def _count(shares: list[float], rows: list[list[Any]]) -> tuple[float, float]:
    """Return mean and variance of the number of layers of a picture."""
    chances = [[layer.probability for layer in row] for row in rows]
    means = [sum(row) for row in chances]
    mean = sum(share * value for share, value in zip(shares, means, strict=True))
    within = [sum(p * (1 - p) for p in row) for row in chances]
    spread = zip(shares, means, within, strict=True)
    return mean, sum(share * (part + (value - mean) ** 2) for share, value, part in spread)
