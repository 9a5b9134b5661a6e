"""Losses against values worked out by hand and against scikit-image."""

from collections.abc import Callable

import numpy as np
import pytest
import skimage.metrics
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from derain import rain
from derain.networks import losses


def as_batch(picture: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(picture.astype(np.float64) / 255).permute(2, 0, 1)[None]


def single_pixel(value: float, size: int = 7) -> Tensor:
    picture = torch.zeros(1, 3, size, size)
    picture[..., size // 2, size // 2] = value
    return picture


def test_edges_of_one_bright_pixel() -> None:
    edges = losses.edges(single_pixel(0.5))[0, 0]
    assert float(edges[3, 3]) == pytest.approx(8 * 0.5 * 0.9999)  # the weights add up to 0.9999
    assert float(edges.sum()) == pytest.approx(8 * 0.5 * 0.9999), (
        "around it the Laplacian is negative, and cut off"
    )


def test_edges_weigh_the_channels() -> None:
    picture = torch.zeros(1, 3, 5, 5)
    picture[0, 1, 2, 2] = 1
    assert float(losses.edges(picture).max()) == pytest.approx(8 * 0.5870)


def test_edges_at_the_border_see_zeros_beyond_it() -> None:
    edges = losses.edges(torch.ones(1, 3, 4, 4))[0, 0] / 0.9999
    assert torch.allclose(edges[0], torch.tensor([5.0, 3.0, 3.0, 5.0]))
    assert torch.allclose(edges[1, 1:3], torch.zeros(2), atol=1e-5)


def test_edge_loss_by_hand() -> None:
    a, b = single_pixel(0.5), single_pixel(0.25)
    expected = (8 * 0.25 * 0.9999) ** 2 / 49
    assert float(losses.edge_loss(a, b)) == pytest.approx(expected, rel=1e-5)
    assert float(losses.edge_loss(a, a)) == 0


def test_laplacian_residual_agrees_with_scipy(photo: NDArray[np.uint8]) -> None:
    plane = photo[:45, :52, 1] / 255
    taps = np.array([0.05, 0.25, 0.4, 0.25, 0.05])

    def blur(x: NDArray[np.float64]) -> NDArray[np.float64]:
        once: NDArray[np.float64] = ndimage.convolve1d(x, taps, axis=0, mode="nearest")
        return ndimage.convolve1d(once, taps, axis=1, mode="nearest")

    expanded = np.zeros_like(plane)
    expanded[::2, ::2] = 4 * blur(plane)[::2, ::2]
    expected = plane - blur(expanded)
    found = losses.laplacian_residual(torch.from_numpy(plane)[None, None])[0, 0].numpy()
    assert np.abs(found - expected).max() < 1e-12


def test_laplacian_residual_of_a_flat_picture_vanishes_inside() -> None:
    assert (
        float(
            losses.laplacian_residual(torch.full((1, 3, 12, 12), 0.7))[..., 3:-3, 3:-3].abs().max()
        )
        < 1e-6
    )


def test_charbonnier_by_hand() -> None:
    a, b = torch.tensor([0.0, 3e-3]), torch.tensor([0.0, -1e-3])
    assert float(losses.charbonnier(a, b)) == pytest.approx((1e-3 + (16e-6 + 1e-6) ** 0.5) / 2)


def test_laplacian_edge_loss_of_equal_pictures_is_its_epsilon(photo: NDArray[np.uint8]) -> None:
    assert float(losses.laplacian_edge_loss(as_batch(photo), as_batch(photo))) == pytest.approx(
        1e-3
    )


def test_ssim_agrees_with_scikit_image_where_the_window_fits(photo: NDArray[np.uint8]) -> None:
    noisy = np.clip(photo + np.random.default_rng(1).normal(0, 20, photo.shape), 0, 255).astype(
        np.uint8
    )
    # Zeros, as ours sees them.
    pad = (
        np.pad(photo, ((5, 5), (5, 5), (0, 0))),
        np.pad(noisy, ((5, 5), (5, 5), (0, 0))),
    )
    # Scikit-image crops what the window does not fit into: here, exactly the padding.
    expected = skimage.metrics.structural_similarity(
        pad[0] / 255,
        pad[1] / 255,
        data_range=1,
        channel_axis=2,
        gaussian_weights=True,
        use_sample_covariance=False,
        sigma=1.5,
    )
    assert float(losses.ssim(as_batch(photo), as_batch(noisy))) == pytest.approx(expected, abs=1e-9)


def test_ssim_of_equal_pictures_is_one_and_it_has_gradients() -> None:
    picture = torch.rand(2, 3, 16, 16, requires_grad=True)
    assert losses.ssim(picture, picture.detach()).item() == pytest.approx(1)
    losses.ssim(picture, torch.rand(2, 3, 16, 16)).backward()
    assert picture.grad is not None
    assert bool(torch.isfinite(picture.grad).all())


def test_frequency_loss_by_hand() -> None:
    picture = torch.rand(2, 3, 6, 8)
    assert losses.frequency_loss(picture, picture).item() == 0
    # A constant difference is one real number, 0.1 * sqrt(6 * 8), among 6 * 5 complex ones: half of
    # the spectrum is kept.
    assert losses.frequency_loss(picture + 0.1, picture).item() == pytest.approx(
        0.1 * 48**0.5 / 60, rel=1e-4
    )


def test_rmse_loss_is_the_mean_over_pictures_of_what_psnr_is_the_logarithm_of() -> None:
    clean = torch.rand(2, 3, 6, 8, dtype=torch.float64)
    output = clean + torch.tensor([0.01, 0.1])[:, None, None, None] * torch.randn_like(clean)
    roots = [
        10 ** (-skimage.metrics.peak_signal_noise_ratio(a.numpy(), b.numpy(), data_range=1) / 20)
        for a, b in zip(clean, output, strict=True)
    ]
    assert float(losses.rmse_loss(output, clean)) == pytest.approx(np.mean(roots), rel=0.01)


def test_rmse_loss_has_gradients_where_nothing_is_wrong() -> None:
    picture = torch.rand(2, 3, 6, 8, requires_grad=True)
    losses.rmse_loss(picture, picture.detach()).backward()
    assert picture.grad is not None
    assert not picture.grad.any()


@pytest.mark.parametrize(
    "loss",
    [
        losses.edge_loss,
        losses.laplacian_edge_loss,
        losses.rmse_loss,
        losses.ssim,
        losses.frequency_loss,
    ],
)
def test_losses_stay_exact_under_autocast(
    loss: Callable[[Tensor, Tensor], Tensor], photo: NDArray[np.uint8]
) -> None:
    a = as_batch(photo).float()
    b = (a + 0.01).clamp(0, 1)
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss(a, b)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, loss(a, b))
    assert float(losses.ssim(a.bfloat16(), a.bfloat16())) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("share", "labels"),
    [(0.0, [0, 0, 0]), (0.1, [0, 0, 1]), (0.3, [0, 1, 1]), (0.6, [1, 1, 1]), (1.0, [1, 1, 1])],
)
def test_cumulative_labels(share: float, labels: list[float]) -> None:
    clean = torch.full((1, 3, 10, 10), 0.5)
    rainy = clean.clone()
    rainy[:, 0].view(-1)[: int(100 * share)] += 0.1  # one channel is enough
    rainy[..., -1] += 0.01  # too little to count
    assert losses.cumulative_labels(rainy, clean)[0].tolist() == labels


def test_cumulative_labels_are_those_of_our_rain() -> None:
    clean = torch.full((3, 96, 96), 0.2)  # dark enough that nothing is clipped
    words = {1: "light", 2: "medium", 3: "heavy"}
    seen: set[str] = set()
    for preset in ("rain100l", "rain100h"):
        for seed in range(12):
            streaks = rain.sample(
                rain.PRESETS[preset], (96, 96), torch.Generator().manual_seed(seed)
            )
            label = losses.cumulative_labels(rain.compose(clean, streaks)[None], clean[None])
            assert words[int(label.sum())] == streaks.density
            seen.add(streaks.density)
    assert len(seen) == 3


def test_density_loss_by_hand() -> None:
    sensed, labels = torch.tensor([[0.5, 1.0, 1.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    assert float(losses.cumulative_density_loss(sensed, labels)) == pytest.approx((0.25 + 1) / 3)
    # (1, 1, 1), (0, 1, 1), (0, 0, 1).
    heavy, medium, light = torch.eye(3).flip(1).cumsum(0).flip(0)[:, None]
    assert losses.cumulative_density_loss(heavy, light) == 2 * losses.cumulative_density_loss(
        medium, light
    )
