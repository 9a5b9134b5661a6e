"""PSNR, SSIM and the protocols against scikit-image and Pillow."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.color
import skimage.metrics
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from numpy_engines import as_floats
from PIL import Image

from derain import metrics
from derain.errors import UsageError
from derain.evaluate import Scoring


def noisy(image: NDArray[np.uint8], amount: float, seed: int = 0) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).normal(0, amount, image.shape)
    return np.clip(as_floats(image) + noise, 0, 1).astype(np.float32)


GAUSSIAN: dict[str, Any] = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def reference_ssim(a: NDArray[Any], b: NDArray[Any], **options: Any) -> float:
    value: Any = skimage.metrics.structural_similarity(a, b, data_range=255, **options)
    return float(value)


@pytest.mark.parametrize("amount", [0.003, 0.05, 0.4])
def test_psnr_is_scikit_images(photo: NDArray[np.uint8], amount: float) -> None:
    other = metrics.quantise(noisy(photo, amount))
    expected = skimage.metrics.peak_signal_noise_ratio(photo, other, data_range=255)
    assert metrics.psnr(photo, other) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("amount", [0.003, 0.05, 0.4])
def test_ssim_is_scikit_images(photo: NDArray[np.uint8], amount: float) -> None:
    a, b = (metrics.luma_matlab(image) for image in (photo, metrics.quantise(noisy(photo, amount))))
    gaussian = reference_ssim(a, b, **GAUSSIAN)
    uniform = reference_ssim(a, b)
    assert metrics.ssim(a, b) == pytest.approx(gaussian, abs=1e-9)
    assert metrics.ssim(a, b, window="uniform") == pytest.approx(uniform, abs=1e-9)


def test_protocol_y_matlab(photo: NDArray[np.uint8]) -> None:
    output = noisy(photo, 0.05)
    a, b = (
        skimage.color.rgb2ycbcr(image)[..., 0]
        for image in (np.rint(output * 255).astype(np.uint8), photo)
    )
    score = metrics.score(output, photo, "y-matlab")
    assert score.psnr == pytest.approx(
        skimage.metrics.peak_signal_noise_ratio(a, b, data_range=255), abs=1e-6
    )
    expected = reference_ssim(a, b, **GAUSSIAN)
    assert score.ssim == pytest.approx(expected, abs=1e-6)


def test_protocol_y_pil(photo: NDArray[np.uint8]) -> None:
    output = noisy(photo, 0.05)
    truncated = (output * np.float32(255)).astype(np.uint8)
    a, b = (
        np.array(Image.fromarray(image).convert("YCbCr"))[..., 0] for image in (truncated, photo)
    )
    score = metrics.score(output, photo, "y-pil")
    assert score.psnr == pytest.approx(
        skimage.metrics.peak_signal_noise_ratio(a, b, data_range=255), abs=1e-9
    )
    assert score.ssim == pytest.approx(reference_ssim(a, b), abs=1e-9)


def test_protocol_rgb(photo: NDArray[np.uint8]) -> None:
    output = noisy(photo, 0.05)
    rounded = np.rint(output * 255).astype(np.uint8)
    score = metrics.score(output, photo, "rgb")
    assert score.psnr == pytest.approx(
        skimage.metrics.peak_signal_noise_ratio(photo, rounded, data_range=255), abs=1e-9
    )
    expected = reference_ssim(photo, rounded, channel_axis=2, **GAUSSIAN)
    # scikit-image filters integer planes in place; ours are floats throughout.
    assert score.ssim == pytest.approx(expected, abs=1e-6)


def test_luma_pil_is_pillows_for_every_colour() -> None:
    values = np.arange(0, 256, 3, dtype=np.uint8)
    colours = np.stack(np.meshgrid(values, values, values), axis=-1).reshape(1, -1, 3)
    assert np.array_equal(
        metrics.luma_pil(colours), np.array(Image.fromarray(colours).convert("YCbCr"))[..., 0]
    )


@pytest.mark.parametrize("protocol", metrics.PROTOCOLS)
def test_identical_pictures(photo: NDArray[np.uint8], protocol: metrics.Protocol) -> None:
    # The smallest float that truncates to the level meant: as a network's exact output would.
    score = metrics.score(np.nextafter(as_floats(photo), np.float32(2)), photo, protocol)
    assert score.psnr == math.inf
    assert score.ssim == pytest.approx(1)


def test_black_pictures() -> None:
    black = np.zeros((16, 16, 3), np.uint8)
    assert metrics.score(as_floats(black), black, "y-matlab") == metrics.Score(
        "y-matlab", math.inf, 1.0
    )


def test_psnr_of_floats_is_that_of_their_levels(photo: NDArray[np.uint8]) -> None:
    other = np.roll(photo, 3, axis=0)
    levels = metrics.psnr(photo, other)
    floats = metrics.psnr(photo / 255, other / 255, peak=1.0)
    assert floats == pytest.approx(levels, abs=1e-9)
    assert metrics.psnr(photo, other, peak=1.0) == pytest.approx(levels - 20 * np.log10(255))


@given(seed=st.integers(0, 1000), amount=st.floats(0.01, 0.5))
def test_scores_are_symmetric_and_bounded(seed: int, amount: float) -> None:
    a = np.random.default_rng(seed).integers(0, 256, (13, 17), dtype=np.uint8)
    b = metrics.quantise(
        np.clip(a / 255 + np.random.default_rng(seed + 1).normal(0, amount, a.shape), 0, 1)
    )
    assert metrics.psnr(a, b) == metrics.psnr(b, a)
    assert metrics.ssim(a, b) == pytest.approx(metrics.ssim(b, a))
    assert -1 <= metrics.ssim(a, b) <= 1


def test_ssim_of_colour_is_scikit_images(photo: NDArray[np.uint8]) -> None:
    other = metrics.quantise(noisy(photo, 0.05))
    expected = reference_ssim(photo * 1.0, other * 1.0, channel_axis=2, **GAUSSIAN)
    assert metrics.ssim(photo, other) == pytest.approx(expected, abs=1e-9)
    expected = reference_ssim(photo * 1.0, other * 1.0, channel_axis=2)
    assert metrics.ssim(photo, other, window="uniform") == pytest.approx(expected, abs=1e-9)


def test_the_scale_is_that_of_the_type(photo: NDArray[np.uint8]) -> None:
    other = np.roll(photo, 3, axis=0)
    wide, wide_other = (image.astype(np.uint16) * 257 for image in (photo, other))
    for metric in (metrics.psnr, metrics.ssim):
        levels = metric(photo, other)
        assert metric(wide, wide_other) == pytest.approx(levels, abs=1e-9)
        assert metric(photo / 255, other / 255, peak=1) == pytest.approx(levels, abs=1e-9)
        assert metric(photo * 1.0, other * 1.0) == pytest.approx(levels, abs=1e-9)
        with pytest.raises(ValueError, match="floats of at most 1: expected peak=1"):
            metric(photo / 255, other / 255)
        with pytest.raises(ValueError, match="uint16 and uint8: expected one type"):
            metric(photo, wide)


def test_metrics_take_what_derainers_take(photo: NDArray[np.uint8]) -> None:
    torch = pytest.importorskip("torch")
    other = np.roll(photo, 3, axis=0)
    for metric in (metrics.psnr, metrics.ssim):
        expected = metric(photo, other)
        assert metric(Image.fromarray(photo), Image.fromarray(other)) == expected
        tensors = [torch.from_numpy(image.transpose(2, 0, 1).copy()) for image in (photo, other)]
        assert metric(*tensors) == pytest.approx(expected, abs=1e-12)
        with pytest.raises(TypeError, match="a str for an image: expected an array"):
            metric("a.png", photo)


def test_errors_say_what_was_found(photo: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match=r"\(120, 160, 3\)"):
        metrics.score(as_floats(photo)[:-1], photo, "rgb")
    with pytest.raises(ValueError, match="9x20 pixels: SSIM needs at least 11x11"):
        metrics.ssim(np.zeros((20, 9)), np.zeros((20, 9)))
    with pytest.raises(ValueError, match="differ"):
        metrics.psnr(np.zeros((2, 2)), np.zeros((2, 3)))


def test_rainy_input_of_rain100l_scores_as_in_the_literature(reference_data: Path) -> None:
    folder = reference_data / "pairs/Rain100L-dev10"
    pairs = [
        (np.array(Image.open(path)), np.array(Image.open(folder / "clean" / path.name)))
        for path in (folder / "rainy").iterdir()
    ]
    expected = {"y-matlab": (27.295, 0.8352), "y-pil": (25.971, 0.8117), "rgb": (25.988, 0.8237)}
    for protocol in metrics.PROTOCOLS:
        scores = [metrics.score(as_floats(rainy), clean, protocol) for rainy, clean in pairs]
        assert np.mean([score.psnr for score in scores]) == pytest.approx(
            expected[protocol][0], abs=0.01
        )
        assert np.mean([score.ssim for score in scores]) == pytest.approx(
            expected[protocol][1], abs=0.0005
        )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ypil", "protocol=ypil: expected one of y-matlab, y-pil, rgb; did you mean y-pil?"),
        ("RGB", "protocol=RGB: expected one of y-matlab, y-pil, rgb"),
    ],
)
def test_unknown_protocols_are_refused(name: Any, message: str, photo: NDArray[np.uint8]) -> None:
    with pytest.raises(UsageError) as raised:
        metrics.score(as_floats(photo), photo, name)
    assert str(raised.value).startswith(message)
    with pytest.raises(UsageError):
        Scoring([name])


def test_an_output_of_levels_is_refused(photo: NDArray[np.uint8]) -> None:
    with pytest.raises(TypeError, match=r"an output of uint8: expected floats in \[0, 1\]"):
        metrics.score(photo, photo, "rgb")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("peak", [0, -1, math.nan, math.inf])
def test_a_peak_is_positive(peak: float, photo: NDArray[np.uint8]) -> None:
    for measure in (metrics.psnr, metrics.ssim):
        with pytest.raises(UsageError, match="expected a positive number"):
            measure(photo, photo, peak=peak)


def test_windows_and_pixels_there_have_to_be(photo: NDArray[np.uint8]) -> None:
    with pytest.raises(UsageError, match=r"window=gausian: .*; did you mean gaussian\?"):
        metrics.ssim(photo, photo, "gausian")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="expected pixels"):
        metrics.psnr(photo[:0], photo[:0])
