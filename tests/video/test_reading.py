"""Clips: what they hold, their frames in order, and what is said of broken ones."""

import io
import re
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from filming import QUARTER, Film, film, picture
from PIL import Image

from derain.video.colours import Colours
from derain.video.errors import VideoError, clock
from derain.video.reading import FrameReader, open_clip


def times(path: Path) -> list[int]:
    with FrameReader(open_clip(path)) as reader:
        return [decoded.pts for decoded in reader]


def notes(path: Path) -> list[str]:
    with FrameReader(open_clip(path)) as reader:
        list(reader)
        return reader.notes()


def damaged(path: Path, *which: int) -> Path:
    """Overwrite half of some packets."""
    with av.open(str(path)) as source:
        places = [(p.pos, p.size) for p in source.demux(video=0) if p.size and p.pos is not None]
    data = bytearray(path.read_bytes())
    draws = np.random.default_rng(0)
    for k in which:
        place, size = places[k]
        noise = draws.integers(0, 256, max(size - 8, 1), np.uint8)
        data[place + 8 : place + 8 + len(noise)] = noise.tobytes()
    path.write_bytes(data)
    return path


def test_a_pipe_is_not_waited_for(tmp_path: Path, mkfifo: Callable[[Path], None]) -> None:
    mkfifo(tmp_path / "a.mp4")
    with pytest.raises(VideoError, match="a pipe or a device; expected a file, or - for frames"):
        open_clip(tmp_path / "a.mp4")


def test_a_clip_says_what_it_holds(tmp_path: Path) -> None:
    tags: dict[str, Any] = {
        "color_range": 2,
        "colorspace": 1,
        "color_primaries": 1,
        "color_trc": 13,
    }
    tags["sample_aspect_ratio"] = Fraction(4, 3)
    scene = Film(tags=tags, matrix=QUARTER, sound=True, size=(66, 50))
    clip = open_clip(film(tmp_path / "a.mp4", scene))
    assert (clip.width, clip.height, clip.codec) == (66, 50, "h264")
    assert clip.format in ("yuv420p", "yuvj420p")
    assert clip.colours == Colours(2, 1, 1, 13)
    assert clip.aspect == Fraction(4, 3)
    assert clip.display_matrix == QUARTER
    assert (clip.rate, clip.frames, clip.duration) == (25, 30, Fraction(30, 25))
    assert [(each.kind, each.codec) for each in clip.companions] == [("audio", "aac")]
    assert not clip.interlaced


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.mkv", "libx265"),
        ("a.webm", "libvpx-vp9"),
        ("a.mp4", "libsvtav1"),
        ("a.ts", "libx264"),
        ("a.avi", "mpeg4"),
        ("a.mov", "prores_ks"),
        ("a.mkv", "ffv1"),
    ],
)
def test_frames_come_in_order_with_their_times(tmp_path: Path, name: str, codec: str) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    format = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    path = film(tmp_path / name, Film(codec=codec, options=options, format=format))
    clip = open_clip(path)
    found = [(pts - clip.first) * clip.time_base for pts in times(path)]
    assert len(found) == 30
    assert max(abs(time - k / Fraction(25)) for k, time in enumerate(found)) <= clip.time_base / 2
    assert notes(path) == []


REORDERING = {"bf": "3", "b-pyramid": "normal", "b_strategy": "0"}


@pytest.mark.parametrize("name", ["a.avi", "a.wmv"])
def test_frames_of_formats_that_time_no_frames_come_evenly(tmp_path: Path, name: str) -> None:
    """AVI and ASF say when packets are decoded; B-frames are shown in another order."""
    scene = Film(codec="libx264", options=REORDERING, times=range(61))
    with_times = film(tmp_path / "source.mp4", scene)
    path = film(tmp_path / name, scene)
    with av.open(str(path)) as container:
        raw = [frame.pts for frame in container.decode(video=0) if frame.pts is not None]
    assert raw != sorted(raw), "the file says nothing of when frames are shown"
    clip = open_clip(path)
    with FrameReader(clip) as reader:
        frames = list(reader)
    assert reader.notes() == []
    seconds = [(decoded.pts - clip.first) * clip.time_base for decoded in frames]
    # Milliseconds are rounded.
    assert max(abs(time - k / Fraction(25)) for k, time in enumerate(seconds)) < 0.002
    with FrameReader(open_clip(with_times)) as reader:
        for decoded, expected in zip(frames, reader, strict=True):
            assert np.array_equal(decoded.frame.to_ndarray(), expected.frame.to_ndarray())
    with FrameReader(open_clip(path, start=1.2), start=1.2, end=2.0) as reader:
        part = [decoded.pts for decoded in reader]
    assert part == [decoded.pts for decoded in frames if 1.2 <= clip.seconds(decoded.pts) < 2.0]
    assert len(part) == 20


