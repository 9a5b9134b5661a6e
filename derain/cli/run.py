"""``derain run`` removes rain from pictures and clips."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from derain.cli.clips import (
    NO_MODEL,
    AsClipOption,
    ClipOptions,
    Clips,
    CodecOption,
    CrfOption,
    EndOption,
    PresetOption,
    PreviewOption,
    ResumeOption,
    StartOption,
    TemporalOption,
    Wanted,
    derain_found,
    parted,
)
from derain.cli.cluster import (
    ClusterOption,
    ClusterOptions,
    RetriesOption,
    check_others,
    derain_archive,
    request_of,
)
from derain.cli.console import (
    complain,
    interruptible,
    is_verbose,
    line_of,
    one_line_errors,
    say,
    show_traceback,
)
from derain.cli.console import result as show_result
from derain.cli.numbers import whole_number
from derain.cli.options import (
    DeviceOption,
    DtypeOption,
    EngineOption,
    ForceOption,
    OverlapOption,
    TileOption,
)
from derain.cli.pipes import (
    ColoursOption,
    PipeOptions,
    PixelFormatOption,
    RateOption,
    RawOption,
    derain_pipe,
    is_piped,
)
from derain.cli.progress import Bars
from derain.cli.shown import SKIPPED, say_left, say_skipped
from derain.cli.startup import lasting
from derain.clips.names import is_animated, is_clip_name
from derain.clips.places import Places
from derain.errors import DerainError, UsageError, check_choice
from derain.files import printable

if TYPE_CHECKING:
    from derain.images import Format
    from derain.pictures import Job, Part, Plan, Result
    from derain.pictures.finding import NoPicturesError
    from derain.progress import Progress
    from derain.restore import Derainer

FORMATS = ("jpg", "jpeg", "png", "webp", "tif", "tiff", "bmp", "avif")

InputsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="PICTURE...", help="Files, folders, quoted patterns, or - for standard input."
    ),
]
OutputOption = Annotated[
    str | None,
    typer.Option("-o", "--output", help="File or folder to write, or - for standard output."),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "-m",
        "--model",
        help="Name of shipped weights, or a checkpoint file. Default: petrichor. For clips:"
        " petrichor-live, or none to use only the neighbouring frames.",
    ),
]
QualityOption = Annotated[
    str | None,
    typer.Option(help="Quality: fast, balanced or best, instead of -m. Default: balanced."),
]
FormatOption = Annotated[
    str | None, typer.Option(help=f"Format of the results: {', '.join(FORMATS)}.")
]
CompareOption = Annotated[
    bool, typer.Option("--compare", help="Write a before/after picture beside each result.")
]
DensityOption = Annotated[
    bool, typer.Option("--density", help="Print how dense the rain is. Needs -m crdnet.")
]
StrengthOption = Annotated[
    float, typer.Option(help="Share of the rain to remove: 0 is nothing, 1 is all; up to 1.5.")
]
MaskOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Picture of the same size: white where rain is removed, black elsewhere.",
    ),
]
MaxPixelsOption = Annotated[
    str | None,
    typer.Option(
        metavar="N", help="Refuse pictures with more pixels, such as 400M. Default: 300M."
    ),
]

PartOption = Annotated[
    str | None,
    typer.Option(
        metavar="INDEX/COUNT",
        help="Derain one part of the files: 0/8 to 7/8 share them among eight machines.",
    ),
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
    max_pixels: MaxPixelsOption = None,
    part: PartOption = None,
    temporal: TemporalOption = "auto",
    codec: CodecOption = "auto",
    crf: CrfOption = None,
    preset: PresetOption = None,
    preview: PreviewOption = None,
    start: StartOption = None,
    end: EndOption = None,
    resume: ResumeOption = False,
    as_clip: AsClipOption = False,
    raw: RawOption = None,
    pixel_format: PixelFormatOption = None,
    rate: RateOption = None,
    colours: ColoursOption = None,
    cluster: ClusterOption = None,
    retries: RetriesOption = None,
) -> None:
    """Remove rain from pictures and clips.

    The result of photo.jpg is photo_derained.jpg beside it. The results of a folder go to
    FOLDER_derained. Existing files are not overwritten without --force, so the same command
    finishes interrupted work. Results of derain are not derained again.

    --quality fast takes less time than the default; best takes more and gives cleaner pictures.
    If leaves or cloth were smeared, try --strength 0.7, or limit the work with --mask.

    With --density, a tab and none, light, medium or heavy follow each path on standard output.

    If the input is -, frames of a video are read from standard input, as YUV4MPEG2 or, with --raw,
    without headers. They are written to standard output in the same form, or to -o clip.mp4.
    """
    _check_format(format)
    settings: dict[str, Any] = {"quality": quality, "device": device, "dtype": dtype, "tile": tile}
    settings |= {"overlap": overlap, "engine": engine, "strength": strength}
    of_pictures = _PictureOptions(compare, format, density, mask, max_pixels)
    of_folder = rate if as_clip else None
    of_clips = ClipOptions(
        temporal, codec, crf, preset, preview, start, end, resume, as_clip, of_folder
    )
    frames = PipeOptions(raw, pixel_format, rate, colours)
    chosen = _Chosen(of_pictures, of_clips, frames, ClusterOptions(cluster, retries))
    _derain_all(_Command(inputs, output, model, settings, force, part), chosen)


@dataclass(frozen=True)
class _Command:
    """What is to be derained, whatever kinds of inputs there are; names are those of the flags.

    Attributes:
        settings: For `derain.restore.load`.
    """

    inputs: Sequence[str]
    output: str | None
    model: str | None
    settings: dict[str, Any]
    force: bool
    part: str | None


@dataclass(frozen=True)
class _PictureOptions:
    """What the command line says of pictures alone; names are those of the flags."""

    compare: bool = False
    format: str | None = None
    density: bool = False
    mask: str | None = None
    max_pixels: str | None = None

    def check_unused(self, *, has_animated: bool) -> None:
        """Check that nothing is said of pictures, where there are none.

        Args:
            has_animated: There are animated pictures, which have formats and sizes, too.

        Raises:
            UsageError: Else.
        """
        for option, value in vars(self).items():
            if has_animated and option in ("format", "max_pixels"):
                continue
            if value != getattr(_PictureOptions, option):
                raise UsageError("applies to pictures, but no picture is named", option=option)


@dataclass(frozen=True)
class _Chosen:
    """What the command line says of each kind of input."""

    of_pictures: _PictureOptions
    of_clips: ClipOptions
    frames: PipeOptions
    of_cluster: ClusterOptions

    def check_unused(self, clips: Sequence[str], others: Sequence[str]) -> None:
        """Check that nothing is said of what is not among the inputs.

        Raises:
            UsageError: Else.
        """
        self.frames.check_unused(but=("rate",) if self.of_clips.as_clip else ())
        if not clips:
            self.of_clips.check_unused(has_folder=any(Path(name).is_dir() for name in others))
        if not others:
            self.of_pictures.check_unused(has_animated=any(map(is_animated, clips)))


def _derain_all(command: _Command, chosen: _Chosen) -> None:
    """Derain a stream of frames, or clips and then pictures.

    Raises:
        typer.Exit: If something could not be done, or the user interrupts it.
    """
    if chosen.of_cluster.cluster is not None:
        _derain_archive(command, chosen)
        return
    with one_line_errors():
        chosen.of_cluster.check_unused()
    if is_piped(command.inputs, command.output, chosen.frames):
        with one_line_errors():
            chosen.of_pictures.check_unused(has_animated=False)
            if command.part is not None:
                raise UsageError("applies to files and folders; expected no -", option="part")
        derain_pipe(
            command.inputs[0],
            command.output,
            command.model,
            command.settings,
            chosen.of_clips,
            chosen.frames,
            force=command.force,
        )
        return
    clips, others = parted(command.inputs, as_clip=chosen.of_clips.as_clip)
    with one_line_errors(has_limit=True, has_quality=True):
        chosen.check_unused(clips, others)
        if others and command.model == NO_MODEL:
            raise UsageError(
                "works for clips only; expected weights for pictures and folders",
                option="model",
                value=command.model,
            )
        # What all inputs become is settled before the work on any.
        planned = _plan_clips(command, chosen, clips, others) if clips else None
        found = None
        if others:
            places = planned.places if planned else Places()
            of_others = replace(command, inputs=others)
            with lasting():
                found = _Pictures(of_others, chosen.of_pictures, places)
    well = planned is None or planned.derain()
    if found is not None:
        found.derain()
    if not well:
        raise typer.Exit(1)


def _plan_clips(
    command: _Command, chosen: _Chosen, clips: Sequence[str], others: Sequence[str]
) -> Clips:
    """Plan clips.

    Raises:
        UsageError: If an option cannot be meant, or one file is named for clips and other inputs.
    """
    from derain.clips.sequences import kind_of_target

    output = command.output
    if others and output is not None and output != "-" and kind_of_target(output) is not None:
        raise UsageError(
            f"one file for {len(command.inputs)} inputs; expected a folder",
            option="output",
            value=output,
        )
    wanted = Wanted(
        output,
        command.model,
        command.settings,
        command.force,
        chosen.of_pictures.format,
        _pixels(chosen.of_pictures.max_pixels),
        _part_of(command.part),
    )
    return Clips(clips, wanted, chosen.of_clips)


def _derain_archive(command: _Command, chosen: _Chosen) -> None:
    """Derain an archive on a cluster.

    Raises:
        typer.Exit: If something could not be done, or the user interrupts it.
    """
    of_pictures = chosen.of_pictures
    with one_line_errors(has_limit=True, has_quality=True):
        check_others(of_pictures, chosen.of_clips, chosen.frames, but=("format", "max_pixels"))
        if command.part is not None:
            raise UsageError("is not done with --cluster; leave one of them out", option="part")
        request = request_of(
            command.inputs,
            command.output,
            command.model,
            command.settings,
            chosen.of_cluster,
            force=command.force,
            format=_format_of(of_pictures.format),
            max_pixels=_pixels(of_pictures.max_pixels),
        )
    derain_archive(request)


class _Pictures:
    """Pictures and what is found in folders: what they become is settled before any work.

    Args:
        command: Of these inputs.
        chosen: What is said of pictures.
        places: Of clips that are named with them.

    Raises:
        UsageError: If an option cannot be meant.
    """

    def __init__(self, command: _Command, chosen: _PictureOptions, places: Places) -> None:
        from derain import pictures
        from derain.images import read_mask
        from derain.restore import check_asked

        # What can be refused is refused before a folder is searched, and a model loaded.
        check_asked(command.model, **command.settings)
        self._command, self._chosen = command, chosen
        self._limit = _pixels(chosen.max_pixels)
        area = read_mask(chosen.mask, self._limit) if chosen.mask else None
        options = pictures.Options(
            force=command.force,
            compare=chosen.compare,
            format=_format_of(chosen.format),
            density=chosen.density,
            mask=area,
            max_pixels=self._limit,
            part=_part_of(command.part),
        )
        self._plan = _apart(pictures.plan(command.inputs, command.output, options), places)
        _report_plan(self._plan)
        # Weights alone say whether they sense density; others wait for their turn.
        self._settled = self._loaded() if chosen.density else None

    def _loaded(self) -> "tuple[Sequence[Result], Derainer | None]":
        """Return what is known without work, or what does the work.

        Raises:
            UsageError: If the weights cannot do what is asked for.
        """
        from derain import pictures
        from derain.restore import load

        results = pictures.settled(self._plan.jobs)
        if results is not None:
            return results, None
        derainer = load(self._command.model, **self._command.settings)
        if self._chosen.density:
            _check_density(derainer)
        return [], derainer

    def derain(self) -> None:
        """Derain pictures and report each.

        Raises:
            typer.Exit: If something could not be done, or the user interrupts it.
        """
        command, chosen = self._command, self._chosen
        with one_line_errors(has_limit=True, has_quality=True), lasting():
            results, derainer = self._settled or self._loaded()
        if derainer:
            _say_choices(derainer, command.settings["quality"], command.settings["dtype"])
        done = _do(self._plan, derainer, results)
        for option in ("mask", "compare", "density"):
            if getattr(chosen, option):
                done.refuse_clips(option)
        try:
            if done.clips:
                done.statuses += derain_found(
                    done.clips,
                    command.model,
                    command.settings,
                    force=command.force,
                    max_pixels=self._limit,
                    is_alone=len(self._plan.jobs) == 1,
                )
        finally:  # if the clips are interrupted, the pictures are done all the same
            done.report()
        if done.failed:
            raise typer.Exit(1)


def _apart(plan: "Plan", places: Places) -> "Plan":
    """Return a plan without pictures whose results, or files, are those of clips' results."""
    jobs: list[Job] = []
    refused = list(plan.refused)
    for job in plan.jobs:
        try:
            places.check(job.source, job.outputs)
        except DerainError as error:
            refused.append((job.source, error))
        else:
            jobs.append(job)
    return replace(plan, jobs=tuple(jobs), refused=tuple(refused))


