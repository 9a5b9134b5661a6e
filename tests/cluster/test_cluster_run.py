"""Archives on Ray: workers that end, damaged files, further runs, other models."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import archives
import pytest
import ray
from commands import status_of

from derain.cluster.manifest import read_manifest
from derain.cluster.places import Local
from derain.extras import is_installed
from derain.restore import load

pytestmark = pytest.mark.filterwarnings("default")  # Ray warns of its own use of itself


@pytest.fixture(scope="module")
def two_cores() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        archives.start_ray(patch)
        yield
        ray.shutdown()


class _Killer(threading.Thread):
    """Kills a worker when some files are there."""

    def __init__(self, output: Path, count: int, pattern: str = "*.png") -> None:
        super().__init__(daemon=True)
        self._output, self._count, self._pattern = output, count, pattern
        self.killed: int | None = None

    def run(self) -> None:
        while self.killed is None:
            time.sleep(0.02)
            if sum(1 for _ in self._output.rglob(self._pattern)) >= self._count:
                victims = sorted(archives.workers_below(os.getpid()))
                if victims:
                    os.kill(victims[0], signal.SIGKILL)
                    self.killed = victims[0]


COMMAND = ("--cluster", "auto", "--engine", "onnx", "--device", "cpu", "--dtype", "float32")


@pytest.mark.usefixtures("two_cores")
def test_an_archive_outlives_a_worker_and_names_damaged_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output, local = tmp_path / "in", tmp_path / "out", tmp_path / "local"
    names = archives.draw(source, 300)
    damaged = [names[70], names[210]]
    for name in damaged:
        (source / name).write_bytes((source / name).read_bytes()[:200])
    command = ("run", str(source), "-o", str(output), *COMMAND)
    killer = _Killer(output, 100)
    killer.start()

    assert status_of(*command, "-m", "petrichor-live") == 1
    said = capsys.readouterr()
    assert killer.killed
    errors = [line for line in said.err.splitlines() if line.startswith("error:")]
    assert sorted(line.split(": ")[1] for line in errors) == damaged
    assert "298 done, 0 skipped because they were there, 2 failed" in said.err
    assert len(said.out.splitlines()) == 298
    archives.locally(source, local, "petrichor-live")
    assert archives.files_in(output) == archives.files_in(local)
    assert len(archives.files_in(output)) == 298
    rows = read_manifest(Local(str(output)))
    assert sorted(rows) == sorted(names)
    failed = {name for name, row in rows.items() if row["status"] == "failed"}
    assert failed == set(damaged)

    # What is damaged is tried again (test_cluster_work.py); a second run does nothing else.
    for name in damaged:
        (source / name).unlink()
    before = archives.times_in(output)
    assert status_of(*command, "-m", "petrichor-live") == 0
    assert "0 done, 298 skipped because they were there, 0 failed" in capsys.readouterr().err
    assert archives.times_in(output) == before

    # Another model does all again.
    others = archives.outcomes(source, output, "petrichor")
    assert len(others) == 298
    assert {one.status for one in others} == {"done"}
    assert archives.files_in(output) != archives.files_in(local)
    assert not archives.outcomes(source, output, "petrichor")


@pytest.mark.skipif(not is_installed("av"), reason="needs PyAV")
@pytest.mark.usefixtures("two_cores")
def test_a_long_clip_is_shared_out_and_outlives_a_worker(tmp_path: Path) -> None:
    from filming import Film, film

    from derain.clips.pipeline import run
    from derain.clips.plan import plan

    source, output, local = tmp_path / "in", tmp_path / "out", tmp_path / "local"
    source.mkdir()
    clip = film(source / "yard.mp4", Film(times=range(481), size=(32, 24), sound=True))
    killer = _Killer(output, 1, "*.segment")
    killer.start()
    (done,) = archives.outcomes(source, output, "petrichor-live")
    assert (done.status, done.message) == ("done", "")
    assert killer.killed
    list(run(plan([clip], local).jobs, load("petrichor-live", **archives.SETTINGS)))
    assert archives.files_in(output) == archives.files_in(local)
    assert not list(output.rglob("*.segment"))
