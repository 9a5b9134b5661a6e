"""Arguments that are not checked by typer are what typer makes of them."""

from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.core import TyperCommand
from typer.testing import CliRunner, Result

from derain.cli.plain import PlainCommand

Given = dict[str, Any]


def call(cls: type[TyperCommand], arguments: list[str]) -> tuple[Result, Given]:
    """Return what becomes of a command, and the values that its function gets."""
    app, given = typer.Typer(rich_markup_mode=None), Given()

    def upper(value: str | None) -> str | None:
        return value and value.upper()

    @app.command(cls=cls)
    def verb(  # pyright: ignore[reportUnusedFunction]
        names: list[str],
        output: Annotated[Path | None, typer.Option("-o", "--output")] = None,
        text: str = "auto",
        loud: Annotated[str | None, typer.Option(callback=upper)] = None,
        tile: Annotated[int | None, typer.Option(min=1)] = None,
        rate: float = 0.5,
        several: list[str] | None = None,
        force: Annotated[bool, typer.Option("--force")] = False,
        maybe: bool | None = None,
    ) -> None:
        given.update(names=names, output=output, text=text, loud=loud, tile=tile, rate=rate)
        given.update(several=several, force=force, maybe=maybe)

    result = CliRunner().invoke(app, arguments)
    return result, given


@pytest.mark.parametrize(
    "arguments",
    [
        ["a"],
        ["a", "b", "--text", "words", "--force"],
        ["a", "--loud", "quiet"],
        ["a", "--text", "", "--no-maybe"],
        ["a", "-o", "place/x", "--tile", "3", "--rate", "1e-2"],
        ["a", "--several", "x", "--several", "y", "--maybe"],
        ["--", "-o"],
        [],
        ["--force"],
        ["a", "--nonsense"],
        ["--help"],
    ],
)
def test_values_and_messages_are_those_of_typer(arguments: list[str]) -> None:
    expected, values = call(TyperCommand, arguments)
    found, plain = call(PlainCommand, arguments)
    assert plain == values
    assert (found.exit_code, found.output) == (expected.exit_code, expected.output)
    assert (expected.exit_code == 0) == bool(values or arguments == ["--help"])
