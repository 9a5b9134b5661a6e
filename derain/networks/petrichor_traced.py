"""Petrichor as a graph that runtimes for processors compute fast.

`derain.networks.petrichor` is written for PyTorch, where channels are last in memory. ONNX Runtime
computes convolutions on blocks of 16 or 8 channels, and converts maps wherever something else than
a convolution, or a sum or product of two equal shapes, comes between them. Here almost nothing else
does; the results are the same but for rounding.

- The norm over channels is ``(x - mean) * r``. Taking the mean away is linear, so that it becomes
  part of the convolution that follows, as do the norm's weight and bias. The reciprocal deviation
  ``r`` comes from the means of ``x`` and of ``x * x``, which are convolutions, and another one
  copies it to all channels. Networks that were trained keep the square of the mean below their
  variance, so that little is lost in the difference of the two.
- Each half of a gate has convolutions of its own; no map is cut.
- Unfolding to twice the side copies whole pixels, channels last, and a convolution by ones brings
  the result back among the blocks, where the skip is added.
- Folding the picture and the first convolution are one convolution of stride 2.

Sides have to be multiples of 8: nothing is padded.
"""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.networks.petrichor import FOLD, GatedBlock, Petrichor, ResidualBlock

EPSILON = 1e-6
"""As `derain.networks.petrichor.ChannelNorm` has it."""


class Kernels(nn.Module):
    """Weights and biases that are computed from those of a network."""

    def __init__(self) -> None:
        super().__init__()
        self._folded: nn.ParameterList | None = None

    def compute(self) -> list[Tensor]:
        """Return them, in the order that ``forward`` takes them in."""
        raise NotImplementedError

    def fold(self) -> None:
        """Compute them once, now, so that a graph holds the results.

        Otherwise it holds the computation, from the network's own weights.
        """
        with torch.no_grad():
            self._folded = nn.ParameterList(self.compute())

    def kernels(self) -> list[Tensor]:
        """Return them, computed again unless they are folded."""
        return self.compute() if self._folded is None else list(self._folded)


class Door(Kernels):
    """Fold 2x2 pixels into channels and apply a 3x3 convolution: a 6x6 convolution of stride 2."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def compute(self) -> list[Tensor]:
        channels = self.conv.out_channels
        # Input channels are (colour, row, column), and so become rows and columns of the kernel.
        split = self.conv.weight.reshape(channels, 3, FOLD, FOLD, 3, 3).permute(0, 1, 4, 2, 5, 3)
        return [split.reshape(channels, 3, 3 * FOLD, 3 * FOLD)]

    def forward(self, rainy: Tensor) -> Tensor:  # (N, 3, H, W) -> (N, C, H / 2, W / 2)
        (weight,) = self.kernels()
        return F.conv2d(rainy, weight, self.conv.bias, stride=FOLD, padding=FOLD)


class Residual(nn.Module):
    """As `derain.networks.petrichor.ResidualBlock`, of which only the form differs."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) -> the same
        return self.block.second(torch.relu(self.block.first(x))) + x


class Gated(Kernels):
    """As `derain.networks.petrichor.GatedBlock`."""

    def __init__(self, block: GatedBlock) -> None:
        super().__init__()
        self.block = block
        channels = block.mix.out_channels
        self.mean: Tensor
        self.copies: Tensor
        self.register_buffer("mean", torch.full((1, channels, 1, 1), 1 / channels))
        self.register_buffer("copies", torch.ones(channels, 1, 1, 1))

    def compute(self) -> list[Tensor]:
        block = self.block
        channels = block.mix.out_channels
        assert block.spread.bias is not None
        assert block.context.bias is not None
        assert block.mix.bias is not None
        matrix = block.spread.weight.reshape(2 * channels, channels)
        weighted = matrix * block.norm.weight
        centred = weighted - weighted.mean(dim=1, keepdim=True)
        bias = (matrix * block.norm.bias).sum(dim=1) + block.spread.bias
        spread = centred.reshape(2 * channels, channels, 1, 1)
        parts = (spread, bias, block.context.weight, block.context.bias)
        # Of the first half all four, then of the second.
        halves = zip(*(part.split(channels) for part in parts), strict=True)
        scale = block.scale.reshape(channels)
        mix = block.mix.weight * scale.reshape(channels, 1, 1, 1)
        return [*itertools.chain(*halves), mix, block.mix.bias * scale]

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) -> the same
        *halves, mix, mix_bias = self.kernels()
        mean, squares = F.conv2d(x, self.mean), F.conv2d(x * x, self.mean)  # (N, 1, H, W)
        # Rounding must not make it negative.
        variance = torch.relu(squares - mean * mean)
        deviation = torch.sqrt(variance + EPSILON)
        scaled = x * F.conv2d(torch.reciprocal(deviation), self.copies)
        a, b = (
            F.conv2d(
                F.conv2d(scaled, spread, bias),
                context,
                context_bias,
                padding=1,
                groups=self.block.mix.out_channels,
            )
            for spread, bias, context, context_bias in (halves[:4], halves[4:])
        )
        return F.conv2d(a * b, mix, mix_bias) + x


