"""Evaluation: the figures of the reference data, tables, JSON, pictures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from derain import metrics
from derain.data import find_pairs
from derain.evaluate import evaluate, to_json, to_markdown
from derain.images import read_image, write_image
from derain.networks import NLEDN
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
    assert table[0] == "| model | dataset | pictures | y-matlab | y-pil | rgb |"
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
