"""Many files: names of results, resume, and failures that stay alone."""

import io
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from derain import pictures
from derain.density import RainDensity
from derain.files import AGAIN, write_file
from derain.images import Picture, read, read_image, readable_suffixes, write_image
from derain.pictures import Job, Options, Result, finding, pipeline
from derain.progress import Progress, silent


class Darken:
    """Stands in for a Derainer: takes one grey level from everything."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(
        self, image: NDArray[Any], progress: Progress = silent, *, mask: object = None
    ) -> NDArray[Any]:
        self.calls += 1
        progress("tiles", 1, 1)
        return image - np.minimum(image, 1) * (1 if mask is None else np.asarray(mask)[..., None])

    def density(self, image: NDArray[Any]) -> RainDensity:
        return RainDensity(float(image.mean() > 0), 0.0, 0.0)


def run(
    inputs: list[str],
    output: str | None = None,
    options: Options = Options(),  # noqa: B008 (frozen)
    derainer: Any = None,
) -> list[Result]:
    planned = pictures.plan(inputs, output, options)
    stand_in: Any = derainer or Darken()
    refused = [Result(path, None, "failed", error) for path, error in planned.refused]
    return refused + list(pictures.run(planned.jobs, stand_in))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.jpg", "deep/c.webp", "deep/er/d.tif"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, np.full((6, 7, 3), 100, np.uint8))
    (tmp_path / "in/notes.txt").write_text("no picture")
    return tmp_path / "in"


def test_folder_keeps_its_structure(folder: Path) -> None:
    results = run([str(folder)])
    assert [result.status for result in results] == ["done"] * 4
    made = sorted(
        str(path.relative_to(folder.parent))
        for path in (folder.parent / "in_derained").rglob("*.*")
    )
    assert made == [
        "in_derained/a.png",
        "in_derained/b.jpg",
        "in_derained/deep/c.webp",
        "in_derained/deep/er/d.tif",
    ]
    assert np.all(read_image(folder.parent / "in_derained/a.png") == 99)


@pytest.mark.parametrize(
    ("inputs", "output", "targets"),
    [
        (["in/a.png"], None, ["in/a_derained.png"]),
        (["in/a.png"], "out.jpg", ["out.jpg"]),
        (["in/a.png"], "out", ["out/a.png"]),
        (["in/a.png", "in/b.jpg"], "out", ["out/a.png", "out/b.jpg"]),
        (["in/deep"], "out", ["out/c.webp", "out/er/d.tif"]),
        (["in/*.png", "in/**/*.tif"], "out", ["out/a.png", "out/d.tif"]),
        (["in/a.png"], "-", ["-"]),
        (["-"], None, ["-"]),
        (["-"], "out.webp", ["out.webp"]),
        (["in/a.png", "in/a.png"], None, ["in/a_derained.png"]),
    ],
)
def test_names_of_results(
    inputs: list[str],
    output: str | None,
    targets: list[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder.parent)
    planned = pictures.plan(inputs, output)
    assert planned.refused == ()
    assert [str(job.target) for job in planned.jobs] == targets


def test_asked_format_changes_the_name(folder: Path) -> None:
    inputs = [str(folder / "b.jpg"), str(folder / "a.png")]
    jobs = pictures.plan(inputs, None, Options(format="JPEG")).jobs
    assert [job.target.name for job in jobs] == ["b_derained.jpg", "a_derained.jpg"]


def test_format_follows_the_name_then_the_input(folder: Path) -> None:
    (folder / "a.png").rename(folder / "wrong.jpg")  # a PNG by another name stays one
    run([str(folder / "wrong.jpg")])
    assert read(folder / "wrong_derained.jpg").metadata.format == "PNG"
    run([str(folder / "b.jpg")], str(folder / "new.webp"))
    assert read(folder / "new.webp").metadata.format == "WEBP"


def test_resume_does_only_what_is_missing(folder: Path) -> None:
    run([str(folder)])
    (folder.parent / "in_derained/deep/c.webp").unlink()
    before = (folder.parent / "in_derained/a.png").stat().st_mtime_ns
    derainer = Darken()
    results = run([str(folder)], derainer=derainer)
    assert sorted(result.status for result in results) == ["done", "skipped", "skipped", "skipped"]
    assert derainer.calls == 1
    assert (folder.parent / "in_derained/a.png").stat().st_mtime_ns == before


def test_force_overwrites(folder: Path) -> None:
    run([str(folder / "a.png")])
    assert run([str(folder / "a.png")])[0].status == "skipped"
    assert run([str(folder / "a.png")], options=Options(force=True))[0].status == "done"


def test_a_missing_comparison_is_said(folder: Path) -> None:
    run([str(folder / "a.png")])
    (result,) = run([str(folder / "a.png")], options=Options(compare=True))
    assert result.status == "failed"
    assert result.message.endswith("force=True overwrites it and makes the comparison")


def test_comparison_overwrites_nothing(folder: Path) -> None:
    (folder / "a_derained_compare.png").write_bytes(b"mine")
    assert run([str(folder / "a.png")], options=Options(compare=True))[0].status == "skipped"
    assert (folder / "a_derained_compare.png").read_bytes() == b"mine"


def test_output_inside_the_input_is_not_derained_again(folder: Path) -> None:
    run([str(folder)], str(folder / "dry"))
    results = run([str(folder)], str(folder / "dry"))
    assert [result.status for result in results] == ["skipped"] * 4
    assert not (folder / "dry/dry").exists()


def test_output_above_the_input(folder: Path) -> None:
    assert [result.status for result in run([str(folder / "deep")], str(folder))] == [
        "done",
        "done",
    ]
    assert (folder / "er/d.tif").exists()


@pytest.mark.parametrize("output", ["dry.2024", "dry.png/"])
def test_only_a_pictures_ending_makes_a_file(output: str, folder: Path) -> None:
    jobs = pictures.plan([str(folder / "a.png")], f"{folder.parent}/{output}").jobs
    assert jobs[0].target == folder.parent / output / "a.png"


def test_odd_entries_do_not_stop_the_others(folder: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    (folder / "loop.png").symlink_to("loop.png")
    long = folder / f"{'n' * 245}.png"
    write_image(long, np.zeros((3, 3, 3), np.uint8))
    results = run([str(folder / "a.png"), str(long), "", str(folder / ("m" * 300))])
    assert [result.status for result in results] == ["failed", "failed", "failed", "done"]
    assert "an empty name" in results[0].message
    found = {result.source.name: result for result in run([str(folder)])}
    assert set(found) == {"a.png", "b.jpg", "c.webp", "d.tif", long.name, "loop.png"}
    assert found["loop.png"].status == "failed"


def test_a_link_to_nothing_is_named(folder: Path) -> None:
    (folder / "e.png").symlink_to("gone.png")
    (folder / "more.txt").symlink_to("gone.txt")
    failed = [result for result in run([str(folder)]) if result.status == "failed"]
    assert [(result.source.name, result.message) for result in failed] == [
        ("e.png", "cannot be read: a link to what is not there")
    ]


def test_an_input_is_never_overwritten_unasked(folder: Path) -> None:
    original = (folder / "a.png").read_bytes()
    (result,) = run([str(folder / "a.png")], str(folder / "a.png"))
    assert result.status == "failed"
    assert "is an input; force=True overwrites it" in result.message
    for result in run([str(folder)], str(folder)):
        assert result.status == "failed"
    assert (folder / "a.png").read_bytes() == original
    assert (
        run([str(folder / "a.png")], str(folder / "a.png"), Options(force=True))[0].status == "done"
    )
    assert np.all(read_image(folder / "a.png") == 99)


def test_a_link_to_an_input_is_that_input(folder: Path) -> None:
    (folder.parent / "link.png").symlink_to(folder / "a.png")
    (result,) = run([str(folder / "a.png")], str(folder.parent / "link.png"))
    assert result.status == "failed"


def test_second_run_over_a_pattern_leaves_results_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    options = Options(compare=True)
    run(["*.png"], options=options)
    results = run(["*.png"], options=options)
    assert [(result.source.name, result.status) for result in results] == [("a.png", "skipped")]


def test_failures_stay_alone(folder: Path) -> None:
    (folder / "a.png").write_bytes(b"")
    (folder / "b.jpg").write_bytes((folder / "b.jpg").read_bytes()[:200])
    results = {
        result.source.name: result for result in run([str(folder), str(folder / "none.png")])
    }
    assert results["none.png"].message == "no such file or folder"
    assert results["a.png"].message.startswith("an empty file")
    assert "damaged" in results["b.jpg"].message
    assert [results[name].status for name in ("c.webp", "d.tif")] == ["done", "done"]
    assert not (folder.parent / "in_derained/b.jpg").exists()


def test_out_of_memory_is_one_failure_with_a_hint(folder: Path) -> None:
    class Hungry(Darken):
        def __call__(
            self, image: NDArray[Any], progress: Progress = silent, *, mask: object = None
        ) -> NDArray[Any]:
            if self.calls == 0:
                self.calls += 1
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return super().__call__(image, progress)

    results = run([str(folder)], derainer=Hungry())
    assert results[0].message.endswith("a smaller tile needs less memory")
    assert [result.status for result in results[1:]] == ["done"] * 3


def test_full_disk_is_one_line_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    (result,) = run([str(folder / "a.png")])
    assert result.status == "failed"
    assert result.message.startswith("No space left on device: ")
    assert result.message.endswith("a_derained.png")
    assert not list(folder.glob("*derain*"))


def test_empty_folder_and_pattern_without_match(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    results = run([str(tmp_path / "empty"), str(tmp_path / "*.png")])
    assert [result.message for result in results] == [
        "no pictures in this folder",
        "no file fits this pattern",
    ]


def test_unreadable_folder_is_named(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.scandir

    def scandir(path: str) -> Any:
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    results = run([str(folder)])
    assert results[0].source.name == "deep"
    assert results[0].message == "cannot be read: Permission denied"
    assert [result.status for result in results[1:]] == ["done", "done"]


def test_two_pictures_for_one_name(folder: Path) -> None:
    write_image(folder / "deep/a.png", np.zeros((3, 3, 3), np.uint8))
    results = run([str(folder / "a.png"), str(folder / "deep/a.png")], str(folder.parent / "out"))
    assert "give them folders of their own" in results[0].message
    assert results[1].status == "done"


@pytest.mark.parametrize("output", ["one.png", "-"])
def test_one_output_for_many_pictures_is_refused(output: str, folder: Path) -> None:
    with pytest.raises(ValueError, match="expected a folder"):
        pictures.plan([str(folder)], output)


@pytest.mark.parametrize(("shape", "expected"), [((6, 20, 3), (14, 20)), ((20, 6, 3), (20, 14))])
def test_compare_shows_before_and_after(
    shape: tuple[int, int, int], expected: tuple[int, int], tmp_path: Path
) -> None:
    write_image(tmp_path / "a.png", np.full(shape, 100, np.uint8))
    run([str(tmp_path / "a.png")], options=Options(compare=True))
    both = read_image(tmp_path / "a_derained_compare.png")
    assert both.shape[:2] == expected
    assert both[0, 0, 0] == 100
    assert both[-1, -1, 0] == 99


def test_metadata_and_alpha_go_with_the_result(tmp_path: Path) -> None:
    image = Image.fromarray(np.full((5, 6, 4), 77, np.uint8))
    exif = Image.Exif()
    exif[271] = "Camera"
    image.save(tmp_path / "a.png", exif=exif, icc_profile=b"profile")
    run([str(tmp_path / "a.png")])
    result = Image.open(tmp_path / "a_derained.png")
    assert (result.mode, result.getexif()[271], result.info["icc_profile"]) == (
        "RGBA",
        "Camera",
        b"profile",
    )
    assert np.all(np.array(result) == [76, 76, 76, 77])


def test_results_are_marked_and_say_what_is_not_kept(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_text("Title", "rain")
    Image.fromarray(np.full((5, 6, 3), 77, np.uint8)).save(tmp_path / "a.png", pnginfo=info)
    (kept,) = run([str(tmp_path / "a.png")], options=Options(compare=True))
    assert kept.notes == ()
    with Image.open(tmp_path / "a_derained.png") as image:
        assert image.info["Title"] == "rain"
    (lost,) = run([str(tmp_path / "a.png")], str(tmp_path / "b.jpg"))
    assert lost.message == "not kept in JPEG: PNG text (1 entry)"
    assert not read(tmp_path / "a.png").is_result
    for name in ("a_derained.png", "a_derained_compare.png", "b.jpg"):
        assert read(tmp_path / name).is_result


def test_transparent_picture_to_jpeg_fails_before_the_work(tmp_path: Path) -> None:
    Image.fromarray(np.full((5, 6, 4), 77, np.uint8)).save(tmp_path / "a.png")
    derainer = Darken()
    (result,) = run([str(tmp_path / "a.png")], str(tmp_path / "a.jpg"), derainer=derainer)
    assert "JPEG cannot hold" in result.message
    assert derainer.calls == 0


@pytest.mark.parametrize(
    ("options", "size", "message"),
    [
        (Options(format="JPEG"), (1, 65_501), "65501x1 pixels, and JPEG has at most 65500 a side"),
        (Options(format="WEBP"), (16_384, 1), "1x16384 pixels, and WEBP has at most 16383 a side"),
        (
            Options(format="WEBP", compare=True),
            (8_200, 8_300),
            "before/after comparison would be 8300x16483 pixels",
        ),
    ],
)
def test_pictures_too_long_for_a_format_fail_before_the_work(
    options: Options, size: tuple[int, int], message: str, tmp_path: Path
) -> None:
    write_image(tmp_path / "a.png", np.zeros((*size, 3), np.uint8))
    darken = Darken()
    (result,) = run([str(tmp_path / "a.png")], options=options, derainer=darken)
    assert result.status == "failed"
    assert message in result.message
    assert darken.calls == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_heic_becomes_a_jpeg(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    image = Image.new("RGB", (64, 48), (90, 100, 110))
    pillow_heif.from_pillow(image).save(tmp_path / "a.heic", quality=90)
    (result,) = run([str(tmp_path / "a.heic")])
    assert result.status == "done"
    assert (tmp_path / "a_derained.jpg").read_bytes().startswith(b"\xff\xd8\xff")
    (again,) = run([str(tmp_path / "a.heic")])
    assert again.status == "skipped"


def test_progress_is_reported(folder: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    jobs = [Job(folder / "a.png", folder / "out.png")]
    derainer: Any = Darken()

    def note(stage: str, done: int, total: int) -> None:
        seen.append((stage, done, total))

    list(pictures.run(jobs, derainer, lambda _: note))
    assert seen == [("tiles", 1, 1)]


def test_density_is_told_where_it_is_asked_for(folder: Path) -> None:
    told = run([str(folder)], options=Options(density=True))
    assert {result.density.word for result in told if result.density} == {"light"}
    assert (
        len([result for result in told if result.density])
        == len([result for result in told if result.status == "done"])
        > 0
    )
    assert {result.density for result in run([str(folder)], options=Options(force=True))} == {None}


PATIENCE = 20.0
"""Seconds after which a test that waits for another thread has failed."""


class Events:
    """What has happened, in order: ``read 1`` as reading 1.png begins, ``written 1`` at the end."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.threads: dict[str, threading.Thread] = {}
        self.changed = threading.Condition()

    def tell(self, what: str) -> None:
        with self.changed:
            self.order.append(what)
            self.threads[what] = threading.current_thread()
            self.changed.notify_all()

    def wait_for(self, what: str) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: what in self.order, PATIENCE)


