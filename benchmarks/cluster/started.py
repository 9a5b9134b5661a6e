"""Ray on this machine for measurements, and archives to measure with."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from derain.cluster.engine import Cluster, connect
from derain.images import write_image

SETTINGS = {"engine": "onnx", "device": "cpu", "dtype": "float32"}


@contextmanager
def started() -> Generator[Cluster]:
    """Start Ray, or connect to one that runs; `derain.cluster.run` then uses it."""
    # As Ray sets it for workers of one core.
    os.environ["OMP_NUM_THREADS"] = "1"
    with connect("auto") as cluster:
        yield cluster


def draw(folder: Path, count: int, size: tuple[int, int]) -> list[Path]:
    """Write PNG pictures of noise, width and height as given, a hundred to a folder."""
    draws = np.random.default_rng(0)
    width, height = size
    paths: list[Path] = []
    for number in range(count):
        path = folder / f"{number // 100:04}" / f"{number:06}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, draws.integers(0, 255, (height, width, 3), np.uint8))
        paths.append(path)
    return paths
