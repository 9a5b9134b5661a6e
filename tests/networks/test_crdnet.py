"""CRDNet against the golden output; its classifier, its padding."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from derain.images import read_image
from derain.networks import CRDNet, losses
from derain.networks.crdnet import guide
from derain.networks.padding import pad_to
from derain.weights.loading import find


def count(module: object) -> int:
    assert isinstance(module, nn.Module)
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_counts() -> None:
    network = CRDNet(classifier="paper")
    parts = [
        count(part)
        for part in (network.extractor, network.background, network.refinement, network.classifier)
    ]
    assert parts == [16_461, 886_848, 1_237, 77_510_275]
    assert count(CRDNet()) == sum(parts[:3])
    assert count(CRDNet(classifier="compact").classifier) == 98_517


def test_reproduces_the_golden_output(golden: Path) -> None:
    network, card = find(str(golden / "crdnet"))
    assert isinstance(network, CRDNet)
    assert (card.network, card.hyperparameters) == ("crdnet", {"classifier": "none"})
    rainy = (
        torch.from_numpy(read_image(golden / "crdnet/input.png")).permute(2, 0, 1)[None].float()
        / 255
    )
    expected = torch.from_numpy(np.load(golden / "crdnet/output.npy"))
    with torch.inference_mode():
        rain = network.extractor(rainy)
        estimate = network.refinement(rainy, rain, network.background(rainy))[0]
        assert float((estimate - expected).abs().max()) < 1e-4
        assert float((network(rainy)[0] - expected.clamp(0, 1)).abs().max()) < 1e-4


def test_state_dict_keys_are_frozen() -> None:
    def both(*layers: str) -> list[str]:
        return [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]

    def norm(layer: str) -> list[str]:
        return [
            f"{layer}.{part}"
            for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        ]

    def block(place: str) -> list[str]:
        return [*both(f"{place}.first"), *norm(f"{place}.norm"), *both(f"{place}.second")]

    places = [f"extractor.down.{stream}.{k}" for stream in range(3) for k in range(3)]
    places += [f"extractor.up.{k}" for k in range(3)]
    paths = ("first_down", "first_up", "second_down", "second_up")
    places += [f"background.{path}.{k}" for path in paths for k in range(5)]
    expected = [key for place in places for key in block(place)]
    expected += both(
        *(f"refinement.{part}.{k}" for part in ("rain", "merge", "exit") for k in (0, 2))
    )
    assert list(CRDNet().state_dict()) == expected
    convs, norms = (
        both(*(f"classifier.convs.{k}" for k in range(7))),
        [key for k in range(7) for key in norm(f"classifier.norms.{k}")],
    )
    paper = [*expected, *convs, *norms, *both(*(f"classifier.linears.{k}" for k in range(3)))]
    assert list(CRDNet(classifier="paper").state_dict()) == paper
    compact = [
        *norm("classifier.norm"),
        *both(*(f"classifier.convs.{k}" for k in range(5)), "classifier.linear"),
    ]
    assert list(CRDNet(classifier="compact").state_dict()) == [*expected, *compact]


@pytest.mark.parametrize("size", [(64, 96), (33, 50), (1, 1), (31, 65)])
def test_pads_inside_by_repeating_the_border(size: tuple[int, int], seeded: None) -> None:
    network = CRDNet().eval()
    rainy = torch.rand(1, 3, *size)
    by_hand = torch.nn.functional.pad(rainy, (0, -size[1] % 32, 0, -size[0] % 32), mode="replicate")
    with torch.inference_mode():
        assert torch.equal(network(rainy), network(by_hand)[..., : size[0], : size[1]])
    assert pad_to(rainy, 32).shape[2:] == by_hand.shape[2:]


def test_guide_by_hand() -> None:
    pixel = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1)
    expected = 0.8 * (0.9 - 0.2) + 0.2 * (0.299 * 0.2 + 0.587 * 0.5 + 0.114 * 0.9)
    assert float(guide(pixel)) == pytest.approx(expected, rel=1e-6)


def test_the_way_up_of_the_extractor_is_shared(seeded: None) -> None:
    extractor = CRDNet().extractor.eval()
    with torch.inference_mode():
        rainy = torch.rand(1, 3, 32, 32)
        for stream in extractor.down[1:]:
            stream.load_state_dict(extractor.down[0].state_dict())
        rain = extractor(rainy)
    assert rain.shape == (1, 9, 32, 32)
    assert not torch.allclose(rain[:, :3], rain[:, 3:6]), (
        "only the dilation tells the streams apart now"
    )


def test_streams_are_normalised_together_as_they_are_in_evaluation(seeded: None) -> None:
    extractor = CRDNet().extractor
    for module in extractor.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    rainy = torch.rand(4, 3, 64, 64)
    with torch.inference_mode():
        trained = extractor.train()(rainy)  # measures the statistics of exactly this batch
        used = extractor.eval()(rainy)
    assert torch.allclose(trained, used, atol=0.02), (
        "but for the factor n / (n - 1) in the variance"
    )


@pytest.mark.parametrize("classifier", ["paper", "compact"])
@pytest.mark.parametrize("size", [(128, 128), (160, 224), (5, 3)])
def test_density_is_sensed_in_any_picture(
    classifier: Any, size: tuple[int, int], seeded: None
) -> None:
    network = CRDNet(classifier=classifier).eval()
    with torch.inference_mode():
        assert network.density(torch.rand(2, 3, *size)).shape == (2, 3)


def test_adaptive_pooling_leaves_512_unchanged(seeded: None) -> None:
    classifier = CRDNet(classifier="paper").classifier
    assert classifier is not None
    seen: list[torch.Size] = []
    classifier.get_submodule("norms.6").register_forward_hook(
        lambda _m, _i, output: seen.append(output.shape)
    )
    with torch.inference_mode():
        classifier.eval()(torch.rand(1, 9, 512, 512))
    assert seen == [(1, 1024, 8, 8)], (
        "halved once more, this is the 4x4 that the linear layers were made for"
    )


def test_the_classifier_costs_nothing_at_inference(
    monkeypatch: pytest.MonkeyPatch, seeded: None
) -> None:
    network = CRDNet(classifier="compact").eval()
    rainy = torch.rand(1, 3, 40, 40)
    with torch.inference_mode():
        expected = network(rainy)
        monkeypatch.setattr(network.classifier, "forward", None)  # would raise if it were called
        assert torch.equal(network(rainy), expected)


def test_without_a_classifier_density_cannot_be_sensed() -> None:
    network = CRDNet()
    assert not network.senses_density
    with pytest.raises(ValueError, match="hold no density classifier"):
        network.density(torch.rand(1, 3, 128, 128))
    with pytest.raises(ValueError, match="classifier is 'none', 'paper' or 'compact', not 'vgg'"):
        CRDNet(classifier="vgg")  # pyright: ignore[reportArgumentType]


def test_loss_names_its_terms_and_repeats_crops_too_small_for_the_classifier(seeded: None) -> None:
    rainy, clean = torch.rand(2, 3, 128, 128), torch.rand(2, 3, 128, 128)
    assert set(CRDNet().loss(rainy, clean)) == {"mse", "ssim"}
    network = CRDNet(classifier="compact")
    terms = network.loss(rainy, clean)
    assert set(terms) == {"mse", "ssim", "density"}
    estimate, rain = (
        network.refinement(rainy, network.extractor(rainy), network.background(rainy)),
        network.extractor(rainy),
    )
    assert terms["mse"].item() == pytest.approx((estimate - clean).square().mean().item(), rel=1e-4)
    assert terms["ssim"].item() == pytest.approx(
        0.005 * (1 - losses.ssim(estimate, clean).item()), rel=1e-4
    )
    assert network.classifier is not None
    expected = (network.classifier(rain) - losses.cumulative_labels(rainy, clean)).square().mean()
    assert terms["density"].item() == pytest.approx(expected.item(), rel=1e-3)
    terms["density"].backward()
    assert network.extractor.up[0].get_submodule("first").weight.grad is not None, (
        "density shapes the rain features"
    )
    small = network.loss(rainy[..., :96, :50], clean[..., :96, :50])
    assert torch.isfinite(small["density"]), (
        "crops that are too small for the classifier are repeated"
    )
    with pytest.raises(
        ValueError, match="batch 1, crop 20x20: normalisation needs more to average"
    ):
        CRDNet().loss(rainy[:1, :, :20, :20], clean[:1, :, :20, :20])


def test_learns_to_tell_densities_apart(seeded: None) -> None:
    network = CRDNet(classifier="compact")
    clean = torch.full((3, 3, 128, 128), 0.3)
    rainy = clean.clone()
    for k, share in enumerate((0.1, 0.4, 0.8)):
        rainy[k] += 0.4 * (torch.rand(128, 128) < share)
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(30):
        loss = network.loss(rainy, clean)["density"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.train()  # the running statistics are those of a few quick steps
    with torch.no_grad():
        assert (network.density(rainy) > 0.5).int().tolist() == [[0, 0, 1], [0, 1, 1], [1, 1, 1]]


def test_the_refinement_starts_near_the_identity(seeded: None) -> None:
    rainy = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        assert float((CRDNet().eval()(rainy) - rainy).abs().mean()) < 0.2
        network = CRDNet().eval()
        hidden = network.refinement.merge[0](torch.cat([torch.zeros(2, 7, 64, 64), rainy], dim=1))
    assert float((hidden[:, :3] > 0).float().mean()) > 0.95, (
        "what carries the picture is behind a ReLU, and must live"
    )