def _do(plan: "Plan", derainer: "Derainer | None", results: "Sequence[Result]") -> "_Done":
    """Do what was planned, and return what became of it.

    Without a Derainer report what is known of it.

    Raises:
        typer.Exit: If the user interrupts it.
    """
    done = _Done(plan.jobs, len(plan.refused), list(plan.results))
    with interruptible(done.describe_interrupted):
        _derain(plan.jobs, derainer, results, done)
    return done


def _check_format(name: str | None) -> None:
    """Refuse a format that is not written, before anything is loaded."""
    if name is not None:
        with one_line_errors():
            check_choice(name.lower(), FORMATS, "format")


def _format_of(name: str | None) -> "Format | None":
    from derain.images import format_of

    return format_of(f"any.{name}") if name else None


def _pixels(text: str | None) -> int | None:
    """Return the limit that was asked for; None for the usual one."""
    return None if text is None else whole_number(text, "max_pixels")


def _part_of(text: str | None) -> "Part | None":
    """Return the part of the files that was asked for; None for all of them."""
    from derain.pictures import Part

    return None if text is None else Part.parse(text)


def _report_plan(plan: "Plan") -> None:
    """Name what gives no job, before a model is loaded."""
    from derain import pictures
    from derain.pictures.finding import NoPicturesError

    for path, error in plan.refused:
        advised = _with_clips(path, error) if isinstance(error, NoPicturesError) else error
        _report(pictures.Result(path, None, "failed", advised))
    if plan.others:
        say(pictures.describe_others(plan.others))


