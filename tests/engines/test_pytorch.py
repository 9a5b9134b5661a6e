"""PyTorch: devices and number formats, and networks in a Derainer.

What a Derainer does with any engine is in tests/test_restore.py.
"""

from dataclasses import replace
from typing import Any, ClassVar
from unittest.mock import Mock

import numpy as np
import numpy_engines
import pytest
import torch
from numpy.typing import NDArray
from numpy_engines import as_floats
from torch import Tensor, nn

from derain import weights
from derain.engines.pytorch import (
    choose_device,
    choose_dtype,
    choose_training_dtype,
    free_memory,
    has_bfloat16,
)
from derain.networks import CRDNet, DPENet, Hyperparameters, Tiling
from derain.restore import FLIPS, Derainer, load
from derain.tiles import spans
from derain.weights.loading import find


class Local(nn.Module):
    """The network that `numpy_engines.Local` is, in PyTorch."""

    tiling: ClassVar[Tiling] = Tiling(tile=32, overlap=8, reach=1)

    def __init__(self) -> None:
        super().__init__()
        self.hyperparameters: Hyperparameters = {}
        kernel = torch.zeros(3, 3, 3, 3)
        kernel[range(3), range(3)] = 1 / 9
        self.blur = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.blur.weight = nn.Parameter(kernel)

    def estimate(self, rainy: Tensor) -> Tensor:
        return self.blur(rainy)

    def forward(self, rainy: Tensor) -> Tensor:
        return self.estimate(rainy)

    def loss(self, rainy: Tensor, clean: Tensor) -> dict[str, Tensor]:
        return {"mae": (self(rainy) - clean).abs().mean()}


def test_auto_takes_the_best_there_is() -> None:
    expected = (
        "cuda"
        if torch.cuda.is_available()
        else "mps"
        if torch.backends.mps.is_available()
        else "cpu"
    )
    assert choose_device("auto").type == expected
    assert choose_device("cpu").type == "cpu"
    assert choose_dtype("auto") == torch.float32


def test_training_takes_bfloat16_where_the_device_computes_in_it() -> None:
    cpu = torch.device("cpu")
    assert choose_training_dtype("auto", cpu) == (
        torch.bfloat16 if has_bfloat16(cpu) else torch.float32
    )
    assert choose_training_dtype("float32", cpu) == torch.float32
    with pytest.raises(
        ValueError, match="dtype=float16: expected auto, float32 or bfloat16 to train in"
    ):
        choose_training_dtype("float16", cpu)


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_formats_by_name(name: str) -> None:
    assert choose_dtype(name) == getattr(torch, name)


def test_memory_is_that_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derain.machine.free_memory", Mock(return_value=7))
    assert free_memory(torch.device("cpu")) == 7
    assert free_memory(torch.device("mps")) is None


def test_a_derainer_says_what_pytorch_computes_in() -> None:
    assert Derainer(Local(), device="cpu").describe() == "tile 32, overlap 8, float32, cpu"
    assert Derainer(Local(), tile=0, device="cpu").describe() == "whole pictures, float32, cpu"
    flipped = Derainer(Local(), device="cpu", flips=4)
    assert flipped.describe() == "tile 32, overlap 8, mean of 4 flips, float32, cpu"


@pytest.mark.parametrize("flips", FLIPS)
@pytest.mark.parametrize("tile", [0, 16, 32])
def test_tiles_and_flips_of_a_network_are_those_of_any_engine(flips: int, tile: int) -> None:
    image = np.random.default_rng(0).random((50, 37, 3), np.float32)
    network = Derainer(Local(), tile=tile, device="cpu", flips=flips)
    engine = Derainer(numpy_engines.Local(), tile=tile, flips=flips)
    assert np.allclose(network(image), engine(image), atol=1e-6)


def test_devices_and_formats_that_are_not_there() -> None:
    with pytest.raises(ValueError, match="device=tpu: not available here; expected auto or one of"):
        Derainer(Local(), device="tpu")
    with pytest.raises(ValueError, match="device=cpu:: not available here"):
        Derainer(Local(), device="cpu:")
    with pytest.raises(ValueError, match="dtype=int4: expected one of"):
        Derainer(Local(), dtype="int4")


