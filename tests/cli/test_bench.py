"""derain bench: the table and the file."""

import json
from pathlib import Path

from typer.testing import CliRunner

import derain
from derain import cli
from derain.extras import is_installed
from derain.machine import version_of


def test_bench_prints_a_table_and_writes_a_file(tmp_path: Path) -> None:
    command = ["bench", "petrichor-live", "--size", "64x48", "--rounds", "1", "--pictures", "1"]
    path = tmp_path / "b.json"
    result = CliRunner().invoke(cli.make_app(), [*command, "--device", "cpu", "--json", str(path)])
    assert result.exit_code == 0, result.stderr
    head, _, row, _, ceiling = result.stdout.splitlines()
    assert head.startswith(
        "| model | engine | number format | size | seconds | megapixels a second | peak memory,"
        " MB |"
    )
    engine = "torch" if is_installed("torch") else "onnx"
    assert row.startswith(f"| `petrichor-live` | {engine} | float32 | 64x48 | ")
    assert row.count("|") == head.count("|")
    assert ceiling.startswith("Ceiling: matrix product, ")
    machine, wrote = result.stderr.splitlines()
    package = "torch" if engine == "torch" else "onnxruntime"
    assert machine.startswith(f"derain {derain.__version__}, {package} {version_of(package)}, ")
    assert wrote == f"wrote {path}"
    (timing,) = json.loads(path.read_text())
    assert timing["case"]["height"] == 48
    assert timing["seconds"] > 0
    again = CliRunner().invoke(cli.make_app(), [*command, "--json", str(path)])
    assert (again.exit_code, again.stdout) == (1, "")
    assert again.stderr == f"error: {path} already exists; --force overwrites it\n"
