"""What the script for `derain weights list` makes of timings."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from benchmarks.performance import listed
from derain.bench import Case, Timing
from derain.weights.catalogue import TABLE, Cost, read_rows


def timing(model: str, engine: str, seconds: float) -> Timing:
    case = Case(model, engine, "float32", "cpu", 1000, 500)
    return Timing(case, seconds, None, None, None, machine="a machine")


def test_costs_are_seconds_a_megapixel() -> None:
    timings = [
        timing("petrichor-live", "torch", 0.25),
        timing("petrichor-live", "onnx", 0.5),
        timing("dpenet", "torch", 3.0),
    ]
    assert listed.costs_of(timings) == {
        "petrichor-live": Cost(253356, 0.5, 1.0),
        "dpenet": Cost(647328, 6.0),
    }


def test_all_weights_are_timed_in_every_engine_they_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "catalogue.json"
    table.write_bytes(TABLE.read_bytes())

    def timed(cases: list[Case], **_: int) -> list[Timing]:
        return [timing(case.model, case.engine, 1.0) for case in cases]

    measure = Mock(side_effect=timed)
    monkeypatch.setattr(listed, "time_cases", measure)
    monkeypatch.setattr(listed, "TABLE", table)
    monkeypatch.setattr("sys.argv", ["listed", "--write"])
    listed.main()
    asked = {(case.model, case.engine) for case in measure.call_args.args[0]}
    rows = read_rows(TABLE)
    graphs = {(name, "onnx") for name, row in rows.items() if row.graph}
    assert asked == {(name, "torch") for name in rows} | graphs
    assert read_rows(table) == rows
    assert "| `petrichor` | 1036172 | 2.00 | 2.00 |" in capsys.readouterr().out
    assert '"torch": 2.0' in table.read_text()
    assert "a machine; commit " in table.read_text()
