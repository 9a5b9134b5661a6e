"""Evaluation: the figures of the reference data, tables, JSON, pictures."""

import csv
import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from derain import metrics
from derain.data import find_pairs
from derain.evaluate import PAPER_SCORES, PeakMemory, evaluate, multiply_adds, paper_score, to_csv, to_json, to_markdown
from derain.images import read_image, write_image
from derain.networks import NETWORKS, NLEDN, Network, Tiling
from derain.restore import Derainer, load

PUBLISHED = {"y-matlab": (38.487, 0.9811), "y-pil": (37.160, 0.9761), "rgb": (37.090, 0.9779)}


def test_published_checkpoint_gives_the_figures_to_reproduce(reference_data: Path) -> None:
    derainer = load(str(reference_data / "published-weights/nledn/net_Rain100L.pth"), device="cpu")
    evaluation = evaluate(derainer, find_pairs(reference_data / "pairs/Rain100L-dev10"))
    for protocol in metrics.PROTOCOLS:
        score = evaluation.mean(protocol)
        assert score.psnr == pytest.approx(PUBLISHED[protocol][0], abs=0.01)
        assert score.ssim == pytest.approx(PUBLISHED[protocol][1], abs=0.0005)


@pytest.fixture
def pairs(tmp_path: Path, photo: NDArray[np.uint8]) -> Path:
    for name, change in (("rainy", 9), ("clean", 0)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for k in (1, 2):
            write_image(
                tmp_path / "set" / name / f"{k}.png", np.clip(photo[:40, :50].astype(int) + change * k, 0, 255).astype(np.uint8)
            )
    return tmp_path / "set"


def untrained() -> Derainer:
    """A network that changes nothing."""
    network = NLEDN()
    for parameter in network.exit.parameters():
        parameter.data.zero_()
    return Derainer(network, name="nothing", device="cpu")


def test_tables_and_pictures(pairs: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    evaluation = evaluate(untrained(), find_pairs(pairs), save_to=tmp_path / "out", on_picture=lambda k, n: seen.append((k, n)))
    assert seen == [(1, 2), (2, 2)]
    assert np.array_equal(read_image(tmp_path / "out/2.png"), read_image(pairs / "rainy/2.png"))
    rainy, output = evaluation.mean("rgb", "rainy"), evaluation.mean("rgb")
    assert output.psnr == pytest.approx(rainy.psnr)
    by_hand = [metrics.psnr(read_image(pairs / f"rainy/{k}.png"), read_image(pairs / f"clean/{k}.png")) for k in (1, 2)]
    assert rainy.psnr == pytest.approx(np.mean(by_hand))
    table = to_markdown([evaluation], per_picture=True).splitlines()
    assert table[0] == (
        "| model | dataset | pictures | y-matlab | y-pil | rgb | parameters | multiply-adds | s/megapixel | peak memory |"
    )
    assert [line.split(" | ")[:2] for line in table[2:6]] == [
        ["| rainy input", "set"],
        ["| nothing", "set/1"],
        ["| nothing", "set/2"],
        ["| nothing", "set"],
    ]
    assert f"{rainy.psnr:.3f} / {rainy.ssim:.4f}" in table[2]
    assert "tile 512, overlap 64, float32, cpu" in table[-1]


def test_json_holds_every_score_and_is_valid_for_perfect_pictures(pairs: Path) -> None:
    for path in (pairs / "clean").iterdir():
        (pairs / "rainy" / path.name).write_bytes(path.read_bytes())

    def no_constant(name: str) -> Any:
        raise AssertionError(f"{name} is no JSON")

    content = json.loads(to_json([evaluate(untrained(), find_pairs(pairs), ["rgb"])]), parse_constant=no_constant)
    assert content[0]["dataset"] == "set"
    assert content[0]["execution"] == "tile 512, overlap 64, float32, cpu"
    assert content[0]["pictures"][0]["output"][0]["psnr"] is None
    assert content[0]["mean"]["output"][0] == {"protocol": "rgb", "psnr": 100.0, "ssim": pytest.approx(1)}


def test_twins_of_two_sizes_and_depths_are_refused(pairs: Path) -> None:
    write_image(pairs / "rainy/2.png", np.zeros((30, 30, 3), np.uint8))
    with pytest.raises(ValueError, match="are 30x30 and 50x40: expected twins of one size"):
        evaluate(untrained(), find_pairs(pairs))
    write_image(pairs / "rainy/2.png", np.zeros((40, 50, 3), np.uint16))
    with pytest.raises(ValueError, match="16 bits a channel"):
        evaluate(untrained(), find_pairs(pairs))


def test_what_it_costs(pairs: Path) -> None:
    cost = evaluate(untrained(), find_pairs(pairs)).cost
    assert cost.parameters == 1_005_379
    assert cost.seconds_per_megapixel > 0
    if sys.platform == "linux":
        assert cost.peak_memory is not None
        assert 50e6 < cost.peak_memory < 50e9


def test_peak_memory_is_that_since_it_began() -> None:
    if sys.platform != "linux":
        pytest.skip("no high-water mark to set back")
    large = np.ones(60_000_000)  # 480 MB
    del large
    memory = PeakMemory(torch.device("cpu"))
    before = memory.read()
    block = np.ones(30_000_000)
    after = memory.read()
    assert before is not None
    assert after is not None
    assert 200e6 < after - before + 40e6 < 400e6
    assert block[-1] == 1


class OneConvolution(nn.Module):
    """3 * 5 * 9 multiply-adds a pixel."""

    tiling = Tiling(tile=64, overlap=0, exact=True)

    def __init__(self, *, looks: bool = False) -> None:
        super().__init__()
        self.hyperparameters = {"looks": looks}
        self.conv, self.looks = nn.Conv2d(3, 5, 3, padding=1), looks

    def forward(self, rainy: torch.Tensor) -> torch.Tensor:
        if self.looks and rainy.max() > 0.5:
            return rainy
        return self.conv(rainy)[:, :3]


def test_multiply_adds_by_hand() -> None:
    assert multiply_adds(cast("Network", OneConvolution())) == 3 * 5 * 9 * 512**2
    assert multiply_adds(cast("Network", OneConvolution()), side=10) == 3 * 5 * 9 * 100
    assert multiply_adds(cast("Network", OneConvolution(looks=True))) is None


@pytest.mark.parametrize("name", NETWORKS)
def test_multiply_adds_of_every_network_can_be_counted(name: str) -> None:
    network = NETWORKS[name]()
    small, large = multiply_adds(network, 64), multiply_adds(network, 128)
    assert small is not None
    assert large is not None
    assert 3.9 < large / small < 6, "about four times as much; attention grows faster"
    assert all(parameter.device.type == "cpu" for parameter in network.parameters())


@pytest.mark.parametrize(
    ("network", "dataset", "psnr"),
    [
        ("NLEDN", "Rain100L", "36.57"),
        ("NLEDN", "rain100h-dev10", "30.38"),
        ("ReMAEN", "Rain100H", "28.97"),
        ("ReMAEN", "DDN-sample3", "32.31"),
        ("NLEDN", "DID-MDN", "33.16"),
        ("NLEDN", "Rain1000", None),
        ("NLEDN", "Rain100Large", None),
        ("NLEDN", "Rain800", None),
        ("DPENet", "Rain100L", None),
    ],
)
def test_papers_figures_are_found_by_the_datasets_name(network: str, dataset: str, psnr: str | None) -> None:
    found = paper_score(network, dataset)
    assert (found.psnr if found else None) == psnr


def test_papers_figures_are_of_networks_that_are_here() -> None:
    assert {entry.network for entry in PAPER_SCORES} <= {type(NETWORKS[name]()).__name__ for name in NETWORKS}


def test_comparison_of_models_and_datasets(pairs: Path, tmp_path: Path) -> None:
    folder = pairs.rename(tmp_path / "Rain100L")
    other = shutil.copytree(folder, tmp_path / "else")
    two = Derainer(NETWORKS["dpenet"](blocks=1), name="two", device="cpu")
    evaluations = [evaluate(model, find_pairs(place)) for model in (untrained(), two) for place in (folder, other)]
    rows = [line.split(" | ")[:2] for line in to_markdown(evaluations).splitlines()[2:-2]]
    assert rows == [
        ["| rainy input", "Rain100L"],
        ["| nothing", "Rain100L"],
        ["| two", "Rain100L"],
        ["| *NLEDN (as printed in its paper)*", "*Rain100L, whole*"],
        ["| rainy input", "else"],
        ["| nothing", "else"],
        ["| two", "else"],
    ]
    table = list(csv.DictReader(io.StringIO(to_csv(evaluations))))
    assert len(table) == 2 * 2 * 3
    assert [row["paper_psnr"] for row in table] == ["36.57"] * 3 + [""] * 9
    assert table[0]["paper_protocol"] == "y-pil"
    assert float(table[0]["psnr"]) == evaluations[0].mean("y-matlab").psnr
    assert table[0]["parameters"] == "1005379"
    assert table[0]["execution"] == "tile 512, overlap 64, float32, cpu"
    content = json.loads(to_json(evaluations))
    assert content[0]["paper"]["psnr"] == "36.57"
    assert content[1]["paper"] is None
    assert content[2]["cost"]["parameters"] == sum(p.numel() for p in two.engine.network.parameters())


def test_papers_figures_under_a_protocol_not_asked_for_name_it(pairs: Path, tmp_path: Path) -> None:
    evaluation = evaluate(untrained(), find_pairs(pairs.rename(tmp_path / "Rain100H")), ["rgb"])
    assert "| *30.38 / 0.8939 (y-pil)* |" in to_markdown([evaluation])
