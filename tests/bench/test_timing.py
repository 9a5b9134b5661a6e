"""Cases in processes of their own; how fast anything is, is not asserted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from derain.bench import Case, time_cases, timing
from derain.errors import UsageError
from derain.extras import is_installed

LIVE = Case("petrichor-live", device="cpu", width=64, height=64)


@pytest.mark.torch
def test_engines_are_measured_beside_each_other() -> None:
    seen: list[tuple[str, int, int]] = []
    cases = [LIVE, replace(LIVE, engine="onnx")]
    plain, onnx = time_cases(
        cases,
        rounds=1,
        pictures=1,
        progress=lambda stage, done, total: seen.append((stage, done, total)),
    )
    assert [plain.case, onnx.case] == [replace(LIVE, engine="torch"), cases[1]]
    assert seen == [("cases", 1, 2), ("cases", 2, 2)]
    assert plain.seconds > 0
    assert plain.operations is not None
    assert plain.ceiling is not None
    assert plain.ceiling > 0
    assert plain.psnr is None
    assert onnx.psnr is not None
    assert onnx.psnr > 60
    for found in (plain, onnx):
        assert found.peak_memory is None or 50e6 < found.peak_memory < 50e9


def test_the_engine_is_the_one_that_was_chosen() -> None:
    (found,) = time_cases([LIVE], rounds=1, pictures=1)
    assert found.case.engine == ("torch" if is_installed("torch") else "onnx")
    assert found.seconds > 0
    assert found.operations is not None
    assert found.ceiling is not None


def test_rounds_take_turns_and_are_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    corner = np.full((6, 7, 3), 0.5, np.float32)
    differences = {"float32": 0.0, "bfloat16": 0.1, "float16": 0.0}
    order: list[str] = []

    def pretend(case: Case, pictures: int, place: Path) -> dict[str, Any]:
        order.append(case.dtype)
        number = float(len(order))
        np.save(place, corner + np.float32(differences[case.dtype]))
        return {
            "seconds": [number] * pictures,
            "ceiling": [100.0],
            "operations": 12,
            "peak_memory": int(number),
            "engine": "torch",
            "machine": "a machine",
        }

    monkeypatch.setattr(timing, "_in_own_process", pretend)
    cases = [replace(LIVE, dtype=dtype) for dtype in differences]
    exact, coarse, equal = time_cases(cases, rounds=3, pictures=2)
    assert order == ["float32", "bfloat16", "float16"] * 3
    assert (exact.seconds, coarse.seconds, equal.seconds) == (4, 5, 6)
    assert (exact.operations, exact.share, exact.peak_memory) == (3, 0.03, 7)
    assert exact.psnr is None
    assert coarse.psnr == pytest.approx(20, abs=1e-4), "a tenth of the range of one"
    assert equal.psnr == timing.MOST_PSNR


def test_a_case_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def pretend(case: Case, pictures: int, place: Path) -> dict[str, Any]:
        order.append(case.dtype)
        if case.dtype == "bfloat16" and len(order) > 3:
            raise ValueError("it fails")
        np.save(place, np.zeros((6, 7, 3), np.float32))
        return {
            "seconds": [1.0] * pictures,
            "ceiling": [],
            "operations": None,
            "peak_memory": None,
            "engine": "torch",
            "machine": "a machine",
        }

    monkeypatch.setattr(timing, "_in_own_process", pretend)
    cases = [replace(LIVE, dtype=dtype) for dtype in ("float32", "bfloat16", "float16")]
    failed: list[tuple[Case, str]] = []
    seen: list[tuple[str, int, int]] = []
    found = time_cases(
        cases,
        rounds=3,
        pictures=1,
        progress=lambda stage, done, total: seen.append((stage, done, total)),
        on_failure=lambda case, error: failed.append((case, str(error))),
    )
    assert [one.case.dtype for one in found] == ["float32", "float16"]
    assert failed == [(cases[1], "it fails")]
    assert order == ["float32", "bfloat16", "float16"] * 2 + ["float32", "float16"]
    assert seen == [("cases", number, 9) for number in range(1, 10)]


def test_an_option_that_is_wrong_here_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="not available") as raised:
        time_cases([replace(LIVE, device="cuda:99")], rounds=1, pictures=1)
    assert (raised.value.option, raised.value.value) == ("device", "cuda:99")


def test_a_case_that_fails_is_named() -> None:
    with pytest.raises(
        ValueError,
        match=r"^nothing, auto, float32, 64x64: nothing: no such weights; expected one of",
    ):
        time_cases([replace(LIVE, model="nothing")], rounds=1, pictures=1)
