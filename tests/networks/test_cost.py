"""What a network costs, counted and measured."""

import sys
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import nn

from derain import __version__, machine
from derain.data import find_pairs
from derain.evaluate import evaluate
from derain.machine import PeakMemory
from derain.networks import NETWORKS, NLEDN, Network, Tiling
from derain.networks.cost import multiply_adds
from derain.restore import Derainer


def test_what_it_costs(pairs: Path) -> None:
    network = NLEDN(blocks=1, pooling=False)
    cost = evaluate(Derainer(network, device="cpu"), find_pairs(pairs)).cost
    assert cost.parameters == 239_587
    assert cost.seconds_per_megapixel > 0
    if sys.platform == "linux":
        assert cost.peak_memory is not None
        assert 50e6 < cost.peak_memory < 50e9


def test_every_flip_costs_what_the_network_costs(pairs: Path) -> None:
    network = cast("Network", OneConvolution())
    once, often = (
        evaluate(Derainer(network, device="cpu", flips=flips), find_pairs(pairs))
        for flips in (1, 4)
    )
    assert often.cost.multiply_adds == 4 * 3 * 5 * 9 * 512**2
    assert once.cost.multiply_adds == 3 * 5 * 9 * 512**2
    assert "mean of 4 flips" in often.execution


def test_peak_memory_is_that_since_it_began() -> None:
    if sys.platform != "linux":
        pytest.skip("no high-water mark to set back")
    large = np.ones(60_000_000)  # 480 MB
    del large
    memory = PeakMemory()
    before = memory.read()
    block = np.ones(30_000_000)
    after = memory.read()
    assert before is not None
    assert after is not None
    assert 200e6 < after - before + 40e6 < 400e6
    assert block[-1] == 1


def test_the_machine_is_described_in_one_line() -> None:
    line = machine.describe()
    assert line.startswith(f"derain {__version__}, torch {torch.__version__}, ")
    assert f" cores, PyTorch on {torch.get_num_threads()}" in line
    assert "\n" not in line


class OneConvolution(nn.Module):
    """3 * 5 * 9 multiply-adds a pixel."""

    tiling = Tiling(tile=64, overlap=0)

    def __init__(self, *, looks: bool = False) -> None:
        super().__init__()
        self.hyperparameters = {"looks": looks}
        self.conv, self.looks = nn.Conv2d(3, 5, 3, padding=1), looks

    def forward(self, rainy: torch.Tensor) -> torch.Tensor:
        if self.looks and rainy.max() > 0.5:
            return rainy
        return self.conv(rainy)[:, :3]


def test_multiply_adds_by_hand() -> None:
    assert multiply_adds(cast("Network", OneConvolution()), (512, 512)) == 3 * 5 * 9 * 512**2
    assert multiply_adds(cast("Network", OneConvolution()), (10, 10)) == 3 * 5 * 9 * 100
    assert multiply_adds(cast("Network", OneConvolution(looks=True)), (9, 9)) is None


@pytest.mark.parametrize("name", NETWORKS)
def test_multiply_adds_of_every_network_can_be_counted(name: str) -> None:
    network = NETWORKS[name]()
    small, large = multiply_adds(network, (64, 64)), multiply_adds(network, (128, 128))
    assert small is not None
    assert large is not None
    assert 3.9 < large / small < 6, "about four times as much; attention grows faster"
    assert all(parameter.device.type == "cpu" for parameter in network.parameters())
