"""Files appear complete or not at all, with the usual permissions."""

import os
from pathlib import Path

import pytest

from derain.files import listed, printable, replacing, write_file


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    target = tmp_path / "a.png"
    target.write_bytes(b"old")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_file(target, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert target.read_bytes() == b"old"


def test_written_files_have_the_usual_permissions(tmp_path: Path) -> None:
    write_file(tmp_path / "a", b"1")
    (tmp_path / "b").write_bytes(b"1")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_what_fails_while_it_is_written_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")

    def fail() -> None:
        with replacing(target) as draft:
            draft.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_folder_that_cannot_be_written_into_is_named_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file") as raised:
        write_file(tmp_path / "no/a", b"1")
    assert raised.value.filename == str(tmp_path / "no/a")


def test_names_are_shown_on_one_line() -> None:
    assert printable("a\nb\x1b.png") == "a\\nb\\x1b.png"
    assert printable("дождь 雨.png") == "дождь 雨.png"


def test_long_lists_are_cut_short() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcdefg"), 3) == "a, b, c and 4 more"
