"""Bars on a terminal for work that lasts, and lines above them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pty = pytest.importorskip("pty", reason="needs pseudo-terminals")

WORK = """
import sys, time
from derain.cli import console, progress

progress.DELAY = {delay}
with progress.Bars() as bars:
    bars("tiles of a\\nb.png", 1, 4)
    deadline = time.monotonic() + 20
    while {delay} == 0 and console._bars is None and time.monotonic() < deadline:
        time.sleep(0.01)
    bars("tiles of a\\nb.png", 3, 4)
    bars("pictures", 2, 7)
    console.say("a [bold]line[/bold] for 100% of the users :smile:")
    console.result("a result")
    bars.remove("pictures")
print("rich" in sys.modules)
"""


def run_on_terminal(code: str) -> str:
    """Return what a program shows on a terminal, stdout and stderr in one."""
    ours, theirs = os.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    try:
        while block := os.read(ours, 1 << 16):
            shown += block
    except OSError:  # Linux: the program has ended
        pass
    finally:
        os.close(ours)
    assert process.wait() == 0
    return shown.decode()


def test_work_that_lasts_has_bars_and_lines_above_them() -> None:
    shown = run_on_terminal(WORK.format(delay=0))
    assert "tiles of a\\nb.png" in shown
    assert "3/4" in shown
    assert "2/7" in shown
    lines = [line.rpartition("\x1b[2K")[2] for line in shown.split("\r\n")]
    assert "a [bold]line[/bold] for 100% of the users :smile:" in lines
    assert "a result" in lines
    assert lines[-2:] == ["True", ""]
    assert shown.rindex("\x1b[?25h") > shown.rindex("3/4")  # the cursor is there again


def test_short_work_is_over_before_bars_are_loaded() -> None:
    shown = run_on_terminal(WORK.format(delay=60))
    expected = ["a [bold]line[/bold] for 100% of the users :smile:", "a result", "False", ""]
    assert shown.split("\r\n") == expected


def test_without_a_terminal_there_are_lines_alone(tmp_path: Path) -> None:
    # With a delay of 0 the program would wait for bars until its deadline.
    command = [sys.executable, "-c", WORK.format(delay=1e-6)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert result.stderr == "a [bold]line[/bold] for 100% of the users :smile:\n"
    assert result.stdout == "a result\nFalse\n"
