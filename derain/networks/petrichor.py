"""Petrichor, derain's own network and its default (1,036,172 parameters).

Its other sizes: one for live video (253,356), a deeper one for quality (1,665,676), and a wide one
that wants a GPU to train (4,869,644).

Petrichor is the smell of rain that has gone. Where the ideas come from:

- The picture is folded 2x2 into channels at the door and unfolded at the end (pixel shuffle, Shi et
  al., CVPR 2016).
- U-shaped, with most of the work at a quarter and an eighth of the side, where a streak is short
  (Ronneberger et al., MICCAI 2015); wide context at several scales is what NLEDN, ReMAEN and DPENet
  spend theirs on too. Skips are added.
- At the finest scale full 3x3 convolutions around a ReLU (EDSR, Lim et al., CVPRW 2017): there
  moving memory costs most.
- Below it gated blocks: a product of two halves in place of an activation, depthwise context
  between pointwise convolutions, a norm over the channels of each pixel (the first half of NAFNet's
  block, Chen et al., ECCV 2022).
- NAFNet's channel attention is left out: it pools over the whole picture, so that tiles would
  differ from the whole. Nothing here looks further than `Tiling.reach`, so that they agree.
- The network gives what is to be added to the rainy picture, and begins by adding nothing.

``forward`` clamps to [0, 1]; losses are taken before clamping. What else was tried is in
docs/lab-notes/petrichor.md.

Larger sizes are not trained from random weights: `grown` makes one that computes what a smaller one
does (Net2Net, Chen, Goodfellow, Shlens, ICLR 2016), and training continues from there.
"""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.networks.fused import Kernel, convolve
from derain.networks.losses import frequency_loss
from derain.networks.network import Hyperparameters
from derain.networks.padding import pad_to
from derain.tiles import Tiling

FOLD = 2
MULTIPLE = 8
"""Of the side in pixels: a fold and two halvings."""
FREQUENCY_WEIGHT = 0.1


class ResidualBlock(nn.Module):
    """Two full 3x3 convolutions around a ReLU, added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            self.second.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) -> the same, as all below
        return convolve(self.second, convolve(self.first, x, activation="relu"), add=x)


class ChannelNorm(nn.Module):
    """Zero mean and unit variance over the channels of each pixel.

    Without it the products of the gates never start to learn.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        # Channels are last in memory: nothing is copied.
        return F.layer_norm(
            x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6
        ).permute(0, 3, 1, 2)


