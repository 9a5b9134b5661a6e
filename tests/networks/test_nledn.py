"""NLEDN against a plain per-region softmax reference, its variants, its sizes."""

from pathlib import Path
from typing import Any

import nledn_reference
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from derain.networks import NLEDN
from derain.networks.nledn import region_runs
from derain.weights import authors
from derain.weights.authors.nledn import BLOCKS

VARIANTS: dict[str, dict[str, Any]] = {
    "Ra": {"dense": False, "blocks": 1, "pooling": False, "non_local": "none"},
    "Rb": {"blocks": 1, "pooling": False, "non_local": "none"},
    "Rc": {"pooling": False, "non_local": "none"},
    "Rd": {"non_local": "none"},
    "Re": {"pooling": False},
    "Rf": {},
    "dot": {"non_local": "dot"},
}


def wake(network: NLEDN) -> NLEDN:
    """Give zero-initialised convolutions weights, so that what stands before them matters."""
    for name, parameter in network.named_parameters():
        if ".project." in name:
            nn.init.normal_(parameter, std=0.1)
    return network


def authors_weights() -> dict[str, Tensor]:
    """An authors' state dict with random numbers in it, of a size that keeps activations alive."""
    generator = torch.Generator().manual_seed(1)
    network = NLEDN()
    theirs: dict[str, Tensor] = {}

    def put(name: str, out: int, inputs: int, kernel: int) -> None:
        scale = 0.7 / (inputs * kernel**2) ** 0.5
        theirs[f"{name}.weight"] = scale * torch.randn(
            out, inputs, kernel, kernel, generator=generator
        )
        theirs[f"{name}.bias"] = 0.05 * torch.randn(out, generator=generator)

    put("conv1", 64, 3, 3)
    put("conv2", 64, 64, 3)
    for stage in BLOCKS:
        inside = "non_local" if stage == "down_3" else "region_non_local.non_local_block"
        for layer in ("g.0", "phi.0", "theta"):
            put(f"{stage}.{inside}.{layer}", 32, 64, 1)
        put(f"{stage}.{inside}.W", 64, 32, 1)
        for k in range(4):
            put(f"{stage}.group_{k}.0", 32, 64 + 32 * k, 3)
        put(f"{stage}.fusion.0", 64, 192, 1)
    put("down_2_fusion", 64, 128, 1)
    put("down_1_fusion", 64, 128, 1)
    put("fusion.0", 64, 192, 1)
    put("fusion.1", 64, 64, 3)
    put("final_conv.0", 3, 64, 3)
    assert sum(value.numel() for value in theirs.values()) == sum(
        p.numel() for p in network.parameters()
    )
    return theirs


@given(size=st.integers(1, 700), grid=st.sampled_from([1, 2, 4, 8]))
def test_region_runs_are_those_of_torch_chunk(size: int, grid: int) -> None:
    expected = [len(part) for part in torch.chunk(torch.zeros(size), grid)]
    assert [length for count, length in region_runs(size, grid) for _ in range(count)] == expected


def test_parameter_count() -> None:
    assert sum(parameter.numel() for parameter in NLEDN().parameters()) == 1_005_379


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    "size", [(64, 64), (33, 50), (41, 17), (17, 9), (8, 8), (5, 23), (3, 3), (1, 40), (1, 1)]
)
def test_agrees_with_the_reference(
    size: tuple[int, int], memory_format: torch.memory_format, tmp_path: Path
) -> None:
    theirs = authors_weights()
    torch.save(theirs, tmp_path / "net.pth")
    network, _ = authors.load(tmp_path / "net.pth")
    rainy = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        ours = network.to(memory_format=memory_format)(
            rainy.contiguous(memory_format=memory_format)
        )
        expected = nledn_reference.forward(theirs, rainy)
    assert float((ours - expected).abs().max()) < 1e-5
    assert float((expected - rainy).abs().max()) > 1e-3, "weights too small to test anything"


