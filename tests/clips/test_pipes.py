"""Frames through a pipe: the same as from Python, each at once, few held, and every way to end."""

import io
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from numpy_engines import Unchanged

import derain
from derain.clips.pipes import Stream, open_stream, pipe
from derain.errors import UsageError
from derain.restore import Derainer
from derain.tiles import Float32s
from derain.video.colours import Conversion, known_colours
from derain.video.errors import VideoError
from derain.video.raw import FORMATS, ByteSource, Form, RawFrame, RawWriter, read_header

SIZE = (12, 8)
FORM = Form(FORMATS["rgb24"], *SIZE)


class Darker(Unchanged):
    """Takes half of the light."""

    def forward(self, rainy: Float32s) -> Float32s:
        return rainy * np.float32(0.5)


class Batches(Darker):
    """Takes eight pictures at once, as a GPU does."""

    def tiles_at_once(self, memory: int) -> int:
        return 8


class Interrupted(Darker):
    """Is interrupted by the user at a frame."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.left = frames

    def forward(self, rainy: Float32s) -> Float32s:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().forward(rainy)


class Scripted:
    """A feed that does what a test says."""

    def __init__(self, script: Callable[[], Iterator[RawFrame]], form: Form = FORM) -> None:
        layout = form.format.layout
        self.colouring = Conversion(layout, known_colours(form.colours, layout, *SIZE))
        self.size = SIZE
        self.frames = script


class Collected(list[RawFrame]):
    """A sink that keeps what it takes."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Condition()

    def write(self, frame: RawFrame, /) -> None:
        with self.changed:
            self.append(frame)
            self.changed.notify_all()

    def wait_for(self, count: int) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: len(self) >= count, timeout=20)


def pictures(count: int) -> list[NDArray[np.uint8]]:
    """A scene that stays, with noise."""
    draws = np.random.default_rng(0)
    scene = draws.integers(0, 200, (SIZE[1], SIZE[0], 3))
    return [(scene + draws.integers(0, 40, scene.shape)).astype(np.uint8) for _ in range(count)]


def frame(picture: NDArray[np.uint8]) -> RawFrame:
    return FORM.format.frame(picture.reshape(-1).copy(), *SIZE)


def piped(data: bytes, derainer: Derainer | None, window: int | None, **options: Any) -> bytes:
    stream = open_stream(ByteSource(io.BytesIO(data)), **options)
    target = io.BytesIO()
    result = pipe(stream, RawWriter(target, stream.form), derainer, window)
    assert result.error is None
    return target.getvalue()


@pytest.mark.parametrize("window", [None, 3, 5])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_frames_are_those_of_the_python_function(window: int | None, count: int) -> None:
    frames = pictures(count)
    derainer = Derainer(Darker())
    expected = derain.restore_frames(frames, derainer, temporal=window)
    data = b"".join(each.tobytes() for each in frames)
    made = piped(data, derainer, window, raw="12x8", pixel_format="rgb24")
    assert made == b"".join(each.tobytes() for each in expected)


@pytest.mark.parametrize("tag", ["420jpeg", "422", "411", "444alpha", "mono", "mono16", "420p10"])
def test_a_network_that_changes_nothing_changes_no_byte(tag: str) -> None:
    head = f"YUV4MPEG2 W7 H5 F25:1 It A10:11 C{tag} Xnote\n".encode()
    form = read_header(ByteSource(io.BytesIO(head)))
    levels = np.random.default_rng(0).integers(16, 236, form.bytes_of_frame)
    if form.format.layout.bits > 8:
        levels[1::2] %= 4  # ten bits
    data = head + b"".join(b"FRAME I%d\n" % k + levels.astype("u1").tobytes() for k in range(3))
    assert piped(data, Derainer(Unchanged()), None) == data


def test_what_a_network_changes_arrives_in_yuv() -> None:
    grey = np.full((8, 12), 100, np.uint8)
    made = piped(grey.tobytes(), Derainer(Darker()), None, raw="12x8", pixel_format="gray")
    assert made == np.full((8, 12), 50, np.uint8).tobytes()
    chroma = bytes([128]) * 48
    yuv = np.full(96, 16 + 200, np.uint8).tobytes() + chroma
    made = piped(yuv, Derainer(Darker()), None, raw="12x8", pixel_format="yuv420p")
    assert made == np.full(96, 16 + 100, np.uint8).tobytes() + chroma
    full = {"raw": "12x8", "pixel_format": "yuv420p", "colours": "full"}
    made = piped(np.full(96, 200, np.uint8).tobytes() + chroma, Derainer(Darker()), None, **full)
    assert made == np.full(96, 100, np.uint8).tobytes() + chroma


def test_alpha_is_kept() -> None:
    data = np.random.default_rng(0).integers(0, 256, (4, 8, 12, 4), np.uint8)
    made = piped(data.tobytes(), Derainer(Darker()), 3, raw="12x8", pixel_format="bgra")
    result = np.frombuffer(made, np.uint8).reshape(data.shape)
    assert np.array_equal(result[..., 3], data[..., 3])
    assert result[..., :3].max() <= 128


@pytest.mark.parametrize("engine", [None, Darker(), Batches()])
def test_frames_leave_half_a_window_later(engine: Unchanged | None) -> None:
    sink = Collected()
    seen: list[bool] = []

    def camera() -> Iterator[RawFrame]:
        for k, picture in enumerate(pictures(9), 1):
            yield frame(picture)
            # Nothing more comes until what can be done has left.
            if k >= 5:
                seen.append(sink.wait_for(k - 2))

    result = pipe(Scripted(camera), sink, Derainer(engine) if engine else None, 5)
    assert seen == [True] * 5
    assert result.frames == len(sink) == 9


