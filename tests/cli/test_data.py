"""derain data check: what it prints, and with which status it ends."""

import json
from pathlib import Path

import numpy as np
import pytest
from drawn_rain import rain_on
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from derain import cli
from derain.images import write_image


def check(*arguments: str | Path) -> Result:
    """Run in this process, which is quicker."""
    command = ["data", "check", *map(str, arguments)]
    return CliRunner().invoke(cli.make_app(), command)


@pytest.fixture
def folder(photo: NDArray[np.uint8], tmp_path: Path) -> Path:
    """Three pairs in folders whose names say nothing."""
    for k in range(3):
        dry = np.ascontiguousarray(np.roll(photo, 50 * k, axis=1)[:, :140])
        for name, pixels in (("one", rain_on(dry, k)), ("two", dry)):
            (tmp_path / "set" / name).mkdir(parents=True, exist_ok=True)
            write_image(tmp_path / "set" / name / f"{k}.png", pixels)
    return tmp_path / "set"


def test_pairs_in_an_unknown_layout(folder: Path) -> None:
    found = check(folder)
    assert found.exit_code == 1
    assert "UNSOUND: unknown layout (1)" in found.stdout
    assert f"--rainy {folder}/one --clean {folder}/two" in found.stdout
    named = check("--rainy", folder / "one", "--clean", folder / "two")
    assert named.exit_code == 0, named.stdout
    assert "one/ and two/ as named, one to one" in named.stdout
    assert check(folder / "two").exit_code == 0
    alone = check(folder, "--layout", "photographs", "--json", "-")
    assert alone.exit_code == 0
    assert json.loads(alone.stdout)["pictures"] == 6


@pytest.mark.parametrize(
    ("rainy", "clean", "sound"),
    [
        ("LQ", "GT", True),
        ("low-quality", "sharp", True),
        ("Input Images", "sharp", False),
        ("w", "hq", False),
        ("rainy", "dry", False),
    ],
)
def test_known_names_and_one_that_is_not(folder: Path, rainy: str, clean: str, sound: bool) -> None:
    (folder / "one").rename(folder / rainy)
    (folder / "two").rename(folder / clean)
    found = check(folder)
    assert (found.exit_code == 0) == sound
    if sound:
        assert f"{rainy}/ and {clean}/, one to one" in found.stdout
    else:
        paths = [str(folder / half) for half in (rainy, clean)]
        both = [f'"{path}"' if " " in path else path for path in paths]
        assert f"--rainy {both[0]} --clean {both[1]}" in found.stdout


def test_two_folders_that_cannot_be_meant(folder: Path) -> None:
    for arguments, status, message in (
        (["--rainy", folder / "one"], 2, "error: --rainy "),
        (["--clean", folder / "one"], 2, "error: --clean "),
        ([folder, "--rainy", folder / "one", "--clean", folder / "two"], 2, "error: --rainy "),
        (["--rainy", folder / "one", "--clean", folder / "none"], 1, "none: no such folder"),
        (
            ["--rainy", folder / "one", "--clean", folder / "two", "--layout", "flat"],
            2,
            "error: --layout flat: two folders have none; leave it out",
        ),
        ([next((folder / "one").iterdir())], 1, "one picture; expected a folder of pairs"),
    ):
        result = check(*arguments)
        assert result.exit_code == status, result.stderr
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert check().exit_code == 2
