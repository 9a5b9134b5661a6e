"""Upright bars before clean crops: railings, slatted fences, grilles and corrugated walls.

What is upright, thin and regular looks like rain, and few photographs to train on show any. A
network that has seen bars under rain, and without it, can tell them from streaks by their
regularity.
"""

import math

import torch
from torch import Tensor

_CHOICES, _TONES = 16, 48
"""How many numbers choose a row of bars, and how many bars have tones before these repeat."""

BAR_NUMBERS = _CHOICES + _TONES
"""How many random numbers a row of bars takes."""

PERIODS = (6.0, 48.0)
"""Smallest and largest distance of bars in pixels, log-uniform."""

THINNEST = 2.0
"""Least width of a bar, and of a gap, in pixels: thinner ones are what dense rain looks like."""

LEAN = 50.0
"""Largest angle from upright in degrees; half of all rows lean less than an eighth of it."""


def stand_bars(clean: Tensor, numbers: Tensor) -> Tensor:
    """Return crops with a row of bars before each, of the same shape.

    Bars are of one colour or of the picture's own texture, flat or round, and have tones of their
    own. They stand closer together towards one side, as in perspective, and fill the height of the
    crop or end in it.

    Args:
        clean: Crops in [0, 1], (N, 3, H, W).
        numbers: Uniform in [0, 1), (N, `BAR_NUMBERS`): what the bars are.
    """
    height, width = clean.shape[2:]
    choice = numbers[:, :_CHOICES].view(-1, _CHOICES, 1, 1).unbind(1)  # each (N, 1, 1)
    period = PERIODS[0] * (PERIODS[1] / PERIODS[0]) ** choice[0]
    cover = (THINNEST + (period - 2 * THINNEST) * choice[1]) / period
    lean = math.radians(LEAN) * (2 * choice[2] - 1) ** 3
    y = torch.arange(height, device=clean.device).view(1, -1, 1) - height / 2
    x = torch.arange(width, device=clean.device).view(1, 1, -1) - width / 2
    across = x * torch.cos(lean) + y * torch.sin(lean)
    # Towards one side the distance falls to a half at most.
    across = across * (1 + (choice[3] - 0.5) * across / max(height, width)) / period + choice[4]
    bar = across.floor()
    place = across - bar  # 0 at a bar's left edge, `cover` at its right one, 1 at the next bar's
    soft = (0.5 + choice[5]) / period  # edges are half a pixel to one and a half wide
    inside = (torch.minimum(place, cover - place) / soft + 0.5).clamp(0, 1)
    inside = inside + ((place - 1) / soft + 0.5).clamp(min=0)  # the next bar's edge begins here
    standing = inside * _ends(y, height, choice)
    tones = numbers[:, _CHOICES:]
    single = tones.gather(1, (bar % _TONES).long().flatten(1)).view_as(bar)
    tone = 1 + 0.6 * choice[6] * (single - 0.5)
    roundness = (2 * choice[7] - 1).clamp(min=0)
    tone = tone * (1 - 0.8 * roundness * (2 * place / cover - 1).clamp(-1, 1) ** 2)
    return clean + standing.unsqueeze(1) * (_paint(clean, tone, choice) - clean)


def _ends(y: Tensor, height: int, choice: tuple[Tensor, ...]) -> Tensor:
    """Return in which lines a row stands, (N, H, 1) in [0, 1]: four in ten end in the crop."""
    ending = choice[8] < 0.4
    top = torch.where(ending, height * (0.6 * choice[9] - 0.5), -height)
    bottom = torch.where(ending & (choice[10] < 0.5), height * (0.5 - choice[10] * 0.6), height)
    return (y - top).clamp(0, 1) * (bottom - y).clamp(0, 1)


def _paint(clean: Tensor, tone: Tensor, choice: tuple[Tensor, ...]) -> Tensor:
    """Return the colour of bars, (N, 3, H, W): of one colour, or the picture's own, toned."""
    grey = choice[11].unsqueeze(1)
    tint = torch.stack([choice[12], choice[13], choice[14]], 1)  # (N, 3, 1, 1)
    plain = (grey + 0.3 * (tint - 0.5)).clamp(0, 1)
    # Boards keep the texture behind them, darker or lighter as a whole.
    board = clean * (0.35 + 1.3 * grey)
    own = (choice[15] < 0.5).unsqueeze(1)
    return (torch.where(own, board, plain) * tone.unsqueeze(1)).clamp(0, 1)
