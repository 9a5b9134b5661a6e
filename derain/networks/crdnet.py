"""CRDNet: Cumulative Rain Density Sensing Network for Single Image Derain.

Peng, Jiang, Yi, Wang; IEEE Signal Processing Letters 2020. Parameters: rain streak extractor
16,461; W-Net 886,848; refinement 1,237; density classifier 77,510,275, needed only to train, or to
know how dense the rain is.

The authors published code without a licence, and weights that are no longer to be had; this file is
written from what they describe and from what their released code computes:

- The second batch normalisation and activation of a block have no effect in what was released and
  trained: both are registered under the names of the first. So a block is convolution,
  normalisation, ReLU, convolution.
- Their transposed convolutions of stride 1 are convolutions with the kernel turned round, and are
  convolutions here; the reader of their files (`derain.weights.authors`) turns the kernels.
- Pictures whose sides are no multiples of 32 are padded inside by repeating their last row and
  column.
- The three streams of the extractor go through the blocks they share as one batch. Nothing changes
  in evaluation; in training they are normalised together, by the statistics that evaluation will
  use. One after the other, each would be normalised by its own, and a network so trained meets
  other features when it is used.
- The refinement starts near the identity instead of at random: its ReLUs stand behind three and
  five channels, most of which die in the first hundred steps at rates higher than the authors'.
- The classifier's maps are brought to 4x4 by adaptive pooling: 512x512 is unchanged, anything from
  128x128 on works, and what is smaller is repeated side by side.
- ``forward`` clamps to [0, 1]; the loss is taken before clamping.
"""

import itertools
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.networks.fused import Kernel, convolve, is_traced
from derain.networks.losses import cumulative_density_loss, cumulative_labels, grey, ssim
from derain.networks.network import Hyperparameters
from derain.networks.padding import pad_to
from derain.tiles import Tiling

EXTRACTOR_WIDTHS = (3, 4, 8, 16)
DILATIONS = (1, 2, 3)
WNET_WIDTHS = (4, 8, 16, 32, 64, 128)
MULTIPLE = 2 ** (len(WNET_WIDTHS) - 1)
CLASSIFIER_WIDTHS = (16, 32, 64, 128, 256, 512, 1024)
CLASSIFIER_MIN = 2 ** len(CLASSIFIER_WIDTHS)
COMPACT_WIDTHS = (16, 32, 64, 64, 64)
SSIM_WEIGHT = 0.005

Classifier = Literal["none", "paper", "compact"]


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Kernel:
    """Fold the normalisation that follows a convolution, as it is in evaluation, into it."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight, bias = nn.utils.fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    return Kernel(weight, bias)


class Convs(nn.Module):
    """The block of extractor and W-Net between pooling or enlarging: conv, BN, ReLU, conv."""

    def __init__(self, inputs: int, outputs: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
        self.norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:  # (N, inputs, H, W) -> (N, outputs, H, W)
        if self.training:
            return self.second(self.norm(self.first(x)).relu())
        normed = convolve(
            _folded(self.first, self.norm), x, activation="relu", dilation=self.first.dilation[0]
        )
        return convolve(self.second, normed)


def halve(x: Tensor) -> Tensor:
    """Pool 2x2 by the maximum: (N, C, H, W) -> (N, C, H/2, W/2)."""
    if x.device.type != "cpu" or is_traced():
        return F.max_pool2d(x, 2)
    # PyTorch's pooling is slow on a processor where channels are few.
    height, width = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    rows = torch.maximum(x[:, :, :height:2], x[:, :, 1:height:2])
    return torch.maximum(rows[..., :width:2], rows[..., 1:width:2])


def double(x: Tensor) -> Tensor:
    """Enlarge to the nearest neighbour: (N, C, H, W) -> (N, C, 2H, 2W)."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def _down(widths: Sequence[int], dilation: int = 1) -> nn.ModuleList:
    return nn.ModuleList(Convs(i, o, dilation) for i, o in itertools.pairwise(widths))


def _up(widths: Sequence[int]) -> nn.ModuleList:
    return _down(tuple(reversed(widths)))


