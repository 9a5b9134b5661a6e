"""From a preset to one picture's rain, and from rain and a clean picture to a rainy one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from derain.density import THRESHOLD, Density, density_of
from derain.images import to_floats, to_levels
from derain.rain import field, streaks, textures
from derain.rain.numbers import Draws, Range, normal_noise, white_noise
from derain.rain.presets import Layer, RainPreset, Veil
from derain.rain.textures import Texture, TextureBank


@dataclass(frozen=True)
class Rain:
    """Rain of one picture, or of a batch with N in front of every shape.

    Attributes:
        layer: Light of all streaks, (1, H, W), at least 0.
        light: Colour of the drops, (3, 1, 1); 1 unless the preset composes by ``alpha``.
        hides: 1 where drops hide what is behind them (``screen``, ``alpha``), else 0; (1, 1, 1).
        transmission: Share of the scene's light that comes through the veil, (1, H, W); None
            without a veil.
        airlight: Colour of the veil, (3, 1, 1).
        camera: Noise of the camera, (3, H, W); None if there is none.
    """

    layer: Tensor
    light: Tensor
    hides: Tensor
    transmission: Tensor | None = None
    airlight: Tensor | None = None
    camera: Tensor | None = None

    @property
    def mask(self) -> Tensor:
        """Where the layer adds more than `derain.density.THRESHOLD`, (1, H, W) of bool."""
        return self.layer > THRESHOLD

    @property
    def coverage(self) -> Tensor:
        """Share of the picture under the mask, () or (N,)."""
        return self.mask.float().mean((-3, -2, -1))

    @property
    def density(self) -> Density:
        """The coverage of a single picture in a word."""
        return density_of(float(self.coverage))


def sample(
    preset: RainPreset,
    size: tuple[int, int],
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    bank: TextureBank | None = None,
) -> Rain:
    """Draw the rain of one picture.

    Args:
        preset: The kind of rain.
        size: Height and width in pixels.
        generator: A CPU generator; the same state gives the same rain on every device, to rounding.
        device: Where streaks are drawn and the result lies.
        bank: Textures that layers of textures are cut from; without it they are drawn.
    """
    batch = sample_batch([preset], size, [generator], device, bank)
    parts = {
        name: value[0] if isinstance(value, Tensor) else None for name, value in vars(batch).items()
    }
    return Rain(**parts)  # pyright: ignore[reportArgumentType]


def sample_batch(
    presets: Sequence[RainPreset],
    size: tuple[int, int],
    generators: Sequence[torch.Generator],
    device: torch.device | str = "cpu",
    bank: TextureBank | None = None,
) -> Rain:
    """Draw the rain of pictures of one size at once, each from its own preset and generator.

    The rain of a picture does not depend on the others, except for rounding. Arguments are those of
    `sample`.
    """
    device = torch.device(device)
    lines: list[tuple[int, streaks.Lines]] = []
    filters: list[tuple[int, field.Filter]] = []
    windows: list[tuple[int, textures.Window]] = []
    skies: list[_Sky] = []
    # All numbers are drawn first, picture by picture, in an order that must not change: the same
    # seed gives the same rain.
    for k, (preset, generator) in enumerate(zip(presets, generators, strict=True)):
        draws = Draws(generator)
        preset, scale = _pick(preset, draws)
        for layer in _layers(preset, draws, scale, textured=bank is not None):
            if isinstance(layer, streaks.Streaks):
                lines.append((k, streaks.scatter(layer, size, draws)))
            elif isinstance(layer, Texture):
                windows.append((k, textures.choose(layer, draws)))
            else:
                filters.append((k, field.choose(layer, draws)))
        skies.append(_Sky.over(preset, draws))
    # Then all layers of a kind are drawn at once, and their light is added to their pictures.
    total = torch.zeros(len(presets), *size, device=device)  # (N, H, W)
    drawn = [
        (streaks.draw([part for _, part in lines], size, device), [k for k, _ in lines]),
        (field.draw([part for _, part in filters], size, device), [k for k, _ in filters]),
    ]
    if bank is not None:
        light = textures.draw([part for _, part in windows], bank, size, device)
        drawn.append((light, [k for k, _ in windows]))
    for light, owners in drawn:
        if owners:
            total.index_add_(0, torch.tensor(owners, device=device), light)
    return _under(skies, total.unsqueeze(1), device)


def compose(clean: Tensor, rain: Rain) -> Tensor:
    """Return the rainy picture of a clean one, (…, 3, H, W) in [0, 1].

    Light is added and clipped (JORDER, CVPR 2017, Eq. 2) unless drops hide what is behind them; a
    veil lies over both (Li, Cheong, Tan, CVPR 2019, Eq. 2).
    """
    rainy = clean + rain.layer.clamp(max=1) * (rain.light - rain.hides * clean)
    if rain.transmission is not None and rain.airlight is not None:
        rainy = rain.transmission * rainy + (1 - rain.transmission) * rain.airlight
    if rain.camera is not None:
        rainy = rainy + rain.camera
    return rainy.clamp(0, 1)


def rain_on(
    pixels: NDArray[Any],
    preset: RainPreset,
    generator: torch.Generator,
    bank: TextureBank | None = None,
) -> NDArray[Any]:
    """Let it rain on an image: (H, W, 3) of uint8 or uint16 -> the same."""
    height, width = pixels.shape[:2]
    return compose_pixels(pixels, sample(preset, (height, width), generator, bank=bank))


def compose_pixels(pixels: NDArray[Any], rain: Rain) -> NDArray[Any]:
    """Do as `compose` for an image: (H, W, 3) of uint8 or uint16 -> the same, rounded."""
    clean = torch.from_numpy(to_floats(pixels)).permute(2, 0, 1)  # (3, H, W)
    return to_levels(compose(clean, rain).permute(1, 2, 0).numpy(), pixels.dtype)


def _pick(preset: RainPreset, draws: Draws) -> tuple[RainPreset, float]:
    """Return one of a mixture, by weight, or the preset itself, and the scale of its streaks."""
    scale = _scale(preset, draws)
    while preset.mixture:
        at = draws.unit() * sum(weight for weight, _ in preset.mixture)
        for weight, part in preset.mixture:
            preset = part
            at -= weight
            if at < 0:
                break
        scale *= _scale(preset, draws)
    return preset, scale


def _scale(preset: RainPreset, draws: Draws) -> float:
    """Draw a preset's own scale.

    Presets of one scale draw nothing: what they draw next stays the same.
    """
    if preset.scale == (1, 1) or not draws.chance(preset.scale_probability):
        return 1.0
    return draws.log_uniform(preset.scale)


def _layers(preset: RainPreset, draws: Draws, scale: float, *, textured: bool) -> "list[Layer]":
    """Draw which layers are there, their common direction if they fall together, and their focus.

    Args:
        preset: One that has layers.
        draws: Where numbers come from.
        scale: Of all streaks.
        textured: Whether there are textures; else layers of them give what is drawn in their place.
    """
    layers = [layer for layer in preset.layers if draws.chance(layer.probability)]
    if not textured:
        layers = [layer.otherwise if isinstance(layer, Texture) else layer for layer in layers]
    if scale != 1:
        layers = [_scaled(layer, scale) for layer in layers]
    if draws.chance(preset.together) and layers:
        angle = draws.uniform(layers[0].angle)
        layers = [_directed(layer, angle) for layer in layers]
    blur = draws.uniform(preset.defocus)
    if blur > 0:
        layers = [
            layer if isinstance(layer, Texture) else _defocused(layer, blur) for layer in layers
        ]
    return layers


def _directed(layer: Layer, angle: float) -> Layer:
    """Let a layer fall in a direction, in degrees."""
    if isinstance(layer, Texture):
        return replace(layer, angle=(angle, angle), sheared=1.0)
    return replace(layer, angle=(angle, angle))


def _scaled(layer: Layer, scale: float) -> Layer:
    """Enlarge the streaks of a layer, which keeps its coverage and brightness."""
    if isinstance(layer, Texture):
        return replace(layer, scale=_times(layer.scale, scale))
    sizes = {name: _times(getattr(layer, name), scale) for name in ("length", "width", "softness")}
    return replace(layer, **sizes)


def _times(bounds: Range, factor: float) -> Range:
    return bounds[0] * factor, bounds[1] * factor


_Layer = TypeVar("_Layer", streaks.Streaks, field.Field)


def _defocused(layer: _Layer, blur: float) -> _Layer:
    """Spread the same light wider."""
    low, high = layer.softness
    width = math.sqrt(layer.width[0] * layer.width[1])
    dimmer = math.hypot(width, 2.5 * low) / math.hypot(width, 2.5 * low, 2.5 * blur)
    softness = math.hypot(low, blur), math.hypot(high, blur)
    brightness = tuple(dimmer * value for value in layer.brightness)
    return replace(layer, softness=softness, brightness=brightness)


@dataclass(frozen=True)
class _Sky:
    """Everything about a picture's rain but its streaks."""

    light: tuple[float, float, float]
    hides: bool
    veil: float
    airlight: tuple[float, float, float]
    camera: float
    veil_key: int
    camera_key: int

    @staticmethod
    def over(preset: RainPreset, draws: Draws) -> "_Sky":
        veil, light = Veil((0, 0), (1, 1)), (1.0, 1.0, 1.0)
        if preset.veil and draws.chance(preset.veil_probability):
            veil = preset.veil
        if preset.composition == "alpha":
            light = _greyish(draws.uniform(preset.light), draws)
        return _Sky(
            light=light,
            hides=preset.composition != "add",
            veil=draws.uniform(veil.thickness),
            airlight=_greyish(draws.uniform(veil.airlight), draws),
            camera=draws.uniform(preset.camera),
            veil_key=draws.key(),
            camera_key=draws.key(),
        )


