"""derain run: rainy pictures in, clean ones out."""

from typing import TYPE_CHECKING, Annotated

import typer

from derain.cli.console import (
    line_of,
    one_line_errors,
    say,
    show_traceback,
)
from derain.cli.console import result as show_result
from derain.cli.options import (
    DeviceOption,
    DtypeOption,
    EngineOption,
    ForceOption,
    OverlapOption,
    TileOption,
)
from derain.cli.progress import Bars
from derain.cli.startup import lasting
from derain.errors import UsageError

if TYPE_CHECKING:
    from derain.images import Format
    from derain.pictures import Job, Plan, Result
    from derain.progress import Progress
    from derain.restore import Derainer

FORMATS = ("jpg", "jpeg", "png", "webp", "tif", "tiff", "bmp")

InputsArgument = Annotated[
    list[str],
    typer.Argument(metavar="PICTURE...", help="Files, folders, patterns, or - for stdin."),
]
OutputOption = Annotated[
    str | None, typer.Option("-o", "--output", help="File or folder, or - for stdout.")
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "-m",
        "--model",
        help="Shipped weights, or a file of ours or the authors'. Default: petrichor.",
    ),
]
QualityOption = Annotated[
    str | None, typer.Option(help="fast, balanced or best, in place of -m. Default: balanced.")
]
FormatOption = Annotated[str | None, typer.Option(help=f"Of the results: {', '.join(FORMATS)}.")]
CompareOption = Annotated[
    bool, typer.Option("--compare", help="Write a before/after picture beside each result.")
]
DensityOption = Annotated[
    bool, typer.Option("--density", help="Tell how dense the rain is, too (-m crdnet can).")
]
StrengthOption = Annotated[
    float, typer.Option(help="How much of the rain is removed: 0 nothing, 1 all, up to 1.5.")
]
MaskOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="A picture of the same size that says where to work: white there, black elsewhere.",
    ),
]
VerboseOption = Annotated[
    bool, typer.Option("-v", "--verbose", help="Say which engine works, on what.")
]


def run(
    inputs: InputsArgument,
    output: OutputOption = None,
    model: ModelOption = None,
    quality: QualityOption = None,
    format: FormatOption = None,
    force: ForceOption = False,
    compare: CompareOption = False,
    density: DensityOption = False,
    strength: StrengthOption = 1.0,
    mask: MaskOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    engine: EngineOption = "auto",
    tile: TileOption = None,
    overlap: OverlapOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Take the rain out of pictures.

    photo.jpg becomes photo_derained.jpg beside it, a folder's pictures go to FOLDER_derained.
    Nothing that exists is overwritten without --force, so that a second run does what the first
    left undone. With --density each path on standard output is followed by a tab and none, light,
    medium or heavy.

    --quality chooses among the shipped weights: fast takes less time than the default, best more
    for cleaner pictures.

    If leaves were smeared, --strength 0.7 removes less, and --mask works on a part of the picture.
    """
    with one_line_errors(), lasting():
        from derain import pictures
        from derain.images import read_mask
        from derain.restore import load

        options = pictures.Options(
            force,
            compare,
            _format_named(format),
            density,
            read_mask(mask) if mask else None,
        )
        plan = pictures.plan(inputs, output, options)
        derainer = load(
            model,
            quality=quality,
            device=device,
            dtype=dtype,
            tile=tile,
            overlap=overlap,
            engine=engine,
            strength=strength,
        )
        if density:
            _check_density(derainer)
    _say_choices(derainer, quality, dtype, verbose=verbose)
    if not _do(plan, derainer):
        raise typer.Exit(1)


def _format_named(name: str | None) -> "Format | None":
    """Return the format that a user asks for, None for none.

    Raises:
        typer.BadParameter: If it is unknown.
    """
    from derain.images import format_of

    if name is None:
        return None
    if name.lower() not in FORMATS:
        raise typer.BadParameter(
            f"{name}: expected one of {', '.join(FORMATS)}", param_hint="--format"
        )
    return format_of(f"any.{name}")


def _do(plan: "Plan", derainer: "Derainer") -> bool:
    """Derain pictures, and report each; return whether none failed."""
    from derain import pictures

    for path, error in plan.refused:
        _report(pictures.Result(path, None, "failed", error), "")
    statuses = ["failed"] * len(plan.refused) + _derain(plan.jobs, derainer)
    if len(statuses) > 1:
        done, skipped, failed = (statuses.count(each) for each in ("done", "skipped", "failed"))
        say(f"{done} done, {skipped} skipped because they were there, {failed} failed")
    return "failed" not in statuses


def _check_density(derainer: "Derainer") -> None:
    if not derainer.engine.senses_density:
        if derainer.engine.title == "CRDNet" and derainer.engine.runtime != "torch":
            raise UsageError(
                f"the engine {derainer.engine.runtime} cannot tell; expected --engine torch",
                option="density",
            )
        raise UsageError(
            f"{derainer.name} cannot tell; expected CRDNet's weights with a classifier, such as"
            " -m crdnet",
            option="density",
        )


def _say_choices(derainer: "Derainer", quality: str | None, dtype: str, *, verbose: bool) -> None:
    """Say what derain chose where the user left the choice to it."""
    from derain.machine import describe

    if verbose:
        say(f"{derainer.name}: {derainer.describe()}; {describe(derainer.engine.runtime)}")
    if quality is not None:
        flips = f", mean of {derainer.flips} flips" if derainer.flips > 1 else ""
        say(f"quality {quality}: {derainer.name}{flips}")
    if dtype == "auto" and derainer.engine.dtype != "float32":
        say(
            f"{derainer.name}: in bfloat16, which costs these weights less than 0.05 dB; --dtype"
            " float32 does without"
        )


def _derain(jobs: "tuple[Job, ...]", derainer: "Derainer") -> list[str]:
    """Do the jobs, and report each; return what became of them."""
    from derain import pictures

    statuses: list[str] = []
    with Bars() as bars:
        shown: list[str] = []

        def start(job: "Job") -> "Progress":
            """Show one picture at a time."""
            for name in shown:
                bars.remove(name)
            name = job.source.name
            shown[:] = [name]
            bars(name, 0, None)
            return lambda _stage, done, total: bars(name, done, total)

        for number, result in enumerate(pictures.run(jobs, derainer, start), 1):
            if len(jobs) > 1:
                bars("pictures", number, len(jobs))
            statuses.append(result.status)
            try:
                _report(result, f"[{number}/{len(jobs)}] " if len(jobs) > 1 else "")
            # Standard output is full or gone. The pictures still get done.
            except OSError as error:
                say(f"error: {result.target} is done, but standard output failed: {error.strerror}")
                statuses[-1] = "failed"
    return statuses


def _report(result: "Result", place: str) -> None:
    """Say what became of a picture; the path of its result goes to standard output."""
    from derain.pictures import STREAM

    if result.error is not None:
        show_traceback(result.error)
        word = "skipped" if result.status == "skipped" else "error:"
        say(f"{word} {result.source}: {line_of(result.error)}")
        return
    note = f" ({result.message})" if result.message else ""
    say(f"{place}{result.source}: {result.seconds:.1f} s{note}")
    if result.density:
        steps = ", ".join(f"{name} {value:.2f}" for name, value in vars(result.density).items())
        say(f"{result.source}: rain density {result.density.word} ({steps})")
    if result.target != STREAM:
        show_result(f"{result.target}" + (f"\t{result.density.word}" if result.density else ""))
