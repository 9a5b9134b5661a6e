"""What the verbs share: one-line errors, and progress that is a bar on a terminal and plain lines elsewhere."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

stderr = Console(stderr=True, highlight=False, soft_wrap=True)

DEVICE_HELP = "auto, cpu, cuda or mps."
DTYPE_HELP = "auto, float32, bfloat16 or float16."
LAYOUT_HELP = "How pairs lie on disk: folders, flat, rainy-left, rainy-right or list. Default: told by looking."
TILE_HELP = "Side of a tile in pixels; 0 never cuts. Default: the network's own."


def say(text: str) -> None:
    """A line for the user, on stderr."""
    stderr.print(os.fsencode(text).decode("utf-8", "replace"), markup=False, emoji=False)


def result(text: str) -> None:
    """A result, on stdout. On a terminal it goes through the console of the bar that may be there, which keeps both legible."""
    if sys.stdout.isatty() and stderr.is_terminal:
        say(text)
    else:
        typer.echo(os.fsencode(text))  # a path may hold bytes that are no text


@contextmanager
def one_line_errors() -> Generator[None]:
    """What the library raises about its input ends the command with one line.

    The status is 2, wrong usage, where the line speaks of a flag, else 1.
    """
    try:
        yield
    except (OSError, ValueError, FloatingPointError, MemoryError, RuntimeError) as error:
        if isinstance(error, typer.Exit):  # a RuntimeError, but no error
            raise
        from derain.batch import reason

        text = reason(error)
        say(f"error: {text}")
        raise typer.Exit(2 if text.startswith("-") else 1) from None


def progress_bar() -> Progress:
    """A bar on stderr; shows nothing where that is no terminal."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=stderr,
        disable=not stderr.is_terminal,
        transient=True,
        redirect_stdout=False,  # results must reach stdout, wherever it goes
    )
