"""Frames of a pipe in a video file: all of them, at their rate, or no file."""

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from filming import picture, shown

from derain.errors import UsageError
from derain.video.colours import Colours
from derain.video.encoding import SegmentWriter
from derain.video.errors import VideoError
from derain.video.raw import FORMATS, Form, RawFrame, format_tagged
from derain.video.reading import open_clip
from derain.video.recording import Recorder, encoder_of

SIZE = (32, 24)


def form_of(name: str, rate: Fraction | None = Fraction(30000, 1001), **facts: Any) -> Form:
    return Form(FORMATS[name], *SIZE, rate, **facts)


def frames_of(form: Form, count: int) -> list[RawFrame]:
    """Return frames as a program sends them."""
    draws = np.random.default_rng(0)
    layout = form.format.layout
    levels = form.bytes_of_frame // np.dtype(layout.dtype).itemsize
    noise = draws.integers(0, layout.peak + 1, (count, levels)).astype(layout.dtype)
    return [form.format.frame(one.view(np.uint8), *SIZE) for one in noise]


@pytest.mark.parametrize("name", ["yuv420p", "nv12", "yuv422p10le", "gray", "bgr24", "rgb48le"])
def test_lossless_files_hold_the_levels(tmp_path: Path, name: str) -> None:
    form = form_of(name)
    frames = frames_of(form, 5)
    path = tmp_path / "clip.mkv"
    with Recorder(path, encoder_of(form, path, codec="ffv1")) as recorder:
        for frame in frames:
            recorder.write(frame)
    assert open_clip(path).rate == pytest.approx(Fraction(30000, 1001), rel=1e-4)
    result = shown(path)
    assert len(result) == 5
    for (_, planes), frame in zip(result, frames, strict=True):
        assert all(map(np.array_equal, planes, frame.planes.planes))


def priorities() -> set[tuple[int, int]]:
    """Return how the system schedules the threads of this process."""
    threads = [int(task.name) for task in Path("/proc/self/task").iterdir()]
    return {(os.sched_getscheduler(one), os.sched_getparam(one).sched_priority) for one in threads}


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or not Path("/proc/self/task").exists(),
    reason="only root may go before everything else",
)
def test_no_encoder_goes_before_everything_else(tmp_path: Path) -> None:
    usual = priorities()
    form, path = form_of("yuv420p"), tmp_path / "clip.mkv"
    frames = frames_of(form, 5)
    with Recorder(path, encoder_of(form, path, codec="av1")) as recorder:
        for frame in frames:
            recorder.write(frame)
            assert priorities() == usual
    assert len(shown(path)) == 5
    with SegmentWriter(tmp_path / "1", encoder_of(form, path, codec="av1")) as writer:
        for k, frame in enumerate(frames):
            writer.add(frame.planes, k)
            assert priorities() == usual


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", "h264"), (".mov", "h265"), (".ts", "h264"), (".avi", "mpeg4")]
)
def test_files_play_at_the_rate(tmp_path: Path, suffix: str, codec: str) -> None:
    form = form_of("rgb24", Fraction(25), colours=Colours(matrix=1), aspect=Fraction(4, 3))
    path = tmp_path / f"clip{suffix}"
    encoder = encoder_of(form, path, codec=codec, crf=4)
    with Recorder(path, encoder) as recorder:
        for k in range(30):
            recorder.write(form.format.frame(picture(k, SIZE).reshape(-1), *SIZE))
    times = [time for time, _ in shown(path)]
    first = times[0]
    assert [round((time - first) * 25, 2) for time in times] == list(range(30))
    clip = open_clip(path)
    assert clip.format == "yuv420p"
    assert suffix == ".avi" or (clip.colours.matrix, clip.aspect) == (1, Fraction(4, 3))
    with av.open(str(path)) as made:
        (frame, *_) = made.decode(video=0)
        error = frame.to_ndarray(format="rgb24").astype(int) - picture(0, SIZE)
    assert np.abs(error).mean() < 9
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_nothing_is_left_of_what_fails(tmp_path: Path) -> None:
    form = form_of("gray")
    path = tmp_path / "clip.mp4"
    with suppress(KeyError), Recorder(path, encoder_of(form, path)) as recorder:
        recorder.write(frames_of(form, 1)[0])
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    with (
        pytest.raises(VideoError, match="0 frames to write"),
        Recorder(path, encoder_of(form, path)),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
    with (
        pytest.raises(FileNotFoundError, match=r"clip\.mp4"),
        Recorder(tmp_path / "nowhere/clip.mp4", encoder_of(form, path)),
    ):
        pass


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    form = form_of("yuv420p", Fraction(25))
    for name in ("a.mp4", "b.mp4"):
        with Recorder(tmp_path / name, encoder_of(form, tmp_path / name)) as recorder:
            for frame in frames_of(form, 12):
                recorder.write(frame)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_transparency_is_left_out(tmp_path: Path) -> None:
    format = format_tagged("444alpha")
    assert format is not None
    form = Form(format, *SIZE, Fraction(25))
    path = tmp_path / "clip.mkv"
    with Recorder(path, encoder_of(form, path, codec="ffv1")) as recorder:
        recorder.write(frames_of(form, 1)[0])
    assert len(shown(path)[0][1]) == 3


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="rate: expected for a video file, such as 25"):
        encoder_of(form_of("gray", None), "clip.mp4")
    with pytest.raises(VideoError, match=r"\.xyz is not a video format that derain writes"):
        encoder_of(form_of("gray"), "clip.xyz")
    with pytest.raises(VideoError, match=r"\.webm does not hold h264"):
        encoder_of(form_of("gray"), "clip.webm", codec="h264")
    assert encoder_of(form_of("gray"), "clip.webm").codec == "av1"
    with pytest.raises(UsageError, match="crf=99"):
        encoder_of(form_of("gray"), "clip.mp4", crf=99)
