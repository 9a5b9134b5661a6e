"""What the verbs share: one-line errors, and progress that is a bar on a terminal and plain lines elsewhere."""

from collections.abc import Generator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

stderr = Console(stderr=True, highlight=False, soft_wrap=True)

DEVICE_HELP = "auto, cpu, cuda or mps."
DTYPE_HELP = "auto, float32, bfloat16 or float16."
TILE_HELP = "Side of a tile in pixels; 0 never cuts. Default: the network's own."


def say(text: str) -> None:
    """A line for the user, on stderr."""
    stderr.print(text, markup=False)


@contextmanager
def one_line_errors() -> Generator[None]:
    """What the library raises about its input ends the command with one line and status 1."""
    try:
        yield
    except (OSError, ValueError, FloatingPointError) as error:
        text = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) and error.strerror else str(error)
        say(f"error: {text}")
        raise typer.Exit(1) from None


def progress_bar() -> Progress:
    """A bar on stderr; shows nothing where that is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=stderr,
        disable=not stderr.is_terminal,
        transient=True,
    )
