"""Names of results, and what is refused before the work."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from filming import Film, film

from derain.clips.names import is_clip_name
from derain.clips.plan import Options, plan
from derain.errors import UsageError


def targets(*args: object) -> list[str]:
    made = plan(*args)  # type: ignore[arg-type]
    assert made.refused == ()
    return [job.target.name for job in made.jobs]


def test_clips_are_known_by_their_names() -> None:
    assert is_clip_name("a/B.MOV")
    assert is_clip_name(Path("yard.webm"))
    assert not any(map(is_clip_name, ("photo.jpg", "mp4", "folder", ".mp4", "-")))


@pytest.mark.parametrize(
    ("name", "codec", "result"),
    [
        ("clip.mp4", "h264", "clip_derained.mp4"),
        ("clip.mkv", "h264", "clip_derained.mkv"),
        ("clip.MOV", "h264", "clip_derained.mov"),
        ("clip.mp4", "ffv1", "clip_derained.mkv"),
        ("clip.avi", "h264", "clip_derained.avi"),
    ],
)
def test_results_keep_the_container_that_fits(
    tmp_path: Path, name: str, codec: str, result: str
) -> None:
    assert targets(film(tmp_path / name), None, Options(codec=codec)) == [result]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("b.mp4", "h264"), ("b.webm", "av1"), ("b.ts", "h264"), ("b.MKV", "h264"), ("new", "h264")],
)
def test_a_container_decides_on_the_codec_where_nobody_does(
    tmp_path: Path, name: str, codec: str
) -> None:
    (job,) = plan([film(tmp_path / "a.mp4")], tmp_path / name).jobs
    assert job.encoder.codec == codec


def test_results_go_where_they_are_sent(tmp_path: Path) -> None:
    clips = [film(tmp_path / f"{k}.mp4") for k in range(2)]
    into = plan(clips, tmp_path / "new").jobs
    assert [job.target for job in into] == [
        tmp_path / "new" / f"{k}_derained.mp4" for k in range(2)
    ]
    assert not (tmp_path / "new").exists()
    assert plan(clips[0], tmp_path / "other.mkv").jobs[0].target == tmp_path / "other.mkv"


def test_a_clip_that_is_named_twice_is_done_once(tmp_path: Path) -> None:
    clip = film(tmp_path / "clip.mp4")
    assert targets([clip, clip]) == ["clip_derained.mp4"]


def test_no_result_replaces_its_clip(tmp_path: Path) -> None:
    clip = film(tmp_path / "clip.mp4")
    ((path, error),) = plan(clip, clip, Options(force=True)).refused
    assert path == clip
    assert "the result would overwrite its input" in str(error)


def test_two_clips_do_not_share_a_result(tmp_path: Path) -> None:
    clips = [tmp_path / name / "clip.mp4" for name in "ab"]
    for clip in clips:
        clip.parent.mkdir()
        film(clip)
    made = plan(clips, tmp_path / "out")
    assert [job.source for job in made.jobs] == clips[:1]
    assert "needs; give them folders of their own" in str(made.refused[0][1])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(temporal=4), "temporal=4"),
        (Options(codec="cinepak"), "codec=cinepak"),
        (Options(crf=99), "crf=99"),
        (Options(preset="warp"), "preset=warp"),
        (Options(start=-1), "start=-1"),
        (Options(start=2, end=2), "end=2: expected more than the start, 2"),
        (Options(end=float("nan")), "end=nan"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    tmp_path: Path, options: Options, words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        plan(film(tmp_path / "clip.mp4"), None, options)
    assert words in str(caught.value)


def test_one_file_is_not_for_several_clips(tmp_path: Path) -> None:
    clips = [film(tmp_path / f"{k}.mp4") for k in range(2)]
    with pytest.raises(UsageError, match="one file for 2 clips; expected a folder"):
        plan(clips, tmp_path / "out.mp4")


def test_what_cannot_be_read_is_refused_with_its_reason(tmp_path: Path) -> None:
    empty, absent = tmp_path / "empty.mp4", tmp_path / "absent.mp4"
    empty.touch()
    good = film(tmp_path / "good.mp4")
    made = plan([empty, absent, good])
    assert [job.source for job in made.jobs] == [good]
    assert [path for path, _ in made.refused] == [empty, absent]
    assert "is empty" in str(made.refused[0][1])
    assert isinstance(made.refused[1][1], FileNotFoundError)


def test_a_start_behind_the_end_is_refused(tmp_path: Path) -> None:
    made = plan(film(tmp_path / "clip.mp4"), None, Options(start=9))
    assert "has no frame from 0:09.00 on" in str(made.refused[0][1])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    clip = film(tmp_path / "clip.mp4")
    tmp_path.chmod(0o500)
    try:
        assert isinstance(plan(clip).refused[0][1], PermissionError)
    finally:
        tmp_path.chmod(0o700)


def test_jobs_say_how_many_frames_to_expect(tmp_path: Path) -> None:
    clip = film(tmp_path / "clip.mp4", Film(times=range(50)))
    options = Options()
    (whole,) = plan(clip).jobs
    (part,) = plan(clip, None, replace(options, start=0.4, end=1.2)).jobs
    (rest,) = plan(clip, None, replace(options, start=1.6)).jobs
    assert [job.frames for job in (whole, part, rest)] == [50, 20, 10]