@pytest.mark.parametrize("size", [(321, 481), (480, 320), (101, 77), (19, 30), (7, 5)])
def test_published_weights_agree_with_the_reference(
    size: tuple[int, int], reference_data: Path
) -> None:
    path = reference_data / "published-weights/nledn/net_Rain100L.pth"
    theirs = torch.load(path, weights_only=True)
    network, _ = authors.load(path)
    rainy = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        difference = network(rainy) - nledn_reference.forward(theirs, rainy)
    # Where two of the values that are pooled agree to rounding, either may be the maximum, and a
    # pixel moves.
    assert float(difference.abs().max()) < 5e-3
    assert float(difference.abs().mean()) < 1e-5


def test_state_dict_keys_are_frozen() -> None:
    keys = NLEDN().state_dict().keys()
    parts = [
        f"{place}.{part}" for place in ("entrance.0", "entrance.1") for part in ("weight", "bias")
    ]
    for k in range(6):
        layers = [
            "non_local.embed",
            "non_local.project",
            "layers.0",
            "layers.1",
            "layers.2",
            "layers.3",
            "fusion",
        ]
        parts += [f"blocks.{k}.{layer}.{part}" for layer in layers for part in ("weight", "bias")]
    behind = ("joints.0", "joints.1", "fusion.0", "fusion.1", "exit")
    parts += [f"{place}.{part}" for place in behind for part in ("weight", "bias")]
    assert list(keys) == parts


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_flow_to_every_parameter(variant: str, seeded: None) -> None:
    network = wake(NLEDN(**VARIANTS[variant]))
    rainy, clean = torch.rand(1, 3, 20, 24), torch.rand(1, 3, 20, 24)
    torch.stack(list(network.loss(rainy, clean).values())).sum().backward()
    without = [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not bool(parameter.grad.any())
    ]
    assert without == []


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (9, 5), (16, 31)])
def test_every_variant_takes_every_size(variant: str, size: tuple[int, int], seeded: None) -> None:
    network = wake(NLEDN(**VARIANTS[variant])).eval()
    with torch.inference_mode():
        clean = network(torch.rand(1, 3, *size))
    assert clean.shape == (1, 3, *size)
    assert bool(((clean >= 0) & (clean <= 1)).all())


def test_dot_product_form_divides_by_the_number_of_keys(seeded: None) -> None:
    block = wake(NLEDN(non_local="dot")).blocks[3].get_submodule("non_local")
    x = torch.randn(1, 64, 6, 8)
    theta, phi, g = block.get_submodule("embed")(x).chunk(3, dim=1)
    keys, values = (nn.functional.max_pool2d(t, 2).flatten(2) for t in (phi, g))
    affinity = theta.flatten(2).transpose(1, 2) @ keys / keys.shape[2]
    y = (affinity @ values.transpose(1, 2)).transpose(1, 2).reshape(1, 32, 6, 8)
    expected = x + block.get_submodule("project")(y)
    assert torch.allclose(block(x), expected, atol=1e-5)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_never_holds_the_affinities_of_a_region(
    memory_format: torch.memory_format, seeded: None
) -> None:
    network = NLEDN()
    network.to(memory_format=memory_format)  # pyright: ignore[reportCallIssue]
    rainy = torch.rand(1, 3, 33, 40).contiguous(memory_format=memory_format)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):  # raises where the fused kernel cannot be used
        network.loss(rainy, rainy)["mae"].backward()


def test_a_fresh_non_local_block_does_nothing(seeded: None) -> None:
    x = torch.randn(1, 64, 16, 16)
    assert torch.equal(NLEDN().blocks[0].get_submodule("non_local")(x), x)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blocks": 3}, "1 or 6 blocks"),
        ({"blocks": 1}, "pooling needs"),
        ({"non_local": "gaussian"}, "softmax"),
    ],
)
def test_refuses_what_is_no_variant(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NLEDN(**arguments)
