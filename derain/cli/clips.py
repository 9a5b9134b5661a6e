"""Clips among what derain run is given, and their options."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from derain.cli.console import interruptible, line_of, one_line_errors, say
from derain.cli.console import result as show_result
from derain.cli.progress import Bars
from derain.cli.shown import (
    SKIPPED,
    Shown,
    complain_of,
    report,
    say_left,
    say_skipped,
    say_skipped_count,
)
from derain.clips.names import is_animated, is_video, model_for
from derain.clips.places import Places
from derain.errors import DerainError, UsageError
from derain.files import printable

if TYPE_CHECKING:
    from derain.clips.folders import FolderJob
    from derain.clips.options import Options
    from derain.clips.plan import Plan
    from derain.clips.sequences import SequenceJob
    from derain.pictures import Part
    from derain.restore import Derainer

NO_MODEL = "none"

TemporalOption = Annotated[
    str, typer.Option(metavar="auto|off|N", help="Clips: number of frames that are compared.")
]
CodecOption = Annotated[
    str,
    typer.Option(
        metavar="auto|NAME",
        help="Clips: h264, h265, av1, vp9, mpeg4, or ffv1, which is lossless; auto is h264, or av1"
        " for .webm.",
    ),
]
CrfOption = Annotated[
    float | None,
    typer.Option(help="Clips: quality of the codec; lower is better. Default: the codec's."),
]
PresetOption = Annotated[
    str | None, typer.Option(help="Clips: speed of the encoder, such as fast or slow.")
]
PreviewOption = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="Clips: derain this many seconds, into NAME_preview."),
]
StartOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="Clips: time to begin at, such as 90 or 1:30.")
]
EndOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="Clips: time to end at, such as 95 or 1:35.")
]
AsClipOption = Annotated[
    bool, typer.Option("--as-clip", help="Treat the pictures of a folder as frames of a clip.")
]
ResumeOption = Annotated[
    bool,
    typer.Option("--resume", help="Clips: continue an interrupted run."),
]


@dataclass(frozen=True)
class ClipOptions:
    """Options of the command line for clips; names are those of the flags."""

    temporal: str = "auto"
    codec: str = "auto"
    crf: float | None = None
    preset: str | None = None
    preview: float | None = None
    start: str | None = None
    end: str | None = None
    resume: bool = False
    as_clip: bool = False
    rate: str | None = None

    def check_unused(self, *, has_folder: bool = False) -> None:
        """Check that nothing is said of clips, where there are none.

        Args:
            has_folder: A folder is named, which may be meant for one.

        Raises:
            UsageError: Else.
        """
        for option, value in vars(self).items():
            if value != getattr(ClipOptions, option):
                hint = "; --as-clip treats a folder as a clip" if has_folder else ""
                raise UsageError(f"applies to clips, but no clip is named{hint}", option=option)

    def plain(self, *, force: bool) -> "Options":
        """Return the library's options.

        Raises:
            UsageError: If a time cannot be read.
        """
        from derain.clips.options import Options

        start, end = seconds_of(self.start, "start"), seconds_of(self.end, "end")
        return Options(
            temporal=self.temporal,
            codec=self.codec,
            crf=self.crf,
            preset=self.preset,
            start=start or 0.0,
            end=end,
            preview=self.preview,
            resume=self.resume,
            force=force,
        )


def seconds_of(text: str | None, option: str) -> float | None:
    """Return a time in seconds: ``90``, ``1:30`` and ``0:01:30.0`` are the same.

    Args:
        text: As the user gave it.
        option: Name of the Python argument.

    >>> seconds_of("1:02:03.5", "start")
    3723.5

    Raises:
        UsageError: If it is not a time.
    """
    if text is None:
        return None
    parts = text.strip().split(":")
    if len(parts) > 3 or not all(part.replace(".", "", 1).isdecimal() for part in parts):
        raise UsageError("expected a time, such as 90 or 1:30", option=option, value=text)
    seconds = 0.0
    for part in parts:
        seconds = 60 * seconds + float(part)
    return seconds


def parted(inputs: Sequence[str], *, as_clip: bool = False) -> tuple[list[str], list[str]]:
    """Return the clips among names of inputs, and the others.

    Args:
        inputs: As they were given.
        as_clip: Whether folders are clips.
    """
    clips = [name for name in inputs if _is_clip(name, as_clip=as_clip)]
    return clips, [name for name in inputs if name not in clips]


def _is_clip(name: str, *, as_clip: bool) -> bool:
    if "://" in name:  # is refused with the pictures
        return False
    if Path(name).is_dir():
        return as_clip
    return is_video(name) or is_animated(name)


@dataclass(frozen=True)
class Wanted:
    """What the command line asks of clips, besides their own options; names are those of the flags.

    Attributes:
        output: A file, a pattern for frames or a folder; None for beside the clips.
        model: Weights; None for those of the quality, or the fast ones; ``none`` for none.
        settings: For `derain.restore.load`.
        force: Overwrite what is there.
        format: Of results that are animated pictures; None for that of each.
        max_pixels: Refuse animated pictures of more; None for the usual limit.
        part: Do this part of the clips alone; None for all.
    """

    output: str | None
    model: str | None
    settings: dict[str, Any]
    force: bool = False
    format: str | None = None
    max_pixels: int | None = None
    part: "Part | None" = None


class Clips:
    """Clips of all kinds: what they become is settled before any work.

    Args:
        names: Of video files, animated pictures, and folders of frames.
        wanted: What is asked of them.
        options: Of clips.

    Attributes:
        places: The files that results become.

    Raises:
        UsageError: If an option cannot be meant.
    """

    def __init__(self, names: Sequence[str], wanted: Wanted, options: ClipOptions) -> None:
        self.places = Places()
        self._models = _Models(wanted.model, wanted.settings)
        check_model(self._models.name, wanted.settings)
        films, others = _by_frames(names, wanted.output, options, wanted.format)
        self._is_alone = is_alone = len(names) == 1
        self._films = None
        if films:
            self._films = _plan_films(
                films, wanted, options.plain(force=wanted.force), self.places, is_alone=is_alone
            )
        suffix = f".{wanted.format.lower()}" if wanted.format else None
        self._frames = _Frames(
            options,
            force=wanted.force,
            suffix=suffix,
            max_pixels=wanted.max_pixels,
            places=self.places,
            is_alone=is_alone,
        )
        self._frames.plan_all(others, wanted.output, wanted.part, is_alone=is_alone)

    def derain(self) -> bool:
        """Derain them and report each.

        Returns:
            Whether all are done, or were there.

        Raises:
            typer.Exit: If an option cannot be meant, or the user interrupts the work.
        """
        with one_line_errors(has_limit=True, has_quality=True):
            statuses = Counter[str]()
            if self._films is not None:
                statuses += _derain_films(self._films, self._models, is_alone=self._is_alone)
            statuses += self._frames.derain(self._models)
        if not self._is_alone:
            say_skipped_count(statuses["skipped"], "clips ")
        return not statuses["failed"]


def check_model(name: str | None, settings: dict[str, Any]) -> None:
    """Check what is asked of weights, before any are loaded.

    Args:
        name: Of the weights; ``none`` for none.
        settings: For `derain.restore.load`.

    Raises:
        UsageError: If something cannot be meant, or is said of weights where there are none.
    """
    from derain.restore import check_asked

    if name != NO_MODEL:
        check_asked(name, **settings)
        return
    usual = {"device": "auto", "dtype": "auto", "engine": "auto", "strength": 1.0}
    for option, value in settings.items():
        if value != usual.get(option):
            raise UsageError(
                "applies to a model, but -m none uses none", option=option, value=value
            )


def _plan_films(
    names: Sequence[str], wanted: Wanted, options: "Options", places: Places, *, is_alone: bool
) -> "Plan":
    """Plan video files that become such, and leave alone what derain made of others."""
    from derain.clips.names import is_made_name
    from derain.clips.plan import plan

    part = wanted.part
    made = [name for name in names if not is_alone and is_made_name(name)]
    due = _rivals(part, [name for name in names if name not in made])
    whole = plan(due, wanted.output, options, places)
    planned = replace(
        whole,
        jobs=tuple(job for job in whole.jobs if _is_in(part, job.source)),
        refused=tuple((path, error) for path, error in whole.refused if _is_in(part, path)),
    )
    say_left([Path(name) for name in made if _is_in(part, name)])
    for path, error in planned.refused:
        complain_of(path, error)
    return planned


def _is_in(part: "Part | None", name: str | Path) -> bool:
    return part is None or part.has(name)


def _rivals(part: "Part | None", names: Sequence[str]) -> list[str]:
    """Return the clips of a part, and those of others whose results may have the same names."""
    stems = {Path(name).stem for name in names if _is_in(part, name)}
    return [name for name in names if Path(name).stem in stems or Path(name).is_dir()]


def _derain_films(planned: "Plan", models: "_Models", *, is_alone: bool) -> Counter[str]:
    """Derain video files into video files; return how many became what."""
    due = any(job.force or not job.target.exists() for job in planned.jobs)
    statuses = _do(planned, models.loaded() if due else None, is_alone=is_alone)
    statuses["failed"] += len(planned.refused)
    return statuses


def _by_frames(
    names: Sequence[str], output: str | None, options: ClipOptions, format: str | None
) -> tuple[list[str], list[str]]:
    """Return video files that become such, and the clips whose frames are pictures.

    Raises:
        UsageError: If an option cannot be meant with these.
        MissingExtraError: If there is a video file to read or write, and no PyAV.
    """
    from derain.clips.sequences import kind_of_target
    from derain.extras import require

    kind = kind_of_target(output) if output not in (None, "-") else None
    if len(names) > 1 and kind is not None:
        raise UsageError(
            f"one file for {len(names)} clips; expected a folder", option="output", value=output
        )
    films = [name for name in names if is_video(name) and not Path(name).is_dir()]
    if films or kind == "video":
        require("av", f"derain {printable(Path((films or [output or ''])[0]).name)}")
    if output == "-" and len(films) < len(names):
        raise UsageError("expected a file or a folder for clips", option="output", value=output)
    usual = ClipOptions()
    for option in ("codec", "crf", "preset"):
        if not films and kind != "video" and getattr(options, option) != getattr(usual, option):
            raise UsageError("applies to video files, but no video file is named", option=option)
    kept = films if kind in (None, "video") else []
    if options.resume and not kept:
        raise UsageError(
            "applies to video files; folders and numbered frames always continue", option="resume"
        )
    folders = [name for name in names if Path(name).is_dir()]
    if options.as_clip and not folders:
        raise UsageError("applies to folders, but no folder is named", option="as_clip")
    if options.rate is not None and not (folders and kind in ("video", "animation")):
        raise UsageError(
            "applies to folders of frames that become one file, as with -o clip.mp4", option="rate"
        )
    if format is not None and kind is not None:
        raise UsageError("applies only if -o does not name the results", option="format")
    return kept, [name for name in names if name not in kept]


class _Models:
    """Weights that are loaded when there is something for them to do.

    Args:
        model: As the user named them.
        settings: For `derain.restore.load`.
    """

    def __init__(self, model: str | None, settings: dict[str, Any]) -> None:
        self.name = model_for(model, settings.get("quality"))
        self._unnamed = self.name != model
        self._settings = settings
        self._loaded: dict[str | None, Derainer] = {}

    def loaded(self, *, is_still: bool = False) -> "Derainer | None":
        """Return weights; None if there shall be none.

        Args:
            is_still: They are for a single picture, for which the usual ones are better.
        """
        from derain.restore import load

        name = None if self._unnamed and is_still else self.name
        if name == NO_MODEL:
            return None
        if name not in self._loaded:
            derainer = load(name, **self._settings)
            say(f"{printable(derainer.name)}: {derainer.describe()}")
            self._loaded[name] = derainer
        return self._loaded[name]


class _Frames:
    """Derains clips whose frames are pictures, or become some.

    Args:
        options: As the command line says.
        force: Overwrite what is there.
        suffix: Of results that have no name yet; None for that of each clip.
        max_pixels: Refuse pictures of more.
        places: Of what is planned before.
        is_alone: Whether there is nothing else to do than one of them.
    """

    def __init__(
        self,
        options: ClipOptions,
        *,
        force: bool,
        suffix: str | None,
        max_pixels: int | None,
        places: Places,
        is_alone: bool,
    ) -> None:
        self._options = options.plain(force=force)
        self._as_clip = options
        from derain.video.raw import rate_of

        self._rate = rate_of(options.rate) if options.rate else None
        self._suffix, self._max_pixels, self._places = suffix, max_pixels, places
        self._is_alone = is_alone
        self._folders: list[tuple[Path, FolderJob]] = []
        self._jobs: list[SequenceJob] = []
        self._statuses = Counter[str]()

    def plan_all(
        self, names: Sequence[str], output: str | None, part: "Part | None", *, is_alone: bool
    ) -> None:
        """Plan clips by name, and say which are refused or ignored.

        Raises:
            UsageError: If an option cannot be meant.
        """
        from derain.clips.sequences import kind_of_target
        from derain.images import ImageError

        left = list[Path]()
        kind = kind_of_target(output) if output is not None and names else None
        folders = [name for name in names if Path(name).is_dir()]
        if output is not None and kind is None and len(folders) > 1:
            raise UsageError(
                f"one folder for the frames of {len(folders)}; expected one at a time",
                option="output",
                value=output,
            )
        for path in dict.fromkeys(map(Path, _rivals(part, names))):
            is_due = _is_in(part, path)
            try:
                if path.is_dir() and kind is None:
                    folder = self._plan_folder(path, output)
                    self._folders += [(path, folder)] if is_due else []
                elif job := self.plan(path, output, is_named=is_alone):
                    self._jobs += [job] if is_due else []
                elif is_due:
                    left.append(path)
            except (DerainError, OSError, MemoryError) as error:
                # Of all else that cannot be meant the command is refused.
                if isinstance(error, UsageError) and not isinstance(error, ImageError):
                    raise
                if is_due:
                    self._refuse(path, error)
        say_left(left)

    def _refuse(self, path: Path, error: Exception) -> None:
        complain_of(path, error)
        self._statuses["failed"] += 1

    def derain(self, models: _Models) -> Counter[str]:
        """Derain what is planned and report each; return how many clips became what."""
        for path, job in self._folders:
            try:
                well = self._derain_folder(path, job, models)
                self._statuses["done" if well else "failed"] += 1
            except UsageError:
                raise
            except (DerainError, OSError, MemoryError) as error:
                self._refuse(path, error)
        self._run(self._jobs, models)
        return self._statuses

    def plan_each(self, found: Sequence[tuple[Path, Path]]) -> None:
        """Plan clips, each with a file for its result, and say which are refused or ignored."""
        left = list[Path]()
        for path, target in found:
            try:
                job = self.plan(path, None, is_named=False, target=target)
            except (DerainError, OSError, MemoryError) as error:
                self._refuse(path, error)
            else:
                self._jobs += [job] if job else []
                left += [] if job else [path]
        say_left(left)

    def plan(
        self, path: Path, output: str | None, *, is_named: bool, target: Path | None = None
    ) -> "SequenceJob | None":
        """Return a job, see `derain.clips.sequences.plan_sequence`."""
        from derain.clips.folders import frames_in
        from derain.clips.sequences import plan_sequence

        return plan_sequence(
            path,
            output,
            self._options,
            files=frames_in(path) if path.is_dir() else (),
            rate=self._rate,
            suffix=self._suffix,
            max_pixels=self._max_pixels,
            is_named=is_named,
            places=self._places,
            target=target,
        )

    def _run(self, jobs: "Sequence[SequenceJob]", models: _Models) -> None:
        """Do jobs, and report and count each."""
        from derain.clips.sequences import run_sequences

        count = 0
        with (
            interruptible(
                lambda: f"{count} of {len(jobs)} clips done; run the same command again to continue"
            ),
            Bars() as bars,
        ):
            shown = Shown(bars)
            for job in jobs:
                derainer = None if job.is_there else models.loaded(is_still=job.is_still)
                for result in run_sequences([job], derainer, shown.begin):
                    shown.remove()
                    report(result, is_only=self._is_alone)
                    count += result.status != "failed"
                    self._statuses[result.status] += 1

    def _plan_folder(self, folder: Path, output: str | None) -> "FolderJob":
        """Return the job that derains a folder of frames into another.

        Raises:
            UsageError: If an option cannot be meant.
            DerainError: If another result becomes one of its frames.
        """
        from derain.clips.folders import plan_folder

        for option in ("start", "end", "preview"):
            if getattr(self._as_clip, option) is not None:
                raise UsageError(
                    "applies to clips with times; files of a folder have none",
                    option=option,
                )
        options = self._options
        job = plan_folder(folder, output, temporal=options.temporal, force=options.force)
        for file in job.files:
            self._places.check(file, [job.target_of(file)])
        self._places.take(folder, map(job.target_of, job.files))
        return job

    def _derain_folder(self, folder: Path, job: "FolderJob", models: _Models) -> bool:
        """Derain a folder of frames into another, and report what failed."""
        from derain.clips.folders import run_folder

        due = any(map(job.is_due, job.files))
        counts, begin = Counter[str](), time.monotonic()
        name = printable(folder)
        with (
            interruptible(
                lambda: f"{counts['done']} frames done; run the same command again to continue"
            ),
            Bars() as bars,
        ):
            shown = Shown(bars).show(folder.name, len(job.files))
            for result in run_folder(job, models.loaded() if due else None, shown):
                counts[result.status] += 1
                if result.status == "failed" and result.error is not None:
                    complain_of(result.source, result.error)
                elif result.error is not None:
                    text = f"{printable(result.source)}: {line_of(result.error)}"
                    say_skipped(text, is_only=False)
                elif result.notes:
                    say(f"{printable(result.source)}: {'; '.join(result.notes)}")
        seconds = max(time.monotonic() - begin, 1e-9)
        say(
            f"{name}: {counts['done']} frames done, {counts['skipped']} {SKIPPED},"
            f" {counts['failed']} failed, {counts['done'] / seconds:.1f} frames/s"
        )
        show_result(f"{job.target}")
        return not counts["failed"]


def derain_found(
    found: Sequence[tuple[Path, Path]],
    model: str | None,
    settings: dict[str, Any],
    *,
    force: bool,
    max_pixels: int | None = None,
    is_alone: bool = False,
) -> Counter[str]:
    """Derain animated pictures that were found among others, and report each.

    Args:
        found: Each with the file of its result.
        model: As for `Wanted`.
        settings: As for `Wanted`.
        force: Overwrite what is there.
        max_pixels: Refuse those of more.
        is_alone: Whether there is nothing else to do than one of them.

    Returns:
        How many are done, were skipped because their results exist, and failed.
    """
    with one_line_errors(has_limit=True, has_quality=True):
        work = _Frames(
            ClipOptions(),
            force=force,
            suffix=None,
            max_pixels=max_pixels,
            places=Places(),
            is_alone=is_alone,
        )
        work.plan_each(found)
        return work.derain(_Models(model, settings))


def _do(plan: "Plan", derainer: "Derainer | None", *, is_alone: bool) -> Counter[str]:
    """Do the jobs and report each; return how many became what."""
    from derain.clips.pipeline import run
    from derain.clips.resume import has_finished_segments

    count = 0

    def describe() -> str:
        done = f"{count} of {len(plan.jobs)} clips done"
        if not count and not any(has_finished_segments(job.target) for job in plan.jobs):
            return f"{done}; nothing is kept yet, and the same command begins again"
        return f"{done}; the same command with --resume continues"

    statuses = Counter[str]()
    with interruptible(describe), Bars() as bars:
        shown = Shown(bars)
        for result in run(plan.jobs, derainer, shown.begin):
            shown.remove()
            report(result, is_only=is_alone)
            count += result.status != "failed"
            statuses[result.status] += 1
    return statuses