def _with_clips(path: Path, error: "NoPicturesError") -> DerainError:
    """Return an error that says how to derain the clips of a folder without pictures, if any."""
    suffixes = [suffix for suffix, _ in error.others.most_common() if is_clip_name(f"a{suffix}")]
    if not suffixes:
        return error
    named = (path if path.is_dir() else path.parent) / f"*{suffixes[0]}"
    return DerainError(f"{error}; clips are derained if they are named, such as {printable(named)}")


def _check_density(derainer: "Derainer") -> None:
    if not derainer.engine.senses_density:
        if derainer.engine.title == "CRDNet" and derainer.engine.runtime != "torch":
            raise UsageError(
                f"the engine {derainer.engine.runtime} cannot measure rain density; expected"
                " --engine torch",
                option="density",
            )
        raise UsageError(
            f"{derainer.name} cannot measure rain density; expected CRDNet's weights with a"
            " classifier, such as -m crdnet",
            option="density",
        )


def _say_choices(derainer: "Derainer", quality: str | None, dtype: str) -> None:
    """Say what derain chose where the user left the choice to it."""
    from derain.machine import describe

    name = printable(derainer.name)
    if is_verbose():
        say(f"{name}: {derainer.describe()}; {describe(derainer.engine.runtime)}")
    if quality is not None:
        flips = f", mean of {derainer.flips} flips" if derainer.flips > 1 else ""
        say(f"quality {quality}: {name}{flips}")
    if is_verbose() and dtype == "auto" and derainer.engine.dtype != "float32":
        say(
            f"{name}: computes in bfloat16, which costs less than 0.05 dB; --dtype float32 avoids"
            " it"
        )


