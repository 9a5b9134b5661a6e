"""derain data: what a dataset is, and what is wrong with it."""

from pathlib import Path
from typing import Annotated

import typer

from derain.cli.console import (
    LAYOUT_HELP,
    STDOUT,
    check_file,
    one_line_errors,
    progress_bar,
    result,
)

app = typer.Typer(no_args_is_help=True, help="Check datasets.", rich_markup_mode=None)


@app.callback()
def options() -> None:
    """Check datasets."""


@app.command()
def check(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Pairs or clean pictures; or a list of pairs.")
    ],
    against: Annotated[
        Path | None,
        typer.Option("--against", help="Training data that none of the pictures may occur in."),
    ] = None,
    layout: Annotated[str | None, typer.Option(help=LAYOUT_HELP)] = None,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the report to a file as JSON; - prints it.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Say which benchmark this is, which version of it, and what is wrong with it.

    The exit status is 1 where training on it, or with it as validation of what is trained on
    AGAINST, would be unsound.
    """
    from derain.data.audit.check import check as check_data
    from derain.data.layouts.folders import layout_named
    from derain.files import write_file

    with one_line_errors():
        _check_places(against, json, force=force)
        with progress_bar() as bar:
            tasks = {
                what: bar.add_task(what, total=None, visible=False)
                for what in ("pairs", "pictures", "duplicates", "copies")
            }
            report = check_data(
                folder,
                against,
                layout_named(layout),
                lambda what, done, total: bar.update(
                    tasks[what], completed=done, total=total, visible=True
                ),
            )
        try:
            result(report.to_json() if json == STDOUT else report.describe())
        finally:  # whatever becomes of one, the other is not lost
            if json is not None and json != STDOUT:
                write_file(json, report.to_json().encode())
    if not report.sound:
        raise typer.Exit(1)


def _check_places(against: Path | None, json: Path | None, *, force: bool) -> None:
    """Before the work.

    Raises:
        OSError: If there is nothing to look for copies in, or the report cannot be written.
    """
    if against is not None and not against.exists():
        raise FileNotFoundError(
            f"{against}: no such folder; expected the training data, paired or clean pictures alone"
        )
    if json is not None and json != STDOUT:
        check_file(json, force=force)
