"""Measure how long derain takes to start: whole commands, and where a first picture's time goes.

    python -m benchmarks.performance.startup --rounds 9

Each command is a process of its own, from its start to its end. In every round each runs once; the
first round only warms up the cache of files and is not counted. Figures are medians. The second
table takes the steps of ``derain small.jpg`` one by one, in a process that does as Python usually
does and in one that imports and ends as `derain.cli.startup` does.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from derain.engines import choose_engine

PHOTO = Path(__file__).parents[2] / "examples/rocket.jpg"

IMPORTS = {
    "import the command line": "from derain.cli import main, run",
    "import NumPy, Pillow, OpenCV": "import derain.images",
    "import the engine's package": "import {package}",
    "import the rest of derain": "import derain.pictures, derain.restore",
}
WORK = {
    "load weights, make the engine": (
        "remove_rain = derain.restore.load({model!r}, device='cpu', engine={engine!r})"
    ),
    "read the picture": "picture = derain.images.read_image({path!r})",
    "derain it": "clean = remove_rain(picture)",
    "write the result": "derain.images.write_image({path!r} + '.png', clean)",
}
PROGRAM = """
import gc, json, os, time
found, quick = {{}}, {quick}
def take(steps):
    for name, code in steps.items():
        began = time.perf_counter()
        exec(code, globals())
        found[name] = time.perf_counter() - began
if quick:
    gc.disable()
take({imports!r})
if quick:
    gc.freeze()
    gc.enable()
take({work!r})
print(json.dumps(found), flush=True)
if quick:
    os._exit(0)
"""
ENDS = "start and end Python"


def main() -> None:
    """Time the commands and the steps, and print two tables."""
    parser = new_parser(__doc__)
    parser.add_argument("-m", "--model", default="petrichor", help="weights, or an exported file")
    parser.add_argument("--engine", choices=("torch", "onnx"), default=choose_engine("auto"))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--size", nargs=2, type=int, default=(128, 96), metavar=("WIDTH", "HEIGHT"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.jpg"
        with Image.open(PHOTO) as photo:
            photo.resize(tuple(arguments.size)).save(path)
        commands = commands_for(path, arguments.model, arguments.engine)
        steps = steps_for(path, arguments.model, arguments.engine)
        seconds, usual, quick = measure(commands, steps, arguments.rounds)
    print(table_head("command", "seconds"))
    for name, value in seconds.items():
        print(table_row(f"`{name}`", f"{value:.2f}"))
    print()
    print(table_head(f"step, {arguments.engine}", "as Python does, ms", "as derain does, ms"))
    for name in usual:
        print(table_row(name, f"{1000 * usual[name]:.0f}", f"{1000 * quick[name]:.0f}"))
    print(table_row("in all", *(f"{1000 * sum(found.values()):.0f}" for found in (usual, quick))))
    width, height = arguments.size
    print(
        f"\nsmall.jpg is {width}x{height}, with {arguments.model} on the CPU; medians of"
        f" {arguments.rounds} rounds, in which all took turns, after one to warm up."
    )
    print(f"Measured on {describe_machine(arguments.engine)}.")


def commands_for(path: Path, model: str, engine: str) -> dict[str, list[str]]:
    """Return the arguments of Python for each command, by what a reader would type."""
    derain = ["-m", "derain"]
    options = ["-m", model, "--engine", engine, "--device", "cpu", "--force"]
    bare = {"python -c pass": ["-c", "pass"]}
    packages = {
        f"python -c 'import {package}'": ["-c", f"import {package}"]
        for package in ("typer", "numpy", "onnxruntime", "torch")
        if find_spec(package)
    }
    return {
        **bare,
        **packages,
        "derain --help": [*derain, "--help"],
        "derain run --help": [*derain, "run", "--help"],
        "derain --nonsense": [*derain, "--nonsense"],
        "derain weights list": [*derain, "weights", "list"],
        f"derain small.jpg --engine {engine}": [*derain, str(path), *options],
    }


def steps_for(path: Path, model: str, engine: str) -> tuple[str, str]:
    """Return the programs that time the steps: as Python does, and as derain does."""
    package = {"torch": "torch", "onnx": "onnxruntime"}[engine]
    filled = [
        {
            name: code.format(path=str(path), model=model, engine=engine, package=package)
            for name, code in steps.items()
        }
        for steps in (IMPORTS, WORK)
    ]
    usual, quick = (
        PROGRAM.format(imports=filled[0], work=filled[1], quick=quick) for quick in (False, True)
    )
    return usual, quick


def measure(
    commands: dict[str, list[str]], programs: tuple[str, str], rounds: int
) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Return median seconds of the commands, and of the steps of both programs."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    steps: tuple[dict[str, list[float]], ...] = ({}, {})
    for number in range(rounds + 1):
        for name, command in commands.items():
            took, _ = time_process(command)
            if number:
                seconds[name].append(took)
        for program, found in zip(programs, steps, strict=True):
            took, output = time_process(["-c", program])
            inside: dict[str, float] = json.loads(output)
            if number:
                for name, value in {**inside, ENDS: took - sum(inside.values())}.items():
                    found.setdefault(name, []).append(value)
    usual, quick = (medians(found) for found in steps)
    return medians(seconds), usual, quick


def medians(found: dict[str, list[float]]) -> dict[str, float]:
    """Return the median of each list."""
    return {name: statistics.median(values) for name, values in found.items()}


def time_process(command: list[str]) -> tuple[float, str]:
    """Run Python; return the seconds from start to end, and what it printed.

    Raises:
        SystemExit: If it failed, other than by wrong usage.
    """
    # Some development environments forbid it; without compiled files every start compiles derain.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    result = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False, env=environment
    )
    took = time.perf_counter() - began
    if result.returncode not in (0, 2):
        raise SystemExit(f"{' '.join(command)} failed: {result.stderr}")
    return took, result.stdout


if __name__ == "__main__":
    main()
