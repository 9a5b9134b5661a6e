"""NIQE against a reference, its fits against samples of known shape, its scores of spoilt ones."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import niqe_reference as reference
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from derain.images import find_images, read_image
from derain.metrics import niqe

Bytes = NDArray[np.uint8]


@pytest.fixture(scope="session")
def photographs() -> list[Bytes]:
    """Public-domain photographs, 512x512 and larger."""
    return [
        skimage.data.astronaut(),
        skimage.data.coffee(),
        skimage.data.rocket(),
        skimage.data.chelsea(),
    ]


def test_features_are_the_references(photographs: list[Bytes]) -> None:
    for photo in photographs:
        features, sharpness = niqe.patch_features(photo)
        expected, sharp = reference.features_of(photo)
        assert (
            features.shape == expected.shape == (photo.shape[0] // 96 * (photo.shape[1] // 96), 36)
        )
        assert np.allclose(sharpness, sharp, rtol=1e-10)
        assert np.allclose(features, expected, rtol=1e-7, atol=1e-9)


def test_model_and_score_are_the_references(photographs: list[Bytes], crops: list[Bytes]) -> None:
    whole = [*photographs, *crops]  # whole pictures too: of these only the sharp patches count
    natural = niqe.fit(whole)
    mean, covariance = reference.fit(whole)
    assert natural.patches < sum(len(niqe.patch_features(picture)[0]) for picture in whole)
    assert np.allclose(natural.mean, mean, rtol=1e-8)
    assert np.allclose(natural.covariance, covariance, rtol=1e-6, atol=1e-12)
    for photo in photographs:
        assert niqe.niqe(photo, natural) == pytest.approx(
            reference.distance(photo, mean, covariance), rel=1e-5
        )


def test_rounding_errors_taken_for_texture_as_in_the_release_change_little(
    photographs: list[Bytes], natural: niqe.NaturalModel
) -> None:
    for photo in photographs:
        release = reference.distance(photo, natural.mean, natural.covariance, rounding=True)
        assert niqe.niqe(photo, natural) == pytest.approx(release, abs=0.02)


def test_halving_is_that_of_imresize() -> None:
    plane = np.random.default_rng(0).uniform(0, 255, (96, 192))
    ours = niqe._halve(plane)  # pyright: ignore[reportPrivateUsage]
    assert np.allclose(ours, reference.halve(plane), atol=1e-10)


@pytest.mark.torch
def test_halving_is_that_of_torch_inside() -> None:
    import torch
    from torch.nn import functional as F

    plane = np.random.default_rng(0).uniform(0, 255, (96, 192))
    ours = niqe._halve(plane)  # pyright: ignore[reportPrivateUsage]
    torchs = F.interpolate(
        torch.from_numpy(plane)[None, None], scale_factor=0.5, mode="bicubic", antialias=True
    )[0, 0].numpy()
    assert np.allclose(ours[2:-2, 2:-2], torchs[2:-2, 2:-2], atol=1e-9)


@given(
    alpha=st.floats(0.6, 4),
    left=st.floats(0.1, 3),
    right=st.floats(0.1, 3),
    seed=st.integers(0, 100),
)
def test_aggd_parameters_are_found_again_in_samples(
    alpha: float, left: float, right: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    # |x| / beta to the power alpha is gamma distributed, and a side holds its share beta of the
    # samples.
    sizes = rng.gamma(1 / alpha, 1, 400_000) ** (1 / alpha)
    samples = np.where(
        rng.uniform(size=sizes.size) < left / (left + right), -left * sizes, right * sizes
    )
    found = niqe.fit_aggd(samples)
    assert found[0] == pytest.approx(alpha, rel=0.08)
    assert found[1:] == pytest.approx([left, right], rel=0.08)
    assert np.allclose(found, reference.estimate_aggd(samples), rtol=1e-9)


@given(seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3))
def test_a_fit_scales_and_mirrors(seed: int, scale: float) -> None:
    samples = np.random.default_rng(seed).normal(0.1, 1, (3, 500))
    alpha, left, right = niqe.fit_aggd(samples).T
    assert np.allclose(
        niqe.fit_aggd(samples * scale).T, [alpha, left * scale, right * scale], rtol=0.01
    )
    assert np.allclose(niqe.fit_aggd(-samples).T, [alpha, right, left], rtol=0.01)


def test_a_side_without_samples_has_no_fit() -> None:
    fits = niqe.fit_aggd(np.array([[0.0, 0, 0], [1.0, 2, 3], [-1.0, 1, 2]]))
    assert np.isnan(fits[:2]).all()
    assert np.isfinite(fits[2]).all()


def test_sixteen_bits_and_grey_score_as_eight_and_colour(
    photographs: list[Bytes], natural: niqe.NaturalModel
) -> None:
    photo = photographs[0]
    grey = np.rint(
        photo @ np.array([0.298936021293775, 0.587043074451121, 0.114020904255103])
    ).astype(np.uint8)
    assert niqe.niqe(grey, natural) == pytest.approx(niqe.niqe(photo, natural), rel=1e-9)
    deep = grey.astype(np.uint16) * 257
    assert niqe.niqe(deep, natural) == pytest.approx(niqe.niqe(grey, natural), rel=1e-9)


def test_pixels_beyond_the_last_patch_do_not_count(
    photographs: list[Bytes], natural: niqe.NaturalModel
) -> None:
    photo = photographs[0]
    assert niqe.niqe(photo[:300, :400], natural) == niqe.niqe(photo[:288, :384], natural)


def test_flat_patches_are_left_out(photographs: list[Bytes], natural: niqe.NaturalModel) -> None:
    photo = photographs[1][:288, :384].copy()
    sky = np.full((192, 384, 3), 255, np.uint8)
    features, _ = niqe.patch_features(np.concatenate([sky, photo]))
    assert np.isnan(features[:4]).any(axis=1).all(), (
        "nothing but white, the window reaches no further"
    )
    assert np.isfinite(features[8:]).all()
    assert np.isfinite(niqe.niqe(np.concatenate([sky, photo]), natural))


def test_a_model_comes_back_exactly_as_it_was_written(natural: niqe.NaturalModel) -> None:
    again = niqe.from_json(niqe.to_json(natural))
    assert np.array_equal(again.mean, natural.mean)
    assert np.array_equal(again.covariance, natural.covariance)
    assert (again.pictures, again.patches, again.digest) == (
        natural.pictures,
        natural.patches,
        natural.digest,
    )
    assert (
        again.describe()
        == f"fitted on 48 clean pictures, {natural.patches} patches, sha256 {natural.digest[:12]}"
    )


def test_the_digest_tells_pictures_apart(crops: list[Bytes], natural: niqe.NaturalModel) -> None:
    assert niqe.fit(iter(crops)).digest == natural.digest
    other = crops[0].copy()
    other[0, 0, 0] ^= 1
    assert niqe.fit([other, *crops[1:]]).digest != natural.digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "else"}, "expected a NIQE model"),
        ({"patch": 48}, "expected a NIQE model"),
        ({"mean": [0.0] * 35}, r"\(35,\)"),
        ({"mean": [float("nan")] * 36}, "contain NaN or infinity"),
        ({"mean": ["1"] * 36}, "mean of the NIQE model: expected numbers"),
        ({"covariance": [[0.0] * 36, [0.0]]}, "covariance of the NIQE model: expected numbers"),
        (
            {"covariance": [[float(i * j) for i in range(36)] for j in range(1, 37)]},
            "not symmetric",
        ),
        ({"covariance": (-np.eye(36)).tolist()}, "negative eigenvalues"),
        ({"pictures": True}, "each of its type"),
        ({"pictures": 0}, "0 pictures"),
        ({"patches": 36}, "expected more than 36 patches"),
        ({"digest": "abc"}, "64 hexadecimal digits"),
        ({"more": 1}, "each of its type"),
    ],
)
def test_a_file_that_is_no_model_is_refused(
    change: dict[str, Any], message: str, natural: niqe.NaturalModel
) -> None:
    content = json.loads(niqe.to_json(natural)) | change
    with pytest.raises(niqe.NiqeError, match=message):
        niqe.from_json(json.dumps(content))


@pytest.mark.parametrize("text", ["", "[]", "3", b"\xff\xd8\xff", "[" * 100_000])
def test_a_file_of_something_else_is_refused(text: str | bytes) -> None:
    with pytest.raises(niqe.NiqeError, match="expected a NIQE model"):
        niqe.from_json(text)


def test_pictures_that_have_no_score_are_refused(
    photographs: list[Bytes], natural: niqe.NaturalModel
) -> None:
    photo = photographs[0]
    with pytest.raises(niqe.NiqeError, match="400x95 pixels; NIQE needs at least 96x96"):
        niqe.niqe(photo[:95, :400], natural)
    with pytest.raises(
        niqe.NiqeError, match="1 patch of 96x96 with texture; NIQE needs at least 2"
    ):
        niqe.niqe(photo[:191, :191], natural)
    for level in (0, 77, 255):
        with pytest.raises(niqe.NiqeError, match="0 patches of 96x96 with texture"):
            niqe.niqe(np.full((300, 300, 3), level, np.uint8), natural)
    with pytest.raises(niqe.NiqeError, match=r"float64 of shape \(96, 96, 3\)"):
        niqe.niqe(np.zeros((96, 96, 3)), natural)
    with pytest.raises(niqe.NiqeError, match=r"uint8 of shape \(96, 96, 4\)"):
        niqe.niqe(np.zeros((96, 96, 4), np.uint8), natural)


def test_pictures_that_make_no_model_are_refused(crops: list[Bytes]) -> None:
    with pytest.raises(
        niqe.NiqeError,
        match="36 clean pictures with 36 sharp patches of 96x96; expected more than 36",
    ):
        niqe.fit(crops[:36])
    with pytest.raises(niqe.NiqeError, match="0 clean pictures with 0 sharp patches"):
        niqe.fit([])
    with pytest.raises(niqe.NiqeError, match="clean picture 3: 40x96 pixels; NIQE needs"):
        niqe.fit([*crops[:2], crops[2][:, :40]])
    with pytest.raises(niqe.NiqeError, match="clean picture 1: no patch with texture"):
        niqe.fit([np.full((96, 96, 3), 128, np.uint8)])


def test_a_model_cannot_be_changed_into_nonsense(natural: niqe.NaturalModel) -> None:
    with pytest.raises(niqe.NiqeError, match="not symmetric"):
        replace(natural, covariance=-natural.covariance)


@pytest.mark.parametrize(
    ("variance", "mean"), [(1.0, 1e200), (1e308, 1e308), (1e-320, 1e160), (1.0, -1e308)]
)
def test_absurd_numbers_give_no_score(
    variance: float, mean: float, natural: niqe.NaturalModel, photographs: list[Bytes]
) -> None:
    covariance = np.eye(niqe.FEATURES) * variance
    model = replace(natural, mean=np.full(niqe.FEATURES, mean), covariance=covariance)
    with pytest.raises(
        niqe.NiqeError, match="NaN or infinity; expected a model fitted on clean pictures"
    ):
        niqe.niqe(photographs[0], model)


def test_absurd_covariances_are_no_model(natural: niqe.NaturalModel) -> None:
    for scale in (-1e300, 1.7e308):
        covariance = np.full((niqe.FEATURES, niqe.FEATURES), scale)
        covariance[0, 1:] *= -1
        with pytest.raises(niqe.NiqeError, match="not symmetric, or has negative eigenvalues"):
            replace(natural, covariance=covariance)


# On held-out photographs


@pytest.fixture(scope="session")
def fitted(reference_data: Path) -> niqe.NaturalModel:
    """Return a model fitted on every third photograph of BSDS500.

    Other photographs are compressed more: they are not pristine.
    """
    pristine = [
        path
        for path in find_images(reference_data / "clean/train")[0]
        if path.name.startswith("bsds")
    ]
    return niqe.fit(read_image(path) for path in pristine[::3])


@pytest.fixture(scope="session")
def held_out(reference_data: Path) -> list[Bytes]:
    return [
        read_image(path).astype(np.uint8) for path in find_images(reference_data / "clean/val")[0]
    ]


def noisy(picture: Bytes, deviation: float) -> Bytes:
    noise = np.random.default_rng(0).normal(0, deviation, picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def blurred(picture: Bytes, deviation: float) -> Bytes:
    return np.asarray(ndimage.gaussian_filter(picture, (deviation, deviation, 0)), np.uint8)


def test_what_spoils_a_picture_raises_its_score(
    held_out: list[Bytes], fitted: niqe.NaturalModel
) -> None:
    clean = np.array([niqe.niqe(picture, fitted) for picture in held_out])
    assert 1 < clean.mean() < 4.5
    last: dict[str, float] = {}
    for spoil, name in ((blurred, "blur"), (noisy, "noise")):
        for amount in (1.0, 2.0) if name == "blur" else (10.0, 25.0):
            spoilt = np.array([niqe.niqe(spoil(picture, amount), fitted) for picture in held_out])
            assert (spoilt > clean).mean() >= 0.9, (name, amount)
            assert spoilt.mean() > last.get(name, clean.mean() + 1), (name, amount)
            last[name] = spoilt.mean()


@pytest.mark.torch
@pytest.mark.parametrize(("preset", "more", "share"), [("rain100l", 0.4, 0.75), ("rain100h", 3, 1)])
def test_rain_raises_the_score(
    preset: str, more: float, share: float, held_out: list[Bytes], fitted: niqe.NaturalModel
) -> None:
    from derain.rain import PRESETS, generator_for, rain_on

    clean = np.array([niqe.niqe(picture, fitted) for picture in held_out])
    rainy = [
        rain_on(picture, PRESETS[preset], generator_for(7, k)) for k, picture in enumerate(held_out)
    ]
    scores = np.array([niqe.niqe(picture, fitted) for picture in rainy])
    assert scores.mean() > clean.mean() + more
    assert (scores > clean).mean() >= share


def test_real_photographs_have_finite_scores(
    reference_data: Path, fitted: niqe.NaturalModel
) -> None:
    scores = [
        niqe.niqe(read_image(path), fitted)
        for path in find_images(reference_data / "real/photos")[0]
    ]
    assert len(scores) >= 14
    assert np.isfinite(scores).all()
    assert 1 < np.mean(scores) < 15
