"""What is finished of a clip counts only where everything is the same."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filming import Film, film
from numpy_engines import Unchanged

from derain.clips import pipeline, resume
from derain.clips.pipeline import run
from derain.clips.plan import Job, Options, plan
from derain.clips.results import Result
from derain.clips.resume import Parts, facts_of
from derain.restore import Derainer
from derain.tiles import Float32s
from derain.video.errors import VideoError


class Scaled(Unchanged):
    """Takes some of the light, and fails after some frames."""

    def __init__(self, scale: float = 0.9, frames: int = 1000) -> None:
        super().__init__()
        self.scale, self.left = np.float32(scale), frames

    def forward(self, rainy: Float32s) -> Float32s:
        self.left -= len(rainy)
        if self.left < 0:
            raise RuntimeError("stopped")
        return rainy * self.scale


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job of which some segments of eight frames are finished."""
    for module in (pipeline, resume):
        monkeypatch.setattr(module, "SEGMENT_FRAMES", 8)
    options = Options(codec="ffv1", temporal="off", resume=True)
    (job,) = plan(film(tmp_path / "clip.mkv"), None, options).jobs
    result = derained(job, Scaled(frames=27))
    assert result.status == "failed"
    assert Parts(job.target).path(0).exists()
    return job


def derained(job: Job, engine: Unchanged) -> Result:
    (result,) = run([job], Derainer(engine))
    return result


def test_the_same_work_goes_on(stopped: Job) -> None:
    result = derained(stopped, Scaled())
    assert result.resumed >= 8
    assert (result.frames, result.notes) == (30, ())


def test_without_resume_all_is_done_again(stopped: Job) -> None:
    engine = Scaled()
    result = derained(replace(stopped, resume=False), engine)
    assert (result.status, result.resumed, result.notes) == ("done", 0, ())
    assert len(engine.seen) == 31  # one tells what network it is


def test_another_network_begins_anew(stopped: Job) -> None:
    result = derained(stopped, Scaled(0.8))
    assert (result.status, result.resumed) == ("done", 0)
    assert result.notes == ("started again instead of resuming: different model",)


@pytest.mark.parametrize("changes", [{"window": 3}, {"start": 0.2}, {"end": 0.8}])
def test_other_settings_begin_anew(stopped: Job, changes: dict[str, Any]) -> None:
    result = derained(replace(stopped, **changes), Scaled())
    assert (result.status, result.resumed) == ("done", 0)
    assert result.notes[0].startswith("started again instead of resuming")


def test_another_clip_of_the_same_name_begins_anew(stopped: Job) -> None:
    data = bytearray(stopped.source.read_bytes())
    data[-1] ^= 1
    stopped.source.write_bytes(data)
    result = derained(stopped, Scaled())
    assert (result.status, result.resumed) == ("done", 0)
    assert result.notes[0].startswith("started again instead of resuming: different clip")


@pytest.mark.parametrize("place", [40, -20])
def test_a_damaged_segment_is_made_again(stopped: Job, place: int) -> None:
    path = Parts(stopped.target).path(0)
    data = bytearray(path.read_bytes())
    data[place] ^= 255
    path.write_bytes(data)
    result = derained(stopped, Scaled())
    assert (result.status, result.resumed, result.frames) == ("done", 0, 30)


def test_drafts_of_a_killed_run_are_removed(stopped: Job) -> None:
    folder = Parts(stopped.target).folder
    for name in (".derain-0123456789abcdef.part", "joined.mkv", "000099.segment"):
        (folder / name).write_bytes(b"half")
    assert derained(stopped, Scaled()).status == "done"
    assert not folder.exists()


def test_others_files_stay(stopped: Job) -> None:
    folder = Parts(stopped.target).folder
    (folder / "notes.txt").write_text("mine")
    assert derained(stopped, Scaled()).status == "done"
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_a_folder_that_is_not_derains_is_left_alone(stopped: Job) -> None:
    parts = Parts(stopped.target.with_name("other.mkv"))
    parts.folder.mkdir()
    (parts.folder / "000000.segment").write_text("mine")
    with pytest.raises(VideoError, match="already exists and derain did not make it"):
        parts.open(facts_of(stopped, None), resume=True)
    result = derained(replace(stopped, target=stopped.target.with_name("other.mkv")), Scaled())
    assert (result.status, result.unfinished) == ("failed", None)
    assert (parts.folder / "000000.segment").read_text() == "mine"


def test_frames_that_are_not_those_of_before_are_refused(
    stopped: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = facts_of(stopped, Derainer(Scaled()))

    def unseen(*_: object) -> dict[str, Any]:
        return earlier

    film(stopped.source, replace(Film(), times=range(0, 60, 2)))
    monkeypatch.setattr(pipeline, "facts_of", unseen)
    result = derained(stopped, Scaled())
    assert "its frames are not those of the interrupted run" in result.message
