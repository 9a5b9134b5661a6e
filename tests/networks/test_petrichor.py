"""Petrichor: how far it looks is what it says, so tiles give what the whole picture gives; it can be exported."""

import numpy as np
import pytest
import torch
from torch import nn

from derain.networks.petrichor import Petrichor, PetrichorLive
from derain.restore import Derainer

SIZES = [Petrichor, PetrichorLive]


def awake(size: type[Petrichor]) -> Petrichor:
    """A network whose output layer is not zero, as it is before training."""
    torch.manual_seed(0)
    network = size().eval()
    nn.init.normal_(network.out.weight, std=0.02)
    return network


@pytest.mark.parametrize(("size", "parameters"), [(Petrichor, 1_036_172), (PetrichorLive, 253_356)])
def test_parameters(size: type[Petrichor], parameters: int) -> None:
    assert sum(parameter.numel() for parameter in size().parameters()) == parameters


@pytest.mark.parametrize("size", SIZES)
def test_a_new_network_changes_nothing(size: type[Petrichor], seeded: None) -> None:
    rainy = torch.rand(1, 3, 19, 30)
    assert torch.equal(size().eval()(rainy), rainy)


@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize("size", SIZES)
def test_it_looks_as_far_as_it_says_and_no_further(size: type[Petrichor], axis: int) -> None:
    network = awake(size).double()
    middle = 256
    distances: list[int] = []
    for phase in range(size.tiling.multiple):
        shape = [1, 3, 8, 8]
        shape[axis] = 2 * middle
        rainy = torch.rand(shape, dtype=torch.double, requires_grad=True)
        network.estimate(rainy).select(axis, middle + phase).sum().backward()
        assert rainy.grad is not None
        seen = rainy.grad.abs().transpose(0, axis).flatten(1).sum(1).nonzero() - (middle + phase)
        distances += [int(-seen.min()), int(seen.max())]
    assert max(distances) == size.tiling.reach


@pytest.mark.parametrize("size", SIZES)
def test_tiles_give_what_the_whole_picture_gives(size: type[Petrichor]) -> None:
    assert size.tiling.exact
    network = awake(size)
    least = 4 * size.tiling.overlap
    image = np.random.default_rng(0).random((least + 77, least + 2, 3), np.float32)
    places: list[tuple[int, int]] = []
    tiled = Derainer(network, tile=least, device="cpu")(image, lambda done, count: places.append((done, count)))
    assert places[-1] == (4, 4)
    assert np.abs(tiled - Derainer(network, tile=0, device="cpu")(image)).max() < 1e-5


@pytest.mark.parametrize("size", SIZES)
def test_one_exported_graph_takes_every_size_of_its_grid(size: type[Petrichor]) -> None:
    network = awake(size)
    dynamic = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    graph = torch.export.export(network, (torch.rand(1, 3, 40, 56),), dynamic_shapes=(dynamic,)).module()
    for shape in ((40, 48), (16, 136), (64, 64)):
        rainy = torch.rand(1, 3, *shape)
        assert torch.allclose(graph(rainy), network(rainy), atol=1e-5)
