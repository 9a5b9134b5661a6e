"""The command line: a closed set of verbs, one file each.

A verb imports what it works with when it is called, so that ``derain --help`` loads nothing heavy.

``derain photo.jpg`` is ``derain run photo.jpg``. Results go to stdout, everything else to stderr.
Exit status: 0 all done, 1 something could not be done, 2 wrong usage, 130 interrupted.
"""

import signal
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from derain.cli import bench, data, evaluate, export, run, synth, train, weights

app = typer.Typer(
    name="derain",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Takes the rain out of pictures. 'derain photo.jpg' is 'derain run photo.jpg'.",
)
app.command("run")(run.run)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("synth")(synth.synth)
app.command("export")(export.export)
app.command("bench")(bench.bench)
app.add_typer(data.app, name="data")
app.add_typer(weights.app, name="weights")

VERBS = ("run", "train", "evaluate", "synth", "data", "weights", "export", "bench")
OPTIONS = ("-h", "--help", "--version", "--install-completion", "--show-completion")
"""Options of no verb: anything else that comes first is a picture."""


def _version(value: bool) -> None:
    if value:
        from derain import __version__

        typer.echo(f"derain {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of no verb."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the ``derain`` command."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] not in (*VERBS, *OPTIONS):
        given = ["run", *given]
    # A terminated run cleans up after itself as an interrupted one does.
    signal.signal(signal.SIGTERM, _interrupt)
    app(given, prog_name="derain")


def _interrupt(_signal: int, _frame: Any) -> None:
    raise KeyboardInterrupt
