"""What is put into int8, and what is kept out of it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from derain import engines, metrics
from derain.engines import quantize
from derain.engines.export import Target, to_onnx
from derain.images import write_image
from derain.networks import NETWORKS, Petrichor
from derain.restore import load
from derain.weights import Card

CARD = Card("tiny", "tiny", note="random")


class Tiny(Petrichor):
    """Small enough to be measured node by node."""

    widths = (8, 16, 16)
    blocks = (1, 1, 1)


@pytest.fixture(scope="module")
def network() -> Tiny:
    """Random weights, of which none leave the picture as it is."""
    torch.manual_seed(0)
    network = Tiny().eval()
    with torch.no_grad():
        torch.nn.init.normal_(network.out.weight, std=0.02)
    return network


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that hold the tiny network can be read."""
    monkeypatch.setitem(NETWORKS, "tiny", Tiny)


@pytest.fixture(scope="module")
def model(network: Tiny) -> bytes:
    """As ONNX."""
    return to_onnx(network, CARD, plain=True)


@pytest.fixture(scope="module")
def crops() -> quantize.Crops:
    """Small smooth pictures."""
    dice = torch.Generator().manual_seed(0)
    rough = torch.rand(4, 3, 8, 8, generator=dice)
    smooth = torch.nn.functional.interpolate(rough, (64, 64), mode="bicubic").clamp(0, 1).numpy()
    return quantize.Crops(smooth[:2], smooth[2:])


def operations(model: bytes, name: str) -> list[onnx.NodeProto]:
    return [node for node in onnx.load_from_string(model).graph.node if node.op_type == name]


def floats(model: bytes) -> set[str]:
    """Names of convolutions whose weights are floats."""
    constants = {constant.name for constant in onnx.load_from_string(model).graph.initializer}
    return {node.name for node in operations(model, "Conv") if node.input[1] in constants}


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_a_file_is_int8_inside_and_says_how_much(
    network: Tiny, crops: quantize.Crops, to: Target, tmp_path: Path
) -> None:
    path = tmp_path / ("tiny.onnx" if to == "onnx" else "tiny.xml")
    found = quantize.export_int8(network, CARD, path, to, crops)
    assert found.psnr >= quantize.TARGET
    assert 0.5 <= found.share < 1
    assert quantize.check_likeness(network, path, crops.held_back) == pytest.approx(
        found.psnr, abs=0.3
    )
    derainer = load(str(path))
    assert derainer(np.zeros((5, 7, 3), np.uint8)).shape == (5, 7, 3)
    assert engines.Exported.read(path).card.note == f"random; {found}"
    assert f"int8 for {found.share:.0%} of the multiply-adds" in str(found)


def test_weights_have_seven_bits_and_a_scale_for_each_channel(
    model: bytes, crops: quantize.Crops
) -> None:
    graph = quantize.Graph(model, quantize.STYLES["openvino"], crops.ranging)
    quantized = onnx.load_from_string(graph.quantized(graph.candidates)).graph
    constants = {
        constant.name: onnx.numpy_helper.to_array(constant) for constant in quantized.initializer
    }
    kernels = [
        values for values in constants.values() if values.dtype == np.int8 and values.ndim == 4
    ]
    assert len(kernels) == len(graph.candidates)
    assert max(np.abs(kernel.astype(int)).max() for kernel in kernels) == 64
    scales = {values.size for name, values in constants.items() if name.endswith("weight_scale")}
    assert {kernel.shape[0] for kernel in kernels} == scales


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_what_touches_the_picture_stays_float(
    model: bytes, crops: quantize.Crops, to: Target
) -> None:
    graph = quantize.Graph(model, quantize.STYLES[to], crops.ranging)
    quantized = graph.quantized(graph.candidates)
    assert floats(quantized) == {"/door/Conv", "/out/Conv"}
    assert graph.share(graph.candidates) < 1
    assert graph.share([node.name for node in operations(model, "Conv")]) == 1
    skip = next(node for node in operations(quantized, "Add") if "Add_2" in node.name)
    assert not any("DequantizeLinear" in name for name in skip.input)


def test_multiply_adds_are_those_of_a_512_picture(
    network: Tiny, model: bytes, crops: quantize.Crops
) -> None:
    from derain.networks.cost import multiply_adds

    graph = quantize.Graph(model, quantize.STYLES["openvino"], crops.ranging)
    assert sum(graph.work.values()) == multiply_adds(network, (64, 64))


def test_what_is_sensitive_is_kept(network: Tiny, crops: quantize.Crops) -> None:
    torch.manual_seed(1)
    sensitive = Tiny().eval()
    sensitive.load_state_dict(network.state_dict())
    # one channel that dwarfs the others, taken back by what comes next: eight bits hold no more
    # than it
    with torch.no_grad():
        sensitive.fine_up[0].first.bias[0] = 300.0  # pyright: ignore
        sensitive.fine_up[0].second.weight[:, 0] = 0.0  # pyright: ignore
    model = to_onnx(sensitive, CARD, plain=True)
    graph = quantize.Graph(model, quantize.STYLES["openvino"], crops.ranging)
    dearest = quantize.ranked(graph, crops.held_back)[0]
    assert dearest == "/fine_up/fine_up.0/Conv_1"
    all_of_it = metrics.psnr(
        quantize.onnx_run(graph.quantized(graph.candidates))(crops.held_back[:1]),
        quantize.onnx_run(model)(crops.held_back[:1]),
        peak=1.0,
    )
    target = all_of_it + 1
    found = quantize.quantize(model, crops, "openvino", target)
    assert dearest in floats(found.model)
    assert found.psnr >= target
    assert found.share < graph.share(graph.candidates)


def test_a_target_out_of_reach_is_an_error_in_one_line(model: bytes, crops: quantize.Crops) -> None:
    with pytest.raises(
        ValueError,
        match=(
            r"^\d+\.\d dB with [5-9]\d% of the multiply-adds in int8; expected 150 dB with 50%;"
            r" [^\n]*$"
        ),
    ):
        quantize.quantize(model, crops, "onnx", target=150)


@pytest.mark.usefixtures("known")
def test_a_file_unlike_its_network_is_refused(
    network: Tiny, crops: quantize.Crops, tmp_path: Path
) -> None:
    quantize.export_int8(network, CARD, tmp_path / "tiny.onnx", "onnx", crops)
    with pytest.raises(
        ValueError,
        match=r"tiny\.onnx: is \d+\.\d dB from the network in PyTorch; expected at least 45 dB",
    ):
        quantize.check_likeness(Tiny().eval(), tmp_path / "tiny.onnx", crops.held_back)


def test_crops_are_the_same_of_the_same_pictures(photo: NDArray[np.uint8], tmp_path: Path) -> None:
    write_image(tmp_path / "1.png", photo)
    crops, again = quantize.Crops.of(tmp_path, side=32), quantize.Crops.of(tmp_path, side=32)
    assert crops.ranging.shape == (quantize.RANGING, 3, 32, 32)
    assert crops.held_back.shape == (quantize.HELD_BACK, 3, 32, 32)
    assert np.array_equal(crops.ranging, again.ranging)
    assert not np.array_equal(crops.ranging[0], crops.ranging[1])
