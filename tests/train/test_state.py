"""What a run begins from: random weights, other weights, a trunk."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_runs import TINY, TRUNK, final

from derain import train as training
from derain import weights
from derain.networks import NETWORKS
from derain.recipes import find_recipe
from derain.train import TrainingRun, step, train
from derain.train.state import begin, resumed
from derain.weights import loading, store


@pytest.mark.parametrize("name", ["nledn", "crdnet", "petrichor-live"])
def test_an_optimiser_in_one_pass_steps_as_the_plain_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[dict[str, torch.Tensor]] = []
    for devices in ((), ("cpu",)):
        monkeypatch.setattr("derain.train.state.FUSED_ON", devices)
        state = begin(find_recipe(name), torch.device("cpu"))
        assert state.optimiser.defaults["fused"] is bool(devices)
        draws = torch.Generator().manual_seed(1)
        for _ in range(3):
            for parameter in state.network.parameters():
                parameter.grad = torch.empty_like(parameter).copy_(
                    torch.randn(parameter.shape, generator=draws)
                )
            state.optimiser.step()
        steps.append(state.network.state_dict())
    plain, fused = steps
    assert all(
        torch.allclose(value, fused[key], rtol=1e-5, atol=1e-6) for key, value in plain.items()
    )


def test_a_rate_for_no_part_of_the_network_is_refused(run: TrainingRun) -> None:
    with pytest.raises(
        ValueError, match="lr_of=tail: no parameter's name begins so; expected one such as entrance"
    ):
        list(train(replace(find_recipe("nledn", TINY), lr_of={"tail": 0.5}), run))


def test_starts_from_other_weights(run: TrainingRun, tmp_path: Path) -> None:
    recipe = find_recipe(
        "nledn-rain100l", TINY | {"init": "nledn", "steps": "1", "lr": "1e-9", "min_lr": "1e-9"}
    )
    list(train(recipe, run))
    expected, _ = loading.find("nledn")
    found = final(run)["network"]
    assert all(
        torch.allclose(value, found[key], atol=1e-6) for key, value in expected.state_dict().items()
    )


def test_a_branch_begins_from_all_that_its_trunk_holds(trunk: TrainingRun) -> None:
    recipe = training.branch_recipe(trunk.out, {"steps": "1"})
    list(train(recipe, replace(trunk, out=trunk.out / "branch")))
    # The trunk itself, given the branch's first batch, takes the same step.
    going_on = find_recipe("petrichor-live", TRUNK)
    state = resumed(going_on, trunk.out / training.CHECKPOINT, trunk.device)
    batches = training.open_batches(recipe, trunk.data)
    module = training.TrainingStep(state.network, loss=going_on.loss).train()
    step.take_step(module, state, going_on, batches.batch(0, trunk.device), len(batches))
    found = final(replace(trunk, out=trunk.out / "branch"))
    assert state.averaged is not None
    for part, expected in (
        ("network", state.network.state_dict()),
        ("averaged", state.averaged.state_dict()),
    ):
        assert all(torch.equal(value, found[part][key]) for key, value in expected.items())
    for key, moments in state.optimiser.state_dict()["state"].items():
        assert all(
            torch.equal(value, found["optimiser"]["state"][key][name])
            for name, value in moments.items()
        )
    assert found["numbers"]["step"] == 1


def test_a_trunk_of_another_network_is_refused(trunk: TrainingRun) -> None:
    other = find_recipe(
        "petrichor", TINY | {"schedule": "branch", "init": str(trunk.out / training.CHECKPOINT)}
    )
    with pytest.raises(
        ValueError, match=r"last\.pt: is a trunk of petrichor-live; expected one of petrichor"
    ):
        next(train(other, replace(trunk, out=trunk.out / "branch")))


def test_a_branch_has_the_optimiser_that_its_recipe_says(trunk: TrainingRun) -> None:
    recipe = training.branch_recipe(trunk.out, {"weight_decay": "0.5", "betas": "0.8,0.95"})
    optimiser = begin(recipe, trunk.device).optimiser
    assert [(group["weight_decay"], group["betas"]) for group in optimiser.param_groups] == [
        (0.5, (0.8, 0.95))
    ]
    assert len(optimiser.state) > 0


def test_weights_of_a_smaller_petrichor_grow(run: TrainingRun) -> None:
    recipe = find_recipe("petrichor-deep", TINY | {"steps": "1", "validate_every": "1"})
    assert recipe.init == "petrichor"
    grown = begin(recipe, run.device).network
    rainy = torch.rand(1, 3, 24, 32)
    small = loading.find("petrichor")[0]
    with torch.inference_mode():
        assert torch.allclose(grown(rainy), small(rainy), atol=1e-5)
    list(train(recipe, run))
    network, card = store.load(run.out / training.BEST)
    assert (card.network, type(network)) == ("petrichor-deep", NETWORKS["petrichor-deep"])
    assert len(card.history) == len(weights.find_card("petrichor").history) + 1


@pytest.mark.parametrize(
    ("name", "init", "message"),
    [
        ("petrichor-live", "petrichor", "do not grow"),
        (
            "petrichor-deep",
            "nledn",
            "init=nledn: holds another nledn; expected the recipe's petrichor-deep",
        ),
        (
            "nledn",
            "petrichor",
            "init=petrichor: holds another petrichor; expected the recipe's nledn",
        ),
    ],
)
def test_weights_that_do_not_grow_are_refused(name: str, init: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        begin(find_recipe(name, {"init": init}), torch.device("cpu"))
