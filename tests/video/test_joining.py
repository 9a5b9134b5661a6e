"""Joined clips: exact times, other streams bit for bit, and the same bytes every time."""

import os
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from filming import QUARTER, Film, film, packets, picture, remake, shown

from derain.video.clip import tag_of
from derain.video.encoding import read_segment
from derain.video.errors import VideoError
from derain.video.joining import container_named, join, suffix_for
from derain.video.reading import FrameReader, open_clip

IRREGULAR = [0, 7, 15, 16, 40, 41, 100, 101, 102, 103, 250, 251, 260, 300, 301, 302, 303]
CODECS_OF = [
    ("a.mp4", "h264"),
    ("a.mp4", "h265"),
    ("a.mp4", "av1"),
    ("a.mp4", "vp9"),
    ("a.mp4", "mpeg4"),
    ("a.mov", "h264"),
    ("a.mkv", "h264"),
    ("a.mkv", "ffv1"),
    ("a.webm", "vp9"),
    ("a.ts", "h264"),
    ("a.ts", "h265"),
    ("a.flv", "h264"),
]


@pytest.mark.parametrize(("name", "codec"), CODECS_OF)
@pytest.mark.parametrize("times", [range(25), IRREGULAR])
def test_times_stay_within_half_a_tick(
    tmp_path: Path, name: str, codec: str, times: list[int]
) -> None:
    source = film(tmp_path / "clip.mkv", Film(times=times, time_base=Fraction(1, 100)))
    made = remake(source, tmp_path / name, codec=codec, frames=7)
    before, after = (open_clip(path) for path in (source, made.path))
    found = [time for time, _ in shown(made.path)]
    expected = [time for time, _ in shown(source)]
    assert len(found) == len(expected) == len(times)
    tick = max(after.time_base, before.time_base) / 2
    assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= tick


@pytest.mark.parametrize("name", ["a.ts", "a.mp4", "a.mkv"])
def test_a_clip_that_begins_late_still_does(tmp_path: Path, name: str) -> None:
    scene = Film(times=range(100, 130), time_base=Fraction(1, 25), options={"bf": "0"}, sound=True)
    source = film(tmp_path / f"clip{Path(name).suffix}", scene)
    made = remake(source, tmp_path / name, codec="h264")
    before, after = shown(source), shown(made.path)
    sounds = packets(source, "audio"), packets(made.path, "audio")
    starts = before[0][0], after[0][0]
    heard = [sound[0][0] for sound in sounds]
    assert heard[0] is not None
    assert heard[1] is not None
    assert abs((starts[0] - heard[0]) - (starts[1] - heard[1])) <= Fraction(1, 1000)
    assert starts[0] > 3


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "h264"), ("a.mkv", "ffv1"), ("a.ts", "h264")]
)
def test_other_streams_are_copied_bit_for_bit(tmp_path: Path, name: str, codec: str) -> None:
    scene = Film(times=range(60), sound=True, subtitles=name == "a.mkv")
    source = film(tmp_path / f"clip{Path(name).suffix}", scene)
    made = remake(source, tmp_path / name, codec=codec)
    for kind in ("audio", "subtitle") if scene.subtitles else ("audio",):
        before, after = packets(source, kind), packets(made.path, kind)
        assert len(before) > 2
        assert [data for _, data in before] == [data for _, data in after]
        if name != "a.ts":
            assert [time for time, _ in before] == [time for time, _ in after]
    with av.open(str(made.path)) as target:
        assert target.streams.audio[0].language == "fra"
    assert made.notes == []


@pytest.mark.parametrize("name", ["a.mkv", "a.mov", "a.mp4"])
def test_sound_stays_with_the_picture_in_another_container(tmp_path: Path, name: str) -> None:
    """Sound that begins before the first moment, as AAC does, sets nothing back."""
    source = film(tmp_path / "clip.mp4", Film(times=range(60), sound=True))
    made = remake(source, tmp_path / name, codec="h264")
    before, after = packets(source, "audio"), packets(made.path, "audio")
    assert before[0][0] == Fraction(-1024, 48000)
    if name == "a.mkv":  # which would set back all else for what is never heard
        before = before[1:]
    assert [data for _, data in before] == [data for _, data in after]
    for (time, _), (later, _) in zip(before, after, strict=True):
        assert abs((time or 0) - (later or 0)) <= Fraction(1, 1000)
    assert shown(made.path)[0][0] == 0


