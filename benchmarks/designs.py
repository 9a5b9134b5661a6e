"""Designs that were tried for a network of our own, each (N, 3, H, W) -> the same, and as much as
`design.py` needs of them.
"""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.networks.petrichor import ChannelNorm, GatedBlock, ResidualBlock


class Attentive(GatedBlock):
    """A gated block with NAFNet's channel attention, which pools over the whole picture (ECCV
    2022).
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.attention = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.attention.weight)
        self.attention.bias = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same."""
        a, b = self.context(self.spread(self.norm(x))).chunk(2, dim=1)
        gated = a * b
        return torch.addcmul(
            x, self.scale, self.mix(gated * self.attention(gated.mean((2, 3), keepdim=True)))
        )


class Inverted(nn.Module):
    """Depthwise 5x5, then a pointwise pair around GELU (after ConvNeXt, CVPR 2022)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.context = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.norm = ChannelNorm(channels)
        self.spread = nn.Conv2d(channels, 2 * channels, 1)
        self.mix = nn.Conv2d(2 * channels, channels, 1)
        self.scale = nn.Parameter(torch.full((1, channels, 1, 1), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same."""
        return x + self.scale * self.mix(F.gelu(self.spread(self.norm(self.context(x)))))


def hybrid(finest: int, channels: int) -> nn.Module:
    """Full convolutions at the finest scale, where moving memory costs most; gated blocks below it,
    where arithmetic does.
    """
    return ResidualBlock(channels) if channels <= finest else GatedBlock(channels)


Block = Callable[[int], nn.Module]


class UShaped(nn.Module):
    """Pixel unshuffle at the door, encoder and decoder with additive skips, residual out.

    Args:
        widths: Channels of each scale, the finest first.
        encoder: Blocks of each scale on the way down, the coarsest included.
        decoder: Blocks of each scale on the way up, without the coarsest.
        unshuffle: Factor of the pixel unshuffle.
        passes: How often the same weights are applied, each time to the result of the last.
    """

    def __init__(
        self,
        block: Block,
        widths: tuple[int, ...],
        encoder: tuple[int, ...],
        decoder: tuple[int, ...],
        unshuffle: int = 2,
        passes: int = 1,
    ) -> None:
        super().__init__()
        self.unshuffle, self.passes = unshuffle, passes
        self.multiple = unshuffle * 2 ** (len(widths) - 1)
        pixel = 3 * unshuffle**2
        self.door = nn.Conv2d(pixel * (2 if passes > 1 else 1), widths[0], 3, padding=1)
        self.encode = nn.ModuleList(
            nn.Sequential(*(block(w) for _ in range(n)))
            for w, n in zip(widths, encoder, strict=True)
        )
        self.decode = nn.ModuleList(
            nn.Sequential(*(block(w) for _ in range(n)))
            for w, n in zip(widths[:-1], decoder, strict=True)
        )
        pairs = list(itertools.pairwise(widths))
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, 2) for fine, coarse in pairs)
        self.up = nn.ModuleList(nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in pairs)
        self.out = nn.Conv2d(widths[0], pixel, 3, padding=1)
        nn.init.zeros_(self.out.weight)

    def forward(self, rainy: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> derained, the same; any size."""
        height, width = rainy.shape[-2:]
        padded = F.pad(
            rainy, (0, -width % self.multiple, 0, -height % self.multiple), mode="replicate"
        )
        folded = F.pixel_unshuffle(padded, self.unshuffle)
        result = folded
        for _ in range(self.passes):
            given = torch.cat([folded, result], 1) if self.passes > 1 else folded
            result = folded + self._once(given.contiguous(memory_format=torch.channels_last))
        return F.pixel_shuffle(result, self.unshuffle)[..., :height, :width]

    def _once(self, folded: Tensor) -> Tensor:
        x = self.door(folded)
        skips: list[Tensor] = []
        for encode, down in zip(self.encode, self.down, strict=False):
            x = encode(x)
            skips.append(x)
            x = down(x)
        x = self.encode[-1](x)
        for decode, up, skip in zip(
            reversed(self.decode), reversed(self.up), reversed(skips), strict=True
        ):
            x = decode(skip + F.pixel_shuffle(up(x), 2))
        return self.out(x)


class Dilated(nn.Module):
    """One scale: branches of growing dilation side by side, fused, added (after ReMAEN, ICME 2019,
    and DPENet, 2022).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(channels, channels // 2, 3, padding=d, dilation=d) for d in (1, 2, 5)
        )
        self.fuse = nn.Conv2d(3 * (channels // 2), channels, 1)
        with torch.no_grad():
            self.fuse.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same."""
        return x + self.fuse(F.relu(torch.cat([branch(x) for branch in self.branches], 1)))