class GatedBlock(nn.Module):
    """A gate between pointwise convolutions, scaled and added.

    Pointwise to twice the channels, depthwise context, the product of the halves, pointwise.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.spread = nn.Conv2d(channels, 2 * channels, 1)
        self.context = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.mix = nn.Conv2d(channels, channels, 1)
        self.scale = nn.Parameter(torch.full((1, channels, 1, 1), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.context(self.spread(self.norm(x))).chunk(2, dim=1)  # each (N, C, H, W)
        assert self.mix.bias is not None
        # The scale is folded into the last convolution, which saves a pass over the map.
        scaled = Kernel(
            self.mix.weight * self.scale.reshape(-1, 1, 1, 1), self.mix.bias * self.scale.flatten()
        )
        return convolve(scaled, a * b, add=x)


def _stage(block: Callable[[int], nn.Module], channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(block(channels) for _ in range(count)))


class Petrichor(nn.Module):
    """The size for photographs."""

    tiling: ClassVar[Tiling] = Tiling(
        tile=1536, overlap=256, reach=123, multiple=MULTIPLE, memory=600
    )
    widths: ClassVar[tuple[int, int, int]] = (32, 64, 160)
    """Channels at a half, a quarter and an eighth of the side."""
    blocks: ClassVar[tuple[int, int, int]] = (1, 3, 10)
    """Of each scale, on the way down; those of the two finer ones come again on the way up."""

    def __init__(self) -> None:
        super().__init__()
        self.hyperparameters: Hyperparameters = {}
        fine, middle, coarse = self.widths
        self.door = nn.Conv2d(3 * FOLD**2, fine, 3, padding=1)
        self.fine_down, self.fine_up = (
            _stage(ResidualBlock, fine, self.blocks[0]) for _ in range(2)
        )
        self.middle_down, self.middle_up = (
            _stage(GatedBlock, middle, self.blocks[1]) for _ in range(2)
        )
        self.coarse = _stage(GatedBlock, coarse, self.blocks[2])
        self.to_middle = nn.Conv2d(fine, middle, 2, 2)
        self.to_coarse = nn.Conv2d(middle, coarse, 2, 2)
        self.from_coarse = nn.Conv2d(coarse, 4 * middle, 1)
        self.from_middle = nn.Conv2d(middle, 4 * fine, 1)
        self.out = nn.Conv2d(fine, 3 * FOLD**2, 3, padding=1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def estimate(self, rainy: Tensor) -> Tensor:
        """Return the derained (N, 3, H, W), not clamped."""
        height, width = rainy.shape[2:]
        padded = pad_to(rainy, MULTIPLE)
        # (N, 12, H / 2, W / 2), then a quarter and an eighth of the side.
        folded = F.pixel_unshuffle(padded, FOLD).contiguous(memory_format=torch.channels_last)
        fine = self.fine_down(self.door(folded))
        middle = self.middle_down(self.to_middle(fine))
        coarse = self.coarse(self.to_coarse(middle))
        middle = self.middle_up(middle + F.pixel_shuffle(self.from_coarse(coarse), 2))
        fine = self.fine_up(fine + F.pixel_shuffle(self.from_middle(middle), 2))
        return (padded + F.pixel_shuffle(self.out(fine), FOLD))[..., :height, :width]

    def forward(self, rainy: Tensor) -> Tensor:
        """Derain (N, 3, H, W) in [0, 1]; shape and range stay the same."""
        return self.estimate(rainy).clamp(0, 1)

    def loss(self, rainy: Tensor, clean: Tensor) -> dict[str, Tensor]:
        """Return the mean absolute errors of pixels and, at a tenth, of frequencies.

        Both are taken before clamping.
        """
        estimate = self.estimate(rainy)
        return {
            "mae": F.l1_loss(estimate, clean),
            "frequency": FREQUENCY_WEIGHT * frequency_loss(estimate, clean),
        }


class PetrichorLive(Petrichor):
    """The size for video as it comes in: the same, narrower and shallower."""

    tiling: ClassVar[Tiling] = Tiling(
        tile=1536, overlap=160, reach=75, multiple=MULTIPLE, memory=400
    )
    widths: ClassVar[tuple[int, int, int]] = (16, 48, 96)
    blocks: ClassVar[tuple[int, int, int]] = (1, 1, 6)


class PetrichorDeep(Petrichor):
    """The size for quality: more blocks, most at the finest scale, where light rain is decided."""

    tiling: ClassVar[Tiling] = Tiling(
        tile=1824, overlap=456, reach=227, multiple=MULTIPLE, memory=600
    )
    blocks: ClassVar[tuple[int, int, int]] = (7, 6, 14)


class PetrichorWide(Petrichor):
    """The size for a GPU: twice as wide, three times as costly as the deep one."""

    tiling: ClassVar[Tiling] = Tiling(
        tile=1536, overlap=344, reach=171, multiple=MULTIPLE, memory=1200
    )
    widths: ClassVar[tuple[int, int, int]] = (64, 128, 320)
    blocks: ClassVar[tuple[int, int, int]] = (6, 4, 10)


def grown(small: Petrichor, kind: type[Petrichor], seed: int = 0) -> Petrichor:
    """Return a larger network that computes the same function as a smaller one.

    Blocks that the smaller network lacks are inserted as identities: what they add begins at zero.
    Where the larger one is twice as wide, every channel is there twice, and what reads it shares
    each weight between the two at random, so that they learn different things.

    Raises:
        ValueError: If the larger network has fewer blocks, or neither the same nor twice the
            widths.
    """
    large = kind()
    doubled = large.widths == tuple(2 * width for width in small.widths)
    if not (doubled or large.widths == small.widths):
        raise ValueError(
            f"widths {small.widths} do not grow to {large.widths}; expected the same or twice"
        )
    if any(now < then for then, now in zip(small.blocks, large.blocks, strict=True)):
        raise ValueError(
            f"blocks {small.blocks} do not grow to {large.blocks}; expected at least as many"
        )
    generator = torch.Generator().manual_seed(seed)
    state = small.state_dict()
    if doubled:
        state = {key: _doubled(key, value, generator) for key, value in state.items()}
    renamed = {_place(key, small.blocks, large.blocks): value for key, value in state.items()}
    with torch.no_grad():
        for module in large.modules():
            if isinstance(module, ResidualBlock):
                module.second.weight.zero_()
                assert module.second.bias is not None
                module.second.bias.zero_()
            elif isinstance(module, GatedBlock):
                module.scale.zero_()
    large.load_state_dict(large.state_dict() | renamed)
    return large


_SCALE_OF = {"fine_down": 0, "fine_up": 0, "middle_down": 1, "middle_up": 1, "coarse": 2}


def _place(key: str, old: tuple[int, ...], new: tuple[int, ...]) -> str:
    """Return the name a parameter has in a deeper network: old blocks are spread evenly."""
    stage, _, rest = key.partition(".")
    if stage not in _SCALE_OF:
        return key
    number, _, name = rest.partition(".")
    scale = _SCALE_OF[stage]
    return f"{stage}.{int(number) * new[scale] // old[scale]}.{name}"


def _doubled(key: str, value: Tensor, generator: torch.Generator) -> Tensor:
    """Return a parameter of the network in which every channel stands twice."""
    if key.startswith("out."):  # still gives 12 channels
        return _shared(value, generator) if key == "out.weight" else value
    if ".spread." in key or ".context." in key:  # two halves that are multiplied, each doubled
        value = torch.cat([half.repeat(2, *[1] * (value.ndim - 1)) for half in value.chunk(2)])
    elif key.endswith(".scale"):
        value = value.repeat(1, 2, 1, 1)
    else:
        value = value.repeat(2, *[1] * (value.ndim - 1))
    reads_doubled = value.ndim == 4 and not key.startswith("door.") and ".context." not in key
    return _shared(value, generator) if reads_doubled and not key.endswith(".scale") else value


def _shared(weight: Tensor, generator: torch.Generator) -> Tensor:
    """Share each weight of (O, I, k, k) between two copies of its input: (O, 2 I, k, k)."""
    share = torch.rand(weight.shape, generator=generator)
    return torch.cat([weight * share, weight * (1 - share)], dim=1)
