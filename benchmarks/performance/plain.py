"""The four published networks in plain form, which every ratio of speed refers to.

Each is written as its paper describes it, and as one would first write it in PyTorch: ordinary
modules, the default memory layout, float32, a convolution for every convolution that the paper
names, a Python loop where the paper says "for each". Nothing is slowed down on purpose, nothing of
what makes the networks in `derain.networks` fast is used, and no code is shared with them. A test
compares `plain_form` of each with the network itself.
"""

import itertools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.networks import NLEDN, CRDNet, DPENet, ReMAEN

FUSED = {
    "embed": ("theta", "phi", "g"),
    "of_input": ("xz", "xn", "xr"),
    "of_state": ("hz", "hr"),
    "of_reset_state": ("hn",),
}
"""Convolutions of derain's networks that are several of the paper's, in the order of their output
channels.
"""
NLEDN_OF_THE_PAPER = {"dense": True, "blocks": 6, "pooling": True, "non_local": "softmax"}


def plain_form(network: nn.Module) -> nn.Module:
    """Return the plain form of a network, with a copy of its weights.

    Args:
        network: NLEDN as in the paper, ReMAEN, CRDNet or DPENet. A classifier of CRDNet's is left
            out.

    Returns:
        (N, 3, H, W) in [0, 1] -> the same, in evaluation mode, on the network's device, in the
        default memory layout whatever that of the network is.

    Raises:
        ValueError: For any other network.
    """
    plain = _untrained_form(network)
    plain.load_state_dict(_weights_for(plain, network.state_dict()))
    usable = Padded(plain, 32) if isinstance(plain, PlainCRDNet) else plain
    return usable.to(next(network.parameters()).device).eval()


def _untrained_form(network: nn.Module) -> nn.Module:
    """Return the plain form with random weights."""
    match network:
        case NLEDN() if network.hyperparameters == NLEDN_OF_THE_PAPER:
            return PlainNLEDN()
        case ReMAEN():
            return PlainReMAEN(network.recurrences)
        case CRDNet():
            return PlainCRDNet()
        case DPENet():
            return PlainDPENet(int(network.hyperparameters["blocks"]))
        case _:
            name = type(network).__name__
            raise ValueError(
                f"{name} has no plain form: NLEDN with the paper's arguments, ReMAEN, CRDNet and"
                " DPENet have one"
            )


