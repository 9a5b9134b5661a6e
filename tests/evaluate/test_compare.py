"""Models on datasets: what is found, what is done once, what fails."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from numpy_engines import Local

from derain.data import NoPairsError, PairedFolder, TwoFolders
from derain.evaluate import (
    Evaluation,
    Failure,
    Gallery,
    Model,
    Photographs,
    Scoring,
    compare,
    find_datasets,
    find_models,
    identity,
    sort_inputs,
)
from derain.extras import is_installed
from derain.restore import Derainer


def small(source: str) -> Derainer:
    return Derainer(Local(), name=source)


@pytest.fixture
def datasets(pairs: Path, tmp_path: Path) -> list[PairedFolder | Photographs]:
    """Two datasets, one of which has a picture that cannot be read, and one no picture at all."""
    other = shutil.copytree(pairs, tmp_path / "other")
    (other / "rainy/2.png").write_bytes(b"no picture")
    found, problems = find_datasets([pairs, other])
    assert problems == []
    return [*found, PairedFolder("empty", "list", ())]


def test_every_model_is_scored_on_every_dataset_in_order(
    datasets: list[PairedFolder | Photographs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: Counter[str] = Counter()
    identified: Counter[str] = Counter()

    def load(source: str) -> Derainer:
        loaded[source] += 1
        return small(source)

    def identify(dataset: PairedFolder | Photographs) -> str:
        identified[dataset.name] += 1
        return identity(dataset)

    monkeypatch.setattr("derain.evaluate.scores.identity", identify)
    # The package's attribute `compare` is the function, not the module.
    monkeypatch.setitem(compare.__globals__, "identity", identify)
    models = [Model("one", "first"), Model("two", "second 2")]
    gallery = Gallery(2)
    seen: list[tuple[str, int, int]] = []
    outcomes = list(
        compare(
            models,
            datasets,
            Scoring(["rgb"], save_to=tmp_path / "out"),
            load,
            gallery=gallery,
            progress=lambda stage, done, total: seen.append((stage, done, total)),
        )
    )
    named = [
        (one.model, one.dataset) if isinstance(one, Evaluation) else one.path.name
        for one in outcomes
    ]
    assert named == [
        ("first", "set"),
        "2.png",
        ("first", "other"),
        "empty",
        ("second 2", "set"),
        "2.png",
        ("second 2", "other"),
        "empty",
    ]
    assert loaded == {"one": 1, "two": 1}
    assert identified == {"set": 1, "other": 1, "empty": 1}
    assert seen[:3] == [("first on set", done, 2) for done in range(3)]
    results = [path.relative_to(tmp_path / "out") for path in tmp_path.glob("out/*/*/*.png")]
    assert sorted(path.as_posix() for path in results) == [
        "first/other/1.png",
        "first/set/1.png",
        "first/set/2.png",
        "second_2/other/1.png",
        "second_2/set/1.png",
        "second_2/set/2.png",
    ]
    assert set(gallery.exhibits["set"].by_name["1"].outputs) == {"first", "second 2"}


def test_what_is_done_is_not_lost_where_a_model_cannot_be_loaded(
    datasets: list[PairedFolder | Photographs],
) -> None:
    def load(source: str) -> Derainer:
        if source == "two":
            raise RuntimeError("out of memory")
        return small(source)

    models = [Model("one", "one"), Model("two", "two")]
    outcomes = compare(models, datasets[:1], Scoring(["rgb"]), load)
    assert isinstance(next(outcomes), Evaluation)
    with pytest.raises(RuntimeError, match="out of memory"):
        next(outcomes)


def test_models_and_data_are_told_apart_and_each_taken_once(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(pairs)
    (tmp_path / "list.txt").write_text("set/rainy/1.png set/clean/1.png")
    models, folders = sort_inputs(
        ["petrichor", "set", "link", "w.pth", "./w.pth", "list.txt", "petrichor"]
    )
    assert models == ["petrichor", "w.pth"]
    assert folders == [Path("set"), Path("list.txt")]
    # As everywhere else a name of shipped weights means these, whatever else has it.
    (tmp_path / "petrichor").mkdir()
    models, folders = sort_inputs(["petrichor", "./petrichor"])
    assert models == ["petrichor"]
    assert folders == [Path("petrichor")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nope/", "nope/: no such folder; expected one of pairs or of photographs, or weights"),
        ("sub/nope", "sub/nope: no such folder; expected one of pairs"),
        ("nope.txt", r"nope\.txt: no such list; expected one of pairs of pictures"),
    ],
)
def test_a_folder_that_is_missing_is_not_taken_for_weights(name: str, message: str) -> None:
    with pytest.raises(FileNotFoundError, match=message):
        sort_inputs(["petrichor", name])
    assert sort_inputs(["petrichr", "sub/nope.pth"]) == (["petrichr", "sub/nope.pth"], [])


def test_the_folder_of_a_run_is_no_data(pairs: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs/petrichor"
    run.mkdir(parents=True)
    for name in ("best.safetensors", "log.jsonl", "sample-1.png"):
        (run / name).touch()
    for names in ([str(run), str(pairs)], ["petrichor", str(pairs), str(run)]):
        with pytest.raises(
            FileNotFoundError, match=r"such as .*petrichor/best\.safetensors of a run"
        ):
            sort_inputs(names)


def test_a_wrong_model_is_known_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_load(*_arguments: Any) -> None:
        raise AssertionError("weights of the package need no look")

    monkeypatch.setattr("derain.engines.opening.Exported.read", no_load)
    if is_installed("torch"):
        monkeypatch.setattr("derain.weights.store.load", no_load)
    assert [model.label for model in find_models(["a/x.pth"])] == ["x.pth"]
    other = "crdnet" if is_installed("torch") else "petrichor-live"
    assert find_models(["petrichor", other])[1] == Model(other, other)
    with pytest.raises(FileNotFoundError, match=r"wrong\.pth: no such weights"):
        find_models(["petrichor", "wrong.pth"])


def test_folders_without_pairs_are_photographs_if_these_can_be_scored(
    pairs: Path, tmp_path: Path
) -> None:
    other = tmp_path / "deep/set"
    shutil.copytree(pairs, other)
    (other / "rainy/9.png").write_bytes(b"")
    found, problems = find_datasets([pairs, other, pairs / "clean"], photographs=True)
    assert [dataset.name for dataset in found] == [str(pairs), str(other), "clean"]
    assert [type(dataset) for dataset in found] == [PairedFolder, PairedFolder, Photographs]
    assert [problem.kind for problem in problems] == ["unpaired"]
    with pytest.raises(NoPairsError, match="found no rainy and clean pictures"):
        find_datasets([pairs / "clean"])


def test_pairs_in_an_unknown_layout_are_no_photographs(pairs: Path) -> None:
    for name, odd in (("rainy", "Q"), ("clean", "R")):
        (pairs / name).rename(pairs / odd)
    for photographs in (True, False):
        with pytest.raises(ValueError, match="show the same scenes") as raised:
            find_datasets([pairs], photographs=photographs)
        assert not isinstance(raised.value, NoPairsError)
    (found,), problems = find_datasets([TwoFolders(pairs / "Q", pairs / "R")])
    assert isinstance(found, PairedFolder)
    assert (found.name, len(found.pairs), problems) == ("set", 2, [])
    (photos,), _ = find_datasets([pairs], "photographs", photographs=True)
    assert isinstance(photos, Photographs)
    assert len(photos.photographs) == 4
    # A layout that does not fit is an error, not another kind of data.
    with pytest.raises(NoPairsError, match="in the layout flat"):
        find_datasets([pairs], "flat", photographs=True)
    # Rainy photographs without twins are what NIQE is for.
    (pairs / "Q").rename(pairs.parent / "rainy")
    (photos,), _ = find_datasets([pairs.parent / "rainy"], photographs=True)
    assert photos.name == "rainy"


def test_litter_is_not_scored_and_changes_no_digest(pairs: Path) -> None:
    def found() -> list[str]:
        datasets, problems = find_datasets([pairs, pairs / "rainy"], photographs=True)
        assert problems == []
        return [identity(dataset) for dataset in datasets]

    before = found()
    for name in ("rainy/._1.png", "clean/._1.png", "rainy/@eaDir/1.png", "clean/Thumbs.db"):
        (pairs / name).parent.mkdir(exist_ok=True)
        (pairs / name).write_bytes(b"litter")
    assert found() == before


def test_nothing_to_score_photographs_by_is_a_failure(pairs: Path) -> None:
    (found,), _ = find_datasets([pairs / "clean"], photographs=True)
    (failure,) = compare([Model("one", "one")], [found], Scoring(), small)
    assert isinstance(failure, Failure)
    assert "expected some of both, or NIQE" in str(failure.error)
