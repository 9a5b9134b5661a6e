"""Files appear complete or not at all, with the usual permissions."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from derain import files
from derain.errors import reason
from derain.files import (
    amount,
    check_makable,
    check_takes_files,
    check_writable,
    find_files,
    is_result_name,
    is_systems_own,
    listed,
    printable,
    replacing,
    search,
    write_file,
)


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


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "No space left on device: {target}"),
        (OSError(5, "Input/output error", "b.png"), "Input/output error: b.png"),
        (FileNotFoundError("b: no pictures here"), "b: no pictures here"),
    ],
)
def test_an_error_about_what_is_read_keeps_its_words(
    error: OSError, said: str, tmp_path: Path
) -> None:
    target = tmp_path / "a"
    with pytest.raises(type(error)) as raised, replacing(target):
        raise error
    assert reason(raised.value) == said.format(target=target)


def test_names_are_shown_on_one_line() -> None:
    assert printable("a\nb\x1b.png") == "a\\nb\\x1b.png"
    assert printable("дождь 雨.png") == "дождь 雨.png"


def test_long_lists_are_cut_short() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcdefg"), 3) == "a, b, c and 4 more"


def test_one_is_no_plural() -> None:
    numbers = [amount(count, "picture") for count in (0, 1, 2)]
    assert numbers == ["0 pictures", "1 picture", "2 pictures"]
    assert [amount(k, "patch", "patches") for k in (1, 2)] == ["1 patch", "2 patches"]


def test_no_file_system_has_to_change_permissions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    for name in ("chmod", "fchmod", "umask", "utime"):
        monkeypatch.setattr(os, name, refuse)
    monkeypatch.setattr(Path, "chmod", refuse)
    write_file(tmp_path / "a", b"1")
    assert (tmp_path / "a").read_bytes() == b"1"


@pytest.mark.parametrize(
    "litter",
    [
        "._a.jpg",
        ".trashed-1700000000-a.jpg",
        "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg",
        "__MACOSX/a.jpg",
        "$RECYCLE.BIN/a.jpg",
        "inside/.thumbnails/a.jpg",
        "inside/#recycle/a.jpg",
        ".derain-0123456789abcdef.jpg",
    ],
)
def test_searches_leave_out_what_systems_put_there(tmp_path: Path, litter: str) -> None:
    for name in ("a.jpg", "inside/b.jpg", litter):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found, unreadable = find_files(tmp_path, {".jpg"})
    assert [path.name for path in found] == ["a.jpg", "b.jpg"]
    assert not unreadable


def test_a_folder_that_a_user_names_is_searched_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "a.jpg").touch()
    assert [path.name for path in find_files(tmp_path / ".cache", {".jpg"})[0]] == ["a.jpg"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a_derained.jpg", True),
        ("a_derained_compare.png", True),
        ("a_derained", True),
        ("a_derained_derained.jpg", True),
        ("a.jpg", False),
        ("derained.jpg", False),
        ("a_compare.jpg", False),
        ("a_derained_2.jpg", False),
    ],
)
def test_results_are_known_by_their_names(name: str, expected: bool) -> None:
    assert is_result_name(name) == expected


def test_results_beside_their_originals_are_not_found(tmp_path: Path) -> None:
    names = ("a.jpg", "a_derained.png", "a_derained_compare.jpg", "b_derained.jpg", "c.txt")
    for name in (*names, "deep/a_derained.jpg", "deep/Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found, _ = find_files(tmp_path, {".jpg", ".png"})
    kept = ["a.jpg", "b_derained.jpg", "deep/a_derained.jpg"]
    assert [path.relative_to(tmp_path).as_posix() for path in found] == kept
    everything = search(tmp_path, {".jpg", ".png"})
    assert len(everything.files) == 5
    assert everything.others == {".txt": 1}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("._a.jpg", True),
        ("x/@eaDir/a.jpg", True),
        ("THUMBS.DB", True),
        (".hidden.jpg", False),
        (".", False),
        ("..", False),
        ("../a.jpg", False),
        (".folder", False),
        (".nomedia", True),
        ("a.jpg", False),
    ],
)
def test_what_a_shell_hands_over_is_told_apart(
    name: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".folder").mkdir()
    Path(".nomedia").write_bytes(b"")
    assert is_systems_own(name) == expected


def test_places_are_checked_without_a_trace(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    check_writable(tmp_path / "a/b/c.png")
    check_makable(tmp_path / "a/b")
    check_makable(tmp_path)
    for wrong in (tmp_path / "file/a", tmp_path / "file/a/b"):
        with pytest.raises(NotADirectoryError, match="file: a file; expected a folder"):
            check_writable(wrong)
    with pytest.raises(OSError, match="a name of more than 255 bytes"):
        check_makable(tmp_path / ("d" * 300))
    with pytest.raises(OSError, match="a path of"):
        check_writable(Path(tmp_path, *["d" * 200] * 30))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that refuses files")
@pytest.mark.parametrize(
    ("make", "place"),
    [(check_makable, "/proc/a/b"), (check_takes_files, "/proc"), (write_file, "/proc/a.png")],
)
def test_a_folder_that_refuses_is_not_called_missing(make: Callable[..., None], place: str) -> None:
    given = (b"",) if make is write_file else ()
    with pytest.raises(OSError, match=r"can be made here|not permitted|denied") as raised:
        make(place, *given)
    assert reason(raised.value).endswith(f": {place}")


@pytest.mark.parametrize("before", [b"", b"whole\n", b"whole\nhal", b"hal"])
def test_a_line_is_added_after_whole_lines_alone(
    before: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "BLOCK", 4)
    (tmp_path / "a").write_bytes(before)
    files.append_line(tmp_path / "a", b"next")
    whole = b"whole\n" if before.startswith(b"whole\n") else b""
    assert (tmp_path / "a").read_bytes() == whole + b"next\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_reported_with_the_name_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        files.append_line(tmp_path / "a", b"next")
    assert caught.value.filename == str(tmp_path / "a")
