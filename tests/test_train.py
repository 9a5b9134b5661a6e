"""Training: resumes to the bit, keeps the best, says what is wrong."""

import functools
import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from derain import train as training
from derain import weights
from derain.data import Problem
from derain.images import write_image
from derain.networks import NETWORKS
from derain.recipes import RECIPES, Recipe, find_recipe
from derain.train import Run, leaks, learning_rate, loop, train
from derain.train.state import begin, resumed

TINY = {
    "batch": "2",
    "crop": "16",
    "steps": "6",
    "validate_every": "3",
    "validation_crop": "24",
    "warmup": "2",
}


@pytest.fixture
def run(tmp_path: Path, photo: NDArray[np.uint8]) -> Run:
    for name in ("train", "val"):
        (tmp_path / name).mkdir()
        for k in range(3):
            write_image(tmp_path / name / f"{k}.png", np.roll(photo, 31 * k, axis=1)[:40, :50])
    return Run(
        tmp_path / "train", tmp_path / "val", tmp_path / "run", torch.device("cpu"), allow_leak=True
    )  # all from one photo


def final(run: Run) -> dict[str, Any]:
    return torch.load(run.out / training.CHECKPOINT, weights_only=True)


@pytest.mark.parametrize(
    "name",
    [
        "nledn",
        "nledn-rain100l-paper",
        "remaen",
        "crdnet",
        "dpenet",
        "petrichor-live",
        "remaen-rain100l-paper",
    ],
)
def test_resumes_bit_exactly(name: str, run: Run) -> None:
    tiny = {"steps": "6", "validate_every": "3"} if name == "nledn-rain100l-paper" else TINY
    recipe = find_recipe(name, tiny | ({"crop": "128"} if name == "crdnet" else {}))
    whole = replace(run, out=run.out / "whole")
    list(train(recipe, whole))
    stopped = train(recipe, run)
    next(record for record in stopped if record["step"] == 3)
    stopped.close()
    list(train(recipe, run, resume=True))
    a, b = final(whole), final(run)
    for part in ("network", "averaged"):
        for key in a[part] or {}:
            assert torch.equal(a[part][key], b[part][key]), key
    for key, state in a["optimiser"]["state"].items():
        for name_, value in state.items():
            assert torch.equal(value, b["optimiser"]["state"][key][name_])
    without_time = [{k: v for k, v in x["numbers"].items() if k != "seconds"} for x in (a, b)]
    assert without_time[0] == without_time[1]


def test_a_run_that_ran_out_of_minutes_goes_on_bit_exactly(run: Run) -> None:
    recipe = find_recipe("nledn", TINY)
    whole = replace(run, out=run.out / "whole")
    list(train(recipe, whole))
    hurried = replace(run, minutes=1e-9)
    assert [record["step"] for record in train(recipe, hurried)] == [1]
    assert [record["step"] for record in train(recipe, hurried, resume=True)] == [2]
    assert [record["step"] for record in train(recipe, run, resume=True)] == [3, 6]
    a, b = final(whole), final(run)
    for part in ("network", "averaged"):
        assert all(torch.equal(value, b[part][key]) for key, value in a[part].items())


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


@pytest.mark.parametrize("name", ["nledn", "remaen", "crdnet", "dpenet", "petrichor"])
def test_bfloat16_computes_the_same_loss_to_its_precision(name: str, run: Run) -> None:
    recipe = find_recipe(name, TINY | {"crop": "128"})
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


def test_trains_in_bfloat16_and_says_so(run: Run) -> None:
    list(train(find_recipe("petrichor-live", TINY), replace(run, dtype=torch.bfloat16)))
    network, card = weights.load(run.out / training.BEST)
    assert card.machine.endswith(", bfloat16")
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())


@pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor:UserWarning"
)  # the compiler looks at tensors of its own
@pytest.mark.parametrize("name", ["nledn", "petrichor-live"])
def test_a_compiled_step_trains_the_same(
    name: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        torch, "compile", functools.partial(torch.compile, backend="eager")
    )  # written down, run as it stands
    recipe = find_recipe(name, TINY | {"steps": "3"})
    (compiled,) = train(recipe, replace(run, out=run.out / "compiled", compiled=True))
    (plain,) = train(recipe, run)
    assert compiled["loss"] == pytest.approx(
        plain["loss"], rel=0.01
    )  # weights differ more: Adam's first steps magnify rounding
    assert compiled["validation"] == pytest.approx(plain["validation"], abs=0.1)
    assert (
        final(replace(run, out=run.out / "compiled"))["network"].keys()
        == final(run)["network"].keys()
    )


