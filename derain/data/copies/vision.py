"""Grey pictures by OpenCV: resizing, features, maps between pictures."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.images import Pixels, to_eight_bits

Grey = NDArray[np.uint8]
Matrix = NDArray[np.float64]
"""(2, 3), an affine map of (x, y, 1); pixel centres are at whole numbers."""


def grey_of(pixels: Pixels) -> Grey:
    """Return the BT.601 luma (H, W) of RGB pixels (H, W, 3)."""
    grey: Any = cv2.cvtColor(np.ascontiguousarray(to_eight_bits(pixels)), cv2.COLOR_RGB2GRAY)
    return grey


def average_down(grey: Grey, most: int) -> Grey:
    """Return a picture (H, W) averaged down to at most so many pixels in all."""
    height, width = grey.shape
    factor = min(1.0, (most / (height * width)) ** 0.5)
    if factor == 1:
        return grey
    return resize_grey(grey, (max(1, round(height * factor)), max(1, round(width * factor))))


def resize_grey(grey: Grey, size: tuple[int, int]) -> Grey:
    """Return a picture (H, W) resized to (h, w).

    By box averages to make it smaller, bilinear to make it larger.
    """
    smaller = size[0] <= grey.shape[0] and size[1] <= grey.shape[1]
    result: Any = cv2.resize(
        grey, (size[1], size[0]), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    )
    return result


def find_features(grey: Grey, most: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Find scale-invariant features (Lowe 2004), at most so many.

    The strongest of each sixteenth of the picture are taken in turn, so that a field of hay does
    not use up all there are.

    Returns:
        Places (n, 2) as x, y, and descriptors (n, 128).
    """
    sift: Any = cv2.SIFT.create(nfeatures=2 * most, contrastThreshold=0.02)
    points, descriptors = sift.detectAndCompute(grey, None)
    if descriptors is None:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32)
    places = np.array([point.pt for point in points], np.float32)
    part = (places * 4 // grey.shape[::-1]) @ [1, 4]
    order = np.lexsort(([-point.response for point in points], part))
    in_part = np.arange(len(order)) - np.searchsorted(part[order], part[order])
    chosen = order[np.argsort(in_part, kind="stable")[:most]]
    return places[chosen], descriptors[chosen]


def fit_affine(
    places: NDArray[np.float32], targets: NDArray[np.float32], tolerance: float
) -> tuple[Matrix, NDArray[np.bool_]] | None:
    """Fit the affine map that takes most places (n, 2) to within some pixels of their targets.

    By RANSAC (Fischler and Bolles 1981), with the same random numbers every time.

    Returns:
        The map, and which places it takes there (n,); None if there is no such map.
    """
    if len(places) < 3:
        return None
    matrix, inside = cv2.estimateAffine2D(
        places, targets, ransacReprojThreshold=tolerance, maxIters=1000
    )
    found: Any = matrix
    return None if found is None else (found, inside.ravel().astype(bool))


def warp_grey(grey: Grey, matrix: Matrix, size: tuple[int, int]) -> Grey:
    """Return the picture (h, w) whose pixel x, y is the grey picture's at matrix @ (x, y, 1).

    Pixels at the edges are repeated outside of it.
    """
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    result: Any = cv2.warpAffine(
        grey, matrix, (size[1], size[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return result


def blur(plane: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Return a plane (H, W) under a Gaussian window of this standard deviation in pixels."""
    result: Any = cv2.GaussianBlur(plane, (0, 0), sigma)
    return result
