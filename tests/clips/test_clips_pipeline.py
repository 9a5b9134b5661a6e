"""Clips through all stages: every frame at its time, resumed to the byte, nothing half done."""

import os
import subprocess
import sys
import time
import weakref
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filming import Film, film, packets, shown
from numpy_engines import Unchanged

from derain.clips import pipeline, resume
from derain.clips.pipeline import run
from derain.clips.plan import Job, Options, plan
from derain.clips.results import Result
from derain.clips.resume import Parts
from derain.errors import ExistsError, UsageError
from derain.restore import Derainer
from derain.tiles import Float32s
from derain.video.errors import VideoError
from derain.video.frame import Frame
from derain.video.pixels import Pixels

LOSSLESS = Options(codec="ffv1", temporal="off")


class Darker(Unchanged):
    """Takes a tenth of the light."""

    def forward(self, rainy: Float32s) -> Float32s:
        return rainy * np.float32(0.9)


class Batches(Darker):
    """Takes three pictures at once, as a GPU does."""

    def tiles_at_once(self, memory: int) -> int:
        return 3


class Stops(Darker):
    """Is interrupted at a frame."""

    def __init__(self, frames: int, error: BaseException) -> None:
        super().__init__()
        self.left, self.error = frames, error

    def forward(self, rainy: Float32s) -> Float32s:
        self.left -= len(rainy)
        if self.left < 0:
            raise self.error
        return super().forward(rainy)


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pipeline, resume):
        monkeypatch.setattr(module, "SEGMENT_FRAMES", 8)


def only_job(source: Path, options: Options, output: Path | None = None) -> Job:
    (job,) = plan(source, output, options).jobs
    return job


def derained(job: Job, derainer: Derainer | None) -> Result:
    (result,) = run([job], derainer)
    return result


def test_every_frame_and_stream_arrives(tmp_path: Path) -> None:
    times = (0, 3, 4, 9, 20, 21, 22, 40, 41, 45, 46, 47, 60)
    source = film(tmp_path / "clip.mkv", Film(times=times, time_base=Fraction(1, 50), sound=True))
    result = derained(only_job(source, LOSSLESS), Derainer(Unchanged()))
    assert (result.status, result.frames, result.error) == ("done", len(times), None)
    assert result.target == tmp_path / "clip_derained.mkv"
    before, after = shown(source), shown(result.target)
    assert [time for time, _ in before] == [time for time, _ in after]
    for (_, old), (_, new) in zip(before, after, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(old, new, strict=True))
    assert packets(source, "audio") == packets(result.target, "audio")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mkv", "clip_derained.mkv"]


def test_the_network_changes_what_is_written(tmp_path: Path) -> None:
    source = film(tmp_path / "clip.mkv")
    result = derained(only_job(source, LOSSLESS), Derainer(Darker()))
    means = [np.mean([planes[0].mean() for _, planes in shown(p)]) for p in (source, result.target)]
    # Limited range: black is 16.
    assert means[1] - 16 == pytest.approx(0.9 * (means[0] - 16), abs=0.3)


def test_batches_make_the_same_frames(tmp_path: Path) -> None:
    source = film(tmp_path / "clip.mkv")
    engine = Batches()
    one = derained(only_job(source, LOSSLESS, tmp_path / "one.mkv"), Derainer(Darker()))
    three = derained(only_job(source, LOSSLESS, tmp_path / "three.mkv"), Derainer(engine))
    assert one.target.read_bytes() == three.target.read_bytes()
    assert {shape[0] for shape in engine.seen[1:]} == {3}


def test_neighbours_help_without_a_network(tmp_path: Path) -> None:
    source = film(tmp_path / "clip.mkv", Film(times=range(20)))
    result = derained(only_job(source, Options(codec="ffv1", temporal=5)), None)
    assert (result.status, result.frames) == ("done", 20)
    assert [time for time, _ in shown(source)] == [time for time, _ in shown(result.target)]


def test_there_has_to_be_something_to_do(tmp_path: Path) -> None:
    job = only_job(film(tmp_path / "clip.mkv"), LOSSLESS)
    with pytest.raises(UsageError, match="nothing to do without a model"):
        run([job], None)


@pytest.mark.parametrize(
    ("engine", "calls", "temporal"),
    [
        (Darker, 3, "off"),
        (Darker, 14, "5"),
        (Darker, 29, "auto"),
        (Batches, 3, "5"),
        (Batches, 14, "auto"),
        (Batches, 29, "off"),
    ],
)
def test_resumed_work_gives_the_same_bytes(
    tmp_path: Path, temporal: str, calls: int, engine: type[Darker]
) -> None:
    source = film(tmp_path / "clip.mp4", Film(sound=True))
    options = Options(temporal=temporal, resume=True, preset="ultrafast")
    whole = derained(only_job(source, options, tmp_path / "whole.mp4"), Derainer(engine()))
    job = only_job(source, options, tmp_path / "cut.mp4")

    class Cut(Stops, engine):  # type: ignore[misc, valid-type]
        pass

    with pytest.raises(KeyboardInterrupt):
        derained(job, Derainer(Cut(calls, KeyboardInterrupt())))
    assert not job.target.exists()
    again = derained(job, Derainer(engine()))
    assert again.status == "done"
    assert calls < 29 or again.resumed >= 8
    assert again.target.read_bytes() == whole.target.read_bytes()


