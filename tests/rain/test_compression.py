"""Compression: what Pillow makes of a JPEG file, on tensors."""

import io

import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray
from PIL import Image

from derain import metrics
from derain.rain import Compression

CPU = torch.device("cpu")


def compress(picture: NDArray[np.uint8], quality: float) -> NDArray[np.uint8]:
    tensor = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]
    opened = Compression(CPU)(tensor, torch.tensor([quality]))[0]
    levels = (255 * opened).permute(1, 2, 0).double().numpy()
    assert np.abs(levels - levels.round()).max() < 1e-4
    return levels.round().astype(np.uint8)


def through_pillow(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=2)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("quality", [30, 43, 50, 68, 80, 95])
@pytest.mark.parametrize("size", [(128, 160), (97, 101), (16, 33), (1, 1)])
def test_agrees_with_pillow(quality: int, size: tuple[int, int]) -> None:
    picture = np.ascontiguousarray(skimage.data.astronaut()[30 : 30 + size[0], 150 : 150 + size[1]])
    expected, found = through_pillow(picture, quality), compress(picture, float(quality))
    assert found.shape == picture.shape
    assert metrics.psnr(found, expected) > 40
    if size[0] > 90:  # what is lost is more than the difference
        assert metrics.psnr(expected, picture) < metrics.psnr(found, expected) - 3


def test_agrees_with_pillow_on_saturated_colours_and_hard_edges() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, 20:40] = (255, 0, 0)
    picture[30:45] = (0, 255, 255)
    picture[50:, 50:] = 255
    assert metrics.psnr(compress(picture, 60.0), through_pillow(picture, 60)) > 40


def test_each_picture_has_its_own_quality(photo: NDArray[np.uint8]) -> None:
    tensor = torch.from_numpy(photo.astype(np.float32) / 255).permute(2, 0, 1)
    batch = Compression(CPU)(tensor.expand(3, -1, -1, -1), torch.tensor([30.0, 60.0, 95.0]))
    losses = (batch - tensor).square().mean((1, 2, 3)).tolist()
    assert losses[0] > 1.5 * losses[1] > 3 * losses[2] > 0
    for k, quality in enumerate((30.0, 60.0, 95.0)):
        alone = torch.from_numpy(compress(photo, quality) / 255).permute(2, 0, 1).float()
        assert float((batch[k] - alone).abs().max()) < 1e-6


@pytest.mark.parametrize("level", [0, 77, 255])
def test_flat_grey_stays(level: int) -> None:
    assert (
        np.abs(compress(np.full((40, 24, 3), level, np.uint8), 95.0).astype(int) - level).max() <= 1
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_same_on_a_gpu(photo: NDArray[np.uint8]) -> None:
    tensor = torch.from_numpy(photo.astype(np.float32) / 255).permute(2, 0, 1)[None]
    quality = torch.tensor([60.0])
    on_cpu = Compression(CPU)(tensor, quality)
    on_gpu = Compression(torch.device("cuda"))(tensor.cuda(), quality.cuda()).cpu()
    assert float((on_cpu - on_gpu).square().mean()) < 1e-6  # rounding decides now and then
