"""``derain bench`` measures how fast models run on this machine."""

import json
from pathlib import Path
from typing import Annotated

import typer

from derain.cli.console import check_ending, check_file, one_line_errors, say
from derain.cli.options import DeviceOption, ForceOption, TileOption
from derain.cli.progress import Bars
from derain.cli.startup import lasting
from derain.errors import UsageError

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
    printed on standard output.
    """
    from dataclasses import asdict

    with lasting():
        from derain.bench import Case, time_cases, to_markdown
        from derain.restore import check_asked
    from derain.files import write_file

    with one_line_errors(), Bars() as bars:
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
        timings = time_cases(cases, rounds=rounds, pictures=pictures, progress=bars)
    typer.echo(to_markdown(timings))
    for machine in dict.fromkeys(timing.machine for timing in timings):
        say(machine)
    if json_to:
        write_file(json_to, json.dumps([asdict(timing) for timing in timings], indent=1).encode())
        say(f"wrote {json_to}")


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UsageError(
            "expected WIDTHxHEIGHT in pixels, such as 1920x1080", option="size", value=text
        )
    return int(width), int(height)
