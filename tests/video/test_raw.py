"""Frames as bytes: where each level lies, headers, streams that dribble or are cut or damaged."""

import io
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from derain.errors import UsageError
from derain.extras import is_installed
from derain.video.colours import FULL, LIMITED, Colours, Layout
from derain.video.errors import VideoError
from derain.video.raw import (
    FORMATS,
    ByteSource,
    Form,
    RawFormat,
    RawFrame,
    RawWriter,
    colours_of,
    format_named,
    format_tagged,
    rate_of,
    read_frames,
    read_header,
    size_of,
    tag_of,
    with_header,
)

TAGS = ["420jpeg", "420", "422", "444", "411", "444alpha", "mono", "mono16", "420p10", "444p12"]


def noise(format: RawFormat, width: int, height: int) -> NDArray[np.uint8]:
    """Return the bytes of a frame of random levels that the format has."""
    count = sum(int(np.prod(shape)) for shape in format.shapes(width, height))
    levels = np.random.default_rng(0).integers(0, 2**format.layout.bits, count)
    return np.frombuffer(levels.astype("u1" if format.layout.bits == 8 else "<u2").tobytes(), "u1")


def written(frames: list[RawFrame], form: Form) -> bytes:
    stream = io.BytesIO()
    writer = RawWriter(stream, form)
    for frame in frames:
        writer.write(frame)
    return stream.getvalue()


def read(data: bytes, form: Form) -> list[RawFrame]:
    return list(read_frames(ByteSource(io.BytesIO(data)), form))


class Dribble:
    """Gives a few bytes at a time, now and then none, and notes how many were asked for."""

    def __init__(self, data: bytes) -> None:
        self.left, self.calls = data, 0

    def readinto(self, buffer: Any, /) -> int | None:
        self.calls += 1
        if self.calls % 5 == 0:
            return None
        count = min(3, len(buffer), len(self.left))
        buffer[:count] = self.left[:count]
        self.left = self.left[count:]
        return count


class Spoon:
    """Takes a few bytes at a time, now and then none."""

    def __init__(self) -> None:
        self.data, self.calls = b"", 0

    def write(self, buffer: Any, /) -> int | None:
        self.calls += 1
        if self.calls % 5 == 0:
            return None
        self.data += bytes(buffer[:7])
        return min(7, len(buffer))

    def flush(self) -> None: ...


@pytest.mark.parametrize(
    ("name", "even", "odd"),
    [
        # 6x4 and 5x3: chroma is rounded up.
        ("rgb24", 72, 45),
        ("bgr24", 72, 45),
        ("rgba", 96, 60),
        ("rgb48le", 144, 90),
        ("gray", 24, 15),
        ("yuv420p", 36, 27),
        ("yuv422p", 48, 33),
        ("yuv444p", 72, 45),
        ("nv12", 36, 27),
        ("yuv420p10le", 72, 54),
    ],
)
def test_a_frame_has_as_many_bytes(name: str, even: int, odd: int) -> None:
    assert FORMATS[name].bytes_of(6, 4) == even
    assert FORMATS[name].bytes_of(5, 3) == odd


@pytest.mark.parametrize("size", [(6, 4), (5, 3), (1, 1)])
@pytest.mark.parametrize("format", [*FORMATS.values(), *map(format_tagged, TAGS)])
def test_bytes_come_back(format: RawFormat, size: tuple[int, int]) -> None:
    data = noise(format, *size)
    frame = format.frame(data, *size)
    assert frame.planes.luma.shape == size[::-1]
    assert frame.planes.peak == 2**format.layout.bits - 1
    assert b"".join(part.tobytes() for part in format.parts(frame)) == data.tobytes()


def test_channels_are_found() -> None:
    pixel = np.array([10, 20, 30, 40], np.uint8)
    for name, colours in {
        "rgb24": [10, 20, 30],
        "bgr24": [30, 20, 10],
        "rgba": [10, 20, 30],
        "bgra": [30, 20, 10],
    }.items():
        frame = FORMATS[name].frame(pixel[: len(FORMATS[name].channels)], 1, 1)
        assert [int(plane[0, 0]) for plane in frame.planes.planes] == colours
        assert (frame.alpha is None) == (len(name) == 5)
        assert frame.alpha is None or frame.alpha[0, 0] == 40
    # Without transparency a frame is opaque.
    opaque = FORMATS["rgba"].parts(FORMATS["rgb24"].frame(pixel[:3], 1, 1))
    assert opaque[0].tolist() == [[[10, 20, 30, 255]]]


def test_pairs_of_chroma_are_parted() -> None:
    data = np.arange(12, dtype=np.uint8)
    y, u, v = FORMATS["nv12"].frame(data, 4, 2).planes.planes
    assert y.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert (u.tolist(), v.tolist()) == ([[8, 10]], [[9, 11]])


