"""The losses of the papers: functions of pictures, (N, C, H, W) in [0, 1], that give a scalar.

A loss that belongs to one network alone still lives here, so that another can be trained with it.
"""

import functools
from collections.abc import Callable
from typing import TypeVar, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from derain.density import STEPS, THRESHOLD

RMSE_FLOOR = 1e-3
"""A quarter of a level of 255, added to the squared error: a root has no slope at zero."""

WINDOW = 11
SIGMA = 1.5
LUMINANCE = (0.299, 0.587, 0.114)
"""Of RGB, ITU-R BT.601."""

MATLAB_GREY = (0.2989, 0.5870, 0.1140)
"""The same as MATLAB's rgb2gray rounds it, which ReMAEN's authors use."""


Loss = TypeVar("Loss", bound=Callable[..., Tensor])


def in_float32(function: Loss) -> Loss:
    """Keep a loss out of autocast and TF32: variances are differences of nearly equal numbers."""

    @functools.wraps(function)
    def exact(*pictures: Tensor) -> Tensor:
        cudnn = torch.backends.cudnn
        kept = cudnn.enabled, cudnn.benchmark, cudnn.benchmark_limit, cudnn.deterministic
        with (
            torch.autocast(pictures[0].device.type, enabled=False),
            cudnn.flags(*kept, allow_tf32=False),
        ):
            return function(
                *(p.float() if p.dtype in (torch.bfloat16, torch.float16) else p for p in pictures)
            )

    return cast("Loss", exact)


def grey(rgb: Tensor, weights: tuple[float, float, float] = LUMINANCE) -> Tensor:
    """Return the weighted sum of the channels: (N, 3, H, W) -> (N, 1, H, W)."""
    red, green, blue = (weight * rgb[:, k : k + 1] for k, weight in enumerate(weights))
    return red + green + blue


@in_float32
def edges(rgb: Tensor) -> Tensor:
    """Return the edge map of ReMAEN's edge loss.

    It is the positive part of a 3x3 Laplacian of the grey picture, with zeros around it.

    Returns:
        (N, 1, H, W), at least 0.
    """
    laplacian = rgb.new_full((1, 1, 3, 3), -1.0)
    laplacian[..., 1, 1] = 8.0
    return F.conv2d(grey(rgb, MATLAB_GREY), laplacian, padding=1).relu()


def edge_loss(output: Tensor, clean: Tensor) -> Tensor:
    """Return the mean squared difference of the edge maps (Yang and Lu, ReMAEN, ICME 2019)."""
    return F.mse_loss(edges(output), edges(clean))


@in_float32
def laplacian_residual(picture: Tensor) -> Tensor:
    """Return one level of a Laplacian pyramid: the picture less its halved and expanded self.

    The shape stays the same, (N, C, H, W). Source: Burt and Adelson, "The Laplacian Pyramid as a
    Compact Image Code", 1983; their 5-tap kernel (a =
    0.4), replicated borders.
    """
    low = _blur(picture)
    expanded = torch.zeros_like(low)
    expanded[..., ::2, ::2] = 4 * low[..., ::2, ::2]
    return picture - _blur(expanded)


def _blur(picture: Tensor) -> Tensor:
    taps = picture.new_tensor([0.05, 0.25, 0.4, 0.25, 0.05])
    planes = picture.flatten(0, 1).unsqueeze(1)
    planes = F.conv2d(F.pad(planes, (2, 2, 2, 2), mode="replicate"), taps.view(1, 1, 5, 1))
    return F.conv2d(planes, taps.view(1, 1, 1, 5)).view_as(picture)


def charbonnier(a: Tensor, b: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Return the mean of sqrt((a - b)^2 + epsilon^2), a mean difference that is smooth at zero."""
    return ((a - b).square() + epsilon**2).sqrt().mean()


def laplacian_edge_loss(output: Tensor, clean: Tensor) -> Tensor:
    """Return the Charbonnier distance of the Laplacian residuals.

    Source: DPENet, after Zamir et al., MPRNet, CVPR 2021, Eq. 4.
    """
    return charbonnier(laplacian_residual(output), laplacian_residual(clean))


@in_float32
def rmse_loss(output: Tensor, clean: Tensor) -> Tensor:
    """Return the root of the mean squared error of each picture, averaged over the pictures.

    PSNR is the logarithm of this root. Without the logarithm a picture from which all rain has
    gone does not outweigh the others.
    """
    return ((output - clean).square().mean(dim=(1, 2, 3)) + RMSE_FLOOR**2).sqrt().mean()


@in_float32
def frequency_loss(output: Tensor, clean: Tensor) -> Tensor:
    """Return the mean absolute difference of the real and imaginary parts of Fourier transforms.

    Transforms are orthonormal, and half of their frequencies are kept. After Cho et al., MIMO-UNet,
    ICCV 2021, Eq. 5. A streak that is left fills much of a picture, but few of its frequencies.
    """
    return torch.view_as_real(torch.fft.rfft2(output - clean, norm="ortho")).abs().mean()


@in_float32
def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean structural similarity, 1 for equal pictures, for training only.

    Scores are `derain.metrics`' business. 11x11 Gaussian window, sigma 1.5, population covariance,
    zeros beyond the borders (Wang et al., IEEE TIP 2004, Eq. 13).
    """
    stack = torch.stack([a, b, a * a, b * b, a * b])
    mean_a, mean_b, aa, bb, ab = _window(stack.flatten(0, 2).unsqueeze(1)).view_as(stack)
    c1, c2 = 0.01**2, 0.03**2
    covariance = ab - mean_a * mean_b
    variances = aa - mean_a.square() + bb - mean_b.square()
    likeness = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return (likeness / ((mean_a.square() + mean_b.square() + c1) * (variances + c2))).mean()


def _window(planes: Tensor) -> Tensor:
    """Return Gaussian means around every pixel, of the same shape, (P, 1, H, W)."""
    place = torch.arange(WINDOW, dtype=planes.dtype, device=planes.device) - WINDOW // 2
    taps = torch.exp(-0.5 * (place / SIGMA).square())
    taps = taps / taps.sum()
    half = WINDOW // 2
    planes = F.conv2d(planes, taps.view(1, 1, WINDOW, 1), padding=(half, 0))
    return F.conv2d(planes, taps.view(1, 1, 1, WINDOW), padding=(0, half))


def cumulative_labels(rainy: Tensor, clean: Tensor) -> Tensor:
    """Return CRDNet's labels, computed from pairs.

    They are cumulative: light is (0, 0, 1), medium (0, 1, 1), heavy (1, 1, 1). Rain covers the
    pixels where any channel grew by more than `derain.density.THRESHOLD`; no rain at all is (0, 0,
    0).

    Returns:
        (N, 3), heaviest first.
    """
    covered = ((rainy - clean).amax(dim=1) > THRESHOLD).float().mean(dim=(1, 2))
    light, medium, heavy = STEPS
    return torch.stack([covered >= heavy, covered >= medium, covered > light], dim=1).float()


def cumulative_density_loss(sensed: Tensor, labels: Tensor) -> Tensor:
    """Return the mean squared error of sensed cumulative densities, both (N, 3).

    A class two steps off costs twice as much as its neighbour. Source: Peng et al., CRDNet, IEEE
    SPL 2020.
    """
    return F.mse_loss(sensed, labels)
