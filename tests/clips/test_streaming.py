"""Clips as streams of frames: upright, in any format, and what is left behind is said."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filming import QUARTER, Film, film, picture, shown

from derain.clips.pipes import pipe
from derain.clips.streaming import ClipStream, Turned
from derain.video.colours import LIMITED, Conversion, known_colours
from derain.video.pixels import Pixels
from derain.video.raw import ByteSource, RawFrame, RawWriter, format_named, read_frames, read_header
from derain.video.reading import FrameReader, open_clip


def streamed(path: Path, format: str | None = None, **part: Any) -> tuple[ClipStream, bytes]:
    """Return a clip as bytes, and its stream."""
    clip = open_clip(path)
    stream = ClipStream(clip, format_named(format) if format else None, **part)
    target = io.BytesIO()
    sink = Turned(RawWriter(target, stream.form), stream)
    for frame in stream.frames():
        sink.write(frame)
    return stream, target.getvalue()


def frames_in(data: bytes) -> list[RawFrame]:
    source = ByteSource(io.BytesIO(data))
    return list(read_frames(source, read_header(source)))


def upright(path: Path) -> list[np.ndarray[Any, Any]]:
    clip = open_clip(path)
    pixels = Pixels(clip)
    with FrameReader(clip) as reader:
        return [pixels.rgb(pixels.planes(each.frame)) for each in reader]


@pytest.mark.parametrize("format", ["yuv420p", "yuv422p10le", "yuv444p", "gray"])
@pytest.mark.parametrize("size", [(64, 48), (35, 21)])
def test_planes_are_passed_on(tmp_path: Path, format: str, size: tuple[int, int]) -> None:
    path = film(tmp_path / "clip.mkv", Film(range(3), size=size, format=format, codec="ffv1"))
    stream, data = streamed(path)
    assert data.startswith(f"YUV4MPEG2 W{size[0]} H{size[1]} F25:1 Ip ".encode())
    assert stream.form.format.name == format
    for frame, (_, planes) in zip(frames_in(data), shown(path), strict=True):
        assert all(map(np.array_equal, frame.planes.planes, planes))


@pytest.mark.parametrize("codec", ["yuv420p", "yuv422p", "yuv444p"])
def test_telephones_are_turned_upright(tmp_path: Path, codec: str) -> None:
    path = film(tmp_path / "clip.mkv", Film(range(2), format=codec, matrix=QUARTER, codec="ffv1"))
    stream, data = streamed(path)
    assert (stream.form.width, stream.form.height) == (48, 64)
    for frame, expected in zip(frames_in(data), upright(path), strict=True):
        error = as_shown(stream, frame).astype(int) - expected
        assert np.abs(error).mean() < 0.5
    _, bare = streamed(path, "rgb24")
    rgb = np.frombuffer(bare, np.uint8).reshape(2, 64, 48, 3)
    assert np.array_equal(rgb, np.stack(upright(path)))
    _, bare = streamed(path, "yuv422p")
    assert len(bare) == 2 * 64 * 48 * 2


def as_shown(stream: ClipStream, frame: RawFrame) -> np.ndarray[Any, Any]:
    """Return what a player shows of a frame."""
    return Conversion(stream.form.format.layout, stream.colouring.colours).rgb(frame.planes)


def test_rgb_becomes_yuv_where_no_other_is_held(tmp_path: Path) -> None:
    path = film(
        tmp_path / "clip.mkv",
        Film(range(2), format="rgb24", codec="libx264rgb", options={"qp": "0"}),
    )
    stream, data = streamed(path)
    assert b" C444 XCOLORRANGE=LIMITED\n" in data[:100]
    (first, _) = frames_in(data)
    known = known_colours(stream.form.colours, stream.form.format.layout, 64, 48)
    assert known.range == LIMITED
    rgb = Conversion(stream.form.format.layout, known).rgb(first.planes)
    assert np.abs(rgb.astype(int) - picture(0, (64, 48))).mean() < 1


@pytest.mark.parametrize(("format", "scale"), [("rgb48le", 257), ("bgra", 1), ("nv12", 1)])
def test_other_formats_are_made(tmp_path: Path, format: str, scale: int) -> None:
    path = film(tmp_path / "clip.mkv", Film(range(2), codec="ffv1"))
    _, data = streamed(path, format)
    expected = upright(path)[0]
    if format == "rgb48le":
        made = np.frombuffer(data, "<u2").reshape(2, 48, 64, 3)[0]
        assert np.array_equal(made, expected.astype(int) * scale)
    elif format == "bgra":
        made = np.frombuffer(data, np.uint8).reshape(2, 48, 64, 4)[0]
        assert np.array_equal(made[..., 2::-1], expected)
        assert (made[..., 3] == 255).all()
    else:
        luma = np.frombuffer(data, np.uint8)[: 48 * 64].reshape(48, 64)
        assert np.array_equal(luma, shown(path)[0][1][0])


def test_a_part_is_taken(tmp_path: Path) -> None:
    path = film(tmp_path / "clip.mkv", Film(range(50), codec="ffv1", options={"g": "1"}))
    _, data = streamed(path, start=0.4, end=0.6)
    frames = frames_in(data)
    assert len(frames) == 5
    assert np.array_equal(frames[0].planes.luma, shown(path)[10][1][0])


def test_notes_say_what_is_left_behind(tmp_path: Path) -> None:
    times = (0, 3, 4, 9, 20, 21, 22)
    path = film(tmp_path / "clip.mkv", Film(times, sound=True, format="yuv420p10le", codec="ffv1"))
    stream, _ = streamed(path, "gray")
    notes = stream.notes()
    assert any(note.startswith("audio stream 1 (aac) is left out") for note in notes)
    assert any(note.startswith("its frames are not evenly spaced") for note in notes)
    assert "levels of 10 bits become 8" in notes
    even, _ = streamed(film(tmp_path / "even.mkv", Film(codec="ffv1")))
    assert even.notes() == []


def test_clips_go_through_pipes(tmp_path: Path) -> None:
    path = film(tmp_path / "clip.mkv", Film(range(7), codec="ffv1"))
    stream = ClipStream(open_clip(path))
    target = io.BytesIO()
    result = pipe(stream, Turned(RawWriter(target, stream.form), stream), None, 5)
    assert result.frames == len(frames_in(target.getvalue())) == 7
