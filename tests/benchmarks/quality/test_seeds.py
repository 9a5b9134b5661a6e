"""One recipe under several seeds."""

from pathlib import Path

import pytest
from noise_pictures import noise_places

from benchmarks.quality import seeds


def test_seeds_are_trained_alike_and_printed_with_their_spread(
    tmp_path: Path,
    one_thread: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = noise_places(tmp_path)
    options = [
        "--out",
        str(tmp_path / "runs"),
        "--steps",
        "12",
        "--batch",
        "1",
        "--crop",
        "16",
        "--seeds",
        "2",
        "--device",
        "cpu",
    ]
    monkeypatch.setattr("sys.argv", ["seeds.py", "petrichor-live", *places, *options])
    seeds.main()
    _, _, *rows = [
        line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("|")
    ]
    assert [cells[0] for cells in rows] == ["| 0", "| 1", "| mean ± deviation"]
    # Two of the rounded scores may be equal by chance, hardly all of them.
    assert rows[0][2:] != rows[1][2:]
    scores = [float(cells[2]) for cells in rows[:2]]
    mean, deviation = (float(text) for text in rows[2][2].split(" ± "))
    assert mean == pytest.approx(sum(scores) / 2, abs=0.011)
    assert deviation == pytest.approx(abs(scores[0] - scores[1]) / 2**0.5, abs=0.02)
