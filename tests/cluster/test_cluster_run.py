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

from derain.cluster.engine import connect
from derain.cluster.manifest import read_manifest
from derain.cluster.places import Local
from derain.errors import DerainError, UsageError
from derain.extras import is_installed
from derain.restore import load

pytestmark = pytest.mark.filterwarnings("default")  # Ray warns of its own use of itself


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    archives.start_ray(monkeypatch)
    yield
    ray.shutdown()


class _Killer(threading.Thread):
    """Kills a worker when some results are there."""

    def __init__(self, output: Path, count: int) -> None:
        super().__init__(daemon=True)
        self._output, self._count = output, count
        self.killed: int | None = None

    def run(self) -> None:
        while self.killed is None:
            time.sleep(0.02)
            if sum(1 for _ in self._output.rglob("*.png")) >= self._count:
                victims = sorted(archives.workers_below(os.getpid()))
                if victims:
                    os.kill(victims[0], signal.SIGKILL)
                    self.killed = victims[0]


def film_long(folder: Path, local: Path) -> list[Path]:
    """Film a clip that two workers share, and derain it locally; nothing without PyAV."""
    if not is_installed("av"):
        return []
    from filming import Film, film

    from derain.clips.pipeline import run
    from derain.clips.plan import plan

    clip = film(folder / "yard.mp4", Film(times=range(481), size=(32, 24), sound=True))
    list(run(plan([clip], local).jobs, load("petrichor-live", **archives.SETTINGS)))
    return [clip]


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
    clips = film_long(source, local)
    command = ("run", str(source), "-o", str(output), *COMMAND)
    killer = _Killer(output, 100)
    killer.start()

    assert status_of(*command, "-m", "petrichor-live") == 1
    said = capsys.readouterr()
    assert killer.killed
    errors = [line for line in said.err.splitlines() if line.startswith("error:")]
    assert sorted(line.split(": ")[1] for line in errors) == damaged
    count = 298 + len(clips)
    assert f"{count} done, 0 skipped because they already exist, 2 failed" in said.err
    assert len(said.out.splitlines()) == count
    archives.locally(source, local, "petrichor-live")
    assert archives.files_in(output) == archives.files_in(local)
    assert len(archives.files_in(output)) == count
    rows = read_manifest(Local(str(output)))
    assert sorted(rows) == sorted([*names, *(clip.name for clip in clips)])
    failed = {name for name, row in rows.items() if row["status"] == "failed"}
    assert failed == set(damaged)

    # What is damaged is tried again (test_cluster_work.py); a second run does nothing else.
    for name in damaged:
        (source / name).unlink()
    before = archives.times_in(output)
    assert status_of(*command, "-m", "petrichor-live") == 0
    skipped = f"0 done, {count} skipped because they already exist, 0 failed"
    assert skipped in capsys.readouterr().err
    assert archives.times_in(output) == before

    # Another model does all again; sixty show it.
    kept = names[:60]
    for path in [*clips, *(source / name for name in names[60:] if name not in damaged)]:
        path.unlink()
    before = archives.files_in(output)
    others = archives.outcomes(source, output, "petrichor")
    assert len(others) == len(kept)
    assert {one.status for one in others} == {"done"}
    after = archives.files_in(output)
    assert sorted(name for name in after if after[name] != before[name]) == sorted(kept)
    assert not archives.outcomes(source, output, "petrichor")


@pytest.mark.parametrize("address", ["127.0.0.1:9", "nonsense", ":6379"])
def test_an_address_without_ray_is_refused_at_once(address: str) -> None:
    began = time.monotonic()
    with pytest.raises(UsageError, match="no Ray there") as raised, connect(address):
        pass
    assert raised.value.option == "cluster"
    assert "\n" not in str(raised.value)
    assert time.monotonic() - began < 30  # Ray itself waits for minutes


def test_a_store_that_does_not_listen_is_said_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    store = "s3://bucket/rainy?endpoint_override=http://127.0.0.1:9"
    for source, output in ((store, str(tmp_path)), (str(tmp_path), store)):
        with pytest.raises(DerainError, match="no store answers at http"):
            archives.outcomes(source, output, "petrichor-live")
    assert time.monotonic() - began < 30  # the store's own tries take a minute
