"""PSNR and SSIM against the ground truth, and the named protocols.

A score is only worth comparing with one of the same protocol: the same pictures differ by 1.3 dB
between the first two.

==========  ==================================  ==================  ==============================
protocol    compared                            output brought to   SSIM
                                                8 bits by
==========  ==================================  ==================  ==============================
y-matlab    BT.601 limited-range luma, float    rounding            11x11 Gaussian window,
            (MATLAB's rgb2ycbcr):                                   sigma 1.5
            JORDER, PReNet, Restormer
y-pil       full-range luma in 8 bits           truncation          7x7 uniform window,
            (PIL's YCbCr): NLEDN's own                              sample covariance
            test code
rgb         all three channels: ReMAEN          rounding            as y-matlab per channel,
                                                                    averaged
==========  ==================================  ==================  ==============================

SSIM is Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity",
IEEE TIP 2004, Eq. 13, averaged over the windows that lie wholly inside the picture, as scikit-image
does it.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from derain.arrays import as_array
from derain.errors import UsageError, check_choice

Protocol = Literal["y-matlab", "y-pil", "rgb"]
PROTOCOLS: tuple[Protocol, ...] = ("y-matlab", "y-pil", "rgb")

Window = Literal["gaussian", "uniform"]
WINDOWS: tuple[Window, ...] = ("gaussian", "uniform")

Float64s = NDArray[np.float64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Score:
    """PSNR in dB (infinite for identical pictures) and SSIM, with their protocol."""

    protocol: Protocol
    psnr: float
    ssim: float


def score(output: NDArray[np.floating], clean: Bytes, protocol: Protocol) -> Score:
    """Score a network's output against the clean picture.

    Args:
        output: (H, W, 3) RGB in [0, 1], not yet brought to 8 bits: how that is done is part of the
            protocol.
        clean: (H, W, 3) RGB of uint8.
        protocol: A name of `PROTOCOLS`.

    Raises:
        ValueError: If the protocol is unknown, shapes differ, or a side is shorter than the SSIM
            window.
        TypeError: If the output holds no floats.
    """
    check_protocol(protocol)
    if output.dtype.kind != "f":
        raise TypeError(f"an output of {output.dtype}: expected floats in [0, 1]")
    if output.shape != clean.shape:
        raise ValueError(
            f"output is {output.shape}, clean picture {clean.shape}: expected the same shape"
        )
    levels = quantise(output, truncate=protocol == "y-pil")
    if protocol == "rgb":
        return Score(protocol, psnr(levels, clean), ssim(levels, clean))
    if protocol == "y-pil":
        a, b = luma_pil(levels), luma_pil(clean)
        return Score(protocol, psnr(a, b), ssim(a, b, window="uniform"))
    a, b = luma_matlab(levels), luma_matlab(clean)
    return Score(protocol, psnr(a, b, peak=255), ssim(a, b, peak=255))


def check_protocol(name: str) -> None:
    """Refuse what is no protocol.

    Raises:
        UsageError: If the name is unknown.
    """
    check_choice(name, PROTOCOLS, "protocol")


def quantise(output: NDArray[np.floating], *, truncate: bool = False) -> Bytes:
    """Turn values in [0, 1] into levels of 8 bits, rounded to the nearest or truncated."""
    levels = np.clip(output, 0, 1).astype(np.float32) * np.float32(255)
    return (levels if truncate else np.rint(levels)).astype(np.uint8)


def luma_matlab(rgb: Bytes) -> Float64s:
    """Return the luma in [16, 235] of (…, 3) levels, not rounded, (…).

    The weights are ITU-R BT.601's, as in MATLAB's ``rgb2ycbcr``.
    """
    return 16 + rgb.astype(np.float64) @ np.array([65.481, 128.553, 24.966]) / 255


def luma_pil(rgb: Bytes) -> Bytes:
    """Return the luma in 0 … 255 of (…, 3) levels, (…).

    It is computed in the fixed-point arithmetic of PIL's ``convert("YCbCr")``.
    """
    weights = np.array([0.299, 0.587, 0.114])
    # Six fractional bits: (256, 3).
    table = np.rint(np.arange(256)[:, None] * weights * 64).astype(np.int32)
    total = table[rgb[..., 0], 0] + table[rgb[..., 1], 1] + table[rgb[..., 2], 2]
    return np.minimum(total >> 6, 255).astype(np.uint8)


def psnr(a: object, b: object, *, peak: float | None = None) -> float:
    """Return the peak signal-to-noise ratio of two images in dB; infinite if they are equal.

    Args:
        a: An array of any shape, a tensor or a PIL image.
        b: The same.
        peak: Largest value of the scale: 1 for floats in [0, 1]. None for 65535 of uint16, else
            255.

    Raises:
        ValueError: If shapes differ, there are no pixels, types have no scale in common, floats are
            in [0, 1] and no peak says so, or the peak is not positive.
        TypeError: If one is no image.
    """
    first, second = _planes(a, b)
    peak = _peak(first, second, peak)
    error = float(np.mean((first.astype(np.float64) - second.astype(np.float64)) ** 2))
    return math.inf if error == 0 else 10 * math.log10(peak**2 / error)


def ssim(
    a: object,
    b: object,
    window: Window = "gaussian",
    *,
    peak: float | None = None,
) -> float:
    """Return the structural similarity of two images, 1 if they are equal.

    Of colour pictures it is the mean over the channels, as in the protocol ``rgb``; alpha counts as
    a channel.

    Args:
        a: (H, W) or (H, W, C): an array, a tensor (channels first) or a PIL image.
        b: The same.
        window: ``gaussian``: 11x11, sigma 1.5, population covariance. ``uniform``: 7x7, sample
            covariance.
        peak: As for `psnr`.

    Raises:
        ValueError: As `psnr`; if a side is shorter than the window, or there is no such window.
        TypeError: If one is no image.
    """
    first, second = _planes(a, b)
    if first.ndim not in (2, 3):
        raise ValueError(f"images of shape {first.shape}: expected (H, W) or (H, W, C)")
    check_choice(window, WINDOWS, "window")
    weights = _gaussian_weights() if window == "gaussian" else np.full(7, 1 / 7)
    size = len(weights)
    if min(first.shape[:2]) < size:
        raise ValueError(
            f"{first.shape[1]}x{first.shape[0]} pixels: SSIM needs at least {size}x{size}"
        )
    peak = _peak(first, second, peak)
    unbiased = 1.0 if window == "gaussian" else size**2 / (size**2 - 1)
    x, y = (np.atleast_3d(image).astype(np.float64) for image in (first, second))
    planes = range(x.shape[2])
    each = [_ssim(x[..., c], y[..., c], weights, unbiased, peak) for c in planes]
    return float(np.mean(each))


def _planes(a: object, b: object) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return two images as arrays of one shape."""
    first, second = as_array(a), as_array(b)
    if first.shape != second.shape:
        raise ValueError(f"shapes {first.shape} and {second.shape} differ: expected the same")
    if not first.size:
        raise ValueError(f"images of shape {first.shape}: expected pixels")
    return first, second


