"""Where results go, and what is refused before the work."""

import errno
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from derain import images, pictures
from derain.errors import UsageError
from derain.images import write_image
from derain.pictures import Options


@pytest.fixture(autouse=True)
def photo_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with a picture, and a folder with one."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for name in ("photo.jpg", "in/a.png"):
        write_image(name, np.full((3, 4, 3), 100, np.uint8))


@pytest.mark.parametrize(
    ("output", "meant"),
    [
        ("clean.heic", ".jpg"),
        ("res.jpgg", ".jpg"),
        ("res.txt", ".jpg"),
        ("res.pgn", ".png"),
        ("res.TIIF", ".tif"),
        ("res.webpp", ".webp"),
        ("deep/res.mp4", ".jpg"),
        ("res.3gp", ".jpg"),
        ("res.jpg.", "res.jpg"),
        ("res.jpg ", "res.jpg"),
        (".hidden.gif", ".tif"),
    ],
)
def test_an_unknown_ending_is_refused(output: str, meant: str) -> None:
    for inputs in (["photo.jpg"], ["in"], ["-"], ["none.jpg"]):
        with pytest.raises(UsageError) as raised:
            pictures.plan(inputs, output)
        assert f"did you mean {meant}? a folder's name ends in /" in str(raised.value)
        assert raised.value.option == "output"
    Path(output.rstrip(". ") + "/").mkdir(parents=True)
    (job,) = pictures.plan(["photo.jpg"], output.rstrip(". ") + "/").jobs
    assert job.target == Path(output.rstrip(". "), "photo.jpg")


@pytest.mark.parametrize(
    "output",
    ["dry", "dry.2024", "v1.5", "dry.v2", "2024.05.01", "dry.jpg/", "St. Ives", "J. Doe", ".dry"],
)
def test_other_names_are_those_of_folders(output: str) -> None:
    (job,) = pictures.plan(["photo.jpg"], output).jobs
    assert job.target == Path(output, "photo.jpg")


@pytest.mark.parametrize("output", ["", "  "])
def test_an_empty_name_is_refused(output: str) -> None:
    with pytest.raises(UsageError, match="an empty name"):
        pictures.plan(["photo.jpg"], output)


@pytest.mark.parametrize(
    ("format", "output", "refused"),
    [
        ("PNG", "a.jpg", True),
        ("JPEG", "a.png", True),
        ("TIFF", "a.bmp", True),
        ("JPEG", "a.jpeg", False),
        ("TIFF", "a.TIF", False),
        ("PNG", "folder", False),
        ("PNG", "-", False),
    ],
)
def test_name_and_format_are_not_decided_apart(format: str, output: str, refused: bool) -> None:
    options = Options(format=format)  # pyright: ignore[reportArgumentType]
    if refused:
        with pytest.raises(UsageError, match=f"format={format.lower()}: not the format that"):
            pictures.plan(["photo.jpg"], output, options)
        return
    (job,) = pictures.plan(["photo.jpg"], output, options).jobs
    assert job.format == format
    assert output in ("-", "folder") or job.target == Path(output)
    assert output != "folder" or job.target == Path("folder/photo.png")


def test_names_that_are_too_long_are_known_before_the_work() -> None:
    name = f"{'n' * 245}.jpg"
    write_image(name, np.full((3, 4, 3), 100, np.uint8))
    plan = pictures.plan([name, "photo.jpg"])
    assert [str(job.source) for job in plan.jobs] == ["photo.jpg"]
    ((path, error),) = plan.refused
    assert str(path) == name
    assert isinstance(error, OSError)
    assert error.errno == errno.ENAMETOOLONG
    for output in (f"{'d' * 300}/", f"{'d' * 300}.jpg", "/".join(["d" * 200] * 30)):
        with pytest.raises(OSError, match=r"bytes|too long"):
            pictures.plan(["photo.jpg"], output)


