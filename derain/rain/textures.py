"""Rain cut from streak textures: grey pictures of streaks on black, rendered or photographed.

Rain100L adds one texture of the Garg-Nayar database (Garg and Nayar, "Photorealistic Rendering of
Rain Streaks", SIGGRAPH 2006) to each picture: the grey texture is resized to the size of the
picture, 481x321 or 321x481 for portraits, multiplied by 219/255 and added to all three channels.
A layer here does the same on a window of that size, and more where its ranges ask for it: the
streaks are sheared to any tilt, scaled, mirrored and brightened.

A window is sampled bilinearly. Textures that are reduced are first halved by averaging (a pyramid,
Williams, "Pyramidal Parametrics", SIGGRAPH 1983), and a window larger than the texture wraps
around. All coordinates are computed alike on every device.
"""

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from derain.images import ImageError, find_images, read_image
from derain.rain.field import Field
from derain.rain.numbers import Draws, Range, check_ranges

SIZE = (321, 481)
"""Height and width to which every texture is resized, as Rain100L does."""

RAIN100L_GAIN = 219 / 255
"""The factor by which Rain100L dims its textures; a layer's ``gain`` is relative to it."""

LEVELS = 3
"""Textures at full, half and quarter size."""

PORTRAIT = (321 / 481, 481 / 321)
"""How a texture shrinks in width and grows in height where it is resized for a portrait."""


@dataclass(frozen=True)
class Texture:
    """Ranges for one layer that is cut from a texture; a layer draws one value from each.

    Attributes:
        probability: How often the layer is there at all.
        scale: Size of the streaks relative to Rain100L's, drawn log-uniformly.
        gain: Brightness relative to Rain100L's.
        sheared: Share of layers whose streaks are sheared to a direction from ``angle``; the others
            keep the direction of their texture.
        angle: Direction in degrees from the vertical, positive towards the right on the way down.
        portrait: Share of layers resized as for a portrait, so that streaks are longer and thinner.
        otherwise: What is drawn in its place where there are no textures.
    """

    otherwise: Field
    probability: float = 1.0
    scale: Range = (1, 1)
    gain: Range = (1, 1)
    sheared: float = 0.0
    angle: Range = (-42, 42)
    portrait: float = 0.25

    def __post_init__(self) -> None:
        check_ranges(self)


BLACK = 0.12
"""Median light of streaks on black at most; that of photographs is 0.15 and more."""
GREY = 0.02
"""Mean distance between the channels of grey pictures at most, after lossy compression too."""


@dataclass(frozen=True)
class TextureBank:
    """Textures in memory.

    Attributes:
        name: Of the folder they come from, for cards and messages.
        texels: All textures at all levels of the pyramid in one row, uint8. Level k of texture i
            begins ``i`` times the level's size after ``starts[k]``.
        slopes: Pixels to the right for each pixel down along a texture's streaks, (n,).
        starts, heights, widths: Of the levels, (LEVELS,).
    """

    name: str
    texels: Tensor
    slopes: Tensor
    starts: Tensor
    heights: Tensor
    widths: Tensor
    _copies: dict[str, "TextureBank"] = field(
        init=False, default_factory=dict, repr=False, compare=False
    )

    def __len__(self) -> int:
        return len(self.slopes)

    def on(self, device: torch.device) -> "TextureBank":
        """Return the bank on a device; it is copied there once."""
        if self.texels.device == device:
            return self
        key = str(device)
        if key not in self._copies:
            parts = (self.texels, self.slopes, self.starts, self.heights, self.widths)
            self._copies[key] = TextureBank(self.name, *(part.to(device) for part in parts))
        return self._copies[key]


