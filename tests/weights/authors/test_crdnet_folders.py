"""The folders of CRDNet's authors: put together, the last whole epoch, and what may be missing."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from derain.networks import CRDNet
from derain.weights import WeightsError, authors, loading
from derain.weights.checkpoints import is_checkpoint


def crdnet_checkpoint(network: CRDNet, folder: Path, epoch: str, **names: str) -> None:
    """Write a network as the authors' files, under their names."""
    ours = network.state_dict()
    theirs: dict[str, dict[str, torch.Tensor]] = {
        "stage1": {},
        "stage2": {},
        "derain": {},
        "classfy": {},
    }

    def put(part: str, source: str, target: str, transposed: bool = False) -> None:
        for key in [key for key in ours if key.startswith(f"{source}.")]:
            value = (
                ours[key].flip(2, 3).transpose(0, 1)
                if transposed and ours[key].ndim == 4
                else ours[key]
            )
            rest = (
                key.removeprefix(source)
                .replace("first", "conv1")
                .replace("norm.", "bn.")
                .replace("second", "conv2")
            )
            theirs[part][target + rest] = value

    for stream, label in enumerate((3, 7, 9)):
        for k in range(3):
            put("stage1", f"extractor.down.{stream}.{k}", f"conv_{label}_{k}")
    for k in range(3):
        put("stage1", f"extractor.up.{k}", f"deconv_3_{k}", True)
    for k in range(5):
        put("stage2", f"background.first_down.{k}", f"encode{k + 1}")
        put("stage2", f"background.first_up.{k}", f"decode{k + 2}", True)
        put("stage2", f"background.second_down.{k}", f"eencode{k + 1}")
        put("stage2", f"background.second_up.{k}", f"ddecode{k + 1}", True)
    for source, target in (("rain", "high1"), ("merge", "conv1"), ("exit", "conv2")):
        put("derain", f"refinement.{source}.0", f"{target}.conv1")
        put("derain", f"refinement.{source}.2", f"{target}.conv2")
    for k in range(7):
        put("classfy", f"classifier.convs.{k}", f"layer{k}.conv")
        put("classfy", f"classifier.norms.{k}", f"layer{k}.normalise")
    for k in range(3):
        put("classfy", f"classifier.linears.{k}", f"fc{k}")
    for part, tensors in theirs.items():
        if tensors:
            place = folder / names.get(part, part)
            place.mkdir(parents=True, exist_ok=True)
            torch.save({"epoch": epoch, "state_dict": tensors}, place / f"{epoch}.pth")


@pytest.mark.parametrize("classifier", ["none", "paper"])
def test_crdnet_folders_round_trip(classifier: Any, tmp_path: Path) -> None:
    network = CRDNet(classifier=classifier).eval()
    crdnet_checkpoint(network, tmp_path / "net", "426", derain="refine")
    for part in ("stage1", "stage2", "refine"):  # as macOS leaves them
        (tmp_path / "net" / part / "._999.pth").write_bytes(b"Mac OS X")
    again, card = loading.find(str(tmp_path / "net"))
    assert card.hyperparameters == {"classifier": classifier}
    found = again.state_dict()
    assert all(torch.equal(value, found[key]) for key, value in network.state_dict().items())


def test_the_last_epoch_all_parts_have_is_read(tmp_path: Path) -> None:
    networks = {epoch: CRDNet().eval() for epoch in ("9", "10", "11")}
    for epoch, network in networks.items():
        crdnet_checkpoint(network, tmp_path, epoch)
    (tmp_path / "derain/11.pth").unlink()
    found, _ = authors.load(tmp_path)
    pairs = zip(found.parameters(), networks["10"].parameters(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


@pytest.mark.parametrize(
    ("earlier", "later"), [("net_9", "net_10"), ("99", "426"), ("crd_epoch_2", "crd_epoch_11")]
)
def test_epochs_are_ordered_by_their_numbers(earlier: str, later: str, tmp_path: Path) -> None:
    networks = {epoch: CRDNet().eval() for epoch in (earlier, later)}
    for epoch, network in networks.items():
        crdnet_checkpoint(network, tmp_path, epoch)
    pairs = zip(authors.load(tmp_path)[0].parameters(), networks[later].parameters(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_a_classifier_of_another_epoch_does_not_stand_in_the_way(tmp_path: Path) -> None:
    crdnet_checkpoint(CRDNet(), tmp_path, "5")
    (tmp_path / "classfy").mkdir()
    torch.save({"state_dict": {"x.weight": torch.zeros(1)}}, tmp_path / "classfy/4.pth")
    assert authors.load(tmp_path)[1].hyperparameters == {"classifier": "none"}


def test_crdnet_folders_that_hold_a_part_twice(tmp_path: Path) -> None:
    crdnet_checkpoint(CRDNet(), tmp_path, "5")
    (tmp_path / "refine").mkdir()
    with pytest.raises(WeightsError, match="holds both derain/ and refine/"):
        loading.find(str(tmp_path))


def test_only_crdnets_own_folders_make_a_checkpoint(tmp_path: Path) -> None:
    for name in ("derain", "refine", "stage1"):
        (tmp_path / name).mkdir()
    assert not is_checkpoint(tmp_path)
    (tmp_path / "stage2").mkdir()
    assert is_checkpoint(tmp_path)


def test_crdnet_folders_that_miss_something_say_what(tmp_path: Path) -> None:
    crdnet_checkpoint(CRDNet(), tmp_path / "net", "3")
    (tmp_path / "net/derain/3.pth").rename(tmp_path / "net/derain/4.pth")
    with pytest.raises(
        WeightsError,
        match="one epoch's name in each of its parts, found stage1: 3; stage2: 3; derain: 4",
    ):
        authors.load(tmp_path / "net")
    shutil.rmtree(tmp_path / "net/derain")
    with pytest.raises(
        WeightsError,
        match=(
            r"looks like the authors' crdnet, but is incomplete"
            r" \('refinement.high1.conv1.weight'\)"
        ),
    ):
        authors.load(tmp_path / "net")
    shutil.rmtree(tmp_path / "net/stage2")
    with pytest.raises(FileNotFoundError, match="a folder; expected a weights file, such as"):
        loading.find(str(tmp_path / "net"))
