"""Codes, votes and fingerprints."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.fft import dctn

from derain.data.copies import candidates
from derain.data.copies.candidates import (
    PIXELS,
    Features,
    alike_as_wholes,
    extract_features,
    find_candidates,
    fingerprint,
    match_features,
    mirror,
    signs_of,
    turned_signs,
)
from derain.data.copies.vision import average_down, grey_of

Rgb = NDArray[np.uint8]


def features_of(pixels: Rgb) -> Features:
    return extract_features(average_down(grey_of(pixels), PIXELS))


def blobs(seed: int, size: tuple[int, int] = (160, 200)) -> Rgb:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (size[0] // 8, size[1] // 8, 1))
    fine = random.integers(-25, 26, (size[0] // 2, size[1] // 2, 1))
    picture = np.kron(coarse, np.ones((8, 8, 3))) + np.kron(fine, np.ones((2, 2, 3)))
    return picture.clip(0, 255).astype(np.uint8)


def ways(grey: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """In the order of `turned_signs`."""
    flips = [grey, grey[:, ::-1], grey[::-1], grey[::-1, ::-1]]
    return [np.ascontiguousarray(side) for flip in flips for side in (flip, flip.T)]


def test_signs_are_those_of_the_cosine_transform() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (32, 32)).astype(np.uint8)
    reference = np.asarray(dctn(grey.astype(float), norm="ortho"))[:8, :8]
    assert (signs_of(grey) == np.where(reference < 0, -1, 1)).all()


@given(st.integers(0, 10**6))
def test_signs_turn_with_the_picture(seed: int) -> None:
    grey = np.random.default_rng(seed).integers(0, 256, (32, 32)).astype(np.uint8)
    turned = turned_signs(signs_of(grey))
    assert (turned == np.stack([signs_of(way).ravel() for way in ways(grey)])).all()


def test_fingerprints_bear_resizing_and_noise_and_tell_pictures_apart() -> None:
    random = np.random.default_rng(0)
    for seed in range(10):
        picture = blobs(seed)
        smaller = picture.reshape(80, 2, 100, 2, 3).mean(axis=(1, 3))
        noisy = (smaller + random.normal(0, 5, smaller.shape)).clip(0, 255).astype(np.uint8)
        assert (fingerprint(picture) ^ fingerprint(noisy)).bit_count() <= 4
        assert (fingerprint(picture) ^ fingerprint(blobs(seed + 100))).bit_count() > 12
        assert 0 <= fingerprint(picture) < 2**63


def test_a_flat_picture_has_no_print() -> None:
    assert fingerprint(np.full((9, 7, 3), 130, np.uint8)) == 0


def test_codes_are_coordinates_in_an_orthonormal_basis() -> None:
    basis: Any = getattr(candidates, "_BASIS")  # noqa: B009
    assert basis.shape == (40, 128)
    np.testing.assert_allclose(basis @ basis.T, np.eye(40), atol=1e-12)


@given(st.integers(0, 10**6))
def test_mirrored_codes_are_those_of_mirrored_histograms(seed: int) -> None:
    """Compare with histograms in OpenCV's order: rows, columns, directions.

    Mirrored along the feature's direction, rows and angles are reversed.
    """
    encode: Any = getattr(candidates, "_encode")  # noqa: B009
    histograms = np.random.default_rng(seed).integers(0, 256, (5, 4, 4, 8)).astype(np.float32)
    mirrored = histograms[:, ::-1][..., -np.arange(8) % 8]
    found, expected = (
        codes.astype(int)
        for codes in (encode(mirrored.reshape(5, 128)), mirror(encode(histograms.reshape(5, 128))))
    )
    assert np.abs(found - expected).max() <= 1  # sums in another order round the other way
    assert (found == expected).mean() > 0.97


def test_mirrored_codes_are_those_of_the_mirrored_picture() -> None:
    look, other = features_of(blobs(1)), features_of(blobs(1)[:, ::-1])
    mine, their = match_features(mirror(look.codes), other.codes)
    places = look.places[mine] * [-1, 1] + [look.size[1] - 1, 0]
    near = np.abs(places - other.places[their]).max(axis=1) < 1.5
    assert near.sum() > 0.5 * len(look.codes)
    assert len(match_features(look.codes, other.codes)[0]) < 0.2 * len(look.codes)


def test_votes_find_the_picture_upright_and_mirrored() -> None:
    looks = [features_of(blobs(seed)) for seed in range(20)]
    queries = [features_of(blobs(5)[:100, :120]), features_of(blobs(9)[40:, ::-1])]
    best = find_candidates(queries, looks, most=1, least=0)
    assert [(each.picture, each.of, each.mirrored) for each in best] == [
        (0, 5, False),
        (1, 9, True),
    ]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "BLOCK", 3)


def test_blocks_change_no_winner(small_blocks: None) -> None:
    looks = [
        features_of(blobs(seed % 8)[seed:, seed:]) for seed in range(10)
    ]  # 8 and 9 are crops of 0 and 1
    pairs = {(each.picture, each.of) for each in find_candidates(looks, looks, most=1, least=2)}
    assert {(8, 0), (9, 1)} <= pairs
    assert {(0, 8), (8, 0), (1, 9), (9, 1)} <= {
        (each.picture, each.of) for each in find_candidates(looks, list(looks), most=2, least=2)
    }
    three = [(each.picture, each.of) for each in find_candidates(looks, looks, most=3, least=0)]
    assert all(of < picture for picture, of in three)
    assert max(Counter(picture for picture, _ in three).values()) == 3


def test_wholes_are_paired_with_few_and_with_earlier_ones(small_blocks: None) -> None:
    looks = [features_of(blobs(0))] * 10 + [features_of(blobs(1))]
    found = [(i, j) for i, j, _ in alike_as_wholes(looks, looks, most=4, differ=6)]
    assert found == [(i, j) for i in range(10) for j in range(min(i, 4))]
    others = [(i, j) for i, j, _ in alike_as_wholes(looks, list(looks), most=4, differ=6)]
    assert others == [(i, j) for i in range(10) for j in range(4)] + [(10, 10)]


def test_wholes_are_paired_with_the_way_they_are_turned(small_blocks: None) -> None:
    pictures = [blobs(seed, (128, 128)) for seed in range(8)]
    looks = [features_of(picture) for picture in pictures]
    turned = [
        features_of(np.ascontiguousarray(np.dstack([ways(picture[..., 0])[k]] * 3)))
        for k, picture in enumerate(pictures)
    ]
    assert sorted(alike_as_wholes(looks, turned, most=2, differ=6)) == [(k, k, k) for k in range(8)]


def test_pictures_without_features_get_no_votes() -> None:
    flat = features_of(np.full((50, 60, 3), 128, np.uint8))
    assert len(flat.codes) == 0
    assert find_candidates([flat], [flat, features_of(blobs(0))], most=2, least=1e-9) == []
