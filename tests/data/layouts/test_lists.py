"""Lists of pairs."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from derain import data
from derain.data.layouts.lists import is_list, read_list
from derain.images import write_image


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(folder / name, np.full((8, 8, 3), 90, np.uint8))


@pytest.mark.parametrize(
    ("line", "rainy", "clean"),
    [
        ("rain/1.png gt/1gt.png", "rain/1.png", "gt/1gt.png"),
        ("/rain/1.png /gt/1gt.png\r", "rain/1.png", "gt/1gt.png"),
        ("rain/1.png,gt/1gt.png", "rain/1.png", "gt/1gt.png"),
        ("rain/1.png, gt/1gt.png", "rain/1.png", "gt/1gt.png"),
        ("rain/1.png\tgt/1gt.png", "rain/1.png", "gt/1gt.png"),
        ("wet day/ü 1.png\tdry day/ü, 1.png", "wet day/ü 1.png", "dry day/ü, 1.png"),
        ("wet day/ü 1.png dry day/ü, 1.png", "wet day/ü 1.png", "dry day/ü, 1.png"),
        ('"rain/1.png","gt/1gt.png"', "rain/1.png", "gt/1gt.png"),
        ('"wet day/ü 1.png","dry day/ü, 1.png"', "wet day/ü 1.png", "dry day/ü, 1.png"),
        ('wet day/ü 1.png,"dry day/ü, 1.png"', "wet day/ü 1.png", "dry day/ü, 1.png"),
        ("data/rain/1.png data/gt/1gt.png", "rain/1.png", "gt/1gt.png"),
        (r"rain\1.png gt\1gt.png", "rain/1.png", "gt/1gt.png"),
        (r"\data\rain\1.png,.\gt\1gt.png", "rain/1.png", "gt/1gt.png"),
    ],
)
def test_lines(line: str, rainy: str, clean: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    put(root, "rain/1.png", "gt/1gt.png", "wet day/ü 1.png", "dry day/ü, 1.png")
    (root / "list.txt").write_text(f"# rainy clean\n\n{line}\n", encoding="utf-8")
    for place in (root / "list.txt", root):
        (pair,) = data.find_pairs(place, "list").pairs
        assert (pair.rainy.resolve(), pair.clean.resolve()) == (root / rainy, root / clean)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_list_in_utf_16_says_so(encoding: str, tmp_path: Path) -> None:
    text = "rain/1.png gt/1.png\n"
    if encoding == "utf-16-be":
        text = "\ufeff" + text
    (tmp_path / "list.txt").write_text(text, encoding=encoding)
    with pytest.raises(ValueError, match=r"list\.txt: is UTF-16; save it as UTF-8"):
        read_list(tmp_path / "list.txt")


def test_a_list_of_the_other_order_is_turned(tmp_path: Path) -> None:
    put(tmp_path, "gt/1.png", "gt/2.png", "rain/1.png", "rain/2.png")
    (tmp_path / "list.txt").write_text("gt/1.png rain/1.png\ngt/2.png rain/2.png\n")
    pairs = data.find_pairs(tmp_path / "list.txt").pairs
    assert [(pair.name, pair.rainy.parent.name) for pair in pairs] == [("1", "rain"), ("2", "rain")]


def test_absolute_paths_and_names_that_occur_twice(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "b/1.png", "c/1.png")
    lines = [f"{tmp_path}/{k}/1.png {tmp_path}/c/1.png" for k in "ab"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    names = [pair.name for pair in data.find_pairs(tmp_path / "list.txt").pairs]
    assert len(set(names)) == 2
    assert not any(name.startswith("/") for name in names)


def test_a_picture_in_several_lines_is_named(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png", "3.png", "4.png", "5.png")
    lines = ["1.png 4.png", "1.png 4.png", "2.png 4.png", "3.png 4.png", "3.png 5.png"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    pairs, problems = read_list(tmp_path / "list.txt")
    assert len(pairs) == 5
    assert [
        (problem.kind, problem.message.removeprefix(f"{tmp_path}/")) for problem in problems
    ] == [
        ("duplicate", "1.png: is in 2 lines of list.txt, and counts as often"),
        (
            "ambiguous",
            f"3.png: list.txt pairs it with {tmp_path}/4.png and {tmp_path}/5.png; expected one"
            " clean picture",
        ),
    ]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png")
    (tmp_path / "list.txt").write_text("1.png 2.png\n1.png none.png\n")
    pairs, problems = read_list(tmp_path / "list.txt")
    assert len(pairs) == 1
    assert [problem.kind for problem in problems] == ["unpaired"]
    with pytest.raises(ValueError, match=r"none\.png: is in list\.txt, but there is no such file"):
        data.find_pairs(tmp_path / "list.txt")


@pytest.mark.parametrize("content", [b"once upon a time", b"\xff\xfe\x00", b"", b"a.png\n"])
def test_other_text_is_no_list(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(content)
    assert not is_list(tmp_path / "notes.txt")


@pytest.mark.parametrize("separator", [" ", ",", "\t"])
def test_an_endless_line_is_no_list(separator: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text(f"a.png{separator}" * 100_000)
    (tmp_path / "long.txt").write_text(f"a.png{separator}" * 1300)
    began = time.process_time()
    assert not is_list(tmp_path / "notes.txt")
    with pytest.raises(ValueError, match="holds no two pictures"):
        read_list(tmp_path / "notes.txt")
    assert is_list(tmp_path / "long.txt")
    assert [problem.kind for problem in read_list(tmp_path / "long.txt")[1]] == ["unpaired"]
    assert time.process_time() - began < 2


def test_notes_beside_clean_pictures_are_no_list(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png", "3.png")
    (tmp_path / "notes.txt").write_text("1.png 2.png\nare from the same day.\nThe third is not.\n")
    with pytest.raises(data.NoPairsError):
        data.find_pairs(tmp_path)
    (tmp_path / "notes.txt").write_text("1.png 2.png\nold/4.png old/5.png\nold/6.png old/7.png\n")
    with pytest.raises(data.NoPairsError):
        data.find_pairs(tmp_path)
    with pytest.raises(ValueError, match=r"4\.png: is in notes\.txt, but there is no such file"):
        data.find_pairs(tmp_path, "list")
    (tmp_path / "notes.txt").write_text("1.png 2.png\n3.png 2.png\nold/6.png old/7.png\n")
    with pytest.raises(ValueError, match=r"6\.png: is in notes\.txt, but there is no such file"):
        data.find_pairs(tmp_path)  # most of them are there


def test_a_pipe_is_no_list(tmp_path: Path, mkfifo: Callable[[Path], None]) -> None:
    put(tmp_path, "rainy/1.png", "clean/1.png")
    mkfifo(tmp_path / "pairs.txt")
    assert not is_list(tmp_path / "pairs.txt")
    assert len(data.find_pairs(tmp_path).pairs) == 1


def test_a_wrong_line_is_shown(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("1.png 2.png\nhello\n")
    with pytest.raises(
        ValueError, match="'hello' holds no two pictures; expected RAINY, a tab and CLEAN"
    ):
        data.find_pairs(tmp_path / "list.txt")


def test_pairs_of_one_name_are_told_apart_without_leaving_the_folder(tmp_path: Path) -> None:
    put(tmp_path, "a/0.png", "b/0.png", "clean/0.png")
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "deep/er/list.txt").write_text(
        "../../a/0.png\t../../clean/0.png\n../../b/0.png\t../../clean/0.png\n"
    )
    assert [pair.name for pair in data.find_pairs(tmp_path / "deep/er/list.txt").pairs] == [
        "a/0",
        "b/0",
    ]


def test_an_empty_list_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"list\.txt: .* expected"):
        data.find_pairs(tmp_path / "list.txt")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".lst", ".list"])
@pytest.mark.parametrize("titles", ["rainy,clean", "rainy\tclean", "Rain\n\nrainy clean"])
def test_titles_before_the_pairs_are_skipped(titles: str, suffix: str, tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / f"pairs{suffix}").write_text(f"{titles}\na/1.png,b/1.png\n")
    for place in (tmp_path, tmp_path / f"pairs{suffix}"):
        (pair,) = data.find_pairs(place).pairs
        assert (pair.rainy.parent.name, pair.clean.parent.name) == ("a", "b")


@pytest.mark.parametrize("wrong", ["a/1.png", "a/1.png b/1", "a\n" * 9])
def test_other_lines_before_the_pairs_are_mistakes(wrong: str, tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "pairs.csv").write_text(f"{wrong}\na/1.png,b/1.png\n")
    with pytest.raises(ValueError, match="holds no two pictures"):
        read_list(tmp_path / "pairs.csv")
