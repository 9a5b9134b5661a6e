"""ReMAEN: Single Image Deraining using a Recurrent Multi-scale Aggregation and Enhancement Network.

Yang, Lu; ICME 2019. 495,771 parameters.

The authors published TensorFlow 1 code and checkpoints without a licence; this file is written from
what they describe and from what the checkpoints compute. Two things differ, neither of which
changes a result:

- The convolutions of a GRU that read the same map are one convolution; the first recurrence, which
  has no state, uses only the part it needs.
- ``forward`` clamps to [0, 1]; between recurrences nothing is clamped, and the loss is taken
  before.

The authors train on BGR pictures; here, as everywhere in derain, they are RGB. ``derain weights
import --bgr`` turns the first and the last convolution of such weights round.
"""

import functools
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.networks.fused import SLOPE, Kernel, convolve
from derain.networks.losses import edge_loss
from derain.networks.network import Hyperparameters
from derain.tiles import Tiling

CHANNELS = 32
SQUEEZED = 8
DILATIONS = (1, 2, 3)
EDGE_WEIGHT = 0.1

States = list[Tensor]


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class ChannelAttention(nn.Module):
    """SE: every channel is scaled by a factor that the means of all channels give.

    Source: Hu et al., Squeeze-and-Excitation, CVPR 2018.
    """

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = nn.Linear(CHANNELS, SQUEEZED)
        self.excite = nn.Linear(SQUEEZED, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:  # (N, 32, H, W) -> the same
        scale = torch.sigmoid(self.excite(self.squeeze(x.mean(dim=(2, 3))).relu()))
        return x * scale[:, :, None, None]


class MultiScaleBlock(nn.Module):
    """MAEB: the same two convolutions at three dilations, summed, then channel attention."""

    def __init__(self, inputs: int = CHANNELS) -> None:
        super().__init__()
        self.convs = nn.ModuleList([_conv(inputs, CHANNELS), _conv(CHANNELS, CHANNELS)])
        self.attention = ChannelAttention()

    def forward(self, x: Tensor) -> Tensor:  # (N, inputs, H, W) -> (N, 32, H, W)
        return self.attention(
            functools.reduce(Tensor.add_, (self._at(x, dilation) for dilation in DILATIONS))
        )

    def _at(self, x: Tensor, dilation: int) -> Tensor:
        for conv in self.convs:
            x = convolve(conv, x, activation="leaky_relu", dilation=dilation)
        return x


def _in_three(parameter: Tensor) -> tuple[Tensor, ...]:
    return parameter.split(CHANNELS)


def _stacked(first: Kernel, second: Kernel) -> Kernel:
    """Join two convolutions of one map; the channels of the second follow those of the first."""
    assert first.bias is not None
    assert second.bias is not None
    return Kernel(torch.cat([first.weight, second.weight]), torch.cat([first.bias, second.bias]))


def _summed(of_input: Kernel, of_state: nn.Conv2d) -> Kernel:
    """Return the sum of a convolution of one map and another of a second, as one of both."""
    assert of_input.bias is not None
    assert of_state.bias is not None
    return Kernel(
        torch.cat([of_input.weight, of_state.weight], dim=1), of_input.bias + of_state.bias
    )


class ConvGRU(nn.Module):
    """Gated recurrent unit of convolutions.

    Its channel attention is shared with its neighbours, and so given from outside.
    """

    def __init__(self) -> None:
        super().__init__()
        self.of_input = _conv(CHANNELS, 3 * CHANNELS)  # update z, candidate n, reset r
        self.of_state = _conv(CHANNELS, 2 * CHANNELS)  # update z, reset r
        self.of_reset_state = _conv(CHANNELS, CHANNELS)  # candidate n

    def forward(self, x: Tensor, state: Tensor | None, attention: ChannelAttention) -> Tensor:
        """Return the output, which is also the new state; all maps are (N, 32, H, W)."""
        update, candidate, reset = (
            Kernel(*both) for both in zip(*map(_in_three, self.of_input.parameters()), strict=True)
        )
        if state is None:  # as if it were zero, so that reset and half of update drop out
            z = convolve(update, x, activation="sigmoid")
            fresh = z * convolve(candidate, x, activation="tanh")
        else:
            gates = _summed(_stacked(update, reset), self.of_state)
            z, r = convolve(gates, x, state, activation="sigmoid").chunk(2, dim=1)
            joined = _summed(candidate, self.of_reset_state)
            n = convolve(joined, x, r * state, activation="tanh")
            fresh = torch.lerp(state, n, z)
        return F.leaky_relu_(attention(fresh), SLOPE)


class ReMAEN(nn.Module):
    """ReMAEN: one recurrent network applied several times, each time to what the last one left.

    Args:
        recurrences: How often; the authors' three by default. Weights do not depend on it.

    Raises:
        ValueError: For less than one recurrence.
    """

    tiling: ClassVar[Tiling] = Tiling(tile=512, overlap=64)

    def __init__(self, *, recurrences: int = 3) -> None:
        super().__init__()
        if recurrences < 1:
            raise ValueError(f"ReMAEN has at least 1 recurrence, not {recurrences}")
        self.hyperparameters: Hyperparameters = {"recurrences": recurrences}
        self.recurrences = recurrences
        self.extract = nn.ModuleList(MultiScaleBlock(3 if k == 0 else CHANNELS) for k in range(4))
        self.extract_grus = nn.ModuleList(ConvGRU() for _ in range(4))
        self.extract_attention = ChannelAttention()
        self.respond = nn.ModuleList(_conv(CHANNELS, CHANNELS) for _ in range(3))
        self.respond_grus = nn.ModuleList(ConvGRU() for _ in range(3))
        self.respond_attention = ChannelAttention()
        self.residual = nn.ModuleList(
            [_conv(CHANNELS, CHANNELS), ChannelAttention(), _conv(CHANNELS, 3)]
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def _recur(self, derained: Tensor, states: States) -> tuple[Tensor, States]:
        """Return the residual map (N, 3, H, W) and seven states of one recurrence.

        The first recurrence has no states to begin from.
        """
        new: States = []
        skips: list[Tensor] = []
        x = derained
        for k, (block, gru) in enumerate(zip(self.extract, self.extract_grus, strict=True)):
            skips.append(block(x))
            x = gru(skips[-1], states[k] if states else None, self.extract_attention)
            new.append(x)
        for k, (conv, gru) in enumerate(zip(self.respond, self.respond_grus, strict=True)):
            merged = convolve(conv, x, activation="relu") + skips[2 - k]
            x = gru(merged, states[4 + k] if states else None, self.respond_attention)
            new.append(x)
        first, attention, last = self.residual
        return last(F.leaky_relu_(attention(first(x)), SLOPE)), new

    def estimate(self, rainy: Tensor) -> Tensor:
        """Return the last recurrence's picture, not clamped, of the same shape, (N, 3, H, W)."""
        derained, states = rainy, []
        for _ in range(self.recurrences):
            residual, states = self._recur(derained, states)
            derained = derained - residual
        return derained

    def forward(self, rainy: Tensor) -> Tensor:
        """Derain (N, 3, H, W) in [0, 1]; shape and range stay the same."""
        return self.estimate(rainy).clamp(0, 1)

    def loss(self, rainy: Tensor, clean: Tensor) -> dict[str, Tensor]:
        """Return the squared error of the last estimate and of its edges, before clamping."""
        estimate = self.estimate(rainy)
        return {
            "mse": F.mse_loss(estimate, clean),
            "edge": EDGE_WEIGHT * edge_loss(estimate, clean),
        }
