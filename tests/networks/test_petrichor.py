"""Petrichor: tiles give what the whole picture gives, and it can be exported."""

import numpy as np
import pytest
import torch
from torch import nn

from derain.networks.petrichor import Petrichor, PetrichorLive
from derain.restore import Derainer

SIZES = [Petrichor, PetrichorLive]


def awake(size: type[Petrichor]) -> Petrichor:
    """A network as lively as a trained one; a new one gives back what it is given."""
    torch.manual_seed(0)
    network = size().eval()
    nn.init.normal_(network.out.weight, std=0.02)
    for name, parameter in network.named_parameters():
        if name.endswith("scale"):
            nn.init.ones_(parameter)
    return network


@pytest.mark.parametrize(("size", "parameters"), [(Petrichor, 1_036_172), (PetrichorLive, 253_356)])
def test_parameters(size: type[Petrichor], parameters: int) -> None:
    assert sum(parameter.numel() for parameter in size().parameters()) == parameters


@pytest.mark.parametrize("size", SIZES)
def test_a_new_network_changes_nothing(size: type[Petrichor], seeded: None) -> None:
    rainy = torch.rand(1, 3, 19, 30)
    assert torch.equal(size().eval()(rainy), rainy)


@pytest.mark.parametrize(("size", "upright"), [(Petrichor, False), (PetrichorLive, True), (PetrichorLive, False)])
def test_tiles_give_what_the_whole_picture_gives(size: type[Petrichor], upright: bool) -> None:
    network = awake(size)
    tile = 4 * size.tiling.overlap
    shape = (tile * 5 // 8 + 3, 2 * tile - 24)
    image = np.random.default_rng(0).random((*(shape[::-1] if upright else shape), 3), np.float32)
    done: list[int] = []
    whole = Derainer(network, tile=0, device="cpu")(image)
    tiled = Derainer(network, tile=tile, device="cpu")(image, lambda _, count: done.append(count))
    assert done == [3, 3, 3]
    assert np.abs(tiled - whole).max() < 1e-5
    careless = Derainer(network, tile=tile, overlap=16, device="cpu")(image)  # two tiles that share 24 pixels
    assert np.abs(careless - whole).max() > 1e-3


@pytest.mark.parametrize("size", SIZES)
def test_one_exported_graph_takes_every_size_of_its_grid(size: type[Petrichor]) -> None:
    network = awake(size)
    dynamic = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    graph = torch.export.export(network, (torch.rand(1, 3, 40, 56),), dynamic_shapes=(dynamic,)).module()
    for shape in ((40, 48), (16, 136), (64, 64)):
        rainy = torch.rand(1, 3, *shape)
        assert torch.allclose(graph(rainy), network(rainy), atol=1e-5)
