"""Shipped graphs and the networks in PyTorch of the same weights are one."""

import numpy as np
import pytest
from drawn_rain import rain_on
from numpy.typing import NDArray
from numpy_engines import as_floats

from derain.engines import Exported, open_exported
from derain.engines.pytorch import open_weights
from derain.weights import CATALOGUE

SHIPPED = [name for name, row in CATALOGUE.items() if row.graph]
LARGEST_DIFFERENCE = 1e-4
"""Of values in [0, 1], at any pixel."""


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("size", [(120, 160), (97, 131)])
def test_a_shipped_graph_computes_what_pytorch_does(
    name: str, size: tuple[int, int], photo: NDArray[np.uint8]
) -> None:
    height, width = size
    picture = as_floats(rain_on(photo, 0)[:height, :width])
    rainy = np.ascontiguousarray(picture[None].transpose(0, 3, 1, 2))
    network, card = open_weights(name, "cpu", "float32")
    exported = Exported.read(CATALOGUE[name].graph_path)
    engine = open_exported(exported)
    assert exported.card == card
    assert (engine.title, engine.tiling) == (network.title, network.tiling)
    assert engine.parameters == network.parameters
    assert engine.count(512, 512) == network.count(512, 512)
    expected = network(rainy)
    difference = np.abs(engine(rainy) - expected)
    assert np.abs(expected - rainy).mean() > 0.01, "it does something"
    found = f"mean {difference.mean():.1e}, largest {difference.max():.1e}"
    assert difference.max() < LARGEST_DIFFERENCE, found
    assert difference.mean() < LARGEST_DIFFERENCE / 20, found