def _weights_for(plain: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a network's weights under the names of its plain form.

    Fused convolutions are split, kernels of transposed convolutions are turned round.
    """
    weights: dict[str, Tensor] = {}
    for key, tensor in state.items():
        weights |= _split(key, tensor)
    for name, module in plain.named_modules():
        if isinstance(module, nn.ConvTranspose2d):
            weights[f"{name}.weight"] = weights[f"{name}.weight"].transpose(0, 1).flip(2, 3)
    return {key: tensor for key, tensor in weights.items() if not key.startswith("classifier.")}


def _split(key: str, tensor: Tensor) -> dict[str, Tensor]:
    """Return ``…theta.weight``, ``…phi.weight`` and ``…g.weight`` for ``…embed.weight``.

    Weights that are not fused are returned unchanged.
    """
    *stem, layer, part = key.split(".")
    if layer not in FUSED:
        return {key: tensor}
    names = FUSED[layer]
    return {
        ".".join([*stem, name, part]): piece
        for name, piece in zip(names, tensor.chunk(len(names)), strict=True)
    }


class NonLocal(nn.Module):
    """NLEDN's region-wise non-local block, one region and its affinity matrix at a time."""

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.theta, self.phi, self.g = (nn.Conv2d(64, 32, 1) for _ in range(3))
        self.project = nn.Conv2d(32, 64, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 64, H, W) -> the same."""
        rows: list[Tensor] = []
        for band in torch.chunk(x, self.grid, dim=2):
            regions = [self._region(region) for region in torch.chunk(band, self.grid, dim=3)]
            rows.append(torch.cat(regions, dim=3))
        return torch.cat(rows, dim=2)

    def _region(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        theta = self.theta(x).flatten(2)  # (N, 32, queries)
        phi = F.max_pool2d(self.phi(x), 2).flatten(2)  # (N, 32, keys)
        g = F.max_pool2d(self.g(x), 2).flatten(2)  # (N, 32, keys)
        # (N, queries, keys).
        affinity = torch.softmax(torch.matmul(theta.transpose(1, 2), phi), dim=2)
        gathered = torch.matmul(affinity, g.transpose(1, 2)).transpose(1, 2)  # (N, 32, queries)
        return x + self.project(gathered.reshape(n, 32, height, width))


class NonLocalDenseBlock(nn.Module):
    """NLEDN's NEDB: non-local block, four dense convolutions, a 1x1 convolution over all."""

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.non_local = NonLocal(grid)
        self.layers = nn.ModuleList(nn.Conv2d(64 + 32 * k, 32, 3, padding=1) for k in range(4))
        self.fusion = nn.Conv2d(192, 64, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 64, H, W) -> the same."""
        features = [self.non_local(x)]
        for layer in self.layers:
            features.append(F.relu(layer(torch.cat(features, dim=1))))
        return x + self.fusion(torch.cat(features, dim=1))


class PlainNLEDN(nn.Module):
    """NLEDN (Li et al., ACM Multimedia 2018) in plain form, with softmax as released.

    theta, phi and g are three convolutions, regions are cut by `torch.chunk` and computed one after
    the other, a region's affinities are a matrix. Like the released code it fails where a region is
    one pixel high or wide; 64 pixels a side are always enough.
    """

    def __init__(self) -> None:
        super().__init__()
        self.entrance = nn.ModuleList(
            [nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(64, 64, 3, padding=1)]
        )
        self.blocks = nn.ModuleList(NonLocalDenseBlock(grid) for grid in (8, 4, 2, 1, 2, 4))
        self.joints = nn.ModuleList(nn.Conv2d(128, 64, 1) for _ in range(2))
        self.fusion = nn.Sequential(nn.Conv2d(192, 64, 1), nn.Conv2d(64, 64, 3, padding=1))
        self.exit = nn.Conv2d(64, 3, 3, padding=1)

    def forward(self, rainy: Tensor) -> Tensor:
        """Rainy (N, 3, H, W) in [0, 1] -> clean, same shape and range."""
        f0 = self.entrance[0](rainy)
        f1 = self.entrance[1](f0)
        maps, pooled, indices = self._encode(f1)
        decoded = self._decode(maps, pooled, indices)
        fused = self.fusion(torch.cat([f1, decoded, maps[0]], dim=1)) + f0
        return (rainy + torch.tanh(self.exit(fused))).clamp(0, 1)

    def _encode(self, x: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Return the maps before pooling, the pooled maps and the indices of three stages."""
        maps: list[Tensor] = []
        pooled: list[Tensor] = []
        indices: list[Tensor] = []
        for k in range(3):
            maps.append(self.blocks[k](x))
            x, where = F.max_pool2d(maps[k], 2, return_indices=True)
            pooled.append(x)
            indices.append(where)
        return maps, pooled, indices

    def _decode(self, maps: list[Tensor], pooled: list[Tensor], indices: list[Tensor]) -> Tensor:
        x = self.blocks[3](pooled[2])
        for k in range(2):
            x = self._unpool(x, indices[2 - k], maps[2 - k])
            x = self.blocks[4 + k](self.joints[k](torch.cat([pooled[1 - k], x], dim=1)))
        return self._unpool(x, indices[0], maps[0])

    @staticmethod
    def _unpool(x: Tensor, indices: Tensor, pooled: Tensor) -> Tensor:
        """Unpool to the size before pooling, whose last row or column may be odd."""
        return F.max_unpool2d(x, indices, (2, 2), output_size=list(pooled.shape[2:]))


def _conv32(inputs: int = 32, outputs: int = 32) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class SqueezeExcite(nn.Module):
    """ReMAEN's SE: global average, two linear layers, a scale for every channel."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = nn.Linear(32, 8)
        self.excite = nn.Linear(8, 32)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 32, H, W) -> the same."""
        mean = F.adaptive_avg_pool2d(x, 1).flatten(1)
        scale = torch.sigmoid(self.excite(F.relu(self.squeeze(mean))))
        return x * scale.view(-1, 32, 1, 1)


class MultiScaleBlock(nn.Module):
    """ReMAEN's MAEB: two convolutions at dilations 1, 2 and 3, summed, then SE."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList([_conv32(inputs), _conv32()])
        self.attention = SqueezeExcite()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, 32, H, W)."""
        return self.attention(self._at(x, 1) + self._at(x, 2) + self._at(x, 3))

    def _at(self, x: Tensor, dilation: int) -> Tensor:
        for conv in self.convs:
            assert isinstance(conv, nn.Conv2d)
            x = F.leaky_relu(
                F.conv2d(x, conv.weight, conv.bias, padding=dilation, dilation=dilation), 0.2
            )
        return x


class ConvGRU(nn.Module):
    """ReMAEN's recurrent unit of six convolutions, three of which wait for a state."""

    def __init__(self) -> None:
        super().__init__()
        self.xz, self.xr, self.xn = (_conv32() for _ in range(3))
        self.hz, self.hr, self.hn = (_conv32() for _ in range(3))

    def forward(self, x: Tensor, state: Tensor | None, attention: nn.Module) -> Tensor:
        """Update the state; all are (N, 32, H, W), and units share the attention."""
        new = self._first(x) if state is None else self._next(x, state)
        return F.leaky_relu(attention(new), 0.2)

    def _first(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.xz(x)) * torch.tanh(self.xn(x))

    def _next(self, x: Tensor, state: Tensor) -> Tensor:
        r = torch.sigmoid(self.hr(state) + self.xr(x))
        z = torch.sigmoid(self.hz(state) + self.xz(x))
        n = torch.tanh(self.xn(x) + self.hn(r * state))
        return (1 - z) * state + z * n


class PlainReMAEN(nn.Module):
    """ReMAEN (Yang, Lu, ICME 2019) in plain form.

    Every convolution of a GRU and every dilation is computed separately.
    """

    def __init__(self, recurrences: int = 3) -> None:
        super().__init__()
        self.recurrences = recurrences
        self.extract = nn.ModuleList(MultiScaleBlock(inputs) for inputs in (3, 32, 32, 32))
        self.extract_grus = nn.ModuleList(ConvGRU() for _ in range(4))
        self.extract_attention = SqueezeExcite()
        self.respond = nn.ModuleList(_conv32() for _ in range(3))
        self.respond_grus = nn.ModuleList(ConvGRU() for _ in range(3))
        self.respond_attention = SqueezeExcite()
        self.residual = nn.ModuleList([_conv32(), SqueezeExcite(), _conv32(outputs=3)])

    def forward(self, rainy: Tensor) -> Tensor:
        """Rainy (N, 3, H, W) in [0, 1] -> clean, same shape and range."""
        derained = rainy
        states: Sequence[Tensor | None] = [None] * 7
        for _ in range(self.recurrences):
            residual, states = self._recur(derained, states)
            derained = derained - residual
        return derained.clamp(0, 1)

    def _recur(self, x: Tensor, states: Sequence[Tensor | None]) -> tuple[Tensor, list[Tensor]]:
        """Return the residual map (N, 3, H, W) and the seven new states."""
        skips: list[Tensor] = []
        new: list[Tensor] = []
        for k in range(4):
            skips.append(self.extract[k](x))
            x = self.extract_grus[k](skips[k], states[k], self.extract_attention)
            new.append(x)
        for k in range(3):
            x = F.relu(self.respond[k](x)) + skips[2 - k]
            x = self.respond_grus[k](x, states[4 + k], self.respond_attention)
            new.append(x)
        first, attention, last = self.residual
        return last(F.leaky_relu(attention(first(x)), 0.2)), new


class DownBlock(nn.Module):
    """CRDNet's down block: convolution, normalisation, ReLU, convolution, 2x2 max-pooling."""

    def __init__(self, inputs: int, outputs: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
        self.norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H/2, W/2)."""
        return F.max_pool2d(self.second(F.relu(self.norm(self.first(x)))), 2)


class UpBlock(nn.Module):
    """CRDNet's up block, as released.

    It is the down block with transposed convolutions of stride 1, then twice the size by nearest
    neighbour.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.ConvTranspose2d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs)
        self.second = nn.ConvTranspose2d(outputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, 2H, 2W)."""
        return F.interpolate(
            self.second(F.relu(self.norm(self.first(x)))), scale_factor=2, mode="nearest"
        )


class RainExtractor(nn.Module):
    """CRDNet's streams of dilation 1, 2 and 3, one after the other; they share the way up."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            nn.Sequential(
                DownBlock(3, 4, dilation), DownBlock(4, 8, dilation), DownBlock(8, 16, dilation)
            )
            for dilation in (1, 2, 3)
        )
        self.up = nn.Sequential(UpBlock(16, 8), UpBlock(8, 4), UpBlock(4, 3))

    def forward(self, rainy: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 9, H, W)."""
        return torch.cat([self.up(stream(rainy)) for stream in self.down], dim=1)


class WNet(nn.Module):
    """CRDNet's background: two U-Nets in a row, both fed by the first encoder."""

    def __init__(self) -> None:
        super().__init__()
        down = list(itertools.pairwise((4, 8, 16, 32, 64, 128)))
        up = list(itertools.pairwise((128, 64, 32, 16, 8, 4)))
        self.first_down = nn.ModuleList(DownBlock(i, o) for i, o in down)
        self.first_up = nn.ModuleList(UpBlock(i, o) for i, o in up)
        self.second_down = nn.ModuleList(DownBlock(i, o) for i, o in down)
        self.second_up = nn.ModuleList(UpBlock(i, o) for i, o in up)

    def forward(self, rainy: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 4, H, W)."""
        x = torch.cat([rainy, self._guide(rainy)], dim=1)
        encoded: list[Tensor] = []
        for block in self.first_down:
            x = block(x)
            encoded.append(x)
        x = self._up(x, self.first_up, encoded)
        for k, block in enumerate(self.second_down):
            x = block(x) + encoded[k]
        return self._up(x, self.second_up, encoded)

    @staticmethod
    def _guide(rgb: Tensor) -> Tensor:
        spread = rgb.amax(dim=1, keepdim=True) - rgb.amin(dim=1, keepdim=True)
        luminance = 0.299 * rgb[:, 0:1] + 0.587 * rgb[:, 1:2] + 0.114 * rgb[:, 2:3]
        return 0.8 * spread + 0.2 * luminance

    @staticmethod
    def _up(x: Tensor, blocks: nn.ModuleList, encoded: list[Tensor]) -> Tensor:
        for k in range(4):
            x = blocks[k](x) + encoded[3 - k]
        return blocks[4](x)


def _refining(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
    )


class Refinement(nn.Module):
    """CRDNet's last part: the clean picture from rain, background and the rainy picture."""

    def __init__(self) -> None:
        super().__init__()
        self.rain = _refining(9, 3)
        self.merge = _refining(10, 5)
        self.exit = _refining(5, 3)

    def forward(self, rainy: Tensor, rain: Tensor, background: Tensor) -> Tensor:
        """(N, 3, H, W), (N, 9, H, W), (N, 4, H, W) -> (N, 3, H, W)."""
        return self.exit(self.merge(torch.cat([background, self.rain(rain), rainy], dim=1)))


