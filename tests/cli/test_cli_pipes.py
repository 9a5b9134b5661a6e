"""What derain run makes of frames on standard input, of clips for standard output, and of ends."""

import io
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from commands import load_nothing, status_of

from derain import cli
from derain.cli import pipes
from derain.extras import is_installed

HEAD = b"YUV4MPEG2 W8 H6 F25:1 Ip A1:1 C420jpeg XYSCSS=420JPEG\n"
NEEDS_PYAV = pytest.mark.skipif(not is_installed("av"), reason="needs PyAV")
BARE = ("--raw", "8x6", "--pixel-format")


@pytest.fixture(autouse=True)
def loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """An empty working directory; the names of models that are loaded, which change nothing."""
    monkeypatch.chdir(tmp_path)
    names: list[str | None] = []
    load_nothing(monkeypatch, lambda name, _: names.append(name))
    return names


@pytest.fixture
def send(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls a command with bytes on standard input; returns its exit status."""

    def call(data: bytes, *arguments: str) -> int:
        stream = io.BufferedReader(io.BytesIO(data))  # pyright: ignore[reportArgumentType]
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))
        return status_of(*arguments)

    return call


def y4m(frames: int) -> bytes:
    levels = np.random.default_rng(0).integers(16, 236, (frames, 72), np.uint8)
    return HEAD + b"".join(b"FRAME\n" + frame.tobytes() for frame in levels)


def test_bare_frames_come_and_go(
    send: Any, loads: list[str | None], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    data = np.random.default_rng(0).integers(0, 256, 4 * 144, np.uint8).tobytes()
    arguments = ("run", "-", *BARE, "rgb24", "--rate", "25", "--temporal", "off", "-o", "-")
    assert send(data, *arguments) == 0
    out, err = capsysbinary.readouterr()
    assert out == data
    assert loads == ["petrichor-live"]
    assert b"standard input: 4 frames, " in err


def test_y4m_is_recognised(
    send: Any, loads: list[str | None], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert send(y4m(5), "-", "--temporal", "off", "-m", "petrichor") == 0
    assert capsysbinary.readouterr().out == y4m(5)
    assert loads == ["petrichor"]


def test_neighbours_work_without_a_model(
    send: Any, loads: list[str | None], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert send(y4m(5), "-", "-m", "none", "--temporal", "3", "-q") == 0
    out, err = capsysbinary.readouterr()
    assert len(out) == len(y4m(5))
    assert out.startswith(HEAD)
    assert loads == []
    assert err == b""


def test_whole_frames_are_delivered_before_the_error(
    send: Any, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert send(y4m(5)[:-7], "-", "--temporal", "off") == 1
    out, err = capsysbinary.readouterr()
    assert out == y4m(4)
    assert err.splitlines()[-1] == (
        b"error: standard input: ends in frame 5, after 65 of its 72 bytes; expected a stream that"
        b" is whole"
    )


@NEEDS_PYAV
def test_frames_become_a_file(
    send: Any, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    from filming import shown

    assert send(y4m(5), "-", "-o", "clip.mkv", "--codec", "ffv1", "--temporal", "off") == 0
    assert capsysbinary.readouterr().out == b"clip.mkv\n"
    frames = shown(tmp_path / "clip.mkv")
    levels = np.frombuffer(y4m(1)[len(HEAD) + 6 :], np.uint8)
    assert [float(time) for time, _ in frames] == [0, 0.04, 0.08, 0.12, 0.16]
    assert np.array_equal(frames[0][1][0].reshape(-1), levels[:48])
    # What is there stays.
    assert send(y4m(5), "-", "-o", "clip.mkv") == 1
    assert b"error: clip.mkv already exists; --force overwrites it" in capsysbinary.readouterr().err
    assert send(y4m(2), "-", "-o", "clip.mkv", "--force") == 0
    assert len(shown(tmp_path / "clip.mkv")) == 2
    # Of a stream that is cut off, the frames are kept that there are; of none there is no file.
    assert send(y4m(3)[:-5], "-", "-o", "cut.mp4", "-m", "none") == 1
    assert len(shown(tmp_path / "cut.mp4")) == 2
    assert send(HEAD, "-", "-o", "empty.mp4", "-m", "none") == 1
    assert b"error: standard input: 0 frames" in capsysbinary.readouterr().err
    assert not (tmp_path / "empty.mp4").exists()


@NEEDS_PYAV
def test_a_clip_goes_to_standard_output(
    send: Any, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    from filming import Film, film, shown

    film(tmp_path / "clip.mkv", Film(range(25), sound=True, codec="ffv1"))
    assert send(b"", "clip.mkv", "-o", "-", "-m", "none", "--preview", "0.2") == 0
    out, err = capsysbinary.readouterr()
    assert out.startswith(b"YUV4MPEG2 W64 H48 F25:1 ")
    assert out.count(b"FRAME\n") == 5
    assert b"audio stream 1 (aac) is left out" in err
    assert send(b"", "clip.mkv", "-o", "-", "--temporal", "off", "--pixel-format", "gray") == 0
    out, _ = capsysbinary.readouterr()
    assert out == b"".join(planes[0].tobytes() for _, planes in shown(tmp_path / "clip.mkv"))
    assert [each.name for each in tmp_path.iterdir()] == ["clip.mkv"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([*BARE, "rgb42"], 2, "--pixel-format rgb42: expected one of rgb24, bgr24,"),
        ([*BARE, "yuv420"], 2, "did you mean yuv420p?"),
        (["--raw", "8x6"], 2, "--raw 8x6: expected with a pixel format, such as rgb24"),
        (["--raw", "0x6", "--pixel-format", "gray"], 2, "--raw 0x6: expected the width and"),
        ([*BARE, "gray", "--rate", "x"], 2, "--rate x: expected frames a second"),
        ([*BARE, "gray", "--colours", "red"], 2, "--colours red: expected one or two of"),
        ([*BARE, "gray", "--start", "3"], 2, "--start: applies to clips that are files"),
        ([*BARE, "gray", "--resume"], 2, "--resume: applies to clips that are files"),
        ([*BARE, "gray", "--crf", "20"], 2, "--crf: applies to results that are files"),
        ([*BARE, "gray", "--density"], 2, "--density: applies to pictures"),
        ([*BARE, "gray", "--temporal", "4"], 2, "--temporal 4: expected auto, off, or an odd"),
        ([*BARE, "gray", "-m", "none", "--temporal", "off"], 2, "nothing to do without a model"),
        ([*BARE, "gray", "-m", "petrichor-of-tomorrow"], 2, "petrichor-of-tomorrow"),
        ([*BARE, "gray", "-o", "no/where/clip.mp4"], 2, "--rate: expected for a video file"),
        ([*BARE, "gray"], 1, "standard input: 0 frames; expected at least one of 8x6 gray"),
        (["more.png", *BARE, "gray"], 2, "--raw 8x6: applies to frames from standard input"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    send: Any,
    arguments: list[str],
    status: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "clip.mp4" in arguments[-1] and not is_installed("av"):
        pytest.skip("needs PyAV")
    assert send(b"", "-", *arguments) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err.splitlines()[-1]


def test_options_of_frames_are_for_frames(send: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--pixel-format", "--rate", "--colours"):
        assert send(b"no picture", "-", option, "25") == 2
        assert f"{option} 25: applies to frames from standard input" in capsys.readouterr().err
    assert send(y4m(1), "-", "--pixel-format", "gray") == 2
    assert "--pixel-format gray: is given by the stream itself" in capsys.readouterr().err


def test_pictures_still_come_through_standard_input(
    send: Any, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    from PIL import Image

    picture = io.BytesIO()
    Image.new("RGB", (9, 7), (10, 20, 30)).save(picture, "PNG")
    assert send(picture.getvalue(), "-") == 0
    made = Image.open(io.BytesIO(capsysbinary.readouterr().out))
    assert (made.size, made.getpixel((0, 0))) == ((9, 7), (10, 20, 30))


def test_terminals_and_closed_streams_are_refused(
    send: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(pipes, "on_terminal", lambda: True)
        assert send(y4m(1), "-") == 2
        assert "-o -: is a terminal, which shows no frames" in capsys.readouterr().err

    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    for stream, words in ((Terminal(), "is a terminal"), (None, "is closed")):
        stdin = None if stream is None else SimpleNamespace(buffer=stream)
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(SystemExit):
            cli.main(["-", *BARE, "gray"])
        assert f"standard input {words}" in capsys.readouterr().err


def start(*arguments: str) -> "subprocess.Popen[bytes]":
    # What a shell starts in the background ignores SIGINT, and so does all that is started by it.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = f"{heed}; from derain.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", command, "-", "-m", "none", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_closed_reader_ends_it_quietly() -> None:
    with start(*BARE, "gray", "--temporal", "3") as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        # A live camera: frames come out while more are to come.
        process.stdin.write(bytes(3 * 48))
        process.stdin.flush()
        assert process.stdout.read(2 * 48) == bytes(2 * 48)
        process.stdout.close()
        process.stdin.write(bytes(48))
        process.stdin.flush()
        assert process.wait(30) == 141
        assert process.stderr.read() == b""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interruption_is_said_in_one_line() -> None:
    with start() as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(y4m(11))
        process.stdin.flush()
        size = len(HEAD) + 6 + 72
        assert len(process.stdout.read(size)) == size
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert re.fullmatch(rb"interrupted: 1[01] frames done\n", process.stderr.read())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
def test_a_full_disk_is_named(send: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        lines = io.StringIO()
        monkeypatch.setattr(sys, "stderr", lines)
        out = SimpleNamespace(buffer=full, isatty=lambda: False)
        monkeypatch.setattr(sys, "stdout", out)
        assert send(y4m(2), "-", "--temporal", "off") == 1
    assert "standard output" in lines.getvalue().splitlines()[-1]
    assert "No space left on device" in lines.getvalue()