def test_a_comparison_may_be_what_is_too_long() -> None:
    name = f"{'n' * 240}.jpg"
    write_image(name, np.full((3, 4, 3), 100, np.uint8))
    assert len(pictures.plan([name]).jobs) == 1
    assert len(pictures.plan([name], None, Options(compare=True)).refused) == 1


@pytest.mark.parametrize("output", ["photo.jpg/", "photo.jpg/deep", "file", "file/deep"])
def test_a_file_in_the_place_of_a_folder_is_known_before_the_search(
    output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("file").write_bytes(b"")
    monkeypatch.setattr(sys.modules["derain.pictures.plan"], "find_sources", None)
    with pytest.raises(OSError, match="a file; expected a folder"):
        pictures.plan(["in"], output)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that refuses files")
@pytest.mark.parametrize("output", ["/proc/out", "/proc/out/deep/", "/proc/self/out"])
def test_a_place_that_cannot_be_made_is_known_before_the_search(
    output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["derain.pictures.plan"], "find_sources", None)
    with pytest.raises(OSError, match=r"can be made here|not permitted|not be written"):
        pictures.plan(["in"], output)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that refuses files")
def test_a_folder_that_takes_no_files_is_known_before_the_work() -> None:
    plan = pictures.plan(["photo.jpg", "in/a.png"], "/proc/self/")
    assert plan.jobs == ()
    assert len(plan.refused) == 2
    for _, error in plan.refused:
        assert isinstance(error, OSError)
        assert "/proc/self" in (error.filename or str(error))


def test_places_are_tried_without_a_trace() -> None:
    pictures.plan(["photo.jpg"], "new/deep/")
    pictures.plan(["photo.jpg"], "new/deep/a.jpg")
    pictures.plan(["in"])
    pictures.plan(["photo.jpg"], "in")
    assert os.listdir("in") == ["a.png"]  # noqa: PTH208
    assert sorted(os.listdir()) == ["in", "photo.jpg"]  # noqa: PTH208


def test_a_folder_that_may_not_be_written_into_is_known_before_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def access(path: Path, _mode: int) -> bool:
        return Path(path).name != "in"

    monkeypatch.setattr(os, "access", access)  # root may write everywhere
    plan = pictures.plan(["photo.jpg", "in/a.png"])
    assert [str(job.source) for job in plan.jobs] == ["photo.jpg"]
    assert "may not be written into" in str(plan.refused[0][1])
    write_image("in/a_derained.png", np.full((3, 4, 3), 100, np.uint8))
    assert len(pictures.plan(["in/a.png"]).jobs) == 1  # it is there: skipped


def test_pixels_and_insistence_go_with_the_job() -> None:
    (job,) = pictures.plan(["photo.jpg"], None, Options(max_pixels=5)).jobs
    assert (job.max_pixels, job.alone) == (5, True)
    assert [job.alone for job in pictures.plan(["photo.jpg", "in/a.png"]).jobs] == [False, False]


def test_of_two_pictures_of_one_result_that_of_derain_is_left_without_decoding_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.zeros((8, 9, 3), np.uint8)
    folder = tmp_path / "two"
    folder.mkdir()
    (folder / "a.png").write_bytes(images.encode(images.Picture(pixels), "PNG"))
    options = pictures.Options(format="PNG", max_pixels=72)
    monkeypatch.setattr("derain.images.limits.MAX_PIXELS", 1)
    monkeypatch.setattr("derain.images.reading.decode", None)
    formats: tuple[images.Format, ...] = ("JPEG", "TIFF", "WEBP", "AVIF")
    for format in formats:
        if format == "AVIF" and ".avif" not in images.readable_suffixes():
            continue
        made = folder / f"a.{format.lower()}"
        made.write_bytes(images.encode(images.Picture(pixels, is_result=True), format))
        found = pictures.plan([folder], tmp_path / "out", options)
        assert [job.source.name for job in found.jobs] == ["a.png"]
        assert found.results == (made,)
        made.unlink()