def test_a_cover_picture_is_kept(tmp_path: Path) -> None:
    plain = film(tmp_path / "plain.mp4", Film(sound=True))
    covered = tmp_path / "clip.mp4"
    with av.open(str(plain)) as source, av.open(str(covered), "w") as target:
        copies = {s.index: target.add_stream_from_template(s, opaque=True) for s in source.streams}
        cover = target.add_stream("mjpeg")
        cover.width, cover.height, cover.pix_fmt = 32, 24, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        art = cover.encode(av.VideoFrame.from_ndarray(picture(0, (32, 24)), "rgb24"))
        for packet in [*art, *cover.encode(None)]:
            target.mux(packet)
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    clip = open_clip(covered)
    assert (clip.width, clip.height) == (64, 48)
    made = remake(covered, tmp_path / "a.mp4", codec="h264", start=0.4)
    with av.open(str(covered)) as before, av.open(str(made.path)) as after:
        pictures = [
            [bytes(p) for p in file.demux(stream) if p.size]
            for file in (before, after)
            for stream in file.streams.video
            if stream.disposition & Disposition.attached_pic
        ]
    assert len(pictures) == 2
    assert pictures[0] == pictures[1] != []


def test_all_that_matroska_holds_is_kept(tmp_path: Path) -> None:
    scene = Film(
        sound=True,
        subtitles=True,
        attachment=b"letters" * 100,
        metadata={"title": "Il pleut", "comment": "à verse"},
        chapters=[(0, 500, "Anfang"), (500, 1200, "Ende")],
        matrix=QUARTER,
    )
    source = film(tmp_path / "clip.mkv", scene)
    made = remake(source, tmp_path / "a.mkv", codec="h264")
    with av.open(str(source)) as before, av.open(str(made.path)) as after:
        assert [s.type for s in after.streams] == [s.type for s in before.streams]
        assert [s.disposition for s in after.streams] == [s.disposition for s in before.streams]
        metadata = {key.lower(): value for key, value in after.metadata.items()}
        assert metadata["title"] == "Il pleut"
        assert metadata["comment"] == "à verse"
        chapters = [(c["start"] * c["time_base"], c["metadata"]) for c in after.chapters()]  # pyright: ignore
        assert chapters == [(0, {"title": "Anfang"}), (Fraction(1, 2), {"title": "Ende"})]
        attachment = after.streams.attachments[0]
        assert (attachment.name, attachment.data) == ("font.ttf", b"letters" * 100)
    assert open_clip(made.path).display_matrix == QUARTER
    assert made.notes == []


def test_metadata_and_chapters_of_mp4_are_kept(tmp_path: Path) -> None:
    metadata = {"title": "Il pleut", "creation_time": "2016-07-21T06:49:09.000000Z"}
    scene = Film(metadata=metadata, chapters=[(0, 500, "Anfang"), (500, 1200, "Ende")])
    made = remake(film(tmp_path / "clip.mp4", scene), tmp_path / "a.mp4", codec="h264")
    with av.open(str(made.path)) as after:
        assert {key: after.metadata[key] for key in metadata} == metadata
        assert [c["metadata"]["title"] for c in after.chapters()] == ["Anfang", "Ende"]


def timecodes(path: Path) -> list[str]:
    """Return the time codes of a file and of its streams, each once."""
    with av.open(str(path)) as file:
        held = [file.metadata, *(stream.metadata for stream in file.streams)]
        return sorted({text for tags in held if (text := tag_of(tags, "timecode"))})


@pytest.mark.parametrize(
    ("source", "name"),
    [("clip.mov", "a.mov"), ("clip.mp4", "a.mp4"), ("clip.mov", "a.mkv"), ("clip.mkv", "a.mov")],
)
def test_a_time_code_is_kept(tmp_path: Path, source: str, name: str) -> None:
    scene = Film(sound=True, metadata={"timecode": "01:02:03:04"})
    clip = film(tmp_path / source, scene)
    made = remake(clip, tmp_path / name, codec="h264")
    assert timecodes(made.path) == timecodes(clip) == ["01:02:03:04"]
    assert made.notes == []
    with av.open(str(made.path)) as target:
        assert len(target.streams.data) == (name != "a.mkv")
    assert packets(made.path, "audio")


