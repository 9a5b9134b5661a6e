"""The verb ``derain weights``: list, show, and import authors' checkpoints."""

from pathlib import Path
from typing import Annotated

import typer

from derain.cli.console import one_line_errors, say
from derain.cli.verb import Verb
from derain.extras import require

app = typer.Typer(no_args_is_help=True, help="List, show or import weights.", rich_markup_mode=None)


@app.command("list", cls=Verb)
def list_weights() -> None:
    """List the weights inside the package."""
    from derain.weights import CATALOGUE, DEFAULT

    width = max(map(len, CATALOGUE))
    for row in CATALOGUE.values():
        default = " (default)" if row.name == DEFAULT else ""
        needs = "" if row.graph else " (PyTorch)"
        typer.echo(f"{row.name:<{width}}  {row.summary}{default}{needs}")


@app.command("show", cls=Verb)
def show(
    model: Annotated[
        str, typer.Argument(help="Shipped weights, or a file of derain's or the authors'.")
    ],
) -> None:
    """Show what weights say of themselves: network, recipe, data, scores, licence."""
    from dataclasses import asdict

    from derain.engines.exported import Exported, is_exported
    from derain.weights import find_card

    with one_line_errors():
        path = Path(model)
        card = Exported.read(path).card if is_exported(path) else find_card(model)
    stages = {"history": [stage.describe() for stage in card.history]}
    for key, value in (asdict(card) | stages).items():
        lines = (
            [f"{name}: {item}" for name, item in value.items()]
            if isinstance(value, dict)
            else value
        )
        lines = lines if isinstance(lines, list) else [str(lines)]
        for number, line in enumerate(lines or [""]):
            typer.echo(f"{'' if number else key:<16} {line}".rstrip())


@app.command("import", cls=Verb)
def import_weights(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="An authors' checkpoint: a file, a TensorFlow index, a folder of parts."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Default: its name with .safetensors, here."),
    ] = None,
    bgr: Annotated[
        bool,
        typer.Option("--bgr", help="They were trained on BGR pictures, as ReMAEN's authors do."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Write an authors' checkpoint as a self-describing safetensors file."""
    from derain.errors import ExistsError, UsageError

    with one_line_errors():
        require("torch", "derain weights import")
        from derain.weights import authors
        from derain.weights.store import save

        target = output or Path(checkpoint.absolute().with_suffix(".safetensors").name)
        if target.suffix != ".safetensors":
            raise UsageError(
                "expected a name ending in .safetensors", option="output", value=target
            )
        if target.exists() and not force:
            raise ExistsError(f"{target} already exists")
        network, card = authors.load(checkpoint, bgr=bgr)
        save(network, card, target)
    say(f"{checkpoint}: the authors' {card.network}, {card.note}")
    typer.echo(str(target))
