"""The plain forms that speed is compared with compute what the networks compute."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from benchmarks.performance.plain import plain_form
from derain.networks import NLEDN, CRDNet, DPENet, Petrichor, PetrichorLive, ReMAEN

GAINS: dict[type[nn.Module], float] = {NLEDN: 0.9, ReMAEN: 1.8, CRDNet: 1.2, DPENet: 0.7}
"""Of random kernels: large enough that a wrong one anywhere is seen in the picture, small enough
that rounding is not.
"""


def randomise(network: nn.Module) -> nn.Module:
    """Give a network parameters of which no two are equal and none is zero.

    CRDNet's refinement stays near the identity, which keeps pictures in range.
    """
    for name, tensor in network.state_dict().items():
        if ".norm.weight" in name or "running_var" in name:
            tensor.uniform_(0.5, 1.5)
        elif tensor.ndim == 1:
            tensor.normal_(std=0.1)
        elif tensor.ndim > 1 and not name.startswith("refinement."):
            tensor.normal_(std=GAINS[type(network)] / tensor[0].numel() ** 0.5)
    return network.eval()


@pytest.mark.parametrize("size", [(64, 64), (70, 93)])
@pytest.mark.parametrize(
    "make",
    [
        NLEDN,
        ReMAEN,
        CRDNet,
        DPENet,
        lambda: ReMAEN(recurrences=2),
        lambda: DPENet(blocks=5),
        lambda: CRDNet(classifier="compact"),
    ],
    ids=[
        "nledn",
        "remaen",
        "crdnet",
        "dpenet",
        "remaen-two-recurrences",
        "dpenet-light",
        "crdnet-with-classifier",
    ],
)
def test_a_plain_form_computes_what_the_network_does(
    make: Callable[[], nn.Module], size: tuple[int, int], seeded: None, one_thread: None
) -> None:
    network = randomise(make())
    plain = plain_form(network)
    rainy = torch.rand(1, 3, *size)
    with torch.inference_mode():
        expected = network(rainy)
        torch.testing.assert_close(plain(rainy), expected, rtol=0, atol=1e-5)
    assert float((expected - rainy).abs().mean()) > 0.05, "weights too small to test anything"
    assert float(((expected > 0) & (expected < 1)).float().mean()) > 0.4, (
        "weights so large that clamping hides what they do"
    )


def test_a_plain_form_is_a_copy_in_the_default_memory_layout(seeded: None) -> None:
    network = CRDNet().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    plain = plain_form(network)
    assert not plain.training
    assert all(
        tensor.is_contiguous() and tensor.dtype == torch.float32 for tensor in plain.parameters()
    )
    theirs = {tensor.data_ptr() for tensor in network.parameters()}
    assert theirs.isdisjoint(tensor.data_ptr() for tensor in plain.parameters())


@pytest.mark.parametrize(
    "network",
    [Petrichor, PetrichorLive, lambda: NLEDN(non_local="dot"), lambda: nn.Conv2d(3, 3, 1)],
)
def test_other_networks_have_no_plain_form(network: Callable[[], nn.Module]) -> None:
    with pytest.raises(
        ValueError,
        match=r"^(Petrichor|PetrichorLive|NLEDN|Conv2d) has no plain form: .*DPENet have one$",
    ):
        plain_form(network())
