"""Features of all verbs: --quiet, --verbose, and answers to mistyped options."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from derain.cli import console
from derain.cli.plain import PlainCommand, PlainGroup
from derain.cli.words import GROUP_DEFAULTS, hint_for

QuietOption = Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")]
VerboseOption = Annotated[
    bool, typer.Option("-v", "--verbose", help="Print details, such as engine and skipped files.")
]

_WRONG_USAGE: Any = typer.BadParameter.__base__
"""What typer raises of arguments that it cannot take; the class has no public name."""


class Verb(PlainCommand):
    """A verb; it has the options --quiet and --verbose, which are the console's."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.params += _of_every_verb()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments from those of the process."""
        try:
            with _help_in_full():
                rest = super().parse_args(ctx, args)
        except Exception as error:
            _add_hint(error, str(ctx.info_name))
            raise
        asked = {name: bool(ctx.params.pop(name, False)) for name in ("quiet", "verbose")}
        console.set_level(**asked)
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Do what the verb does; one that says nothing of its own when interrupted says that."""
        with console.interruptible():
            return super().invoke(ctx)


class VerbGroup(PlainGroup):
    """A verb that has verbs of its own."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments up to the name of the verb."""
        with _help_in_full():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Call the verb; wrong usage ends it with one line, as other errors do."""
        try:
            return super().invoke(ctx)
        except _WRONG_USAGE as error:
            if type(error).__name__ == "NoArgsIsHelpError":  # no error: its text is the help
                raise
            text = error.format_message().rstrip(".")
            verb = f"{ctx.command_path} {ctx.invoked_subcommand}"
            help_of = error.ctx.command_path if error.ctx else verb
            advice = "" if text.endswith("?") else f"; see {help_of} --help"
            console.complain(f"error: {text[:1].lower()}{text[1:]}{advice}")
            raise typer.Exit(2) from None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the verb that is named; say which may be meant where a folder or file is."""
        default = GROUP_DEFAULTS.get(ctx.info_name)
        is_verb = not args or args[0] in self.commands
        if default and not is_verb and _names_something(args[0], ctx.info_name):
            meant = f"derain {ctx.info_name} {default} {args[0]}"
            ctx.fail(f"No such command '{args[0]}'. Did you mean '{meant}'?")
        return super().resolve_command(ctx, args)


@contextmanager
def _help_in_full() -> Generator[None]:
    """End with one line if --help, --version and the like, which are done at once, cannot print."""
    with console.one_line_errors(), console.naming_stdout(is_all=True):
        yield


def _names_something(word: str, verb: str) -> bool:
    """Return whether a word names a file or folder, or shipped weights where that may be meant."""
    if verb == "weights":
        from derain.weights.catalogue import CATALOGUE

        if word in CATALOGUE:
            return True
    return Path(word).exists()


def _add_hint(error: Any, verb: str) -> None:
    """Say what to do instead of an option that there is not, where that is known."""
    # typer's NoSuchOption, which is not public; others have no possibilities.
    hint = hint_for(str(getattr(error, "option_name", "")), verb)
    if hint and hasattr(error, "possibilities"):
        error.message, error.possibilities = f"{error.message}; {hint}", None


def _of_every_verb() -> list[Any]:
    """Return the options of every verb, as typer makes them."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def verb(  # pyright: ignore[reportUnusedFunction]
        quiet: QuietOption = False,
        verbose: VerboseOption = False,
    ) -> None:
        """Take them."""

    command: Any = typer.main.get_command(app)
    return [option for option in command.params if option.name in ("quiet", "verbose")]
