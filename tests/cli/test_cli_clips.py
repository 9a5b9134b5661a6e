"""What derain run says of clips, and what it refuses of them."""

from pathlib import Path

import numpy as np
import pytest
from commands import load_nothing
from commands import status_of as derain
from PIL import Image

from derain.cli.clips import parted, seconds_of
from derain.errors import UsageError
from derain.extras import is_installed
from derain.images import write_image

if not is_installed("av"):
    pytest.skip("needs PyAV", allow_module_level=True)

from filming import Film, film, shown

from derain.clips.resume import Parts


@pytest.fixture(autouse=True)
def loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """A working directory with a clip; the names of models that are loaded."""
    monkeypatch.chdir(tmp_path)
    film(tmp_path / "clip.mkv", Film(times=range(50), sound=True))
    names: list[str | None] = []
    load_nothing(monkeypatch, lambda name, _: names.append(name))
    return names


def test_a_clip_becomes_a_clip(loads: list[str | None], capsys: pytest.CaptureFixture[str]) -> None:
    assert derain("clip.mkv", "--temporal", "5") == 0
    out, err = capsys.readouterr()
    assert out == "clip_derained.mkv\n"
    assert loads == ["petrichor-live"]
    assert "clip.mkv: 50 frames, " in err
    assert " frames/s" in err
    assert [time for time, _ in shown(Path("clip_derained.mkv"))] == [
        time for time, _ in shown(Path("clip.mkv"))
    ]


@pytest.mark.parametrize("name", ["recording", "clip.f4v", "clip.backup"])
def test_a_video_with_another_ending_is_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("clip.mkv").rename(name)
    assert derain(name) == 0
    result = capsys.readouterr().out.strip()
    assert result == f"{Path(name).stem}_derained.mp4"
    assert len(shown(Path(result))) == 50