@pytest.mark.skipif(not is_installed("av"), reason="needs PyAV")
@pytest.mark.parametrize("name", FORMATS)
def test_ffmpeg_lays_frames_out_alike(name: str) -> None:
    from av.video.frame import VideoFrame
    from test_pixels import clip_of

    from derain.video.pixels import Pixels

    rgb = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    theirs: Any = VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=name)
    format, data = FORMATS[name], b""
    for plane, shape in zip(theirs.planes, format.shapes(8, 6), strict=True):
        length = int(np.prod(shape[1:])) * np.dtype(format.layout.dtype).itemsize
        # FFmpeg makes rows longer.
        data += np.frombuffer(plane, np.uint8).reshape(shape[0], -1)[:, :length].tobytes()
    ours = format.frame(np.frombuffer(data, np.uint8), 8, 6).planes
    expected = Pixels(clip_of(name, (8, 6))).planes(theirs)
    assert ours.peak == expected.peak
    for one, other in zip(ours.planes, expected.planes, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("line", "facts"),
    [
        (
            b"YUV4MPEG2 W320 H240 F25:1 Ip A1:1 C420jpeg XYSCSS=420JPEG XCOLORRANGE=LIMITED\n",
            ("yuv420p", Fraction(25), Fraction(1), False, LIMITED),
        ),
        (
            b"YUV4MPEG2 W7 H5 F30000:1001 It A10:11 C422p10 XYSCSS=422P10 XCOLORRANGE=FULL\n",
            ("yuv422p10le", Fraction(30000, 1001), Fraction(10, 11), True, FULL),
        ),
        (b"YUV4MPEG2 H5 W7 F0:0 A0:0\n", ("yuv420p", None, None, False, 0)),
        (b"YUV4MPEG2 W7 H5 Cmono I? Xnote\n", ("gray", None, None, False, 0)),
        (b"YUV4MPEG2 W7 H5 C444alpha\n", ("yuva444p", None, None, False, 0)),
    ],
)
def test_headers_are_read_and_kept(line: bytes, facts: tuple[Any, ...]) -> None:
    source = ByteSource(io.BytesIO(line[10:] + b"FRAME\nrest"), line[:10])
    form = read_header(source)
    interlaced, range = form.interlaced, form.colours.range
    assert (form.format.name, form.rate, form.aspect, interlaced, range) == facts
    assert form.header == line
    assert source.read(100) == b"FRAME\nrest"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", "begins with ''; expected a line of YUV4MPEG2"),
        (b"\n\n\n\n\n\n\n\n\n\n", "expected a line of YUV4MPEG2"),
        (b"YUV4MPEG2 W7 H5", "expected a line of YUV4MPEG2"),
        (b"YUV4MPEG22 W7 H5\n", "expected a line of YUV4MPEG2"),
        (b"YUV4MPEG2 W7" + 2000 * b" " + b"H5\n", "expected a line of YUV4MPEG2"),
        (b"YUV4MPEG2 W7\n", "W7 H in its first line; expected the width and the height"),
        (b"YUV4MPEG2 W0 H5\n", "W0 H5 in its first line"),
        (b"YUV4MPEG2 W-7 H5\n", "W-7 H5 in its first line"),
        (b"YUV4MPEG2 W99999 H5\n", "from 1 to 32768"),
        (b"YUV4MPEG2 W7 H5 C420p11\n", "frames of C420p11; expected C420"),
        (b"YUV4MPEG2 W7 H5 C440\n", "frames of C440"),
        (b"YUV4MPEG2 W7 H5 C420beta\n", "frames of C420beta"),
    ],
)
def test_bad_headers_are_refused(line: bytes, words: str) -> None:
    with pytest.raises(VideoError) as raised:
        read_header(ByteSource(io.BytesIO(line)))
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_headers_are_made() -> None:
    form = Form(
        FORMATS["yuv420p10le"], 8, 6, Fraction(30000, 1001), Colours(FULL), Fraction(10, 11)
    )
    made = with_header(form)
    assert made.header == b"YUV4MPEG2 W8 H6 F30000:1001 Ip A10:11 C420p10 XCOLORRANGE=FULL\n"
    assert read_header(ByteSource(io.BytesIO(made.header))) == made
    plain = with_header(Form(FORMATS["gray"], 8, 6))
    assert plain.header == b"YUV4MPEG2 W8 H6 F0:0 Ip A0:0 Cmono\n"
    with pytest.raises(ValueError, match="rgb24 in YUV4MPEG2: expected luma and chroma, or grey"):
        with_header(Form(FORMATS["rgb24"], 8, 6))
    assert tag_of(Layout("yuv", 8, (0, 1))) is None
    for tag in TAGS:
        format = format_tagged(tag)
        assert format is not None
        assert tag_of(format.layout) in (tag, "420jpeg", "444")


