"""The house itself: what the package offers, and that nothing heavy happens on import."""

import importlib
import operator
import re
import subprocess
import sys
from pathlib import Path

import pytest

import derain
from derain.extras import is_installed
from derain.weights import QUALITIES

ROOT = Path(__file__).parent.parent


def test_every_name_it_offers_is_there() -> None:
    names = set(derain.__all__) - (set() if is_installed("torch") else {"NETWORKS"})
    assert all(getattr(derain, name) is not None for name in names)
    with pytest.raises(AttributeError, match="no attribute 'undrain'"):
        derain.undrain  # noqa: B018
    assert dir(derain) == sorted(derain.__all__)


def test_import_loads_nothing_heavy() -> None:
    code = "import sys, derain; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "numpy", "PIL", "cv2"} & set(loaded)


def test_the_map_of_the_code_shows_every_file_of_the_package() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    rooms = [
        path
        for path in (ROOT / "derain").iterdir()
        if path.name not in ("__pycache__", "__init__.py", "__main__.py", "py.typed")
    ]
    assert [path.name for path in rooms if f" {path.name}" not in page] == []


def test_the_guide_has_a_row_for_every_quality() -> None:
    guide = (ROOT / "docs/guides/derain.md").read_text()
    rows = [
        line.strip("|").split("|")
        for line in guide.splitlines()
        if line.startswith("| `") and "--" not in line
    ]
    cells = [[cell.strip() for cell in row] for row in rows]
    found = {name.split("`")[1]: (weights.strip("`"), flips[0]) for name, weights, flips in cells}
    assert found == {
        name: (quality.weights, str(quality.flips)) for name, quality in QUALITIES.items()
    }


def test_version_is_that_of_the_project() -> None:
    assert f'version = "{derain.__version__}"' in (ROOT / "pyproject.toml").read_text()


def exists(dotted: str) -> bool:
    """Return whether a dotted name is a module, or can be reached from one."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        try:
            operator.attrgetter(".".join(parts[count:]) or "__name__")(found)
        except AttributeError:
            return False
        return True
    return False


@pytest.mark.torch
def test_every_name_that_docstrings_and_docs_refer_to_exists() -> None:
    folders = ("derain", "benchmarks", "tools", "tests", "docs")
    files = [
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.*")
        # The lab notes tell of code that is gone.
        if path.suffix in (".py", ".md") and "lab-notes" not in path.parts
    ]
    files += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    names = {
        (name, path.relative_to(ROOT).as_posix())
        for path in files
        for name in re.findall(r"`(derain(?:\.\w+)+)", path.read_text())
    }
    assert len(names) > 20
    assert {(name, path) for name, path in names if not exists(name)} == set()


def test_other_pythons_are_started_in_one_way() -> None:
    """Each runs no file of the working folder, see `derain.machine.python_command`."""
    starting = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "derain").rglob("*.py"))
        if "sys.executable" in path.read_text(encoding="utf-8")
    ]
    assert starting == ["derain/machine.py"]
