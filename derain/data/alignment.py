"""Compare two pictures: whether they show one scene at one place, and which one has the rain.

Phase correlation (Kuglin and Hines, "The phase correlation image alignment method", 1975): every
frequency counts alike, so that the streaks of heavy rain, which hold most of the energy, cannot
outvote the scene beneath them.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from derain.images import Pixels, levels_of
from derain.metrics import Float64s, luma_matlab

Verdict = Literal["aligned", "shifted", "different", "unknown"]

WINDOWS = (256, 1024)
"""Sides in pixels of the middle part that is compared.

The larger one is used only if the smaller one leaves a doubt.
"""
SURE = 9.0
"""Height of a clear peak in standard deviations.

Unrelated pictures stay under 9; the heaviest rain on its own background is at 45.
"""
LIKELY = 5.0
"""Height of a peak in place from which on two scenes are unlikely.

Of 625 pairs of unrelated parts of 160x131, two were as high. Heavy rain on a dark picture of that
size leaves no clear peak.
"""
AS_HIGH = 1.3
"""Times the height of the peak in place that a peak elsewhere must have."""
ALIKE = (0.5, 0.1)
"""Plain correlation under which pictures without a peak show two scenes.

The first number is for large pictures, the second for those with few pixels for a peak.
"""
SMALL = 128
"""Shorter side in pixels under which a picture is small."""
FLAT = 1.0
"""Standard deviation in levels under which a picture shows nothing."""
ROUNDING = 1e-6
"""Difference in levels that decides nothing."""
BAND = 0.15
"""Frequencies that count, in cycles per pixel: noise and the finest streaks are above."""


@dataclass(frozen=True)
class Alignment:
    """The position of a picture on another one of the same scene.

    Attributes:
        down: Pixels by which the first lies below the second.
        right: Pixels by which it lies to the right.
        strength: Height of the peak in standard deviations.
    """

    verdict: Verdict
    down: int = 0
    right: int = 0
    strength: float = 0.0


def luma(pixels: Pixels) -> Float64s:
    """Return the `metrics.luma_matlab` (H, W) of RGB pixels (H, W, 3) as of 8 bits."""
    levels = levels_of(pixels)
    eight = levels if levels.dtype == np.uint8 else levels >> 8
    return luma_matlab(eight.astype(np.uint8, copy=False))


def align(first: Float64s, second: Float64s) -> Alignment:
    """Find how one picture lies on another one.

    Args:
        first: Luma (H, W) in [0, 255].
        second: Likewise, of the same size.
    """
    found = Alignment("unknown")
    for side in WINDOWS:
        found = _compare(_middle(first, side), _middle(second, side))
        if found.verdict == "aligned" or side >= max(first.shape):
            return found
    return found


def _middle(plane: Float64s, side: int) -> Float64s:
    top, left = (max(0, (length - side) // 2) for length in plane.shape)
    return plane[top : top + side, left : left + side]


def _compare(a: Float64s, b: Float64s) -> Alignment:
    """Find how one plane (H, W) lies on another one, by the highest peak."""
    if min(a.std(), b.std()) < FLAT:
        return Alignment("unknown")
    peaks = _phase_correlation(a, b)
    place = np.unravel_index(int(peaks.argmax()), peaks.shape)
    down, right = (
        int(k) - side * (2 * int(k) > side) for k, side in zip(place, peaks.shape, strict=True)
    )
    highest, in_place = float(peaks.max()), float(peaks[0, 0])
    if in_place >= SURE and highest < AS_HIGH * in_place:
        return Alignment("aligned", 0, 0, in_place)
    if highest >= AS_HIGH * max(SURE, in_place):
        return Alignment("shifted", down, right, highest)
    alike = (
        in_place >= LIKELY
        or float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) >= ALIKE[min(a.shape) < SMALL]
    )
    return Alignment("unknown" if alike else "different", 0, 0, highest)


def _phase_correlation(a: Float64s, b: Float64s) -> Float64s:
    """Return peaks by shift (H, W), in standard deviations."""
    height, width = a.shape
    fade = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
    cross = np.fft.rfft2((a - a.mean()) * fade) * np.fft.rfft2((b - b.mean()) * fade).conj()
    cross /= np.abs(cross) + 1e-9
    cross *= np.exp(
        -(np.fft.fftfreq(height)[:, None] ** 2 + np.fft.rfftfreq(width) ** 2) / (2 * BAND**2)
    )
    peaks = np.fft.irfft2(cross, s=a.shape)
    return peaks / peaks.std()


def rainier(first: Float64s, second: Float64s) -> int:
    """Return by how many of three signs the first of two aligned pictures is the rainier one.

    It is 3 for a sure yes, -3 for a sure no, and 0 for equal pictures.

    Rain is brighter than what it hides, has more edges, and is thin: bright outliers in the fine
    part of the difference.
    """
    more = first - second
    fine = more - _box(more)
    edges = [
        float(np.abs(np.diff(plane, axis=0)).mean() + np.abs(np.diff(plane, axis=1)).mean())
        for plane in (first, second)
    ]
    return _sign(more.mean()) + _sign((fine**3).mean()) + _sign(edges[0] - edges[1])


def _sign(value: float) -> int:
    """Return 1, -1, or 0 for what is only an error of rounding."""
    return 0 if abs(value) < ROUNDING else int(np.sign(value))


def _box(plane: Float64s, side: int = 9) -> Float64s:
    """Return the mean over squares of 9 pixels (H, W), mirrored at the edges."""
    padded = np.pad(plane, side // 2 + 1, mode="symmetric")[:-1, :-1]
    total = padded.cumsum(0).cumsum(1)
    return (
        total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    ) / side**2