def test_the_card_knows_all_stages_and_their_curves(run: Run) -> None:
    first = find_recipe("nledn", TINY | {"rain": "rain100l"})
    list(train(first, run))
    begun = run.out / training.BEST
    second = replace(run, out=run.out / "second")
    list(train(find_recipe("nledn-rain100h", TINY | {"init": str(begun), "steps": "3"}), second))
    once, twice = (weights.load(place / training.BEST)[1] for place in (run.out, second.out))
    assert twice.history[:-1] == once.history
    assert (twice.steps, twice.rain) == (once.steps + 3, "heavy")
    assert twice.hours == pytest.approx(sum(stage.hours for stage in twice.history), abs=1e-3)
    best = max(point.scores["mean"] for point in once.history[0].curve)
    assert once.history[0].curve[-1].scores["mean"] == best
    assert [point.step for point in once.history[0].curve] == [3, 6][: len(once.history[0].curve)]
    assert json.loads(twice.history[-1].recipe)["init"] == training.BEST


def test_log_best_and_card(run: Run) -> None:
    recipe = find_recipe("nledn", TINY)
    records = list(train(recipe, run))
    lines = [json.loads(line) for line in (run.out / training.LOG).read_text().splitlines()]
    assert lines == records
    assert [record["step"] for record in records] == [3, 6]
    assert set(records[0]["validation"]) == {"rain100l", "rain100h", "mean"}
    network, card = weights.load(run.out / training.BEST)
    assert card.name == "nledn"
    assert json.loads(card.recipe)["crop"] == 16
    assert card.steps in (3, 6)
    best = max(record["validation"]["mean"] for record in records)
    scores = training.ValidationSet(recipe, run.validation).score(network, run.device)
    assert scores["mean"] == pytest.approx(best, abs=0.02)


def test_learns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    recipe = find_recipe(
        "nledn-rain100h", TINY | {"steps": "60", "validate_every": "60", "lr": "2e-3"}
    )
    losses = [record["loss"] for record in train(recipe, run)]
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])


def test_trains_on_pairs(run: Run, photo: NDArray[np.uint8], tmp_path: Path) -> None:
    for name, shift in (("rainy", 20), ("clean", 0)):
        (tmp_path / "pairs" / name).mkdir(parents=True)
        write_image(
            tmp_path / "pairs" / name / "1.png",
            np.clip(photo.astype(int) + shift, 0, 255).astype(np.uint8),
        )
    paired = replace(run, data=tmp_path / "pairs", validation=tmp_path / "pairs")
    records = list(train(find_recipe("nledn-rain100l", TINY), paired))
    assert set(records[-1]["validation"]) == {"pairs", "mean"}


