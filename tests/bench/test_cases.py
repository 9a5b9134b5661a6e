"""The picture that is timed, and the figures of a timing."""

from dataclasses import replace

import numpy as np
import pytest

from derain.bench import Case, Timing, picture
from derain.metrics import psnr
from derain.restore import load


@pytest.mark.parametrize(("width", "height"), [(1, 1), (64, 48), (5, 3000), (1100, 20)])
def test_the_picture_is_the_same_each_time(width: int, height: int) -> None:
    first = picture(width, height)
    assert np.array_equal(first, picture(width, height))
    assert first.shape == (height, width, 3)
    assert first.dtype == np.float32
    assert first.min() >= 0
    assert first.max() <= 1


def test_the_picture_has_structure_and_rain_on_it() -> None:
    rainy = picture(256, 128)
    assert 0.05 < rainy.std() < 0.4
    assert not np.array_equal(rainy[:, :128], rainy[:, 128:])
    assert psnr(255 * rainy, 255 * load("petrichor-live", device="cpu")(rainy)) < 40


def test_figures_of_a_timing() -> None:
    timing = Timing(Case("m", width=2000, height=500), 0.5, 3e9, 12e9, None)
    assert timing.megapixels_per_second == 2
    assert timing.share == 0.25
    assert replace(timing, operations=None).share is None