def _greyish(level: float, draws: Draws) -> tuple[float, float, float]:
    """Draw a grey that leans a little towards blue, or away from it."""
    lean = draws.uniform((-0.02, 0.05))
    return max(0.0, level - lean), level, min(1.0, level + lean)


def _under(skies: Sequence[_Sky], layer: Tensor, device: torch.device) -> Rain:
    """Return the rain of pictures: layers, (N, 1, H, W), and everything else."""
    size = (layer.shape[-2], layer.shape[-1])

    def each(values: Sequence[Any]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device).view(len(skies), -1, 1, 1)

    transmission = camera = None
    if any(sky.veil for sky in skies):
        depth = _depth(torch.tensor([sky.veil_key for sky in skies], device=device), size)
        transmission = torch.exp(-each([sky.veil for sky in skies]) * depth)
    if any(sky.camera for sky in skies):
        keys = torch.tensor(
            [sky.camera_key ^ channel for sky in skies for channel in range(3)], device=device
        )
        noise = normal_noise(keys, size).view(len(skies), 3, *size)  # (N, 3, H, W)
        camera = noise * each([sky.camera for sky in skies])
    light, hides = each([sky.light for sky in skies]), each([sky.hides for sky in skies])
    return Rain(layer, light, hides, transmission, each([sky.airlight for sky in skies]), camera)


def _depth(keys: Tensor, size: tuple[int, int]) -> Tensor:
    """Guess depths, (n,) -> (n, 1, H, W) in [0, 1]: farther towards the top, with slow waves."""
    down = torch.linspace(0, 1, size[0], device=keys.device).view(1, -1, 1)
    right = torch.linspace(0, 1, size[1], device=keys.device).view(1, 1, -1)
    numbers = white_noise(keys, (2, 4)).unsqueeze(-1).unsqueeze(-1)
    depth = 0.85 - 0.6 * down
    for k in range(2):
        fall, cross, phase, strength = (numbers[:, k, j] for j in range(4))
        depth = depth + 0.1 * strength * torch.sin(
            2 * math.pi * (fall * down + cross * right + phase)
        )
    return depth.clamp(0, 1).unsqueeze(1)
