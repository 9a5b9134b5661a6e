"""derain synth: what it writes, what it prints, what it refuses."""

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from derain import cli
from derain.images import read_image, write_image

pytestmark = pytest.mark.torch


def derain(*arguments: str | Path) -> Result:
    """Run in this process, which is quicker."""
    return CliRunner().invoke(cli.make_app(), [str(argument) for argument in arguments])


@pytest.fixture
def folder(photo: NDArray[np.uint8], tmp_path: Path) -> Path:
    """A folder of two clean pictures in folders of their own."""
    for name in ("a", "b, c"):
        (tmp_path / "clean" / name).mkdir(parents=True)
        write_image(tmp_path / "clean" / name / "1.png", photo // 2)
    return tmp_path / "clean"


def test_the_parts_of_rain(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = derain("synth", folder, "-o", out, "--parts")
    assert made.exit_code == 0, made.stderr
    assert made.stdout.splitlines() == [f"{out}/rainy/a/1.png", f"{out}/rainy/b, c/1.png"]
    for name in ("a/1.png", "b, c/1.png"):
        rainy, clean, layer, mask = (
            read_image(out / part / name).astype(int)
            for part in ("rainy", "clean", "layer", "mask")
        )
        assert np.abs(np.minimum(clean + layer, 255) - rainy).max() <= 1  # each is rounded
        assert set(np.unique(mask)) == {0, 255}
        assert ((layer > 8) == (mask > 0)).mean() > 0.99
    rows = list(csv.DictReader((out / "density.csv").read_text().splitlines()))
    assert [row["picture"] for row in rows] == ["a/1.png", "b, c/1.png"]
    assert float(rows[0]["coverage"]) == pytest.approx(
        (read_image(out / "mask/a/1.png") > 0).mean(), abs=1e-3
    )


def test_a_second_run_makes_what_the_first_left_undone(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["synth", folder, "-o", out, "--parts"]
    assert derain(*command).exit_code == 0
    again = derain(*command)
    counted = "2 skipped because they already exist\n"
    assert (again.exit_code, again.stdout, again.stderr) == (0, "", counted)
    named = derain(*command, "-v").stderr.splitlines()
    assert named[0] == (
        f"skipped {folder}/a/1.png: {out}/rainy/a/1.png already exists; --force overwrites it"
    )
    first = (out / "rainy/a/1.png").read_bytes()
    (out / "rainy/a/1.png").unlink()  # as an interruption leaves it
    completed = derain(*command)
    assert completed.exit_code == 0, completed.stderr
    assert completed.stdout == f"{out}/rainy/a/1.png\n"
    assert (out / "rainy/a/1.png").read_bytes() == first
    (out / "rainy/a/1.png").unlink()
    other = derain(*command, "--preset", "rain100h")
    assert (other.exit_code, other.stdout) == (1, "")
    assert f"error: {folder}/a/1.png: {out}/layer/a/1.png already exists" in other.stderr
    assert "and is another picture; --force overwrites it" in other.stderr


def test_the_table_of_densities_keeps_what_is_in_it(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert derain("synth", folder / "b, c", "-o", out, "--parts").exit_code == 0
    command = ["synth", folder, "-o", out, "--parts", "--force", "--preset", "rain100h"]
    assert derain(*command).exit_code == 0
    rows = list(csv.DictReader((out / "density.csv").read_text().splitlines()))
    assert [(row["picture"], row["preset"]) for row in rows] == [
        ("1.png", "rain100l"),
        ("a/1.png", "rain100h"),
        ("b, c/1.png", "rain100h"),
    ]
    (out / "density.csv").write_text("city,density\nRome,2200\n")
    foreign = derain(*command)
    assert foreign.exit_code == 1
    assert foreign.stderr == (
        f"error: {out}/density.csv: is another table; expected the columns picture, preset,"
        " coverage, density; move it away\n"
    )
    assert (out / "density.csv").read_text() == "city,density\nRome,2200\n"


def test_one_picture(folder: Path, tmp_path: Path) -> None:
    picture = folder / "a/1.png"
    assert derain("synth", picture, "-o", tmp_path / "rainy.jpg").exit_code == 0
    assert read_image(tmp_path / "rainy.jpg").shape == (120, 160, 3)
    wrong = derain("synth", picture, "-o", tmp_path / "one.png", "--parts")
    assert wrong.exit_code == 2
    assert wrong.stderr == (
        f"error: --parts: the output {tmp_path}/one.png is one picture; expected a folder\n"
    )


def test_inputs_and_other_pictures_are_not_overwritten(folder: Path, tmp_path: Path) -> None:
    original = (folder / "a/1.png").read_bytes()
    result = derain("synth", folder, "-o", tmp_path, "--force")
    assert result.exit_code == 2
    assert "clean holds the clean pictures; choose another output" in result.stderr
    result = derain("synth", folder / "a/1.png", "-o", folder / "a/1.png", "--force")
    assert result.exit_code == 1
    assert "is an input; choose another output" in result.stderr
    assert (folder / "a/1.png").read_bytes() == original
    (folder / "a/1.jpg").write_bytes(original)
    result = derain("synth", folder / "a", "-o", tmp_path / "two")
    assert result.exit_code == 1
    assert "another picture became" in result.stderr
    assert result.stdout == f"{tmp_path}/two/rainy/1.png\n"


def test_rain_cut_from_textures(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "streaks").mkdir()
    write_image(tmp_path / "streaks/1.png", np.full((32, 48, 3), 90, np.uint8))
    command = ["synth", folder / "a", "--preset", "rain100l-textures", "--seed", "3", "--parts"]
    textured = [*command, "--textures", tmp_path / "streaks"]
    result = derain(*textured, "-o", tmp_path / "cut")
    assert result.exit_code == 0, result.stderr
    assert "is drawn" not in result.stderr
    # A texture of one grey is a layer of one grey, dimmed as Rain100L dims it: 90 * 219 / 255 is
    # 77.
    clean, rainy, layer = (
        read_image(tmp_path / "cut" / part / "1.png").astype(int)
        for part in ("clean", "rainy", "layer")
    )
    assert np.abs(layer - 77).max() <= 1
    assert np.abs(rainy - clean - 77).max() <= 1
    drawn = derain(*command, "-o", tmp_path / "drawn")
    assert drawn.exit_code == 0
    assert (
        "rain100l-textures: rain is drawn without streak textures; --textures DIR" in drawn.stderr
    )
    assert np.ptp(read_image(tmp_path / "drawn/layer/1.png")) > 20
    (tmp_path / "streaks/2.png").write_bytes(b"once upon a time")
    broken = derain(*textured, "-o", tmp_path / "x")
    assert broken.exit_code == 1
    assert broken.stderr.startswith("error: ")
    assert "2.png: not a picture that can be read" in broken.stderr
    assert len(broken.stderr.splitlines()) == 1
    assert not (tmp_path / "x").exists()


def test_a_place_that_cannot_be_written_into_is_known_before_the_work(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("rain was made before the place was looked at")

    monkeypatch.setattr("derain.synth.synthesise", never)
    (tmp_path / "file").write_text("in the way")
    for arguments in (
        (folder, "-o", tmp_path / "file"),
        (folder, "-o", tmp_path / "file/deeper"),
        (folder / "a/1.png", "-o", tmp_path / "file/rainy.png"),
    ):
        result = derain("synth", *arguments)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"error: {tmp_path / 'file'}: a file; expected a folder")
        assert len(result.stderr.splitlines()) == 1
