"""Devices and number formats by name."""

import pytest
import torch

from derain.engines.pytorch import choose_device, choose_dtype, choose_training_dtype, has_bfloat16


def test_auto_takes_the_best_there_is() -> None:
    expected = (
        "cuda"
        if torch.cuda.is_available()
        else "mps"
        if torch.backends.mps.is_available()
        else "cpu"
    )
    assert choose_device("auto").type == expected
    assert choose_device("cpu").type == "cpu"
    assert choose_dtype("auto") == torch.float32


def test_training_takes_bfloat16_where_the_device_computes_in_it() -> None:
    cpu = torch.device("cpu")
    assert choose_training_dtype("auto", cpu) == (
        torch.bfloat16 if has_bfloat16(cpu) else torch.float32
    )
    assert choose_training_dtype("float32", cpu) == torch.float32
    with pytest.raises(
        ValueError, match="dtype=float16: expected auto, float32 or bfloat16 to train in"
    ):
        choose_training_dtype("float16", cpu)


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_formats_by_name(name: str) -> None:
    assert choose_dtype(name) == getattr(torch, name)
