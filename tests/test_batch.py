"""Many files: names of results, resume, and failures that stay alone."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from derain import batch
from derain.batch import Job, Options, Result
from derain.images import read, read_image, write_image
from derain.restore import RainDensity


class Darken:
    """Stands in for a Derainer: takes one grey level from everything."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, image: NDArray[Any], on_tile: Callable[[int, int], None] | None = None) -> NDArray[Any]:
        self.calls += 1
        if on_tile:
            on_tile(1, 1)
        return image - np.minimum(image, 1)

    def density(self, image: NDArray[Any]) -> RainDensity:
        return RainDensity(float(image.mean() > 0), 0.0, 0.0)


def run(inputs: list[str], output: str | None = None, options: Options = Options(), derainer: Any = None) -> list[Result]:  # noqa: B008
    jobs, failures = batch.plan(inputs, output, options)
    stand_in: Any = derainer or Darken()
    return failures + list(batch.run(jobs, stand_in, options))


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
    made = sorted(str(path.relative_to(folder.parent)) for path in (folder.parent / "in_derained").rglob("*.*"))
    assert made == ["in_derained/a.png", "in_derained/b.jpg", "in_derained/deep/c.webp", "in_derained/deep/er/d.tif"]
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
    inputs: list[str], output: str | None, targets: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    jobs, failures = batch.plan(inputs, output, Options())
    assert failures == []
    assert [str(job.target) for job in jobs] == targets


def test_asked_format_changes_the_name(folder: Path) -> None:
    jobs, _ = batch.plan([str(folder / "b.jpg"), str(folder / "a.png")], None, Options(format="JPEG"))
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
    assert result.message.endswith("--force overwrites it and makes the comparison")


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
    assert [result.status for result in run([str(folder / "deep")], str(folder))] == ["done", "done"]
    assert (folder / "er/d.tif").exists()


@pytest.mark.parametrize("output", ["dry.2024", "dry.png/"])
def test_only_a_pictures_ending_makes_a_file(output: str, folder: Path) -> None:
    jobs, _ = batch.plan([str(folder / "a.png")], f"{folder.parent}/{output}", Options())
    assert jobs[0].target == folder.parent / output / "a.png"


def test_odd_entries_do_not_stop_the_others(folder: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    (folder / "loop.png").symlink_to("loop.png")
    long = folder / f"{'n' * 245}.png"
    write_image(long, np.zeros((3, 3, 3), np.uint8))
    results = run([str(folder / "a.png"), str(long), "", str(folder / ("m" * 300))])
    assert [result.status for result in results] == ["failed", "failed", "done", "failed"]
    assert "an empty name" in results[0].message
    assert {result.source.name for result in run([str(folder)])} == {"a.png", "b.jpg", "c.webp", "d.tif", long.name}


def test_an_input_is_never_overwritten_unasked(folder: Path) -> None:
    original = (folder / "a.png").read_bytes()
    (result,) = run([str(folder / "a.png")], str(folder / "a.png"))
    assert result.status == "failed"
    assert "is an input; --force overwrites it" in result.message
    for result in run([str(folder)], str(folder)):
        assert result.status == "failed"
    assert (folder / "a.png").read_bytes() == original
    assert run([str(folder / "a.png")], str(folder / "a.png"), Options(force=True))[0].status == "done"
    assert np.all(read_image(folder / "a.png") == 99)


def test_a_link_to_an_input_is_that_input(folder: Path) -> None:
    (folder.parent / "link.png").symlink_to(folder / "a.png")
    (result,) = run([str(folder / "a.png")], str(folder.parent / "link.png"))
    assert result.status == "failed"


def test_second_run_over_a_pattern_leaves_results_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    options = Options(compare=True)
    run(["*.png"], options=options)
    results = run(["*.png"], options=options)
    assert [(result.source.name, result.status) for result in results] == [("a.png", "skipped")]


def test_failures_stay_alone(folder: Path) -> None:
    (folder / "a.png").write_bytes(b"")
    (folder / "b.jpg").write_bytes((folder / "b.jpg").read_bytes()[:200])
    results = {result.source.name: result for result in run([str(folder), str(folder / "none.png")])}
    assert results["none.png"].message == "no such file or folder"
    assert results["a.png"].message.startswith("an empty file")
    assert "damaged" in results["b.jpg"].message
    assert [results[name].status for name in ("c.webp", "d.tif")] == ["done", "done"]
    assert not (folder.parent / "in_derained/b.jpg").exists()


def test_out_of_memory_is_one_failure_with_a_hint(folder: Path) -> None:
    class Hungry(Darken):
        def __call__(self, image: NDArray[Any], on_tile: Callable[[int, int], None] | None = None) -> NDArray[Any]:
            if self.calls == 0:
                self.calls += 1
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return super().__call__(image, on_tile)

    results = run([str(folder)], derainer=Hungry())
    assert results[0].message.endswith("a smaller --tile needs less memory")
    assert [result.status for result in results[1:]] == ["done"] * 3


def test_full_disk_is_one_line_and_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert [result.message for result in results] == ["no pictures in this folder", "no file fits this pattern"]


def test_unreadable_folder_is_named(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def scandir(path: str) -> Any:
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    results = run([str(folder)])
    assert results[0].source.name == "deep"
    assert results[0].message == "cannot be looked into: Permission denied"
    assert [result.status for result in results[1:]] == ["done", "done"]


def test_two_pictures_for_one_name(folder: Path) -> None:
    write_image(folder / "deep/a.png", np.zeros((3, 3, 3), np.uint8))
    results = run([str(folder / "a.png"), str(folder / "deep/a.png")], str(folder.parent / "out"))
    assert "give them folders of their own" in results[0].message
    assert results[1].status == "done"


@pytest.mark.parametrize("output", ["one.png", "-"])
def test_one_output_for_many_pictures_is_refused(output: str, folder: Path) -> None:
    with pytest.raises(ValueError, match="expected a folder"):
        batch.plan([str(folder)], output, Options())


@pytest.mark.parametrize(("shape", "expected"), [((6, 20, 3), (14, 20)), ((20, 6, 3), (20, 14))])
def test_compare_shows_before_and_after(shape: tuple[int, int, int], expected: tuple[int, int], tmp_path: Path) -> None:
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
    assert (result.mode, result.getexif()[271], result.info["icc_profile"]) == ("RGBA", "Camera", b"profile")
    assert np.all(np.array(result) == [76, 76, 76, 77])


def test_transparent_picture_to_jpeg_fails_before_the_work(tmp_path: Path) -> None:
    Image.fromarray(np.full((5, 6, 4), 77, np.uint8)).save(tmp_path / "a.png")
    derainer = Darken()
    (result,) = run([str(tmp_path / "a.png")], str(tmp_path / "a.jpg"), derainer=derainer)
    assert "JPEG cannot hold" in result.message
    assert derainer.calls == 0


def test_progress_is_reported(folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    jobs = [Job(folder / "a.png", folder / "out.png")]
    derainer: Any = Darken()
    list(batch.run(jobs, derainer, Options(), lambda _: lambda done, total: seen.append((done, total))))
    assert seen == [(1, 1)]


def test_density_is_told_where_it_is_asked_for(folder: Path) -> None:
    told = run([str(folder)], options=Options(density=True))
    assert {result.density.word for result in told if result.density} == {"light"}
    assert len([result for result in told if result.density]) == len([result for result in told if result.status == "done"]) > 0
    assert {result.density for result in run([str(folder)], options=Options(force=True))} == {None}
