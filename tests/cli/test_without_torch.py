"""The commands in a Python that has no PyTorch: what works, and what says what it needs.

Where PyTorch is installed, it is hidden from the processes that these tests start.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from drawn_rain import rain_on
from numpy.typing import NDArray

from derain.images import read_image, write_image
from derain.weights import CATALOGUE

HIDDEN = """
import sys

class Others:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        hidden = name.partition(".")[0] in {packages!r}
        return None if hidden else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Others(finder) for finder in sys.meta_path]
"""
"""Makes packages as good as not installed, for the process that executes it first."""

LISTING = """
import sys
from derain.cli import main
try:
    main(sys.argv[1:])
finally:
    print("loaded", *sys.modules, file=sys.stderr)
"""
WITHOUT = "these work without it: petrichor, petrichor-live, petrichor-deep"


def derain(
    *arguments: str | Path, cwd: Path, hidden: tuple[str, ...] = ("torch",)
) -> "subprocess.CompletedProcess[str]":
    """Run a command without PyTorch; it did not load any of it."""
    code = HIDDEN.format(packages=set(hidden)) + LISTING
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, check=False, env=environment
    )
    *lines, loaded = done.stderr.splitlines()
    assert loaded.startswith("loaded "), done.stderr
    assert not set(hidden) & {name.partition(".")[0] for name in loaded.split()}
    done.stderr = "".join(f"{line}\n" for line in lines)
    return done


@pytest.fixture
def place(tmp_path: Path, photo: NDArray[np.uint8]) -> Path:
    """A folder with a picture, a folder of one pair, and files of weights."""
    clean = np.ascontiguousarray(photo[:64, :80])
    write_image(tmp_path / "photo.png", rain_on(clean, 0))
    for part, pixels in (("rainy", rain_on(clean, 0)), ("clean", clean)):
        (tmp_path / "set" / part).mkdir(parents=True)
        write_image(tmp_path / "set" / part / "1.png", pixels)
    (tmp_path / "w.safetensors").write_bytes(CATALOGUE["petrichor-live"].path.read_bytes())
    (tmp_path / "w.pth").write_bytes(b"PK")
    return tmp_path


def test_a_picture_is_derained(place: Path) -> None:
    result = derain("photo.png", "-m", "petrichor-live", "-o", "out.png", cwd=place)
    assert (result.returncode, result.stdout) == (0, "out.png\n"), result.stderr
    before, after = read_image(place / "photo.png"), read_image(place / "out.png")
    assert before.shape == after.shape
    clean = read_image(place / "set/clean/1.png").astype(int)
    assert np.abs(after - clean).mean() < 0.8 * np.abs(before - clean).mean()


def test_a_folder_is_derained(place: Path) -> None:
    result = derain("set", "--quality", "fast", "-o", "out", cwd=place)
    assert result.returncode == 0, result.stderr
    assert (place / "out/rainy/1.png").exists()


def test_models_are_evaluated(place: Path) -> None:
    command = ["evaluate", "petrichor-live", "petrichor", "set", "--protocol", "rgb"]
    result = derain(*command, "--json", "s.json", cwd=place)
    assert result.returncode == 0, result.stderr
    found = json.loads((place / "s.json").read_text())
    assert [scores["model"] for scores in found] == ["petrichor-live", "petrichor"]
    for scores in found:
        assert scores["execution"].endswith("onnx, float32, cpu")
        (output,), (rainy,) = scores["mean"]["output"], scores["mean"]["rainy"]
        assert output["psnr"] > rainy["psnr"] + 1


def test_models_are_timed(place: Path) -> None:
    command = ["bench", "petrichor-live", "--size", "64x48", "--rounds", "1", "--pictures", "1"]
    result = derain(*command, "--engine", "onnx", cwd=place)
    assert result.returncode == 0, result.stderr
    assert "| `petrichor-live` | onnx | float32 | 64x48 | " in result.stdout


@pytest.mark.parametrize(
    ("arguments", "first"),
    [
        (["weights", "list"], "petrichor "),
        (["weights", "show", "petrichor"], "name "),
        (["weights", "show", "nledn"], "name "),
        (["weights", "cite", "nledn"], "@inproceedings{"),
        (["weights", "show", "w.safetensors"], "name "),
        (["data", "check", "set"], "set: no dataset known here, 1 pair"),
    ],
)
def test_what_only_looks_needs_no_torch(arguments: list[str], first: str, place: Path) -> None:
    result = derain(*arguments, cwd=place)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(first)


NEEDS = 'needs PyTorch: pip install "derain[torch]"'


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["train", "petrichor", "--data", "."], 1, f"derain train {NEEDS}"),
        (["export", "petrichor"], 1, f"derain export {NEEDS}"),
        (["synth", "photo.png", "-o", "out"], 1, f"derain synth {NEEDS}"),
        (["weights", "import", "w.pth"], 1, f"derain weights import {NEEDS}"),
        (["photo.png", "-m", "nledn"], 1, f"nledn {NEEDS}; {WITHOUT}"),
        (["photo.png", "-m", "w.safetensors"], 1, f"w.safetensors {NEEDS}; {WITHOUT}"),
        (["photo.png", "-m", "w.pth"], 1, f"w.pth {NEEDS}; {WITHOUT}"),
        (["photo.png", "-m", "nledn", "--engine", "onnx"], 1, f"nledn {NEEDS}; {WITHOUT}"),
        (["photo.png", "--engine", "torch"], 1, f"the engine torch {NEEDS}"),
        (["photo.png", "--dtype", "bfloat16"], 1, f"bfloat16 {NEEDS}"),
        (["photo.png", "--dtype", "float16"], 1, f"float16 {NEEDS}"),
        (["photo.png", "--device", "mps"], 1, f"the device mps {NEEDS}"),
        (["evaluate", "nledn", "set"], 1, f"nledn {NEEDS}; {WITHOUT}"),
        (["evaluate", "petrichor", "nledn", "set"], 1, f"nledn {NEEDS}; {WITHOUT}"),
        (["evaluate", "petrichor", "w.pth", "set"], 1, f"w.pth {NEEDS}; {WITHOUT}"),
    ],
)
def test_what_needs_torch_says_so_in_a_line(
    arguments: list[str], status: int, message: str, place: Path
) -> None:
    before = sorted(path.name for path in place.iterdir())
    result = derain(*arguments, cwd=place)
    errors = [line for line in result.stderr.splitlines() if line.startswith("error")]
    assert (result.returncode, errors) == (status, [f"error: {message}"])
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert sorted(path.name for path in place.iterdir()) == before


def test_a_gpu_is_had_with_another_onnx_runtime_or_torch(place: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    result = derain("photo.png", "--device", "cuda", cwd=place)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: --device cuda: not available in this ONNX Runtime; expected ")
    assert line.endswith(', or PyTorch for it: pip install "derain[torch]"')


@pytest.mark.parametrize(
    ("arguments", "status", "package", "message"),
    [
        (
            ["photo.png", "--engine", "openvino"],
            1,
            "openvino",
            'the engine openvino needs OpenVINO: pip install "derain[openvino]"',
        ),
        (
            ["photo.png", "-m", "w.xml"],
            1,
            "openvino",
            'reading w.xml needs OpenVINO: pip install "derain[openvino]"',
        ),
        (
            ["evaluate", "petrichor-live", "set", "--report", "r.html"],
            1,
            "matplotlib",
            'a report needs matplotlib: pip install "derain[report]"',
        ),
        (
            ["photo.png"],
            1,
            "onnxruntime",
            "executing a graph needs ONNX Runtime: pip install derain",
        ),
    ],
)
def test_other_extras_are_named_too(
    arguments: list[str], status: int, package: str, message: str, place: Path
) -> None:
    (place / "w.xml").write_text("<net/>")
    result = derain(*arguments, cwd=place, hidden=("torch", package))
    errors = [line for line in result.stderr.splitlines() if line.startswith("error")]
    assert (result.returncode, errors) == (status, [f"error: {message}"])


def test_names_of_the_package_that_need_torch_say_so(tmp_path: Path) -> None:
    code = HIDDEN.format(packages={"torch"}) + (
        "import derain\n"
        "assert derain.Derainer and derain.psnr and 'torch' not in sys.modules\n"
        "try:\n    derain.NETWORKS\nexcept derain.DerainError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"derain.NETWORKS {NEEDS}\n", "")
