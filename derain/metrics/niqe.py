"""NIQE: how far a picture's statistics lie from those of clean pictures, without ground truth.

Lower is better. Mittal, Soundararajan, Bovik, "Making a 'Completely Blind' Image Quality Analyzer",
IEEE Signal Processing Letters 20(3), 2013, step by step as in the authors' MATLAB release:

1. grey levels 0 … 255 (``rgb2gray``, rounded), cut to whole 96x96 patches;
2. mean subtracted and contrast normalised (MSCN) by a 7x7 Gaussian window of sigma 7/6 (Eq. 1 to
   3);
3. per patch 18 numbers: shape and spread of an asymmetric generalised Gaussian (AGGD) fitted by
   moment matching to the coefficients (Eq. 5, 6), and shape, mean and both spreads of one fitted to
   the products of neighbours in each of four directions (Eq. 7, 8);
4. the same on the picture at half the size (antialiased bicubic, as ``imresize``), in patches of
   48x48: 36 numbers in all;
5. of clean pictures only the sharp patches are taken, those over 0.75 of the picture's sharpest
   (Eq. 4);
6. mean and covariance over patches, of the clean pictures and of the picture to score, and the
   distance between both (Eq. 9, 10).

The authors' model of clean pictures is not used: `fit` makes one of pictures of the user's own.
Scores compare only under one model, which the digest in it names.

One thing departs from the release: where a picture is flat its coefficients are exactly zero, and a
patch without texture to fit is left out. There, rounding errors of either sign stand for texture,
which moves a photograph's score by 0.07 at most (of 34).
"""

import functools
import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derain.errors import DerainError
from derain.files import amount
from derain.metrics.fidelity import Float64s

PATCH = 96
"""Side of a patch at the first scale, in pixels."""
SHARP = 0.75
"""Of clean pictures, patches count whose sharpness is over this share of the sharpest one's."""
FEATURES = 36
FORMAT = "derain NIQE model 1"

