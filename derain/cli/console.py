"""Functions that all verbs share: output, checks before the work, errors in one line."""

import logging
import os
import sys
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from derain.errors import (
    SAID_IN_A_LINE,
    ExistsError,
    SettingError,
    UnknownNameError,
    UsageError,
    reason,
)
from derain.files import check_makable, check_writable, printable

if TYPE_CHECKING:  # takes longer to load than the verbs that show no bar
    from rich.console import Console

STDOUT = Path("-")
"""Stands for the standard output where a file is named."""

_MOVES = dict.fromkeys(map(ord, "\a\b\v\f\r"))
"""Characters that move the cursor or ring: a file's name must not draw over other lines."""

_bars: "Console | None" = None
"""The console that progress bars are shown on now."""

_level = logging.WARNING
"""Of what is said: INFO with --verbose, ERROR with --quiet."""

DEVICE_HELP = "Device: auto, cpu, cuda or mps; with ONNX Runtime also directml, coreml or openvino."
ENGINE_HELP = "Runtime: auto (torch if installed, else onnx), torch, onnx or openvino."
DTYPE_HELP = "Number format: auto, float32, bfloat16 or float16."
LAYOUT_HELP = (
    "Layout of the dataset: folders, flat, rainy-left, rainy-right, list, or photographs if there"
    " are no pairs. Default: detected."
)
TILE_HELP = "Side of a tile in pixels; 0 uses no tiles. Default: the network's own."


def write_above(bars: "Console | None") -> None:
    """Write lines for the user above progress bars from now on; None for no bars."""
    global _bars
    _bars = bars


class _Lines(logging.Handler):
    """Shows what the library logs as lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record; a warning begins with this word."""
        text = printable(record.getMessage())
        complain(f"{record.levelname.lower()}: {text}" if record.levelno > logging.INFO else text)


def set_level(*, quiet: bool, verbose: bool) -> None:
    """Choose what is said from now on, by the verbs and by the library's logger.

    Args:
        quiet: Errors alone.
        verbose: What was chosen and why, too.
    """
    global _level
    _level = logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING
    log = logging.getLogger("derain")
    log.setLevel(_level)
    if not any(isinstance(handler, _Lines) for handler in log.handlers):
        log.addHandler(_Lines())


def is_verbose() -> bool:
    """Return whether the user wants to know what was chosen and why."""
    return _level <= logging.INFO


def is_quiet() -> bool:
    """Return whether the user wants errors alone."""
    return _level >= logging.ERROR


def say(text: str) -> None:
    """Write a line for the user to stderr, unless only errors are wanted."""
    if not is_quiet():
        complain(text)


def warn(text: str) -> None:
    """Write a warning to stderr, unless only errors are wanted."""
    say(f"warning: {text}")


def complain(text: str) -> None:
    """Write a line to stderr that is shown in any case: an error."""
    line = _as_bytes(text).decode("utf-8", "replace").translate(_MOVES)
    with suppress(OSError):  # a full disk: there is nowhere left to say so
        if _bars is not None:
            _bars.print(line, markup=False, emoji=False)
        elif sys.stderr is not None:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()


def on_terminal() -> bool:
    """Return whether results are read by people, as they come."""
    return sys.stdout is not None and sys.stdout.isatty()


def errors_on_terminal() -> bool:
    """Return whether what is for the user is read as it comes."""
    return sys.stderr is not None and sys.stderr.isatty()


def shows_styles() -> bool:
    """Return whether results are read on a terminal that shows styles, by a user who wants them."""
    return on_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def result(text: str, *, is_all: bool = False) -> None:
    """Write a result to stdout.

    On a terminal it goes through the console of progress bars, which keeps both legible.

    Args:
        text: The result.
        is_all: Whether it is all that the command is for. A reader who has seen enough, such as
            ``head``, then ends it without a message.

    Raises:
        OSError: If stdout cannot be written to; one that is closed takes everything.
    """
    if on_terminal() and _bars is not None:
        complain(text)
        return
    with naming_stdout(is_all=is_all):
        typer.echo(_as_bytes(text))


@contextmanager
def naming_stdout(*, is_all: bool = False) -> Generator[None]:
    """Name stdout in the error if it cannot be written to; what is left of the text is dropped.

    Args:
        is_all: As for `result`.
    """
    try:
        yield
    except OSError as error:
        error.filename = "standard output"
        _give_up_stdout()
        if is_all and isinstance(error, BrokenPipeError):
            raise typer.Exit(1) from None
        raise


