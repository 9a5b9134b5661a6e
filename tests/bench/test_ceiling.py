"""The ceiling, and the operations that are compared with it."""

from typing import cast

import pytest

from derain.bench import Ceiling, ceiling, in_turns, operations
from derain.restore import Derainer, load
from derain.tiles import Tiling


def test_operations_are_twice_the_multiply_adds_of_all_tiles() -> None:
    whole, tiled = (load("petrichor-live", device="cpu", tile=tile) for tile in (0, 64))
    once = whole.engine.count(128, 192)
    assert once is not None
    assert operations(whole, 192, 128) == 2 * once
    assert operations(load("petrichor-live", device="cpu"), 192, 128) == 2 * once
    assert operations(load("petrichor-live", device="cpu", flips=4), 192, 128) == 4 * 2 * once
    again = operations(tiled, 192, 128)
    assert again is not None
    assert again > 1.2 * 2 * once, "tiles overlap"


@pytest.mark.torch
def test_operations_that_cannot_be_counted_are_unknown() -> None:
    import torch
    from torch import nn

    from derain.networks import Network

    class Looking(nn.Module):
        tiling = Tiling(tile=64, overlap=0)
        hyperparameters: dict[str, int] = {}  # noqa: RUF012

        def forward(self, rainy: torch.Tensor) -> torch.Tensor:
            return rainy if rainy.max() > 0.5 else 1 - rainy

    assert operations(Derainer(cast(Network, Looking()), device="cpu"), 64, 64) is None


@pytest.mark.parametrize(
    "engine", [pytest.param("torch", marks=pytest.mark.torch), "onnx", "openvino"]
)
def test_work_and_ceiling_take_turns(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino")
    monkeypatch.setattr(ceiling, "CEILING_SIDE", 8)
    monkeypatch.setattr(ceiling, "CEILING_SECONDS", 0.001)
    calls: list[int] = []
    found = Ceiling.of(load("petrichor-live", device="cpu", engine=engine).engine)
    turns = in_turns(lambda: calls.append(1), found, 3)
    assert len(calls) == len(turns["seconds"]) == len(turns["ceiling"]) == 3
    assert min(turns["seconds"] + turns["ceiling"]) > 0


def test_without_a_product_there_is_no_ceiling() -> None:
    pytest.importorskip("openvino")
    half = load("petrichor-live", engine="openvino", dtype="bfloat16")
    assert Ceiling.of(half.engine) is None
    turns = in_turns(lambda: None, None, 2)
    assert len(turns["seconds"]) == 2
    assert turns["ceiling"] == []
