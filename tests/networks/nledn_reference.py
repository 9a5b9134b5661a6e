"""NLEDN as the released code computes it, in the plainest form.

It computes every region's whole affinity matrix, one region after the other. It takes an authors'
state dict by the authors' names, and shares no code with the package.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

Weights = Mapping[str, Tensor]


def conv(w: Weights, name: str, x: Tensor) -> Tensor:
    kernel = w[f"{name}.weight"]
    return F.conv2d(x, kernel, w[f"{name}.bias"], padding=kernel.shape[-1] // 2)


def pool(x: Tensor) -> tuple[Tensor, Tensor]:
    return F.max_pool2d(x, (min(2, x.shape[2]), min(2, x.shape[3])), return_indices=True)


def unpool(x: Tensor, indices: Tensor, like: Tensor) -> Tensor:
    kernel = (min(2, like.shape[2]), min(2, like.shape[3]))
    return F.max_unpool2d(x, indices, kernel, output_size=list(like.shape[2:]))


def non_local(w: Weights, name: str, x: Tensor) -> Tensor:
    theta = conv(w, f"{name}.theta", x).flatten(2).transpose(1, 2)
    phi = pool(conv(w, f"{name}.phi.0", x))[0].flatten(2)
    g = pool(conv(w, f"{name}.g.0", x))[0].flatten(2).transpose(1, 2)
    gathered = torch.softmax(theta @ phi, dim=-1) @ g
    shaped = gathered.transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:])
    return conv(w, f"{name}.W", shaped) + x


def regions(w: Weights, name: str, x: Tensor, grid: int) -> Tensor:
    rows = [
        torch.cat([non_local(w, name, region) for region in torch.chunk(band, grid, dim=3)], dim=3)
        for band in torch.chunk(x, grid, dim=2)
    ]
    return torch.cat(rows, dim=2)


def block(w: Weights, name: str, x: Tensor, grid: int) -> Tensor:
    inside = f"{name}.non_local" if grid == 1 else f"{name}.region_non_local.non_local_block"
    features = [regions(w, inside, x, grid)]
    for k in range(4):
        features.append(F.relu(conv(w, f"{name}.group_{k}.0", torch.cat(features, dim=1))))
    return conv(w, f"{name}.fusion.0", torch.cat(features, dim=1)) + x


def forward(w: Weights, rainy: Tensor) -> Tensor:
    f0 = conv(w, "conv1", rainy)
    f1 = conv(w, "conv2", f0)
    e1 = block(w, "up_1", f1, 8)
    p1, i1 = pool(e1)
    e2 = block(w, "up_2", p1, 4)
    p2, i2 = pool(e2)
    e3 = block(w, "up_3", p2, 2)
    p3, i3 = pool(e3)
    d3 = unpool(block(w, "down_3", p3, 1), i3, e3)
    d2 = block(w, "down_2", conv(w, "down_2_fusion", torch.cat([p2, d3], dim=1)), 2)
    d2 = unpool(d2, i2, e2)
    d1 = block(w, "down_1", conv(w, "down_1_fusion", torch.cat([p1, d2], dim=1)), 4)
    u = unpool(d1, i1, e1)
    fused = conv(w, "fusion.1", conv(w, "fusion.0", torch.cat([f1, u, e1], dim=1))) + f0
    return (rainy - torch.tanh(conv(w, "final_conv.0", fused))).clamp(0, 1)