def load_textures(folder: str | os.PathLike[str]) -> TextureBank:
    """Read all pictures under a folder, in the order of their names, as textures.

    Colour is averaged to grey, and every texture is resized to `SIZE`, landscape.

    Raises:
        FileNotFoundError: If the folder does not exist or holds no pictures.
        OSError: If a folder in it cannot be read.
        ImageError: If a picture cannot be read, or most are no streaks on black: photographs would
            be drawn over photographs.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; expected one of streak textures")
    paths, unreadable = find_images(folder)
    if unreadable:
        raise unreadable[0]
    if not paths:
        raise FileNotFoundError(f"{folder}: no pictures in it; expected grey streak textures")
    with ThreadPoolExecutor() as pool:
        textures, photographs = zip(*pool.map(_grey, paths), strict=True)
    if 2 * sum(photographs) > len(paths):
        raise ImageError(
            f"{folder}: {sum(photographs)} of {len(paths)} pictures are bright and coloured, as"
            " photographs are; expected textures, grey streaks on black"
        )
    return bank_of(folder.name, textures)


def bank_of(name: str, textures: Sequence[Tensor]) -> TextureBank:
    """Return the bank of some textures, each (H, W), floats in [0, 1] of any size."""
    levels = [torch.stack([_resized(texture) for texture in textures])]
    slopes = torch.tensor([_slope(texture) for texture in levels[0]])
    while len(levels) < LEVELS:
        levels.append(F.avg_pool2d(levels[-1].unsqueeze(1), 2).squeeze(1))
    texels = torch.cat([(255 * level).round().byte().flatten() for level in levels])
    lengths = torch.tensor([level.numel() for level in levels])
    heights, widths = (torch.tensor([level.shape[k] for level in levels]) for k in (1, 2))
    return TextureBank(name, texels, slopes, lengths.cumsum(0) - lengths, heights, widths)


def _grey(path: Path) -> tuple[Tensor, bool]:
    """Return a texture (H, W) in [0, 1], and whether it looks like a photograph."""
    pixels = read_image(path)
    top = np.iinfo(pixels.dtype).max
    grey = torch.from_numpy(pixels.mean(axis=2, dtype=np.float32) / top)
    colour = float((pixels.max(axis=2) - pixels.min(axis=2)).mean()) / top
    return grey, float(grey.median()) > BLACK and colour > GREY


def _resized(texture: Tensor) -> Tensor:
    if texture.shape == SIZE:
        return texture
    whole = texture[None, None]
    resized = F.interpolate(whole, SIZE, mode="bilinear", antialias=True, align_corners=False)
    return resized[0, 0].clamp(0, 1)


def _slope(texture: Tensor) -> float:
    """Return the direction of the streaks: the eigenvector of the structure tensor along them."""
    down = (texture[2:, 1:-1] - texture[:-2, 1:-1]).flatten()
    right = (texture[1:-1, 2:] - texture[1:-1, :-2]).flatten()
    xx, yy, xy = (float(a @ b) for a, b in ((right, right), (down, down), (right, down)))
    across = 0.5 * math.atan2(2 * xy, xx - yy)  # of the gradient, from the horizontal
    return -math.tan(max(-1.2, min(1.2, across)))


@dataclass(frozen=True)
class Window:
    """The window of a texture that one layer drew, as shares of what there is.

    Attributes:
        texture: Which one, as a share of all.
        left, top: Where the window begins, as shares of the room there is.
        scale: Size of the streaks relative to the texture's.
        gain: Factor on the texture's light, Rain100L's included.
        slope: Of the streaks in the window, where ``sheared``.
        sheared, portrait, mirrored: Whether the layer is; as columns 0 or 1.
    """

    texture: float
    left: float
    top: float
    scale: float
    gain: float
    slope: float
    sheared: bool
    portrait: bool
    mirrored: bool


def choose(texture: Texture, draws: Draws) -> Window:
    """Draw the numbers of one layer."""
    return Window(
        texture=draws.unit(),
        left=draws.unit(),
        top=draws.unit(),
        scale=draws.log_uniform(texture.scale),
        gain=RAIN100L_GAIN * draws.uniform(texture.gain),
        slope=math.tan(math.radians(draws.uniform(texture.angle))),
        sheared=draws.chance(texture.sheared),
        portrait=draws.chance(texture.portrait),
        mirrored=draws.chance(0.5),
    )


def draw(
    layers: Sequence[Window], bank: TextureBank, size: tuple[int, int], device: torch.device
) -> Tensor:
    """Return the light of each layer, (n, H, W), at least 0."""
    columns = {
        name: torch.tensor([float(getattr(layer, name)) for layer in layers], device=device)
        for name in Window.__dataclass_fields__
    }
    return draw_table(columns, bank, size)


def draw_table(columns: dict[str, Tensor], bank: TextureBank, size: tuple[int, int]) -> Tensor:
    """Return the light of layers given as columns, one (n,) for each attribute of `Window`.

    Output pixel (r, c) shows the texture at::

        y = top  + r / scale_y
        x = left + (c + shear r) / scale_x        or mirrored: left - ...

    where the shear turns the slope that the scaled streaks have into the slope they should have.
    """
    of = {name: column.view(-1, 1, 1) for name, column in columns.items()}
    bank = bank.on(of["texture"].device)
    # The pyramid does most of a reduction: bilinear samples are at most 1.4 of its pixels apart.
    level = (-torch.log2(of["scale"])).round().clamp(0, LEVELS - 1).long()
    height, width = bank.heights[level], bank.widths[level]
    index = (of["texture"] * len(bank)).long().clamp(max=len(bank) - 1)
    # Sizes of the level's pixels: at level 1 a scale of 0.5 leaves them as they are.
    scale = of["scale"] * torch.exp2(level.float())
    across, along = (scale * (1 + (factor - 1) * of["portrait"]) for factor in PORTRAIT)
    mirror = 1 - 2 * of["mirrored"]
    slope = mirror * bank.slopes[index] * across / along
    shear = of["sheared"] * (slope - of["slope"])
    # Room for the window in the texture; where there is none it begins anywhere and wraps around.
    wide = (size[1] + shear.abs() * size[0]) / across
    high = size[0] / along
    left = (of["left"] * torch.where(wide <= width, width - wide, width)).floor()
    top = (of["top"] * torch.where(high <= height, height - high, height)).floor()
    rows = torch.arange(size[0], device=level.device).view(1, -1, 1)
    cells = torch.arange(size[1], device=level.device).view(1, 1, -1)
    y = top + rows / along  # (n, H, 1)
    # (n, H, W), from 0
    offset = (cells + shear * rows - (shear * size[0]).clamp(max=0)) / across
    x = left + torch.where(mirror > 0, offset, wide - 1 / across - offset)
    first = bank.starts[level] + index * height * width
    return of["gain"] * _bilinear(bank.texels, first, (height, width), y, x)


def _bilinear(
    texels: Tensor, first: Tensor, size: tuple[Tensor, Tensor], y: Tensor, x: Tensor
) -> Tensor:
    """Sample textures at (n, H, 1) and (n, H, W), wrapped: floats in [0, 1].

    Args:
        texels: All textures, one after the other.
        first: Where each layer's texture begins, (n, 1, 1); its height and width are ``size``.
        size: Height and width of each texture.
        y: Rows to sample, (n, H, 1).
        x: Columns to sample, (n, H, W).
    """
    height, width = size
    above, left = y.floor(), x.floor()
    down, right = y - above, x - left
    rows = [first + (above.long() + k) % height * width for k in (0, 1)]
    columns = [(left.long() + k) % width for k in (0, 1)]
    upper, lower = (
        torch.lerp(texels[row + columns[0]].float(), texels[row + columns[1]].float(), right)
        for row in rows
    )
    return torch.lerp(upper, lower, down) / 255
