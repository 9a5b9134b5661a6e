"""The commands of docs/guides/ffmpeg.md work, with FFmpeg's test pictures for what is not here.

What is replaced: cameras and addresses to read from, by a test source; addresses to send to, by a
file; the size by a small one; and the network, which takes long, by the temporal filter alone.
"""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from derain.extras import is_installed

ROOT = Path(__file__).parent.parent.parent
GUIDE = (ROOT / "docs/guides/ffmpeg.md").read_text(encoding="utf-8")
FRAMES = 8

SOURCE = f"-f lavfi -i testsrc2=size=64x48:rate=10 -frames:v {FRAMES}"
SIZE = (96, 64)
REPLACED = {
    r"\b640x360\b": "{}x{}".format(*SIZE),
    r"\bscale=320:-2\b": "scale=48:-2",
    r"-f v4l2 .*? -i /dev/video0": SOURCE,
    r"-rtsp_transport tcp -i rtsp://\S+": SOURCE,
    r"-f rtsp rtsp://\S+": "-f mpegts sent.ts",
    r"\bderain ((?:run )?)(-|clip\.mp4) (?!-m)": r"derain \1\2 -m none ",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


def commands() -> list[str]:
    """Return the commands of the guide, each on one line."""
    joined = "".join(blocks("sh")).replace("\\\n", " ")
    return [" ".join(line.split()) for line in joined.splitlines() if line.strip()]


def here(command: str) -> str:
    """Return a command with what is not here replaced."""
    for pattern, text in REPLACED.items():
        command = re.sub(pattern, text, command)
    return command


def find_ffmpeg() -> str | None:
    if importlib.util.find_spec("imageio_ffmpeg") is not None:
        import imageio_ffmpeg  # pyright: ignore[reportMissingImports]

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    return shutil.which("ffmpeg")


def run(command: str, folder: Path, programs: Path) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ffmpeg and derain."""
    ffmpeg = find_ffmpeg()
    if ffmpeg is None or shutil.which("bash") is None:
        pytest.skip("needs FFmpeg and bash: pip install imageio-ffmpeg")
    folder = tmp_path_factory.mktemp("programs")
    (folder / "ffmpeg").symlink_to(ffmpeg)
    script = folder / "derain"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m derain "$@"\n')
    script.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def clips(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the clips that the guide names."""
    folder = tmp_path_factory.mktemp("clips")
    picture = f"-f lavfi -i testsrc2=size=640x360:rate=25 -frames:v {FRAMES}"
    for command in (
        f"ffmpeg -v error -f lavfi -i sine {picture} -shortest -pix_fmt yuv420p clip.mp4",
        f"ffmpeg -v error {picture} -pix_fmt yuv420p10le -c:v ffv1 clip10.mkv",
    ):
        made = run(here(command), folder, programs)
        assert made.returncode == 0, made.stderr
    return folder


def frames_of(path: Path, programs: Path) -> tuple[int, str]:
    """Return how many frames a file has, and what FFmpeg says of it."""
    made = run(f"ffmpeg -i {path.name} -map 0:v -f null -", path.parent, programs)
    counts = re.findall(r"frame=\s*(\d+)", made.stderr)
    return int(counts[-1]) if counts else 0, made.stderr


@pytest.mark.parametrize("command", commands())
def test_a_command_works(command: str, clips: Path, programs: Path, tmp_path: Path) -> None:
    needs_pyav = re.search(r"derain clip|derain .* -o \S+\.mp4", command)
    if needs_pyav and not is_installed("av"):
        pytest.skip("needs PyAV")
    for clip in clips.iterdir():
        (tmp_path / clip.name).symlink_to(clip)
    result = run(here(command), tmp_path, programs)
    assert result.returncode == 0, result.stderr
    made = [path for path in tmp_path.iterdir() if not path.is_symlink()]
    (target,) = [path for path in made if not re.fullmatch(r"dry\d+\.ts", path.name)]
    if target.suffix == ".bgr":
        assert target.stat().st_size == FRAMES * 3 * SIZE[0] * SIZE[1]
        return
    count, facts = frames_of(target, programs)
    assert count == FRAMES - (3 if "--start" in command else 0), facts
    assert ("Audio: aac" in facts) == ("1:a?" in command)
    assert ("yuv420p10le" in facts) == ("10le" in command)


def test_the_guide_shows_both_sides() -> None:
    text = "\n".join(commands())
    for part in ("v4l2", "rtsp://camera", "-f rtsp", "-f hls", "--raw", "-strict -1", "1:a?"):
        assert part in text
    # Whatever needs another machine is replaced.
    assert not re.search(r"rtsp|/dev/", "\n".join(map(here, commands())))
    assert "derain - |" not in "\n".join(map(here, commands()))


def test_the_python_code_works(
    clips: Path, programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = blocks("python")
    (tmp_path / "clip.mp4").symlink_to(clips / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    for old, new in (('"petrichor-live"', "None"), ("640, 360", "{}, {}".format(*SIZE))):
        assert code.count(old) == 1
        code = code.replace(old, new)
    exec(compile(code, "guide", "exec"), {})
    assert len(list(tmp_path.glob("dry-*.png"))) == FRAMES
