"""The shape of the code: sizes of functions, widths of lines, imports without circles."""

import ast
import statistics
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "derain"

LONGEST = 59
"""Lines of a function, docstring and signature included."""
TYPICAL = 8
"""Median of these lines, without docstrings."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> Iterator[tuple[Path, Function]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, Function):
                yield path, node


def lines_of(node: Function, *, docstring: bool) -> int:
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if docstring or ast.get_docstring(node) is None:
        return lines
    return lines - ((first.end_lineno or first.lineno) - first.lineno + 1)


def test_no_function_is_long() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines_of(node, docstring=True)}"
        for path, node in functions()
        if lines_of(node, docstring=True) > LONGEST
    ]
    assert long == []


def test_a_typical_function_is_short() -> None:
    sizes = [lines_of(node, docstring=False) for _, node in functions()]
    assert statistics.median(sizes) <= TYPICAL


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found: dict[str, Path] = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(name: str, known: dict[str, Path]) -> set[str]:
    """Modules that a module imports anywhere: in functions and for type checkers, too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(known[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            # "from derain.data import pairs" imports a module, "from derain.data import Pair" the
            # package.
            found |= inner & known.keys() or {node.module}
            if inner - known.keys():
                found.add(node.module)
    return {module for module in found & known.keys() if module != name}


def test_no_module_imports_itself_in_a_circle() -> None:
    known = modules()
    # The top package looks names up on first use, and its own imports are for type checkers.
    arrows = {name: imported(name, known) - {"derain"} for name in known if name != "derain"}
    # A package's __init__ gathers what its modules offer: importing a name from it means them.
    circles: list[str] = []

    def walk(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circles.append(" -> ".join((*path[path.index(name) :], name)))
            return
        if name in done:
            return
        for other in sorted(arrows.get(name, ())):
            walk(other, (*path, name))
        done.add(name)

    done: set[str] = set()
    for name in sorted(arrows):
        walk(name, ())
    assert circles == []


@pytest.mark.parametrize("folder", ["derain", "benchmarks", "tools", "tests"])
def test_lines_fit_on_a_page(folder: str) -> None:
    widths = sorted(
        len(line)
        for path in (ROOT / folder).rglob("*.py")
        for line in path.read_text().splitlines()
        if line
    )
    assert widths[int(0.95 * len(widths))] <= 100


def test_modules_of_tests_have_names_of_their_own() -> None:
    # Without packages pytest imports them by name alone.
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