@pytest.mark.parametrize("head", [b"", b"YUV4MPEG2 W7 H5 C420\n"])
def test_streams_may_dribble(head: bytes) -> None:
    bare = Form(FORMATS["yuv420p"], 7, 5)
    data = noise(bare.format, 7, 5).tobytes()
    line = b"FRAME Ip\n" if head else b""
    sent = head + 3 * (line + data)
    source = ByteSource(Dribble(sent))
    form = read_header(source) if head else bare
    frames = list(read_frames(source, form))
    assert len(frames) == 3
    spoon = Spoon()
    writer = RawWriter(spoon, form)
    for frame in frames:
        writer.write(frame)
    assert spoon.data == sent


def test_no_more_is_read_than_a_frame() -> None:
    form = Form(FORMATS["gray"], 4, 2)
    stream = io.BytesIO(bytes(24))
    frames = read_frames(ByteSource(stream), form)
    for k in (1, 2):
        next(frames)
        assert stream.tell() == 8 * k


@pytest.mark.parametrize(
    ("data", "whole", "words"),
    [
        (bytes(20), 2, "standard input: ends in frame 3, after 4 of its 8 bytes; expected frames"),
        (b"", 0, "standard input: 0 frames; expected at least one of 4x2 gray"),
    ],
)
def test_bare_frames_may_end_early(data: bytes, whole: int, words: str) -> None:
    frames = read_frames(ByteSource(io.BytesIO(data)), Form(FORMATS["gray"], 4, 2))
    for _ in range(whole):
        next(frames)
    with pytest.raises(VideoError, match=words):
        next(frames)


@pytest.mark.parametrize(
    ("data", "whole", "words"),
    [
        (b"FRAME\n12345678FRAME\n123", 1, "ends in frame 2, after 3 of its 8 bytes"),
        (b"FRAME\n12345678FRAME\n", 1, "ends in frame 2, after 0 of its 8 bytes"),
        (b"FRAME\n12345678FRA", 1, "'FRA' where frame 2 begins; expected 'FRAME'"),
        (b"FRAME\n1234567FRAME\n", 1, "'RAME.n' where frame 2 begins"),
        (b"FRAMES\n12345678", 0, "'FRAMES.n' where frame 1 begins"),
        (b"", 0, "0 frames"),
    ],
)
def test_streams_may_be_damaged(data: bytes, whole: int, words: str) -> None:
    form = Form(FORMATS["gray"], 4, 2, header=b"YUV4MPEG2\n")
    frames = read_frames(ByteSource(io.BytesIO(data)), form)
    for _ in range(whole):
        next(frames)
    with pytest.raises(VideoError, match=words):
        next(frames)


def test_errors_of_the_system_name_the_stream() -> None:
    class Broken(io.BytesIO):
        def readinto(self, buffer: Any, /) -> int:
            raise OSError(5, "Input/output error")

        def write(self, buffer: Any, /) -> int:
            raise OSError(28, "No space left on device")

    form = Form(FORMATS["gray"], 4, 2)
    with pytest.raises(OSError, match="Input/output error") as raised:
        next(read_frames(ByteSource(Broken()), form))
    assert raised.value.filename == "standard input"
    with pytest.raises(OSError, match="No space left") as raised:
        RawWriter(Broken(), form).write(read(bytes(8), form)[0])
    assert raised.value.filename == "standard output"


def test_bare_frames_have_no_header() -> None:
    form = Form(FORMATS["gray"], 4, 2)
    assert written(read(bytes(range(16)), form), form) == bytes(range(16))


def test_options_are_read() -> None:
    assert size_of("1920x1080") == (1920, 1080)
    assert rate_of("29.97") == Fraction(2997, 100)
    assert rate_of("30000/1001") == rate_of("30000:1001") == Fraction(30000, 1001)
    assert colours_of("bt709") == Colours(matrix=1)
    assert colours_of("full,BT2020") == Colours(range=2, matrix=9)
    assert format_named("RGB24").name == "rgb24"


@pytest.mark.parametrize("text", ["0x0", "-1x5", "5", "5x", "axb", "", "32769x1", "5x5x5"])
def test_sizes_are_checked(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected the width and the height .* as 1920x1080"):
        size_of(text)


@pytest.mark.parametrize("text", ["0", "-5", "soon", "1/0", "nan", "inf", ""])
def test_rates_are_checked(text: str) -> None:
    with pytest.raises(UsageError, match="expected frames a second"):
        rate_of(text)


def test_names_are_checked() -> None:
    with pytest.raises(UsageError, match=r"expected one of rgb24, .*; did you mean yuv420p\?"):
        format_named("yuv420")
    with pytest.raises(UsageError, match=r"expected one or two of bt601, .*; did you mean full\?"):
        colours_of("bt709,ful")