@dataclass
class _Done:
    """What has become of the pictures so far.

    Attributes:
        jobs: What there is to do.
        refused: Number of inputs that gave none.
        results: Results of derain, which are ignored.
        statuses: Number of pictures, and of clips among them, of each status.
        finished: Pictures whose results are there.
        clips: Animated pictures that were found among them, each with the file of its result.
    """

    jobs: "Sequence[Job]"
    refused: int
    results: list[Path]
    statuses: Counter[str] = field(default_factory=Counter[str])
    finished: "set[Path]" = field(default_factory=set[Any])
    clips: list[tuple[Path, Path]] = field(default_factory=list[tuple[Path, Path]])

    @property
    def failed(self) -> bool:
        """Whether something could not be done."""
        return bool(self.refused or self.statuses["failed"])

    def add(self, result: "Result") -> None:
        """Count a result."""
        self.statuses[result.status] += 1
        if result.status in ("done", "skipped"):
            self.finished.add(result.source)
        if result.status == "left":
            self.results.append(result.source)

    def refuse_clips(self, option: str) -> None:
        """Say that an option does not apply to the animated pictures, and leave them undone."""
        for path, _ in self.clips:
            complain(f"error: {printable(path)}: an animation; --{option} applies to pictures only")
            self.statuses["failed"] += 1
        self.clips.clear()

    def report(self) -> None:
        """Say which files were ignored, and for several files how many were done."""
        say_left(self.results)
        done, skipped, failed = (self.statuses[each] for each in ("done", "skipped", "failed"))
        if done + skipped + failed + self.refused > 1:
            failed += self.refused
            say(f"{done} done, {skipped} {SKIPPED}, {failed} failed")

    def describe_interrupted(self) -> str:
        """Return what was done by the time of an interruption."""
        if any(job.force for job in self.jobs):
            return f"{len(self.finished)} of {len(self.jobs)} done"
        # The last one may have been written, and not reported.
        there = {
            job.source
            for job in self.jobs
            if job.outputs and all(path.exists() for path in job.outputs)
        }
        done = len(self.finished | there)
        return f"{done} of {len(self.jobs)} done; run the same command again to continue"