def test_a_part_has_the_time_code_of_its_first_frame(tmp_path: Path) -> None:
    scene = Film(times=range(60), metadata={"timecode": "01:02:03:04"})
    clip = film(tmp_path / "clip.mov", scene)
    made = remake(clip, tmp_path / "a.mov", codec="h264", start=1.04, end=1.5)
    assert timecodes(made.path) == ["01:02:04:05"]


def test_the_stream_of_an_mp4s_chapters_is_no_loss(tmp_path: Path) -> None:
    scene = Film(chapters=[(0, 500, "Anfang"), (500, 1200, "Ende")])
    clip = film(tmp_path / "clip.mp4", scene)
    assert [str(each) for each in open_clip(clip).companions] == ["data stream 1 (chapters)"]
    for name in ("a.mp4", "a.mov", "a.mkv"):
        made = remake(clip, tmp_path / name, codec="h264")
        assert made.notes == []
        with av.open(str(made.path)) as after:
            assert [c["metadata"]["title"] for c in after.chapters()] == ["Anfang", "Ende"]


@pytest.mark.parametrize("name", ["a.ts", "a.avi"])
def test_lost_chapters_are_named(tmp_path: Path, name: str) -> None:
    scene = Film(chapters=[(0, 1000, "all")], metadata={"timecode": "01:00:00:00"})
    made = remake(film(tmp_path / "clip.mkv", scene), tmp_path / name, codec="h264")
    muxer = {"a.ts": "mpegts", "a.avi": "avi"}[name]
    chapters, *others = made.notes
    assert chapters == f"{muxer} cannot hold chapters; expected .mp4 or .mkv"
    lost = "mpegts cannot hold the time code 01:00:00:00; expected .mp4 or .mkv"
    assert others == ([lost] if name == "a.ts" else [])
    assert timecodes(made.path) == ([] if name == "a.ts" else ["01:00:00:00"])


@pytest.mark.parametrize("name", ["a.mp4", "a.ts"])
def test_sound_that_only_a_whole_file_refuses_is_named(tmp_path: Path, name: str) -> None:
    """MP4 fails at its end, and MPEG-TS takes it for data that no player plays."""
    source = film(tmp_path / "clip.mkv", Film(sound=True, sound_codec="pcm_s16le"))
    made = remake(source, tmp_path / name, codec="h264")
    muxer = container_named(name, "h264").muxer
    assert made.notes == [f"audio stream 1 (pcm_s16le) is left out: {muxer} cannot hold it"]
    assert len(shown(made.path)) == 30
    moved = source.rename(tmp_path / "clip.mpg")
    assert suffix_for(open_clip(moved), "h264") == ".mkv"


def test_what_fails_at_the_end_is_reported_with_the_final_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = film(tmp_path / "clip.mkv", Film(sound=True, sound_codec="pcm_s16le"))
    made = remake(source, tmp_path / "a.mkv", codec="h264")

    def holds(*_: object) -> bool:
        return True

    monkeypatch.setattr("derain.video.joining._holds", holds)
    with pytest.raises(VideoError, match=r"^final\.mp4: cannot be written \(Invalid argument\)$"):
        join(made.clip, made.segments, made.encoder, tmp_path / "b.mp4", name="final.mp4")
    assert not (tmp_path / "b.mp4").exists()


def test_the_index_of_an_mp4_comes_first(tmp_path: Path) -> None:
    made = remake(film(tmp_path / "clip.mp4"), tmp_path / "a.mp4", codec="h264")
    data = made.path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_what_a_container_cannot_hold_is_named(tmp_path: Path) -> None:
    scene = Film(sound=True, subtitles=True, attachment=b"letters", matrix=QUARTER)
    source = film(tmp_path / "clip.mkv", scene)
    made = remake(source, tmp_path / "a.mp4", codec="h264")
    left = [note for note in made.notes if "is left out: mp4 cannot hold it" in note]
    assert [note.split(" (")[0].split(" is")[0] for note in left] == [
        "subtitle stream 2",
        "attachment stream 3",
    ]
    assert len(packets(made.path, "audio")) == len(packets(source, "audio"))
    turned = remake(source, tmp_path / "a.ts", codec="h264")
    assert any("cannot hold how the picture is turned" in note for note in turned.notes)


