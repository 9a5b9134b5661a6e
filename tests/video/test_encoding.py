"""Segments: as the clip is stored, the same bytes every time, and whole or not at all."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from filming import Film, film, remake, shown
from test_pixels import clip_of, noise

from derain.errors import UsageError
from derain.video.clip import Clip
from derain.video.colours import Colours
from derain.video.encoding import (
    CODECS,
    Encoder,
    SegmentWriter,
    codec_named,
    encoder_for,
    read_segment,
)
from derain.video.errors import VideoError
from derain.video.pixels import Pixels, video_frame
from derain.video.reading import FrameReader, open_clip


def write(path: Path, clip: Clip, encoder: Encoder, first: int = 0, count: int = 10) -> bytes:
    pixels = Pixels(clip)
    with FrameReader(clip) as reader, SegmentWriter(path, encoder) as writer:
        for each in list(reader)[first : first + count]:
            writer.add(pixels.planes(each.frame), each.pts)
    return path.read_bytes()


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    return open_clip(film(tmp_path / "clip.mp4", Film()))


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_the_same_frames_make_the_same_bytes(tmp_path: Path, clip: Clip, codec: str) -> None:
    encoder = encoder_for(clip, codec=codec)
    one = write(tmp_path / "1", clip, encoder)
    assert write(tmp_path / "2", clip, encoder) == one
    assert write(tmp_path / "3", clip, encoder, first=10) != one


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_a_segment_can_be_decoded_without_others(tmp_path: Path, clip: Clip, codec: str) -> None:
    encoder = encoder_for(clip, codec=codec)
    write(tmp_path / "1", clip, encoder, first=7, count=12)
    segment = read_segment(tmp_path / "1")
    with FrameReader(clip) as reader:
        assert list(segment.pts) == [each.pts for each in reader][7:19]
    stored = list(segment.read())
    assert stored[0][0].is_key
    assert stored[0][0].frame == 0
    name = av.Codec(encoder.library, "w").canonical_name
    decoder: Any = av.CodecContext.create("libdav1d" if name == "av1" else name, "r")
    decoder.width, decoder.height = clip.width, clip.height
    decoder.extradata = segment.extradata or None
    frames = [frame for _, data in stored for frame in decoder.decode(av.Packet(data))]
    assert len([*frames, *decoder.decode(None)]) == 12


@pytest.mark.parametrize(
    ("format", "codec", "size", "expected"),
    [
        ("yuv420p", "h264", (64, 48), "yuv420p"),
        ("yuvj420p", "h264", (64, 48), "yuv420p"),
        ("yuv420p", "h264", (65, 48), "yuv444p"),
        ("yuv420p", "h264", (64, 49), "yuv422p"),
        ("yuv422p", "h264", (64, 49), "yuv422p"),
        ("yuv420p", "h265", (65, 49), "yuv444p"),
        ("yuv420p", "av1", (65, 49), "yuv420p"),
        ("yuv420p", "vp9", (65, 49), "yuv420p"),
        ("yuv420p10le", "h264", (64, 48), "yuv420p10le"),
        ("p010le", "h265", (64, 48), "yuv420p10le"),
        ("yuv444p12le", "h264", (64, 48), "yuv444p10le"),
        ("yuv444p12le", "h265", (64, 48), "yuv444p12le"),
        ("yuv422p10le", "av1", (64, 48), "yuv420p10le"),
        ("yuv420p10le", "mpeg4", (64, 48), "yuv420p"),
        ("gray", "h264", (65, 49), "gray"),
        ("gray", "vp9", (64, 48), "yuv420p"),
        ("rgb24", "h264", (64, 48), "yuv444p"),
        ("rgb24", "h265", (64, 48), "gbrp"),
        ("gbrp10le", "ffv1", (64, 48), "gbrp10le"),
        ("yuv411p", "ffv1", (64, 48), "yuv411p"),
    ],
)
def test_the_pixel_format_stays_as_far_as_the_codec_can(
    tmp_path: Path, format: str, codec: str, size: tuple[int, int], expected: str
) -> None:
    clip = clip_of(format, size)
    encoder = encoder_for(clip, codec=codec)
    assert encoder.format == expected
    names = {"yuvj420p": "yuv420p", "p010le": "yuv420p10le", "rgb24": "gbrp"}
    kept = names.get(format, format) == expected or format == "gray"
    assert bool(encoder.notes) != kept
    assert all(expected in note or "bits become" in note for note in encoder.notes)
    # The encoder takes it.
    planes = Pixels(clip).planes(noise(format, size))
    with SegmentWriter(tmp_path / "1", encoder) as writer:
        for k in range(3):
            writer.add(planes, k)
    assert len(read_segment(tmp_path / "1").packets) == 3


@pytest.mark.parametrize("codec", ["av1", "h265"])
def test_a_size_that_an_encoder_refuses_is_named_in_one_line(
    tmp_path: Path, codec: str, capfd: pytest.CaptureFixture[str]
) -> None:
    encoder = encoder_for(clip_of("yuv420p", (2, 2)), codec=codec)
    message = r"does not take 2x2 as yuv420p \(Invalid argument\); expected another codec$"
    with pytest.raises(VideoError, match=message), SegmentWriter(tmp_path / "1", encoder):
        pass
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("format", ["yuv420p10le", "gray12le", "yuv444p12le"])
def test_levels_beyond_those_of_the_bits_are_cut_off(format: str) -> None:
    pixels = Pixels(clip_of(format, (64, 48)))
    peak = pixels.layout.peak
    planes = pixels.planes(noise(format, (64, 48)))
    beyond = planes.like([np.full_like(plane, 65535) for plane in planes.planes])
    made = video_frame(beyond, pixels.layout, pixels.layout.name, pixels.colours)
    assert all(int(plane.max()) == peak for plane in pixels.planes(made).planes)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 1), (17, 33)])
@pytest.mark.parametrize("codec", ["h264", "vp9", "ffv1", "mpeg4"])
def test_small_and_odd_sizes_are_kept(tmp_path: Path, codec: str, size: tuple[int, int]) -> None:
    source = film(tmp_path / "a.mkv", Film(size=size, codec="ffv1", times=range(5)))
    made = remake(source, tmp_path / "b.mkv", codec=codec)
    after = open_clip(made.path)
    assert (after.width, after.height) == size
    assert len(shown(made.path)) == 5


@pytest.mark.parametrize(
    "format",
    ["yuv420p", "yuv422p10le", "yuv444p16le", "gray", "gray12le", "yuv410p", "bgr0", "gbrp10le"],
)
def test_what_a_lossless_codec_is_given_comes_back(tmp_path: Path, format: str) -> None:
    source = film(tmp_path / "a.mkv", Film(size=(65, 49), codec="ffv1", format=format))
    made = remake(source, tmp_path / "b.mkv")
    assert open_clip(made.path).format == format
    for (_, before), (_, after) in zip(shown(source), shown(made.path), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert made.notes == []


@pytest.mark.parametrize("codec", ["h264", "h265", "ffv1", "av1"])
@pytest.mark.parametrize("format", ["yuv420p", "yuv420p10le"])
def test_colours_and_shape_of_pixels_are_kept(tmp_path: Path, codec: str, format: str) -> None:
    tags: dict[str, Any] = {
        "color_range": 2,
        "colorspace": 9,
        "color_primaries": 9,
        "color_trc": 16,
    }
    tags["sample_aspect_ratio"] = Fraction(4, 3)
    source = film(tmp_path / "a.mkv", Film(format=format, tags=tags))
    made = remake(source, tmp_path / "b.mkv", codec=codec)
    before, after = open_clip(source), open_clip(made.path)
    assert before.colours == after.colours == Colours(2, 9, 9, 16)
    assert before.aspect == Fraction(4, 3)
    # What Matroska does not say of some codecs is named.
    assert (after.aspect == before.aspect) != any("shape of its pixels" in x for x in made.notes)
    assert codec not in ("h264", "h265") or after.aspect == before.aspect
    assert after.format.replace("yuvj", "yuv") == format


def test_full_range_of_old_names_is_kept(tmp_path: Path) -> None:
    source = film(tmp_path / "a.avi", Film(codec="mjpeg", format="yuvj420p"))
    made = remake(source, tmp_path / "b.mp4", codec="h264")
    assert open_clip(made.path).colours.range == 2


def test_quality_and_speed_are_set(tmp_path: Path, clip: Clip) -> None:
    sizes = {
        crf: len(write(tmp_path / f"{crf}", clip, encoder_for(clip, crf=crf)))
        for crf in (10, 18, 40)
    }
    assert sizes[10] > sizes[18] > sizes[40]
    default = len(write(tmp_path / "default", clip, encoder_for(clip)))
    assert default == sizes[18]
    slow = write(tmp_path / "slow", clip, encoder_for(clip, preset="slow"))
    assert len(slow) != default
    coarse = [encoder_for(clip, codec="mpeg4", crf=crf) for crf in (2, 20)]
    one, other = (len(write(tmp_path / "mpeg4", clip, encoder)) for encoder in coarse)
    assert one > 2 * other


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"codec": "divx"}, "codec=divx: expected one of h264, h265, av1, vp9, ffv1, mpeg4"),
        ({"crf": 52}, "crf=52: expected 0 (best) to 51 for h264"),
        ({"codec": "mpeg4", "crf": 0}, "crf=0: expected 1 (best) to 31 for mpeg4"),
        ({"codec": "ffv1", "crf": 3}, "crf=3: ffv1 is lossless and has none"),
        ({"preset": "8"}, "preset=8: expected one of ultrafast, superfast, veryfast, faster,"),
        ({"codec": "av1", "preset": "fast"}, "preset=fast: expected one of 13, 12, 11,"),
        ({"codec": "ffv1", "preset": "fast"}, "preset=fast: ffv1 has none"),
    ],
)
def test_settings_that_a_codec_lacks_are_refused(
    clip: Clip, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as raised:
        encoder_for(clip, **settings)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("H264", "h264"), ("hevc", "h265"), ("libx265", "h265"), ("libvpx-vp9", "vp9")],
)
def test_codecs_have_several_names(name: str, expected: str) -> None:
    assert codec_named(name) == expected


def test_an_encoder_that_pyav_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CODECS, "av1", replace(CODECS["av1"], library="libtomorrow"))
    with pytest.raises(UsageError, match="codec=av1: needs libtomorrow, which this build of PyAV"):
        codec_named("av1")


@pytest.mark.parametrize("rate", [Fraction(1, 7), Fraction(3760000, 126431), Fraction(1000)])
@pytest.mark.parametrize("codec", sorted(CODECS))
def test_odd_rates_are_encoded(tmp_path: Path, clip: Clip, codec: str, rate: Fraction) -> None:
    encoder = encoder_for(replace(clip, rate=rate), codec=codec)
    write(tmp_path / "1", clip, encoder, count=3)
    assert len(read_segment(tmp_path / "1").packets) == 3


def test_settings_say_all_that_decides_on_the_bytes(clip: Clip) -> None:
    plain = encoder_for(clip).settings()
    assert json.loads(json.dumps(plain)) == plain
    assert plain == encoder_for(clip).settings()
    for other in (
        encoder_for(clip, crf=19),
        encoder_for(clip, preset="fast"),
        encoder_for(clip, threads=3),
        encoder_for(clip, global_header=False),
        encoder_for(replace(clip, colours=Colours(2, 1, 1, 1))),
    ):
        assert other.settings() != plain


def test_a_segment_appears_complete_or_not_at_all(tmp_path: Path, clip: Clip) -> None:
    place = tmp_path / "parts"
    place.mkdir()
    pixels = Pixels(clip)

    def interrupted() -> None:
        with FrameReader(clip) as reader, SegmentWriter(place / "1", encoder_for(clip)) as writer:
            writer.add(pixels.planes(next(reader).frame), 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("change", ["short", "empty", "other", "long"])
def test_damaged_segments_are_found(tmp_path: Path, clip: Clip, change: str) -> None:
    data = write(tmp_path / "1", clip, encoder_for(clip))
    changed = {
        "short": data[:-20],
        "empty": b"",
        "other": b"x" * 500,
        "long": data[:30] + b"x" + data[30:],
    }
    (tmp_path / "1").write_bytes(changed[change])
    with pytest.raises(VideoError, match="is damaged; expected a segment"):
        read_segment(tmp_path / "1")


def test_damaged_packets_of_segments_are_found(tmp_path: Path, clip: Clip) -> None:
    data = bytearray(write(tmp_path / "1", clip, encoder_for(clip)))
    data[100] ^= 1
    (tmp_path / "1").write_bytes(data)
    segment = read_segment(tmp_path / "1")
    with pytest.raises(VideoError, match="is damaged"):
        list(segment.read())


def test_sizes_that_no_encoder_takes_are_named(clip: Clip, tmp_path: Path) -> None:
    encoder = encoder_for(replace(clip, width=20_000, height=20_000))
    with pytest.raises(VideoError, match="libx264 does not take 20000x20000 as yuv420p"):
        SegmentWriter(tmp_path / "1", encoder)
