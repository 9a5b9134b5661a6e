"""Scripts that the documentation names exist, and every script is in the table of benchmarks."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAB_NOTES = ROOT / "docs/lab-notes"
"""History: it also names scripts that only an older commit holds."""
PATH = re.compile(r"(?<![\w/.])(?:benchmarks|tools)/[\w/]+\.py\b")
MODULE = re.compile(r"(?:python -m\s+|`)((?:benchmarks|tools)\.[\w.]*\w)")


def pages() -> list[Path]:
    """Return the documents and sources that name scripts to readers."""
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *scripts("*.md")]
    sources = [*(ROOT / "derain").rglob("*.py"), *scripts("*.py")]
    return sorted(path for path in [*documents, *sources] if LAB_NOTES not in path.parents)


def scripts(pattern: str) -> list[Path]:
    return [path for folder in ("benchmarks", "tools") for path in (ROOT / folder).rglob(pattern)]


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


RUNNABLE = sorted(module_of(path) for path in scripts("*.py") if "__main__" in path.read_text())


def named_in(text: str) -> set[Path]:
    """Return the files of the scripts that a text names by path or by module."""
    paths = {ROOT / name for name in PATH.findall(text)}
    for name in MODULE.findall(text):
        parts = name.split(".")
        parent = ROOT.joinpath(*parts[:-1]).with_suffix(".py")
        # The last part may be something inside a module, such as `tools.zoo.entries.ZOO`.
        paths.add(parent if parent.exists() else ROOT.joinpath(*parts).with_suffix(".py"))
    return paths


def test_names_are_found_in_texts() -> None:
    text = (
        "`benchmarks/rain/gap.py`, derain/data/benchmarks.py, `tools.zoo.entries.ZOO`,"
        " python -m benchmarks.quality.none --help"
    )
    names = {str(path.relative_to(ROOT)) for path in named_in(text)}
    assert names == {
        "benchmarks/rain/gap.py",
        "tools/zoo/entries.py",
        "benchmarks/quality/none.py",
    }


def test_scripts_that_pages_name_exist() -> None:
    lost = [
        f"{page.relative_to(ROOT)}: {path.relative_to(ROOT)}"
        for page in pages()
        for path in sorted(named_in(page.read_text()))
        if not path.exists()
    ]
    assert lost == []


@pytest.mark.parametrize("module", RUNNABLE)
def test_a_script_says_how_it_is_run(module: str) -> None:
    source = ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text()
    assert f"python -m {module}" in (ast.get_docstring(ast.parse(source)) or "")


def test_the_table_of_benchmarks_has_every_script() -> None:
    table = (ROOT / "benchmarks/README.md").read_text()
    commands = set(re.findall(r"\| `python -m (benchmarks[\w.]+)", table))
    assert commands == {module for module in RUNNABLE if module.startswith("benchmarks.")}
    for link in re.findall(r"\]\(([^)#]+)", table):
        assert (ROOT / "benchmarks" / link).exists(), link