class RainExtractor(nn.Module):
    """Rain streaks at three dilations; the way up is shared: (N, 3, H, W) -> (N, 9, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(_down(EXTRACTOR_WIDTHS, dilation) for dilation in DILATIONS)
        self.up = _up(EXTRACTOR_WIDTHS)

    def forward(self, rainy: Tensor) -> Tensor:
        streams: list[Tensor] = []
        for stream in self.down:
            assert isinstance(stream, nn.ModuleList)
            x = rainy
            for block in stream:
                x = halve(block(x))
            streams.append(x)
        x = torch.cat(streams)  # (3N, 16, H/8, W/8)
        for block in self.up:
            x = double(block(x))
        return torch.cat(x.chunk(len(streams)), dim=1)


def guide(rgb: Tensor) -> Tensor:
    """Return the fourth channel of W-Net's input: (N, 3, H, W) -> (N, 1, H, W).

    It is 0.8 (max - min over the channels) + 0.2 luminance.
    """
    spread = rgb.amax(dim=1, keepdim=True) - rgb.amin(dim=1, keepdim=True)
    return 0.8 * spread + 0.2 * grey(rgb)


class WNet(nn.Module):
    """Two U-Nets in a row, both fed by the first encoder, that estimate the background.

    (N, 3, H, W) -> (N, 4, H, W).
    """

    def __init__(self) -> None:
        super().__init__()
        self.first_down = _down(WNET_WIDTHS)
        self.first_up = _up(WNET_WIDTHS)
        self.second_down = _down(WNET_WIDTHS)
        self.second_up = _up(WNET_WIDTHS)

    def forward(self, rainy: Tensor) -> Tensor:
        x = torch.cat([rainy, guide(rainy)], dim=1)
        encoded: list[Tensor] = []  # e1 … e5
        for block in self.first_down:
            x = halve(block(x))
            encoded.append(x)
        x = self._rise(x, self.first_up, encoded)
        for block, skip in zip(self.second_down, encoded, strict=True):
            x = halve(block(x)) + skip
        return self._rise(x, self.second_up, encoded)

    @staticmethod
    def _rise(x: Tensor, blocks: nn.ModuleList, encoded: list[Tensor]) -> Tensor:
        """Return to full size; e4 … e1 are added on the way."""
        for block, skip in zip(blocks, [*reversed(encoded[:-1]), None], strict=True):
            x = double(block(x))
            x = x if skip is None else x + skip
        return x


def _two_convs(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
    )


class Refinement(nn.Module):
    """Background, rain and the rainy picture -> the clean picture, (N, 3, H, W), not clamped."""

    def __init__(self) -> None:
        super().__init__()
        self.rain = _two_convs(9, 3)
        self.merge = _two_convs(10, 5)
        self.exit = _two_convs(5, 3)

    def forward(self, rainy: Tensor, rain: Tensor, background: Tensor) -> Tensor:
        return self.exit(self.merge(torch.cat([background, self.rain(rain), rainy], dim=1)))

    def start_from_identity(self) -> None:
        """Let the rainy picture through, under a tenth of the noise of usual initial weights."""
        image = 7  # the first of the merge's three input channels that hold the rainy picture
        for conv, first in (
            (self.merge[0], image),
            (self.merge[2], 0),
            (self.exit[0], 0),
            (self.exit[2], 0),
        ):
            with torch.no_grad():
                weight = conv.get_parameter("weight").mul_(0.1)
                through = weight[:3, first : first + 3]
                through.add_(nn.init.dirac_(torch.empty_like(through)))


def _halvings(widths: Sequence[int]) -> nn.ModuleList:
    """Return the convolutions of a classifier, each before a halving."""
    return nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in itertools.pairwise((9, *widths)))


class DensityClassifier(nn.Module):
    """Senses cumulative densities in the nine rain channels: (N, 9, H, W) -> (N, 3).

    The heaviest comes first. H and W are at least 128.
    """

    def __init__(self) -> None:
        super().__init__()
        self.convs = _halvings(CLASSIFIER_WIDTHS)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in CLASSIFIER_WIDTHS)
        self.linears = nn.ModuleList(
            [nn.Linear(16 * CLASSIFIER_WIDTHS[-1], 4096), nn.Linear(4096, 1000), nn.Linear(1000, 3)]
        )

    def forward(self, rain: Tensor) -> Tensor:
        x = rain.relu()
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = halve(norm(conv(x).relu()))
        x = F.adaptive_avg_pool2d(x, 4).flatten(1)
        for linear in self.linears:
            x = linear(x).relu()
        return x


class CompactClassifier(nn.Module):
    """A classifier that is small enough to ship: as `DensityClassifier`, with 98,517 parameters.

    It is narrow, and has one linear layer of means. It is derain's, not the paper's.

    Normalised once, at full size: deeper maps of a few small crops have too few pixels to give
    statistics that hold for others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(9)
        self.convs = _halvings(COMPACT_WIDTHS)
        self.linear = nn.Linear(COMPACT_WIDTHS[-1], 3)

    def forward(self, rain: Tensor) -> Tensor:
        x = self.norm(rain.relu())
        for conv in self.convs:
            x = halve(conv(x).relu())
        return torch.sigmoid(self.linear(x.mean(dim=(2, 3))))