def _peak(a: NDArray[Any], b: NDArray[Any], named: float | None) -> float:
    """Return the largest value of the scale of two images: the one named, or what is known."""
    if named is not None:
        if not 0 < named < math.inf:
            raise UsageError("expected a positive number", option="peak", value=named)
        return named
    kinds = {a.dtype.name, b.dtype.name}
    if kinds == {"uint16"}:
        return 65535.0
    if "uint16" in kinds or "bool" in kinds:
        found = " and ".join(sorted(kinds))
        raise ValueError(f"images of {found}: expected one type, or the peak of their scale")
    floats = [image for image in (a, b) if image.dtype.kind == "f"]
    if floats and all(image.max() <= 1 for image in floats):
        raise ValueError("floats of at most 1: expected peak=1, or peak=255 if they are levels")
    return 255.0


def _ssim(x: Float64s, y: Float64s, weights: Float64s, unbiased: float, peak: float) -> float:
    """SSIM of two planes (H, W), with a separable window and a factor of the variances."""
    mean_x, mean_y = _filter(x, weights), _filter(y, weights)
    var_x = unbiased * (_filter(x * x, weights) - mean_x**2)
    var_y = unbiased * (_filter(y * y, weights) - mean_y**2)
    covariance = unbiased * (_filter(x * y, weights) - mean_x * mean_y)
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    similarity = (
        (2 * mean_x * mean_y + c1)
        * (2 * covariance + c2)
        / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    )
    return float(similarity.mean())


def _gaussian_weights() -> Float64s:
    weights = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    return weights / weights.sum()


def _filter(plane: Float64s, weights: Float64s) -> Float64s:
    """Apply a separable window where it fits: (H, W) -> (H - n + 1, W - n + 1)."""
    windows = np.lib.stride_tricks.sliding_window_view
    return windows(windows(plane, len(weights), axis=0) @ weights, len(weights), axis=1) @ weights
