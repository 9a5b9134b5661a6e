"""The verb ``derain weights``: list, show and cite weights, and import authors' checkpoints."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from derain.cli.console import check_file, check_folder, one_line_errors, result, say
from derain.cli.options import ForceOption, WeightsArgument
from derain.cli.verb import Verb
from derain.extras import require
from derain.files import printable

if TYPE_CHECKING:
    from derain.weights import Card

_SHOWN = (
    "name", "network", "hyperparameters", "failures", "note", "licence", "scores", "validation",
    "data", "rain", "digest", "steps", "hours", "machine", "commit", "version", "history", "recipe",
)  # fmt: skip
"""The fields of a card in the order of what a user asks first."""

app = typer.Typer(
    no_args_is_help=True, help="List, show, cite or import weights.", rich_markup_mode=None
)


@app.command("list", cls=Verb)
def list_weights() -> None:
    """List the weights in the package, with speed and quality."""
    import shutil

    from derain.weights.listing import HEADINGS, NOTES, listed

    rows = [HEADINGS, *listed()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    # Where lines would not fit, what to take stands below the figures.
    narrow = sum(widths) + 2 * (len(widths) - 1) > shutil.get_terminal_size((200, 24)).columns
    lines = [_line(row, widths, narrow=narrow) for row in rows]
    # Each line of results is about weights, as a script expects that cuts their names out.
    say(lines[0])
    with one_line_errors():
        result("\n".join(lines[1:]), is_all=True)
    for note in NOTES:
        say(note)


def _line(row: tuple[str, ...], widths: list[int], *, narrow: bool) -> str:
    """Return a row of a table; where that is narrow, its last column stands below the others."""
    last = len(row) - 1
    cells = [
        text.ljust(width) if column in (0, last) else text.rjust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    ]
    between = "\n    " if narrow else "  "
    return f"{'  '.join(cells[:last])}{between}{cells[last]}".rstrip()


@app.command("show", cls=Verb)
def show(
    model: WeightsArgument,
) -> None:
    """Show the model card of weights: network, data, scores, licence."""
    from dataclasses import asdict

    with one_line_errors():
        card = _card_of(model)
        facts = asdict(card) | {"history": [stage.describe() for stage in card.history]}
        lines = (line for key in _SHOWN for line in _fact_lines(key, facts[key]))
        result("\n".join(lines), is_all=True)


def _fact_lines(key: str, value: Any) -> list[str]:
    """Return the lines of a fact on a card; none where the card is silent."""
    if not value:
        return []
    items = (
        [f"{name}: {item}" for name, item in value.items()] if isinstance(value, dict) else value
    )
    texts = items if isinstance(items, list) else [str(items)]
    # A card may hold anything, such as what would command a terminal.
    return [
        f"{'' if number else key:<16} {printable(text)}".rstrip()
        for number, text in enumerate(texts)
    ]


def _check_foreign(checkpoint: Path) -> None:
    """Refuse to import what is not there, or what has a card already, which would be lost.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        WeightsError: If derain wrote the file.
    """
    from derain.weights import WeightsError
    from derain.weights.checkpoints import is_checkpoint
    from derain.weights.header import check_is_file, has_card, is_safetensors

    if is_checkpoint(checkpoint):
        return
    check_is_file(checkpoint)
    if is_safetensors(checkpoint) and has_card(checkpoint):
        raise WeightsError(
            f"{checkpoint}: already a weights file of derain's, with a card; use it as it is"
        )


def _check_apart(checkpoint: Path, target: Path) -> None:
    """Refuse to write over the checkpoint, or into it.

    Raises:
        UsageError: If the target is or belongs to the checkpoint.
    """
    from derain.errors import UsageError

    read, written = checkpoint.resolve(), target.resolve()
    if written == read or (read in written.parents and target.exists()):
        raise UsageError(
            "is what would be imported; name another file", option="output", value=target
        )


def _card_of(model: str) -> "Card":
    """Return the card of weights, or of a file that was exported from some."""
    from derain.engines.exported import Exported, is_exported
    from derain.weights import find_card

    path = Path(model)
    return Exported.read(path).card if is_exported(path) else find_card(model)


@app.command("cite", cls=Verb)
def cite(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL...", help="Shipped weights, or a file of derain's or the authors'."
        ),
    ] = None,
) -> None:
    """Print BibTeX of the papers behind weights, and of derain.

    Without a model derain's own entry is printed. The Petrichor networks have no paper.
    """
    from derain import __version__
    from derain.weights.citations import to_bibtex

    with one_line_errors():
        networks = [_card_of(model).network for model in models or []]
        result(to_bibtex(networks, __version__), is_all=True)


@app.command("import", cls=Verb)
def import_weights(
    checkpoint: Annotated[
        Path,
        typer.Argument(help="Checkpoint: a file, a TensorFlow index or a folder of parts."),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write. Default: NAME.safetensors."),
    ] = None,
    bgr: Annotated[
        bool,
        typer.Option("--bgr", help="The network was trained on BGR pictures, as ReMAEN is."),
    ] = False,
    force: ForceOption = False,
) -> None:
    """Convert an authors' checkpoint to a safetensors file with a card."""
    from derain.errors import ExistsError, UsageError

    with one_line_errors():
        _check_foreign(checkpoint)
        require("torch", "derain weights import")
        from derain.weights import authors
        from derain.weights.store import holds, save

        target = output or Path(checkpoint.absolute().with_suffix(".safetensors").name)
        if target.suffix != ".safetensors":
            raise UsageError(
                "expected a name ending in .safetensors", option="output", value=target
            )
        _check_apart(checkpoint, target)
        check_folder(target.absolute().parent, force=True)
        check_file(target, force=True, within=target.parent)
        network, card = authors.load(checkpoint, bgr=bgr)
        if target.exists() and not force:
            if not holds(target, network, card):
                raise ExistsError(f"{target} already exists and holds something else")
            say(f"{target}: already imported, the same weights; --force imports them again")
        else:
            save(network, card, target)
            whose = "the authors' " if card.recipe else ""
            say(printable(f"{checkpoint}: {whose}{card.network}, {card.note}"))
        result(str(target))