def test_few_frames_are_held() -> None:
    made: list[weakref.ref[Any]] = []
    most = 0

    def camera() -> Iterator[RawFrame]:
        nonlocal most
        for k in range(100):
            one = frame(pictures(1)[0] + np.uint8(k % 9))
            made.append(weakref.ref(one.planes))
            most = max(most, sum(each() is not None for each in made))
            yield one
            del one

    class Nowhere:
        def write(self, frame: RawFrame, /) -> None: ...

    assert pipe(Scripted(camera), Nowhere(), Derainer(Darker()), 5).frames == 100
    # A window twice, as it came and in the filter; queues; one in each stage.
    assert most <= 5 + 5 + 3 * 2 + 4


@pytest.mark.parametrize("window", [None, 5])
def test_whole_frames_arrive_before_the_error(window: int | None) -> None:
    data = b"".join(each.tobytes() for each in pictures(4))
    stream = open_stream(ByteSource(io.BytesIO(data[:-1])), raw="12x8", pixel_format="rgb24")
    target = io.BytesIO()
    result = pipe(stream, RawWriter(target, stream.form), Derainer(Unchanged()), window)
    assert result.frames == 3
    assert len(target.getvalue()) == 3 * 288
    assert isinstance(result.error, VideoError)
    assert str(result.error) == (
        "standard input: ends in frame 4, after 287 of its 288 bytes; expected frames of 12x8 rgb24"
    )


def waiting_for_ever(count: int, until: threading.Event) -> Callable[[], Iterator[RawFrame]]:
    """Return frames after which another program sends nothing, and does not end."""

    def script() -> Iterator[RawFrame]:
        yield from map(frame, pictures(count))
        until.wait(60)

    return script


@pytest.fixture
def end() -> Iterator[threading.Event]:
    """Ends what waits for ever."""
    event = threading.Event()
    yield event
    event.set()


def test_nobody_waits_for_a_camera_when_nobody_reads(end: threading.Event) -> None:
    class Closed:
        def write(self, frame: RawFrame, /) -> None:
            raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        pipe(Scripted(waiting_for_ever(3, end)), Closed(), Derainer(Darker()), None)
    assert not end.is_set()


def test_an_interruption_ends_a_pipe_at_once(end: threading.Event) -> None:
    class Stalled:
        def write(self, frame: RawFrame, /) -> None:
            end.wait(60)

    with pytest.raises(KeyboardInterrupt):
        pipe(Scripted(waiting_for_ever(3, end)), Stalled(), Derainer(Interrupted(2)), None)
    assert not end.is_set()


def test_a_file_keeps_what_came_before_an_interruption(end: threading.Event) -> None:
    sink = Collected()
    feed = Scripted(waiting_for_ever(9, end))
    result = pipe(feed, sink, Derainer(Interrupted(6)), 3, keeps=True)
    assert result.interrupted
    assert result.frames == len(sink) == 6
    with pytest.raises(KeyboardInterrupt):
        pipe(feed, Collected(), Derainer(Interrupted(0)), 3, keeps=True)


@pytest.mark.parametrize("keeps", [False, True])
def test_a_full_disk_ends_it(keeps: bool, end: threading.Event) -> None:
    class Full:
        def write(self, frame: RawFrame, /) -> None:
            raise OSError(28, "No space left on device", "clip.mp4")

    with pytest.raises(OSError, match=r"No space left on device: 'clip\.mp4'"):
        pipe(Scripted(waiting_for_ever(3, end)), Full(), Derainer(Darker()), None, keeps=keeps)
    assert not end.is_set()


def test_progress_counts_frames() -> None:
    reports: list[tuple[str, int, int]] = []
    frames = iter(map(frame, pictures(3)))

    def note(stage: str, done: int, total: int, /) -> None:
        reports.append((stage, done, total))

    result = pipe(
        Scripted(lambda: frames),
        Collected(),
        None,
        3,
        progress=note,
    )
    assert reports == [("frames", k, 0) for k in range(4)]
    assert result.unsteadiness is None or result.unsteadiness[0] >= result.unsteadiness[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"raw": "12x8"}, "raw=12x8: expected with a pixel format"),
        ({"raw": "0x8", "pixel_format": "gray"}, "raw=0x8: expected the width and the height"),
        ({"raw": "12x8", "pixel_format": "grey"}, r"did you mean gray\?"),
        ({"raw": "12x8", "pixel_format": "gray", "rate": "x"}, "rate=x: expected frames"),
        ({"pixel_format": "gray"}, "pixel_format=gray: is given by the stream itself"),
        ({"colours": "red"}, "colours=red: expected one or two of"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        open_stream(ByteSource(io.BytesIO()), **options)


def test_options_stand_above_what_a_stream_says() -> None:
    head = b"YUV4MPEG2 W4 H2 F25:1 XCOLORRANGE=LIMITED\n"
    stream: Stream = open_stream(ByteSource(io.BytesIO(head)), rate="50", colours="full,bt2020")
    assert stream.form.rate == 50
    assert (stream.colouring.colours.range, stream.colouring.colours.matrix) == (2, 9)
    # What is written back stays.
    assert stream.form.header == head


def test_something_has_to_be_done() -> None:
    with pytest.raises(UsageError, match="nothing to do without a model"):
        pipe(Scripted(lambda: iter(())), Collected(), None, None)


def test_notes_say_what_is_lost() -> None:
    head = b"YUV4MPEG2 W4 H2 It C444alpha\n"
    stream = open_stream(ByteSource(io.BytesIO(head)))
    assert stream.notes(in_file=False) == ["it is interlaced: each frame is derained whole"]
    assert stream.notes(in_file=True) == [
        "transparency is left out",
        "it is interlaced: each frame is derained whole, and stored as progressive",
    ]
