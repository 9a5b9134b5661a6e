"""Shipping: what becomes of weights on their way into the package."""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from benchmarks.quality import still_camera
from derain.engines import Exported
from derain.files import file_digest
from derain.restore import Derainer
from derain.weights import loading, store
from derain.weights.catalogue import ShippedWeights
from tools.zoo import ship_weights


def test_shipped_weights_are_rounded_scored_and_listed(
    train_and_val: Path,
    yard: Path,
    tmp_path: Path,
    one_thread: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, card = loading.find("petrichor-live")
    store.save(
        network, replace(card, failures="", scores={"old": "1"}), tmp_path / "best.safetensors"
    )
    table = tmp_path / "catalogue.json"
    rows = [
        ShippedWeights("petrichor", "ours", "0a"),
        ShippedWeights("petrichor-live", "the same, smaller", "77", bfloat16=True),
    ]
    table.write_text(json.dumps({"weights": [asdict(row) for row in rows], "retired": {}}))
    monkeypatch.setattr(ship_weights.catalogue, "TABLE", table)
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
    rounded, written = store.load(shipped)
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
    listed = ship_weights.catalogue.read_rows(table)
    graph = shipped.with_suffix(".onnx")
    assert listed["petrichor-live"] == replace(
        rows[1], sha256=file_digest(shipped), graph=file_digest(graph)
    )
    assert Exported.read(graph).card == store.load(shipped)[1]
    assert listed["petrichor"] == rows[0]
    monkeypatch.setattr(sys, "argv", ["ship_weights.py", *arguments[:3], "--note", "again"])
    ship_weights.main()
    again = store.load(shipped)[1]
    assert (again.failures, again.note) == ("snow stays", "again")
    for name, message in (
        ("nledn", "expected weights of nledn, found petrichor-live"),
        ("petrichor-live-2", "no recipe"),
    ):
        with pytest.raises(ValueError, match=message):
            ship_weights.check(name, card)
    table.write_text('{"weights": [], "retired": {}}')
    with pytest.raises(ValueError, match="no row of petrichor-live; expected one"):
        ship_weights.check("petrichor-live", card)
