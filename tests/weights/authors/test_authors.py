"""The authors' files: recognised, complete, and never run as code."""

import os
import pickle
import shutil
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from derain import weights
from derain.networks import NLEDN, CRDNet
from derain.weights import WeightsError, authors


class Bomb:
    """Unpickled carelessly, makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.target}",)  # pyright: ignore[reportDeprecated]


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_bomb_does_not_go_off(zipped: bool, tmp_path: Path) -> None:
    path, trace = tmp_path / "net.pth", tmp_path / "went-off"
    if zipped:
        torch.save({"conv1.weight": Bomb(trace)}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb(trace)))
    message = (
        r"but it asks to run (posix|os)\.system; not loaded"
        if zipped
        else "or holds more than that; not loaded"
    )
    with pytest.raises(WeightsError, match=message):
        weights.find(str(path))
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"once upon a time", b"PK\x03\x04 broken"])
def test_damaged_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    with pytest.raises(
        WeightsError, match=r"net\.pth: expected a PyTorch checkpoint of plain tensors"
    ) as caught:
        authors.load(path)
    assert "\n" not in str(caught.value)


def test_another_network_is_described(tmp_path: Path) -> None:
    torch.save(
        {"backbone.0.weight": torch.zeros(2), "head.bias": torch.zeros(1)}, tmp_path / "net.pth"
    )
    with pytest.raises(
        WeightsError,
        match=r"found 2 tensors \(backbone.0.weight, head.bias, …\), expected .* nledn",
    ):
        authors.load(tmp_path / "net.pth")


def test_a_list_is_no_state_dict(tmp_path: Path) -> None:
    torch.save([torch.zeros(1)], tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="holds a list; expected a state dict"):
        authors.load(tmp_path / "net.pth")


def test_published_nledn_in_every_wrapping(reference_data: Path, tmp_path: Path) -> None:
    path = reference_data / "published-weights/nledn/net_DDN.pth"
    plain = torch.load(path, weights_only=True)
    network, card = authors.load(path)
    assert isinstance(network, NLEDN)
    assert (card.network, card.licence) == ("nledn", "none stated by the authors")
    wrapped = OrderedDict((f"module.{key}", value) for key, value in plain.items())
    torch.save({"state_dict": wrapped}, tmp_path / "net.pth")
    again, _ = authors.load(tmp_path / "net.pth")
    assert all(
        torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True)
    )


def test_incomplete_and_overfull_checkpoints_are_refused(
    reference_data: Path, tmp_path: Path
) -> None:
    plain = torch.load(reference_data / "published-weights/nledn/net_DDN.pth", weights_only=True)
    without = {key: value for key, value in plain.items() if key != "up_2.fusion.0.bias"}
    torch.save(without, tmp_path / "less.pth")
    with pytest.raises(WeightsError, match=r"not complete \('up_2.fusion.0.bias'\)"):
        authors.load(tmp_path / "less.pth")
    torch.save(plain | {"extra.weight": torch.zeros(1)}, tmp_path / "more.pth")
    with pytest.raises(WeightsError, match=r"extra.weight"):
        authors.load(tmp_path / "more.pth")


def test_imported_file_gives_the_same_network(reference_data: Path, tmp_path: Path) -> None:
    network, card = authors.load(reference_data / "published-weights/nledn/net_Rain100L.pth")
    weights.save(network, card, tmp_path / "w.safetensors")
    again, _ = weights.find(str(tmp_path / "w.safetensors"))
    rainy = torch.rand(1, 3, 24, 24)
    with torch.inference_mode():
        assert torch.equal(network(rainy), again(rainy))


def crdnet_checkpoint(network: CRDNet, folder: Path, epoch: str, **names: str) -> None:
    """A network of ours as the authors' files, under their names."""
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
    again, card = weights.find(str(tmp_path / "net"))
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
        weights.find(str(tmp_path))


def test_only_crdnets_own_folders_make_a_checkpoint(tmp_path: Path) -> None:
    for name in ("derain", "refine", "stage1"):
        (tmp_path / name).mkdir()
    assert not authors.is_checkpoint(tmp_path)
    (tmp_path / "stage2").mkdir()
    assert authors.is_checkpoint(tmp_path)


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
            r"looks like the authors' crdnet, but is not complete"
            r" \('refinement.high1.conv1.weight'\)"
        ),
    ):
        authors.load(tmp_path / "net")
    shutil.rmtree(tmp_path / "net/stage2")
    with pytest.raises(FileNotFoundError, match="a folder; expected a weights file, such as"):
        weights.find(str(tmp_path / "net"))


def test_bgr_is_refused_where_the_authors_use_rgb(reference_data: Path) -> None:
    with pytest.raises(WeightsError, match="--bgr: dpenet's authors train on RGB pictures"):
        authors.load(reference_data / "published-weights/dpenet/Rain100H.pth", bgr=True)
