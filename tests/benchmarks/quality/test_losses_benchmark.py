"""One recipe under every loss."""

from pathlib import Path

import pytest
from noise_pictures import noise_places

from benchmarks.quality import losses


def test_every_loss_is_trained_from_the_same_weights_and_scored(
    tmp_path: Path,
    one_thread: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = noise_places(tmp_path)
    options = {"--out": str(tmp_path / "runs"), "--init": "petrichor-live", "--lr": "1e-3"}
    options |= {"--steps": "3", "--batch": "1", "--device": "cpu"}
    given = [text for option in options.items() for text in option]
    monkeypatch.setattr("sys.argv", ["losses.py", "petrichor-live", *places, *given])
    losses.main()
    _, _, *rows = [
        line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("|")
    ]
    assert [cells[0] for cells in rows] == [
        "| before",
        "| petrichor-live, network",
        "| petrichor-live, rmse",
    ]
    before, network, rmse = (cells[2:] for cells in rows)
    assert before != network
    assert network != rmse
