"""What this machine has, and that freed memory is kept."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from derain import machine
from derain.machine import free_memory, python_command

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads what Linux says")

CHUNKS = """
import ctypes, os
class Mallinfo2(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_size_t) for name in "arena ordblks smblks hblks rest".split()),
        ("more", ctypes.c_size_t * 8),
    ]
from derain.machine import keep_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.mallinfo2.restype = Mallinfo2
keep_freed_memory()
before = libc.mallinfo2().hblks
libc.malloc(64 << 20)
print(libc.mallinfo2().hblks - before)
"""


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None) if sys.platform == "linux" else None, "mallinfo2"),
    reason="glibc 2.33 asked for",
)
@pytest.mark.parametrize(("environment", "mapped"), [({}, 0), ({"MALLOC_TOP_PAD_": "65536"}, 1)])
def test_large_blocks_are_kept_unless_the_user_decided(
    environment: dict[str, str], mapped: int
) -> None:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")
    }
    result = subprocess.run(
        [sys.executable, "-c", CHUNKS],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(result.stdout) == mapped


@LINUX
def test_free_memory_is_no_more_than_there_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    free = free_memory()
    assert free is not None
    assert 0 < free < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@LINUX
@pytest.mark.parametrize(
    ("limit", "used", "expected"),
    [("90000000", "30000000", 60_000_000), ("30000000", "90000000", 0), ("1", "0", 1)],
)
def test_a_container_has_what_its_limit_leaves(
    limit: str, used: str, expected: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{used}\n")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    assert free_memory() == expected


@LINUX
def test_a_container_without_a_limit_has_what_the_machine_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("30000000\n")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    free = free_memory()
    assert free is not None
    assert free > 0


def test_what_the_system_does_not_say_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert free_memory() is None


@LINUX
@pytest.mark.parametrize(
    ("quota", "expected"),
    [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 8), ("6400000 100000", 8)],
)
def test_a_container_has_the_cores_of_its_quota(
    quota: str, expected: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)

    def eight(_process: int) -> set[int]:
        return set(range(8))

    monkeypatch.setattr(os, "sched_getaffinity", eight)
    assert machine.available_cores() == expected


def test_the_processor_has_a_name_and_packages_a_version() -> None:
    assert machine.processor()
    assert machine.version_of("numpy") == np.__version__
    assert machine.version_of("no-such-package") == ""


@pytest.mark.torch
def test_torch_has_a_version() -> None:
    import torch

    assert machine.version_of("torch") == torch.__version__


@LINUX
def test_peak_memory_sees_what_was_held(monkeypatch: pytest.MonkeyPatch) -> None:
    peak = machine.PeakMemory()
    before = peak.read()
    if before is None:
        pytest.skip("this system does not reset the high-water mark")
    block = bytearray(64 << 20)
    block[:: 1 << 12] = b"1" * len(block[:: 1 << 12])  # touch every page
    del block
    after = peak.read()
    assert after is not None
    assert after - before > 48 << 20


def test_another_python_runs_no_file_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "numpy", "derain"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('somebody's file was run')")
    monkeypatch.chdir(tmp_path)
    program = "import json, numpy, derain.files; print(json.dumps(sys.argv[1:]))"
    command = python_command(program, "a b", "-x")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ('["a b", "-x"]\n', "")
