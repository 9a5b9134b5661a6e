"""What results are called and where they go."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from derain.data import Pair, PairedFolder
from derain.evaluate import Evaluation, Failure, Scoring, evaluate, evaluate_each, numbered
from derain.evaluate.results import distinct, result_file
from derain.images import read_image, write_image
from derain.restore import Derainer


@given(st.lists(st.sampled_from(["a", "a-2", "a-3", "a-2-2", "b"])))
def test_numbered_names_occur_once_and_stay_where_they_can(names: list[str]) -> None:
    own = numbered(names)
    assert len(set(own)) == len(own) == len(names)
    for k, name in enumerate(names):
        assert own[k] == name if name not in names[:k] else own[k].startswith(f"{name}-")


def test_many_of_one_name_take_no_longer_than_they_must() -> None:
    assert numbered(["x"] * 50_000)[-1] == "x-50000"


def test_pairs_of_one_name_keep_their_suffix() -> None:
    pairs = [
        Pair(Path(name).stem, Path(folder, name), Path("c"))
        for folder, name in (("r", "7.png"), ("r", "7.jpg"))
    ]
    again = Pair("7", Path("s/7.png"), Path("c"))
    assert [
        pair.name for pair in distinct([*pairs, Pair("8", Path("8.png"), Path("c")), again])
    ] == [
        "7.png",
        "7.jpg",
        "8",
        "7.png-2",
    ]
    assert [pair.rainy for pair in distinct(pairs)] == [pair.rainy for pair in pairs]


def test_pairs_of_one_name_do_not_overwrite_each_other(nothing: Derainer, tmp_path: Path) -> None:
    for suffix, level in (("png", 30), ("bmp", 90)):
        write_image(tmp_path / f"1.{suffix}", np.full((16, 16, 3), level, np.uint8))
    pairs = tuple(Pair("1", tmp_path / name, tmp_path / "1.png") for name in ("1.png", "1.bmp"))
    evaluation = evaluate(
        nothing, PairedFolder("set", "list", pairs), ["rgb"], save_to=tmp_path / "out"
    )
    assert [picture.name for picture in evaluation.pictures] == ["1.png", "1.bmp"]
    assert [read_image(tmp_path / f"out/{name}.png").mean() for name in ("1.png", "1.bmp")] == [
        30,
        90,
    ]


@pytest.mark.parametrize("name", ["../1", "a/../../1", "/1", "link/1"])
def test_nothing_is_written_outside_the_folder(
    name: str, nothing: Derainer, pairs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path, target_is_directory=True)
    both = (pairs / "rainy/1.png", pairs / "clean/1.png")
    dataset = PairedFolder("set", "list", (Pair(str(name), *both), Pair("a/fine", *both)))
    failure, evaluation = evaluate_each(nothing, dataset, Scoring(["rgb"], save_to=folder))
    assert isinstance(failure, Failure)
    assert isinstance(evaluation, Evaluation)
    assert str(failure.error) == (
        f"{name}: its result would lie outside {folder}; expected a name without .."
    )
    assert (evaluation.unscored, [picture.name for picture in evaluation.pictures]) == (
        (name,),
        ["a/fine"],
    )
    assert sorted(path for path in tmp_path.rglob("*.png") if pairs not in path.parents) == [
        folder / "a/fine.png"
    ]
    assert result_file(Path("here/.."), "a/b") == Path("here/../a/b.png")
