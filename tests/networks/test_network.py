"""Every network of the package keeps the contract."""

import inspect

import pytest
import torch

from derain.networks import NETWORKS, Tiling


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(1, 1), (7, 31), (40, 24)])
def test_forward_keeps_shape_and_range(name: str, size: tuple[int, int], seeded: None) -> None:
    network = NETWORKS[name]().eval()
    with torch.inference_mode():
        clean = network(torch.rand(2, 3, *size))
    assert clean.shape == (2, 3, *size)
    assert bool(((clean >= 0) & (clean <= 1)).all())


@pytest.mark.parametrize("name", NETWORKS)
def test_loss_is_named_scalars(name: str, seeded: None) -> None:
    terms = NETWORKS[name]().loss(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32))
    assert terms
    assert all(term.ndim == 0 and term.requires_grad for term in terms.values())


@pytest.mark.parametrize("name", NETWORKS)
def test_hyperparameters_are_the_constructors_keyword_arguments(name: str) -> None:
    network = NETWORKS[name]()
    assert set(network.hyperparameters) == set(inspect.signature(NETWORKS[name]).parameters)
    assert isinstance(network.tiling, Tiling)
    again = NETWORKS[name](**network.hyperparameters)
    assert again.state_dict().keys() == network.state_dict().keys()
