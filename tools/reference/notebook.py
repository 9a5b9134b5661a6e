"""Run examples/quickstart.ipynb and store its results in it.

    python -m tools.reference.notebook

The cells run in this process, without Jupyter, so that a test can do the same within seconds.
Figures are stored as small JPEGs.
"""

import base64
import contextlib
import io
import json
import os
from pathlib import Path
from typing import Any

import matplotlib as mpl

NOTEBOOK = Path(__file__).parent.parent.parent / "examples/quickstart.ipynb"
DOTS = 80
"""Dots per inch of figures: enough to see streaks, and the notebook stays small."""

Cell = dict[str, Any]


def read_notebook() -> dict[str, Any]:
    """Return the notebook as its format (nbformat 4) has it."""
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


def source_of(cell: Cell) -> str:
    """Return the text of a cell."""
    return "".join(cell["source"])


def run(cells: list[Cell]) -> list[list[dict[str, Any]]]:
    """Run the cells of code in order, in the folder of the notebook.

    Returns:
        The outputs of each cell of code: what it printed, and its figures.
    """
    with mpl.rc_context({"backend": "Agg"}):
        from matplotlib import pyplot

        namespace: dict[str, Any] = {"__name__": "__main__"}
        before = Path.cwd()
        os.chdir(NOTEBOOK.parent)
        try:
            return [
                _outputs(cell, namespace, pyplot) for cell in cells if cell["cell_type"] == "code"
            ]
        finally:
            os.chdir(before)


def _outputs(cell: Cell, namespace: dict[str, Any], pyplot: Any) -> list[dict[str, Any]]:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source_of(cell), str(NOTEBOOK), "exec"), namespace)
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        lines = printed.getvalue().splitlines(keepends=True)
        outputs.append({"output_type": "stream", "name": "stdout", "text": lines})
    for number in pyplot.get_fignums():
        outputs.append(_picture(pyplot.figure(number)))
    pyplot.close("all")
    return outputs


def _picture(figure: Any) -> dict[str, Any]:
    file = io.BytesIO()
    figure.savefig(file, format="jpeg", dpi=DOTS, bbox_inches="tight")
    data = {"image/jpeg": base64.b64encode(file.getvalue()).decode()}
    return {"output_type": "display_data", "data": data, "metadata": {}}


def main() -> None:
    """Run the notebook and write it back with its results."""
    notebook = read_notebook()
    results = iter(run(notebook["cells"]))
    count = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            count += 1
            cell["outputs"], cell["execution_count"] = next(results), count
    text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    NOTEBOOK.write_text(text, encoding="utf-8")
    print(f"{NOTEBOOK}: {len(text):,} bytes")


if __name__ == "__main__":
    main()
