"""``derain data`` identifies and checks datasets."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from derain.cli.console import STDOUT, check_ending, check_file, one_line_errors, result
from derain.cli.options import CleanOption, ForceOption, LayoutOption, RainyOption
from derain.cli.progress import Bars
from derain.cli.startup import lasting
from derain.cli.verb import Verb

if TYPE_CHECKING:
    from derain.data import Place, TwoFolders

app = typer.Typer(no_args_is_help=True, help="Check datasets.", rich_markup_mode=None)

FolderArgument = Annotated[
    Path | None,
    typer.Argument(metavar="DIR", help="Folder of pairs or of clean pictures, or a list of pairs."),
]
AgainstOption = Annotated[
    Path | None,
    typer.Option("--against", help="Training data, in which none of the pictures may occur."),
]
JsonOption = Annotated[
    Path | None, typer.Option("--json", help="Write the report to a file as JSON; - prints it.")
]


@app.callback()
def options() -> None:
    """Check datasets."""


@app.command("check", cls=Verb)
def check(
    folder: FolderArgument = None,
    rainy: RainyOption = None,
    clean: CleanOption = None,
    against: AgainstOption = None,
    layout: LayoutOption = None,
    json: JsonOption = None,
    force: ForceOption = False,
) -> None:
    """Identify a benchmark and its version, and find faults in a dataset.

    The exit status is 1 if the dataset should not be used for training, or for scoring models that
    were trained on the data of --against.
    """
    with lasting():
        from derain.data import check_layout, layout_named, named_folders
        from derain.data.audit.check import check as check_data
    from derain.files import write_file

    with one_line_errors():
        _check_places(against, json, force=force)
        place = _place(folder, named_folders(rainy, clean))
        pairs_layout = layout_named(layout)
        check_layout(pairs_layout, [place])
        with Bars() as bars:
            report = check_data(place, against, pairs_layout, bars)
        try:
            result(report.to_json() if json == STDOUT else report.describe())
        finally:  # if one of the two outputs fails, the other is still written
            if json is not None and json != STDOUT:
                write_file(json, report.to_json().encode())
    if not report.sound:
        raise typer.Exit(1)


def _place(folder: Path | None, both: "TwoFolders | None") -> "Place":
    """Return the one place to check, out of a folder and two folders.

    Raises:
        UnknownNameError: If neither is given.
        UsageError: If both are given.
    """
    from derain.errors import UnknownNameError, UsageError

    if folder is not None and both is not None:
        raise UsageError(
            f"cannot be combined with the folder {folder}; expected one of the two",
            option="rainy",
            value=both.rainy,
        )
    if folder is None and both is None:
        raise UnknownNameError("expected a folder, a list of pairs, or --rainy DIR and --clean DIR")
    place = folder if both is None else both
    assert place is not None
    return place


def _check_places(against: Path | None, json: Path | None, *, force: bool) -> None:
    """Check before the work that there are files to read, and a place for the report.

    Raises:
        OSError: If the training data are missing, or the report cannot be written.
    """
    if against is not None and not against.exists():
        raise FileNotFoundError(
            f"{against}: no such folder; expected the training data, paired or clean pictures alone"
        )
    if json is not None and json != STDOUT:
        check_file(json, force=force)
        check_ending(json, (".json",), "json")