class Watched(Darken):
    """Notes when it begins a picture, and does `beside` while it works on it.

    Pictures are known by their level.
    """

    def __init__(self, events: Events, beside: Callable[[int], object] = lambda _: None) -> None:
        super().__init__()
        self.events, self.beside = events, beside

    def __call__(
        self, image: NDArray[Any], progress: Progress = silent, *, mask: object = None
    ) -> NDArray[Any]:
        number = int(image.flat[0]) - 100
        self.events.tell(f"network {number}")
        self.beside(number)
        return super().__call__(image, progress)


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Events:
    """Of the reading and writing of `derain.pictures.pipeline`."""
    happened = Events()

    def watched_read(source: Path, _max_pixels: int | None) -> Picture:
        happened.tell(f"read {source.stem}")
        return read(source)

    def watched_write(path: Path, data: bytes) -> None:
        write_file(path, data)
        happened.tell(f"written {path.stem}")

    monkeypatch.setattr(pipeline, "read", watched_read)
    monkeypatch.setattr("derain.pictures.storage.write_file", watched_write)
    return happened


@pytest.fixture
def row(tmp_path: Path) -> list[Job]:
    """0.png to 5.png, of levels 100 to 105."""
    (tmp_path / "row").mkdir()
    for k in range(6):
        write_image(tmp_path / f"row/{k}.png", np.full((6, 7, 3), 100 + k, np.uint8))
    return [Job(tmp_path / f"row/{k}.png", tmp_path / f"out/{k}.png") for k in range(6)]


