"""NIQE written straight from the paper and its release, slowly: the reference for `test_niqe`.

It goes patch by patch, with scipy's filters and gamma function. It shares no code with the package.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

Float64s = NDArray[np.float64]

GAM = np.arange(0.2, 10.0005, 0.001)
R_GAM = special.gamma(2 / GAM) ** 2 / (special.gamma(1 / GAM) * special.gamma(3 / GAM))


def window() -> Float64s:
    """MATLAB's fspecial('gaussian', 7, 7/6)."""
    y, x = np.mgrid[-3:4, -3:4]
    weights = np.exp(-(x * x + y * y) / (2 * (7 / 6) ** 2))
    return weights / weights.sum()


def estimate_aggd(vec: Float64s) -> tuple[float, float, float]:
    """Shape, left and right scale by moment matching over the release's grid."""
    left = np.sqrt(np.mean(vec[vec < 0] ** 2))
    right = np.sqrt(np.mean(vec[vec > 0] ** 2))
    gammahat = left / right
    rhat = np.mean(np.abs(vec)) ** 2 / np.mean(vec**2)
    rhatnorm = rhat * (gammahat**3 + 1) * (gammahat + 1) / (gammahat**2 + 1) ** 2
    alpha = GAM[np.argmin((R_GAM - rhatnorm) ** 2)]
    scale = np.sqrt(special.gamma(1 / alpha) / special.gamma(3 / alpha))
    return float(alpha), float(left * scale), float(right * scale)


def compute_feature(structdis: Float64s) -> list[float]:
    """The 18 features of one patch."""
    alpha, left, right = estimate_aggd(structdis.ravel())
    features = [alpha, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        shifted = np.roll(np.roll(structdis, shift[0], axis=0), shift[1], axis=1)
        alpha, left, right = estimate_aggd((structdis * shifted).ravel())
        features += [
            alpha,
            (right - left) * special.gamma(2 / alpha) / special.gamma(1 / alpha),
            left,
            right,
        ]
    return features


def cubic(x: Float64s) -> Float64s:
    """Keys' kernel, a = -0.5."""
    x = np.abs(x)
    inner, outer = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, inner, np.where(x <= 2, outer, 0))


def halving_matrix(length: int) -> Float64s:
    """Return what imresize(., 0.5) does to a side, as a matrix of (length / 2, length).

    The kernel is twice as wide, and borders are mirrored.
    """
    matrix = np.zeros((length // 2, length))
    mirror = np.concatenate([np.arange(length), np.arange(length)[::-1]])
    for out in range(1, length // 2 + 1):
        centre = out / 0.5 + 0.5 * (1 - 1 / 0.5)  # MATLAB's u, counted from 1
        taps = np.arange(np.floor(centre - 4), np.floor(centre - 4) + 10)
        weights = 0.5 * cubic(0.5 * (centre - taps))
        for tap, weight in zip(taps, weights / weights.sum(), strict=True):
            matrix[out - 1, mirror[int(tap - 1) % (2 * length)]] += weight
    return matrix


def halve(image: Float64s) -> Float64s:
    """imresize(image, 0.5)."""
    return halving_matrix(image.shape[0]) @ image @ halving_matrix(image.shape[1]).T


def patches_of(plane: Float64s, side: int) -> list[Float64s]:
    """Row by row."""
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    return [
        plane[side * i : side * (i + 1), side * j : side * (j + 1)]
        for i in range(rows)
        for j in range(columns)
    ]


def features_of(rgb: NDArray[np.uint8], *, rounding: bool = False) -> tuple[Float64s, Float64s]:
    """Return (N, 36) features and (N,) sharpness.

    With ``rounding``, errors of arithmetic count as texture, as in the release.
    """
    grey: Any = np.rint(rgb @ np.array([0.298936021293775, 0.587043074451121, 0.114020904255103]))
    image: Float64s = grey[: grey.shape[0] // 96 * 96, : grey.shape[1] // 96 * 96]
    image = image.astype(np.float64)
    sharpness: list[float] = []
    scales: list[list[list[float]]] = []
    for side in (96, 48):
        mu = ndimage.correlate(image, window(), mode="nearest")
        sigma = np.sqrt(
            np.abs(ndimage.correlate(image * image, window(), mode="nearest") - mu * mu)
        )
        structdis = (image - mu) / (sigma + 1)
        if not rounding:
            structdis = np.round(structdis, 9)
        scales.append([compute_feature(patch) for patch in patches_of(structdis, side)])
        if side == 96:
            sharpness = [float(patch.mean()) for patch in patches_of(sigma, side)]
        image = halve(image)
    return np.hstack([np.array(scale) for scale in scales]), np.array(sharpness)


def fit(pictures: list[NDArray[np.uint8]]) -> tuple[Float64s, Float64s]:
    """Mean and covariance of the sharp patches."""
    kept: list[Float64s] = []
    for picture in pictures:
        features, sharpness = features_of(picture)
        kept.append(features[sharpness > 0.75 * sharpness.max()])
    stacked = np.vstack(kept)
    return stacked.mean(axis=0), np.cov(stacked.T)


def distance(
    rgb: NDArray[np.uint8], mean: Float64s, covariance: Float64s, *, rounding: bool = False
) -> float:
    """Equation 10."""
    features, _ = features_of(rgb, rounding=rounding)
    difference = mean - features.mean(axis=0)
    pooled = (covariance + np.cov(features.T)) / 2
    return float(np.sqrt(difference @ np.linalg.pinv(pooled) @ difference))
