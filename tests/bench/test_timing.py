"""Speed is measured right; how fast anything is, is not asserted."""

import math
from dataclasses import replace
from typing import cast
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import nn

from derain.bench import timing as speed
from derain.bench.timing import Case, Timing, bench, operations, picture, psnr_between
from derain.evaluate import multiply_adds
from derain.networks import Network, Tiling
from derain.restore import Derainer, load

LIVE = Case("petrichor-live", device="cpu", width=64, height=64)


def test_psnr_is_that_of_a_range_of_one() -> None:
    one = np.random.default_rng(0).random((6, 7, 3), np.float32)
    assert psnr_between(one, one) == math.inf
    assert psnr_between(np.zeros_like(one), np.full_like(one, 0.1)) == pytest.approx(20, abs=1e-4)
    assert psnr_between(one, one + np.float32(1e-3)) == pytest.approx(60, abs=0.01)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (64, 48), (5, 3000), (1100, 20)])
def test_the_picture_is_the_same_each_time(width: int, height: int) -> None:
    first = picture(width, height)
    assert np.array_equal(first, picture(width, height))
    assert first.shape == (height, width, 3)
    assert first.dtype == np.float32
    assert first.min() >= 0
    assert first.max() <= 1


def test_the_picture_has_structure_and_rain_on_it() -> None:
    rainy = picture(256, 128)
    assert 0.05 < rainy.std() < 0.4
    assert not np.array_equal(rainy[:, :128], rainy[:, 128:])
    assert psnr_between(rainy, load("petrichor-live", device="cpu")(rainy)) < 40


def test_operations_are_twice_the_multiply_adds_of_all_tiles() -> None:
    whole, tiled = (load("petrichor-live", device="cpu", tile=tile) for tile in (0, 64))
    once = multiply_adds(whole.engine.network, (128, 192))
    assert once is not None
    assert operations(whole, 192, 128) == 2 * once
    assert operations(load("petrichor-live", device="cpu"), 192, 128) == 2 * once
    assert operations(load("petrichor-live", device="cpu", flips=4), 192, 128) == 4 * 2 * once
    again = operations(tiled, 192, 128)
    assert again is not None
    assert again > 1.2 * 2 * once, "tiles overlap"


def test_operations_that_cannot_be_counted_are_unknown() -> None:
    class Looking(nn.Module):
        tiling = Tiling(tile=64, overlap=0)
        hyperparameters: dict[str, int] = {}  # noqa: RUF012

        def forward(self, rainy: torch.Tensor) -> torch.Tensor:
            return rainy if rainy.max() > 0.5 else 1 - rainy

    assert operations(Derainer(cast("Network", Looking()), device="cpu"), 64, 64) is None


def test_figures_of_a_timing() -> None:
    timing = Timing(replace(LIVE, width=2000, height=500), 0.5, 3e9, 12e9, None)
    assert timing.megapixels_per_second == 2
    assert timing.share == 0.25
    assert replace(timing, operations=None).share is None


def test_work_and_ceiling_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "CEILING_SIDE", 8)
    calls: list[int] = []
    cpu = torch.device("cpu")
    monkeypatch.setattr(speed, "CEILING_SECONDS", 0.001)
    turns = speed.in_turns(lambda: calls.append(1), speed.Ceiling(cpu, torch.bfloat16), cpu, 3)
    assert len(calls) == len(turns["seconds"]) == len(turns["ceiling"]) == 3
    assert min(turns["seconds"] + turns["ceiling"]) > 0


def test_engines_are_measured_beside_each_other() -> None:
    done: list[tuple[int, int]] = []
    cases = [LIVE, replace(LIVE, engine="onnx")]
    plain, onnx = bench(cases, rounds=1, pictures=1, on_case=lambda k, n: done.append((k, n)))
    assert [plain.case, onnx.case] == cases
    assert done == [(1, 2), (2, 2)]
    assert plain.seconds > 0
    assert plain.operations is not None
    assert plain.ceiling > 0
    assert plain.psnr is None
    assert onnx.psnr is not None
    assert onnx.psnr > 60
    for timing in (plain, onnx):
        assert timing.peak_memory is None or 50e6 < timing.peak_memory < 50e9


def test_a_case_that_fails_is_named() -> None:
    with pytest.raises(
        ValueError,
        match=r"^nothing, torch, float32, 64x64: nothing: no such weights; expected one of",
    ):
        bench([replace(LIVE, model="nothing")], 1, 1, Mock())
