"""Rain drawn with NumPy and OpenCV, for tests in which it does not matter whose rain it is.

That of `derain.rain`, which imitates datasets, needs PyTorch.
"""

import cv2
import numpy as np
from numpy.typing import NDArray


def rain_on(clean: NDArray[np.uint8], seed: int, *, heavy: bool = False) -> NDArray[np.uint8]:
    """Return a picture under bright streaks: one layer of light rain, or three of heavy."""
    dice = np.random.default_rng(seed)
    layer = np.zeros(clean.shape[:2], np.float32)
    for _ in range(3 if heavy else 1):
        drops = (dice.random(clean.shape[:2]) < 0.006).astype(np.float32)
        drops *= dice.uniform(40, 110, drops.shape).astype(np.float32)
        layer += cv2.filter2D(drops, -1, streak(int(dice.integers(9, 22)), dice.uniform(-0.4, 0.4)))
    return np.clip(clean + layer[..., None], 0, 255).astype(np.uint8)


def streak(length: int, slope: float) -> NDArray[np.float32]:
    """Return a line of ones, as long as a streak is high, that leans by so many columns a row."""
    side = 2 * length + 1
    kernel = np.zeros((side, side), np.float32)
    for row in range(-(length // 2), length // 2 + 1):
        kernel[length + row, length + round(slope * row)] = 1
    return kernel
