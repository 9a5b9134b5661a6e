"""Whether pictures lie on each other, under rain too."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
from drawn_rain import rain_on
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from derain.data import find_pairs, read_pair
from derain.data.alignment import align, luma, rainier


@given(down=st.integers(-9, 9), right=st.integers(-9, 9), heavy=st.booleans())
def test_a_shift_is_found_to_the_pixel(
    down: int, right: int, heavy: bool, photo: NDArray[np.uint8]
) -> None:
    wet = rain_on(photo, 3, heavy=heavy)
    first, second = wet[10 - down : 110 - down, 10 - right : 150 - right], photo[10:110, 10:150]
    found = align(luma(first), luma(second))
    assert found.verdict == ("aligned" if (down, right) == (0, 0) else "shifted")
    assert (found.down, found.right) == (down, right)


def test_other_pictures_and_flat_ones(photo: NDArray[np.uint8]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, photo.shape, np.uint8)
    assert align(luma(noise), luma(photo)).verdict == "different"
    assert align(luma(np.full_like(photo, 90)), luma(photo)).verdict == "unknown"
    assert align(luma(photo[::-1, ::-1]), luma(photo)).verdict in (
        "different",
        "unknown",
        "shifted",
    )


def test_heavy_rain_on_a_small_dark_picture_is_no_other_scene() -> None:
    night = np.ascontiguousarray(skimage.data.rocket()[60:200, 90:270])
    other = np.ascontiguousarray(skimage.data.coffee()[60:200, 90:270])
    for seed in range(12):
        wet = rain_on(night, seed, heavy=True)
        assert align(luma(wet), luma(night)).verdict in ("aligned", "unknown"), seed
        assert align(luma(wet), luma(other)).verdict == "different", seed


def test_what_rounding_leaves_decides_nothing(photo: NDArray[np.uint8]) -> None:
    for size in (16, 40, 100):
        dark = luma(photo[:size, :size] // 2)
        assert (rainier(dark + 7.3, dark), rainier(dark, dark + 7.3)) == (1, -1)
        assert rainier(dark, dark) == 0


def test_the_rainier_of_two(photo: NDArray[np.uint8]) -> None:
    for heavy in (False, True):
        wet = rain_on(photo, 3, heavy=heavy)
        assert rainier(luma(wet), luma(photo)) > 0 > rainier(luma(photo), luma(wet)), heavy
        veiled = (0.6 * wet + 0.4 * 190).astype(np.uint8)  # haze takes edges away
        assert rainier(luma(veiled), luma(photo)) > 0
    assert rainier(luma(photo), luma(photo)) == 0


def test_sixteen_bits_are_looked_at_like_eight(photo: NDArray[np.uint8]) -> None:
    assert np.array_equal(luma(photo.astype(np.uint16) * 257), luma(photo))


@pytest.mark.parametrize(
    "name", ["Rain100L-dev10", "Rain100H-dev10", "Rain12", "DDN-sample3", "SPA-data-sample2"]
)
def test_real_twins_lie_on_each_other_and_no_other_pictures_do(
    name: str, reference_data: Path
) -> None:
    pairs = [read_pair(pair) for pair in find_pairs(reference_data / "pairs" / name).pairs]
    for k, (rainy, clean) in enumerate(pairs):
        assert align(luma(rainy), luma(clean)).verdict == "aligned"
        assert rainier(luma(rainy), luma(clean)) > 0
        moved = align(luma(rainy[2:, :-1]), luma(clean[:-2, 1:]))
        assert (moved.verdict, moved.down, moved.right) == ("shifted", -2, 1)
        other = pairs[k - 1][1]
        # Whose two are parts of one scene.
        if k and other.shape == rainy.shape and name != "SPA-data-sample2":
            assert align(luma(rainy), luma(other)).verdict == "different"
