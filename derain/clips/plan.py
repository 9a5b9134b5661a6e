"""From names of clips to jobs in which nothing is left open."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from derain.clips.names import PREVIEW_MARK, is_clip_name, result_name
from derain.clips.options import USUAL, Options, check_times
from derain.clips.places import Places
from derain.errors import DerainError, UsageError
from derain.files import RESULT_MARK, check_makable, check_writable
from derain.video.clip import Clip
from derain.video.encoding import Encoder, encoder_for
from derain.video.joining import codec_for, container_named, suffix_for
from derain.video.reading import open_clip
from derain.video.temporal import window_of

Name = str | os.PathLike[str]


@dataclass(frozen=True)
class Job:
    """One clip to derain.

    Attributes:
        source: File to read.
        target: File to write.
        clip: What the source holds.
        encoder: What makes the result's frames.
        window: Frames that help each other; None for none.
        start: Seconds after the first frame.
        end: The same; None for the clip's end.
        resume: Go on with what an interrupted run has finished.
        force: Overwrite existing files.
    """

    source: Path
    target: Path
    clip: Clip
    encoder: Encoder
    window: int | None
    start: float = 0.0
    end: float | None = None
    resume: bool = False
    force: bool = False

    @property
    def frames(self) -> int:
        """How many frames there should be to do; 0 where nothing says."""
        return frames_between(self.clip, self.start, self.end)


def frames_between(clip: Clip, start: float, end: float | None) -> int:
    """Return how many frames of a part of a clip there should be; 0 where nothing says.

    Args:
        clip: Which.
        start: Seconds after the first frame.
        end: The same; None for the clip's end.
    """
    if start <= 0 and end is None and clip.frames:
        return clip.frames
    seconds = clip.duration or (clip.frames or 0) / clip.rate
    until = seconds if end is None else min(end, seconds)
    if not seconds:
        until = end or 0
    return max(0, round((float(until) - start) * float(clip.rate)))


@dataclass(frozen=True)
class Plan:
    """The jobs for some clips, and those that give none.

    Attributes:
        jobs: One for each clip, in the order in which they were named.
        refused: Clips that give no job, each with the reason.
    """

    jobs: tuple[Job, ...]
    refused: tuple[tuple[Path, Exception], ...]


def plan(
    inputs: Name | Sequence[Name],
    output: Name | None = None,
    options: Options = USUAL,
    places: Places | None = None,
) -> Plan:
    """Open clips, and name the results.

    Without ``output`` a result is ``NAME_derained`` beside its clip, in the clip's own container
    where that holds the codec, else in MP4, or Matroska for streams that MP4 does not hold.

    Args:
        inputs: Files; one or several.
        output: A file for one clip, a folder for several; what is not there yet is a file if it is
            called as a clip.
        options: For every clip.
        places: Of what is planned before; gets the results of these clips.

    Raises:
        UsageError: If an option has a value that cannot be meant, or one file is named for several
            clips.
        OSError: If the output cannot be written.
    """
    several = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    paths = list(dict.fromkeys(Path(name) for name in several))
    check_options(options)
    folder = _folder(output, len(paths))
    places = Places() if places is None else places
    jobs: list[Job] = []
    refused: list[tuple[Path, Exception]] = []
    for path in paths:
        try:
            job = _job(path, output, folder, options)
            _check_target(job, places)
        except UsageError:
            raise
        except (DerainError, OSError) as error:
            refused.append((path, error))
        else:
            places.take(job.source, [job.target])
            jobs.append(job)
    return Plan(tuple(jobs), tuple(refused))


def check_options(options: Options) -> None:
    """Check what can be checked without a clip.

    Raises:
        UsageError: If an option has a value that cannot be meant.
    """
    check_times(options)
    codec_for(options.codec, None)


def _folder(output: Name | None, count: int) -> Path | None:
    """Return the folder that an output is; None if it is a file, or there is none.

    Raises:
        UsageError: If it is one file for several clips.
        OSError: If nothing can be written there.
    """
    if output is None:
        return None
    path = Path(output)
    if os.fspath(output) == "-":
        raise UsageError("expected a file or a folder for clips", option="output", value=output)
    if path.is_dir() or not is_clip_name(path):
        if path.exists() and not path.is_dir():
            raise UsageError(
                "expected a folder, or the name of a clip", option="output", value=path
            )
        check_makable(path)
        return path
    if count > 1:
        raise UsageError(
            f"one file for {count} clips; expected a folder", option="output", value=output
        )
    check_makable(path.parent)
    return None


def _job(path: Path, output: Name | None, folder: Path | None, options: Options) -> Job:
    clip = open_clip(path, start=options.start)
    codec = codec_for(options.codec, output if folder is None else None)
    if output is not None and folder is None:
        target = Path(output)
    else:
        mark = RESULT_MARK if options.preview is None else PREVIEW_MARK
        name = result_name(path.name, suffix_for(clip, codec), mark)
        target = (folder or path.parent) / name
    container = container_named(target, codec)
    encoder = encoder_for(
        clip,
        codec=codec,
        crf=options.crf,
        preset=options.preset,
        global_header=container.global_header,
        reorders=container.reorders,
    )
    return Job(
        source=path,
        target=target,
        clip=clip,
        encoder=encoder,
        window=window_of(options.temporal),
        start=options.start,
        end=options.stop,
        resume=options.resume,
        force=options.force,
    )


def _check_target(job: Job, places: Places) -> None:
    """Check that a result has a place of its own.

    Raises:
        DerainError: If it is the clip, or another's result.
        OSError: If it cannot be written.
    """
    places.check(job.source, [job.target])
    if not job.target.exists():
        check_writable(job.target)
