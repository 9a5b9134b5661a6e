"""What derain run says, and what it does before a model is loaded."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import load_nothing
from commands import status_of as derain
from numpy.typing import NDArray
from numpy_engines import Unchanged

from derain.cli import console
from derain.cli.run import _pixels  # pyright: ignore[reportPrivateUsage]
from derain.errors import UsageError
from derain.images import read_image, write_image
from derain.restore import Derainer


@pytest.fixture(autouse=True)
def here(
    tmp_path: Path, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> list[dict[str, Any]]:
    """A working directory with a picture; what a model is loaded by, which changes nothing."""
    monkeypatch.chdir(tmp_path)
    write_image("a.png", photo[:16, :20])
    loads: list[dict[str, Any]] = []
    load_nothing(monkeypatch, lambda _, settings: loads.append(settings))
    return loads


def test_a_second_run_loads_no_model(
    here: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert derain("a.png") == 0
    assert len(here) == 1
    capsys.readouterr()
    assert derain("a.png") == 0
    assert derain("*.png") == 0
    assert len(here) == 1
    assert capsys.readouterr().err.splitlines() == [
        "skipped a.png: a_derained.png already exists; --force overwrites it",
        "skipped a.png: a_derained.png already exists; --force overwrites it",
        "1 result of derain ignored: a_derained.png; name one alone to derain it again",
    ]
    assert derain("*.png", "-m", "petrichr") == 2  # what is mistyped is said all the same


def test_what_is_missing_is_said_before_a_model_is_loaded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def load(*_: object, **_settings: object) -> Derainer:
        said.append(capsys.readouterr().err)
        raise ValueError("no model")

    monkeypatch.setattr("derain.restore.load", load)
    assert derain("missing.png", "a.png") == 1
    assert said == ["error: missing.png: no such file or folder\n"]


def test_skipped_files_are_counted_and_named_with_details(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_image("b.png", read_image("a.png"))
    assert derain("a.png", "b.png") == 0
    capsys.readouterr()
    counted = "0 done, 2 skipped because they already exist, 0 failed"
    assert derain("a.png", "b.png") == 0
    assert capsys.readouterr() == ("", f"{counted}\n")
    assert derain("a.png", "b.png", "-v") == 0
    assert capsys.readouterr().err.splitlines() == [
        *(
            f"skipped {name}.png: {name}_derained.png already exists; --force overwrites it"
            for name in "ab"
        ),
        counted,
    ]


@pytest.mark.parametrize("given", ["clips", "clips/*"])
def test_clips_without_pictures_are_to_be_named(
    given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("clips").mkdir()
    Path("clips/a.mp4").write_bytes(b"a clip")
    assert derain(given) == 1
    assert capsys.readouterr().err.endswith(
        "; 1 other file ignored: 1 .mp4; clips are derained if they are named, such as"
        " clips/*.mp4\n"
    )


def test_results_of_derain_are_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    write_image("b.png", read_image("a.png"))
    assert derain("a.png") == 0
    assert derain("a_derained.png", "-o", "made.png") == 0
    capsys.readouterr()
    assert derain("made.png", "b.png", "a.png", "--force") == 0
    said = capsys.readouterr().err
    assert "[2/2] " in said
    assert said.splitlines()[-1] == "2 done, 0 skipped because they already exist, 0 failed"


def test_results_are_left_alone_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("b.png", "c.bmp"):
        write_image(name, read_image("a.png"))
    assert derain("a.png", "b.png", "c.bmp", "--compare") == 0
    first = {path.name for path in Path.cwd().iterdir()}
    assert len(first) == 9
    capsys.readouterr()
    assert derain(*sorted(first)) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "ignored" in line] == [
        "6 results of derain ignored: a_derained.png, a_derained_compare.png, b_derained.png,"
        " b_derained_compare.png, c_derained.bmp and 1 more; name one alone to derain it again"
    ]
    assert lines[-1] == "0 done, 3 skipped because they already exist, 0 failed"
    assert len(lines) == 2
    assert {path.name for path in Path.cwd().iterdir()} == first
    assert derain(*sorted(first), "--force", "--format", "jpg", "-q") == 0
    made = {path.name for path in Path.cwd().iterdir()} - first
    assert made == {"a_derained.jpg", "b_derained.jpg", "c_derained.jpg"}


def test_a_result_that_is_named_alone_is_derained_with_a_note(
    capsys: pytest.CaptureFixture[str],
) -> None:
    derain("a.png")
    capsys.readouterr()
    assert derain("a_derained.png") == 0
    written = capsys.readouterr()
    assert written.out == "a_derained_derained.png\n"
    assert "(is already a result of derain and was derained again)" in written.err


def test_other_files_are_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("b.cr2", "c.CR2", "d.mp4"):
        Path(name).write_bytes(b"")
    assert derain(".", "-o", "out/") == 0
    line = "3 other files ignored: 2 .cr2, 1 .mp4"
    assert capsys.readouterr().err.splitlines()[0] == line
    assert derain("*", "-o", "out/", "--force") == 0
    assert capsys.readouterr().err.splitlines()[0] == line
    assert derain("b.cr2") == 1


def test_the_name_of_the_comparison_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert derain("a.png", "--compare") == 0
    written = capsys.readouterr()
    assert written.out == "a_derained.png\n"
    assert "a.png: compared in a_derained_compare.png" in written.err.splitlines()


def test_quiet_leaves_errors_and_results(capsys: pytest.CaptureFixture[str]) -> None:
    assert derain("-q", "none.jpg", "a.png") == 1
    written = capsys.readouterr()
    assert written.out == "a_derained.png\n"
    assert written.err == "error: none.jpg: no such file or folder\n"
    assert derain("--quiet", "a.png") == 0
    assert capsys.readouterr().err == ""


def test_verbose_says_what_was_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert derain("a.png", "-v") == 0
    assert "nothing: tile 512, overlap 64, numpy, float32, cpu; derain " in capsys.readouterr().err
    assert derain("a.png", "--force") == 0
    assert "tile 512" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["-v", "weights", "list"], 0), (["-q", "-v", "evaluate", "--help"], 0), (["-q"], 2)],
)
def test_quiet_and_verbose_may_come_before_the_verb(arguments: list[str], status: int) -> None:
    assert derain(*arguments) == status


def test_the_line_on_bfloat16_is_for_those_who_want_to_know(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Unchanged, "dtype", "bfloat16", raising=False)

    def load(_name: str | None, **_settings: Any) -> Derainer:
        engine = Unchanged()
        engine.dtype = "bfloat16"
        return Derainer(engine, name="nothing")

    monkeypatch.setattr("derain.restore.load", load)
    assert derain("a.png") == 0
    assert "bfloat16" not in capsys.readouterr().err
    assert derain("a.png", "--force", "-v") == 0
    assert "nothing: computes in bfloat16, which costs" in capsys.readouterr().err


def test_what_the_library_logs_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("derain.somewhere")
    for asked, lines in (
        ({"quiet": False, "verbose": False}, ["warning: b"]),
        ({"quiet": False, "verbose": True}, ["a", "warning: b"]),
        ({"quiet": True, "verbose": False}, []),
    ):
        console.set_level(**asked)
        log.info("a")
        log.warning("b")
        assert capsys.readouterr().err.splitlines() == lines


def test_an_interrupted_run_says_what_was_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("b.png", "c.png", "d.png"):
        write_image(name, read_image("a.png"))
    derain("a.png", "-q")
    calls: list[int] = []

    def forward(_self: Unchanged, rainy: NDArray[np.float32]) -> NDArray[np.float32]:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return rainy

    monkeypatch.setattr(Unchanged, "forward", forward)
    assert derain("a.png", "b.png", "c.png", "d.png") == 130
    assert capsys.readouterr().err.splitlines()[-1] == (
        "interrupted: 2 of 4 done; run the same command again to continue"
    )
    assert derain("a.png", "b.png", "c.png", "d.png") == 0
    assert capsys.readouterr().err.splitlines()[-1] == (
        "2 done, 2 skipped because they already exist, 0 failed"
    )


@pytest.mark.parametrize("verb", [["data", "check", "."], ["bench"]])
def test_every_verb_says_that_it_was_interrupted(
    verb: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **_settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("derain.data.audit.check.check", interrupt)
    monkeypatch.setattr("derain.bench.time_cases", interrupt)
    assert derain(*verb) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    ("text", "pixels"),
    [
        ("200M", 200_000_000),
        ("200m", 200_000_000),
        ("200 MP", 200_000_000),
        ("0.2G", 200_000_000),
        ("200_000_000", 200_000_000),
        ("1500k", 1_500_000),
        ("7", 7),
        (".5M", 500_000),
    ],
)
def test_numbers_of_pixels_may_be_short(text: str, pixels: int) -> None:
    assert _pixels(text) == pixels


@pytest.mark.parametrize(
    "text", ["", "M", "-5", "0", "many", "1e8x", "1,000", "5 T", ".", "_5", "_", "9" * 310]
)
def test_other_words_are_no_numbers_of_pixels(text: str) -> None:
    with pytest.raises(UsageError, match="expected a number of pixels"):
        _pixels(text)


def test_the_limit_on_pixels_holds_for_the_mask_too(
    here: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    write_image("mask.png", np.full((16, 20), 255, np.uint8))
    assert derain("a.png", "--mask", "mask.png", "--max-pixels", "319") != 0
    assert "mask.png: 20x16 pixels" in capsys.readouterr().err
    assert here == []
    assert derain("a.png", "--mask", "mask.png", "--max-pixels", "320") == 0


def test_a_flat_mask_that_is_asked_for_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derain.images.limits.MEMORY", 400_000_000)
    write_image("mask.png", np.full((16, 20), 255, np.uint8))
    assert derain("a.png", "--mask", "mask.png", "--max-pixels", "400M") == 0


@pytest.mark.torch
def test_a_higher_limit_is_advised_by_the_verb_that_has_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("derain.images.limits.MAX_PIXELS", 300)
    assert derain("a.png") != 0
    assert "; --max-pixels 320 reads it" in capsys.readouterr().err
    (Path("set/rainy")).mkdir(parents=True)
    (Path("set/clean")).mkdir()
    for name in ("set/rainy/1.png", "set/clean/1.png"):
        Path(name).write_bytes(Path("a.png").read_bytes())
    for command in (["data", "check", "set"], ["synth", "a.png", "-o", "b.png"]):
        assert derain(*command) != 0
        said = "".join(capsys.readouterr())
        assert "20x16 pixels" in said
        assert "max" not in said.replace("at most", "")


def test_names_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    name = "b\n\x1b[31m.png"
    Path("a.png").rename(name)
    assert derain(name, "--compare") == 0
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "b\\n\\x1b[31m.png: " in said
    assert "compared in b\\n\\x1b[31m_derained_compare.png\n" in said


def test_parts_are_all_pictures_and_clips_once(
    photo: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("in/deep").mkdir(parents=True)
    for number in range(6):
        write_image(f"in/{number}.png", photo[:4, :4])
        write_image(f"in/deep/{number}.png", photo[:4, :4])
    for index in range(3):
        assert derain("in", "--part", f"{index}/3") == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines) == sorted(map(str, Path("in_derained").resolve().rglob("*.png")))
    assert len(lines) == 12
    assert derain("in") == 0
    assert "0 done, 12 skipped because they already exist, 0 failed" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["8/8", "-1/8", "1", "a/b", "0/0", ""])
def test_a_part_that_is_not_there_is_refused(
    part: str, here: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert derain("a.png", f"--part={part}") == 2
    assert f"--part {part}: expected INDEX/COUNT" in capsys.readouterr().err
    assert not here


def test_a_stream_has_no_parts(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["a.png", "-o", "-"], ["-", "--raw", "4x4"]):
        assert derain(*arguments, "--part", "0/2") == 2
        assert "--part: applies to files and folders" in capsys.readouterr().err


def test_clips_of_several_parts_need_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert derain("a.gif", "b.gif", "-o", "c.gif", "--part", "0/2") == 2
    assert "one file for 2 clips; expected a folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["s3://bucket/a.jpg", "https://host.example/a.mp4", "gs://b/in"])
def test_an_address_is_shown_whole(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert derain(name, "-o", "out/") == 1
    assert capsys.readouterr().err == (
        f"error: {name}: an address; expected a file: download it first, or derain its folder with"
        " --cluster\n"
    )
