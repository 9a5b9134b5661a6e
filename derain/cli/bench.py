"""``derain bench`` measures how fast models run on this machine."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from derain.cli.console import (
    check_ending,
    check_file,
    complain,
    line_of,
    one_line_errors,
    result,
    say,
)
from derain.cli.options import DeviceOption, ForceOption, TileOption
from derain.cli.progress import Bars
from derain.cli.startup import lasting
from derain.errors import UsageError
from derain.files import printable

if TYPE_CHECKING:  # loads what measures
    from derain.bench import Case, Timing

ModelsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MODEL]...", help="Models to measure. Default: petrichor petrichor-live."
    ),
]
SizeOption = Annotated[
    list[str] | None,
    typer.Option(help="WIDTHxHEIGHT of the pictures. May be repeated. Default: 1024x683."),
]
EnginesOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Runtime: torch, onnx or openvino. May be repeated. Default: torch if installed, else"
        " onnx."
    ),
]
DtypesOption = Annotated[
    list[str] | None, typer.Option(help="Number format. May be repeated. Default: float32.")
]
RoundsOption = Annotated[
    int, typer.Option(min=1, help="Processes that measure each case, one after the other.")
]
PicturesOption = Annotated[int, typer.Option(min=1, help="Pictures that each process times.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write all figures to a file.")]


def bench(
    models: ModelsArgument = None,
    size: SizeOption = None,
    engine: EnginesOption = None,
    dtype: DtypesOption = None,
    device: DeviceOption = "auto",
    tile: TileOption = None,
    rounds: RoundsOption = 2,
    pictures: PicturesOption = 3,
    json_to: JsonOption = None,
    force: ForceOption = False,
) -> None:
    """Measure speed, memory, share of peak speed, and accuracy against float32.

    Every combination of the options is a case, and cases are measured in turns. A Markdown table is
    printed on standard output. If a case fails, the others are measured and the exit status is 1.
    """
    with lasting():
        from derain.bench import Case, time_cases
        from derain.restore import check_asked

    failures: list[tuple[Case, ValueError]] = []
    with one_line_errors():
        # A file that cannot be written is refused before minutes of measuring.
        if json_to:
            check_file(json_to, force=force)
            check_ending(json_to, (".json",), "json")
        cases = [
            Case(model, one, format, device, *_size(text), tile)
            for model in models or ("petrichor", "petrichor-live")
            for text in size or ("1024x683",)
            for one in engine or ("auto",)
            for format in dtype or ("float32",)
        ]
        for case in cases:
            check_asked(
                case.model, device=case.device, dtype=case.dtype, tile=case.tile, engine=case.engine
            )
        with Bars() as bars:
            timings = time_cases(
                cases,
                rounds=rounds,
                pictures=pictures,
                progress=bars,
                on_failure=lambda case, error: failures.append((case, error)),
            )
        if timings:
            _show(timings, json_to)
    if failures:
        _end_with(failures, nothing_else=not timings)


def _show(timings: "Sequence[Timing]", json_to: Path | None) -> None:
    """Print a table of timings, and write their figures to a file if one is named."""
    from dataclasses import asdict

    from derain.bench import to_markdown
    from derain.files import write_file

    try:
        result(to_markdown(timings))
    finally:  # if one of the two outputs fails, the other is still written
        if json_to:
            figures = [asdict(timing) for timing in timings]
            write_file(json_to, json.dumps(figures, indent=1).encode())
    for machine in dict.fromkeys(timing.machine for timing in timings):
        say(machine)
    if json_to:
        say(f"wrote {json_to}")


def _end_with(failures: "Sequence[tuple[Case, ValueError]]", *, nothing_else: bool) -> None:
    """End the command with a line for each failure.

    Args:
        failures: Cases that failed, and why.
        nothing_else: Whether there are no other cases; an option that all of them refuse is then
            wrong usage.

    Raises:
        typer.Exit: With the exit status.
    """
    is_usage = nothing_else and all(isinstance(error, UsageError) for _, error in failures)
    # An option is refused by many cases in the same words.
    lines = [line_of(error) for _, error in failures]
    if is_usage and len(set(lines)) == 1:
        complain(f"error: {lines[0]}")
    else:
        for (case, error), line in zip(failures, lines, strict=True):
            where = f"{printable(str(case))}: " if isinstance(error, UsageError) else ""
            complain(f"error: {where}{line}")
    raise typer.Exit(2 if is_usage else 1)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UsageError(
            "expected WIDTHxHEIGHT in pixels, such as 1920x1080", option="size", value=text
        )
    return int(width), int(height)
