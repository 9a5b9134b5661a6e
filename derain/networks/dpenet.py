"""DPENet, of "From Heavy Rain Removal to Detail Restoration: A Faster and Better Network".

Dual-stage Progressive Enhancement Network. Gao, Wen, Zhang, Zhang, Chen; Pattern Recognition 2024;
arXiv 2205.03553. 647,328 parameters, the light variant 370,848.

The authors published code and checkpoints without a licence; this file is written from the paper
and from what the checkpoints compute. Their network file as released puts a ReLU behind both 1x1
convolutions that give a picture; the checkpoints were trained without, and only without do they
remove rain. So it stands here. ``forward`` clamps to [0, 1]; losses are taken before clamping.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from derain.networks.fused import convolve
from derain.networks.losses import laplacian_edge_loss, ssim
from derain.networks.network import Hyperparameters
from derain.tiles import Tiling

CHANNELS = 32
DILATIONS = (1, 2, 5)
ERPABS = 3
EDGE_WEIGHT = 0.05


class DilatedDenseResidualBlock(nn.Module):
    """DDRB: three pairs of convolutions, each of a larger dilation than the one before.

    Each is fed by the sum of the block's input and all pairs before it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pairs = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(CHANNELS, CHANNELS, 3, padding=d, dilation=d, bias=False),
                nn.ReLU(),
                nn.Conv2d(CHANNELS, CHANNELS, 3, padding=d, dilation=d, bias=False),
            )
            for d in DILATIONS
        )

    def forward(self, x: Tensor) -> Tensor:  # (N, 32, H, W) -> the same, as all below
        total = y = x
        for number, pair in enumerate(self.pairs, 1):
            assert isinstance(pair, nn.Sequential)
            last = number == len(DILATIONS)
            inner = convolve(pair[0], y, activation="relu")
            total = convolve(pair[2], inner, add=total, activation="relu" if last else "none")
            y = total if last else total.relu()
        return y


class ResidualPixelAttentionBlock(nn.Module):
    """ERPAB: three reaches side by side, fused, then weighted at every pixel and channel."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=d, dilation=d, bias=False) for d in DILATIONS
        )
        self.fusion = nn.Conv2d(len(DILATIONS) * CHANNELS, CHANNELS, 1)
        self.attention = nn.Sequential(
            nn.Conv2d(CHANNELS, 1, 3, padding=1, bias=False),
            nn.ReLU(),
            nn.Conv2d(1, CHANNELS, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = convolve(self.fusion, *(branch(x) for branch in self.branches), activation="relu")
        squeeze, _, excite = self.attention
        attention = convolve(excite, convolve(squeeze, y, activation="relu"), activation="sigmoid")
        return torch.addcmul(x, y, attention).relu_()


def _stage(blocks: list[nn.Module]) -> nn.Sequential:
    """Return a stage, which maps a picture to a residual of the same shape, (N, 3, H, W)."""
    entrance, exit_ = nn.Conv2d(3, CHANNELS, 1, bias=False), nn.Conv2d(CHANNELS, 3, 1, bias=False)
    return nn.Sequential(entrance, nn.ReLU(), *blocks, exit_)


class DPENet(nn.Module):
    """Rain streaks removal (R2Net), then detail reconstruction (DRNet).

    Args:
        blocks: DDRBs of R2Net: 10, or 5 for the light variant; any number from one on works.

    Raises:
        ValueError: For less than one block.
    """

    tiling: ClassVar[Tiling] = Tiling(tile=512, overlap=64)

    def __init__(self, *, blocks: int = 10) -> None:
        super().__init__()
        if blocks < 1:
            raise ValueError(f"DPENet has at least 1 block, not {blocks}")
        self.hyperparameters: Hyperparameters = {"blocks": blocks}
        self.r2net = _stage([DilatedDenseResidualBlock() for _ in range(blocks)])
        self.drnet = _stage([ResidualPixelAttentionBlock() for _ in range(ERPABS)])

    def estimates(self, rainy: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each stage makes of a rainy (N, 3, H, W), not clamped."""
        first = rainy + self.r2net(rainy)
        return first, first + self.drnet(first.relu())

    def estimate(self, rainy: Tensor) -> Tensor:
        """Return what the second stage makes of a rainy (N, 3, H, W), not clamped."""
        return self.estimates(rainy)[1]

    def forward(self, rainy: Tensor) -> Tensor:
        """Derain (N, 3, H, W) in [0, 1]; shape and range stay the same."""
        return self.estimate(rainy).clamp(0, 1)

    def loss(self, rainy: Tensor, clean: Tensor) -> dict[str, Tensor]:
        """Return the paper's comprehensive loss: structure and edges of both estimates.

        It is taken before clamping.
        """
        both = self.estimates(rainy)
        return {
            "ssim": torch.stack([1 - ssim(estimate, clean) for estimate in both]).sum(),
            "edge": (
                EDGE_WEIGHT
                * torch.stack([laplacian_edge_loss(estimate, clean) for estimate in both]).sum()
            ),
        }
