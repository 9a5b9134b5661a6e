"""NLEDN's pooling and non-local blocks as a graph that holds for every size of picture.

`derain.networks.nledn` computes with as many regions as a picture has, of the lengths they have. A
graph that is written down once, for export or a compiler, cannot branch on the size: here all
regions get one even length, and a mask says which keys a region has. The results are the same, for
sides of 8 pixels and more.
"""

import functools
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F


def region_places(size: int, grid: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return how ``torch.chunk`` cuts, as places to gather from; all regions get one even length.

    Returns:
        Which pixel each place of each region shows, the last one again where a region is shorter:
        (grid, length). Which of the pooled places a region has, at least one: (grid, length / 2).
        At which of ``grid * length`` places a pixel is: (size,).

    >>> shows, has, back = region_places(9, 4, torch.device("cpu"))
    >>> shows.tolist()  # three of three, and one that is empty
    [[0, 1, 2, 2], [3, 4, 5, 5], [6, 7, 8, 8], [8, 8, 8, 8]]
    >>> has.tolist()
    [[True, False], [True, False], [True, False], [True, False]]
    >>> back.tolist()
    [0, 1, 2, 4, 5, 6, 8, 9, 10]
    """
    length = (size + grid - 1) // grid
    even = length + length % 2
    starts = torch.arange(grid, device=device)[:, None] * length
    have = (size - starts).clamp(0, length)
    last = (starts + have - 1).clamp(max=size - 1)
    shows = torch.minimum(starts + torch.arange(even, device=device), last)
    pooled = torch.arange(even // 2, device=device)
    has = (2 * pooled + 1 < have) | ((pooled == 0) & (have < 2))
    place = torch.arange(size, device=device)
    return shows, has, place // length * even + place % length


@dataclass(frozen=True)
class Gather:
    """Attention of a non-local block inside each region.

    Attributes:
        grid: The map is cut into ``grid x grid`` regions.
        affinity: As `derain.networks.nledn.NonLocal` has it.
        embedding: Channels E of theta, phi and g.
    """

    grid: int
    affinity: Literal["softmax", "dot"]
    embedding: int

    def __call__(self, embedded: Tensor) -> Tensor:
        """Theta, phi and g, (N, 3E, H, W) -> what every pixel gathers, (N, E, H, W)."""
        (rows, has_rows, back_rows), (columns, has_columns, back_columns) = (
            region_places(side, self.grid, embedded.device) for side in embedded.shape[2:]
        )
        spread = embedded.index_select(2, rows.flatten()).index_select(3, columns.flatten())
        theta, phi_g = spread.split([self.embedding, 2 * self.embedding], dim=1)
        pooled = F.max_pool2d(phi_g, 2)
        # One row of regions after the other, which bounds what attention holds at once.
        bands: list[Tensor] = []
        for number, (band, keys) in enumerate(
            zip(theta.chunk(self.grid, dim=2), pooled.chunk(self.grid, dim=2), strict=True)
        ):
            query, (key, value) = self._heads(band), self._heads(keys).chunk(2, dim=3)
            has = has_rows[number][:, None] & has_columns[:, None]
            y = self._attend(query, key, value, has.flatten(1)[None, :, None])  # (N, grid, h w, E)
            regions = y.unflatten(2, (rows.shape[1], columns.shape[1]))
            bands.append(regions.permute(0, 4, 2, 1, 3).flatten(3))  # (N, E, h, grid w)
        return torch.cat(bands, dim=2).index_select(2, back_rows).index_select(3, back_columns)

    def _heads(self, band: Tensor) -> Tensor:
        """Put the regions of a row in place of heads: (N, C, h, grid w) -> (N, grid, h w, C)."""
        return band.unflatten(3, (self.grid, -1)).permute(0, 3, 2, 4, 1).flatten(2, 3)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, has: Tensor) -> Tensor:
        """Attend to the keys that a region has, as ``has``, (1, grid, 1, keys), says."""
        if self.affinity == "softmax":
            return F.scaled_dot_product_attention(query, key, value, attn_mask=has, scale=1.0)
        there = has.transpose(2, 3).to(key.dtype)
        return query @ ((key * there).transpose(2, 3) @ value) / there.sum(dim=2, keepdim=True)


def pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """Pool 2x2, and say which of each four was taken: the first maximum, as pooling takes it.

    Returns:
        (N, C, h, w), and bools (4, N, C, h, w). An odd last row or column is dropped.
    """
    height, width = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    corners = torch.stack(
        [x[:, :, row:height:2, column:width:2] for row in (0, 1) for column in (0, 1)]
    )
    pooled = corners.amax(dim=0)
    highest = corners == pooled
    first = [highest[0]]
    for this in highest[1:]:
        first.append(this & ~functools.reduce(torch.logical_or, first))
    return pooled, torch.stack(first)


def unpool(x: Tensor, taken: Tensor, size: torch.Size) -> Tensor:
    """Put every value where `pool` took it from, zeros elsewhere.

    Args:
        x: (N, C, h, w).
        taken: (4, N, C, h, w), as `pool` returns it.
        size: Of the result, (N, C, H, W).
    """
    corners = torch.where(taken, x, 0.0)
    above, below = (
        torch.stack([corners[row], corners[row + 1]], dim=4).flatten(3) for row in (0, 2)
    )
    whole = torch.stack([above, below], dim=3).flatten(2, 3)
    return F.pad(whole, (0, size[3] - whole.shape[3], 0, size[2] - whole.shape[2]))
