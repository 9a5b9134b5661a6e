"""What a worker does, in this process: retries, notes of what it was at, clips."""

import os
from pathlib import Path

import archives
import pytest
from archives import EndedError, Here

from derain.cluster import storage
from derain.cluster.ledger import Ledger, Row
from derain.cluster.listing import Archive, Item, list_items
from derain.cluster.manifest import Terms
from derain.cluster.model import Model, digest_of
from derain.cluster.places import Local
from derain.cluster.planning import Plan
from derain.cluster.work import Orders, Worker
from derain.extras import is_installed

MODEL = "petrichor-live"


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    archives.without_ray(monkeypatch)


def orders_for(source: Path, output: Path, retries: int = 2) -> Orders:
    """Return orders with all files of a folder in one shard."""
    archive = Archive(Local(str(source)), Local(str(output)))
    plan = Plan(archive.output)
    for item in list_items(archive):
        assert isinstance(item, Item)
        plan.add(item)
    plan.close(1)
    plan.step = 4096
    model = Model(MODEL, digest_of(MODEL))
    terms = Terms(MODEL, model.sha256, "{}", "1")
    models = {"picture": (model, terms), "clip": (model, terms)}
    return Orders(archive, plan, models, archives.SETTINGS, retries)


def by_path(rows: list[Row]) -> dict[str, Row]:
    return {row["path"]: row for row in rows}


def test_a_shard_gives_a_row_for_each_file(tmp_path: Path) -> None:
    names = archives.draw(tmp_path / "in", 5)
    (tmp_path / "in" / names[3]).write_bytes(b"\x89PNG\r\n\x1a\nno more")
    rows = by_path(Worker(orders_for(tmp_path / "in", tmp_path / "out")).do(0))
    assert sorted(rows) == sorted(names)
    archives.locally(tmp_path / "in", tmp_path / "local", MODEL)
    made = archives.files_in(tmp_path / "out")
    assert made == archives.files_in(tmp_path / "local")
    for name, data in made.items():
        row = rows[name]
        assert (row["status"], row["attempts"], row["error"]) == ("done", 1, "")
        assert row["output_sha256"] == storage.sha256_of(data)
        assert row["output_size"] == len(data)
        assert row["input_sha256"] == storage.sha256_of((tmp_path / "in" / name).read_bytes())
    # A damaged picture is read once: another time it would not be better.
    failed = rows[names[3]]
    assert (failed["status"], failed["attempts"]) == ("failed", 1)
    assert "PNG" in failed["error"]


@pytest.mark.parametrize(("failures", "status"), [(2, "done"), (3, "failed")])
def test_what_cannot_be_read_for_the_moment_is_tried_again(
    failures: int, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = archives.draw(tmp_path / "in", 3)
    orders = orders_for(tmp_path / "in", tmp_path / "out")
    left = {names[1]: failures}
    read = Local.read

    def flaky(place: Local, name: str) -> bytes:
        if left.get(name, 0):
            left[name] -= 1
            raise OSError(5, "the store is busy")
        return read(place, name)

    monkeypatch.setattr(Local, "read", flaky)
    rows = by_path(Worker(orders).do(0))
    assert [rows[name]["status"] for name in names] == ["done", status, "done"]
    assert [rows[name]["attempts"] for name in names] == [1, 3, 1]
    if status == "failed":
        assert rows[names[1]]["error"] == "the store is busy"


def test_what_is_not_there_any_more_is_not_tried_again(tmp_path: Path) -> None:
    names = archives.draw(tmp_path / "in", 2)
    orders = orders_for(tmp_path / "in", tmp_path / "out")
    (tmp_path / "in" / names[0]).unlink()
    rows = by_path(Worker(orders).do(0))
    assert rows[names[0]]["status"] == "failed"
    assert rows[names[0]]["error"].startswith("No such file")
    assert rows[names[1]]["status"] == "done"


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_a_picture_that_ends_every_worker_is_given_up_alone(
    retries: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = archives.draw(tmp_path / "in", 9)
    orders = orders_for(tmp_path / "in", tmp_path / "out", retries)
    ledger = Ledger()
    shown = [item.path for item in orders.plan.items(0)]
    deadly = shown[4]
    reads: list[str] = []
    read = Local.read

    def ending(place: Local, name: str) -> bytes:
        reads.append(name)
        if name == deadly:
            raise EndedError
        return read(place, name)

    monkeypatch.setattr(Local, "read", ending)
    rows: list[Row] | None = None
    ends = 0
    while rows is None:
        try:
            rows = Worker(orders, archives.Now(ledger)).do(0)
        except EndedError:
            ends += 1
    # Once more in any case: the first time a neighbour may have been at fault.
    assert ends == reads.count(deadly) == 1 + max(1, retries)
    found = by_path(rows)
    assert sorted(found) == sorted(names)
    assert {name for name, row in found.items() if row["status"] == "failed"} == {deadly}
    assert found[deadly]["attempts"] == 1 + max(1, retries)
    assert "a worker ended" in found[deadly]["error"]
    # What was done before a worker ended is not done again; its neighbours twice at most.
    assert max(reads.count(name) for name in shown if name != deadly) <= 2
    assert reads.count(shown[0]) == 1
    ledger.forget([0])
    assert ledger.size() == 0


def test_what_failed_is_tried_again_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    names = archives.draw(source, 5)
    damaged = source / names[3]
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-60] + bytes(60))  # as many bytes as before
    time = damaged.stat().st_mtime_ns

    def run() -> dict[str, str]:
        Here().connect(monkeypatch)
        done = archives.outcomes(source, output, MODEL, workers=2)
        return {one.source: one.status for one in done}

    assert run() == {name: "failed" if name == names[3] else "done" for name in names}
    assert run() == {names[3]: "failed"}
    damaged.write_bytes(whole)
    os.utime(damaged, ns=(time, time))
    assert run() == {names[3]: "done"}
    assert run() == {}


def test_pictures_that_derain_made_are_left_alone(tmp_path: Path) -> None:
    archives.draw(tmp_path / "in", 2)
    Worker(orders_for(tmp_path / "in", tmp_path / "again")).do(0)
    rows = Worker(orders_for(tmp_path / "again", tmp_path / "out")).do(0)
    assert {row["status"] for row in rows} == {"left"}
    assert not archives.files_in(tmp_path / "out")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A short clip in a folder."""
    if not is_installed("av"):
        pytest.skip("needs PyAV")
    from filming import Film, film

    (tmp_path / "in").mkdir()
    return film(tmp_path / "in" / "yard.mp4", Film(times=range(5)))


def test_a_clip_is_done_whole_as_by_the_local_command(tmp_path: Path, clip: Path) -> None:
    from derain.clips import pipeline, plan
    from derain.restore import load

    rows = Worker(orders_for(clip.parent, tmp_path / "out")).do(0)
    assert [(row["status"], row["target"]) for row in rows] == [("done", "yard_derained.mp4")]
    planned = plan.plan([clip], tmp_path / "local")
    list(pipeline.run(planned.jobs, load(MODEL, **archives.SETTINGS)))
    assert archives.files_in(tmp_path / "out") == archives.files_in(tmp_path / "local")
