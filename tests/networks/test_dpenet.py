"""DPENet against its authors' published result and figures."""

from pathlib import Path

import numpy as np
import pytest
import torch

from derain.data import find_pairs
from derain.evaluate import evaluate
from derain.images import read_image
from derain.metrics import quantise
from derain.networks import DPENet, losses
from derain.restore import Derainer, load
from derain.weights import authors


@pytest.fixture(scope="module")
def published(reference_data: Path) -> Derainer:
    return load(str(reference_data / "published-weights/dpenet/Rain100H.pth"), device="cpu")


def test_parameter_counts() -> None:
    assert sum(parameter.numel() for parameter in DPENet().parameters()) == 647_328
    assert sum(parameter.numel() for parameter in DPENet(blocks=5).parameters()) == 370_848
    with pytest.raises(ValueError, match="at least 1 block, not 0"):
        DPENet(blocks=0)


def test_gives_the_authors_published_result(published: Derainer, reference_data: Path) -> None:
    folder = reference_data / "pairs/DPENet-sample"
    output = quantise(published(read_image(folder / "input.png").astype(np.float32) / 255))
    expected = read_image(folder / "published-result-Rain100H.png")
    assert int(np.abs(output.astype(int) - expected.astype(int)).max()) <= 1


def test_published_checkpoint_gives_the_figures_to_reproduce(
    published: Derainer, reference_data: Path
) -> None:
    evaluation = evaluate(published, find_pairs(reference_data / "pairs/Rain100H-dev10"))
    published_figures = {
        "y-matlab": (32.372, 0.9273),
        "y-pil": (30.996, 0.9129),
        "rgb": (30.911, 0.9164),
    }
    for protocol in evaluation.protocols:
        score = evaluation.mean(protocol)
        assert score.psnr == pytest.approx(published_figures[protocol][0], abs=0.01)
        assert score.ssim == pytest.approx(published_figures[protocol][1], abs=0.0005)


def test_the_light_variant_is_told_by_its_blocks(reference_data: Path, tmp_path: Path) -> None:
    theirs = torch.load(
        reference_data / "published-weights/dpenet/Rain100H.pth",
        weights_only=True,
        map_location="cpu",
    )
    kept = {
        key: value
        for key, value in theirs.items()
        if not key.startswith(tuple(f"ddrb{k}." for k in range(6, 11)))
    }
    torch.save(kept, tmp_path / "light.pth")
    network, card = authors.load(tmp_path / "light.pth")
    assert card.hyperparameters == {"blocks": 5}
    assert sum(parameter.numel() for parameter in network.parameters()) == 370_848


def test_state_dict_keys_are_frozen() -> None:
    expected = ["r2net.0.weight"]
    expected += [
        f"r2net.{k}.pairs.{pair}.{layer}.weight"
        for k in range(2, 12)
        for pair in range(3)
        for layer in (0, 2)
    ]
    expected += ["r2net.12.weight", "drnet.0.weight"]
    for k in range(2, 5):
        expected += [f"drnet.{k}.branches.{branch}.weight" for branch in range(3)]
        expected += [
            f"drnet.{k}.{layer}"
            for layer in (
                "fusion.weight",
                "fusion.bias",
                "attention.0.weight",
                "attention.2.weight",
            )
        ]
    expected.append("drnet.5.weight")
    assert list(DPENet().state_dict()) == expected


def test_both_estimates_are_supervised(seeded: None) -> None:
    network = DPENet(blocks=2)
    rainy, clean = torch.rand(1, 3, 24, 24), torch.rand(1, 3, 24, 24)
    first, second = network.estimates(rainy)
    assert not torch.equal(first, second)
    terms = network.loss(rainy, clean)
    assert set(terms) == {"ssim", "edge"}
    similar = 1 - losses.ssim(first, clean), 1 - losses.ssim(second, clean)
    edges = losses.laplacian_edge_loss(first, clean), losses.laplacian_edge_loss(second, clean)
    assert terms["ssim"].item() == pytest.approx(sum(term.item() for term in similar), rel=1e-5)
    assert terms["edge"].item() == pytest.approx(
        0.05 * sum(term.item() for term in edges), rel=1e-5
    )


def test_no_activation_after_what_gives_a_picture(seeded: None) -> None:
    network = DPENet(blocks=1)
    for stage in (network.r2net, network.drnet):
        for parameter in stage[-1].parameters():
            parameter.data.fill_(-0.1)  # with a ReLU behind it, nothing could be taken away
    with torch.inference_mode():
        first, second = network.estimates(torch.full((1, 3, 8, 8), 0.5))
    assert float(first.min()) < 0.5
    assert float((second - first).min()) < 0
