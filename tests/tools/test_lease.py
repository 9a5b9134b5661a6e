"""The script for minutes of a GPU, rehearsed on a CPU; and what it does otherwise than the
trainer.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import lease
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from derain import weights
from derain.images import write_image
from derain.networks import PetrichorLive

SCRIPT = Path(lease.__file__)
STEP = lease.Settings(batch=2, lr=0.5, decay=0.25)


@pytest.fixture
def data(tmp_path: Path, photo: NDArray[np.uint8]) -> Path:
    """Clean pictures and streak textures, as the script wants them."""
    for k in range(3):
        (tmp_path / "data/clean/train").mkdir(parents=True, exist_ok=True)
        write_image(tmp_path / f"data/clean/train/{k}.png", np.roll(photo, 40 * k, axis=1))
        (tmp_path / "data/textures").mkdir(parents=True, exist_ok=True)
        texture = np.zeros((64, 96, 3), np.uint8)
        texture[:, 5 + k :: 12] = 200
        write_image(tmp_path / f"data/textures/{k}.png", texture)
    return tmp_path / "data"


def run(verb: str, data: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Rehearse; ``graph`` fails on a CPU at once, so that nothing is compiled, and the plain step
    is taken.
    """
    out, scratch = data.parent / "out", data.parent / "scratch"
    places = ("--data", str(data), "--out", str(out), "--scratch", str(scratch))
    command = [
        sys.executable,
        str(SCRIPT),
        verb,
        "--rehearse",
        "--device",
        "cpu",
        "--modes",
        "graph",
        *places,
        *arguments,
    ]
    alone = {key: value for key, value in os.environ.items() if key != "DERAIN_LEASE_BEGAN"}
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=alone | {"OMP_NUM_THREADS": "1"},
    )


def test_a_rehearsal_writes_weights_of_each_size(data: Path) -> None:
    done = run("train", data, "--until", "1", "--plan", "petrichor-live=1", "petrichor-deep=2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "petrichor-live, graph: failed" in done.stdout
    assert "petrichor-deep: ready, plain" in done.stdout
    out = data.parent / "out"
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [row["name"] for row in rows] == sorted(
        (row["name"] for row in rows), reverse=True
    )  # one size after the other
    for name, origin in (
        ("petrichor-live", "petrichor-live"),
        ("petrichor-deep", "petrichor-deep"),
    ):
        losses = [row["loss"] for row in rows if row["name"] == name]
        assert losses
        assert np.isfinite(losses).all()
        before = weights.find_card(origin).history
        for file, schedule in ((name, "trunk and branch"), (f"{name}-trunk", "trunk")):
            network, card = weights.load(out / f"{file}.safetensors")
            assert type(network) is lease.SIZES[name]
            assert (card.name, card.network) == (name, name)
            assert card.history[:-1] == before
            told = json.loads(card.history[-1].recipe)
            assert (told["name"], told["schedule"], told["batch"], told["crop"]) == (
                name,
                schedule,
                2,
                64,
            )
            assert card.steps == sum(stage.steps for stage in card.history)
            assert str(data.parent) not in card.to_json()
    shipped, trained = (
        weights.find("petrichor-live")[0],
        weights.load(out / "petrichor-live.safetensors")[0],
    )
    moved = [
        float((trained.state_dict()[key] - value).abs().max())
        for key, value in shipped.state_dict().items()
    ]
    assert 0 < max(moved) < 0.5


def test_speed_prints_a_row_for_each_format(data: Path) -> None:
    done = run("speed", data, "--plan", "petrichor-live=1")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((data.parent / "out/speed.json").read_text())
    assert [row["dtype"] for row in rows] == ["float32", "bfloat16", "float16"]
    assert all(row["seconds"] > 0 for row in rows)
    assert (
        len(
            [
                line
                for line in done.stdout.splitlines()
                if line.startswith("| `petrichor-live` | 481x321 |")
            ]
        )
        == 3
    )


def test_without_pictures_nothing_waits_for_them(data: Path) -> None:
    for path in (data / "textures").iterdir():
        path.unlink()
    (data / "textures").rmdir()
    began = time.monotonic()
    done = run("train", data, "--until", "600", "--plan", "petrichor-live=1")
    assert done.returncode != 0
    assert "textures" in done.stderr.splitlines()[-1]
    assert time.monotonic() - began < 120


def test_sizes_that_are_none_are_refused(data: Path) -> None:
    done = run("train", data, "--plan", "nledn=1")
    assert done.returncode == 2
    assert (
        "--plan nledn=1: expected a size and its share of the time, such as petrichor-deep=6"
        in done.stderr
    )


def test_a_rehearsal_does_not_leave_its_few_pictures_to_the_real_run(
    data: Path, tmp_path: Path
) -> None:
    for rehearse in (True, False):
        place = lease.Place(data, tmp_path, tmp_path / "scratch", torch.device("cpu"), rehearse)
        assert not place.prepared.exists()
        place.scratch.mkdir(exist_ok=True)
        place.prepared.touch()


@pytest.mark.parametrize(
    ("done", "step", "rate"),
    [
        (0.0, 0, 0.5 / lease.WARM_UP_STEPS),
        (0.1, lease.WARM_UP_STEPS // 2 - 1, 0.25),
        (0.1, lease.WARM_UP_STEPS, 0.5),
        (0.75, 5000, 0.5),
        (0.75 + 0.25 * 0.25, 5000, 0.25),
        (1.0, 5000, 0.0),
        (1.2, 5000, 0.0),
    ],
)
def test_the_rate_warms_up_stays_and_falls_as_one_minus_the_root(
    done: float, step: int, rate: float
) -> None:
    assert STEP.rate(done, step) == pytest.approx(rate)


def test_a_shifted_depthwise_convolution_is_one(seeded: None) -> None:
    plain = nn.Conv2d(6, 6, 3, padding=1, groups=6)
    shifted = lease.ShiftedDepthwise(plain)
    assert [name for name, _ in shifted.named_parameters()] == [
        name for name, _ in plain.named_parameters()
    ]
    x = torch.rand(2, 6, 9, 11, requires_grad=True)
    expected, found = plain(x), shifted(x)
    assert torch.allclose(found, expected, atol=1e-6)
    weighed = torch.rand_like(expected)
    wanted = [x, *plain.parameters()]
    gradients = (torch.autograd.grad(output, wanted, weighed) for output in (expected, found))
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(*gradients, strict=True))


def test_a_network_with_shifted_convolutions_keeps_its_names_and_its_function(
    data: Path, tmp_path: Path, seeded: None
) -> None:
    place = lease.Place(data, tmp_path, tmp_path / "scratch", torch.device("cpu"), rehearse=True)
    place.prepare()
    settings = place.settings("petrichor-live")
    network, card = place.network("petrichor-live")
    assert card.name == "petrichor-live"
    state = {key: value.clone() for key, value in network.state_dict().items()}
    rainy = torch.rand(1, 3, 40, 56)
    with torch.inference_mode():
        expected = network.estimate(rainy)
    shifted = PetrichorLive()
    shifted.load_state_dict(state)
    lease.Stepper(shifted, place.batches(settings), settings, place.device, "shifted")
    assert any(isinstance(module, lease.ShiftedDepthwise) for module in shifted.modules())
    assert list(shifted.state_dict()) == list(state)
    with torch.inference_mode():
        assert torch.allclose(shifted.estimate(rainy), expected, atol=1e-5)