def _as_bytes(text: str) -> bytes:
    """Return what is written: bytes in a path stay as they are, other surrogates are escaped."""
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def _give_up_stdout() -> None:
    """Drop what is still buffered; the interpreter would fail on it once more when it ends."""
    with suppress(OSError):  # io.UnsupportedOperation: no file of the system's
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def check_file(path: Path, *, force: bool, within: Path | None = None) -> None:
    """Check before any work that a file can be written.

    Args:
        path: The file.
        force: It may already exist.
        within: A folder that will have been made by then.

    Raises:
        ExistsError: If it already exists.
        OSError: If it cannot be written; says why in one line.
    """
    if path.exists() and not path.is_file():
        raise IsADirectoryError(
            f"{path}: {'a folder' if path.is_dir() else 'no plain file'}; expected a file to write"
        )
    if path.exists() and not force:
        raise ExistsError(f"{path} already exists")
    if within is not None and path.parent.resolve() == within.resolve():
        return
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: no folder {path.parent}; make it first")
    check_writable(path)


def check_folder(path: Path, *, force: bool) -> None:
    """Check before any work that a folder, and those it lies in, can be made and written into.

    Raises:
        ExistsError: If it already exists.
        OSError: If it cannot be made or written into; says why in one line.
    """
    if path.exists() and not force:
        raise ExistsError(f"{path} already exists")
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"{path}: a file; expected a folder, or nothing yet")
    check_makable(path)


def check_ending(path: Path | None, endings: tuple[str, ...], option: str) -> None:
    """Check that a file is not named for something else than what goes into it.

    Args:
        path: The file; None, and `STDOUT`, for no file.
        endings: That its name may have; a name without ending may be meant in any way.
        option: Name of the Python argument.

    Raises:
        UsageError: If it has another ending.
    """
    if path is not None and path.suffix and path.suffix.lower() not in endings:
        expected = f"expected a name ending in {' or '.join(endings)}"
        raise UsageError(expected, option=option, value=path)


_SHORT_FLAGS = {"output": "-o"}
"""Flags whose name is not that of the Python argument."""


def flag_of(option: str) -> str:
    """Return the flag that stands for a Python argument: ``--some-name`` for ``some_name``."""
    return _SHORT_FLAGS.get(option, f"--{option.replace('_', '-')}")


def line_of(error: BaseException, *, has_limit: bool = False, has_quality: bool = False) -> str:
    """Return an error as one line, with flags where the library names Python arguments.

    Args:
        error: Any.
        has_limit: Whether the verb has ``--max-pixels``; others do not advise it.
        has_quality: Whether it has ``--quality``.
    """
    if isinstance(error, SettingError):
        return printable(f"--set {error}")
    lacked = {"max_pixels": not has_limit, "quality": not has_quality}
    if isinstance(error, UsageError) and lacked.get(error.option):
        return printable(error.problem)
    if isinstance(error, UsageError):
        return printable(error.named(flag_of(error.option), " "))
    if isinstance(error, ExistsError):
        return printable(error.named("--force"))
    return printable(reason(error))


def show_traceback(error: BaseException) -> None:
    """Print where an error came from if the environment asks for it: ``DERAIN_TRACEBACK=1``."""
    if os.environ.get("DERAIN_TRACEBACK", "0") != "0":
        complain("".join(traceback.format_exception(error)).rstrip())


@contextmanager
def interruptible(done: Callable[[], str] = lambda: "") -> Generator[None]:
    """Say what was done by then if the user interrupts the work; the exit status is 130.

    Args:
        done: Returns a text about what was done, and how to continue.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        show_traceback(error)
        what = done()
        complain(f"interrupted: {what}" if what else "interrupted")
        raise typer.Exit(130) from None


@contextmanager
def one_line_errors(*, has_limit: bool = False, has_quality: bool = False) -> Generator[None]:
    """End the command with one line for what the library raises about its input.

    The exit status is 2 for wrong usage, else 1.

    Args:
        has_limit: As for `line_of`.
        has_quality: As for `line_of`.
    """
    try:
        yield
    except typer.Exit:  # a RuntimeError, but no error
        raise
    except SAID_IN_A_LINE as error:
        show_traceback(error)
        line = line_of(error, has_limit=has_limit, has_quality=has_quality)
        complain(f"error: {line}")
        is_usage = isinstance(error, UsageError | UnknownNameError)
        raise typer.Exit(2 if is_usage else 1) from None
