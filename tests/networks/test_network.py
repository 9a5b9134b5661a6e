"""Every network of the package keeps the contract."""

import inspect
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from numpy_engines import as_floats

from derain import metrics, weights
from derain.images import write_image
from derain.networks import NETWORKS, Network, Tiling
from derain.restore import Derainer
from derain.weights import loading, store

NEAR_ZERO = 0.02
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (7, 31), (40, 24)])
def test_forward_keeps_shape_and_range(name: str, size: tuple[int, int], seeded: None) -> None:
    network = NETWORKS[name]().eval()
    with torch.inference_mode():
        clean = network(torch.rand(2, 3, *size))
    assert clean.shape == (2, 3, *size)
    assert bool(((clean >= 0) & (clean <= 1)).all())


@pytest.mark.parametrize("name", NETWORKS)
def test_tiles_share_as_much_as_the_network_asks_for(name: str) -> None:
    network = NETWORKS[name]()
    tiling = network.tiling
    derainer = Derainer(network, device="cpu", tile=tiling.tile)
    assert derainer.overlap == tiling.overlap
    assert derainer.tiling.exact == (tiling.reach is not None)


@pytest.mark.parametrize("name", NETWORKS)
def test_loss_is_named_scalars(name: str, seeded: None) -> None:
    terms = NETWORKS[name]().loss(torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32))
    assert terms
    assert all(term.ndim == 0 and term.requires_grad for term in terms.values())


