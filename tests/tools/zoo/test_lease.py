"""The script for minutes of a GPU, rehearsed on a CPU."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from derain import weights
from derain.images import write_image
from derain.networks import PetrichorLive
from derain.weights import loading, store
from tools.zoo import lease, lease_speed, lease_training, stepper
from tools.zoo.place import SETTINGS, SIZES, Place

SCRIPT = Path(lease.__file__)
ROOT = Path(__file__).parents[3]
STEP = stepper.Settings(batch=2, lr=0.5, decay=0.25)


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


def arguments(verb: str, data: Path, *more: str) -> list[str]:
    """Return the arguments of a rehearsal on a CPU."""
    out, scratch = data.parent / "out", data.parent / "scratch"
    places = ("--data", str(data), "--out", str(out), "--scratch", str(scratch))
    return [verb, "--rehearse", "--device", "cpu", "--modes", "plain", *places, *more]


def run(verb: str, data: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    """Rehearse as on a rented machine, where only PYTHONPATH names the repository."""
    alone = {key: value for key, value in os.environ.items() if key != "DERAIN_LEASE_BEGAN"}
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments(verb, data, *more)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=alone | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        cwd=data.parent,
    )


@pytest.fixture
def quick(one_thread: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time few steps in this process, and leave no trace in its environment."""
    monkeypatch.setenv("DERAIN_LEASE_BEGAN", str(time.monotonic()))
    monkeypatch.setattr(stepper, "TIMED_STEPS", 3)


