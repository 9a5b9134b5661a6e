"""Pictures behind bars: the same ones in every run."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.bars import with_bars


def test_bars_are_seeded_and_cover_part_of_a_picture(photo: NDArray[np.uint8]) -> None:
    barred = [with_bars(photo, seed) for seed in (0, 0, 1)]
    assert np.array_equal(barred[0], barred[1])
    assert not np.array_equal(barred[0], barred[2])
    assert all(picture.shape == photo.shape and picture.dtype == np.uint8 for picture in barred)
    changed = [(picture != photo).any(2).mean() for picture in barred]
    assert 0.05 < min(changed) <= max(changed) < 0.99
