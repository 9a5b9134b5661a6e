"""Rainy pairs as a generator of results."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from derain.errors import ExistsError, UsageError
from derain.images import Picture, encode, read, read_image, write_image
from derain.synth import SynthPlan, find_rain, plan, synthesise


@pytest.fixture
def folder(photo: NDArray[np.uint8], tmp_path: Path) -> Path:
    """A folder of three clean pictures, the second of which cannot be read."""
    (tmp_path / "clean").mkdir()
    for name in ("1.png", "3.png"):
        write_image(tmp_path / "clean" / name, photo[:40, :50])
    (tmp_path / "clean/2.png").write_bytes(b"no picture")
    return tmp_path / "clean"


def test_success_and_failure_are_values(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rain = find_rain("rain100l")
    seen: list[tuple[str, int, int]] = []
    results = list(
        synthesise(
            plan(folder, out),
            rain,
            seed=7,
            progress=lambda stage, done, total: seen.append((stage, done, total)),
        )
    )
    assert [(one.source.name, one.status) for one in results] == [
        ("1.png", "made"),
        ("2.png", "failed"),
        ("3.png", "made"),
    ]
    assert "not a picture that can be read" in str(results[1].error)
    assert [one.target for one in results] == [out / f"rainy/{k}.png" for k in (1, 2, 3)]
    assert seen == [("pictures", done, 3) for done in (1, 2, 3)]
    first, third = (read_image(out / f"rainy/{k}.png") for k in (1, 3))
    assert not np.array_equal(first, third), "every picture has rain of its own"
    again = list(synthesise(plan(folder, tmp_path / "again"), rain, seed=7))
    assert len(again) == 3
    for path in out.rglob("*.png"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(out)).read_bytes()
    statuses = [one.status for one in synthesise(plan(folder, out), rain, seed=8)]
    assert statuses == ["skipped", "failed", "skipped"]
    (out / "rainy/1.png").write_bytes(b"another")
    (out / "clean/1.png").unlink()
    conflict = next(synthesise(plan(folder, out), rain, seed=7))
    assert conflict.status == "failed"
    assert isinstance(conflict.error, ExistsError)
    assert (out / "rainy/1.png").read_bytes() == b"another"
    forced = next(synthesise(plan(folder, out), rain, seed=7, force=True))
    assert forced.status == "made"
    assert np.array_equal(read_image(out / "rainy/1.png"), first)


def test_the_table_has_what_was_made_before_an_interruption(folder: Path, tmp_path: Path) -> None:
    planned = plan(folder, tmp_path / "out", parts=True)
    assert planned.table is not None
    results = synthesise(planned, find_rain("rain100l"))
    assert next(results).status == "made"
    assert not planned.table.exists()
    results.close()
    rows = planned.table.read_text().splitlines()
    assert rows[0] == "picture,preset,coverage,density"
    assert [row.split(",")[:2] for row in rows[1:]] == [["1.png", "rain100l"]]


def test_a_table_that_cannot_be_written_is_the_last_result(folder: Path, tmp_path: Path) -> None:
    planned = plan(folder, tmp_path / "out", parts=True)
    assert planned.table is not None
    planned.table.mkdir(parents=True)
    *_, last = synthesise(planned, find_rain("rain100l"))
    assert (last.source, last.status) == (planned.table, "failed")
    assert isinstance(last.error, OSError)


def test_names_of_what_is_planned(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    single = plan(folder / "1.png", out)
    assert [job.files for job in single.jobs] == [[out / "rainy/1.png", out / "clean/1.png"]]
    assert [job.files for job in plan(folder / "1.png", out / "x.JPG").jobs] == [[out / "x.JPG"]]
    with_parts = plan(folder, out, parts=True)
    assert isinstance(with_parts, SynthPlan)
    assert with_parts.table == out / "density.csv"
    assert [path.parent.name for path in with_parts.jobs[0].files] == [
        "rainy",
        "clean",
        "layer",
        "mask",
    ]
    with pytest.raises(UsageError, match=r"^parts: the output .* is one picture"):
        plan(folder / "1.png", out / "x.png", parts=True)
    with pytest.raises(UsageError, match=r"^preset=snow: expected one of rain100l"):
        find_rain("snow")
    with pytest.raises(UsageError, match=r"^textures: rain100l has no layers of textures"):
        find_rain("rain100l", folder)


def test_pairs_are_no_clean_pictures(photo: NDArray[np.uint8], tmp_path: Path) -> None:
    for known, (rainy, clean) in enumerate((("X", "Y"), ("rainy", "clean"))):
        folder = tmp_path / str(known)
        for name, change in ((rainy, 20), (clean, 0)):
            (folder / name).mkdir(parents=True)
            write_image(folder / name / "1.png", np.minimum(photo, 200) + np.uint8(change))
        with pytest.raises(
            ValueError, match=r"expected (a folder with )?only clean (pictures|ones)"
        ):
            plan(folder, tmp_path / "out")
        assert len(plan(folder / clean, tmp_path / "out").jobs) == 1


def test_what_an_earlier_run_made_inside_the_input_is_no_input(
    photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    write_image(tmp_path / "1.png", photo)
    rain = find_rain("rain100l")
    for status in ("made", "skipped"):
        results = list(synthesise(plan(tmp_path, tmp_path / "out"), rain))
        assert [(one.source, one.status) for one in results] == [(tmp_path / "1.png", status)]


def test_the_rain_of_a_picture_stays_what_others_come_before_it(
    folder: Path, tmp_path: Path
) -> None:
    rain = find_rain("rain100l")
    out, single = tmp_path / "out", tmp_path / "single"
    (folder / "2.png").unlink()
    list(synthesise(plan(folder, out, parts=True), rain, seed=7))
    layers = {path.name: path.read_bytes() for path in (out / "layer").iterdir()}
    write_image(folder / "0.png", read_image(folder / "1.png"))
    results = list(synthesise(plan(folder, out, parts=True), rain, seed=7))
    assert [one.status for one in results] == ["made", "skipped", "skipped"]
    assert (out / "layer/0.png").read_bytes() not in layers.values()
    assert all((out / "layer" / name).read_bytes() == data for name, data in layers.items())
    # Alone, too, whatever the result is called.
    list(synthesise(plan(folder / "3.png", single, parts=True), rain, seed=7))
    list(synthesise(plan(folder / "3.png", single / "any.png"), rain, seed=7))
    assert (single / "layer/3.png").read_bytes() == layers["3.png"]
    assert np.array_equal(read_image(single / "any.png"), read_image(out / "rainy/3.png"))


def test_an_output_among_the_clean_pictures_is_refused(
    folder: Path, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    (folder / "1.jpg").write_bytes(encode(Picture(photo), "JPEG"))
    for clean in (folder, folder / "1.png", folder / "1.jpg"):
        with pytest.raises(UsageError, match=r"clean holds the clean pictures; choose another"):
            plan(clean, tmp_path)
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(UsageError, match="holds the clean pictures"):
        plan(tmp_path / "link", tmp_path)
    folder.rename(tmp_path / "mask")
    with pytest.raises(UsageError, match="mask holds the clean pictures"):
        plan(tmp_path / "mask", tmp_path, parts=True)
    assert plan(tmp_path / "mask", tmp_path).jobs
    assert plan(tmp_path / "mask", tmp_path / "mask/out", parts=True).jobs


@pytest.mark.parametrize("output", ["rainy.heic", "rainy.jpgg", "rainy.txt"])
def test_an_unknown_ending_is_refused(output: str, tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    for clean in (tmp_path, tmp_path / "a.png"):
        with pytest.raises(UsageError, match=r"did you mean \.jpg\? a folder's name ends in /"):
            plan(clean, str(tmp_path / output))
        (job,) = plan(clean, f"{tmp_path / output}/").jobs
        assert job.rainy == tmp_path / output / "rainy/a.png"


def test_one_picture_for_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in/a.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(UsageError, match="one picture for a folder"):
        plan(tmp_path / "in", tmp_path / "rainy.png")


def test_rain_on_a_result_makes_no_result(photo: NDArray[np.uint8], tmp_path: Path) -> None:
    (tmp_path / "clean.jpg").write_bytes(encode(Picture(photo, is_result=True), "JPEG"))
    assert read(tmp_path / "clean.jpg").is_result
    made = plan(tmp_path / "clean.jpg", tmp_path / "rainy.jpg")
    assert [one.status for one in synthesise(made, find_rain("rain100l"))] == ["made"]
    assert not read(tmp_path / "rainy.jpg").is_result


def test_pairs_are_refused_with_an_output_inside_them_too(
    photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    for half in ("rainy", "clean"):
        write_image_in(tmp_path / "named" / half / "1.png", photo)
    for k in range(3):
        write_image_in(tmp_path / f"flat/rain-{k}.png", photo)
        write_image_in(tmp_path / f"flat/norain-{k}.png", photo)
    for folder in ("named", "flat"):
        for output in (tmp_path / "out", tmp_path / folder / "out"):
            with pytest.raises(ValueError, match="expected"):
                plan(tmp_path / folder, output)


def write_image_in(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, pixels)
