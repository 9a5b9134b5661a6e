"""Records of what was done, and plans of what is to be done."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derain.cluster import manifest as records
from derain.cluster.listing import Item
from derain.cluster.manifest import FOLDER, Known, Manifest, Row, Terms, read_manifest
from derain.cluster.places import Local
from derain.cluster.planning import MOST_SHARDS, Plan, Unfinished
from derain.cluster.tables import write_rows
from derain.errors import DerainError

TERMS = Terms("petrichor", "ab" * 32, '{"tile": 64}', "1.0")
ITEM = Item("a/1.png", "a/1.png", 100, 12345, there=90)


def row(item: Item = ITEM, **others: Any) -> Row:
    """Return the row for a file that is done."""
    return {
        "path": item.path,
        "target": item.target,
        "size": item.size,
        "modified": item.modified,
        "input_sha256": "00",
        "output_sha256": "11",
        "output_size": 90,
        "model": TERMS.model,
        "model_sha256": TERMS.model_sha256,
        "settings": TERMS.settings,
        "version": TERMS.version,
        "seconds": 0.5,
        "status": "done",
        "error": "",
        "notes": "",
        "attempts": 1,
        "finished": datetime(2026, 1, 2, tzinfo=timezone.utc),
    } | others


def written(folder: Path, *runs: Sequence[Row]) -> Local:
    """Return a place with the records of some runs."""
    place = Local(str(folder))
    for rows in runs:
        manifest = Manifest(place)
        manifest.add(rows)
        manifest.close()
    return place


def known(place: Local) -> Known:
    return Manifest(place).known()


def test_what_was_done_is_done(tmp_path: Path) -> None:
    found = known(written(tmp_path, [row()]))
    assert len(found) == 1
    assert found.has_made(ITEM)
    assert not found.has_made(replace(ITEM, path="a/2.png"))
    # What lies where another format would have its result was made by somebody else.
    assert not found.has_made(replace(ITEM, target="a/1.jpg"))
    assert found.is_done(ITEM, TERMS)
    # Another version of derain makes nothing due.
    assert found.is_done(ITEM, replace(TERMS, version="2.0", model="renamed"))


@pytest.mark.parametrize(
    "item",
    [
        replace(ITEM, path="a/2.png"),
        replace(ITEM, size=101),
        replace(ITEM, modified=12346),
        replace(ITEM, there=None),
        replace(ITEM, there=91),
    ],
)
def test_what_is_missing_or_changed_is_due(item: Item, tmp_path: Path) -> None:
    assert not known(written(tmp_path, [row()])).is_done(item, TERMS)


@pytest.mark.parametrize(
    "terms", [replace(TERMS, model_sha256="cd" * 32), replace(TERMS, settings="{}")]
)
def test_another_model_or_setting_makes_all_due(terms: Terms, tmp_path: Path) -> None:
    assert not known(written(tmp_path, [row()])).is_done(ITEM, terms)


def test_what_failed_is_due_and_what_was_left_is_not(tmp_path: Path) -> None:
    rows = [row(status="failed", output_size=None, error="damaged")]
    assert not known(written(tmp_path / "a", rows)).is_done(ITEM, TERMS)
    rows = [row(status="left", output_size=None)]
    assert known(written(tmp_path / "b", rows)).is_done(replace(ITEM, there=None), TERMS)


STATES = st.lists(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from(["done", "failed", "left"])), max_size=6
    ),
    max_size=4,
)


@given(runs=STATES)
def test_the_last_row_of_a_path_counts(
    runs: list[list[tuple[str, str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = [
        [row(replace(ITEM, path=path), status=status, seconds=float(k)) for path, status in run]
        for k, run in enumerate(runs)
    ]
    place = written(tmp_path_factory.mktemp("records"), *rows)
    last = {one["path"]: one for run in rows for one in run}
    assert read_manifest(place) == last
    found = known(place)
    assert len(found) == len(last)
    for path in "abcd":
        done = any(one == (path, "done") for run in runs for one in run)
        assert found.has_made(replace(ITEM, path=path)) == done
        is_done = path in last and last[path]["status"] != "failed"
        assert found.is_done(replace(ITEM, path=path), TERMS) == is_done


def test_a_run_leaves_one_file_and_what_is_cut_short_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MOST_ROWS", 2)
    place = Local(str(tmp_path))
    manifest = Manifest(place)
    for k in range(5):
        manifest.add([row(replace(ITEM, path=f"{k}.png"))])
    folder = tmp_path / FOLDER
    assert len(list(folder.iterdir())) == 2  # and one row that is not written yet
    assert len(known(place)) == 4
    manifest.close()
    assert len(list(folder.iterdir())) == 1
    assert len(known(place)) == 5
    assert sorted(read_manifest(place)) == [f"{k}.png" for k in range(5)]


def test_records_that_are_damaged_are_named(tmp_path: Path) -> None:
    place = written(tmp_path, [row()])
    (file,) = (tmp_path / FOLDER).iterdir()
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DerainError, match="not a record of derain's") as raised:
        known(place)
    assert str(file) in str(raised.value)
    assert "\n" not in str(raised.value)


# Plans


@given(count=st.integers(0, 150), workers=st.integers(1, 8), rows=st.sampled_from([4, 32, 4096]))
def test_shards_have_every_file_once(
    count: int, workers: int, rows: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = Local(str(tmp_path_factory.mktemp("plans")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("derain.cluster.planning.ROWS", rows)
        plan = Plan(place)
        items = [replace(ITEM, path=f"{k}.png", there=None) for k in range(count)]
        for item in items:
            plan.add(item)
        plan.close(workers)
        assert [one for k in range(plan.shards) for one in plan.items(k)] == items
        if count >= 4 * workers and rows > 4:
            assert plan.shards >= 4 * workers  # all workers end at about the same time
    plan.remove()
    assert not any(path.is_file() for path in Path(place.url).rglob("*"))


@pytest.mark.parametrize("count", [10, 10_000, 200_000, 10_000_000])
def test_the_number_of_shards_does_not_grow_with_the_files(count: int, tmp_path: Path) -> None:
    plan = Plan(Local(str(tmp_path)))
    plan.count = count
    plan.close(8)
    assert plan.shards <= 2 * MOST_SHARDS


@pytest.mark.parametrize(("size", "shards"), [(100, 13), (1 << 22, 34)])
def test_small_files_are_done_more_at_a_time(size: int, shards: int, tmp_path: Path) -> None:
    plan = Plan(Local(str(tmp_path)))
    for k in range(100 if size == 100 else 34):
        plan.add(replace(ITEM, path=f"{k}.png", size=size))
    plan.close(2)
    assert plan.shards == shards


def test_plans_of_runs_that_were_cut_short_are_known(tmp_path: Path) -> None:
    place = Local(str(tmp_path))
    assert not Unfinished(place).has(ITEM)
    plan = Plan(place)
    plan.add(ITEM)
    plan.close(1)
    left = Unfinished(place)
    assert left.has(ITEM)
    assert not left.has(replace(ITEM, path="b.png"))
    assert not left.has(replace(ITEM, target="b.png"))
    left.remove()
    assert not Unfinished(place).has(ITEM)


def test_damaged_records_are_named(tmp_path: Path) -> None:
    place = written(tmp_path, [row()])
    (file,) = (tmp_path / FOLDER).iterdir()
    whole = file.read_bytes()
    damaged = bytearray(whole)
    damaged[10:-100] = bytes(byte ^ 255 for byte in damaged[10:-100])
    for content in (b"", b"PAR1", whole[:-20], bytes(damaged)):
        file.write_bytes(content)
        with pytest.raises(DerainError, match=f"{file.name}: not a record of derain's") as raised:
            known(place)
        assert "\n" not in str(raised.value)
        assert str(raised.value).endswith("; remove it, or use another output")
    write_rows(place, f"{FOLDER}/{file.name}", [{"path": "a"}], {"path": "string"})
    with pytest.raises(DerainError, match="no column size"):
        known(place)
