"""Devices and number formats by name."""

import pytest
import torch

from derain.engines import choose_device, choose_dtype


def test_auto_takes_the_best_there_is() -> None:
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert choose_device("auto").type == expected
    assert choose_device("cpu").type == "cpu"
    assert choose_dtype("auto") == torch.float32


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_formats_by_name(name: str) -> None:
    assert choose_dtype(name) == getattr(torch, name)
