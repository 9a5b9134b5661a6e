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

from derain.cli import console
from derain.cli.startup import QuickEnd
from derain.cli.verb import Verb, VerbGroup
from derain.cli.words import GROUP_DEFAULTS, VERBS, meant_by, words_among

LOUDNESS = ("-q", "--quiet", "-v", "--verbose")
"""Options of every verb, which may also come before it."""
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
        cls=VerbGroup,
        no_args_is_help=True,
        add_completion=completion,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Remove rain from pictures and video. 'derain photo.jpg' is short for"
        " 'derain run photo.jpg'.",
    )
    app.callback()(_top)
    for verb in verbs:
        module = importlib.import_module(f"derain.cli.{verb}")
        if verb in GROUP_DEFAULTS:
            app.add_typer(module.app, name=verb, cls=VerbGroup)
        else:
            app.command(verb, cls=Verb)(getattr(module, verb))
    return app


def _version(value: bool) -> None:
    if value:
        from derain import __version__

        console.result(f"derain {__version__}", is_all=True)
        raise typer.Exit


def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that belong to no verb."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the ``derain`` command.

    Args:
        arguments: Used in place of the arguments of the process, which does not end then.
    """
    if arguments is None:
        end = QuickEnd()
        try:
            _run(sys.argv[1:])
        except SystemExit as error:
            if isinstance(error.code, int):
                end.exit(error.code)
            raise
        except KeyboardInterrupt:  # before a verb was called
            end.exit(130)
    else:
        _run(arguments)


def _run(arguments: Sequence[str]) -> None:
    # A terminated run cleans up after itself as an interrupted one does.
    signal.signal(signal.SIGTERM, _interrupt)
    given = _verb_first(list(arguments))
    implied = bool(given) and given[0] not in (*VERBS, *OPTIONS)
    if implied:
        given = ["run", *given]
    # What comes before a verb is about all of them; otherwise one is enough.
    chosen = given[:1] if given and given[0] in VERBS else VERBS
    app = make_app(chosen, completion=chosen is VERBS)
    if implied:
        _refuse_other_verbs(given[1:], app)
    app(given, prog_name="derain")


def _verb_first(arguments: list[str]) -> list[str]:
    """Return arguments with the options of every verb behind the verb."""
    count = next((k for k, word in enumerate(arguments) if word not in LOUDNESS), 0)
    if count and arguments[count] in VERBS:
        # A group's options would be taken for its own.
        place = count + (2 if arguments[count] in GROUP_DEFAULTS else 1)
        return [*arguments[count:place], *arguments[:count], *arguments[place:]]
    return arguments


def _refuse_other_verbs(arguments: Sequence[str], app: typer.Typer) -> None:
    """Refuse what would be derained but looks like a verb that was mistyped, or came too late."""
    commands: Any = typer.main.get_command(app)
    words = words_among(arguments, commands.commands["run"])
    if meant := meant_by(words):
        console.complain(
            f"error: {words[0]}: no such verb, and no such file; did you mean 'derain {meant}'?"
        )
        sys.exit(2)


def _interrupt(_signal: int, _frame: Any) -> None:
    raise KeyboardInterrupt
