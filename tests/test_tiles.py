"""How a picture is cut: every pixel is covered once, and borders are seen but not used."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from derain.tiles import Tiling, spans


@given(
    length=st.integers(1, 4000),
    tile=st.integers(16, 600),
    share=st.floats(0, 0.25),
    reach=st.none() | st.floats(0, 1),
    multiple=st.sampled_from([1, 2, 8, 16]),
)
def test_spans_cover_everything_once(
    length: int, tile: int, share: float, reach: float | None, multiple: int
) -> None:
    tile = max(tile, 4 * multiple)
    overlap = int(tile * share)
    # Pixels at a border that are seen but not used.
    unseen = overlap // 4 if reach is None else int(overlap * reach) // 2
    tiles = spans(
        length,
        tile,
        overlap,
        fade=None if reach is None else overlap - 2 * unseen,
        multiple=multiple,
    )
    total = np.zeros(length)
    for seen in tiles:
        assert 0 <= seen.start < seen.stop <= length
        assert seen.start % multiple == 0
        assert min(tile, length) <= seen.length < min(tile, length) + multiple
        total[seen.start : seen.stop] += seen.weights()
    assert total == pytest.approx(np.ones(length), abs=1e-5)
    for before, after in itertools.pairwise(tiles):
        assert before.stop - after.start >= overlap
        assert before.fade_out == after.fade_in
        assert after.start + unseen <= after.fade_in[0]
        assert after.fade_in[1] <= before.stop - unseen
        assert after.fade_in[1] <= after.fade_out[0]


def test_the_least_tile_follows_the_grid() -> None:
    assert Tiling(tile=512, overlap=64).least_tile == 16
    assert Tiling(tile=512, overlap=64, multiple=32).least_tile == 128