def _repeated(maps: Tensor) -> Tensor:
    """Repeat (N, C, H, W) side by side until no side is less than a classifier needs."""
    return maps.repeat(1, 1, *(-(-CLASSIFIER_MIN // side) for side in maps.shape[2:]))


class CRDNet(nn.Module):
    """CRDNet: rain streaks and background are estimated in parallel, then refined.

    In training, the rain features must also suffice to classify the rain's density.

    Args:
        classifier: ``none`` (densities cannot be sensed), ``paper``, or ``compact``, derain's own
            small one. Deraining does not depend on it.

    Raises:
        ValueError: For another classifier.
    """

    tiling: ClassVar[Tiling] = Tiling(tile=1536, overlap=64, multiple=MULTIPLE, memory=500)

    def __init__(self, *, classifier: Classifier = "none") -> None:
        super().__init__()
        if classifier not in ("none", "paper", "compact"):
            raise ValueError(f"classifier is 'none', 'paper' or 'compact', not {classifier!r}")
        self.hyperparameters: Hyperparameters = {"classifier": classifier}
        self.extractor = RainExtractor()
        self.background = WNet()
        self.refinement = Refinement()
        self.classifier = {
            "none": lambda: None,
            "paper": DensityClassifier,
            "compact": CompactClassifier,
        }[classifier]()
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_normal_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        self.refinement.start_from_identity()

    def _with_rain(self, rainy: Tensor) -> tuple[Tensor, Tensor]:
        """Return the clean picture, not clamped, and the nine rain channels.

        Sides must be multiples of 32.
        """
        rain = self.extractor(rainy)
        return self.refinement(rainy, rain, self.background(rainy)), rain

    def estimate(self, rainy: Tensor) -> Tensor:
        """Return the derained (N, 3, H, W), not clamped."""
        height, width = rainy.shape[2:]
        return self._with_rain(pad_to(rainy, MULTIPLE))[0][..., :height, :width]

    def forward(self, rainy: Tensor) -> Tensor:
        """Derain (N, 3, H, W) in [0, 1]; shape and range stay the same."""
        return self.estimate(rainy).clamp(0, 1)

    @property
    def senses_density(self) -> bool:
        """Return whether there is a classifier."""
        return self.classifier is not None

    def density(self, rainy: Tensor) -> Tensor:
        """Return how dense the rain is: (N, 3, H, W) -> (N, 3), each about 0 or 1.

        Densities are cumulative: heavy, at least medium, at least light. Pictures with sides under
        128 pixels are repeated until they fill these.

        Raises:
            ValueError: If there is no classifier.
        """
        if self.classifier is None:
            raise ValueError("these weights hold no density classifier")
        return self.classifier(self.extractor(pad_to(_repeated(rainy), MULTIPLE)))

    def loss(self, rainy: Tensor, clean: Tensor) -> dict[str, Tensor]:
        """Return squared error, structure, and the error of the densities.

        The true densities are computed from the pair.

        Raises:
            ValueError: In training, for a single crop of at most 32 pixels.
        """
        count, _, height, width = rainy.shape
        padded = pad_to(rainy, MULTIPLE)
        if self.training and count * padded.shape[2] * padded.shape[3] <= MULTIPLE**2:
            raise ValueError(
                f"batch {count}, crop {width}x{height}: normalisation needs more to average; --set"
                " batch=2"
            )
        whole, rain = self._with_rain(padded)
        estimate = whole[..., :height, :width]
        terms = {
            "mse": F.mse_loss(estimate, clean),
            "ssim": SSIM_WEIGHT * (1 - ssim(estimate, clean)),
        }
        if self.classifier is not None:
            terms["density"] = cumulative_density_loss(
                self.classifier(_repeated(rain)), cumulative_labels(rainy, clean)
            )
        return terms
