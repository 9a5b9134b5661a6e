"""derain bench: how fast models run here."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from derain.cli.console import (
    DEVICE_HELP,
    TILE_HELP,
    check_file,
    one_line_errors,
    progress_bar,
    say,
)
from derain.errors import UsageError

if TYPE_CHECKING:
    from derain.bench.timing import Case, Timing


def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="Default: petrichor petrichor-live."),
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(help="WIDTHxHEIGHT of pictures; may be given again. Default: 1024x683."),
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(help="torch, onnx or openvino; may be given again. Default: torch."),
    ] = None,
    dtype: Annotated[
        list[str] | None, typer.Option(help="Number format; may be given again. Default: float32.")
    ] = None,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
    tile: Annotated[int | None, typer.Option(help=TILE_HELP)] = None,
    rounds: Annotated[
        int, typer.Option(min=1, help="How often every case gets a process of its own.")
    ] = 2,
    pictures: Annotated[int, typer.Option(min=1, help="Timed in each.")] = 3,
    json_to: Annotated[
        Path | None, typer.Option("--json", help="Also write what was found here.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Measure speed, memory, share of what the machine can do, and closeness to float32.

    Every combination of the options is a case; cases take turns. A Markdown table goes to standard
    output.
    """
    from dataclasses import asdict

    from derain.bench.timing import Case
    from derain.bench.timing import bench as measure
    from derain.files import write_file

    with one_line_errors(), progress_bar() as bar:
        if json_to:
            check_file(json_to, force=force)
        cases = [
            Case(model, one, format, device, *_size(text), tile)
            for model in models or ("petrichor", "petrichor-live")
            for text in size or ("1024x683",)
            for one in engine or ("torch",)
            for format in dtype or ("float32",)
        ]
        task = bar.add_task("cases", total=None)
        timings = measure(
            cases,
            rounds,
            pictures,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    for line in _table(timings):
        typer.echo(line)
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


def _table(timings: "list[Timing]") -> list[str]:
    head = (
        "model | engine | number format | size | seconds | megapixels a second | peak memory, MB |"
        " of a matrix product's rate"
    )
    rows = [f"| {head} | PSNR to float32, dB |", "|" + "---|" * 9]
    for timing in timings:
        case: Case = timing.case
        memory = "" if timing.peak_memory is None else f"{timing.peak_memory / 1e6:.0f}"
        share = "" if timing.share is None else f"{timing.share:.0%}"
        psnr = "" if timing.psnr is None else f"{timing.psnr:.1f}"
        speed = (
            f"{timing.seconds:.3f} | {timing.megapixels_per_second:.2f} | {memory} | {share} |"
            f" {psnr}"
        )
        rows.append(
            f"| `{case.model}` | {case.engine} | {case.dtype} | {case.width}x{case.height} |"
            f" {speed} |"
        )
    rows.append("")
    rows.append(
        f"Ceiling: matrix product, {max(timing.ceiling for timing in timings) / 1e9:.0f} GFLOP/s,"
        " in turns with the network."
    )
    return rows
