"""Checkpoints as training programs write them: the network in them is found, whatever wraps it."""

import argparse
import logging
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from derain.networks import DPENet, PetrichorLive
from derain.networks.dpenet import DILATIONS, ERPABS
from derain.weights import WeightsError, loading
from derain.weights.authors.search import AVERAGED, OPTIMISER, held_in

State = dict[str, Tensor]


def authors_names(state: State) -> State:
    """A DPENet's weights under its authors' names."""
    return {authors_name(key): value for key, value in state.items()}


def authors_name(key: str) -> str:
    stage, layer, *rest = key.split(".")
    number, last = {"r2net": (1, "3"), "drnet": (2, str(ERPABS + 2))}[stage]
    if layer in ("0", last):
        return ".".join([f"{'inconv' if layer == '0' else 'outconv'}{number}", "0", *rest])
    if stage == "r2net":
        _, pair, inner, part = rest
        return f"ddrb{int(layer) - 1}.dconv{DILATIONS[int(pair)]}.{inner}.{part}"
    block, (kind, *inside) = f"erpab{int(layer) - 1}", rest
    if kind == "branches":
        return f"{block}.inconv{int(inside[0]) + 1}.{inside[1]}"
    return ".".join([block, *(("outconv", "0") if kind == "fusion" else ("pa",)), *inside])


@pytest.fixture(scope="module")
def network() -> DPENet:
    torch.manual_seed(3)
    return DPENet(blocks=1).eval()


@pytest.fixture(scope="module")
def state(network: DPENet) -> State:
    return dict(network.state_dict())


def under(prefix: str, state: State) -> State:
    return {prefix + key: value for key, value in state.items()}


def counted(state: State) -> State:
    """With what thop leaves beside every layer."""
    layers = {key.rpartition(".")[0] for key in state}
    return (
        state
        | {f"{layer}.total_ops": torch.zeros(1) for layer in layers}
        | {"total_params": torch.ones(1)}
        | {f"{layer}.num_batches_tracked": torch.tensor(3) for layer in layers}
    )


def lightning(state: State) -> dict[str, Any]:
    inside = under("model.", state) | {"loss.vgg.0.weight": torch.ones(8, 3, 3, 3)}
    return {
        "epoch": 3,
        "state_dict": inside,
        "callbacks": {"best": torch.tensor(30.0)},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(4)}}}],
    }


WRAPPINGS: dict[str, Callable[[State], Any]] = {
    "model_state_dict": lambda s: {"epoch": 1, "model_state_dict": s},
    "net": lambda s: {"net": s, "optimizer": {"state": {0: {"exp_avg": torch.ones(9)}}}},
    "a name nobody thought of": lambda s: {"weights_of_my_thesis": {"v2": [s]}},
    "DataParallel": lambda s: under("module.", s),
    "torch.compile": lambda s: under("_orig_mod.", s),
    "both": lambda s: {"state_dict": under("module._orig_mod.", s)},
    "in the middle": lambda s: {
        f"{key.partition('.')[0]}._orig_mod.{key.partition('.')[2]}": v for key, v in s.items()
    },
    "Lightning": lightning,
    "a chain": lambda s: {"params": under("netG.generator.net.", s)},
    "thop": lambda s: {"state_dict": counted(s)},
    "beside a discriminator": lambda s: {
        "generator": s,
        "discriminator": {"conv.weight": torch.ones(64, 64, 3, 3)},
    },
    "parameters": lambda s: {key: nn.Parameter(value) for key, value in s.items()},
    "ordered": lambda s: OrderedDict(s),
    "beside arguments": lambda s: {
        "args": argparse.Namespace(lr=1e-3, gpus=[0, 1]),
        "state_dict": s,
        "best": np.float64(31.5),
        "place": Path("elsewhere"),
    },
    "views of one storage": lambda s: dict(
        zip(
            s,
            (
                part.view(value.shape)
                for part, value in zip(
                    torch.cat([v.flatten() for v in s.values()]).split(
                        [v.numel() for v in s.values()]
                    ),
                    s.values(),
                    strict=True,
                )
            ),
            strict=True,
        )
    ),
    "float64": lambda s: {key: value.double() for key, value in s.items()},
    "transposed in memory": lambda s: {
        key: value.transpose(0, -1).contiguous().transpose(0, -1) for key, value in s.items()
    },
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("named", ["authors", "derain"])
def test_a_network_is_found_in_every_wrapping(
    named: str, wrapping: str, zipped: bool, network: DPENet, state: State, tmp_path: Path
) -> None:
    # A state dict does not say how many blocks derain's own has; that of the authors does.
    made = PetrichorLive().eval() if named == "derain" else network
    state = dict(made.state_dict()) if named == "derain" else authors_names(state)
    path = tmp_path / "net.pth"
    torch.save(WRAPPINGS[wrapping](state), path, _use_new_zipfile_serialization=zipped)
    found, card = loading.find(str(path))
    assert card.licence == ("none stated by the authors" if named == "authors" else "")
    assert type(found) is type(made)
    expected = made.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in found.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "model.", "generator.module."])