class PlainCRDNet(nn.Module):
    """CRDNet (Peng et al., IEEE SPL 2020) in plain form, for sides that are multiples of 32.

    Its up blocks have transposed convolutions, batch normalisation is a module, the extractor's
    streams run one after the other. There is no classifier, which deraining does not need.
    """

    def __init__(self) -> None:
        super().__init__()
        self.extractor = RainExtractor()
        self.background = WNet()
        self.refinement = Refinement()

    def forward(self, rainy: Tensor) -> Tensor:
        """Rainy (N, 3, H, W) in [0, 1] -> clean, same shape and range."""
        return self.refinement(rainy, self.extractor(rainy), self.background(rainy)).clamp(0, 1)


class Padded(nn.Module):
    """A network for sides that are multiples of a number, on any picture.

    The last row and column are repeated, and what was added is cut off again.
    """

    def __init__(self, network: nn.Module, multiple: int) -> None:
        super().__init__()
        self.network = network
        self.multiple = multiple

    def forward(self, rainy: Tensor) -> Tensor:
        """(N, 3, H, W) -> the same."""
        height, width = rainy.shape[2:]
        right, below = -width % self.multiple, -height % self.multiple
        return self.network(F.pad(rainy, (0, right, 0, below), mode="replicate"))[
            :, :, :height, :width
        ]


