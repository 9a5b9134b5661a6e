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


def run_on_terminal(code: str, **variables: str) -> str:
    """Return what a program shows on a terminal, stdout and stderr in one."""
    ours, theirs = os.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"} | variables
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


@pytest.mark.parametrize(
    "variable",
    [
        "FORCE_COLOR=1",
        "FORCE_COLOR=3",
        "TTY_COMPATIBLE=1",
        "TTY_INTERACTIVE=1",
        "CLICOLOR_FORCE=1",
        "GITHUB_ACTIONS=true",
        "TERM=xterm-256color",
    ],
)
def test_what_the_environment_says_of_terminals_makes_none_of_a_file(variable: str) -> None:
    name, _, value = variable.partition("=")
    command = [sys.executable, "-c", WORK.format(delay=1e-6)]
    result = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {name: value}
    )
    assert result.stderr == "a [bold]line[/bold] for 100% of the users :smile:\n"
    assert result.stdout == "a result\nFalse\n"


SLOW = """
import time
from derain.cli import console, progress

progress.DELAY = 0
with progress.Bars() as bars:
    bars("tiles", 1, 4)
    time.sleep(1)
    console.say("a line")
"""


@pytest.mark.parametrize(
    "variable", ["TERM=dumb", "TERM=unknown", "TTY_COMPATIBLE=0", "TTY_INTERACTIVE=0"]
)
def test_a_terminal_that_moves_no_cursor_gets_lines_alone(variable: str) -> None:
    name, _, value = variable.partition("=")
    assert run_on_terminal(SLOW, **{name: value}) == "a line\r\n"


def test_colours_go_and_bars_stay_where_nobody_wants_colours() -> None:
    code = WORK.format(delay=0)
    colours = ("\x1b[32m", "\x1b[35m", "\x1b[36m", "\x1b[90m", "\x1b[91m")
    assert any(colour in run_on_terminal(code) for colour in colours)
    shown = run_on_terminal(code, NO_COLOR="1")
    assert "3/4" in shown
    assert not any(colour in shown for colour in colours)


def test_only_errors_are_wanted_and_no_bars() -> None:
    quiet = "console.set_level(quiet=True, verbose=False)\nwith progress"
    code = SLOW.replace("with progress", quiet) + "console.complain('an error')\n"
    assert run_on_terminal(code) == "an error\r\n"
