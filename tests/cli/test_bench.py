"""derain bench: the table and the file."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import derain
from derain import cli
from derain.bench import Case, Timing
from derain.extras import is_installed
from derain.machine import version_of

BRIEF = ["--size", "64x48", "--rounds", "1", "--pictures", "1"]


def bench(*arguments: str | Path) -> Any:
    return CliRunner().invoke(cli.make_app(), ["bench", *map(str, arguments), *BRIEF])


def test_one_bad_case_leaves_the_others(tmp_path: Path) -> None:
    bad, path = tmp_path / "bad.onnx", tmp_path / "b.json"
    bad.write_bytes(b"once upon a time")
    result = bench(bad, "petrichor-live", "--engine", "onnx", "--json", path)
    assert result.exit_code == 1
    (row,) = [line for line in result.stdout.splitlines() if line.startswith("| `")]
    assert row.startswith("| `petrichor-live` | ")
    (timing,) = json.loads(path.read_text())
    assert timing["case"]["model"] == "petrichor-live"
    said = "expected what derain export writes, but it is damaged or something else"
    assert result.stderr.splitlines()[-1] == f"error: {bad}, onnx, float32, 64x48: {bad}: {said}"


def test_a_device_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    onnx = ("--engine", "onnx")
    result = bench("petrichor", "petrichor-live", "--device", "cuda:99", *onnx, "--json", path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: --device cuda:99: not available ")
    assert len(result.stderr.splitlines()) == 1
    assert not path.exists()


def test_an_option_that_one_case_refuses_is_named_with_the_case() -> None:
    formats = ("--dtype", "float32", "--dtype", "bfloat16")
    result = bench("petrichor-live", "--engine", "onnx", *formats)
    assert result.exit_code == 1
    assert result.stdout.count("| `") == 1
    expected = "error: petrichor-live, onnx, bfloat16, 64x48: --dtype bfloat16: onnx takes auto or"
    assert result.stderr.splitlines()[-1].startswith(expected)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_figures_are_written_though_the_table_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "b.json"

    def pretend(*_: object, **_settings: object) -> list[Timing]:
        return [Timing(Case("petrichor-live"), 1.0, None, None, None)]

    monkeypatch.setattr("derain.bench.time_cases", pretend)
    monkeypatch.setattr(signal, "signal", pretend)
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as ended:
            cli.main(["bench", "petrichor-live", *BRIEF, "--json", str(path)])
    assert ended.value.code == 1
    assert capsys.readouterr().err == "error: No space left on device: standard output\n"
    assert len(json.loads(path.read_text())) == 1


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