def test_avi_keeps_no_variable_rate_and_says_so(tmp_path: Path) -> None:
    even = remake(film(tmp_path / "even.mp4"), tmp_path / "even.avi", codec="h264")
    assert even.notes == []
    assert len(shown(even.path)) == 30
    scene = Film(times=IRREGULAR, time_base=Fraction(1, 100))
    odd = remake(film(tmp_path / "odd.mkv", scene), tmp_path / "odd.avi", codec="h264")
    assert any("constant rate" in note for note in odd.notes)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_the_same_segments_make_the_same_file(tmp_path: Path, name: str) -> None:
    source = film(tmp_path / f"clip{Path(name).suffix}", Film(sound=True))
    made = remake(source, tmp_path / name, codec="h264")
    first = made.path.read_bytes()
    segments = [read_segment(segment.path) for segment in made.segments]
    join(made.clip, segments, made.encoder, made.path)
    assert made.path.read_bytes() == first


def test_segments_hide_where_they_meet(tmp_path: Path) -> None:
    source = film(tmp_path / "clip.mkv", Film(times=range(23), codec="ffv1"))
    whole = remake(source, tmp_path / "whole.mkv", frames=100)
    parts = remake(source, tmp_path / "parts.mkv", frames=5)
    assert len(parts.segments) == 5
    for (time, one), (other_time, other) in zip(shown(whole.path), shown(parts.path), strict=True):
        assert time == other_time
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_part_has_its_sound_and_begins_at_once(tmp_path: Path, name: str) -> None:
    scene = Film(times=range(75), sound=True, chapters=[(0, 1500, "one"), (1500, 3000, "two")])
    source = film(tmp_path / f"clip{Path(name).suffix}", scene)
    made = remake(source, tmp_path / name, codec="h264", start=1.0, end=2.0)
    times = [time for time, _ in shown(made.path)]
    assert len(times) == 25
    assert times[0] == 0
    before, after = packets(source, "audio"), packets(made.path, "audio")
    part = [(time, data) for time, data in before if time is not None and 1 <= time < 2]
    assert [data for _, data in part] == [data for _, data in after]
    assert all(
        abs((time or 0) - 1 - (later or 0)) <= Fraction(1, 1000)
        for (time, _), (later, _) in zip(part, after, strict=True)
    )
    with av.open(str(made.path)) as target:
        spans = [
            (float(c["start"] * (c["time_base"] or 1)), float(c["end"] * (c["time_base"] or 1)))
            for c in target.chapters()
        ]
    assert spans == [(0, 0.5), (0.5, 1.0)]


@pytest.mark.parametrize("count", [1, 2])
def test_few_frames_are_a_clip(tmp_path: Path, count: int) -> None:
    source = film(tmp_path / "clip.mp4", Film(times=range(count), sound=True))
    made = remake(source, tmp_path / "a.mp4", codec="h264")
    assert len(shown(made.path)) == count


def test_no_frames_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    source = film(tmp_path / "clip.mp4")
    with pytest.raises(VideoError, match="0 frames to write"):
        remake(source, tmp_path / "a.mp4", codec="h264", start=0.5, end=0.5)
    assert not (tmp_path / "a.mp4").exists()


def test_a_damaged_clip_is_joined_with_what_is_left(tmp_path: Path) -> None:
    source = film(tmp_path / "clip.mkv", Film(times=range(60), sound=True, options={"g": "5"}))
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 7 // 10])
    made = remake(source, tmp_path / "a.mkv", codec="h264")
    with FrameReader(made.clip) as reader:
        there = len(list(reader))
    assert 10 < there < 60
    assert len(shown(made.path)) == there
    assert any("cut off" in note for note in made.notes)


