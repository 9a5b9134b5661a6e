"""What is counted in an installation, how it is measured, and the table it becomes."""

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.performance import installations
from benchmarks.performance.installations import (
    HELP,
    LIST,
    PICTURE,
    Measured,
    Source,
    caption,
    checked_out,
    clean_environment,
    distributions,
    files_in,
    in_turns,
    make_pictures,
    measure,
    run_checked,
    run_child,
    size_of,
    table,
)


def add_distribution(packages: Path, name: str, files: dict[str, int]) -> None:
    """Write a distribution's files of these sizes, and what says that it is installed."""
    for file, size in files.items():
        path = packages / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    about = packages / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
    listed = [*files, f"{about.name}/METADATA", f"{about.name}/RECORD", "../../../bin/tool"]
    (about / "RECORD").write_text("".join(f"{file},,\n" for file in listed))


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in files_in(folder))


def made(name: str, environment: Path = Path()) -> Measured:
    return Measured(
        name, "onnxruntime 1.32.0", environment, packages=21, size=312_400_000, wheel=13_060_000
    )


def test_pip_and_setuptools_are_not_counted(tmp_path: Path) -> None:
    add_distribution(tmp_path, "numpy", {"numpy/core.so": 500, "numpy.libs/blas.so": 700})
    (tmp_path / "numpy/blas.so").symlink_to(tmp_path / "numpy.libs/blas.so")
    add_distribution(tmp_path, "pip", {"pip/main.py": 1000})
    add_distribution(
        tmp_path, "setuptools", {"pkg_resources/a.py": 2000, "distutils-precedence.pth": 4000}
    )
    # What was compiled later is in no list of files, but below a folder that is.
    (tmp_path / "pip/main.pyc").write_bytes(bytes(8000))
    assert distributions(tmp_path) == ["numpy"]
    assert size_of(tmp_path) == 1200 + bytes_of(tmp_path / "numpy-1.0.dist-info")


def test_an_extra_is_asked_for_in_brackets() -> None:
    assert Source("", "", Path("/a/b")).requirement == "/a/b"
    assert Source("", "", Path("/a/b"), "torch").requirement == "/a/b[torch]"


def test_every_second_round_begins_with_the_last() -> None:
    several = [made("a"), made("b"), made("c")]
    assert [each.name for each in in_turns(several, 3)] == list("abccbaabc")


def test_a_process_is_timed_and_its_memory_is_its_own(tmp_path: Path) -> None:
    held = 300_000_000
    command = [sys.executable, "-c", f"import time; x = b'1' * {held}; time.sleep(0.2)"]
    seconds, peak = run_child(command, tmp_path)
    assert seconds >= 0.2
    own = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts at least what this process held.
    assert held < peak < max(2 * held + 200_000_000, own + 1)


def run_here(command: list[str]) -> tuple[float, int]:
    return run_child(command, Path.cwd())


@pytest.mark.parametrize("start", [run_checked, run_here])
def test_a_command_that_fails_is_one_line(start: Callable[[list[str]], object]) -> None:
    with pytest.raises(SystemExit, match=r"found exit status 3, expected 0: the reason$") as caught:
        start(
            [sys.executable, "-c", "import sys; sys.stderr.write('a\\nthe reason\\n'); sys.exit(3)"]
        )
    assert "\n" not in str(caught.value)


def test_a_program_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no-python: No such file or directory; expected"):
        run_checked([str(tmp_path / "no-python")])


def test_processes_find_no_modules_of_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/checkout")
    assert "PYTHONPATH" not in clean_environment()
    assert "/checkout" not in run_checked([sys.executable, "-c", "import sys; print(sys.path)"])


@pytest.fixture
def fake(tmp_path: Path) -> Measured:
    """An environment whose ``derain`` writes down how it was called, and where."""
    program = tmp_path / "environment/bin/derain"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$@" >> calls\n')
    program.chmod(0o755)
    return made("fake", tmp_path / "environment")


def test_cold_runs_are_timed_before_warm_ones(
    fake: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = tmp_path / "pictures"
    make_pictures(pictures)

    def note(folder: Path) -> None:
        with (pictures / "calls").open("a") as calls:
            calls.write(f"evict {folder.name}\n")

    monkeypatch.setattr(installations, "evict", note)
    measure([fake], pictures, rounds=2)
    once = [" ".join(arguments) for arguments in (PICTURE, HELP, LIST)]
    cold = ["evict environment", " ".join(PICTURE)]
    assert (pictures / "calls").read_text().splitlines() == cold * 3 + once * 3
    assert len(fake.cold) == 3
    assert [len(seconds) for seconds in fake.warm.values()] == [2, 2, 2]


@pytest.mark.skipif(not shutil.which("fincore"), reason="needs fincore to look into the page cache")
def test_files_leave_the_page_cache(tmp_path: Path) -> None:
    file = tmp_path / "inner/library.so"
    file.parent.mkdir()
    file.write_bytes(bytes(1 << 20))
    held = ["fincore", "--bytes", "--noheadings", "--output", "res", str(file)]
    before = int(subprocess.check_output(held, text=True))
    if not before:
        pytest.skip("this file system has no page cache")
    installations.evict(tmp_path)
    assert int(subprocess.check_output(held, text=True)) < before


@pytest.mark.skipif(not (installations.ROOT / ".git").exists(), reason="needs the repository")
def test_a_commit_is_checked_out_for_a_while(tmp_path: Path) -> None:
    with checked_out("HEAD", tmp_path) as place:
        assert (place / "pyproject.toml").exists()
    assert not place.exists()
    listed = subprocess.check_output(
        ["git", "-C", str(installations.ROOT), "worktree", "list"], text=True
    )
    assert str(place) not in listed


def test_the_table_has_medians_and_says_what_was_skipped() -> None:
    small, large = made("`derain`"), made("`derain[torch]`")
    for each in (small, large):
        each.warm = {PICTURE: [0.7, 0.5, 0.9], HELP: [0.25, 0.2], LIST: [0.4]}
        each.cold = [2.0, 4.0, 3.5]
    large.large = [(31.25, 1_093_600_000), (20.0, 1_100_400_000), (40.0, 900_000_000)]
    times = "0.70 (0.50) | 3.50 (2.00) | 0.23 (0.20) | 0.40 (0.40)"
    lines = table([small, large]).splitlines()
    assert (
        lines[2]
        == f"| `derain` | onnxruntime 1.32.0 | 21 | 312 | {times} | not measured | not measured |"
    )
    assert (
        lines[3]
        == f"| `derain[torch]` | onnxruntime 1.32.0 | 21 | 312 | {times} | 31.25 (20.00) | 1100 |"
    )
    assert {line.count("|") for line in lines} == {11}


def test_the_caption_names_sizes_of_pictures_and_wheels() -> None:
    text = caption([made("`derain`")], rounds=7)
    assert "320x214" in text
    assert "6000x4000" in text
    assert "of 7 runs" in text
    assert text.endswith("Wheel of derain: `derain` 13.1 MB.")