def start(jobs: list[Job], derainer: Any) -> Iterator[Result]:
    return pictures.run(jobs, derainer)


def forced(jobs: list[Job]) -> list[Job]:
    return [replace(job, force=True) for job in jobs]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("derain-")]


def test_the_next_is_read_and_the_last_written_while_the_network_works(
    row: list[Job], events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[bool] = []

    def beside(number: int) -> None:
        met.append(number == 5 or events.wait_for(f"read {number + 1}"))

    def waiting_write(path: Path, data: bytes) -> None:
        met.append(path.stem == "5" or events.wait_for(f"network {int(path.stem) + 1}"))
        write_file(path, data)

    monkeypatch.setattr("derain.pictures.storage.write_file", waiting_write)
    results = list(start(row, Watched(events, beside)))
    assert all(met)
    assert [(result.source, result.status) for result in results] == [
        (job.source, "done") for job in row
    ]
    assert [int(read_image(job.target)[0, 0, 0]) for job in row] == [99, 100, 101, 102, 103, 104]
    assert {events.threads[f"network {k}"] for k in range(6)} == {threading.main_thread()}
    assert threads() == []


def test_a_result_comes_when_its_file_is_there_and_at_most_one_picture_late(
    row: list[Job], events: Events
) -> None:
    for k, result in enumerate(start(row, Watched(events))):
        assert result.source == row[k].source
        assert f"written {k}" in events.order
        assert f"network {k + 2}" not in events.order


def test_a_result_does_not_wait_for_a_slow_reader(
    row: list[Job], events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_read(source: Path, _max_pixels: int | None) -> Picture:
        assert source != row[1].source or events.wait_for("told 0")
        return read(source)

    def slow_write(path: Path, data: bytes) -> None:
        time.sleep(0.1)
        write_file(path, data)

    monkeypatch.setattr(pipeline, "read", slow_read)
    monkeypatch.setattr("derain.pictures.storage.write_file", slow_write)
    running = start(row, Watched(events))
    assert next(running).source == row[0].source
    assert "network 1" not in events.order
    events.tell("told 0")
    assert [result.status for result in running] == ["done"] * 5


def test_one_picture_is_in_memory_on_either_side(
    row: list[Job], events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    rainy: list[weakref.ref[Picture]] = []

    def watched_read(source: Path, _max_pixels: int | None) -> Picture:
        picture = read(source)
        rainy.append(weakref.ref(picture))
        events.tell(f"decoded {source.stem}")
        return picture

    clean: list[weakref.ref[NDArray[Any]]] = []
    held: list[tuple[int, int]] = []

    class Weighed(Watched):
        def __call__(
            self, image: NDArray[Any], progress: Progress = silent, *, mask: object = None
        ) -> NDArray[Any]:
            result = super().__call__(image, progress)
            held.append(
                (sum(ref() is not None for ref in rainy), sum(ref() is not None for ref in clean))
            )
            clean.append(weakref.ref(result))
            return result

    monkeypatch.setattr(pipeline, "read", watched_read)
    list(
        start(
            row,
            Weighed(events, lambda number: number == 5 or events.wait_for(f"decoded {number + 1}")),
        )
    )
    assert {before for before, _ in held[:-1]} == {2}
    assert {after for _, after in held} <= {0, 1}


def test_no_more_than_one_is_read_ahead(row: list[Job], events: Events) -> None:
    list(
        start(
            row,
            Watched(events, lambda number: number == 5 or events.wait_for(f"read {number + 1}")),
        )
    )
    for k in range(2, 6):
        assert events.order.index(f"read {k}") > events.order.index(f"network {k - 2}")


def test_nothing_goes_on_beside_a_large_picture(
    row: list[Job], events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "LARGE", 6 * 7 * 3 - 1)
    list(start(row, Watched(events)))
    assert events.order == [
        f"{what} {k}" for k in range(6) for what in ("read", "network", "written")
    ]
    assert set(events.threads.values()) == {threading.main_thread()}


def test_one_picture_needs_no_threads(row: list[Job], events: Events) -> None:
    list(start(row[:1], Watched(events)))
    assert events.order == ["read 0", "network 0", "written 0"]
    assert set(events.threads.values()) == {threading.main_thread()}


def test_a_failure_ahead_does_not_disturb_the_picture_at_work(
    row: list[Job], events: Events
) -> None:
    row[1].source.write_bytes(b"once upon a time")
    row[4].source.unlink()
    started: list[Path] = []
    derainer: Any = Watched(
        events, lambda number: events.wait_for(f"read {number + 1}") if number in (0, 3) else None
    )

    def on_start(job: Job) -> Progress:
        started.append(job.source)
        return silent

    results = list(pictures.run(row, derainer, on_start))
    assert [result.status for result in results] == [
        "done",
        "failed",
        "done",
        "done",
        "failed",
        "done",
    ]
    assert results[1].message.startswith("not a picture that can be read")
    assert results[4].message == f"No such file or directory: {row[4].source}"
    assert started == [job.source for job in row]
    assert [job.target.exists() for job in row] == [result.status == "done" for result in results]


def test_a_failure_to_write_is_that_pictures(row: list[Job], events: Events) -> None:
    row[2].target.mkdir(parents=True)
    results = list(start(forced(row), Watched(events)))
    assert [result.status for result in results] == [
        "done",
        "done",
        "failed",
        "done",
        "done",
        "done",
    ]
    assert results[2].message == f"Is a directory: {row[2].target}"
    assert sorted(path.name for path in row[0].target.parent.iterdir()) == [
        f"{k}.png" for k in range(6)
    ]


def test_closing_early_ends_the_threads_and_leaves_whole_files(
    row: list[Job], events: Events
) -> None:
    running: Any = start(row, Watched(events, lambda number: events.wait_for(f"read {number + 1}")))
    next(running)
    assert threads() != []
    running.close()
    assert threads() == []
    made = sorted(path.name for path in row[0].target.parent.iterdir())
    assert made == [f"{k}.png" for k in range(len(made))]
    assert {read_image(row[0].target.parent / name).shape for name in made} == {(6, 7, 3)}
    assert "network 2" not in events.order


def test_an_interrupt_comes_through_and_what_is_done_stays(row: list[Job], events: Events) -> None:
    def interrupt(number: int) -> None:
        if number == 3:
            raise KeyboardInterrupt

    told: list[Result] = []
    with pytest.raises(KeyboardInterrupt):
        told.extend(start(row, Watched(events, interrupt)))
    assert threads() == []
    assert sorted(path.name for path in row[0].target.parent.iterdir()) == [
        "0.png",
        "1.png",
        "2.png",
    ]
    assert [int(read_image(job.target)[0, 0, 0]) for job in row[:3]] == [99, 100, 101]
    assert [result.status for result in start(row, Darken())] == ["skipped"] * 3 + ["done"] * 3


def test_what_an_earlier_job_writes_is_read_after(
    row: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_write(path: Path, data: bytes) -> None:
        time.sleep(0.1)
        write_file(path, data)

    monkeypatch.setattr("derain.pictures.storage.write_file", slow_write)
    (tmp_path / "link.png").symlink_to(row[1].source)
    chain = [
        Job(row[0].source, row[1].source),
        Job(tmp_path / "link.png", tmp_path / "last.png", alone=True),  # though derain made it
        row[2],
    ]
    assert [result.status for result in start(forced(chain), Darken())] == ["done"] * 3
    assert np.all(read_image(tmp_path / "last.png") == 98)
    rivals = [row[3], Job(row[4].source, row[3].target), row[5]]
    assert [result.status for result in start(rivals, Darken())] == ["done", "skipped", "done"]
    assert np.all(read_image(row[3].target) == 102)


def test_what_comes_to_be_there_meanwhile_is_left_alone(row: list[Job], events: Events) -> None:
    def beside(number: int) -> None:
        if number == 1:
            events.wait_for("read 2")
            row[2].target.parent.mkdir(exist_ok=True)  # the first result may not be written yet
            row[2].target.write_bytes(b"mine")

    results = list(start(row, Watched(events, beside)))
    assert [result.status for result in results] == [
        "done",
        "done",
        "skipped",
        "done",
        "done",
        "done",
    ]
    assert row[2].target.read_bytes() == b"mine"


def test_what_is_there_is_not_read(row: list[Job], events: Events) -> None:
    list(start(row[1:3], Darken()))
    events.order.clear()
    assert [result.status for result in start(row, Watched(events))] == [
        "done",
        "skipped",
        "skipped",
        "done",
        "done",
        "done",
    ]
    assert {what for what in events.order if what.startswith("read")} == {
        f"read {k}" for k in (0, 3, 4, 5)
    }


def test_streams_belong_to_the_calling_thread(
    row: list[Job], events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stream(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            events.tell("stdin")
            return super().read(size)

        def write(self, data: Any, /) -> int:
            events.tell("stdout")
            return super().write(data)

    output = Stream()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Stream(row[1].source.read_bytes())))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=output))
    monkeypatch.setattr(pipeline, "read", read)
    statuses: list[str] = []
    for k, result in enumerate(
        start([row[0], Job(pictures.STREAM, pictures.STREAM), row[2], row[3]], Watched(events))
    ):
        statuses.append(result.status)
        assert ("stdout" in events.order) == (k >= 1)
        assert "written 2" not in events.order or k >= 2
    assert statuses == ["done"] * 4
    assert events.threads["stdin"] is events.threads["stdout"] is threading.main_thread()
    assert np.all(np.array(Image.open(io.BytesIO(output.getvalue()))) == 100)


def test_seconds_are_the_pictures_own(
    row: list[Job], events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_read(source: Path, _max_pixels: int | None) -> Picture:
        time.sleep(0.05)
        return read(source)

    def slow_write(path: Path, data: bytes) -> None:
        time.sleep(0.05)
        write_file(path, data)

    monkeypatch.setattr(pipeline, "read", slow_read)
    monkeypatch.setattr("derain.pictures.storage.write_file", slow_write)
    for result in start(row[:3], Watched(events, lambda _: time.sleep(0.1))):
        assert result.seconds >= 0.2


def test_every_picture_is_derained_where_the_mask_says(tmp_path: Path) -> None:
    mask = np.zeros((6, 7), np.uint8)
    mask[2:, 3:] = 1
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, np.full((6, 7, 3), 100, np.uint8))
    results = run([str(tmp_path)], str(tmp_path / "out"), Options(mask=mask))
    assert [result.status for result in results] == ["done", "done"]
    for name in ("a.png", "b.png"):
        assert np.array_equal(read_image(tmp_path / "out" / name)[..., 0], 100 - mask)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
def test_results_are_known_by_their_mark_in_any_order(suffix: str, folder: Path) -> None:
    for path in (folder / "a.png", folder / "b.jpg"):
        (result,) = run([str(path)], str(folder / f"{path.stem} clean{suffix}"))
        assert result.status == "done"
    names = sorted(str(path) for path in folder.iterdir() if path.suffix != ".txt")
    for inputs in (names, names[::-1], [str(folder)], [str(folder / "*.*"), str(folder)]):
        statuses = {
            result.source.name: result.status
            for result in run(inputs, str(folder.parent / "out"), Options(force=True))
        }
        assert {statuses[f"{stem} clean{suffix}"] for stem in "ab"} == {"left"}
        assert {statuses["a.png"], statuses["b.jpg"]} == {"done"}
    (again,) = run([str(folder / f"a clean{suffix}")])
    assert (again.status, again.notes[-1]) == ("done", AGAIN)


def test_a_result_that_would_have_a_pictures_name_gives_way(folder: Path) -> None:
    run([str(folder / "a.png")], str(folder / "a.jpg"))  # marked, and sorted before a.png
    plan = pictures.plan([str(folder)], str(folder.parent / "out"), Options(format="WEBP"))
    assert plan.refused == ()
    assert plan.results == (folder / "a.jpg",)
    assert folder / "a.png" in [job.source for job in plan.jobs]


def test_a_limit_on_pixels_goes_with_the_picture(folder: Path) -> None:
    statuses = [result.status for result in run([str(folder)], None, Options(max_pixels=41))]
    assert statuses == ["failed"] * 4
    (failed, *_) = run([str(folder)], None, Options(max_pixels=41))
    assert "max_pixels=42 reads it" in failed.message
    assert run([str(folder)], None, Options(max_pixels=42))[0].status == "done"


def test_heic_becomes_a_jpeg_where_it_can_be_read(folder: Path) -> None:
    (folder / "c.heic").write_bytes(b"no picture")
    plan = pictures.plan([str(folder)])
    targets = {job.source.name: job.target.name for job in plan.jobs}
    if readable_suffixes() >= finding.HEIC:
        assert targets["c.heic"] == "c.jpg"
    else:
        assert plan.others[".heic"] == 1
        line = pictures.describe_others(plan.others)
        assert line.endswith('; pip install "derain[heif]" reads HEIC')
    (job,) = pictures.plan([str(folder / "c.heic")]).jobs  # it is tried
    assert job.target.name == "c_derained.jpg"


def test_one_name_is_no_sequence_of_letters_and_paths_are_names(folder: Path) -> None:
    picture = folder / "a.png"
    for inputs in (str(picture), picture, [picture], [str(picture)]):
        (job,) = pictures.plan(inputs, folder / "out").jobs
        assert (job.source, job.target) == (picture, folder / "out" / "a.png")


@pytest.mark.parametrize(("name", "said"), [("a.jpg", True), ("a.png", False), ("a", False)])
def test_a_name_that_says_another_format_is_noted(name: str, said: bool, tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.full((16, 20, 3), 90, np.uint8))
    (tmp_path / "a.png").rename(tmp_path / name)
    (result,) = run([str(tmp_path / name)])
    assert result.status == "done"
    assert result.notes == (("is PNG as its input is, whatever .jpg says",) if said else ())
