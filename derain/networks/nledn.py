"""NLEDN: Non-locally Enhanced Encoder-Decoder Network for Single Image De-raining.

Li, He, Zhang, Chang, Dong, Lin; ACM Multimedia 2018; arXiv 1808.01491. 1,005,379 parameters.

The authors published code and two checkpoints without a licence; this file is written from the
paper and from what the checkpoints compute. It departs from the released code in four ways, none of
which changes a result:

- The checkpoints learned ``clean = rainy - R``; the paper's Eq. 3 is ``clean = rainy + R``, which
  is what stands here. tanh is odd, so the reader of the authors' files (`derain.weights.authors`)
  turns the sign of the last convolution.
- theta, phi and g are one 1x1 convolution, and attention is `scaled_dot_product_attention`: the
  affinity matrix of a region is never held as a whole. Regions of equal size run as one batch. For
  export and compilers, `derain.networks.nledn_traced` computes the same at any size.
- Pictures so small that the released code fails on them (a side under 8 pixels, a region one pixel
  high) work: a side of one pixel is not pooled.
- ``forward`` clamps to [0, 1]; the loss is taken before clamping, where gradients still flow.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from derain.networks import nledn_traced
from derain.networks.fused import convolve, is_traced
from derain.networks.network import Hyperparameters
from derain.tiles import Tiling

Affinity = Literal["softmax", "dot"]

CHANNELS = 64
GROWTH = 32
EMBEDDING = 32
DENSE_LAYERS = 4
GRIDS = (8, 4, 2, 1, 2, 4)
"""Regions along each side for the six blocks, encoder first (paper, Fig. 2)."""


def region_runs(size: int, grid: int) -> list[tuple[int, int]]:
    """Return how ``torch.chunk`` cuts pixels into at most ``grid`` regions.

    Returns:
        Runs ``(count, length)`` of equal regions.

    >>> region_runs(321, 8)
    [(7, 41), (1, 34)]
    >>> region_runs(9, 8)  # fewer than eight
    [(4, 2), (1, 1)]
    """
    length = -(-size // grid)
    count, rest = divmod(size, length)
    return [(count, length), (1, rest)] if rest else [(count, length)]


def pooling_kernel(height: int, width: int) -> tuple[int, int]:
    """Return 2x2; a side of one pixel is not pooled (the released code fails there)."""
    return min(2, height), min(2, width)


class NonLocal(nn.Module):
    """Region-wise non-local block (Eqs. 4, 5).

    Every pixel of a region gathers from all pooled pixels of that region.

    Args:
        grid: The map is cut into ``grid x grid`` regions, as ``torch.chunk`` cuts; 1 is the global
            block.
        affinity: ``softmax`` is what the authors' checkpoints compute, unscaled; ``dot`` divides by
            the number of keys instead (Wang et al., Non-local Neural Networks, CVPR 2018, Eq. 4).
    """

    def __init__(self, grid: int, affinity: Affinity) -> None:
        super().__init__()
        self.grid = grid
        self.affinity: Affinity = affinity
        self.embed = nn.Conv2d(CHANNELS, 3 * EMBEDDING, 1)  # theta, phi, g
        self.project = nn.Conv2d(EMBEDDING, CHANNELS, 1)
        nn.init.zeros_(self.project.weight)
        assert self.project.bias is not None
        nn.init.zeros_(self.project.bias)

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) -> (N, C, H, W)
        if is_traced():
            gather = nledn_traced.Gather(self.grid, self.affinity, EMBEDDING)
            return x + self.project(gather(self.embed(x)))
        rows = region_runs(x.shape[2], self.grid)
        columns = region_runs(x.shape[3], self.grid)
        split = self.embed(x).split([count * height for count, height in rows], dim=2)
        bands = zip(split, rows, strict=True)
        gathered = [self._gather_band(band, count, columns) for band, (count, _) in bands]
        return convolve(self.project, torch.cat(gathered, dim=2), add=x)

    def _gather_band(self, band: Tensor, rows: int, columns: list[tuple[int, int]]) -> Tensor:
        """Gather inside rows of regions of equal height: (N, 3E, h, W) -> (N, E, h, W)."""
        blocks = band.split([count * width for count, width in columns], dim=3)
        return torch.cat(
            [
                self._gather(block, rows, count)
                for block, (count, _) in zip(blocks, columns, strict=True)
            ],
            dim=3,
        )

    def _gather(self, block: Tensor, rows: int, columns: int) -> Tensor:
        """Gather inside each of ``rows x columns`` equal regions: (N, 3E, H, W) -> (N, E, H, W)."""
        n, _, height, width = block.shape
        last = block.permute(0, 2, 3, 1)  # (N, H, W, 3E)
        regions = last.unflatten(2, (columns, -1)).unflatten(1, (rows, -1))
        # (N, rows, h, columns, w, 3E) -> (B, h, w, 3E), B = N rows columns. Fused attention wants
        # the embedding last and dense in memory; else it falls back to holding the affinities.
        regions = regions.transpose(2, 3).flatten(0, 2).contiguous()
        theta, phi_g = regions.split([EMBEDDING, 2 * EMBEDDING], dim=3)
        pooled = F.max_pool2d(
            phi_g.permute(0, 3, 1, 2), pooling_kernel(phi_g.shape[1], phi_g.shape[2])
        )
        dense = pooled.permute(0, 2, 3, 1).contiguous()
        pooled = dense.flatten(1, 2).unsqueeze(1)  # (B, 1, keys, 2E)
        query = theta.flatten(1, 2).unsqueeze(1)  # (B, 1, h w, E)
        key, value = (part.contiguous() for part in pooled.chunk(2, dim=3))
        if self.affinity == "softmax":
            y = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        else:  # (q k') v = q (k' v): linear in the number of pixels
            y = query @ (key.transpose(2, 3) @ value) / key.shape[2]
        y = y.reshape(n, rows, columns, height // rows, width // columns, EMBEDDING)
        return y.transpose(2, 3).reshape(n, height, width, EMBEDDING).permute(0, 3, 1, 2)


class Block(nn.Module):
    """Non-locally enhanced dense block, NEDB (Fig. 3, Eqs. 6 to 8), and its ablations.

    Without dense connections (Ra) the four convolutions stand in a row, 64 -> 32 -> 32 -> 32 -> 32,
    and the 1x1 convolution takes the last one's output alone.
    """

    def __init__(self, grid: int, affinity: Affinity | None, *, dense: bool) -> None:
        super().__init__()
        self.dense = dense
        self.non_local = NonLocal(grid, affinity) if affinity else nn.Identity()
        widths = (
            [CHANNELS + k * GROWTH for k in range(DENSE_LAYERS)]
            if dense
            else [CHANNELS] + [GROWTH] * (DENSE_LAYERS - 1)
        )
        self.layers = nn.ModuleList(nn.Conv2d(width, GROWTH, 3, padding=1) for width in widths)
        self.fusion = nn.Conv2d(CHANNELS + DENSE_LAYERS * GROWTH if dense else GROWTH, CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:  # (N, 64, H, W) -> the same
        features: list[Tensor] = [self.non_local(x)]
        for layer in self.layers:
            grown = convolve(layer, *features, activation="relu")
            features = [*features, grown] if self.dense else [grown]
        return convolve(self.fusion, *features, add=x)


def pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """Pool 2x2: the maxima, (N, C, h, w), and for `unpool` the places they were taken from.

    An odd last row or column is dropped.
    """
    if is_traced():
        return nledn_traced.pool(x)
    return F.max_pool2d(x, pooling_kernel(x.shape[2], x.shape[3]), return_indices=True)


def unpool(x: Tensor, indices: Tensor, size: torch.Size) -> Tensor:
    """Put every value where `pool` took it from, zeros elsewhere: (N, C, h, w) -> (N, C, H, W).

    Args:
        x: Values of the size that pooling gave.
        indices: What `pool` returned beside the maxima.
        size: Of the result.
    """
    if is_traced():
        return nledn_traced.unpool(x, indices, size)
    return F.max_unpool2d(x, indices, pooling_kernel(size[2], size[3]), output_size=list(size[2:]))


class NLEDN(nn.Module):
    """NLEDN, and by its arguments the ablations of the paper's Table 2.

    ========  ======  =======  ========  ===========
    variant   dense   blocks   pooling   non_local
    ========  ======  =======  ========  ===========
    Ra        False   1        False     none
    Rb        True    1        False     none
    Rc        True    6        False     none
    Rd        True    6        True      none
    Re        True    6        False     softmax
    Rf        True    6        True      softmax
    ========  ======  =======  ========  ===========

    Args:
        dense: Dense connections inside a block.
        blocks: 6, or 1 for the single-block baselines.
        pooling: Encoder and decoder with pooling indices. Without, the blocks stand in a row at
            full resolution between the same entrance and exit.
        non_local: ``softmax`` (the authors' checkpoints), ``dot`` or ``none``.

    Raises:
        ValueError: For a combination that is no network of the paper's family.
    """

    tiling: ClassVar[Tiling] = Tiling(tile=512, overlap=64)

    def __init__(
        self,
        *,
        dense: bool = True,
        blocks: int = len(GRIDS),
        pooling: bool = True,
        non_local: Literal["softmax", "dot", "none"] = "softmax",
    ) -> None:
        super().__init__()
        if blocks not in (1, len(GRIDS)):
            raise ValueError(f"NLEDN has 1 or {len(GRIDS)} blocks, not {blocks}")
        if pooling and blocks == 1:
            raise ValueError(
                "pooling needs the six blocks of encoder and decoder: give blocks=6 or"
                " pooling=False"
            )
        if non_local not in ("softmax", "dot", "none"):
            raise ValueError(f"non_local is 'softmax', 'dot' or 'none', not {non_local!r}")
        self.hyperparameters: Hyperparameters = {
            "dense": dense,
            "blocks": blocks,
            "pooling": pooling,
            "non_local": non_local,
        }
        affinity: Affinity | None = None if non_local == "none" else non_local
        self.pooling = pooling
        self.entrance = nn.ModuleList(
            [nn.Conv2d(3, CHANNELS, 3, padding=1), nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)]
        )
        self.blocks = nn.ModuleList(Block(grid, affinity, dense=dense) for grid in GRIDS[:blocks])
        # Where a decoder stage meets the encoder's map of its size.
        self.joints = nn.ModuleList(
            nn.Conv2d(2 * CHANNELS, CHANNELS, 1) for _ in range(2 if pooling else 0)
        )
        self.fusion = nn.Sequential(
            nn.Conv2d(3 * CHANNELS, CHANNELS, 1), nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        )
        self.exit = nn.Conv2d(CHANNELS, 3, 3, padding=1)

    def rain_map(self, rainy: Tensor) -> Tensor:
        """Return R of Eq. 3, in (-1, 1), which is added to the rainy picture: (N, 3, H, W)."""
        f0: Tensor = self.entrance[0](rainy)
        f1: Tensor = self.entrance[1](f0)
        first, last = self._encode_decode(f1) if self.pooling else self._in_a_row(f1)
        fused = convolve(self.fusion[1], convolve(self.fusion[0], f1, last, first), add=f0)
        return convolve(self.exit, fused, activation="tanh")

    def _in_a_row(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first: Tensor = self.blocks[0](x)
        last = first
        for block in self.blocks[1:]:
            last = block(last)
        return first, last

    def _encode_decode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first block's map before pooling, and the decoder's at full resolution."""
        e1: Tensor = self.blocks[0](x)
        p1, i1 = pool(e1)
        e2: Tensor = self.blocks[1](p1)
        p2, i2 = pool(e2)
        e3: Tensor = self.blocks[2](p2)
        p3, i3 = pool(e3)
        d3 = unpool(self.blocks[3](p3), i3, p2.shape)
        d2 = self.blocks[4](convolve(self.joints[0], p2, d3))
        d2 = unpool(d2, i2, p1.shape)
        d1 = self.blocks[5](convolve(self.joints[1], p1, d2))
        return e1, unpool(d1, i1, e1.shape)

    def estimate(self, rainy: Tensor) -> Tensor:
        """Return the derained (N, 3, H, W), not clamped (Eq. 3)."""
        return rainy + self.rain_map(rainy)

    def forward(self, rainy: Tensor) -> Tensor:
        """Derain (N, 3, H, W) in [0, 1]; shape and range stay the same."""
        return self.estimate(rainy).clamp(0, 1)

    def loss(self, rainy: Tensor, clean: Tensor) -> dict[str, Tensor]:
        """Return the mean absolute error (Eq. 9), before clamping."""
        return {"mae": F.l1_loss(self.estimate(rainy), clean)}