def test_broken_pairs_are_not_taken_for_clean_pictures(
    run: Run, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    for name in ("rainy/1.png", "rainy/2.png", "clean/1.png"):
        (tmp_path / "pairs" / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(tmp_path / "pairs" / name, photo)
    with pytest.raises(ValueError, match="no clean twin"):
        next(train(find_recipe("nledn", TINY), replace(run, data=tmp_path / "pairs")))


def test_a_leak_is_refused_and_an_allowed_one_is_on_the_card(
    run: Run, photo: NDArray[np.uint8]
) -> None:
    for path in run.validation.iterdir():
        path.unlink()
    write_image(run.data / "whole.png", photo)
    write_image(
        run.validation / "part.png", np.ascontiguousarray(photo[10:110, 20:140, :][:, ::-1])
    )
    strict = replace(run, allow_leak=False)
    with pytest.raises(
        training.LeakError,
        match=r"1 validation picture is among.*part\.png shows what.*whole\.png.*--allow-leak",
    ):
        next(train(find_recipe("nledn", TINY), strict))
    assert not run.out.exists()
    notes: list[str] = []
    drawn = find_recipe(
        "nledn", TINY | {"steps": "3", "rain": "light"}
    )  # needs no textures, which would be a note
    list(train(drawn, run, on_note=notes.append))
    assert notes == [weights.load(run.out / training.BEST)[1].note]
    assert "1 validation picture is among the training pictures" in notes[0]
    with pytest.raises(training.LeakError):
        next(train(drawn, strict, resume=True))


def test_leaks_are_looked_for_again_when_files_changed_and_only_then(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches: list[Path] = []

    def search(pictures: Path, *_: object) -> tuple[Problem, ...]:
        searches.append(pictures)
        return ()

    monkeypatch.setattr(leaks, "find_leaks", search)
    recipe = find_recipe("nledn", TINY | {"steps": "3"})
    list(train(recipe, run))
    list(train(recipe, run, resume=True))
    assert len(searches) == 1
    picture = next(run.data.iterdir())
    picture.with_name("another.png").write_bytes(picture.read_bytes())
    list(train(recipe, run, resume=True))
    assert len(searches) == 2


def test_a_picture_that_cannot_be_read_is_named_before_the_first_step(run: Run) -> None:
    (run.data / "broken.png").write_bytes(b"\x89PNG nothing more")
    with pytest.raises(ValueError, match=r"broken\.png.*mend or remove"):
        next(train(find_recipe("nledn", TINY), run))
    assert not run.out.exists()


def test_a_run_that_never_validated_begins_anew(run: Run) -> None:
    run.out.mkdir()
    (run.out / training.LOG).write_text('{"step": 1}\n')
    records = list(train(find_recipe("nledn", TINY | {"steps": "3"}), run))
    assert [
        json.loads(line)["step"] for line in (run.out / training.LOG).read_text().splitlines()
    ] == [records[-1]["step"]]


def test_a_half_written_log_does_not_keep_from_resuming(run: Run) -> None:
    recipe = find_recipe("nledn", TINY | {"steps": "3"})
    list(train(recipe, run))
    with (run.out / training.LOG).open("a") as log:
        log.write('[]\n{"step": 4, "lo')
    list(train(replace(recipe, steps=6), run, resume=True))
    assert [
        json.loads(line)["step"] for line in (run.out / training.LOG).read_text().splitlines()
    ] == [3, 6]


@pytest.mark.parametrize(
    "content", [{"recipe": 3}, {"recipe": {}}, {"recipe": {}, "numbers": {}}, [1]]
)
def test_a_checkpoint_of_something_else_is_refused_in_one_line(run: Run, content: object) -> None:
    run.out.mkdir()
    torch.save(content, run.out / training.CHECKPOINT)
    with pytest.raises(
        ValueError, match=r"last\.pt: expected a checkpoint of derain train"
    ) as caught:
        list(train(find_recipe("nledn", TINY), run, resume=True))
    assert "\n" not in str(caught.value)


def test_which_half_is_clean_matters_to_the_search_for_leaks(
    run: Run, photo: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pairs").mkdir()
    write_image(tmp_path / "pairs/1.png", np.concatenate([photo, photo], axis=1))
    searched: list[object] = []

    def search(_pictures: Path, _training: Path, layout: object, *_: object) -> tuple[Problem, ...]:
        searched.append(layout)
        return ()

    monkeypatch.setattr(leaks, "find_leaks", search)
    paired = replace(
        run, data=tmp_path / "pairs", validation=tmp_path / "pairs", layout="rainy-right"
    )
    recipe = find_recipe("nledn", TINY | {"steps": "3"})
    list(train(recipe, paired))
    list(train(recipe, replace(paired, layout="rainy-left"), resume=True))
    assert searched == ["rainy-right", "rainy-left"]


def test_side_by_side_pairs_are_trained_and_validated_on(
    run: Run, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    rainy = np.clip(photo.astype(int) + 30, 0, 255).astype(np.uint8)
    (tmp_path / "pairs").mkdir()
    write_image(tmp_path / "pairs/1.png", np.concatenate([photo, rainy], axis=1))
    paired = replace(
        run, data=tmp_path / "pairs", validation=tmp_path / "pairs", layout="rainy-right"
    )
    batch = training.open_batches(find_recipe("nledn", TINY), paired.data, paired.layout).batch(
        0, torch.device("cpu")
    )
    assert float((batch.rainy - batch.clean).min()) >= 0
    assert float((batch.rainy - batch.clean).max()) > 0.1
    assert set(list(train(find_recipe("nledn", TINY), paired))[-1]["validation"]) == {
        "pairs",
        "mean",
    }
    with pytest.raises(ValueError, match="in the layout flat"):
        next(
            train(
                find_recipe("nledn", TINY), replace(paired, layout="flat", out=tmp_path / "other")
            )
        )


@pytest.mark.parametrize("content", [b"", b"text", b"PK"])
def test_damaged_checkpoint(content: bytes, run: Run) -> None:
    run.out.mkdir()
    (run.out / training.CHECKPOINT).write_bytes(content)
    with pytest.raises(ValueError, match=r"last\.pt: expected a checkpoint of derain train"):
        next(train(find_recipe("nledn", TINY), run, resume=True))


def test_averaged_weights_are_normalised_by_statistics_of_their_own(run: Run) -> None:
    recipe = find_recipe("crdnet", TINY | {"crop": "128", "steps": "3", "ema": "0.9"})
    list(train(recipe, run))
    network, card = weights.load(run.out / training.BEST)
    assert card.steps == 3
    assert isinstance(network, torch.nn.Module)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    batches = training.open_batches(recipe, run.data)
    saved, _ = weights.load(run.out / training.BEST)
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


def test_a_run_goes_on_though_the_weights_it_began_from_are_gone(run: Run) -> None:
    run.out.mkdir()
    begun = run.out / "begun.safetensors"
    network = NETWORKS["dpenet"](blocks=1)  # of a size that the recipe does not tell
    weights.save(
        network,
        weights.Card(
            "small", "dpenet", network.hyperparameters, history=(weights.Stage(steps=77),)
        ),
        begun,
    )
    recipe = find_recipe("dpenet", TINY | {"init": str(begun)})
    list(train(recipe, replace(run, minutes=1e-9, out=run.out / "run")))
    begun.unlink()
    list(train(recipe, replace(run, out=run.out / "run"), resume=True))
    network, card = weights.load(run.out / "run" / training.BEST)
    assert network.hyperparameters["blocks"] == 1
    assert card.history[0].steps == 77


def test_going_on_in_another_number_format_is_said(run: Run) -> None:
    recipe, notes = find_recipe("petrichor-live", TINY), list[str]()
    list(train(recipe, replace(run, minutes=1e-9), on_note=notes.append))
    list(train(recipe, replace(run, minutes=1e-9), resume=True, on_note=notes.append))
    assert not [note for note in notes if "goes on" in note]
    list(train(recipe, replace(run, dtype=torch.bfloat16), resume=True, on_note=notes.append))
    assert [note for note in notes if "goes on" in note] == [
        "goes on in bfloat16, was in float32 until step 2; --dtype float32 keeps it"
    ]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_made_ahead_on_a_gpu_are_those_of_their_steps(run: Run) -> None:
    batches = training.open_batches(find_recipe("petrichor", TINY), run.data)
    device = torch.device("cuda")
    kept: list[torch.Tensor] = []
    for made in loop.prefetch(batches, 0, 6, device):
        torch.cuda._sleep(100_000_000)  # pyright: ignore[reportPrivateUsage]
        kept.append(
            torch.stack([made.rainy, made.clean])
        )  # queued only: nothing may be written over what it will read
    for step, found in enumerate(kept):
        there = batches.batch(step, device)
        assert torch.allclose(found, torch.stack([there.rainy, there.clean]), atol=1e-4)


def test_what_came_before_is_told_by_the_checkpoint(run: Run) -> None:
    recipe = find_recipe("petrichor-live", TINY | {"init": "petrichor-live"})
    list(train(recipe, replace(run, minutes=1e-9)))
    content = final(run)
    content["before"] = json.dumps([{"steps": 77}])
    torch.save(content, run.out / training.CHECKPOINT)
    list(train(recipe, run, resume=True))
    history = weights.load(run.out / training.BEST)[1].history
    assert (len(history), history[0].steps) == (2, 77)


def test_frozen_statistics_stay_and_the_rest_learns(run: Run) -> None:
    recipe = replace(
        find_recipe("crdnet", TINY | {"crop": "128", "init": "crdnet", "steps": "4"}),
        frozen_norms=True,
    )
    list(train(recipe, run))
    before, after = weights.find("crdnet")[0].state_dict(), final(run)["network"]
    statistics = [
        key
        for key in before
        if key.endswith(("running_mean", "running_var", "num_batches_tracked"))
    ]
    assert all(torch.equal(before[key], after[key]) for key in statistics)
    assert not all(torch.equal(before[key], after[key]) for key in before)
    kept = weights.load(run.out / training.BEST)[0].state_dict()
    assert all(torch.equal(before[key], kept[key]) for key in statistics)


def test_runs_begun_before_a_setting_was_there_go_on(run: Run) -> None:
    recipe = find_recipe("nledn", TINY)
    list(train(replace(recipe, steps=3), run))
    content = final(run)
    for setting in ("milestones", "decay", "lr_of"):
        del content["recipe"][setting]
    del content["optimiser"]["param_groups"][0]["relative_lr"]
    torch.save(content, run.out / training.CHECKPOINT)
    assert [record["step"] for record in train(recipe, run, resume=True)] == [6]


def test_a_rate_for_no_part_of_the_network_is_refused(run: Run) -> None:
    with pytest.raises(
        ValueError, match="lr_of=tail: no parameter's name begins so; expected one such as entrance"
    ):
        list(train(replace(find_recipe("nledn", TINY), lr_of={"tail": 0.5}), run))


def test_starts_from_other_weights(run: Run, tmp_path: Path) -> None:
    recipe = find_recipe(
        "nledn-rain100l", TINY | {"init": "nledn", "steps": "1", "lr": "1e-9", "min_lr": "1e-9"}
    )
    list(train(recipe, run))
    expected, _ = weights.find("nledn")
    found = final(run)["network"]
    assert all(
        torch.allclose(value, found[key], atol=1e-6) for key, value in expected.state_dict().items()
    )


def test_a_run_is_not_begun_over_another(run: Run) -> None:
    recipe = find_recipe("nledn", TINY | {"steps": "3"})
    list(train(recipe, run))
    with pytest.raises(FileExistsError, match="give --resume to go on with it"):
        next(train(recipe, run))
    with pytest.raises(ValueError, match=r"was begun with lr=0\.001; give the same"):
        next(train(replace(recipe, lr=0.5), run, resume=True))
    assert len(list(train(replace(recipe, steps=6), run, resume=True))) == 1


def test_nothing_to_resume_and_no_pictures(run: Run, tmp_path: Path) -> None:
    recipe = find_recipe("nledn", TINY)
    with pytest.raises(FileNotFoundError, match="nothing to resume"):
        next(train(recipe, run, resume=True))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no pictures here"):
        next(train(recipe, replace(run, data=tmp_path / "empty")))


def test_a_loss_that_is_no_number_stops_the_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> dict[str, torch.Tensor]:
        return {"mae": torch.tensor(math.nan, requires_grad=True)}

    monkeypatch.setattr("derain.networks.NLEDN.loss", broken)
    with pytest.raises(FloatingPointError, match="step 0: the loss is nan; a smaller lr"):
        next(train(find_recipe("nledn", TINY), run))


def test_cosine_schedule() -> None:
    recipe = replace(RECIPES["nledn"], steps=1000, warmup=100, lr=1.0, min_lr=0.1)
    rates = [learning_rate(recipe, step, 1.0) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)
    assert all(a >= b for a, b in itertools.pairwise(rates[100:]))


def test_steps_schedule() -> None:
    recipe = find_recipe("dpenet-rain100l-paper", {"steps": "10"})
    rates = [learning_rate(recipe, step, 1.0) / 1e-3 for step in range(10)]
    assert rates == pytest.approx([1, 1, 1, 0.2, 0.2, 0.04, 0.04, 0.04, 0.008, 0.008])
    assert learning_rate(replace(recipe, milestones=()), 9, 1.0) == recipe.lr


def test_parts_of_a_network_train_at_rates_of_their_own(run: Run) -> None:
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
    assert moved["classifier.convs.0.weight"] == pytest.approx(
        3e-5, rel=0.01
    )  # Adam's first step is its rate
    assert float(
        (final(run)["network"]["refinement.exit.2.bias"] - before["refinement.exit.2.bias"])
        .abs()
        .max()
    ) == pytest.approx(1e-3, rel=0.01)


def test_a_classifier_trained_alone_leaves_the_rest_as_it_was_and_the_latest_is_kept(
    run: Run,
) -> None:
    recipe = find_recipe(
        "crdnet-density", TINY | {"batch": "1", "crop": "none", "steps": "4", "validate_every": "2"}
    )
    records = list(train(recipe, run))
    assert len({record["best"] for record in records if "best" in record}) == 1
    network, card = weights.load(run.out / training.BEST)
    before, after = weights.find("crdnet")[0].state_dict(), network.state_dict()
    assert {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])} == {
        "classifier"
    }
    assert card.history[-1].steps == 4


def test_plateau_schedule_falls_when_the_loss_does_not(run: Run) -> None:
    recipe: Recipe = find_recipe("nledn-rain100l-paper")
    state = begin(recipe, torch.device("cpu"))
    rates: list[float] = []
    for loss in (0.5, 0.4, 0.4, 0.45, 0.3):  # one epoch of one step each
        loop._watch_plateau(state, loss, 1)  # pyright: ignore[reportPrivateUsage]
        rates.append(learning_rate(recipe, 0, state.lr_factor))
    assert rates == pytest.approx([5e-4, 5e-4, 4.5e-4, 4.05e-4, 4.05e-4])
    assert learning_rate(recipe, 0, 1e-3) == 1e-4


def same(
    a: dict[str, Any], b: dict[str, Any], parts: tuple[str, ...] = ("network", "averaged")
) -> bool:
    """Whether two checkpoints hold the same weights, running means, moments and numbers, but for
    time.
    """
    weights_agree = all(
        torch.equal(value, b[part][key]) for part in parts for key, value in a[part].items()
    )
    moments_agree = all(
        torch.equal(value, b["optimiser"]["state"][key][name])
        for key, state in a["optimiser"]["state"].items()
        for name, value in state.items()
    )
    return weights_agree and moments_agree and a["numbers"]["step"] == b["numbers"]["step"]


def stopped_after(recipe: Recipe, run: Run, step: int) -> None:
    """Train up to a validation at some step, as if the process had been killed there."""
    records = train(recipe, run)
    next(record for record in records if record["step"] == step)
    records.close()


TRUNK = TINY | {"schedule": "trunk", "steps": "40", "validate_every": "20"}


@pytest.fixture
def trunk(run: Run) -> Run:
    """A trunk of forty steps, trained; its branches take four."""
    list(train(find_recipe("petrichor-live", TRUNK), run))
    return run


def test_a_trunk_keeps_its_rate_and_a_branch_falls_as_one_minus_the_root() -> None:
    trunk = replace(
        RECIPES["petrichor-live"], schedule="trunk", steps=1000, warmup=10, lr=1.0, min_lr=0.2
    )
    assert learning_rate(trunk, 4, 1.0) == pytest.approx(0.5)
    assert {learning_rate(trunk, step, 1.0) for step in range(10, 1000)} == {1.0}
    branch = replace(trunk, schedule="branch", init="last.pt", steps=100)
    rates = [learning_rate(branch, step, 1.0) for step in (0, 1, 25, 64, 100)]
    assert rates == pytest.approx([1.0, 0.92, 0.6, 0.36, 0.2])


def test_a_trunk_resumes_bit_exactly(trunk: Run) -> None:
    stopped = replace(trunk, out=trunk.out / "stopped")
    recipe = find_recipe("petrichor-live", TRUNK)
    stopped_after(recipe, stopped, 20)
    list(train(recipe, stopped, resume=True))
    assert same(final(trunk), final(stopped))


def test_a_branch_resumes_bit_exactly_though_its_trunk_went_on(trunk: Run) -> None:
    recipe = training.branch_recipe(trunk.out, {"validate_every": "2"})
    whole, stopped = (replace(trunk, out=trunk.out / name) for name in ("whole", "stopped"))
    list(train(recipe, whole))
    stopped_after(recipe, stopped, 2)
    list(train(find_recipe("petrichor-live", TRUNK | {"steps": "60"}), trunk, resume=True))
    kept, taken = training.checkpoint_recipe(stopped.out / training.CHECKPOINT)
    assert (kept, taken) == (recipe, 2)
    list(train(kept, stopped, resume=True))
    assert same(final(whole), final(stopped))
    assert training.branch_recipe(trunk.out, {}).steps == 6  # one begun now would be longer


def test_a_branch_takes_a_tenth_of_the_steps_under_a_seed_of_its_own(trunk: Run) -> None:
    recipe = training.branch_recipe(trunk.out, {"min_lr": "1e-5"})
    assert (recipe.schedule, recipe.steps, recipe.validate_every, recipe.warmup) == (
        "branch",
        4,
        1,
        0,
    )
    assert (recipe.seed, recipe.min_lr, recipe.init) == (
        1,
        1e-5,
        str(trunk.out / training.CHECKPOINT),
    )
    assert recipe == training.branch_recipe(trunk.out / training.CHECKPOINT, {"min_lr": "1e-5"})


def test_a_branch_begins_from_all_that_its_trunk_holds(trunk: Run) -> None:
    recipe = training.branch_recipe(trunk.out, {"steps": "1"})
    list(train(recipe, replace(trunk, out=trunk.out / "branch")))
    # The trunk itself, given the branch's first batch, takes the same step.
    going_on = find_recipe("petrichor-live", TRUNK)
    state = resumed(going_on, trunk.out / training.CHECKPOINT, trunk.device)
    batches = training.open_batches(recipe, trunk.data)
    module = training.TrainingStep(state.network).train()
    loop._step(module, state, going_on, batches.batch(0, trunk.device), len(batches))  # pyright: ignore[reportPrivateUsage]
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


def test_the_card_of_a_branch_tells_of_its_trunk(trunk: Run) -> None:
    recipe = training.branch_recipe(trunk.out, {})
    branch = replace(trunk, out=trunk.out / "branch")
    list(train(recipe, branch))
    card = weights.load(branch.out / training.BEST)[1]
    told = [json.loads(stage.recipe) for stage in card.history]
    assert [(stage["schedule"], stage["init"]) for stage in told] == [
        ("trunk", ""),
        ("branch", training.CHECKPOINT),
    ]
    assert card.history[0].steps == 40
    assert [point.step for point in card.history[0].curve] == [20, 40]
    assert card.steps == 40 + card.history[1].steps


def test_a_trunk_that_stopped_between_validations_tells_only_of_those_it_made(run: Run) -> None:
    recipe = find_recipe("petrichor-live", TRUNK)
    list(train(recipe, replace(run, minutes=1e-9)))
    branch = replace(run, out=run.out / "branch")
    list(train(training.branch_recipe(run.out, {}), branch))
    stages = weights.load(branch.out / training.BEST)[1].history
    assert [(stage.steps, len(stage.curve)) for stage in stages] == [(1, 0), (1, 1)]


def test_what_is_no_trunk_gets_no_branch(run: Run) -> None:
    list(train(find_recipe("petrichor-live", TINY | {"steps": "3"}), run))
    checkpoint = run.out / training.CHECKPOINT
    with pytest.raises(
        ValueError, match=r"last\.pt: was trained with schedule=cosine; expected schedule=trunk"
    ):
        training.branch_recipe(run.out, {})
    by_hand = find_recipe("petrichor-live", TINY | {"schedule": "branch", "init": str(checkpoint)})
    with pytest.raises(
        ValueError, match=r"last\.pt: was trained with schedule=cosine; expected schedule=trunk"
    ):
        next(train(by_hand, replace(run, out=run.out / "branch")))
    with pytest.raises(
        FileNotFoundError, match="no such checkpoint; expected one that derain train wrote"
    ):
        training.branch_recipe(run.out / "nowhere", {})
    with pytest.raises(
        ValueError, match="schedule=branch: begins from a trunk's checkpoint; expected init too"
    ):
        find_recipe("petrichor-live", {"schedule": "branch"})


def test_a_trunk_of_another_network_is_refused(trunk: Run) -> None:
    other = find_recipe(
        "petrichor", TINY | {"schedule": "branch", "init": str(trunk.out / training.CHECKPOINT)}
    )
    with pytest.raises(
        ValueError, match=r"last\.pt: is a trunk of petrichor-live; expected one of petrichor"
    ):
        next(train(other, replace(trunk, out=trunk.out / "branch")))


def test_a_branch_has_the_optimiser_that_its_recipe_says(trunk: Run) -> None:
    recipe = training.branch_recipe(trunk.out, {"weight_decay": "0.5", "betas": "0.8,0.95"})
    optimiser = begin(recipe, trunk.device).optimiser
    assert [(group["weight_decay"], group["betas"]) for group in optimiser.param_groups] == [
        (0.5, (0.8, 0.95))
    ]
    assert len(optimiser.state) > 0


def test_weights_of_a_smaller_petrichor_grow(run: Run) -> None:
    recipe = find_recipe("petrichor-deep", TINY | {"steps": "1", "validate_every": "1"})
    assert recipe.init == "petrichor"
    grown = begin(recipe, run.device).network
    rainy = torch.rand(1, 3, 24, 32)
    small = weights.find("petrichor")[0]
    with torch.inference_mode():
        assert torch.allclose(grown(rainy), small(rainy), atol=1e-5)
    list(train(recipe, run))
    network, card = weights.load(run.out / training.BEST)
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


@pytest.fixture
def textures(tmp_path: Path) -> Path:
    """Streak textures: bright bars on black."""
    folder = tmp_path / "somewhere" / "streaks"
    folder.mkdir(parents=True)
    for k in range(2):
        texture = np.zeros((64, 96, 3), np.uint8)
        texture[:, 5 + k :: 12] = 200
        write_image(folder / f"{k}.png", texture)
    return folder


def test_textures_are_rained_with_and_named_and_their_lack_is_said(
    run: Run, textures: Path
) -> None:
    notes: list[str] = []
    list(
        train(
            find_recipe("petrichor-live", TINY | {"steps": "3"}),
            replace(run, out=run.out / "drawn"),
            on_note=notes.append,
        )
    )
    lacking = "mixed: all rain is drawn; with --set textures=DIR some is cut from streak textures"
    assert notes.count(lacking) == 1
    assert weights.load(run.out / "drawn" / training.BEST)[1].rain == "mixed"
    notes.clear()
    recipe = find_recipe("petrichor-live", TINY | {"steps": "3", "textures": str(textures)})
    list(train(recipe, replace(run, out=run.out / "cut"), on_note=notes.append))
    assert lacking not in notes
    assert (
        weights.load(run.out / "cut" / training.BEST)[1].rain
        == "mixed, with streak textures (streaks)"
    )
    drawn, cut = (final(replace(run, out=run.out / name))["network"] for name in ("drawn", "cut"))
    assert not all(torch.equal(value, cut[key]) for key, value in drawn.items())


def test_rain_that_wants_no_textures_does_not_miss_them(run: Run) -> None:
    notes: list[str] = []
    list(
        train(
            find_recipe("petrichor-live", TINY | {"steps": "3", "rain": "rain1400"}),
            run,
            on_note=notes.append,
        )
    )
    assert not [note for note in notes if "textures" in note]


def test_textures_that_are_not_there_are_said(run: Run, tmp_path: Path) -> None:
    for name, message in (
        ("nowhere", "no such folder; expected one of streak textures"),
        ("empty", "no pictures in it"),
    ):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(FileNotFoundError, match=message):
            next(
                train(find_recipe("petrichor-live", TINY | {"textures": str(tmp_path / name)}), run)
            )


def test_textures_may_move_but_not_change_their_name(
    run: Run, textures: Path, tmp_path: Path
) -> None:
    recipe = find_recipe("petrichor-live", TINY | {"textures": str(textures)})
    list(train(recipe, replace(run, minutes=1e-9)))
    moved = textures.rename(tmp_path / "streaks")
    list(train(replace(recipe, textures=str(moved)), replace(run, minutes=1e-9), resume=True))
    other = moved.rename(tmp_path / "bars")
    with pytest.raises(ValueError, match="was begun with textures=streaks"):
        next(train(replace(recipe, textures=str(other)), run, resume=True))


def test_a_card_names_no_path(run: Run, textures: Path, tmp_path: Path) -> None:
    trunk = find_recipe("petrichor-live", TRUNK | {"steps": "10", "textures": str(textures)})
    list(train(trunk, run))
    branch = replace(run, out=run.out / "branch")
    list(train(training.branch_recipe(run.out, {}), branch))
    further = find_recipe(
        "petrichor-live",
        TINY | {"init": str(branch.out / training.BEST), "textures": str(textures)},
    )
    list(train(further, replace(run, out=run.out / "further")))
    for folder in (run.out, branch.out, run.out / "further"):
        card = weights.load(folder / training.BEST)[1].to_json()
        assert str(tmp_path) not in card
        assert "somewhere" not in card
        assert "streaks" in card