def test_safetensors_of_other_tools_are_read(
    prefix: str, network: DPENet, state: State, tmp_path: Path
) -> None:
    save_file(under(prefix, authors_names(state)), tmp_path / "w.safetensors", {"format": "pt"})
    found, card = loading.find(str(tmp_path / "w.safetensors"))
    assert card.network == "dpenet"
    assert found.state_dict().keys() == state.keys()


def test_content_decides_not_the_name(state: State, tmp_path: Path) -> None:
    save_file(authors_names(state), tmp_path / "w.pth")
    torch.save(authors_names(state), tmp_path / "w.safetensors")
    for name in ("w.pth", "w.safetensors"):
        assert loading.find(str(tmp_path / name))[1].network == "dpenet"


@pytest.mark.parametrize(
    ("plain", "averaged"),
    [
        ("params", "params_ema"),
        ("net", "EMA"),
        ("model", "modelEma"),
        ("state_dict", "swa.weights"),
        ("network", "averaged"),
    ],
)
def test_running_means_are_preferred_and_that_is_said(
    plain: str,
    averaged: str,
    state: State,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    means = {key: value + 1 for key, value in authors_names(state).items()}
    torch.save({plain: authors_names(state), averaged: means}, tmp_path / "net.pth")
    with caplog.at_level(logging.WARNING, "derain"):
        found, card = loading.find(str(tmp_path / "net.pth"))
    assert caplog.messages == [f"{tmp_path / 'net.pth'}: took {averaged}, not {plain}"]
    assert card.note == f"imported from net.pth, {averaged}"
    assert all(torch.equal(v, state[key] + 1) for key, v in found.state_dict().items())


def test_running_means_that_lack_something_are_not_taken(state: State, tmp_path: Path) -> None:
    means = dict(list(authors_names(state).items())[:-1])
    torch.save({"net": authors_names(state), "ema": means}, tmp_path / "net.pth")
    assert loading.find(str(tmp_path / "net.pth"))[1].note == "imported from net.pth, net"


def test_moments_of_an_optimiser_are_not_taken_for_the_network(
    state: State, tmp_path: Path
) -> None:
    named = authors_names(state)
    moments = {key: value * 0 for key, value in named.items()}
    torch.save({"exp_avg": moments, "z": {"deeper": named}}, tmp_path / "net.pth")
    assert loading.find(str(tmp_path / "net.pth"))[1].note == "imported from net.pth, z.deeper"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"a": {"w": torch.ones(2, 3)}}, "1 mapping of tensors: a (1 tensor, w 2x3)"),
        (
            {
                "net": {"c.weight": torch.ones(4, 3), "c.bias": torch.ones(4)},
                "opt": [{"m": torch.ones(())}],
            },
            "2 mappings of tensors: net (2 tensors, first c.weight 4x3), opt.0 (1 tensor, m a"
            " number)",
        ),
        ({"lr": 1, "steps": [1, 2]}, "a mapping of lr, steps, without tensors"),
        ({}, "a mapping of nothing, without tensors"),
        ([torch.ones(3)], "a list"),
        (torch.ones(3), "a tensor"),
    ],
)
def test_what_was_found_is_said(content: Any, found: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(WeightsError) as raised:
        loading.find(str(tmp_path / "net.pth"))
    assert str(raised.value).startswith(f"{tmp_path / 'net.pth'}: holds {found}; expected ")


def test_a_pickled_module_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Conv2d(3, 3, 3), tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"asks to run torch\.nn\.modules\.conv\.Conv2d; not"):
        loading.find(str(tmp_path / "net.pth"))
    torch.save({"model": nn.Conv2d(3, 3, 3)}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="a mapping of model, without tensors; it also asks"):
        loading.find(str(tmp_path / "net.pth"))


def test_a_tree_that_contains_itself_is_searched_once() -> None:
    tree: dict[str, Any] = {"a": []}
    tree["a"] += [tree, tree["a"]]
    assert held_in(tree) == []


def test_words_in_words_are_not_taken_for_others() -> None:
    assert not AVERAGED.search("schema.nemanet")
    assert not OPTIMISER.search("state_dict.net")
