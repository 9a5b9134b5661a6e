"""Exported files compute what their networks compute, in ONNX Runtime and in OpenVINO."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from numpy_engines import as_floats
from torch import nn

import derain
from derain.data import find_pairs
from derain.engines import Engine, Exported, make_engine
from derain.engines.export import TOLERANCE, check_parity, export, facts_of
from derain.evaluate import evaluate
from derain.networks import NETWORKS, Network
from derain.restore import Derainer
from derain.tiles import Float32s
from derain.weights import Card

CASES: dict[str, dict[str, Any]] = {name: {} for name in NETWORKS} | {
    "dpenet": {"blocks": 1},
    "remaen": {"recurrences": 2},
    "nledn dot": {"non_local": "dot"},
    "nledn none": {"non_local": "none"},
    "nledn in a row": {"pooling": False, "blocks": 1},
}


def awake(name: str, **hyperparameters: Any) -> Network:
    """A network all of whose parts matter; some begin at zero, and hide what is behind them."""
    torch.manual_seed(0)
    network = NETWORKS[name](**hyperparameters).eval()
    assert isinstance(network, nn.Module)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))
        for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.normal_(0, 0.2)
            norm.running_var.uniform_(0.5, 2)
    return network


def written(network: Network, folder: Path, to: Literal["onnx", "openvino"] = "onnx") -> Path:
    path = folder / ("w.onnx" if to == "onnx" else "w.xml")
    name = next(name for name, kind in NETWORKS.items() if kind is type(network))
    export(network, Card("some", name, network.hyperparameters, licence="none"), path, to)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Network, Path]]:
    """Makes a case's network and its ONNX file, which OpenVINO reads too; once."""

    @functools.cache
    def make(case: str) -> tuple[Network, Path]:
        network = awake(case.split()[0], **CASES[case])
        return network, written(network, tmp_path_factory.mktemp("exported"))

    return make


BOTH = [
    f"{case}, {engine}"
    for case in CASES
    for engine in ("onnx", "openvino")
    # OpenVINO takes seconds to open an NLEDN; one of its kinds is enough.
    if engine == "onnx" or " " not in case
]


@pytest.fixture(scope="module", params=BOTH)
def both(
    request: pytest.FixtureRequest, made: Callable[[str], tuple[Network, Path]]
) -> tuple[Network, Engine]:
    """A network, and its file in a runtime."""
    case, _, engine = request.param.partition(", ")
    network, path = made(case)
    return network, make_engine(Exported.read(path), engine)


def random(*shape: int) -> Float32s:
    return np.random.default_rng(1).random(shape, np.float32)


def computed(network: Network, rainy: Float32s) -> Float32s:
    """What the network makes of pictures."""
    with torch.inference_mode():
        return network(torch.from_numpy(rainy)).numpy()


def assert_same(found: Float32s, expected: Float32s, network: Network) -> None:
    """Compare to rounding.

    Where the network pools, two of four values may be so close that rounding decides which goes
    where later.
    """
    far = (np.abs(found - expected) > TOLERANCE).mean()
    assert found.shape == expected.shape
    assert far <= (0.02 if network.hyperparameters.get("pooling") else 0)


@pytest.mark.parametrize("shape", [(1, 3, 97, 131), (2, 3, 33, 200)])
def test_it_equals_the_network(shape: tuple[int, ...], both: tuple[Network, Engine]) -> None:
    network, engine = both
    rainy = random(*shape)
    expected = computed(network, rainy)
    assert np.abs(expected - rainy).mean() > 0.01, "it does something"
    assert_same(engine(rainy), expected, network)


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (2, 3, 5, 40)])
def test_of_what_is_small_it_repeats_the_border(
    shape: tuple[int, ...], both: tuple[Network, Engine]
) -> None:
    network, engine = both
    rainy = random(*shape)
    height, width = shape[2:]
    least = facts_of(network).least_side
    right, below = (max(least - side, -side % network.tiling.multiple) for side in (width, height))
    padded = np.pad(rainy, ((0, 0), (0, 0), (0, below), (0, right)), mode="edge")
    expected = computed(network, padded)[..., :height, :width]
    assert_same(engine(rainy), expected, network)


@pytest.fixture(scope="module")
def small() -> Network:
    return awake("dpenet", blocks=1)


