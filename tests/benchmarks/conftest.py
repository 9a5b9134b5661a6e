"""A rainy clip that several scripts are tested with."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture
def yard(tmp_path: Path, photo: NDArray[np.uint8]) -> Path:
    """A video of 321 frames, as many as the default frames to score need: a photograph in rain."""
    draws = np.random.default_rng(0)
    dry = np.ascontiguousarray(photo[:64, :80])
    path = tmp_path / "yard.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (80, 64))
    for _ in range(321):
        rainy = dry.astype(int)
        for left, top in zip(draws.integers(0, 80, 25), draws.integers(0, 48, 25), strict=True):
            rainy[top : top + 16, left] += 70
        writer.write(cv2.cvtColor(np.clip(rainy, 0, 255).astype(np.uint8), cv2.COLOR_RGB2BGR))
    writer.release()
    return path