def _conv_relu_conv(dilation: int) -> nn.Sequential:
    def conv() -> nn.Conv2d:
        return nn.Conv2d(32, 32, 3, padding=dilation, dilation=dilation, bias=False)

    return nn.Sequential(conv(), nn.ReLU(), conv())


class DilatedDenseResidualBlock(nn.Module):
    """DPENet's DDRB: three pairs of convolutions with dilations 1, 2 and 5."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs = nn.ModuleList(_conv_relu_conv(dilation) for dilation in (1, 2, 5))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 32, H, W) -> the same."""
        x1 = self.pairs[0](x)
        x2 = self.pairs[1](F.relu(x + x1))
        x3 = self.pairs[2](F.relu(x + x1 + x2))
        return F.relu(x + x1 + x2 + x3)


class PixelAttentionBlock(nn.Module):
    """DPENet's ERPAB: three dilations side by side, joined, weighted at every pixel and channel."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(32, 32, 3, padding=d, dilation=d, bias=False) for d in (1, 2, 5)
        )
        self.fusion = nn.Conv2d(96, 32, 1)
        self.attention = nn.Sequential(
            nn.Conv2d(32, 1, 3, padding=1, bias=False),
            nn.ReLU(),
            nn.Conv2d(1, 32, 3, padding=1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 32, H, W) -> the same."""
        y = F.relu(self.fusion(torch.cat([branch(x) for branch in self.branches], dim=1)))
        return F.relu(y * self.attention(y) + x)


def _stage(blocks: Sequence[nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 32, 1, bias=False), nn.ReLU(), *blocks, nn.Conv2d(32, 3, 1, bias=False)
    )


class PlainDPENet(nn.Module):
    """DPENet (Gao et al., Pattern Recognition 2024) in plain form.

    Sums and concatenations are written as in the paper.
    """

    def __init__(self, blocks: int = 10) -> None:
        super().__init__()
        self.r2net = _stage([DilatedDenseResidualBlock() for _ in range(blocks)])
        self.drnet = _stage([PixelAttentionBlock() for _ in range(3)])

    def forward(self, rainy: Tensor) -> Tensor:
        """Rainy (N, 3, H, W) in [0, 1] -> clean, same shape and range."""
        first = rainy + self.r2net(rainy)
        return (first + self.drnet(F.relu(first))).clamp(0, 1)