def test_a_second_run_loads_no_model(
    loads: list[str | None], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("clip_derained.mkv").write_bytes(b"")
    assert derain("clip.mkv") == 0
    assert loads == []
    assert "already exists; --force overwrites it" in capsys.readouterr().err


def test_all_clips_may_be_named_twice(
    loads: list[str | None], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("clip_derained.mkv").write_bytes(b"")
    Path("clip_preview.mkv").write_bytes(b"")
    assert derain("clip.mkv", "clip_derained.mkv", "clip_preview.mkv") == 0
    assert loads == []
    assert (
        "2 results of derain ignored: clip_derained.mkv, clip_preview.mkv"
        in capsys.readouterr().err
    )
    assert derain("clip_derained.mkv") == 1
    assert "clip_derained.mkv: is empty" in capsys.readouterr().err


def test_none_is_for_clips(capsys: pytest.CaptureFixture[str]) -> None:
    assert derain("still.png", "-m", "none") == 2
    assert "--model none: works for clips only; expected weights for" in capsys.readouterr().err
    assert derain("nothere.mkv", "-m", "none") == 1
    assert capsys.readouterr().err == "error: nothere.mkv: no such file\n"


def test_two_folders_of_frames_have_no_folder_in_common(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("one", "two"):
        Path(name).mkdir()
        Image.new("RGB", (8, 8)).save(f"{name}/1.png")
    assert derain("one", "two", "--as-clip", "-m", "none", "-o", "out") == 2
    assert "one folder for the frames of 2; expected one at a time" in capsys.readouterr().err
    assert not Path("out").exists()


def test_neighbours_work_without_a_model(loads: list[str | None]) -> None:
    assert derain("clip.mkv", "-m", "none", "--codec", "ffv1") == 0
    assert loads == []
    assert len(shown(Path("clip_derained.mkv"))) == 50


def test_a_preview_is_short_and_named_so() -> None:
    assert derain("clip.mkv", "--preview", "0.4", "--start", "0:01") == 0
    assert len(shown(Path("clip_preview.mkv"))) == 10
    assert not Path("clip_derained.mkv").exists()


def test_pictures_and_clips_go_together(loads: list[str | None]) -> None:
    write_image("photo.png", np.zeros((8, 9, 3), np.uint8))
    assert derain("photo.png", "clip.mkv") == 0
    assert loads == ["petrichor-live", None]
    assert Path("photo_derained.png").exists()
    assert Path("clip_derained.mkv").exists()


def test_a_clip_and_a_picture_do_not_become_one_file(
    loads: list[str | None], capsys: pytest.CaptureFixture[str]
) -> None:
    write_image("photo.jpg", np.zeros((8, 9, 3), np.uint8))
    assert derain("clip.mkv", "photo.jpg", "-o", "mix.mp4") == 2
    assert "-o mix.mp4: one file for 2 inputs; expected a folder" in capsys.readouterr().err
    assert loads == []
    assert not Path("mix.mp4").exists()


def test_no_clip_takes_the_place_of_another_of_another_part(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("d").mkdir()
    film(Path("d/clip.mkv"), Film(times=range(3)))
    for k in range(2):
        derain("clip.mkv", "d/clip.mkv", "-o", "out", "--force", "--part", f"{k}/2")
    out, err = capsys.readouterr()
    target = Path("out/clip_derained.mkv")
    assert err.count(f"error: d/clip.mkv: would become {target}, which clip.mkv needs") == 1
    assert out == f"{target}\n"
    assert len(shown(target)) == 50


def test_one_bad_clip_does_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.mp4").write_bytes(b"no clip")
    assert derain("bad.mp4", "clip.mkv") == 1
    out, err = capsys.readouterr()
    assert out == "clip_derained.mkv\n"
    assert "error: bad.mp4: is not a readable video" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["clip.mkv", "--temporal", "4"], "--temporal 4: expected auto, off, or an odd number"),
        (["clip.mkv", "--codec", "divx"], "--codec divx: expected one of"),
        (["clip.mkv", "--start", "soon"], "--start soon: expected a time, such as 90 or 1:30"),
        (["clip.mkv", "--end", "1", "--preview", "2"], "--preview 2.0: not with end"),
        (["clip.mkv", "--preview", "0"], "--preview 0.0: expected seconds"),
        (["clip.mkv", "-m", "none", "--temporal", "off"], "nothing to do without a model"),
        (["clip.mkv", "other.mkv", "-o", "-"], "-o -: expected a file or a folder for clips"),
        (["clip.mkv", "--density"], "--density: applies to pictures"),
        (["photo.png", "--crf", "20"], "--crf: applies to clips"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert derain(*arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert words in lines[0]
    assert not Path("clip_derained.mkv").exists()


def test_times_are_read_as_people_write_them() -> None:
    assert seconds_of("90", "start") == seconds_of("1:30", "start") == seconds_of("0:01:30.0", "x")
    assert seconds_of(None, "end") is None
    for text in ("", "1:2:3:4", "-1", "1e3", "nan"):
        with pytest.raises(UsageError):
            seconds_of(text, "start")


def test_folders_are_no_clips() -> None:
    Path("folder.mp4").mkdir()
    assert parted(["a.png", "b.MP4", "folder.mp4", "-"]) == (
        ["b.MP4"],
        ["a.png", "folder.mp4", "-"],
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("quality", "fast"),
        ("device", "cpu"),
        ("dtype", "float32"),
        ("engine", "onnx"),
        ("tile", "64"),
        ("overlap", "8"),
        ("strength", "0.5"),
    ],
)
def test_what_is_said_of_a_model_is_refused_without_one(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert derain("clip.mkv", "-m", "none", f"--{option}", value) == 2
    assert (
        f"--{option} {value}: applies to a model, but -m none uses none" in capsys.readouterr().err
    )
    assert not Path("clip_derained.mkv").exists()


@pytest.mark.parametrize(
    ("kept", "promise"),
    [
        (0, "nothing is kept yet, and the same command begins again"),
        (1, "the same command with --resume continues"),
    ],
)
def test_an_interruption_promises_what_is_there(
    kept: int, promise: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        for number in range(kept):
            segment = Parts(Path("clip_derained.mkv")).path(number)
            segment.parent.mkdir()
            segment.touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("derain.clips.pipeline.run", interrupt)
    assert derain("clip.mkv") == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"interrupted: 0 of 1 clips done; {promise}"