@pytest.mark.parametrize(
    ("source", "codec", "scene", "expected"),
    [
        ("clip.mp4", "h264", Film(), ".mp4"),
        ("clip.MOV", "h264", Film(), ".mov"),
        ("clip.ts", "h264", Film(), ".ts"),
        ("clip.webm", "h264", Film(codec="libvpx-vp9"), ".mp4"),
        ("clip.webm", "vp9", Film(codec="libvpx-vp9"), ".webm"),
        ("clip.mkv", "h264", Film(subtitles=True), ".mkv"),
        ("clip.mp4", "ffv1", Film(), ".mkv"),
        ("clip.mpg", "h264", Film(codec="mpeg2video"), ".mp4"),
    ],
)
def test_a_result_has_the_clips_container_where_it_fits(
    tmp_path: Path, source: str, codec: str, scene: Film, expected: str
) -> None:
    assert suffix_for(open_clip(film(tmp_path / source, scene)), codec) == expected


def test_containers_are_known_by_their_names() -> None:
    assert container_named("a.MP4", "h264").muxer == "mp4"
    with pytest.raises(
        VideoError, match=r"\.xyz is not a video format that derain writes; expected a name in"
    ):
        container_named("a.xyz", "h264")
    with pytest.raises(VideoError, match="webm does not hold h264; expected the codec av1 or vp9"):
        container_named("a.webm", "h264")


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from derain.errors import reason
from derain.video.encoding import encoder_for, read_segment
from derain.video.joining import join
from derain.video.reading import open_clip
# As a full disk does: from a size on, nothing can be written.
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
clip = open_clip(sys.argv[1])
parts = sorted(Path(sys.argv[2] + ".parts").iterdir())
try:
    join(clip, [read_segment(part) for part in parts], encoder_for(clip), sys.argv[2])
except OSError as error:
    print(reason(error))
"""


@pytest.mark.parametrize("limit", [10, 3000])
def test_a_full_disk_is_reported_with_the_final_name(tmp_path: Path, limit: int) -> None:
    source = film(tmp_path / "clip.mp4", Film(sound=True))
    made = remake(source, tmp_path / "a.mp4", codec="h264")
    made.path.unlink()
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(source), str(made.path), str(limit)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == f"File too large: {made.path}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4.parts", "clip.mp4"]


def test_killed_in_the_middle_it_leaves_no_result(tmp_path: Path) -> None:
    source = film(tmp_path / "clip.mp4", Film(times=range(200), size=(320, 240), sound=True))
    code = (
        "import sys; sys.path.insert(0, sys.argv[3])\n"
        "from pathlib import Path\n"
        "from filming import remake\n"
        "print('begun', flush=True)\n"
        "remake(Path(sys.argv[1]), Path(sys.argv[2]), codec='h264', preset='veryslow')"
    )
    result = tmp_path / "a.mp4"
    begun = subprocess.Popen(
        [sys.executable, "-c", code, str(source), str(result), str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert begun.stdout is not None
    assert begun.stdout.readline() == b"begun\n"
    while not list(tmp_path.glob("a.mp4.parts/0*")):
        assert begun.poll() is None
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    begun.stdout.close()
    assert not result.exists()
    for part in tmp_path.glob("a.mp4.parts/0*"):
        assert len(read_segment(part).pts) == 10


def test_transparency_beside_the_frames_is_named_and_no_longer_announced(tmp_path: Path) -> None:
    scene = Film(
        times=range(3),
        codec="libvpx-vp9",
        format="yuva420p",
        options={"auto-alt-ref": "0", "cpu-used": "8"},
    )
    source = film(tmp_path / "clip.webm", scene)
    clip = open_clip(source)
    assert (clip.format, clip.hidden_alpha) == ("yuv420p", True)
    made = remake(source, tmp_path / "a.webm", codec="vp9")
    assert made.notes == ["transparency is left out"]
    assert not open_clip(made.path).hidden_alpha


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_views_of_two_eyes_stay_where_matroska_says_so(tmp_path: Path, name: str) -> None:
    scene = Film(times=range(3), stream_metadata={"stereo_mode": "left_right"})
    source = film(tmp_path / "clip.mkv", scene)
    made = remake(source, tmp_path / name, codec="h264")
    lost = ["mp4 does not get how the views of its two eyes lie"]
    assert open_clip(source).stereo
    assert made.notes == ([] if name == "a.mkv" else lost)
    assert open_clip(made.path).stereo == (name == "a.mkv")
