"""Segments that are made apart from the others: the same bytes, from a jump into the clip on."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from filming import Film, film
from numpy_engines import Unchanged

from derain.clips import pipeline, resume, shares
from derain.clips.pipeline import run
from derain.clips.plan import Job, Options, plan
from derain.clips.shares import Share, do_share, join_shares, kind_of, segments_in, times_of
from derain.restore import Derainer
from derain.tiles import Float32s
from derain.video.reading import FrameReader, open_clip

UNEVEN = Film(
    times=[k * 3 + (k % 5 == 0) for k in range(44)],
    time_base=Fraction(1, 75),
    options={"g": "6", "bf": "2"},
)


class Whole(Unchanged):
    """Makes of each picture of a batch something that depends on the size of the batch."""

    def __init__(self, at_once: int) -> None:
        super().__init__()
        self._at_once = at_once

    def forward(self, rainy: Float32s) -> Float32s:
        return rainy * np.float32(1 - len(rainy) / 50)

    def tiles_at_once(self, memory: int) -> int:
        return self._at_once


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pipeline, resume, shares):
        monkeypatch.setattr(module, "SEGMENT_FRAMES", 8)


def job_of(source: Path, output: Path, temporal: str | int = "off") -> Job:
    (job,) = plan(source, output, Options(codec="ffv1", temporal=temporal)).jobs
    return job


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts"])
def test_times_are_those_of_the_decoded_frames(name: str, tmp_path: Path) -> None:
    clip = open_clip(film(tmp_path / name, replace(UNEVEN, sound=True)))
    with FrameReader(clip) as reader:
        assert times_of(clip) == tuple(decoded.pts for decoded in reader)


def test_a_stream_without_times_is_not_cut(tmp_path: Path) -> None:
    clip = open_clip(film(tmp_path / "clip.h264", Film(times=range(5))))
    assert times_of(clip) is None


@pytest.mark.parametrize(("temporal", "at_once"), [("off", 3), (3, 1), (11, 3)])
def test_shares_in_any_order_are_the_segments_of_the_whole(
    temporal: str | int, at_once: int, tmp_path: Path
) -> None:
    source = film(tmp_path / "clip.mkv", UNEVEN)
    derainer = Derainer(Whole(at_once))
    whole = job_of(source, tmp_path / "whole.mkv", temporal)
    (expected,) = run([whole], derainer)
    job = job_of(source, tmp_path / "parts.mkv", temporal)
    times = times_of(job.clip)
    assert times is not None
    assert segments_in(len(times)) == 6
    found: dict[int, bytes] = {}
    for first, end in ((4, 6), (1, 3), (0, 1), (3, 4)):
        assert do_share(job, derainer, Share(first, end, times), found.__setitem__)
    result = join_shares(job, derainer, (found[k] for k in range(6)))
    # Nothing was left to do, and nothing done again.
    assert (result.resumed, result.frames, result.error) == (44, 44, None)
    assert result.notes == expected.notes
    assert job.target.read_bytes() == whole.target.read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_segments_that_are_missing_are_made_when_it_is_joined(tmp_path: Path) -> None:
    source = film(tmp_path / "clip.mkv", UNEVEN)
    derainer = Derainer(Whole(1))
    job = job_of(source, tmp_path / "parts.mkv")
    times = times_of(job.clip)
    assert times is not None
    found: dict[int, bytes] = {}
    do_share(job, derainer, Share(0, 2, times), found.__setitem__)
    result = join_shares(job, derainer, found.values())
    assert (result.resumed, result.frames) == (16, 44)


def test_only_segments_of_one_kind_are_joined(tmp_path: Path) -> None:
    source = film(tmp_path / "clip.mkv", UNEVEN)
    jobs = [job_of(source, tmp_path / "a.mkv", temporal) for temporal in ("off", 3)]
    assert kind_of(jobs[0]) == kind_of(job_of(source, tmp_path / "b.mkv"))
    assert kind_of(jobs[0]) != kind_of(jobs[1])