class Twice(Local):
    def forward(self, rainy: Tensor) -> Any:
        return rainy, rainy


class Grey(Local):
    def forward(self, rainy: Tensor) -> Tensor:
        return rainy[:, :1]


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Conv2d(3, 3, 1), "a Conv2d, which has no tiling; expected a network"),
        (nn.DataParallel(Local()), "a DataParallel, which has no tiling"),
        (DPENet(blocks=1).half(), r"a network in float16; expected float32: call its float\(\)"),
        (Twice(), r"Twice returns a tuple; expected a tensor \(1, 3, 8, 8\)"),
        (Grey(), r"Grey returns a Tensor \(1, 1, 8, 8\); expected a tensor \(1, 3, 8, 8\)"),
    ],
)
def test_what_is_no_network_of_pictures_is_refused(network: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Derainer(network, device="cpu")(np.zeros((8, 8, 3), np.uint8))


def test_half_precision_that_overflows_falls_back_to_float32() -> None:
    class Overflowing(Local):
        def forward(self, rainy: Tensor) -> Tensor:
            if torch.is_autocast_enabled("cpu"):
                return torch.full_like(rainy, torch.nan)
            return rainy

    image = np.random.default_rng(0).random((8, 8, 3), np.float32)
    assert np.array_equal(Derainer(Overflowing(), dtype="bfloat16", device="cpu")(image), image)


def test_bfloat16_is_close_to_float32(photo: NDArray[np.uint8]) -> None:
    network, half = load("nledn", device="cpu"), load("nledn", device="cpu", dtype="bfloat16")
    crop = photo[:48, :48]
    difference = network(crop).astype(float) - half(crop)
    assert np.sqrt((difference**2).mean()) < 2.55  # 40 dB


def test_nledn_has_no_seams(photo: NDArray[np.uint8]) -> None:
    image = np.tile(as_floats(photo), (1, 2, 1))[:, :256]
    torch.manual_seed(0)
    network, _ = find("nledn")
    plain = Derainer(network, tile=96, overlap=16, device="cpu")(image)
    careful = Derainer(network, tile=96, overlap=24, device="cpu")(image)
    steps = np.abs(np.diff(plain - careful, axis=1)).max(axis=(0, 2))
    borders = [
        edge
        for tile in spans(256, 96, 16)
        for edge in (tile.start, tile.stop, *tile.fade_in)
        if 0 < edge < 255
    ]
    elsewhere = np.delete(steps, borders)
    assert max(steps[edge] for edge in borders) <= elsewhere.max() + 1 / 255


def test_density_that_cannot_be_sensed() -> None:
    with pytest.raises(ValueError, match="cannot measure rain density; expected CRDNet's"):
        Derainer(Local(), device="cpu").density(np.zeros((8, 8, 3), np.uint8))
    network = CRDNet(classifier="compact")
    for parameter in network.parameters():
        parameter.data.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="the classifier returned NaN or infinity"):
        Derainer(network, device="cpu").density(np.zeros((8, 8, 3), np.uint8))


@pytest.mark.parametrize(
    ("listed", "there", "dtype", "expected"),
    [
        (True, True, "auto", torch.bfloat16),
        (True, True, "float32", torch.float32),
        (True, False, "auto", torch.float32),
        (False, True, "auto", torch.float32),
        (False, True, "bfloat16", torch.bfloat16),
    ],
)
def test_bfloat16_is_chosen_where_it_is_fast_and_loses_nothing(
    listed: bool, there: bool, dtype: str, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = weights.CATALOGUE["petrichor-live"]
    monkeypatch.setitem(weights.CATALOGUE, "petrichor-live", replace(entry, bfloat16=listed))
    monkeypatch.setattr("derain.engines.pytorch.has_bfloat16", Mock(return_value=there))
    derainer = load("petrichor-live", device="cpu", dtype=dtype)
    assert derainer.engine.dtype == str(expected).removeprefix("torch.")
    assert derainer.describe().endswith(f"{str(expected).removeprefix('torch.')}, cpu")
    assert load(str(entry.path), device="cpu").engine.dtype == "float32", (
        "a file is no row of the catalogue"
    )
