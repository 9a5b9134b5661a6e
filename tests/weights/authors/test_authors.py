"""The authors' files: recognised, complete, and never run as code."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from derain.errors import UsageError
from derain.networks import NLEDN
from derain.weights import WeightsError, authors, loading, store


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
    with pytest.raises(WeightsError, match=r"but it asks to run (posix|os|nt)\.system; not loaded"):
        loading.find(str(path))
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
        match=(
            r"holds 1 mapping of tensors: the top level \(2 tensors, first backbone.0.weight 2\);"
            r" expected .* nledn"
        ),
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
    with pytest.raises(WeightsError, match=r"incomplete \('up_2.fusion.0.bias'\)"):
        authors.load(tmp_path / "less.pth")
    torch.save(plain | {"extra.weight": torch.zeros(1)}, tmp_path / "more.pth")
    with pytest.raises(WeightsError, match=r"extra.weight"):
        authors.load(tmp_path / "more.pth")


def test_imported_file_gives_the_same_network(reference_data: Path, tmp_path: Path) -> None:
    network, card = authors.load(reference_data / "published-weights/nledn/net_Rain100L.pth")
    store.save(network, card, tmp_path / "w.safetensors")
    again, _ = loading.find(str(tmp_path / "w.safetensors"))
    rainy = torch.rand(1, 3, 24, 24)
    with torch.inference_mode():
        assert torch.equal(network(rainy), again(rainy))


def test_bgr_is_refused_where_the_authors_use_rgb(reference_data: Path) -> None:
    path = reference_data / "published-weights/dpenet/Rain100H.pth"
    with pytest.raises(UsageError, match=r"^bgr: dpenet's authors train on RGB") as caught:
        authors.load(path, bgr=True)
    assert caught.value.option == "bgr"
