"""A small network that learns fast, to compare rain with.

It stays as it was when docs/concepts/rain.md was measured, so that figures can be compared.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.networks.petrichor import ChannelNorm


class GatedBlock(nn.Module):
    """Depthwise context, a product in place of an activation, channel attention.

    After NAFNet (ECCV 2022).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.spread = nn.Conv2d(channels, 2 * channels, 1)
        self.context = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.attention = nn.Conv2d(channels, channels, 1)
        self.mix = nn.Conv2d(channels, channels, 1)
        self.scale = nn.Parameter(torch.full((1, channels, 1, 1), 0.1))
        nn.init.zeros_(self.attention.weight)
        self.attention.bias = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same."""
        a, b = self.context(self.spread(self.norm(x))).chunk(2, 1)
        gated = a * b
        gated = gated * self.attention(gated.mean((2, 3), keepdim=True))
        return x + self.scale * self.mix(gated)


class SmallNetwork(nn.Module):
    """U-shaped network that works mostly at low resolution.

    Pixel unshuffle, three scales of gated blocks, residual out.
    """

    def __init__(
        self, widths: tuple[int, int, int] = (32, 64, 128), depths: tuple[int, int, int] = (2, 3, 6)
    ) -> None:
        super().__init__()
        self.door = nn.Conv2d(12, widths[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(widths[k], widths[k + 1], 2, 2) for k in range(2))
        self.up = nn.ModuleList(nn.Conv2d(widths[k + 1], 4 * widths[k], 1) for k in range(2))
        self.encode = nn.ModuleList(self._stage(widths[k], depths[k]) for k in range(3))
        self.decode = nn.ModuleList(self._stage(widths[k], depths[k]) for k in range(2))
        self.out = nn.Conv2d(widths[0], 12, 3, padding=1)
        nn.init.zeros_(self.out.weight)

    @staticmethod
    def _stage(channels: int, depth: int) -> nn.Sequential:
        return nn.Sequential(*(GatedBlock(channels) for _ in range(depth)))

    def forward(self, rainy: Tensor) -> Tensor:
        """Derain (N, 3, H, W) in [0, 1] of any size; the result has the same shape."""
        height, width = rainy.shape[-2:]
        padded = F.pad(rainy, (0, -width % 8, 0, -height % 8), mode="replicate")
        x = self.door(F.pixel_unshuffle(padded, 2))
        fine = self.encode[0](x)
        middle = self.encode[1](self.down[0](fine))
        coarse = self.encode[2](self.down[1](middle))
        middle = self.decode[1](middle + F.pixel_shuffle(self.up[1](coarse), 2))
        fine = self.decode[0](fine + F.pixel_shuffle(self.up[0](middle), 2))
        return (padded + F.pixel_shuffle(self.out(fine), 2))[..., :height, :width]
