"""Frames with times of their own in a video file: when they are shown, and in what colours."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from filming import shown

from derain.clips.options import Options
from derain.clips.sequences import plan_sequence, run_sequences
from derain.images import Picture
from derain.images.animations import Facts, TimedFrame, open_animation, write_animation
from derain.video.encoding import Encoder
from derain.video.errors import VideoError
from derain.video.frame import Frame
from derain.video.raw import Form, RawFrame, format_named
from derain.video.recording import Recorder, encoder_of


def encoder(path: Path, size: tuple[int, int] = (32, 24)) -> Encoder:
    form = Form(format_named("rgb24"), *size, Fraction(25))
    return encoder_of(form, path, in_order=True)


def write_video(path: Path, frames: Iterable[tuple[Frame, int, int]], encoder: Encoder) -> None:
    with Recorder(path, encoder, Fraction(1, 1000)) as recorder:
        for frame, *time in frames:
            recorder.write(RawFrame(frame), *time)


def planes(level: int, size: tuple[int, int] = (32, 24)) -> Frame:
    return Frame.of_rgb(np.full((size[1], size[0], 3), level, np.uint8))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_frames_are_shown_at_their_times(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    times = [(0, 40), (40, 100), (140, 70), (210, 500)]
    frames = ((planes(40 + 50 * k), *time) for k, time in enumerate(times))
    write_video(path, frames, encoder(path))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoded = list(container.decode(stream))
        assert [round(1000 * float(frame.time or 0)) for frame in decoded] == [0, 40, 140, 210]
        assert decoded[0].format.name == "yuv420p"
        if suffix != ".mkv":
            assert stream.duration is not None
            assert stream.time_base is not None
            assert abs(float(stream.duration * stream.time_base) - 0.71) < 0.002
        levels = [float(frame.to_ndarray(format="rgb24").mean()) for frame in decoded]
    assert np.abs(np.array(levels) - [40, 90, 140, 190]).max() < 3


def test_odd_sizes_keep_all_pixels(tmp_path: Path) -> None:
    path, size = tmp_path / "a.mp4", (33, 25)
    write_video(path, [(planes(90, size), 0, 40)], encoder(path, size))
    with av.open(str(path)) as container:
        frame = next(container.decode(container.streams.video[0]))
        assert (frame.width, frame.height, frame.format.name) == (33, 25, "yuv444p")


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with pytest.raises(VideoError, match="0 frames to write"):
        write_video(path, [], encoder(path))
    assert list(tmp_path.iterdir()) == []


def test_an_animation_becomes_a_video_and_comes_back(tmp_path: Path) -> None:
    seconds = [Fraction(k, 100) for k in (4, 0, 6, 20)]
    shots = [
        TimedFrame(np.full((24, 32, 3), 50 * k + 30, np.uint8), None, each)
        for k, each in enumerate(seconds)
    ]
    picture = Picture(np.zeros((1, 1, 3), np.uint8))
    write_animation(tmp_path / "a.gif", "GIF", Facts(32, 24, 0, picture), shots, [])
    for source, target in (("a.gif", "a.mp4"), ("a.mp4", "b.png")):
        job = plan_sequence(tmp_path / source, tmp_path / target, Options(temporal=3))
        assert job is not None
        (result,) = run_sequences([job], None)
        assert (result.status, result.frames, result.error) == ("done", 4, None)
    # A frame of no time is shown as browsers do, a tenth of a second.
    assert [time for time, _ in shown(tmp_path / "a.mp4")] == pytest.approx([0, 0.04, 0.14, 0.2])
    found = list(open_animation(tmp_path / "b.png").frames())
    assert [frame.seconds for frame in found] == [Fraction(k, 100) for k in (4, 10, 6, 20)]
    for frame, shot in zip(found, shots, strict=True):
        assert np.abs(frame.pixels.astype(int) - shot.pixels).max() <= 4
