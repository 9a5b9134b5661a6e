"""The notebook of the examples runs, and shows what it says."""

import itertools
import re

import pytest

pytest.importorskip("matplotlib")

from tools.reference.notebook import NOTEBOOK, read_notebook, run, source_of

CELLS = read_notebook()["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
LARGEST = 300_000
"""Bytes of the notebook with its results."""


def kinds(outputs: list[dict[str, object]]) -> list[object]:
    """Return what outputs are, in order."""
    return [output["output_type"] for output in outputs]


def test_the_notebook_runs_and_its_models_beat_the_input() -> None:
    results = run(CELLS)
    assert [kinds(outputs) for outputs in results] == [kinds(cell["outputs"]) for cell in CODE]
    assert sum(kinds(outputs).count("display_data") for outputs in results) == 3
    (table,) = [
        "".join(output["text"])
        for outputs in results
        for output in outputs
        if output["output_type"] == "stream"
    ]
    assert "y-matlab" in table
    rows = re.findall(r"^([\w-]+) +(\d+\.\d\d) +(0\.\d+)$", table, re.M)
    models = ["rainy", "petrichor-live", "petrichor", "petrichor-deep"]
    assert [name for name, _, _ in rows] == models
    psnrs = [float(psnr) for _, psnr, _ in rows]
    assert psnrs == sorted(psnrs)
    assert psnrs[1] > psnrs[0] + 10


def test_the_notebook_is_complete_and_small() -> None:
    assert NOTEBOOK.stat().st_size < LARGEST
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    assert all(cell["outputs"] for cell in CODE)
    identifiers = [cell["id"] for cell in CELLS]
    assert len(set(identifiers)) == len(identifiers)
    # Every cell of code is explained by the one before.
    for before, cell in itertools.pairwise(CELLS):
        if cell["cell_type"] == "code":
            assert before["cell_type"] == "markdown"
            assert source_of(before).strip()