@pytest.fixture
def here(quick: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Run the script in this process, and leave no trace of it."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    flags = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark

    def rehearse(verb: str, data: Path, *more: str) -> None:
        monkeypatch.setattr("sys.argv", ["lease.py", *arguments(verb, data, *more)])
        lease.main()

    yield rehearse
    matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = flags  # pyright: ignore[reportAttributeAccessIssue]


@pytest.fixture
def place(quick: None, data: Path) -> Place:
    """A place to rehearse at in this process."""
    (data.parent / "out").mkdir()
    cpu = torch.device("cpu")
    return Place(data, data.parent / "out", data.parent / "scratch", cpu, rehearse=True)


def logged(data: Path, name: str) -> list[float]:
    """Return the losses of a size, all of them finite."""
    rows = [json.loads(line) for line in (data.parent / "out/log.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if row["name"] == name]
    assert losses
    assert np.isfinite(losses).all()
    return losses


def test_a_rehearsal_writes_weights(data: Path) -> None:
    done = run("train", data, "--until", "1", "--plan", "petrichor-live=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "petrichor-live: ready, plain" in done.stdout
    assert f"petrichor-live: {len(logged(data, 'petrichor-live'))} steps in" in done.stdout
    check_weights(data, "petrichor-live")
    shipped = loading.find("petrichor-live")[0].state_dict()
    trained = store.load(data.parent / "out/petrichor-live.safetensors")[0].state_dict()
    moved = max(float((trained[key] - value).abs().max()) for key, value in shipped.items())
    assert 0 < moved < 0.5


def test_a_size_trains_in_its_turn_though_modes_fail(
    data: Path, place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The trunk ends before the first step, however long a step takes on a busy machine.
    monkeypatch.setitem(SETTINGS, "petrichor", replace(SETTINGS["petrichor"], decay=1.0))
    # Graphs fail on a CPU at once, so that nothing is compiled.
    monkeypatch.setattr(lease_training, "FALLBACKS", ("half-graph", "plain"))
    place.prepare()
    plan = {"petrichor-live": 1.0, "petrichor": 2.0}
    place.done_mark("petrichor-live").touch()
    lease_training.train(place, "petrichor", plan, 1, ["graph"])
    out = capsys.readouterr().out
    for mode in ("graph", "half-graph"):
        assert f"petrichor, {mode}: failed, " in out
    assert "petrichor: ready, plain" in out
    logged(data, "petrichor")
    check_weights(data, "petrichor")
    assert place.done_mark("petrichor").exists()


def test_sizes_take_turns_though_one_fails(place: Place) -> None:
    place.scratch.mkdir()
    order = ["petrichor-deep", "petrichor", "petrichor-live"]
    began: list[str] = []

    def take(name: str) -> None:
        with suppress(RuntimeError), place.turn(name, order):
            began.append(name)
            assert not place.done_mark(name).exists()
            raise RuntimeError(name)

    with ThreadPoolExecutor() as pool:
        for waiting in [pool.submit(take, name) for name in reversed(order)]:
            waiting.result(timeout=60)
    assert began == order


def check_weights(data: Path, name: str) -> None:
    """Check what a size leaves behind: decayed weights, the trunk's, and their cards."""
    before = weights.find_card(name).history
    for file, schedule in ((name, "trunk and branch"), (f"{name}-trunk", "trunk")):
        network, card = store.load(data.parent / f"out/{file}.safetensors")
        assert type(network) is SIZES[name]
        assert (card.name, card.network) == (name, name)
        assert card.history[:-1] == before
        recipe = json.loads(card.history[-1].recipe)
        assert (recipe["name"], recipe["schedule"]) == (name, schedule)
        assert (recipe["batch"], recipe["crop"]) == (2, 64)
        assert card.steps == sum(stage.steps for stage in card.history)
        assert str(data.parent) not in card.to_json()


def test_a_size_without_weights_of_its_own_grows_from_the_default(place: Place) -> None:
    network, card = place.network("petrichor-wide")
    assert (type(network), card.name) == (SIZES["petrichor-wide"], "petrichor-wide")
    assert card.history == weights.find_card("petrichor").history


def test_speed_prints_a_row_for_each_format(
    data: Path,
    here: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(lease_speed, "SPEED_SIZES", ((33, 49), (1080, 1920)))
    here("speed", data, "--plan", "petrichor-live=1")
    rows = json.loads((data.parent / "out/speed.json").read_text())
    assert [row["dtype"] for row in rows] == ["float32", "bfloat16", "float16"]
    assert all(row["seconds"] > 0 for row in rows)
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("| `petrichor-live` | 49x33 |") for line in lines) == 3


def test_without_pictures_nothing_waits_for_them(data: Path) -> None:
    for path in (data / "textures").iterdir():
        path.unlink()
    (data / "textures").rmdir()
    began = time.monotonic()
    done = run("train", data, "--until", "600", "--plan", "petrichor-live=1")
    assert done.returncode != 0
    assert "textures" in done.stderr.splitlines()[-1]
    assert time.monotonic() - began < 120


def test_unknown_sizes_are_refused(
    data: Path, here: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        here("train", data, "--plan", "nledn=1")
    expected = "expected a size and its share of the time, such as petrichor-deep=6"
    assert f"--plan nledn=1: {expected}" in capsys.readouterr().err


def test_the_tests_that_need_a_gpu_are_where_the_script_looks() -> None:
    for place in lease.TESTED:
        files = [ROOT / place] if place.endswith(".py") else [*(ROOT / place).rglob("test_*.py")]
        assert any(re.search(r"def test_\w*gpu", path.read_text()) for path in files), place


def test_a_rehearsal_does_not_leave_its_few_pictures_to_the_real_run(
    data: Path, tmp_path: Path
) -> None:
    for rehearse in (True, False):
        place = Place(data, tmp_path, tmp_path / "scratch", torch.device("cpu"), rehearse)
        assert not place.prepared.exists()
        place.scratch.mkdir(exist_ok=True)
        place.prepared.touch()


@pytest.mark.parametrize(
    ("done", "step", "rate"),
    [
        (0.0, 0, 0.5 / stepper.WARM_UP_STEPS),
        (0.1, stepper.WARM_UP_STEPS // 2 - 1, 0.25),
        (0.1, stepper.WARM_UP_STEPS, 0.5),
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
    shifted = stepper.ShiftedDepthwise(plain)
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
    place: Place, seeded: None
) -> None:
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
    stepper.Stepper(shifted, place.batches(settings), settings, place.device, "shifted")
    assert any(isinstance(module, stepper.ShiftedDepthwise) for module in shifted.modules())
    assert list(shifted.state_dict()) == list(state)
    with torch.inference_mode():
        assert torch.allclose(shifted.estimate(rainy), expected, atol=1e-5)
