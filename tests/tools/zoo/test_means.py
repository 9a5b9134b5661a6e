"""The mean of several weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmarks.quality import still_camera
from derain.images import write_image
from derain.networks import NETWORKS
from derain.restore import load
from tools.zoo import means


def test_the_mean_of_weights_is_of_weights_of_one_size() -> None:
    networks = [NETWORKS["dpenet"](blocks=1) for _ in range(2)]
    halfway = means.mean_of(networks).state_dict()
    a, b = (network.state_dict() for network in networks)
    assert all(torch.allclose(halfway[key], (a[key] + b[key]) / 2, atol=1e-6) for key in a)
    with pytest.raises(ValueError, match="have no mean"):
        means.mean_of([networks[0], NETWORKS["dpenet"](blocks=2)])


def test_means_are_scored_before_a_still_camera_too(
    tmp_path: Path,
    photo: NDArray[np.uint8],
    yard: Path,
    one_thread: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "clean/val").mkdir(parents=True)
    write_image(tmp_path / "clean/val/1.png", photo)
    options = ["--device", "cpu", "--still", str(yard)]
    names = ["petrichor-live", "petrichor-live"]
    monkeypatch.setattr("sys.argv", ["means.py", str(tmp_path / "clean"), *names, *options])
    means.main()
    derainer = load("petrichor-live", device="cpu", dtype="float32")
    score = still_camera.still_scores(still_camera.still_frames(yard), derainer)
    first, mean, _ = capsys.readouterr().out.splitlines()
    ending = f", still camera {score.psnr:.2f} dB ({score.gain:+.2f})"
    assert first.endswith(ending)
    assert mean.endswith(ending)
