"""Packages that extras bring: which one is missing, which one does not work."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from derain.errors import DerainError
from derain.extras import EXTRA_OF, MissingExtraError, is_installed, require

ROOT = Path(__file__).parent.parent


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which packages are found before others."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] in EXTRA_OF]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def test_what_is_installed_is_imported() -> None:
    assert is_installed("json")
    assert require("json.decoder", "reading") is importlib.import_module("json.decoder")


def test_whether_a_package_is_installed_is_seen_without_importing_it(broken: Path) -> None:
    (broken / "openvino").mkdir()
    (broken / "openvino/__init__.py").write_text("raise AssertionError('imported')")
    assert is_installed("openvino")
    assert not is_installed("torch_of_tomorrow")


@pytest.mark.parametrize(
    ("package", "purpose", "message"),
    [
        ("torch", "derain train", 'derain train needs PyTorch: pip install "derain[torch]"'),
        ("torch.nn", "crdnet", 'crdnet needs PyTorch: pip install "derain[torch]"'),
        ("torch", "", 'PyTorch is not installed: pip install "derain[torch]"'),
        ("onnx", "exporting", 'exporting needs onnx: pip install "derain[onnx]"'),
        ("openvino", "it", 'it needs OpenVINO: pip install "derain[openvino]"'),
        ("matplotlib", "a plot", 'a plot needs matplotlib: pip install "derain[report]"'),
        ("ray", "derain --cluster", 'derain --cluster needs Ray: pip install "derain[cluster]"'),
        ("onnxruntime", "a graph", "a graph needs ONNX Runtime: pip install derain"),
    ],
)
def test_what_is_missing_is_named_with_what_brings_it(
    package: str, purpose: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])
    for name in [name for name in sys.modules if name.partition(".")[0] == package.split(".")[0]]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtraError) as raised:
        require(package, purpose)
    assert str(raised.value) == message
    assert isinstance(raised.value, DerainError)
    assert isinstance(raised.value, ImportError)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("raise OSError('libgomp.so.1:\\n  no such file')", "libgomp.so.1: no such file"),
        ("import a_part_of_torch", "No module named 'a_part_of_torch'"),
        ("from json import torch", "cannot import name 'torch' from 'json'"),
    ],
)
def test_an_installation_that_does_not_work_is_no_missing_one(
    content: str, reason: str, broken: Path
) -> None:
    (broken / "torch").mkdir()
    (broken / "torch/__init__.py").write_text(content)
    with pytest.raises(MissingExtraError) as raised:
        require("torch", "derain train")
    message = str(raised.value)
    assert message.startswith(
        f"derain train needs PyTorch, which is installed but cannot be imported ({reason}"
    )
    assert message.endswith("; install it again")
    assert "\n" not in message
    with pytest.raises(MissingExtraError, match=r"^PyTorch is installed but cannot be imported "):
        require("torch")


@pytest.mark.parametrize("extra", sorted(set(EXTRA_OF.values())))
def test_extras_are_those_of_the_project(extra: str) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (line,) = [line for line in project.splitlines() if line.startswith(f"{extra} = [")]
    packages = [name.replace("_", "-") for name, other in EXTRA_OF.items() if other == extra]
    # The package may have extras of its own: ``"ray[data]>=``.
    named = {package: re.search(rf'"{package}(\[[\w,]+\])?>=', line) for package in packages}
    assert [package for package, found in named.items() if not found] == []


def test_onnxruntime_does_not_report_to_its_makers(tmp_path: Path) -> None:
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("ORT_", "CI"))}
    code = "from derain.extras import require; require('onnxruntime').InferenceSession"
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    path = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    subprocess.run([sys.executable, "-c", code], env=kept | home | path, cwd=tmp_path, check=True)
    # Builds that report leave a number for the machine here.
    assert list(tmp_path.rglob("*")) == []