def test_b_frames_that_come_late_are_noticed(tmp_path: Path) -> None:
    scene = Film(codec="libx264", options=REORDERING, times=range(90), in_order=60)
    path = film(tmp_path / "a.avi", scene)
    with av.open(str(path)) as container:
        raw = [frame.pts for frame in container.decode(video=0) if frame.pts is not None]
    assert raw[:60] == sorted(raw[:60])
    assert raw != sorted(raw)
    clip = open_clip(path)
    with FrameReader(clip) as reader:
        found = [decoded.pts - clip.first for decoded in reader]
    assert found == list(range(90))
    assert reader.notes() == []


def test_times_of_a_variable_rate_are_exact(tmp_path: Path) -> None:
    ticks = [0, 10, 11, 400, 401, 402, 999, 5000, 5001, 9000]
    scene = Film(times=ticks, time_base=Fraction(1, 90_000 // 9))
    path = film(tmp_path / "a.mp4", scene)
    clip = open_clip(path)
    assert [pts * clip.time_base for pts in times(path)] == [k * scene.time_base for k in ticks]
    assert notes(path) == []


def test_a_matroska_that_begins_late_is_whole(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", Film(times=range(100, 106)))
    assert notes(path) == []
    assert open_clip(path).frames == 6


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize(("start", "end"), [(0.5, 1.0), (0.0, 0.3), (1.02, None), (0.9, 0.9)])
def test_a_part_is_what_lies_in_it(
    tmp_path: Path, name: str, start: float, end: float | None
) -> None:
    path = film(tmp_path / name, Film(times=range(60), options={"g": "20"}))
    clip = open_clip(path)
    all_of_it = times(path)
    expected = [
        pts
        for pts in all_of_it
        if clip.seconds(pts) >= start - 1e-9 and (end is None or clip.seconds(pts) < end - 1e-9)
    ]
    with FrameReader(clip, start=start, end=end) as reader:
        found = [decoded.pts for decoded in reader]
    assert found == expected
    assert len(found) in (13, 12, 8, 7, 34, 0)


def test_a_part_has_the_same_pixels(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", Film(times=range(60), options={"g": "20"}))
    clip = open_clip(path)
    with FrameReader(clip) as whole, FrameReader(clip, start=1.2) as part:
        late = [decoded.frame.to_ndarray() for decoded in whole][30:]
        for one, other in zip(late, part, strict=True):
            assert np.array_equal(one, other.frame.to_ndarray())


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mjpeg", "ffv1", "mpeg4"])
def test_damaged_packets_cost_their_frames_alone_and_are_named(tmp_path: Path, codec: str) -> None:
    options = {"g": "1"} | ({"x265-params": "log-level=none"} if codec == "libx265" else {})
    format = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    scene = Film(codec=codec, options=options, format=format)
    path = damaged(film(tmp_path / "a.mkv", scene), 10, 11, 20)
    with FrameReader(open_clip(path)) as reader:
        found = [decoded.pts for decoded in reader]
    lost = [loss for loss in reader.losses if loss.missing]
    hurt = [loss for loss in reader.losses if not loss.missing]
    assert len(found) + sum(loss.count for loss in lost) == 30
    assert sum(loss.count for loss in lost + hurt) == 3
    assert sorted((loss.first, loss.end) for loss in lost + hurt) == [(400, 480), (800, 840)]
    assert any("0:00.40 to 0:00.48, 0:00.80 to 0:00.84" in note for note in reader.notes())
    assert any("the file is damaged: 3 frames" in note for note in reader.notes())


@pytest.mark.parametrize("codec", ["libx264", "libvpx-vp9", "mpeg4"])
def test_damaged_clips_give_the_same_frames_every_time(tmp_path: Path, codec: str) -> None:
    scene = Film(codec=codec, times=range(60), size=(320, 240))
    clip = open_clip(damaged(film(tmp_path / "a.mkv", scene), 10, 11, 30))
    found: set[bytes] = set()
    for threads in (1, 2, 3, 4):
        with FrameReader(clip, threads=threads) as reader:
            found.add(b"".join(decoded.frame.to_ndarray().tobytes() for decoded in reader))
    assert len(found) == 1


def test_all_that_depends_on_a_damaged_packet_is_named(tmp_path: Path) -> None:
    scene = Film(codec="libx265", options={"x265-params": "log-level=none"})
    path = damaged(film(tmp_path / "a.mp4", scene), 10, 11)
    with FrameReader(open_clip(path)) as reader:
        found = len(list(reader))
    assert found < 30
    assert found + sum(loss.count for loss in reader.losses if loss.missing) == 30


@pytest.mark.parametrize("name", ["a.mkv", "a.webm", "a.ts"])
def test_of_a_file_that_is_cut_off_what_is_there_is_read(tmp_path: Path, name: str) -> None:
    codec = "libvpx-vp9" if name == "a.webm" else "libx264"
    path = film(tmp_path / name, Film(times=range(100), codec=codec, options={"g": "5"}))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    found = times(path)
    assert 20 < len(found) < 90
    if name != "a.ts":  # which does not say how long it was
        assert any("the file is cut off: it should end at 0:04.00" in note for note in notes(path))


def test_an_mp4_that_is_cut_off_behind_its_index_is_read(tmp_path: Path) -> None:
    options = {"movflags": "faststart"}
    scene = Film(times=range(100), options={"g": "5"}, global_options=options)
    path = film(tmp_path / "a.mp4", scene)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    assert 20 < len(times(path)) < 90
    assert any("cut off" in note or "lost" in note for note in notes(path))


def test_an_mp4_that_is_cut_off_before_its_index_is_named(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", Film())
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(VideoError, match=r"cut off before its index \(moov\)") as raised:
        open_clip(path)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("Il pleut.\n" * 200)
    (tmp_path / "noise.mkv").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
    cases = {
        "empty.mp4": "is empty",
        "text.mp4": "is not a readable video",
        "noise.mkv": "is not a readable video",
        "list.mp4": "is not a readable video",
    }
    for name, words in cases.items():
        with pytest.raises(VideoError, match=words):
            open_clip(tmp_path / name)


def test_a_picture_is_no_clip(tmp_path: Path) -> None:
    from derain.images import write_image

    write_image(tmp_path / "a.png", picture(0, (20, 20)))
    (tmp_path / "a.png").rename(tmp_path / "a.mp4")
    with pytest.raises(VideoError, match="is not a video but"):
        open_clip(tmp_path / "a.mp4")


def test_sound_alone_is_no_clip(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as target:
        sound = target.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        frame.sample_rate = 48000
        target.mux(sound.encode(frame))
        target.mux(sound.encode(None))
    with pytest.raises(VideoError, match="has no video stream, only audio"):
        open_clip(tmp_path / "a.mp4")


def test_no_frames_are_named(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", Film(times=[]))
    with pytest.raises(VideoError, match="has 0 frames: it ends with its header"):
        open_clip(path)
    path = damaged(film(tmp_path / "b.mkv", Film(times=range(3))), 0, 1, 2)
    with pytest.raises(VideoError, match="has 0 frames that can be decoded"):
        open_clip(path)


def test_one_frame_is_a_clip(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", Film(times=[0]))
    assert times(path) == [0]
    assert notes(path) == []


def test_missing_files_and_folders_are_reported_by_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_clip(tmp_path / "none.mp4")
    with pytest.raises(IsADirectoryError):
        open_clip(tmp_path)


def test_another_size_in_the_middle_is_refused_with_its_time(tmp_path: Path) -> None:
    # Transport streams may be put one behind the other, as recorders do.
    for name, size in (("a.ts", (64, 48)), ("b.ts", (96, 64))):
        first = 30 if name == "b.ts" else 0
        scene = Film(times=range(first, first + 30), size=size, options={"bf": "0"})
        film(tmp_path / name, scene)
    both = tmp_path / "both.ts"
    both.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    with (
        pytest.raises(VideoError, match=r"change from 64x48 to 96x64 at 0:01\.20") as raised,
        FrameReader(open_clip(both)) as reader,
    ):
        list(reader)
    assert "end=1.200 and start=1.200" in str(raised.value)
    # Each part can be read as the message says.
    with FrameReader(open_clip(both), end=1.2) as reader:
        assert len(list(reader)) == 30
    later = open_clip(both, start=1.2)
    assert (later.width, later.height) == (96, 64)
    with FrameReader(later, start=1.2) as reader:
        assert len(list(reader)) == 30


def test_a_start_behind_the_end_is_named(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", Film())
    with pytest.raises(VideoError, match=r"ends at 0:01\.20, and has no frame from 0:07\.00 on"):
        open_clip(path, start=7)


def test_names_that_look_like_addresses_are_files(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", Film(times=range(3)))
    odd = path.rename(tmp_path / "http:%03d [x].mp4")
    assert len(times(odd)) == 3


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00.00"), (59.996, "1:00.00"), (3600, "1:00:00.00")]
)
def test_times_are_written_as_people_read_them(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("orientation", "matrix"),
    [
        (1, ()),
        (3, (-65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30)),
        (6, QUARTER),
        (8, (0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30)),
    ],
)
def test_exif_in_the_frames_of_a_motion_jpeg_stops_nothing(
    tmp_path: Path, orientation: int, matrix: tuple[int, ...]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    frame = io.BytesIO()
    Image.fromarray(picture(0, (64, 48))).save(frame, "JPEG", exif=exif)
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as target:
        video: Any = target.add_stream("mjpeg", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuvj420p"
        target.start_encoding()
        for k in range(3):
            packet: Any = av.Packet(frame.getvalue())
            packet.stream, packet.time_base = video, Fraction(1, 25)
            packet.pts = packet.dts = k
            target.mux(packet)
    assert open_clip(path).display_matrix == matrix
    assert times(path) == [0, 1, 2]


CAPTION = b"\xb5\0\x31GA94\3\x42\xff\xfc\x94\x2c\xfc\xc1\xc2\xff"
"""CEA-608 as it lies in H.264, of ITU-T T.35."""


def test_captions_that_are_lost_are_named(tmp_path: Path) -> None:
    plain = film(tmp_path / "plain.ts", Film(times=range(5), options={"bf": "0"}))
    assert notes(plain) == []
    path = tmp_path / "clip.ts"
    message = b"\0\0\1\6\4" + bytes([len(CAPTION)]) + CAPTION + b"\x80"
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        video = source.streams.video[0]
        copy = target.add_stream_from_template(video, opaque=True)
        for k, packet in enumerate(source.demux(video)):
            if not packet.size:
                continue
            data = bytes(packet)
            # Before the first slice; not of the first frame, which captions need not begin with.
            found = re.search(rb"\x00\x00\x01[\x01\x21\x41\x61\x05\x25\x45\x65]", data)
            assert found is not None
            captioned: Any = av.Packet(data[: found.start()] + message + data[found.start() :])
            changed: Any = captioned if k > 1 else av.Packet(data)
            changed.stream, changed.time_base = copy, packet.time_base
            changed.pts, changed.dts = packet.pts, packet.dts
            changed.is_keyframe = packet.is_keyframe
            target.mux(changed)
    assert notes(path) == ["not kept: closed captions"]


SPHERE = (
    b'<?xml version="1.0"?><rdf:SphericalVideo'
    b' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    b' xmlns:GSpherical="http://ns.google.com/videos/1.0/spherical/">'
    b"<GSpherical:Spherical>true</GSpherical:Spherical>"
    b"<GSpherical:Stitched>true</GSpherical:Stitched>"
    b"<GSpherical:StitchingSoftware>a camera</GSpherical:StitchingSoftware>"
    b"<GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType></rdf:SphericalVideo>"
)


def test_a_projection_that_is_lost_is_named(tmp_path: Path) -> None:
    path = film(tmp_path / "clip.mp4", Film(times=range(3)))
    data = bytearray(path.read_bytes())
    kind = b"uuid" + bytes.fromhex("ffcc8263f8554a938814587a02521fdd")
    box = struct.pack(">I", 24 + len(SPHERE)) + kind + SPHERE
    assert data.index(b"mdat") < data.index(b"moov")
    track = data.index(b"trak") - 4
    (length,) = struct.unpack_from(">I", data, track)
    data[track + length : track + length] = box
    for place in (track, data.index(b"moov") - 4):
        (length,) = struct.unpack_from(">I", data, place)
        struct.pack_into(">I", data, place, length + len(box))
    path.write_bytes(data)
    assert notes(path) == ["not kept: the projection of a 360 degree video"]


def test_each_name_of_side_data_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path / "clip.mp4", Film(times=range(3)))
    found = iter(
        [{"DOVI_METADATA": b""}, {"SEI_UNREGISTERED": b""}, {"AFD": b"", "DOVI_RPU_BUFFER": b""}]
    )

    def side_data_of(frame: av.VideoFrame) -> dict[str, bytes]:
        return next(found)

    with FrameReader(open_clip(path)) as reader:
        monkeypatch.setattr("derain.video.reading.side_data_of", side_data_of)
        list(reader)
    assert reader.notes() == ["not kept: Dolby Vision, the active format description"]
