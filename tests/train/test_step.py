"""One step: loss, running mean, normalisation, rates."""

import math
from dataclasses import replace

import pytest
import torch
from tiny_runs import TINY, final

from derain import train as training
from derain.networks import NETWORKS
from derain.recipes import Recipe, find_recipe
from derain.train import TrainingRun, learning_rate, step, train
from derain.train.state import begin
from derain.weights import loading, store


@pytest.mark.parametrize("name", ["nledn", "remaen", "crdnet", "dpenet", "petrichor"])
def test_bfloat16_computes_the_same_loss_to_its_precision(name: str, run: TrainingRun) -> None:
    # Processors without bfloat16 take long for it.
    crops = {"crdnet": "128", "remaen": "16"}
    recipe = find_recipe(name, TINY | {"crop": crops.get(name, "32")})
    batch = training.open_batches(recipe, run.data).batch(0, run.device)
    torch.manual_seed(0)
    network = NETWORKS[name](**recipe.hyperparameters)
    losses: dict[torch.dtype, torch.Tensor] = {}
    for dtype in (torch.float32, torch.bfloat16):
        losses[dtype], terms = training.TrainingStep(network, dtype)(batch.rainy, batch.clean)
        assert all(term.dtype == torch.float32 for term in terms.values())
    assert float(losses[torch.bfloat16].detach()) == pytest.approx(
        float(losses[torch.float32].detach()), rel=0.03
    )
    losses[torch.bfloat16].backward()
    assert all(p.grad is None or p.grad.dtype == torch.float32 for p in network.parameters())


def test_averaged_weights_are_normalised_by_statistics_of_their_own(run: TrainingRun) -> None:
    recipe = find_recipe("crdnet", TINY | {"crop": "128", "steps": "3", "ema": "0.9"})
    list(train(recipe, run))
    network, card = store.load(run.out / training.BEST)
    assert card.steps == 3
    assert isinstance(network, torch.nn.Module)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    batches = training.open_batches(recipe, run.data)
    saved, _ = store.load(run.out / training.BEST)
    network.train()
    with torch.no_grad():
        for step in range(3):
            batch = batches.batch(step, run.device)
            network.loss(batch.rainy, batch.clean)
    expected, found = network.state_dict(), saved.state_dict()
    statistics = [key for key in expected if "running" in key]
    assert [
        key
        for key in statistics
        if not torch.allclose(found[key], expected[key], rtol=0.02, atol=1e-3)
    ] == []
    assert any(
        not torch.allclose(final(run)["network"][key], expected[key], rtol=0.1, atol=1e-2)
        for key in statistics
    )


def test_frozen_statistics_stay_and_the_rest_learns(run: TrainingRun) -> None:
    recipe = replace(
        find_recipe("crdnet", TINY | {"crop": "128", "init": "crdnet", "steps": "4"}),
        frozen_norms=True,
    )
    list(train(recipe, run))
    before, after = loading.find("crdnet")[0].state_dict(), final(run)["network"]
    statistics = [
        key
        for key in before
        if key.endswith(("running_mean", "running_var", "num_batches_tracked"))
    ]
    assert all(torch.equal(before[key], after[key]) for key in statistics)
    assert not all(torch.equal(before[key], after[key]) for key in before)
    kept = store.load(run.out / training.BEST)[0].state_dict()
    assert all(torch.equal(before[key], kept[key]) for key in statistics)


def test_a_loss_that_is_no_number_stops_the_run(
    run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> dict[str, torch.Tensor]:
        return {"mae": torch.tensor(math.nan, requires_grad=True)}

    monkeypatch.setattr("derain.networks.NLEDN.loss", broken)
    with pytest.raises(FloatingPointError, match="step 0: the loss is nan; a smaller lr"):
        next(train(find_recipe("nledn", TINY), run))


@pytest.mark.parametrize("name", NETWORKS)
def test_any_network_can_be_trained_for_the_error_that_psnr_counts(
    name: str, run: TrainingRun
) -> None:
    recipe = find_recipe(name, TINY | {"crop": "48", "batch": "2", "loss": "rmse"})
    batch = training.open_batches(recipe, run.data).batch(0, run.device)
    network = NETWORKS[name](**recipe.hyperparameters)
    assert isinstance(network, torch.nn.Module)
    with torch.no_grad():
        loss, terms = training.TrainingStep(network.eval(), loss=recipe.loss)(
            batch.rainy, batch.clean
        )
        error = (network.estimate(batch.rainy) - batch.clean).square().mean(dim=(1, 2, 3)).sqrt()
    assert set(terms) == {"rmse"}
    assert float(loss) == pytest.approx(float(error.mean()), rel=1e-3)


def test_parts_of_a_network_train_at_rates_of_their_own(run: TrainingRun) -> None:
    recipe = find_recipe(
        "crdnet", TINY | {"crop": "128", "steps": "1", "lr": "1e-3", "warmup": "0", "clip": "0"}
    )
    recipe = replace(recipe, lr_of={"classifier.": 0.03}, ema=0.0)
    torch.manual_seed(recipe.seed)
    before = NETWORKS["crdnet"](classifier="compact").state_dict()
    list(train(recipe, run))
    moved = {
        key: float((value - before[key]).abs().max())
        for key, value in final(run)["network"].items()
        if "conv" in key
    }
    # Adam's first step is its rate.
    assert moved["classifier.convs.0.weight"] == pytest.approx(3e-5, rel=0.01)
    assert float(
        (final(run)["network"]["refinement.exit.2.bias"] - before["refinement.exit.2.bias"])
        .abs()
        .max()
    ) == pytest.approx(1e-3, rel=0.01)


def test_plateau_schedule_falls_when_the_loss_does_not(run: TrainingRun) -> None:
    recipe: Recipe = find_recipe("nledn-rain100l-paper")
    state = begin(recipe, torch.device("cpu"))
    rates: list[float] = []
    for loss in (0.5, 0.4, 0.4, 0.45, 0.3):  # one epoch of one step each
        step.watch_plateau(state, loss, 1)
        rates.append(learning_rate(recipe, 0, state.lr_factor))
    assert rates == pytest.approx([5e-4, 5e-4, 4.5e-4, 4.05e-4, 4.05e-4])
    assert learning_rate(recipe, 0, 1e-3) == 1e-4