_WINDOW = (
    np.exp(-0.5 * (np.arange(-3, 4) / (7 / 6)) ** 2)
    / np.exp(-0.5 * (np.arange(-3, 4) / (7 / 6)) ** 2).sum()
)
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Whose products are taken: right, below, and the two diagonals, as (rows, columns)."""
_FLAT = 1e-9
"""Differences from the local mean under this, of 255, are rounding errors."""


class NiqeError(DerainError, ValueError):
    """A picture has no NIQE, or pictures or a file make no model; says what was found instead."""


@dataclass(frozen=True, eq=False)
class NaturalModel:
    """A model of clean pictures: a multivariate Gaussian of the features of their sharp patches.

    Attributes:
        mean: (36,).
        covariance: (36, 36), the sample covariance.
        pictures: How many it was fitted on.
        patches: How many sharp patches these had.
        digest: SHA-256 over shapes, types and pixels of the pictures in their order, in
            hexadecimal.

    Raises:
        NiqeError: If shapes or values cannot be those of such a model.
    """

    mean: Float64s
    covariance: Float64s
    pictures: int
    patches: int
    digest: str

    def __post_init__(self) -> None:
        shapes = self.mean.shape, self.covariance.shape
        if shapes != ((FEATURES,), (FEATURES, FEATURES)):
            raise NiqeError(
                f"mean and covariance are {shapes[0]} and {shapes[1]}; expected (36,) and (36, 36)"
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.covariance).all()):
            raise NiqeError("mean or covariance contain NaN or infinity")
        if not _is_covariance(self.covariance):
            raise NiqeError("the covariance is not symmetric, or has negative eigenvalues")
        if self.pictures < 1 or self.patches <= FEATURES:
            raise NiqeError(
                f"{amount(self.pictures, 'picture')} with {_patch_count(self.patches)}; expected"
                f" more than {FEATURES} patches"
            )
        if len(self.digest) != 64 or set(self.digest) - set("0123456789abcdef"):
            raise NiqeError(f"the digest is {self.digest!r}; expected 64 hexadecimal digits")

    def describe(self) -> str:
        """Return what it was fitted on, in words, which belong to every score."""
        return (
            f"fitted on {amount(self.pictures, 'clean picture')}, {_patch_count(self.patches)},"
            f" sha256 {self.digest[:12]}"
        )


def _patch_count(count: int) -> str:
    return amount(count, "patch", "patches")


def _is_covariance(matrix: Float64s) -> bool:
    """Return whether a matrix is symmetric and has no eigenvalues under zero."""
    # Absurd numbers overflow, and then fail the tests.
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            least, largest = np.linalg.eigvalsh(matrix)[[0, -1]]
        except np.linalg.LinAlgError:
            return False
        return np.allclose(matrix, matrix.T) and bool(least >= -1e-9 * abs(largest))


def fit(pictures: Iterable[NDArray[np.generic]]) -> NaturalModel:
    """Fit a model to clean pictures.

    Args:
        pictures: (H, W, 3) RGB or (H, W) grey, uint8 or uint16, at least 96x96; one is held at a
            time.

    Raises:
        NiqeError: If a picture is too small or has no texture, or all have no more sharp patches
            than there are features.
    """
    digest = hashlib.sha256()
    kept: list[Float64s] = []
    for count, picture in enumerate(pictures, start=1):
        try:
            kept.append(_sharp_patches(picture))
        except NiqeError as error:
            raise NiqeError(f"clean picture {count}: {error}") from error
        digest.update(f"{picture.shape} {picture.dtype.name} ".encode())
        digest.update(picture.astype(picture.dtype.newbyteorder("="), copy=False).tobytes())
    features = np.concatenate(kept) if kept else np.empty((0, FEATURES))
    if len(features) <= FEATURES:
        raise NiqeError(
            f"{amount(len(kept), 'clean picture')} with"
            f" {amount(len(features), 'sharp patch', 'sharp patches')} of {PATCH}x{PATCH};"
            f" expected more than {FEATURES} patches, better hundreds: add pictures"
        )
    mean, covariance = _gaussian(features)
    return NaturalModel(mean, covariance, len(kept), len(features), digest.hexdigest())


def niqe(pixels: NDArray[np.generic], model: NaturalModel) -> float:
    """Return the distance of a picture from clean ones: at least 0, lower is better.

    Args:
        pixels: (H, W, 3) RGB or (H, W) grey, uint8 or uint16.
        model: Fitted on clean pictures. Scores compare under one model only.

    Raises:
        NiqeError: If it has fewer than two patches of 96x96 with texture, or the model's numbers
            give no finite distance.
    """
    features, _ = patch_features(pixels)
    features = features[np.isfinite(features).all(axis=1)]
    if len(features) < 2:
        raise NiqeError(
            f"{_patch_count(len(features))} of {PATCH}x{PATCH} with texture; NIQE needs at least 2:"
            " a larger picture"
        )
    mean, covariance = _gaussian(features)
    with np.errstate(over="ignore", invalid="ignore"):
        squared = _squared_distance(model.mean - mean, (model.covariance + covariance) / 2)
    if not math.isfinite(squared):
        raise NiqeError(
            "the distance from the NIQE model is NaN or infinity; expected a model fitted on clean"
            " pictures"
        )
    return math.sqrt(max(0.0, squared))  # rounding may leave it a little under zero


def _squared_distance(apart: Float64s, pooled: Float64s) -> float:
    """Return Eq. 10 before the root, of (36,) and (36, 36).

    It is NaN where no inverse of the covariance can be computed.
    """
    try:
        inverse = np.linalg.pinv(pooled, rcond=FEATURES * np.finfo(np.float64).eps, hermitian=True)
    except np.linalg.LinAlgError:
        return math.nan
    return float(apart @ inverse @ apart)


def to_json(model: NaturalModel) -> str:
    """Return a model as text, which `from_json` reads back exactly."""
    values = asdict(model) | {"mean": model.mean.tolist(), "covariance": model.covariance.tolist()}
    return json.dumps({"format": FORMAT, "patch": PATCH, "sharpness": SHARP, **values}) + "\n"


def from_json(text: str | bytes) -> NaturalModel:
    """Read what `to_json` wrote.

    Raises:
        NiqeError: If it is anything else.
    """
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise NiqeError("not JSON; expected a NIQE model") from None
    expected = {"format": FORMAT, "patch": PATCH, "sharpness": SHARP}
    found = {key: content.get(key) for key in expected} if isinstance(content, dict) else content
    if found != expected:
        raise NiqeError(f"expected a NIQE model with {expected}, found {str(found)[:120]}")
    values = {key: value for key, value in content.items() if key not in expected}
    kinds = {"mean": list, "covariance": list, "pictures": int, "patches": int, "digest": str}
    if {key: type(value) for key, value in values.items()} != kinds:
        raise NiqeError(
            f"a NIQE model with {', '.join(values) or 'nothing'}; expected {', '.join(kinds)}, each"
            " of its type"
        )
    mean, covariance = (_as_array(key, values.pop(key)) for key in ("mean", "covariance"))
    return NaturalModel(mean, covariance, **values)


def _as_array(key: str, values: list[Any]) -> Float64s:
    try:
        array = np.array(values)
    except ValueError:  # rows of several lengths
        array = np.array("ragged")
    if array.dtype.kind not in "if":
        raise NiqeError(f"{key} of the NIQE model: expected numbers in rows of one length")
    return array.astype(np.float64)


def patch_features(pixels: NDArray[np.generic]) -> tuple[Float64s, Float64s]:
    """Return the 36 features of every patch, and how sharp it is.

    Args:
        pixels: (H, W, 3) RGB or (H, W) grey, uint8 or uint16.

    Returns:
        (N, 36), patches row by row, 18 numbers a scale, NaN where there is no texture to fit; and
        (N,), the mean local deviation of each patch at the first scale.

    Raises:
        NiqeError: If the picture is smaller than a patch, or not such an array.
    """
    plane = _grey(pixels)
    if min(plane.shape) < PATCH:
        raise NiqeError(
            f"{plane.shape[1]}x{plane.shape[0]} pixels; NIQE needs at least {PATCH}x{PATCH}"
        )
    rows, columns = (side // PATCH * PATCH for side in plane.shape)
    plane = plane[:rows, :columns]
    coefficients, deviation = _normalise(plane)
    sharpness = _patches(deviation, PATCH).mean(axis=(1, 2))
    half, _ = _normalise(_halve(plane))
    # One row of patches after the other stays in the cache.
    bands = zip(
        coefficients.reshape(-1, PATCH, columns),
        half.reshape(-1, PATCH // 2, columns // 2),
        strict=True,
    )
    rows_of_patches: list[Float64s] = []
    for whole, small in bands:
        first = _scale_features(_patches(whole, PATCH))
        second = _scale_features(_patches(small, PATCH // 2))
        rows_of_patches.append(np.concatenate([first, second], axis=1))
    return np.concatenate(rows_of_patches), sharpness


def fit_aggd(samples: Float64s) -> Float64s:
    """Fit an asymmetric generalised Gaussian by moment matching.

    Source: Lasmar et al., ICIP 2009; Eq. 7 of the paper.

    Args:
        samples: (…, N), one fit for each row.

    Returns:
        (…, 3): shape alpha from 0.2 to 10 in steps of 0.001, spreads beta left and right; NaN where
        a side has no samples.
    """
    below, above = np.minimum(samples, 0), np.maximum(samples, 0)
    power_below, power_above = (np.einsum("...n,...n->...", side, side) for side in (below, above))
    total = above.sum(axis=-1) - below.sum(axis=-1)  # of the absolute values
    # A side without samples gives NaN, as the docstring says.
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.sqrt(power_below / np.count_nonzero(below, axis=-1))
        right = np.sqrt(power_above / np.count_nonzero(above, axis=-1))
        skew = left / right
        ratio = total**2 / (samples.shape[-1] * (power_below + power_above))
        ratio = ratio * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shapes, ratios, widths = _aggd_table()
    place = _nearest(ratios, ratio)
    fitted = np.stack([shapes[place], left * widths[place], right * widths[place]], axis=-1)
    fitted[~np.isfinite(ratio)] = np.nan
    return fitted


@functools.cache
def _aggd_table() -> tuple[Float64s, Float64s, Float64s]:
    """Return shapes alpha, and what each implies.

    Returns:
        Alpha; (mean |x|)² / mean x², which rises with it; and beta for a standard deviation of 1.
        Each (9801,).
    """
    shapes: Float64s = 0.2 + 0.001 * np.arange(9801, dtype=np.float64)
    one, two, three = (
        np.array([math.lgamma(k / shape) for shape in shapes], np.float64) for k in (1, 2, 3)
    )
    return shapes, np.exp(2 * two - one - three), np.exp((one - three) / 2)


def _nearest(rising: Float64s, values: Float64s) -> NDArray[np.intp]:
    """Return the index of the number closest to each value, the first of two that are."""
    after = np.clip(np.searchsorted(rising, values), 1, len(rising) - 1)
    return after - (values - rising[after - 1] <= rising[after] - values)


def _scale_features(patches: Float64s) -> Float64s:
    """Return the features of patches at one scale, (N, 18), from coefficients (N, h, w)."""
    count = len(patches)
    alpha, left, right = np.moveaxis(fit_aggd(patches.reshape(count, -1)), -1, 0)
    features = [alpha, (left + right) / 2]
    for shift in _NEIGHBOURS:
        products = patches * np.roll(patches, shift, axis=(1, 2))
        alpha, left, right = np.moveaxis(fit_aggd(products.reshape(count, -1)), -1, 0)
        features += [alpha, (right - left) * _gamma_ratio(alpha), left, right]
    return np.stack(features, axis=1)


def _gamma_ratio(alpha: Float64s) -> Float64s:
    """Return gamma(2 / alpha) / gamma(1 / alpha)."""
    return np.array(
        [math.exp(math.lgamma(2 / a) - math.lgamma(1 / a)) if a == a else a for a in alpha]
    )


def _grey(pixels: NDArray[np.generic]) -> Float64s:
    """Return grey levels 0 … 255 as MATLAB's ``rgb2gray``: rounded to steps of the pixels' type."""
    if pixels.dtype.name not in ("uint8", "uint16") or not (
        pixels.ndim == 2 or pixels.shape[2:] == (3,)
    ):
        found = f"{pixels.dtype.name} of shape {pixels.shape}"
        raise NiqeError(f"pixels are {found}; expected (H, W, 3) or (H, W) of uint8 or uint16")
    levels = pixels.astype(np.float64)
    if levels.ndim == 3:
        levels = np.rint(
            levels @ np.array([0.298936021293775, 0.587043074451121, 0.114020904255103])
        )
    return levels if pixels.dtype == np.uint8 else levels / 257


def _normalise(plane: Float64s) -> tuple[Float64s, Float64s]:
    """Return coefficients (I - mu) / (sigma + 1) and local deviations sigma, both (H, W)."""
    mean = _blur(plane)
    deviation = np.sqrt(np.abs(_blur(plane * plane) - mean * mean))
    apart = plane - mean
    apart[np.abs(apart) < _FLAT] = 0
    return apart / (deviation + 1), deviation


def _blur(plane: Float64s) -> Float64s:
    """Apply the Gaussian window, borders repeated: (H, W) -> (H, W)."""
    return _taps(_taps(np.pad(plane, 3, mode="edge"), _WINDOW, 0), _WINDOW, 1)


def _halve(plane: Float64s) -> Float64s:
    """Halve a plane as MATLAB's ``imresize`` does: (H, W) -> (H / 2, W / 2).

    The bicubic kernel is stretched to twice its width, and borders are mirrored.
    """
    # Distances of the eight pixels around the new one, in new pixels; the kernel is symmetric.
    near, far = np.array([0.25, 0.75]), np.array([1.25, 1.75])
    inner = 1.5 * near**3 - 2.5 * near**2 + 1
    outer = -0.5 * far**3 + 2.5 * far**2 - 4 * far + 2
    right = np.concatenate([inner, outer]) / 2
    weights = np.concatenate([right[::-1], right])
    return _taps(_taps(np.pad(plane, 3, mode="symmetric"), weights, 0, step=2), weights, 1, step=2)


def _taps(plane: Float64s, weights: Float64s, axis: int, step: int = 1) -> Float64s:
    """Apply a window of n weights at every ``step``-th place where it fits.

    An axis of L pixels becomes one of (L - n) // step + 1.
    """
    places = (plane.shape[axis] - len(weights)) // step + 1
    ends = [slice(k, k + step * (places - 1) + 1, step) for k in range(len(weights))]
    total = np.zeros((places, plane.shape[1]) if axis == 0 else (len(plane), places))
    for weight, window in zip(weights, ends, strict=True):
        total += weight * (plane[window] if axis == 0 else plane[:, window])
    return total


def _patches(plane: Float64s, side: int) -> Float64s:
    """Cut a plane whose sides are multiples, row by row: (H, W) -> (N, side, side)."""
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    return plane.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)


def _sharp_patches(picture: NDArray[np.generic]) -> Float64s:
    """Return the features of a clean picture's sharp patches: (N, 36)."""
    features, sharpness = patch_features(picture)
    usable = np.isfinite(features).all(axis=1)
    if not usable.any():
        raise NiqeError("no patch with texture; expected a photograph")
    return features[usable & (sharpness > SHARP * sharpness.max())]


def _gaussian(features: Float64s) -> tuple[Float64s, Float64s]:
    """Return mean and sample covariance over patches: (N, 36) -> (36,), (36, 36)."""
    return features.mean(axis=0), np.cov(features, rowvar=False)