@pytest.mark.parametrize("name", NETWORKS)
def test_forward_clamps_the_estimate(name: str, seeded: None) -> None:
    network = NETWORKS[name]().eval()
    rainy = 1.5 * torch.rand(1, 3, 24, 40) - 0.25
    with torch.inference_mode():
        estimate = network.estimate(rainy)
        assert float(estimate.max()) > 1
        assert float(estimate.min()) < 0
        assert torch.allclose(network(rainy), estimate.clamp(0, 1), atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_hyperparameters_are_the_constructors_keyword_arguments(name: str) -> None:
    network = NETWORKS[name]()
    assert set(network.hyperparameters) == set(inspect.signature(NETWORKS[name]).parameters)
    assert isinstance(network.tiling, Tiling)
    again = NETWORKS[name](**network.hyperparameters)
    assert again.state_dict().keys() == network.state_dict().keys()


EXACT = [name for name in NETWORKS if NETWORKS[name]().tiling.exact]


@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize("name", EXACT)
def test_a_network_looks_as_far_as_it_says(name: str, axis: int, seeded: None) -> None:
    network = NETWORKS[name]().to(torch.double).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            # Some begin at zero, and hide what is behind them.
            parameter.add_(0.01 * torch.randn_like(parameter))
    tiling = network.tiling
    assert tiling.reach is not None
    middle = 2 * tiling.reach // tiling.multiple * tiling.multiple
    distances: list[int] = []
    shape = [1, 3, 8, 8]
    shape[axis] = 2 * middle
    rainy = (0.5 + 0.01 * torch.rand(shape, dtype=torch.double)).requires_grad_()
    lines = network(rainy).unbind(axis)
    for phase in range(tiling.multiple):
        line = lines[middle + phase].sum()
        seen = torch.autograd.grad(line, rainy, retain_graph=True)[0].abs()
        places = seen.transpose(0, axis).flatten(1).sum(1).nonzero() - (middle + phase)
        distances += [int(-places.min()), int(places.max())]
    assert max(distances) == tiling.reach


CHOICES: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "nledn": st.one_of(
        st.fixed_dictionaries(
            {"dense": st.booleans(), "non_local": st.sampled_from(["softmax", "dot", "none"])}
        ),
        st.fixed_dictionaries({"blocks": st.sampled_from([1, 6]), "pooling": st.just(False)}),
    ),
    "remaen": st.fixed_dictionaries({"recurrences": st.integers(1, 4)}),
    "crdnet": st.fixed_dictionaries({"classifier": st.sampled_from(["none", "compact"])}),
    "dpenet": st.fixed_dictionaries({"blocks": st.integers(1, 12)}),
}


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=5)
@given(data=st.data())
def test_random_hyperparameters_survive_the_file(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    network = NETWORKS[name](**data.draw(CHOICES.get(name, st.just({})))).eval()
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    store.save(network, weights.Card("some", name), path)
    again, card = store.load(path)
    assert card.hyperparameters == network.hyperparameters == again.hyperparameters
    rainy = torch.rand(1, 3, 17, 22)
    with torch.inference_mode():
        assert torch.equal(again(rainy), network(rainy))


def test_every_network_ships_weights_of_its_name() -> None:
    assert set(NETWORKS) - set(weights.CATALOGUE) == {"petrichor-wide"}, (
        "which only a GPU can train"
    )


@pytest.mark.parametrize("name", sorted(set(NETWORKS) & set(weights.CATALOGUE)))
def test_shipped_weights_take_half_precision(name: str, photo: NDArray[np.uint8]) -> None:
    exact, half = (
        Derainer(loading.find(name)[0], device="cpu", dtype=dtype)(as_floats(photo[:64, :80]))
        for dtype in ("float32", "bfloat16")
    )
    assert not np.array_equal(exact, half)
    assert metrics.psnr(exact * 255, half * 255) > 40


def learn_by_heart(network: Network, size: int) -> float:
    """Train on two pictures until the loss is near zero or patience ends, and return it."""
    clean = torch.nn.functional.interpolate(torch.rand(2, 3, 4, 4), size=size, mode="bilinear")
    rainy = clean.clone()
    rainy[..., ::7] += 0.4
    optimiser = torch.optim.Adam(network.train().parameters(), lr=2e-3)
    loss = np.inf
    for _ in range(300):
        total = torch.stack(list(network.loss(rainy, clean).values())).sum()
        loss = total.item()
        if loss < NEAR_ZERO:
            break
        optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
    return loss


@pytest.mark.parametrize("name", NETWORKS)
def test_trains_one_batch_to_near_zero_loss(name: str, seeded: None) -> None:
    assert learn_by_heart(NETWORKS[name](), 32) < NEAR_ZERO


def test_crdnets_classifier_learns_one_batch_too(seeded: None) -> None:
    assert learn_by_heart(NETWORKS["crdnet"](classifier="compact"), 128) < NEAR_ZERO


def test_another_network_is_one_file_and_one_line(tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    """Follow the guide's worked example, word for word, in a copy of the package."""
    shutil.copytree(
        ROOT / "derain",
        tmp_path / "derain",
        ignore=shutil.ignore_patterns("*.safetensors", "*.onnx"),
    )
    text = (ROOT / "docs/guides/networks.md").read_text()
    (tmp_path / "derain/networks/blur.py").write_text(text.split("```python\n")[1].split("```")[0])
    place = tmp_path / "derain/networks/__init__.py"
    line = text.split("The line goes into `NETWORKS`")[1].split("`")[3]
    imported = "from derain.networks.blur import Blur\n"
    place.write_text(
        place.read_text()
        .replace(
            "from derain.networks.network import", f"{imported}from derain.networks.network import"
        )
        .replace(
            "NETWORKS: dict[str, Callable[..., Network]] = {\n",
            f"NETWORKS: dict[str, Callable[..., Network]] = {{\n    {line},\n",
        )
    )
    for folder, place in (("train", 0), ("val", 70)):
        (tmp_path / "pictures" / folder).mkdir(parents=True)
        write_image(
            tmp_path / "pictures" / folder / "1.png", photo[place : place + 40, place : place + 50]
        )
    for folder, shift in (("rainy", 20), ("clean", 0)):
        (tmp_path / "pairs" / folder).mkdir(parents=True)
        write_image(
            tmp_path / "pairs" / folder / "1.png",
            np.clip(photo[:40, :50].astype(int) + shift, 0, 255).astype(np.uint8),
        )

    def derain(*arguments: str) -> str:
        command = [sys.executable, "-c", "from derain.cli import main; main()", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    small = [f"--set={key}" for key in ("steps=4", "validate_every=2", "crop=16", "batch=2")]
    derain("train", "blur", "--data", "pictures", *small)
    best = "runs/blur/best.safetensors"
    assert derain("run", "-m", best, "pairs/rainy/1.png", "-o", "out.png") == "out.png\n"
    assert "| best.safetensors | pairs | 1 |" in derain("evaluate", best, "pairs")
    assert "blur" in derain("weights", "show", best)
