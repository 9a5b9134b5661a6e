"""Shipping: what becomes of weights on their way into the package."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.quality import still_camera
from derain import weights
from derain.restore import Derainer
from tools.zoo import ship_weights


def test_shipped_weights_are_rounded_scored_and_listed(
    train_and_val: Path,
    yard: Path,
    tmp_path: Path,
    one_thread: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, card = weights.find("petrichor-live")
    weights.save(
        network, replace(card, failures="", scores={"old": "1"}), tmp_path / "best.safetensors"
    )
    table = tmp_path / "catalogue.py"
    rows = (
        '"petrichor",\n    "ours",\n    "0a"',
        '"petrichor-live", "the same, smaller", "77", bfloat16=True',
    )
    table.write_text("".join(f"Entry({row}),\n" for row in rows))
    monkeypatch.setattr(ship_weights.catalogue, "__file__", str(table))
    monkeypatch.setattr(ship_weights.catalogue, "FOLDER", tmp_path / "files")
    arguments = [
        str(tmp_path / "best.safetensors"),
        "petrichor-live",
        str(train_and_val),
        "--failures",
        "snow stays",
    ]
    arguments += ["--still", str(yard)]
    monkeypatch.setattr(sys, "argv", ["ship_weights.py", *arguments])
    ship_weights.main()
    shipped = tmp_path / "files/petrichor-live.safetensors"
    assert shipped.stat().st_size < 0.6 * (tmp_path / "best.safetensors").stat().st_size
    rounded, written = weights.load(shipped)
    assert (written.name, written.failures, written.history) == (
        "petrichor-live",
        "snow stays",
        card.history,
    )
    gain = written.scores.pop("yard still-camera y-matlab gain")
    expected = still_camera.still_scores(
        still_camera.still_frames(yard), Derainer(rounded, device="cpu")
    ).gain
    assert gain == f"{expected:+.2f}"
    assert float(gain) > 0
    assert set(written.scores) == {
        f"validation {name} y-matlab" for name in ("rain100l", "rain100h", "mean")
    }
    with torch.inference_mode():
        assert torch.allclose(
            rounded(torch.full((1, 3, 16, 16), 0.5)),
            network(torch.full((1, 3, 16, 16), 0.5)),
            atol=2e-3,
        )
    assert (
        f'"petrichor-live", "the same, smaller", "{ship_weights.catalogue.sha256(shipped)}",'
        " bfloat16" in table.read_text()
    )
    assert '"0a"' in table.read_text()
    for name, message in (
        ("nledn", "expected weights of nledn, found petrichor-live"),
        ("petrichor-live-2", "no recipe"),
    ):
        with pytest.raises(ValueError, match=message):
            ship_weights.check(name, card)
    table.write_text("")
    with pytest.raises(ValueError, match="0 rows of petrichor-live; expected one"):
        ship_weights.check("petrichor-live", card)
