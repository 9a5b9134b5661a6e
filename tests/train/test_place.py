"""A run is refused where it cannot write, and stops with what is left of it."""

import errno
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tiny_runs import TINY, assert_same, copy_at, final

from derain import train as training
from derain.recipes import find_recipe
from derain.train import RunStoppedError, TrainingRun, checkpoint, leaks, records, train
from derain.train.log import append_record, read_log

LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
from derain.cli import main
main()
"""
"""The command in a process that may write files up to a size, as on a disk that is full."""


def never(*_: Any, **__: Any) -> None:
    raise AssertionError("too late: this takes minutes")


@pytest.fixture
def no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "find_leaks", never)


@pytest.mark.usefixtures("no_search")
def test_a_folder_that_cannot_be_written_into_is_known_before_the_work(
    run: TrainingRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = find_recipe("petrichor-live", TINY)
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file/deeper"):
        with pytest.raises(NotADirectoryError, match="file: a file; expected a folder"):
            next(train(recipe, replace(run, out=out)))
    with pytest.raises(OSError, match="File name too long") as raised:
        next(train(recipe, replace(run, out=tmp_path / ("x" * 300) / "run")))
    assert raised.value.errno == errno.ENAMETOOLONG

    def read_only(folder: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(folder))

    monkeypatch.setattr(Path, "mkdir", read_only)
    with pytest.raises(OSError, match="Read-only file system") as raised:
        next(train(recipe, run))
    assert raised.value.filename == str(run.out)
    assert not run.out.exists()


@pytest.mark.usefixtures("no_search")
def test_room_for_checkpoints_is_checked_before_the_work(
    run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        free: int

    def usage(_place: Path) -> Usage:
        return Usage(10_000_000)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(RunStoppedError, match=r"run: 10 MB are free there; .* need 14 MB: make"):
        next(train(find_recipe("petrichor-live", TINY), run))
    assert not run.out.exists()


@pytest.mark.parametrize(
    ("module", "function", "name"),
    [
        (records, "append_record", "log.jsonl"),
        (records.store, "write_file", "best.safetensors"),
        (checkpoint, "write_file", "last.pt"),
    ],
)
def test_a_disk_that_fills_up_leaves_a_checkpoint_that_resumes_bit_exactly(
    module: Any, function: str, name: str, run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = find_recipe("petrichor-live", TINY)
    whole = replace(run, out=run.out / "whole")
    list(train(recipe, whole))
    stopped = replace(run, out=run.out / "stopped")
    going = train(recipe, stopped)
    assert next(going)["step"] == 3

    def full(path: Path, _content: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    # Every validation is the best one, so that all three files are written.
    monkeypatch.setattr(records, "AS_GOOD", 1e9)
    monkeypatch.setattr(module, function, full)
    with pytest.raises(RunStoppedError) as raised:
        next(going)
    assert str(raised.value) == (
        f"No space left on device: {stopped.out / name}; stopped at step 6, last.pt is complete up"
        " to step 3: make that possible, then --resume; best.safetensors can be used as it is"
    )
    monkeypatch.undo()
    assert [record["step"] for record in train(recipe, stopped, resume=True)] == [6]
    assert_same(final(whole), final(stopped))


def test_a_run_without_a_checkpoint_says_so(
    run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, _content: object) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded", str(path))

    monkeypatch.setattr(checkpoint, "write_file", full)
    with pytest.raises(RunStoppedError, match=r"quota .*last\.pt; stopped at step 3, without a"):
        next(train(find_recipe("petrichor-live", TINY), run))


def test_a_log_names_itself_where_it_cannot_be_written(run: TrainingRun) -> None:
    if Path("/dev/full").exists():
        with pytest.raises(OSError, match="No space left on device") as raised:
            append_record(Path("/dev/full"), {"step": 1})
        assert raised.value.filename == "/dev/full"
    recipe = find_recipe("petrichor-live", TINY)
    half = copy_at(3, recipe, run)
    with (half.out / training.LOG).open("a") as log:
        log.write('{"step": 4, "seco')  # a disk that filled up within a line
    list(train(recipe, half, resume=True))
    assert [record["step"] for record in read_log(half.out / training.LOG)] == [3, 6]


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
@pytest.mark.parametrize(("limit", "name"), [(500_000, "best.safetensors"), (2_000_000, "last.pt")])
def test_the_command_ends_with_one_line(limit: int, name: str, run: TrainingRun) -> None:
    settings = [f"--set={key}={value}" for key, value in (TINY | {"rain": "light"}).items()]
    command = [sys.executable, "-c", LIMITED, str(limit), "train", "petrichor-live"]
    places = ["--data", str(run.data), "--val", str(run.validation), "-o", str(run.out)]
    result = subprocess.run(
        [*command, *places, "--allow-leak", *settings],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    *_, last = result.stderr.splitlines()
    assert last.startswith(f"error: File too large: {run.out / name}; stopped at step 3, without a")
    assert sum(line.startswith("error") for line in result.stderr.splitlines()) == 1
