"""derain run: rainy pictures in, clean ones out."""

from typing import TYPE_CHECKING, Annotated

import typer

from derain.cli.console import (
    DEVICE_HELP,
    DTYPE_HELP,
    ENGINE_HELP,
    TILE_HELP,
    one_line_errors,
    progress_bar,
    say,
)
from derain.cli.console import result as show_result

if TYPE_CHECKING:
    from derain.batch import Result

FORMATS = {
    "jpg": "JPEG",
    "jpeg": "JPEG",
    "png": "PNG",
    "webp": "WEBP",
    "tif": "TIFF",
    "tiff": "TIFF",
    "bmp": "BMP",
}


def run(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="PICTURE...", help="Files, folders, patterns, or - for stdin."),
    ],
    output: Annotated[
        str | None, typer.Option("-o", "--output", help="File or folder, or - for stdout.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--model",
            help="Shipped weights, or a file of ours or the authors'. Default: petrichor.",
        ),
    ] = None,
    quality: Annotated[
        str | None,
        typer.Option(help="fast, balanced or best, in place of -m. Default: balanced."),
    ] = None,
    format: Annotated[
        str | None, typer.Option(help=f"Of the results: {', '.join(FORMATS)}.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Write a before/after picture beside each result.")
    ] = False,
    density: Annotated[
        bool, typer.Option("--density", help="Tell how dense the rain is, too (-m crdnet can).")
    ] = False,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
    dtype: Annotated[str, typer.Option(help=DTYPE_HELP)] = "auto",
    engine: Annotated[str, typer.Option(help=ENGINE_HELP)] = "auto",
    tile: Annotated[int | None, typer.Option(help=TILE_HELP)] = None,
    overlap: Annotated[int | None, typer.Option(help="Pixels that tiles share.")] = None,
) -> None:
    """Take the rain out of pictures.

    photo.jpg becomes photo_derained.jpg beside it, a folder's pictures go to FOLDER_derained.
    Nothing that exists is overwritten without --force, so that a second run does what the first
    left undone. With --density each path on standard output is followed by a tab and none, light,
    medium or heavy.

    --quality chooses among the shipped weights: fast takes less time than the default, best more
    for cleaner pictures.
    """
    if format is not None and format.lower() not in FORMATS:
        raise typer.BadParameter(
            f"{format}: expected one of {', '.join(FORMATS)}", param_hint="--format"
        )

    from typing import cast

    import torch

    from derain import batch
    from derain.errors import UsageError
    from derain.images import Format
    from derain.progress import Progress
    from derain.restore import load

    with one_line_errors():
        options = batch.Options(
            force,
            compare,
            cast("Format | None", FORMATS[format.lower()] if format else None),
            density,
        )
        jobs, failures = batch.plan(inputs, output, options)
        derainer = load(
            model,
            quality=quality,
            device=device,
            dtype=dtype,
            tile=tile,
            overlap=overlap,
            engine=engine,
        )
        if density and not derainer.engine.senses_density:
            raise UsageError(
                f"{derainer.name} cannot tell; expected CRDNet's weights with a classifier, such as"
                " -m crdnet",
                option="density",
            )

    if quality is not None:
        flips = f", mean of {derainer.flips} flips" if derainer.flips > 1 else ""
        say(f"quality {quality}: {derainer.name}{flips}")
    if dtype == "auto" and derainer.engine.dtype != torch.float32:
        say(
            f"{derainer.name}: in bfloat16, which costs these weights less than 0.05 dB; --dtype"
            " float32 does without"
        )
    for failure in failures:
        _report(failure, 0, 0)
    failed, skipped = len(failures), 0
    with progress_bar() as bar:
        files = bar.add_task("pictures", total=len(jobs), visible=len(jobs) > 1)
        tiles = bar.add_task("tiles", total=None)

        def start(job: batch.Job) -> Progress:
            bar.reset(tiles, description=job.source.name, total=None)
            return lambda _, done, total: bar.update(tiles, completed=done, total=total)

        for number, result in enumerate(batch.run(jobs, derainer, options, start), 1):
            bar.advance(files)
            failed += result.status == "failed"
            skipped += result.status == "skipped"
            try:
                _report(result, number, len(jobs))
            # standard output is full or gone; the pictures still get done
            except OSError as error:
                say(f"error: {result.target} is done, but standard output failed: {error.strerror}")
                failed += 1
    if len(jobs) + len(failures) > 1:
        done = len(jobs) + len(failures) - failed - skipped
        say(f"{done} done, {skipped} skipped because they were there, {failed} failed")
    if failed:
        raise typer.Exit(1)


def _report(result: "Result", number: int, total: int) -> None:
    from derain.batch import STREAM

    if result.status == "failed":
        say(f"error: {result.source}: {result.message}")
    elif result.status == "skipped":
        say(f"skipped {result.source}: {result.message}")
    else:
        place = f"[{number}/{total}] " if total > 1 else ""
        note = f" ({result.message})" if result.message else ""
        say(f"{place}{result.source}: {result.seconds:.1f} s{note}")
        sensed = f"\t{result.density.word}" if result.density else ""
        if result.density:
            steps = ", ".join(
                f"{name} {getattr(result.density, name):.2f}"
                for name in ("light", "medium", "heavy")
            )
            say(f"{result.source}: rain density {result.density.word} ({steps})")
        if result.target != STREAM:
            show_result(f"{result.target}{sensed}")
