"""Pixels of clips: planes and RGB by the stream's own formula, upright, and back unchanged."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from filming import QUARTER, Film, film, picture
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from derain.video.clip import Clip
from derain.video.colours import Colours, Layout
from derain.video.frame import Frame
from derain.video.pixels import Pixels, Turn, layout_of, shown_colours, video_frame
from derain.video.reading import FrameReader, open_clip

YUV = ["yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv410p"]
DEEP = ["yuv420p10le", "yuv422p10le", "yuv444p12le", "yuv444p16le", "gray10le", "gray16le"]
OTHERS = ["gray", "nv12", "nv21", "p010le", "yuyv422", "yuva420p", "yuvj420p", "rgb24", "bgr0"]
RGB = ["gbrp", "gbrp10le", "gbrp12le", "rgb48le", "pal8", "rgba", "monow"]


UNSAID = Colours()


def clip_of(
    format: str,
    size: tuple[int, int] = (64, 48),
    colours: Colours = UNSAID,
    matrix: tuple[int, ...] = (),
) -> Clip:
    return Clip(
        path=Path("a.mp4"),
        container="mp4",
        index=0,
        codec="h264",
        width=size[0],
        height=size[1],
        format=format,
        colours=colours,
        aspect=None,
        display_matrix=matrix,
        interlaced=False,
        time_base=Fraction(1, 25),
        rate=Fraction(25),
        first=0,
        duration=None,
        frames=None,
    )


def noise(format: str, size: tuple[int, int]) -> av.VideoFrame:
    """Return a frame with all levels that its format has."""
    frame = av.VideoFrame(*size, format)
    draws = np.random.default_rng(0)
    deep = frame.format.components[0].bits
    for plane in frame.planes:
        if 8 < deep < 16:
            levels = draws.integers(0, 2**deep, plane.buffer_size // 2).astype(np.uint16)
            levels <<= 6 if format == "p010le" else 0
            plane.update(levels.tobytes())
        else:
            plane.update(draws.bytes(plane.buffer_size))
    return frame


def same(one: Frame, other: Frame) -> bool:
    return len(one.planes) == len(other.planes) and all(
        np.array_equal(a, b) for a, b in zip(one.planes, other.planes, strict=True)
    )


@pytest.mark.parametrize("format", [*YUV, *DEEP, *OTHERS, *RGB])
@pytest.mark.parametrize("range", [0, 1, 2])
@pytest.mark.parametrize("matrix", [(), QUARTER])
def test_what_a_network_leaves_alone_keeps_its_levels(
    format: str, range: int, matrix: tuple[int, ...]
) -> None:
    size = 65, 49
    pixels = Pixels(clip_of(format, size, Colours(range=range), matrix))
    frame = noise(format, size)
    frame.color_range = range
    planes = pixels.planes(frame)
    rgb = pixels.rgb(planes)
    width, height = pixels.size
    assert rgb.shape == (height, width, 3)
    assert (width, height) == ((49, 65) if matrix else (65, 49))
    assert rgb.dtype == (np.uint8 if pixels.layout.bits == 8 else np.uint16)
    kept = pixels.changed(planes, rgb, rgb.copy())
    assert same(planes, kept)
    again = video_frame(kept, pixels.layout, pixels.layout.name, pixels.colours)
    assert same(planes, Pixels(clip_of(pixels.layout.name, size)).planes(again))


def by_formula(
    y: NDArray[Any], u: NDArray[Any], v: NDArray[Any], bits: int, weights: Any, *, full: bool
) -> NDArray[np.float64]:
    """RGB in [0, 1] as ITU-R BT.601, BT.709 and BT.2020 define it, one channel after the other."""
    red, blue = weights
    unit = 2 ** (bits - 8)
    if full:
        luma, cb, cr = y / (2**bits - 1), *((c - 128 * unit) / (2**bits - 1) for c in (u, v))
    else:
        luma = (y - 16 * unit) / (219 * unit)
        cb, cr = ((c - 128 * unit) / (224 * unit) for c in (u, v))
    r = luma + 2 * (1 - red) * cr
    b = luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.stack([r, g, b], axis=-1), 0, 1)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("matrix", "weights"),
    [(1, (0.2126, 0.0722)), (5, (0.299, 0.114)), (6, (0.299, 0.114)), (9, (0.2627, 0.0593))],
)
@pytest.mark.parametrize(("format", "bits"), [("yuv444p", 8), ("yuv444p10le", 10)])
def test_colours_are_those_of_the_standards(
    format: str, bits: int, matrix: int, weights: tuple[float, float], full: bool
) -> None:
    colours = Colours(range=2 if full else 1, matrix=matrix)
    pixels = Pixels(clip_of(format, colours=colours))
    planes = pixels.planes(noise(format, (64, 48)))
    rgb = pixels.rgb(planes)
    y, u, v = (plane.astype(float) for plane in planes.planes)
    expected = by_formula(y, u, v, bits, weights, full=full)
    top = np.iinfo(rgb.dtype).max
    # Within a level of 255, of what is exact within half of one.
    assert np.abs(rgb / top - expected).max() <= 1.01 / 255


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("format", ["yuv444p", "yuv420p", "yuv420p10le", "gray"])
def test_what_a_network_changes_is_what_is_seen_afterwards(
    format: str, matrix: int, full: bool
) -> None:
    colours = Colours(range=2 if full else 1, matrix=matrix)
    pixels = Pixels(clip_of(format, colours=colours))
    grey = np.full((48, 64, 3), 120, np.uint8)
    made = av.VideoFrame.from_ndarray(grey, "rgb24").reformat(format=format)
    planes = pixels.planes(made)
    before = pixels.rgb(planes)
    top = np.iinfo(before.dtype).max
    change = np.array([0.1, 0.1, 0.1]) if format == "gray" else np.array([0.1, -0.05, 0.02])
    after = (before + change * top).astype(before.dtype)
    seen = pixels.rgb(pixels.changed(planes, before, after))
    assert np.abs(seen / top - after / top).max() <= 1.6 / 255


def test_rain_on_a_pixel_stays_on_it(tmp_path: Path) -> None:
    """A change of one pixel reaches its luma, and the chroma of its block alone."""
    pixels = Pixels(clip_of("yuv420p"))
    planes = pixels.planes(noise("yuv420p", (64, 48)))
    before = pixels.rgb(planes)
    after = before.copy()
    after[20, 31] = 255 - after[20, 31]
    changed = pixels.changed(planes, before, after)
    places = [
        np.argwhere(a != b).tolist() for a, b in zip(changed.planes, planes.planes, strict=True)
    ]
    assert all(place in ([20, 31],) for place in places[0])
    assert all(place in ([10, 15],) for place in places[1] + places[2])


@pytest.mark.parametrize(
    ("size", "format", "expected"),
    [
        ((1280, 720), "yuv420p", Colours(1, 1)),
        ((720, 576), "yuv420p", Colours(1, 6)),
        ((640, 640), "yuv420p", Colours(1, 1)),
        ((720, 576), "yuvj420p", Colours(2, 6)),
        ((720, 576), "gray", Colours(2, 6)),
    ],
)
def test_what_a_file_does_not_say_is_as_players_take_it(
    size: tuple[int, int], format: str, expected: Colours
) -> None:
    assert shown_colours(clip_of(format, size)) == expected


def test_what_a_file_says_counts() -> None:
    said = Colours(2, 9, 9, 16)
    assert shown_colours(clip_of("yuv420p10le", (1280, 720), said)) == said


@pytest.mark.parametrize(
    ("format", "layout"),
    [
        ("nv12", Layout("yuv", 8, (1, 1))),
        ("p010le", Layout("yuv", 10, (1, 1))),
        ("yuva444p10le", Layout("yuv", 10)),
        ("uyvy422", Layout("yuv", 8, (1, 0))),
        ("yuv410p", Layout("yuv", 8, (2, 2))),
        ("monow", Layout("grey", 8)),
        ("gray14le", Layout("grey", 16)),
        ("pal8", Layout("rgb", 8)),
        ("gbrp10le", Layout("rgb", 16)),
    ],
)
def test_every_format_has_a_layout_that_holds_it(format: str, layout: Layout) -> None:
    assert layout_of(format) == layout


SIGNS = st.sampled_from([-65536, 65536])


@given(swaps=st.booleans(), one=SIGNS, other=SIGNS)
def test_pictures_are_turned_as_the_matrix_says(swaps: bool, one: int, other: int) -> None:
    a, b, c, d = (0, one, other, 0) if swaps else (one, 0, 0, other)
    turn = Turn.of((a, b, 0, c, d, 0, 0, 0, 1 << 30))
    stored = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    upright = turn.upright(stored)
    corners = [(a * x + c * y, b * x + d * y) for x in (0, 5) for y in (0, 3)]
    left, top = (min(place) for place in zip(*corners, strict=True))
    for y in range(4):
        for x in range(6):
            column, row = (a * x + c * y - left) // 65536, (b * x + d * y - top) // 65536
            assert np.array_equal(upright[row, column], stored[y, x])
    assert np.array_equal(turn.stored(upright), stored)


def test_a_clip_of_a_telephone_is_seen_upright(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", Film(matrix=QUARTER, options={"crf": "1"}, size=(96, 64)))
    clip = open_clip(path)
    pixels = Pixels(clip)
    with FrameReader(clip) as reader:
        rgb = pixels.rgb(pixels.planes(next(reader).frame))
    expected = np.rot90(picture(0, (96, 64)), -1)
    assert rgb.shape == expected.shape == (96, 64, 3)
    # The chroma was halved.
    assert np.abs(rgb.astype(int) - expected).mean() < 4


def test_what_frames_lose_is_named() -> None:
    assert Pixels(clip_of("yuva420p")).notes() == ["transparency is left out"]
    slanted = (60000, 30000, 0, -30000, 60000, 0, 0, 0, 1 << 30)
    assert "at a slant" in Pixels(clip_of("yuv420p", matrix=slanted)).notes()[0]
    assert "colour matrix 8" in Pixels(clip_of("yuv420p", colours=Colours(1, 8))).notes()[0]
    assert Pixels(clip_of("yuv420p")).notes() == []


@pytest.mark.parametrize("target", ["yuv420p", "yuv444p", "yuv420p10le", "yuv422p"])
@pytest.mark.parametrize("source", ["yuv422p10le", "rgb24", "gray", "yuv444p"])
def test_other_formats_show_the_same(source: str, target: str) -> None:
    smooth = np.mgrid[0:48, 0:64].transpose(1, 2, 0)
    image = np.dstack([3 * smooth[..., 0] + 40, 2 * smooth[..., 1] + 60, smooth.sum(axis=2) + 50])
    image = image.astype(np.uint8) if source != "gray" else image[..., [0, 0, 0]].astype(np.uint8)
    clip = clip_of(source, colours=Colours(2, 6) if source in ("gray", "rgb24") else Colours(1, 6))
    pixels = Pixels(clip)
    made = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=source)
    planes = pixels.planes(made)
    rgb = pixels.rgb(planes)
    frame = video_frame(planes, pixels.layout, target, pixels.colours)
    after = Pixels(clip_of(target, colours=Colours(pixels.colours.range, 6)))
    seen = after.rgb(after.planes(frame))
    top = np.iinfo(seen.dtype).max
    assert np.abs(seen / top - rgb / np.iinfo(rgb.dtype).max).max() <= 4 / 255
