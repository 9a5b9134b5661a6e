"""Names and sizes that can be meant for no model are known without one."""

import pytest

from derain.engines.names import DEVICES, DTYPES, ENGINES, check_names, check_tile
from derain.errors import UsageError
from derain.restore import check_asked


def test_every_name_is_taken() -> None:
    for engine in ENGINES:
        for device in (*DEVICES, "cuda:1", "directml:0"):
            for dtype in DTYPES:
                check_names(engine, device, dtype)


@pytest.mark.parametrize(
    ("engine", "device", "dtype", "message"),
    [
        ("onxx", "auto", "auto", "engine=onxx: expected auto or one of torch, onnx, openvino; did"),
        ("ort", "auto", "auto", "did you mean onnx?"),
        ("auto", "gpu", "auto", "device=gpu: not available; expected one of auto, cpu, cuda"),
        ("auto", "CUDA", "auto", "did you mean cuda?"),
        ("auto", "cuad:0", "auto", "did you mean cuda?"),
        ("auto", "auto", "half", "dtype=half: expected one of auto, float32"),
        ("auto", "auto", "bf16", "did you mean bfloat16?"),
        ("auto", "auto", "int8", "dtype=int8: expected one of auto, float32, bfloat16, float16"),
    ],
)
def test_others_say_what_may_be_meant(engine: str, device: str, dtype: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        check_names(engine, device, dtype)
    assert message in str(raised.value)
    with pytest.raises(UsageError):
        check_asked("petrichor", engine=engine, device=device, dtype=dtype)


@pytest.mark.parametrize(
    ("tile", "overlap"), [(None, None), (0, None), (32, 8), (None, 100), (0, 0)]
)
def test_sizes_that_may_be_meant(tile: int | None, overlap: int | None) -> None:
    check_tile(tile, overlap, 32)


@pytest.mark.parametrize(
    ("tile", "overlap"), [(-1, None), (31, None), (32, 9), (None, -1), (0, 1), (64, -1)]
)
def test_sizes_that_no_network_has(tile: int | None, overlap: int | None) -> None:
    with pytest.raises(UsageError):
        check_tile(tile, overlap, 32)


def test_the_least_tile_is_the_networks() -> None:
    check_asked("dpenet", tile=16)
    with pytest.raises(UsageError, match="tile=16: expected at least 32 pixels"):
        check_asked("petrichor-live", tile=16)


def test_a_quality_and_a_model_are_told_apart() -> None:
    with pytest.raises(UsageError, match="stands for petrichor-live; ask for it by quality"):
        check_asked("fast")
    with pytest.raises(UsageError, match="a model is named in place of a quality"):
        check_asked(quality="petrichor")
    with pytest.raises(FileNotFoundError, match=r"did you mean petrichor\?"):
        check_asked("petrihcor")


@pytest.mark.torch
def test_float16_on_a_processor_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    from derain.restore import load

    load("petrichor-live", device="cpu", dtype="float16", engine="torch")
    assert "float16 on a CPU is slower than float32" in caplog.text
    caplog.clear()
    load("petrichor-live", device="cpu", dtype="bfloat16", engine="torch")
    assert caplog.text == ""