class Unfolded(Kernels):
    """Apply a pointwise convolution, unfold its channels to twice the side, and add a skip."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.channels = conv.out_channels // FOLD**2
        self.ones: Tensor
        self.register_buffer("ones", torch.ones(self.channels, 1, 1, 1))

    def compute(self) -> list[Tensor]:
        assert self.conv.bias is not None
        wide, narrow = self.conv.in_channels, self.channels
        # Output channels are (channel, row, column); a kernel for each row has (column, channel).
        weight = self.conv.weight.reshape(narrow, FOLD, FOLD, wide).permute(1, 2, 0, 3)
        weight = weight.reshape(FOLD**2 * narrow, wide, 1, 1)
        bias = self.conv.bias.reshape(narrow, FOLD, FOLD).permute(1, 2, 0).reshape(-1)
        rows = zip(*(part.split(FOLD * narrow) for part in (weight, bias)), strict=True)
        return [*itertools.chain(*rows)]

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return a map of the skip's size: x (N, C, H, W), skip (N, C', 2 H, 2 W)."""
        above, above_bias, below, below_bias = self.kernels()
        rows = torch.cat(
            [
                F.conv2d(x, weight, bias).permute(0, 2, 3, 1)  # (N, H, W, 2 C')
                for weight, bias in ((above, above_bias), (below, below_bias))
            ],
            dim=2,
        )  # each row of pixels, then the row below it: (N, H, 2 W, 2 C')
        # In memory that is (N, 2 H, 2 W, C') too. The height is left to be inferred: older versions
        # of ONNX's operations say nothing about the shape if a size is a product.
        unfolded = rows.reshape(rows.shape[0], -1, rows.shape[2], self.channels)
        return F.conv2d(unfolded.permute(0, 3, 1, 2), self.ones, groups=self.channels) + skip


class PetrichorTraced(nn.Module):
    """A Petrichor in the form to trace; it shares the network's weights.

    Args:
        folded: Whether weights that are computed from the network's are computed once, now.
    """

    def __init__(self, network: Petrichor, *, folded: bool) -> None:
        super().__init__()
        self.network = network
        self.door = Door(network.door)
        self.fine_down, self.middle_down, self.coarse, self.middle_up, self.fine_up = (
            nn.Sequential(*(_traced(block) for block in stage))
            for stage in (
                network.fine_down,
                network.middle_down,
                network.coarse,
                network.middle_up,
                network.fine_up,
            )
        )
        self.from_coarse = Unfolded(network.from_coarse)
        self.from_middle = Unfolded(network.from_middle)
        if folded:
            for part in self.modules():
                if isinstance(part, Kernels):
                    part.fold()

    def forward(self, rainy: Tensor) -> Tensor:
        """Derain (N, 3, H, W) in [0, 1], H and W multiples of 8; shape and range stay the same."""
        fine = self.fine_down(self.door(rainy))
        middle = self.middle_down(self.network.to_middle(fine))
        coarse = self.coarse(self.network.to_coarse(middle))
        middle = self.middle_up(self.from_coarse(coarse, middle))
        fine = self.fine_up(self.from_middle(middle, fine))
        return (rainy + F.pixel_shuffle(self.network.out(fine), FOLD)).clamp(0, 1)


def _traced(block: nn.Module) -> nn.Module:
    if isinstance(block, ResidualBlock):
        return Residual(block)
    assert isinstance(block, GatedBlock)
    return Gated(block)
