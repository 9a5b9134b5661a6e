"""ReMAEN against the golden output, its parts against plain ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from derain.images import read_image
from derain.networks import ReMAEN
from derain.networks.losses import edge_loss
from derain.networks.remaen import ChannelAttention, ConvGRU, MultiScaleBlock
from derain.weights import authors
from derain.weights.loading import find


def test_parameter_count() -> None:
    assert sum(parameter.numel() for parameter in ReMAEN().parameters()) == 495_771


@pytest.mark.parametrize("name", ["ReMAEN.index", "ReMAEN.data-00000-of-00001", "ReMAEN"])
def test_reproduces_the_golden_output(name: str, golden: Path) -> None:
    network, card = find(str(golden / "remaen" / name))
    assert isinstance(network, ReMAEN)
    assert card.network == "remaen"
    rainy = (
        torch.from_numpy(read_image(golden / "remaen/input.png")).permute(2, 0, 1)[None].float()
        / 255
    )
    expected = torch.from_numpy(np.load(golden / "remaen/output.npy"))
    with torch.inference_mode():
        assert float((network.estimate(rainy)[0] - expected).abs().max()) < 1e-4
        assert float((network(rainy)[0] - expected.clamp(0, 1)).abs().max()) < 1e-4


def test_weights_for_bgr_pictures_become_weights_for_rgb(golden: Path) -> None:
    as_is, _ = authors.load(golden / "remaen/ReMAEN.index")
    turned, _ = authors.load(golden / "remaen/ReMAEN.index", bgr=True)
    rgb = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(turned(rgb), as_is(rgb.flip(1)).flip(1), atol=1e-5)
        assert not torch.allclose(turned(rgb), as_is(rgb), atol=1e-2)


def test_state_dict_keys_are_frozen() -> None:
    def both(*layers: str) -> list[str]:
        return [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]

    expected: list[str] = []
    for k in range(4):
        layers = ("convs.0", "convs.1", "attention.squeeze", "attention.excite")
        expected += both(*(f"extract.{k}.{layer}" for layer in layers))
    gru = ("of_input", "of_state", "of_reset_state")
    expected += both(*(f"extract_grus.{k}.{layer}" for k in range(4) for layer in gru))
    expected += both(
        "extract_attention.squeeze", "extract_attention.excite", *(f"respond.{k}" for k in range(3))
    )
    expected += both(*(f"respond_grus.{k}.{layer}" for k in range(3) for layer in gru))
    expected += both("respond_attention.squeeze", "respond_attention.excite")
    expected += both("residual.0", "residual.1.squeeze", "residual.1.excite", "residual.2")
    assert list(ReMAEN().state_dict()) == expected


def test_any_number_of_recurrences_shares_the_weights(seeded: None) -> None:
    three = ReMAEN().eval()
    rainy = torch.rand(1, 3, 9, 11)
    outputs: list[torch.Tensor] = []
    for recurrences in (1, 2, 3, 5):
        other = ReMAEN(recurrences=recurrences).eval()
        other.load_state_dict(three.state_dict())
        with torch.inference_mode():
            outputs.append(other.estimate(rainy))
    with torch.inference_mode():
        assert torch.equal(outputs[2], three.estimate(rainy))
    assert not torch.allclose(outputs[1], outputs[2], atol=1e-4)
    with pytest.raises(ValueError, match="at least 1 recurrence, not 0"):
        ReMAEN(recurrences=0)


def test_the_gru_is_that_of_the_paper(seeded: None) -> None:
    gru, attention = ConvGRU(), ChannelAttention()
    x, h = torch.randn(2, 32, 6, 7), torch.randn(2, 32, 6, 7)

    def conv(layer: nn.Conv2d, place: int, y: torch.Tensor) -> torch.Tensor:
        assert layer.bias is not None
        rows = slice(32 * place, 32 * place + 32)
        return F.conv2d(y, layer.weight[rows], layer.bias[rows], padding=1)

    z = torch.sigmoid(conv(gru.of_state, 0, h) + conv(gru.of_input, 0, x))
    r = torch.sigmoid(conv(gru.of_state, 1, h) + conv(gru.of_input, 2, x))
    n = torch.tanh(conv(gru.of_input, 1, x) + conv(gru.of_reset_state, 0, r * h))
    expected = F.leaky_relu(attention((1 - z) * h + z * n), 0.2)
    assert torch.allclose(gru(x, h, attention), expected, atol=1e-5)
    first = torch.sigmoid(conv(gru.of_input, 0, x)) * torch.tanh(conv(gru.of_input, 1, x))
    assert torch.allclose(gru(x, None, attention), F.leaky_relu(attention(first), 0.2), atol=1e-5)


def test_the_convolutions_of_a_block_are_shared_by_its_dilations(seeded: None) -> None:
    block = MultiScaleBlock(3)
    assert sum(p.numel() for p in block.convs.parameters()) == (27 + 1) * 32 + (288 + 1) * 32
    far = torch.zeros(1, 3, 15, 15)
    # six away from the middle: within reach of dilation 3 twice, of no other
    far[..., 7, 13] = 1
    near = block(far)[0, :, 7, 7]
    assert not torch.allclose(near, block(torch.zeros_like(far))[0, :, 7, 7], atol=1e-6)


def test_only_the_first_recurrences_hidden_weights_get_no_gradient(seeded: None) -> None:
    for recurrences in (1, 2):
        network = ReMAEN(recurrences=recurrences)
        torch.stack(
            list(network.loss(torch.rand(1, 3, 12, 12), torch.rand(1, 3, 12, 12)).values())
        ).sum().backward()
        idle = {
            name.split(".")[2]
            for name, p in network.named_parameters()
            if p.grad is None or not bool(p.grad.any())
        }
        assert idle == ({"of_state", "of_reset_state"} if recurrences == 1 else set())


def test_loss_is_squared_error_and_a_tenth_of_that_of_edges(seeded: None) -> None:
    network = ReMAEN()
    rainy, clean = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
    terms = network.loss(rainy, clean)
    estimate = network.estimate(rainy)
    assert terms["mse"].item() == pytest.approx((estimate - clean).square().mean().item(), rel=1e-4)
    assert terms["edge"].item() == pytest.approx(0.1 * edge_loss(estimate, clean).item(), rel=1e-4)
    assert set(terms) == {"mse", "edge"}