@pytest.fixture(scope="module")
def files(small: Network, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small network in both formats."""
    folder = tmp_path_factory.mktemp("small")
    return {"onnx": written(small, folder), "openvino": written(small, folder, "openvino")}


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_it_derains_as_the_network_does(
    kind: str, small: Network, files: dict[str, Path], photo: NDArray[np.uint8], pairs: Path
) -> None:
    derainer, usual = derain.load(str(files[kind]), tile=64), Derainer(small, tile=64, device="cpu")
    image = as_floats(photo)
    assert len(derainer.grid(*photo.shape[:2]).sizes) > 1
    assert np.allclose(derainer(image), usual(image), atol=TOLERANCE)
    assert derainer.name == "some"
    assert derainer.describe() == f"tile 64, overlap 16, {kind}, float32, cpu"
    found, expected = (evaluate(one, find_pairs(pairs), ["rgb"]) for one in (derainer, usual))
    assert found.network == expected.network
    assert found.cost.parameters == expected.cost.parameters
    assert found.cost.multiply_adds == expected.cost.multiply_adds is not None
    assert found.mean("rgb").psnr == pytest.approx(expected.mean("rgb").psnr, abs=0.01)


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
@pytest.mark.parametrize("case", ["dpenet", "petrichor-live"])
def test_flips_give_what_the_network_gives(
    engine: str, case: str, made: Callable[[str], tuple[Network, Path]], photo: NDArray[np.uint8]
) -> None:
    network, path = made(case)
    # no multiple of a grid, and another size once transposed
    image = as_floats(photo)[:101, :75]
    derainer = Derainer(Exported.read(path), tile=64, engine=engine, flips=8)
    usual = Derainer(network, tile=64, device="cpu", flips=8)
    assert len(derainer.grid(*image.shape[:2]).sizes) > 1
    assert np.abs(usual(image) - Derainer(network, tile=64, device="cpu")(image)).mean() > 0.005
    assert np.allclose(derainer(image), usual(image), atol=TOLERANCE)


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_a_network_is_exported_on_the_way(engine: str, small: Network) -> None:
    rainy = random(1, 3, 40, 50)
    found = make_engine(small, engine)(rainy)
    assert np.allclose(found, computed(small, rainy), atol=TOLERANCE)


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_parity_is_checked(kind: str, small: Network, files: dict[str, Path]) -> None:
    assert check_parity(small, files[kind]) < TOLERANCE
    with pytest.raises(
        ValueError,
        match=r"w\.(onnx|xml): is .* of 1 from the network in PyTorch; expected at most 1e-04",
    ):
        check_parity(NETWORKS["dpenet"](blocks=1).eval(), files[kind])


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (
            "openvino",
            {"engine": "onnx"},
            r"engine=onnx: cannot read .*w\.xml; expected a \.onnx file, or openvino",
        ),
        (
            "onnx",
            {"engine": "torch"},
            "engine=torch: .* is an exported file; expected weights, or another engine",
        ),
        (
            "onnx",
            {"engine": "tensorrt"},
            "engine=tensorrt: expected auto or one of torch, onnx, openvino",
        ),
        (
            "onnx",
            {"device": "tpu"},
            "device=tpu: not available in this ONNX Runtime; expected auto or one of: cpu",
        ),
        (
            "onnx",
            {"dtype": "bfloat16"},
            "dtype=bfloat16: onnx takes auto or one of: float32",
        ),
        (
            "openvino",
            {"dtype": "float16"},
            "dtype=float16: openvino takes auto or one of: float32, bfloat16",
        ),
    ],
)
def test_what_does_not_go_together(
    kind: str, options: dict[str, str], message: str, files: dict[str, Path]
) -> None:
    with pytest.raises(ValueError, match=message):
        make_engine(Exported.read(files[kind]), **options)


def test_openvino_runs_on_the_processor(files: dict[str, Path]) -> None:
    with pytest.raises(
        ValueError, match="device=cuda: openvino runs on the CPU; expected auto or cpu"
    ):
        make_engine(Exported.read(files["openvino"]), device="cuda")


def test_openvino_takes_bfloat16_when_told(small: Network, files: dict[str, Path]) -> None:
    engine = make_engine(Exported.read(files["openvino"]), dtype="bfloat16")
    assert engine.name == "openvino, bfloat16, cpu"
    rainy = random(1, 3, 40, 50)
    assert np.allclose(engine(rainy), computed(small, rainy), atol=0.1)


def test_it_cannot_sense_density(files: dict[str, Path]) -> None:
    engine = make_engine(Exported.read(files["onnx"]))
    assert not engine.senses_density
    with pytest.raises(
        ValueError, match="engine=onnx: cannot measure rain density; expected torch"
    ):
        engine.density(random(1, 3, 8, 8))


def test_what_is_no_number_is_refused() -> None:
    network = awake("dpenet", blocks=1)
    for parameter in network.parameters():
        parameter.data.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="returned NaN or infinity"):
        make_engine(network, "onnx")(random(1, 3, 8, 8))


def test_onnx_runtimes_lack_of_memory_is_one(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail

    class Full:
        def run(self, *_: Any) -> None:
            raise Fail("Failed to allocate memory for requested buffer of size 800000000")

    engine = make_engine(Exported.read(files["onnx"]))
    monkeypatch.setattr(engine, "_session", Full())
    with pytest.raises(RuntimeError, match="ONNX Runtime: Failed to allocate memory") as raised:
        engine(random(1, 3, 8, 8))
    assert derain.errors.is_out_of_memory(raised.value)
