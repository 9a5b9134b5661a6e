"""Fused convolutions give what ordinary operations give."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from derain.networks import fused
from derain.networks.fused import SLOPE, Activation, Kernel, convolve

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": torch.relu,
    "leaky_relu": lambda x: F.leaky_relu(x, SLOPE),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}
FUSES = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="PyTorch without oneDNN"
)


def plainly(
    conv: nn.Conv2d, *parts: Tensor, add: Tensor | None = None, activation: Activation = "none"
) -> Tensor:
    y = conv(torch.cat(parts, dim=1))
    return ACTIVATIONS[activation](y if add is None else y + add)


def laid_out(x: Tensor, layout: str) -> Tensor:
    """The same numbers elsewhere in memory; ``part`` is some channels of a wider map."""
    if layout == "part":
        wide = torch.cat([torch.full_like(x, torch.nan), x], dim=1).contiguous(
            memory_format=torch.channels_last
        )
        return wide[:, x.shape[1] :]
    return x.contiguous(
        memory_format=torch.channels_last if layout == "channels_last" else torch.contiguous_format
    )


LAYOUTS = st.sampled_from(["rows", "channels_last", "part"])


@FUSES
@given(
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    channels=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    outputs=st.integers(1, 9),
    side=st.sampled_from([1, 3, 5]),
    dilation=st.integers(1, 5),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    batch=st.integers(1, 2),
    layouts=st.tuples(LAYOUTS, LAYOUTS),
    biased=st.booleans(),
    added=st.booleans(),
)
def test_any_convolution_equals_ordinary_operations(
    activation: Activation,
    channels: list[int],
    outputs: int,
    side: int,
    dilation: int,
    size: tuple[int, int],
    batch: int,
    layouts: tuple[str, str],
    biased: bool,
    added: bool,
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(
        sum(channels), outputs, side, padding=dilation * (side // 2), dilation=dilation, bias=biased
    )
    plain_conv = nn.Conv2d(sum(channels), outputs, side, padding=side // 2, bias=biased)
    plain_conv.load_state_dict(conv.state_dict())
    parts = [laid_out(torch.randn(batch, count, *size), layouts[0]) for count in channels]
    add = laid_out(torch.randn(batch, outputs, *size), layouts[1]) if added else None
    before = [x.clone() for x in [*parts, *([] if add is None else [add])]]
    with torch.inference_mode():
        expected = plainly(conv, *parts, add=add, activation=activation)
        results = [
            convolve(conv, *parts, add=add, activation=activation),
            convolve(plain_conv, *parts, add=add, activation=activation, dilation=dilation),
            convolve(
                Kernel(conv.weight, conv.bias),
                *parts,
                add=add,
                activation=activation,
                dilation=dilation,
            ),
        ]
    for result in results:
        assert torch.allclose(result, expected, atol=1e-5)
    after = [*parts, *([] if add is None else [add])]
    assert all(torch.equal(x, was) for x, was in zip(after, before, strict=True)), (
        "what came in is left as it is"
    )


@FUSES
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(6, 5, 2, 2),
        nn.Conv2d(6, 5, 3, 2, padding=1),
        nn.Conv2d(6, 6, 3, padding=1, groups=6),
        nn.Conv2d(6, 4, 3, padding=2, dilation=2, groups=2, bias=False),
        nn.Conv2d(6, 5, (1, 3), padding=(0, 1)),
    ],
)
def test_strides_and_groups_too(
    conv: nn.Conv2d, activation: Activation, channels_last: bool
) -> None:
    x = torch.randn(2, 6, 11, 14)
    with torch.inference_mode():
        add = torch.randn_like(conv(x))
        if channels_last:
            x, add = (y.contiguous(memory_format=torch.channels_last) for y in (x, add))
        for map_ in (None, add):
            expected = plainly(conv, x, add=map_, activation=activation)
            assert torch.allclose(
                convolve(conv, x, add=map_, activation=activation), expected, atol=1e-5
            )


@FUSES
def test_in_inference_it_does_fuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(F, "conv2d")
    with torch.inference_mode():
        assert convolve(
            nn.Conv2d(3, 4, 3, padding=1), torch.rand(1, 3, 8, 9), activation="relu"
        ).shape == (1, 4, 8, 9)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("has_instructions", [False, True])
def test_bfloat16_is_close_to_float32(
    activation: Activation,
    added: bool,
    has_instructions: bool,
    monkeypatch: pytest.MonkeyPatch,
    seeded: None,
) -> None:
    if has_instructions and not fused.onednn_has_bfloat16():
        pytest.skip("a processor whose oneDNN refuses bfloat16")
    monkeypatch.setattr(fused, "onednn_has_bfloat16", lambda: has_instructions)
    conv = nn.Conv2d(8, 6, 3, padding=1)
    one, other, add = (
        torch.randn(1, 3, 9, 11),
        torch.randn(1, 5, 9, 11),
        torch.randn(1, 6, 9, 11) if added else None,
    )
    with torch.inference_mode():
        exact = convolve(conv, one, other, add=add, activation=activation)
        with torch.autocast("cpu", torch.bfloat16):
            half = convolve(conv, one, other.bfloat16(), add=add, activation=activation)
    # Ordinary operations add a float32 map in float32.
    assert half.dtype == (torch.float32 if added and not has_instructions else torch.bfloat16)
    assert not torch.equal(half.float(), exact)
    assert torch.allclose(half.float(), exact, atol=0.05)


def test_bfloat16_without_instructions_calls_no_onednn(
    monkeypatch: pytest.MonkeyPatch, seeded: None
) -> None:
    monkeypatch.setattr(fused, "onednn_has_bfloat16", lambda: False)
    monkeypatch.delattr(fused, "_fused")
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert convolve(nn.Conv2d(3, 4, 3), torch.randn(1, 3, 7, 9)).dtype == torch.bfloat16


def test_float16_is_computed_by_ordinary_operations(seeded: None) -> None:
    conv, x, add = nn.Conv2d(3, 4, 3, padding=1), torch.randn(1, 3, 7, 9), torch.randn(1, 4, 7, 9)
    with torch.inference_mode():
        exact = plainly(conv, x, add=add, activation="tanh")
        with torch.autocast("cpu", torch.float16):
            assert convolve(conv, x).dtype == torch.float16
            half = convolve(conv, x, add=add, activation="tanh")
    assert torch.allclose(half.float(), exact, atol=0.01)


def test_without_onednn_ordinary_operations_do(
    monkeypatch: pytest.MonkeyPatch, seeded: None
) -> None:
    conv, parts = nn.Conv2d(5, 4, 3, padding=1), (torch.randn(1, 2, 7, 9), torch.randn(1, 3, 7, 9))
    with torch.inference_mode():
        usual = convolve(conv, *parts, activation="sigmoid")
        monkeypatch.setattr(fused, "_operators", lambda: None)
        assert torch.allclose(convolve(conv, *parts, activation="sigmoid"), usual, atol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_are_those_of_ordinary_operations(activation: Activation, seeded: None) -> None:
    conv = nn.Conv2d(5, 4, 3, padding=1)
    leaves = [torch.randn(2, count, 6, 7, requires_grad=True) for count in (2, 3, 4)]
    gradients = [
        torch.autograd.grad(
            function(conv, *leaves[:2], add=leaves[2], activation=activation).square().sum(),
            [*leaves, *conv.parameters()],
        )
        for function in (convolve, plainly)
    ]
    for found, expected in zip(*gradients, strict=True):
        assert torch.allclose(found, expected, atol=1e-5)
        assert bool(expected.any())


@pytest.mark.parametrize("learns", ["first", "second", "add", "weight", "bias"])
def test_whatever_learns_gets_its_gradient(learns: str) -> None:
    conv = nn.Conv2d(5, 4, 3, padding=1).requires_grad_(False)
    assert conv.bias is not None
    leaves = {
        "first": torch.randn(1, 2, 6, 7),
        "second": torch.randn(1, 3, 6, 7),
        "add": torch.randn(1, 4, 6, 7),
    }
    (leaves | {"weight": conv.weight, "bias": conv.bias})[learns].requires_grad_()
    convolve(conv, leaves["first"], leaves["second"], add=leaves["add"]).sum().backward()
    gradient = (leaves | {"weight": conv.weight, "bias": conv.bias})[learns].grad
    assert gradient is not None
    assert bool(gradient.any())


def test_what_learns_needs_no_gradient_where_none_are_kept() -> None:
    conv, x = nn.Conv2d(3, 4, 3, padding=1), torch.rand(1, 3, 8, 9)
    with torch.no_grad():
        assert torch.allclose(convolve(conv, x), conv(x), atol=1e-6)
        assert not convolve(conv, x).requires_grad
