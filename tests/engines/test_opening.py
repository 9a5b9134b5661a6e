"""Which engine executes a model, and what is said where what it needs is not installed."""

import importlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from numpy.typing import NDArray
from numpy_engines import Unchanged

from derain.engines import choose_engine, make_engine, open_model, opening
from derain.engines.exported import PROVIDERS
from derain.errors import UsageError
from derain.extras import MissingExtraError, is_installed
from derain.restore import Derainer, load
from derain.weights import CATALOGUE, read_card

GRAPHS = [name for name, row in CATALOGUE.items() if row.graph]
ENGINES = [
    pytest.param("torch", marks=pytest.mark.torch),
    "onnx",
    pytest.param(
        "openvino",
        marks=pytest.mark.skipif(not is_installed("openvino"), reason="needs OpenVINO"),
    ),
]


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch is neither found nor imported."""
    usual = importlib.import_module

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name="torch")
        return usual(name, *arguments, **options)

    monkeypatch.setattr(importlib, "import_module", refuse)
    for module in ("opening", "exported"):
        monkeypatch.setattr(f"derain.engines.{module}.is_installed", Mock(return_value=False))


@pytest.mark.parametrize("engine", ["torch", "onnx", "openvino"])
def test_an_engine_that_is_asked_for_is_taken(engine: str) -> None:
    assert choose_engine(engine, "directml") == engine


@pytest.mark.parametrize(
    ("installed", "device", "engine"),
    [
        (True, "auto", "torch"),
        (True, "cpu", "torch"),
        (True, "cuda", "torch"),
        (True, "cuda:1", "torch"),
        (True, "mps", "torch"),
        *((True, device, "onnx") for device in PROVIDERS if device not in ("cpu", "cuda")),
        (False, "auto", "onnx"),
        (False, "cpu", "onnx"),
        (False, "cuda", "onnx"),
        (False, "mps", "onnx"),
    ],
)
def test_auto_is_pytorch_where_it_is_installed_and_has_the_device(
    installed: bool, device: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "is_installed", Mock(return_value=installed))
    assert choose_engine("auto", device) == engine


@pytest.mark.usefixtures("without_torch")
@pytest.mark.parametrize("name", GRAPHS)
def test_shipped_graphs_are_opened_without_torch(name: str) -> None:
    engine, card = open_model(name)
    assert (engine.runtime, engine.name) == ("onnx", "onnx, float32, cpu")
    assert card == read_card(CATALOGUE[name].path)


@pytest.mark.usefixtures("without_torch")
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "nledn",
            {},
            'nledn needs PyTorch: pip install "derain[torch]"; these work without it: petrichor,'
            " petrichor-live, petrichor-deep",
        ),
        (
            "nledn",
            {"engine": "onnx"},
            'nledn needs PyTorch: pip install "derain[torch]"; these work without it: petrichor,'
            " petrichor-live, petrichor-deep",
        ),
        (
            "petrichor",
            {"engine": "torch"},
            'the engine torch needs PyTorch: pip install "derain[torch]"',
        ),
        ("petrichor", {"dtype": "bfloat16"}, 'bfloat16 needs PyTorch: pip install "derain[torch]"'),
        ("petrichor", {"dtype": "float16"}, 'float16 needs PyTorch: pip install "derain[torch]"'),
        (
            "petrichor",
            {"device": "mps"},
            'the device mps needs PyTorch: pip install "derain[torch]"',
        ),
    ],
)
def test_what_needs_torch_says_so(name: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(MissingExtraError) as raised:
        open_model(name, **options)
    assert str(raised.value) == message


@pytest.mark.usefixtures("without_torch")
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_files_need_torch(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(CATALOGUE["petrichor-live"].path.read_bytes())
    for look in (open_model, opening.check_model):
        assert_needs_torch(look, path)


def assert_needs_torch(look: Callable[[str], object], path: Path) -> None:
    with pytest.raises(MissingExtraError, match=r'needs PyTorch: pip install "derain\[torch\]"'):
        look(str(path))


@pytest.mark.usefixtures("without_torch")
def test_a_gpu_without_torch_names_both_ways_to_it() -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(
        UsageError, match=r"^device=cuda: not available in this ONNX Runtime.*torch"
    ):
        open_model("petrichor-live", device="cuda")


@pytest.mark.usefixtures("without_torch")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "tensorrt"}, "engine=tensorrt: expected auto or one of torch, onnx, openvino"),
        ({"dtype": "int4"}, "dtype=int4: onnx takes auto or one of: float32"),
        ({"device": "tpu"}, "device=tpu: not available in this ONNX Runtime"),
    ],
)
def test_unknown_names_are_not_taken_for_what_torch_brings(
    options: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        open_model("petrichor-live", **options)


@pytest.mark.parametrize("option", ["engine", "device", "dtype"])
def test_an_engine_that_is_made_stays_as_it_is(option: str) -> None:
    engine = Unchanged()
    assert make_engine(engine) is engine
    value = "onnx" if option == "engine" else "cpu" if option == "device" else "float32"
    message = (
        f"^{option}={value}: the engine numpy, float32, cpu is already created;"
        " leave this setting out$"
    )
    with pytest.raises(UsageError, match=message):
        make_engine(engine, **{option: value})


@pytest.mark.parametrize("engine", ENGINES)
def test_threads_share_a_derainer_and_each_gets_its_own_pictures_result(
    engine: str, photo: NDArray[np.uint8]
) -> None:
    derainer = load("petrichor-live", engine=engine, device="cpu", dtype="float32", tile=64)
    pictures = [np.ascontiguousarray(np.roll(photo, 17 * k, axis=1)[: 90 + k]) for k in range(8)]
    expected = [derainer(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(derainer, 3 * pictures))
    for result, alone in zip(found, 3 * expected, strict=True):
        assert result.shape == alone.shape
        assert np.abs(result.astype(int) - alone).max() <= 1
    assert not np.array_equal(expected[0][:90], expected[1][:90])


def test_an_engine_is_all_that_a_derainer_needs(photo: NDArray[np.uint8]) -> None:
    assert np.array_equal(Derainer(Unchanged())(photo), photo)
