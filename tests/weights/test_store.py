"""Weights files describe themselves, load strictly, and never run code."""

import errno
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from derain import weights
from derain.errors import reason
from derain.networks import NLEDN, CRDNet
from derain.weights import Card, Point, Stage, WeightsError, loading, store


@pytest.fixture
def saved(tmp_path: Path, seeded: None) -> Path:
    store.save(
        NLEDN(),
        Card("mine", "nledn", recipe="r", scores={"set y-matlab": "30.1"}),
        tmp_path / "deep/w.safetensors",
    )
    return tmp_path / "deep/w.safetensors"


@given(
    arguments=st.sampled_from(
        [
            {
                "dense": dense,
                "blocks": blocks,
                "pooling": pooling and blocks == 6,
                "non_local": non_local,
            }
            for dense in (True, False)
            for blocks in (1, 6)
            for pooling in (True, False)
            for non_local in ("softmax", "dot", "none")
        ]
    )
)
def test_hyperparameters_survive_the_file(
    arguments: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    network = NLEDN(**arguments).eval()
    store.save(network, Card("mine", "nledn"), path)
    again, card = store.load(path)
    assert card.hyperparameters == arguments
    rainy = torch.rand(1, 3, 10, 12)
    with torch.inference_mode():
        assert torch.equal(network(rainy), again(rainy))


def test_float16_halves_the_file_and_comes_back_as_float32(saved: Path, seeded: None) -> None:
    network, card = store.load(saved)
    half = saved.with_name("half.safetensors")
    store.save(network, card, half, torch.float16)
    assert half.stat().st_size < 0.52 * saved.stat().st_size
    again, _ = store.load(half)
    for a, b in zip(network.parameters(), again.parameters(), strict=True):
        assert b.dtype == torch.float32
        assert torch.allclose(a, b, atol=1e-3)


def test_what_float16_cannot_hold_stays_float32(tmp_path: Path, seeded: None) -> None:
    network = CRDNet()
    key = "background.second_up.0.norm.running_var"
    network.load_state_dict(
        {key: torch.full_like(network.state_dict()[key], 148_910.8)}, strict=False
    )
    store.save(network, Card("mine", "crdnet"), tmp_path / "w.safetensors", torch.float16)
    again, _ = store.load(tmp_path / "w.safetensors")
    assert torch.equal(again.state_dict()[key], network.state_dict()[key])
    assert (tmp_path / "w.safetensors").stat().st_size < 0.6 * 4 * sum(
        p.numel() for p in network.parameters()
    )


def test_card_survives_the_file(saved: Path) -> None:
    card = weights.read_card(saved)
    assert (card.name, card.recipe, card.scores) == ("mine", "r", {"set y-matlab": "30.1"})


def test_history_survives_the_file(tmp_path: Path) -> None:
    curve = (
        Point(500, 0.1, {"rain100l": 30.0, "mean": 30.0}),
        Point(900, 0.2, {"rain100l": 31.0, "mean": 31.0}),
    )
    card = Card(
        "mine",
        "nledn",
        history=(Stage(recipe="{}", steps=900, hours=0.2, curve=curve), Stage(steps=3)),
        failures="snow",
    )
    store.save(NLEDN(blocks=1, pooling=False, non_local="none"), card, tmp_path / "w.safetensors")
    found = weights.read_card(tmp_path / "w.safetensors")
    assert (found.history, found.failures) == (card.history, "snow")


def test_later_fields_are_written_only_where_they_say_something() -> None:
    stage = Stage(recipe="{}", steps=3)
    old = Card("a", "nledn", history=(stage,)).to_json()
    assert not {"version", "digest", "validation"} & {
        *json.loads(old),
        *json.loads(old)["history"][0],
    }
    new = Card("a", "nledn", version="1", history=(replace(stage, digest="0f"),))
    assert Card.from_json(new.to_json()) == new


def test_fields_of_a_later_version_are_left_out() -> None:
    assert Card.from_json('{"name": "a", "network": "nledn", "mood": "good"}') == Card("a", "nledn")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such weights file"):
        store.load(tmp_path / "none.safetensors")
    with pytest.raises(FileNotFoundError, match="expected one of petrichor, "):
        loading.find("nlednn")


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "long header"])
def test_damaged_files(saved: Path, damage: str) -> None:
    data = saved.read_bytes()
    saved.write_bytes(
        {
            "truncated": data[: len(data) // 2],
            "text": b"once upon a time there was a file",
            "empty": b"",
            "long header": struct.pack("<Q", 1 << 60) + data[8:],
        }[damage]
    )
    for find in (store.load, loading.find, weights.find_card):
        with pytest.raises(WeightsError, match="expected a safetensors file, but it is damaged"):
            find(saved if find is store.load else str(saved))  # pyright: ignore[reportArgumentType]


def test_safetensors_of_somebody_else(tmp_path: Path) -> None:
    save_file({"unet.conv.weight": torch.zeros(3)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"that derain did not write .*unet.conv.weight"):
        store.load(tmp_path / "w.safetensors")


def test_network_of_a_later_version(saved: Path, tmp_path: Path) -> None:
    save_file(
        {"a": torch.zeros(3)},
        tmp_path / "w.safetensors",
        {"derain": Card("a", "unheard-of").to_json()},
    )
    with pytest.raises(
        WeightsError, match="holds a 'unheard-of' network; this version knows nledn"
    ):
        store.load(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    "header",
    [
        "[]",
        "{",
        "[" * 100_000,
        '{"name": "a"}',
        *(
            f'{{"name": "a", "network": "nledn", "history": {history}}}'
            for history in (
                "[3]",
                "7",
                '[{"hours": "x"}]',
                '[{"steps": "9"}]',
                '[{"machine": 3}]',
                '[{"curve": [{"step": 1, "hours": 1, "scores": "abc"}]}]',
                '[{"curve": [{"step": 1, "hours": 1, "scores": {"mean": "high"}}]}]',
                '[{"curve": [{"step": 1}]}]',
            )
        ),
    ],
)
def test_broken_header(header: str, tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3)}, tmp_path / "w.safetensors", {"derain": header})
    with pytest.raises(WeightsError, match="header cannot be read"):
        store.load(tmp_path / "w.safetensors")


def test_tensors_that_do_not_fit(tmp_path: Path) -> None:
    save_file(
        {"a": torch.zeros(3)}, tmp_path / "w.safetensors", {"derain": Card("a", "nledn").to_json()}
    )
    with pytest.raises(WeightsError, match="not those of the nledn it says it holds") as caught:
        store.load(tmp_path / "w.safetensors")
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_named_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"before")

    def full(draft: Path, content: bytes) -> int:
        with draft.open("wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, "No space left on device", str(draft))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left on device") as raised:
        store.save(NLEDN(blocks=1, pooling=False), Card("mine", "nledn"), path)
    assert reason(raised.value) == f"No space left on device: {path}"
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"before"