def _derain(
    jobs: "Sequence[Job]", derainer: "Derainer | None", results: "Sequence[Result]", done: _Done
) -> None:
    """Do the jobs, and report each; without a Derainer report what is known of them."""
    from derain import pictures

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

        found = pictures.run(jobs, derainer, start) if derainer else results
        number, total = 0, len(jobs)
        for result in found:
            clip_target = result.target if _is_animation(result) else None
            # Neither clips, which come later, nor results of derain are among the pictures to do.
            if clip_target or result.status == "left":
                total -= 1
            else:
                number += 1
            if len(jobs) > 1:
                bars("pictures", number, total)
            if clip_target:
                done.clips.append((result.source, clip_target))
                continue
            try:
                _report(result, f"[{number}/{total}] " if len(jobs) > 1 else "")
            # Standard output is full or gone. The pictures still get done.
            except OSError as error:
                target = printable(str(result.target))
                complain(f"error: {target} is done, but standard output failed: {error.strerror}")
                result = replace(result, status="failed")
            done.add(result)


def _is_animation(result: "Result") -> bool:
    """Return whether a picture turned out to be a clip that can be derained as such."""
    from derain.images import AnimationError
    from derain.pictures import STREAM

    is_file = STREAM not in (result.source, result.target)
    return is_file and isinstance(result.error, AnimationError) and result.error.kind != "HEIF"


def _report(result: "Result", place: str = "") -> None:
    """Say what became of a picture; the path of its result goes to standard output.

    Args:
        result: What became of it.
        place: Its place among several, such as "[1/2] ".
    """
    from derain.pictures import STREAM

    if result.status == "left":
        return
    if result.error is not None:
        show_traceback(result.error)
        line = line_of(result.error, has_limit=True)
        text = f"{printable(result.source)}: {_without(result.source, line)}"
        if result.status == "skipped":
            say_skipped(text, is_only=not place)
        else:
            complain(f"error: {text}")
        return
    source = printable(result.source)
    note = f" ({result.message})" if result.message else ""
    say(f"{place}{source}: {result.seconds:.1f} s{note}")
    if result.density:
        steps = ", ".join(f"{name} {value:.2f}" for name, value in vars(result.density).items())
        say(f"{source}: rain density {result.density.word} ({steps})")
    if result.target != STREAM:
        show_result(f"{result.target}" + (f"\t{result.density.word}" if result.density else ""))
    if result.comparison:
        say(f"{source}: compared in {printable(result.comparison)}")


def _without(path: Path, text: str) -> str:
    """Return a message without the path that it begins with, which stands before it already."""
    return text.removeprefix(f"{printable(path)}: ")