def test_what_fails_says_where_the_rest_waits(tmp_path: Path) -> None:
    source = film(tmp_path / "clip.mp4")
    job = only_job(source, Options(temporal="off"))
    # One call is for the fingerprint.
    result = derained(job, Derainer(Stops(21, ValueError("the lights went out"))))
    assert (result.status, result.message) == ("failed", "the lights went out")
    assert result.unfinished is not None
    assert result.unfinished == tmp_path / "clip_derained.mp4.parts"
    assert not job.target.exists()
    again = derained(replace(job, resume=True), Derainer(Stops(1000, ValueError())))
    assert (again.status, again.frames) == ("done", 30)
    assert again.resumed >= 8
    assert not result.unfinished.exists()


def test_what_fails_at_once_leaves_nothing(tmp_path: Path) -> None:
    job = only_job(film(tmp_path / "clip.mp4"), Options(temporal="off"))
    result = derained(job, Derainer(Stops(1, ValueError("no"))))
    assert (result.status, result.unfinished) == ("failed", None)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_no_more_frames_are_held_than_the_stages_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[weakref.ref[Frame]] = []
    most = [0]
    planes = Pixels.planes

    def counted(self: Pixels, frame: Any) -> Frame:
        made = planes(self, frame)
        held[:] = [one for one in held if one() is not None]
        held.append(weakref.ref(made))
        most.append(len(held))
        return made

    monkeypatch.setattr(Pixels, "planes", counted)
    source = film(tmp_path / "clip.mp4", Film(times=range(150), size=(32, 24)))
    result = derained(only_job(source, Options(temporal=5)), Derainer(Unchanged()))
    assert (result.message, result.frames) == ("", 150)
    # Two queues, a window, and one or two in each stage.
    assert 1 < max(most) <= 2 * pipeline.ROOM + 5 + 8


SLOW = """
import sys, time
from pathlib import Path
from derain.clips import pipeline, resume
from derain.clips.plan import Options, plan
from derain.restore import Derainer
from numpy_engines import Unchanged

pipeline.SEGMENT_FRAMES = resume.SEGMENT_FRAMES = 8

class Slow(Unchanged):
    def forward(self, rainy):
        time.sleep(0.02)
        return rainy * 0.9

(job,) = plan(Path(sys.argv[1]), Path(sys.argv[2]), Options(resume=True)).jobs
(result,) = pipeline.run([job], Derainer(Slow()))
print(result.status, result.resumed)
"""


def test_killed_work_leaves_nothing_under_the_final_name_and_resumes(tmp_path: Path) -> None:
    source = film(tmp_path / "clip.mp4", Film(times=range(60), sound=True))
    target = tmp_path / "result.mp4"
    paths = os.pathsep.join([str(Path(__file__).parent.parent), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths}
    command = [sys.executable, "-c", SLOW, str(source)]
    with subprocess.Popen([*command, str(target)], env=environment) as process:
        until = time.monotonic() + 60
        second = Parts(target).path(1)
        while not second.exists() and time.monotonic() < until:
            time.sleep(0.005)
        process.kill()
    assert process.returncode != 0
    assert second.exists()
    assert not target.exists()
    whole = tmp_path / "whole.mp4"
    for place in (target, whole):
        done = subprocess.run(
            [*command, str(place)], env=environment, check=True, capture_output=True, text=True
        )
        assert done.stdout.startswith("done")
        assert (int(done.stdout.split()[1]) >= 16) == (place == target)
    assert target.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "clip.mp4",
        "result.mp4",
        "whole.mp4",
    ]


def test_existing_results_are_left_alone(tmp_path: Path) -> None:
    job = only_job(film(tmp_path / "clip.mp4"), LOSSLESS, tmp_path / "clip_derained.mkv")
    job.target.write_bytes(b"mine")
    result = derained(job, Derainer(Unchanged()))
    assert result.status == "skipped"
    assert isinstance(result.error, ExistsError)
    assert job.target.read_bytes() == b"mine"
    assert derained(replace(job, force=True), Derainer(Unchanged())).status == "done"
    assert len(shown(job.target)) == 30


def test_progress_counts_frames_then_packets(tmp_path: Path) -> None:
    job = only_job(film(tmp_path / "clip.mp4"), Options(temporal=3))
    reports: list[tuple[str, int, int]] = []

    def note(stage: str, done: int, total: int) -> None:
        reports.append((stage, done, total))

    list(run([job], Derainer(Unchanged()), lambda _: note))
    assert [r for r in reports if r[0] == "frames"] == [("frames", k, 30) for k in range(31)]
    assert reports[-1] == ("joining", 30, 30)


def test_a_part_of_a_clip(tmp_path: Path) -> None:
    source = film(tmp_path / "clip.mkv", Film(times=range(50), sound=True))
    options = replace(LOSSLESS, start=0.4, end=1.2)
    job = only_job(source, options)
    assert job.frames == 20
    result = derained(job, Derainer(Unchanged()))
    assert (result.status, result.frames) == ("done", 20)
    before, after = shown(source)[10:30], shown(result.target)
    for (_, old), (_, new) in zip(before, after, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(old, new, strict=True))


def test_what_changes_its_size_fails_with_its_time(tmp_path: Path) -> None:
    parts = [
        film(tmp_path / f"{k}.ts", Film(size=size)) for k, size in enumerate([(64, 48), (32, 24)])
    ]
    source = tmp_path / "clip.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    job = only_job(source, Options(temporal="off"))
    result = derained(job, Derainer(Unchanged()))
    assert isinstance(result.error, VideoError)
    assert "64x48 to 32x24" in result.message
    assert not job.target.exists()


def test_one_bad_clip_does_not_stop_the_others(tmp_path: Path) -> None:
    good, bad = film(tmp_path / "good.mp4"), tmp_path / "bad.mp4"
    bad.write_bytes(b"no clip")
    made = plan([bad, good])
    assert [path for path, _ in made.refused] == [bad]
    assert [result.status for result in run(made.jobs, Derainer(Unchanged()))] == ["done"]
