"""Convolutions with what comes before and after them, in one pass over memory.

On a processor the networks here wait for memory as much as for arithmetic. oneDNN, which PyTorch
brings along, can add to a convolution's result and apply an activation while it still holds it, and
can sum the convolutions of several maps in place, so that maps need not be concatenated first.
PyTorch's own compiler calls it so; here it is called by hand, in inference on a CPU. Everywhere
else (training, GPUs, other number formats, export) the same is computed by ordinary operations.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation = Literal["none", "relu", "leaky_relu", "sigmoid", "tanh"]

SLOPE = 0.2
"""Of the leaky ReLU."""

_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": torch.relu,
    "leaky_relu": lambda x: F.leaky_relu(x, SLOPE),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}
_IN_PLACE: dict[Activation, Callable[[Tensor], Tensor]] = {
    "leaky_relu": lambda x: F.leaky_relu_(x, SLOPE),
    "sigmoid": torch.sigmoid_,
    "tanh": torch.tanh_,
}


class Kernel(NamedTuple):
    """A convolution of stride 1 that keeps the size, computed from other weights.

    Attributes:
        weight: (O, I, k, k), k odd.
        bias: (O,).
    """

    weight: Tensor
    bias: Tensor | None


class _Geometry(NamedTuple):
    """Arguments of a convolution, in the order in which oneDNN's operators take them."""

    padding: tuple[int, ...]
    stride: tuple[int, ...] = (1, 1)
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1


def convolve(
    conv: nn.Module | Kernel,
    *parts: Tensor,
    add: Tensor | None = None,
    activation: Activation = "none",
    dilation: int | None = None,
) -> Tensor:
    """Return ``activation(conv(cat(parts)) + add)``, without concatenating where that is faster.

    Args:
        conv: An `nn.Conv2d` with zero padding, or a kernel.
        parts: Maps (N, C_k, H, W) whose channels add up to the convolution's; they are left as they
            are.
        add: A map of the result's size, left as it is.
        activation: Applied at the end.
        dilation: Instead of the convolution's own; the padding that keeps the size comes with it.

    Returns:
        (N, O, H', W').
    """
    weight, bias, geometry = _taken_apart(conv, dilation)
    # oneDNN's operators have no gradients.
    learns = torch.is_grad_enabled() and any(
        x is not None and x.requires_grad for x in (*parts, add, weight, bias)
    )
    if not learns and _can_fuse(parts[0], weight):
        # Autocast does not know them either: its number format is applied here.
        autocast = torch.is_autocast_enabled("cpu")
        dtype = torch.get_autocast_dtype("cpu") if autocast else weight.dtype
        weight = weight.to(dtype)
        bias, add = (x if x is None else x.to(dtype) for x in (bias, add))
        maps = tuple(part.to(dtype) for part in parts)
        return _fused(maps, weight, bias, geometry, add, activation)
    whole = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
    y = F.conv2d(
        whole, weight, bias, geometry.stride, geometry.padding, geometry.dilation, geometry.groups
    )
    return _ACTIVATIONS[activation](y if add is None else y + add)


def _taken_apart(
    conv: nn.Module | Kernel, dilation: int | None
) -> tuple[Tensor, Tensor | None, _Geometry]:
    """Return weight, bias and geometry; a dilation comes with the padding that keeps the size."""
    side = dilation or 1
    if isinstance(conv, Kernel):
        padding = (side * (conv.weight.shape[2] // 2),) * 2
        return conv.weight, conv.bias, _Geometry(padding, dilation=(side, side))
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(conv.padding, tuple)
    if dilation is None:
        geometry = _Geometry(conv.padding, conv.stride, conv.dilation, conv.groups)
        return conv.weight, conv.bias, geometry
    padding = (side * (conv.kernel_size[0] // 2),) * 2
    return conv.weight, conv.bias, _Geometry(padding, conv.stride, (side, side), conv.groups)


def _can_fuse(x: Tensor, weight: Tensor) -> bool:
    """Return whether oneDNN can be called for a map and a convolution of such weights."""
    autocast = torch.is_autocast_enabled("cpu")
    known = (torch.float32, torch.bfloat16) if autocast else (torch.float32,)
    plain = (
        x.device.type == "cpu"
        and x.dtype in known
        and weight.dtype == torch.float32
        and _autocast_fits()
    )
    return plain and not is_traced() and _operators() is not None


def _autocast_fits() -> bool:
    """Return whether oneDNN has the number format that autocast asks for, if it does."""
    if not torch.is_autocast_enabled("cpu"):
        return True
    return torch.get_autocast_dtype("cpu") == torch.bfloat16 and onednn_has_bfloat16()


def is_traced() -> bool:
    """Return whether the network is being traced, for export or by a compiler."""
    if torch.compiler.is_compiling():
        return True
    # Asking would load the exporter, which has been loaded where it is at work.
    return "torch.onnx" in sys.modules and torch.onnx.is_in_onnx_export()


@functools.cache
def _operators() -> (
    tuple[Callable[..., Tensor], Callable[..., Tensor], Callable[..., Tensor]] | None
):
    """Return oneDNN's convolution alone, with a map added, and added onto a map.

    None where PyTorch was built without oneDNN.
    """
    if not torch.backends.mkldnn.is_available():
        return None
    try:
        anew = torch.ops.mkldnn._convolution_pointwise
        onto = torch.ops.mkldnn._convolution_pointwise_
        return anew.default, anew.binary, onto.binary
    except AttributeError:  # they are no public interface
        return None


@functools.cache
def onednn_has_bfloat16() -> bool:
    """Return whether oneDNN's operators take bfloat16 here: without AVX-512 they refuse it.

    Ordinary operations compute in it on any processor.
    """
    try:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    except AttributeError:  # it is no public interface
        return False


def _fused(
    parts: tuple[Tensor, ...],
    weight: Tensor,
    bias: Tensor | None,
    geometry: _Geometry,
    add: Tensor | None,
    activation: Activation,
) -> Tensor:
    """Sum over the parts in place, each with its slice of the weights.

    The activation comes with the last part.
    """
    operators = _operators()
    assert operators is not None
    alone, adding, onto = operators
    # oneDNN's sums can be followed by a ReLU only.
    if activation not in ("none", "relu") and (add is not None or len(parts) > 1):
        return _IN_PLACE[activation](_fused(parts, weight, bias, geometry, add, "none"))
    slices = weight.split([part.shape[1] for part in parts], dim=1) if len(parts) > 1 else (weight,)
    total = add
    for k, (part, kernel) in enumerate(zip(parts, slices, strict=True)):
        last = activation if k == len(parts) - 1 else "none"
        kernel = kernel.contiguous(memory_format=torch.channels_last)
        if total is None:
            slope = [SLOPE] if last == "leaky_relu" else []
            total = alone(part, kernel, bias, *geometry, last, slope, "")
            continue
        then: tuple[Any, ...] = ("add", 1.0, None if last == "none" else last, [], None)
        if k == 0:  # the map to add belongs to the caller, so its sum is a new map
            total = adding(part, total, kernel, bias, *geometry, *then)
        else:  # the bias is in the sum already
            total = onto(total, part, kernel, None, *geometry, *then)
    assert total is not None
    return total
