"""The command line: a closed set of verbs, one file each.

Only the verb that is called is loaded, and it imports what it works with when it is called, so that
``derain --help`` loads nothing heavy.

``derain photo.jpg`` is ``derain run photo.jpg``. Results go to stdout, everything else to stderr.
Exit status: 0 all done, 1 something could not be done, 2 wrong usage, 130 interrupted.
"""

import importlib
import signal
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from derain.cli.plain import PlainCommand, PlainGroup
from derain.cli.startup import QuickEnd

VERBS = ("run", "train", "evaluate", "synth", "data", "weights", "export", "bench")
GROUPS = ("data", "weights")
"""Verbs that have verbs of their own."""
OPTIONS = ("-h", "--help", "--version", "--install-completion", "--show-completion")
"""Options of no verb: anything else that comes first is a picture."""


def make_app(verbs: Sequence[str] = VERBS, *, completion: bool = True) -> typer.Typer:
    """Return the command with some of its verbs.

    Args:
        verbs: Which to load.
        completion: Whether to offer ``--install-completion`` and ``--show-completion``.
    """
    app = typer.Typer(
        name="derain",
        cls=PlainGroup,
        no_args_is_help=True,
        add_completion=completion,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Takes the rain out of pictures. 'derain photo.jpg' is 'derain run photo.jpg'.",
    )
    app.callback()(_top)
    for verb in verbs:
        module = importlib.import_module(f"derain.cli.{verb}")
        if verb in GROUPS:
            app.add_typer(module.app, name=verb, cls=PlainGroup)
        else:
            app.command(verb, cls=PlainCommand)(getattr(module, verb))
    return app


def _version(value: bool) -> None:
    if value:
        from derain import __version__

        typer.echo(f"derain {__version__}")
        raise typer.Exit


def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of no verb."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the ``derain`` command.

    Args:
        arguments: In place of those of the process, which then goes on afterwards.
    """
    if arguments is None:
        end = QuickEnd()
        try:
            _run(sys.argv[1:])
        except SystemExit as error:
            if isinstance(error.code, int):
                end.exit(error.code)
            raise
    else:
        _run(arguments)


def _run(arguments: Sequence[str]) -> None:
    # A terminated run cleans up after itself as an interrupted one does.
    signal.signal(signal.SIGTERM, _interrupt)
    given = list(arguments)
    if given and given[0] not in (*VERBS, *OPTIONS):
        given = ["run", *given]
    # What comes before a verb is about all of them; otherwise one is enough.
    chosen = given[:1] if given and given[0] in VERBS else VERBS
    app = make_app(chosen, completion=chosen is VERBS)
    app(given, prog_name="derain")


def _interrupt(_signal: int, _frame: Any) -> None:
    raise KeyboardInterrupt
