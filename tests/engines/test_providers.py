"""ONNX Runtime's execution providers, those that this build has."""

import numpy as np
import onnxruntime
import pytest

from derain.engines import open_model
from derain.engines.exported import PROVIDERS

PICTURE = np.random.default_rng(0).random((1, 3, 72, 104), np.float32)


@pytest.mark.parametrize("device", PROVIDERS)
def test_every_device_gives_what_the_processor_gives(device: str) -> None:
    if PROVIDERS[device] not in onnxruntime.get_available_providers():
        pytest.skip(f"this ONNX Runtime was built without {device}")
    engine, _ = open_model("petrichor-live", "onnx", device)
    usual, _ = open_model("petrichor-live", "onnx", "cpu")
    assert engine.device == device
    assert np.abs(engine(PICTURE) - usual(PICTURE)).mean() < 1e-4


def test_what_this_build_lacks_is_refused() -> None:
    lacking = [
        device
        for device, provider in PROVIDERS.items()
        if provider not in onnxruntime.get_available_providers()
    ]
    for device in (*lacking, "tpu", "cpu:x", "cpu:7"):
        with pytest.raises(
            ValueError, match=f"device={device}: not available in this ONNX Runtime"
        ):
            open_model("petrichor-live", "onnx", device)


def test_a_provider_that_does_not_start_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever installs a build for a GPU without the GPU's libraries gets the processor in silence.
    there = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there)
    with pytest.raises(ValueError, match="device=cuda: ONNX Runtime could not use it"):
        open_model("petrichor-live", "onnx", "cuda")
