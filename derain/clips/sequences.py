"""Derain clips that are no video files, or become none: animated pictures and frames as pictures.

    reading thread    decode, compose        frames ahead
    calling thread    network
    writing thread    temporal filter, encode

No more frames are held than a window, a batch and those that wait between the threads. PyAV is
needed for video files alone.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from derain.clips.channels import Channel, Stages
from derain.clips.names import (
    ANIMATED_SUFFIXES,
    PREVIEW_MARK,
    is_clip_name,
    is_video,
    numbered,
    result_name,
)
from derain.clips.options import Options, check_times
from derain.clips.places import Places
from derain.clips.results import Result
from derain.clips.sources import LEAST, Source, of_animation, of_folder, of_video, trimmed
from derain.errors import DerainError, ExistsError, UsageError
from derain.files import (
    AGAIN,
    RESULT_MARK,
    check_writable,
    is_result_name,
    is_special,
    write_file,
)
from derain.images import (
    SUFFIXES,
    Metadata,
    Picture,
    check_format,
    encode,
    format_of,
    to_eight_bits,
)
from derain.images.animations import (
    AnimatedFormat,
    TimedFrame,
    animated_format_of,
    check_facts,
    write_animation,
)
from derain.images.attaching import besides_colours, colours_beyond_srgb
from derain.images.metadata import listed
from derain.images.naming import names_a_file
from derain.progress import Progress, silent
from derain.restore import Derainer
from derain.video.colours import BT2020, UNSPECIFIED, Colours
from derain.video.frame import Frame
from derain.video.temporal import TemporalFilter, check_work, lead_in, window_of

if TYPE_CHECKING:  # needs PyAV
    from derain.video.encoding import Encoder

ROOM = 4
"""Frames that wait between two stages."""

Kind = Literal["animation", "video", "pictures", "picture"]
"""What a target is; of a GIF of one frame it may be a picture of any format."""


@dataclass(frozen=True)
class SequenceJob:
    """A clip to derain whose frames are pictures before, afterwards, or both.

    Attributes:
        source: An animated picture, a video file or a folder.
        target: File to write; of several pictures a pattern such as ``frames/%06d.png``.
        kind: What the target is.
        format: Of a target that is an animated picture.
        open: Returns the frames.
        frames: How many there should be; 0 where nothing says.
        options: How they are derained.
        is_still: The source is a picture of one frame.
        notes: What to say of it.
    """

    source: Path
    target: Path
    kind: Kind
    format: AnimatedFormat | None
    open: Callable[[], Source]
    frames: int
    options: Options
    is_still: bool = False
    notes: tuple[str, ...] = ()

    @property
    def window(self) -> int | None:
        """Frames that help each other; None for none."""
        return window_of(self.options.temporal)

    @property
    def force(self) -> bool:
        """Overwrite existing files."""
        return self.options.force

    @property
    def first_due(self) -> int:
        """The first frame to write, from 0: existing pictures are skipped."""
        if self.kind != "pictures" or self.force:
            return 0
        place = 0
        while self.path_of(place).exists():
            place += 1
        return place

    def path_of(self, place: int) -> Path:
        """Return the file of a frame, counted from 0, where frames become pictures."""
        return numbered(self.target, place + 1) or self.target

    @property
    def is_there(self) -> bool:
        """Whether there is nothing to do."""
        if self.force:
            return False
        if self.kind == "pictures":
            return 0 < self.frames <= self.first_due
        return self.target.exists()


# Planning


def kind_of_target(name: str | os.PathLike[str]) -> Kind | None:
    """Return what a name for results asks for; None if it is that of a folder.

    Raises:
        UsageError: If it has an ending of nothing that derain writes.
    """
    path, text = Path(name), os.fspath(name)
    if path.is_dir() or text.endswith(("/", os.sep)):
        return None
    if numbered(path, 1):
        format_of(path)
        return "pictures"
    if is_clip_name(path):
        return "video"
    if path.suffix.lower() in ANIMATED_SUFFIXES:
        return "animation"
    return "picture" if names_a_file(text) else None


def plan_sequence(
    path: Path,
    output: str | os.PathLike[str] | None,
    options: Options,
    *,
    files: Sequence[Path] = (),
    rate: Fraction | None = None,
    suffix: str | None = None,
    max_pixels: int | None = None,
    is_named: bool = True,
    places: Places | None = None,
    target: Path | None = None,
) -> SequenceJob | None:
    """Open a clip and name its result.

    Args:
        path: An animated picture, a video file or a folder.
        output: A file, a pattern for frames or a folder; None for beside the clip.
        options: How it is derained.
        files: Of a folder, the frames.
        rate: Of a folder, frames a second.
        suffix: Of the result, where ``output`` does not name a file; None for the clip's own.
        max_pixels: As for `derain.images.animations.open_animation`.
        is_named: Derain it even if derain has made it.
        places: Of what is planned before; gets the result of this clip.
        target: The file to write, where it was not the user who named it.

    Returns:
        The job; None for a result of derain, which is ignored.

    Raises:
        UsageError: If an option cannot be meant.
        DerainError: If the clip cannot be read, or its result has no place of its own or is not
            held by the format.
        OSError: If a file cannot be read or written.
    """
    check_times(options)
    _check_there(path)
    asked = kind_of_target(output) if output is not None else None
    target = target or _target(path, output, asked, options, suffix)
    opener = _opener(path, files, rate, options, max_pixels)
    source = opener()
    is_result = source.facts.picture.is_result or is_result_name(path.name)
    if is_result and not is_named:
        return None
    kind = asked if asked in ("pictures", "video") else _kind_by_name(path, target, source)
    # What is refused is refused before the work.
    format = _format(path, target, source) if kind == "animation" else None
    if kind == "picture":
        _check_still(path, target, source, is_asked=asked is not None)
    elif kind == "video":
        _encoder(target, source, options)
    _check_target(path, target, files, places or Places())
    still = _is_still(source)
    notes = (AGAIN,) if is_result and not files else ()
    return SequenceJob(
        path, target, kind, format, opener, source.count, options, is_still=still, notes=notes
    )


def _check_there(path: Path) -> None:
    """Check that there is a file or a folder.

    Raises:
        DerainError: Else.
    """
    if not path.exists():
        raise DerainError("no such file or folder")
    if is_special(path):
        raise DerainError("a pipe or a device; expected a file or a folder")


def _target(
    path: Path,
    output: str | os.PathLike[str] | None,
    kind: Kind | None,
    options: Options,
    suffix: str | None,
) -> Path:
    if output is not None and kind is not None:
        return Path(output)
    ending = suffix or path.suffix
    if options.preview is not None:
        name = result_name(path.name, ending, PREVIEW_MARK)
    elif output is None:
        name = result_name(path.name, ending, RESULT_MARK)
    else:  # as for single pictures, which keep their names in another folder
        name = f"{path.stem}{ending}"
    return Path(output, name) if output is not None else path.with_name(name)


def _kind_by_name(path: Path, target: Path, source: Source) -> Kind:
    """Return what a name of one file asks for; with the clip's own suffix it remains one."""
    if is_clip_name(target):
        return "video"
    suffix = target.suffix.lower()
    keeps = source.format is not None and suffix == path.suffix.lower()
    return "picture" if suffix in SUFFIXES.keys() - ANIMATED_SUFFIXES and not keeps else "animation"


def _is_still(source: Source) -> bool:
    return source.format is not None and source.count == 1


def _check_still(path: Path, target: Path, source: Source, *, is_asked: bool) -> None:
    """Check that a clip is one picture, and that the format of its result holds it.

    Args:
        path: The clip.
        target: Its result.
        source: Its frames.
        is_asked: The user has named the result.

    Raises:
        UsageError: If it is not, and the user has named the result.
        DerainError: If it is not, or the format cannot hold it.
    """
    if _is_still(source):
        frame = next(source.frames())
        check_format(Picture(frame.pixels, frame.alpha), format_of(target))
    elif is_asked:
        raise UsageError(
            f"a {target.suffix} holds one picture; expected a name in .gif .webp .png .avif or"
            f" .mp4, or {target.stem}-%06d{target.suffix} for frames as files",
            option="output",
            value=target,
        )
    else:
        many = f"{source.count} frames" if source.count else "a clip"
        raise DerainError(
            f"{path}: {many}, but a {target.suffix} holds one picture; expected another format:"
            " png, webp or avif"
        )


def _format(path: Path, target: Path, source: Source) -> AnimatedFormat:
    """Return the format that a name asks for; with the clip's own suffix it keeps its own.

    Raises:
        ImageError: If the format cannot hold the clip.
    """
    format = source.format if target.suffix.lower() == path.suffix.lower() else None
    format = format or animated_format_of(target)
    check_facts(source.facts, format)
    return format


def _opener(
    path: Path,
    files: Sequence[Path],
    rate: Fraction | None,
    options: Options,
    max_pixels: int | None,
) -> Callable[[], Source]:
    """Return what opens a clip; at the plan for what it holds, and again when its turn comes."""
    if files:
        return lambda: of_folder(files, rate)
    if is_video(path):
        return lambda: of_video(path, options.start, options.stop)
    return lambda: of_animation(path, max_pixels)


def _encoder(target: Path, source: Source, options: Options) -> "Encoder":
    """Return what makes a video file of frames."""
    from derain.video.raw import Form, format_named
    from derain.video.recording import encoder_of

    facts, metadata = source.facts, source.facts.picture.metadata
    across, down = metadata.aspect or (1, 1)
    form = Form(
        format_named("rgb24"),
        facts.width,
        facts.height,
        source.rate,
        _colours_of(metadata) or Colours(),
        Fraction(down, across) if across != down else None,
    )
    return encoder_of(
        form,
        target,
        codec=options.codec,
        crf=options.crf,
        preset=options.preset,
        in_order=True,
    )


def _colours_of(metadata: Metadata) -> Colours | None:
    """Return colours that a PNG says by codes, which video files have as well; None for none."""
    for extra in metadata.extras:
        if extra.key == b"cICP" and len(extra.payload) == 4 and extra.payload[2:] == b"\0\1":
            primaries, transfer = extra.payload[:2]
            matrix = BT2020 if primaries == BT2020 else UNSPECIFIED
            return Colours(matrix=matrix, primaries=primaries, transfer=transfer)
    return None


def _not_in_video(source: Source, encoder: "Encoder", target: Path) -> list[str]:
    """Return a line on what a video file cannot hold of pictures, if there is anything."""
    from derain.video.joining import container_named, tells_aspect

    picture = source.facts.picture
    container = container_named(target, encoder.codec)
    has_colours = _colours_of(picture.metadata) is not None and container.muxer != "avi"
    lost = [] if has_colours else colours_beyond_srgb(picture)
    lost += besides_colours(picture.metadata)
    if encoder.aspect and not tells_aspect(container, encoder):
        lost.append("pixel aspect ratio")
    if picture.is_deep:
        lost.append("16 bits a channel")
    return [f"not kept in {target.suffix[1:].upper()}: {listed(lost)}"] if lost else []


def _check_target(path: Path, target: Path, files: Sequence[Path], places: Places) -> None:
    """Check that a result has a place of its own, and keep it for the clip.

    Raises:
        DerainError: If it is an input, or another's result.
        OSError: If it cannot be written.
    """
    first = numbered(target, 1) or target
    inputs = (path, *files)
    for each in inputs:
        places.check(each, [first])
    if not first.exists():
        check_writable(first)
    places.take(path, [first])


# Doing


def run_sequences(
    jobs: Sequence[SequenceJob],
    derainer: Derainer | None,
    on_start: Callable[[SequenceJob], Progress] = lambda _: silent,
) -> Iterator[Result]:
    """Do the jobs in order, and yield the result of each; existing files are skipped.

    Whatever goes wrong with a clip, the others are done. A file is complete or not there.

    Args:
        jobs: As `plan_sequence` makes them.
        derainer: What takes the rain out, in the calling thread; None for the temporal filter
            alone.
        on_start: Called before each job that is not skipped; gets that job's reports of
            ``frames``.

    Raises:
        UsageError: If there is neither a network nor a window.
    """
    for job in jobs:
        if not job.is_there:
            check_work(job.window, has_model=derainer is not None)
    return (_done(job, derainer, on_start) for job in jobs)


def _done(
    job: SequenceJob, derainer: Derainer | None, on_start: Callable[[SequenceJob], Progress]
) -> Result:
    if job.is_there:
        error = ExistsError(f"{job.target} already exists")
        return Result(job.source, job.target, "skipped", error)
    begin = time.monotonic()
    try:
        result = _Work(job, derainer, on_start(job)).run()
    except Exception as error:
        return Result(job.source, job.target, "failed", error)
    return replace(result, seconds=time.monotonic() - begin)


class _Work:
    """The stages of one clip."""

    def __init__(self, job: SequenceJob, derainer: Derainer | None, progress: Progress) -> None:
        self._job, self._derainer, self._progress = job, derainer, progress
        self._source = job.open()
        facts = self._source.facts
        self._batch = derainer.at_once(facts.height, facts.width) if derainer else 1
        self._filter = TemporalFilter(job.window) if job.window else None
        # What is written depends on the frames around it.
        self._due = job.first_due
        self._first = lead_in(self._due, job.window)
        room = max(ROOM, self._batch)
        self._read: Channel[TimedFrame] = Channel(room)
        self._restored: Channel[TimedFrame] = Channel(ROOM)
        self._notes = list(job.notes)
        self._count = 0

    def run(self) -> Result:
        """Do all frames."""
        with Stages([self._read, self._restored]) as stages:
            stages.start("derain-read", self._decode)
            stages.start("derain-write", self._write)
            self._restore()
        job = self._job
        return Result(
            job.source,
            job.target,
            "done",
            notes=(*self._source.notes(), *self._notes),
            frames=self._count + self._due,
            resumed=self._due,
            unsteadiness=self._filter.steadiness.found if self._filter else None,
        )

    def _decode(self) -> None:
        options = self._job.options
        frames = self._source.frames()
        if not is_video(self._job.source):  # of a video file the part alone is read
            frames = trimmed(frames, str(self._job.source), options.start, options.stop)
        for place, frame in enumerate(frames):
            if place >= self._first:
                self._read.put(frame)
        self._read.end()

    def _restore(self) -> None:
        """Let the network work, in batches where that pays."""
        done, total = self._first, self._source.count
        self._progress("frames", done, total)
        batch: list[TimedFrame] = []
        for frame in self._read:
            batch.append(frame)
            if len(batch) == self._batch:
                self._pass(batch)
                done += len(batch)
                self._progress("frames", done, max(total, done) if total else 0)
                batch = []
        self._pass(batch)
        self._restored.end()

    def _pass(self, batch: list[TimedFrame]) -> None:
        clean: Sequence[NDArray[Any]] = [frame.pixels for frame in batch]
        if self._derainer is not None and batch:
            clean = self._derainer.together(clean)
        for frame, pixels in zip(batch, clean, strict=True):
            self._restored.put(replace(frame, pixels=pixels))

    def _steadied(self) -> Iterator[TimedFrame]:
        """Yield the frames that are due, each with the help of its neighbours."""
        waiting: deque[TimedFrame] = deque()
        place = self._first

        def ready(frames: Iterable[Frame]) -> Iterator[TimedFrame]:
            nonlocal place
            for planes in frames:
                frame = waiting.popleft()
                if place >= self._due:
                    yield replace(frame, pixels=planes.rgb())
                place += 1

        for frame in self._restored:
            waiting.append(frame)
            planes = Frame.of_rgb(np.ascontiguousarray(frame.pixels))
            yield from ready(self._filter.push(planes) if self._filter else [planes])
        yield from ready(self._filter.flush() if self._filter else [])

    def _write(self) -> None:
        job, frames = self._job, self._steadied()
        job.target.parent.mkdir(parents=True, exist_ok=True)
        if job.kind == "animation" and job.format is not None:
            facts = self._source.facts
            self._count = write_animation(job.target, job.format, facts, frames, self._notes)
        elif job.kind == "video":
            self._count = _write_video(job, self._source, frames, self._notes)
        else:
            self._count = _write_pictures(job, self._source, self._due, frames, self._notes)


def _write_pictures(
    job: SequenceJob,
    source: Source,
    place: int,
    frames: Iterable[TimedFrame],
    notes: list[str],
) -> int:
    """Write frames as files that count, from a place on, or as the only one; return how many."""
    holder = source.facts.picture
    metadata = holder.metadata
    if job.kind == "pictures":
        if lost := besides_colours(metadata):
            notes.append(f"not kept in the frames: {listed(lost)}")
        metadata = metadata.of_colours()
    count = 0
    for frame in frames:
        path = job.path_of(place + count)
        of_frame: list[str] = []
        picture = Picture(frame.pixels, frame.alpha, holder.grey, metadata, is_result=True)
        data = encode(picture, format_of(path), of_frame)
        if job.force or not path.exists():
            write_file(path, data)
        notes += (note for note in of_frame if note not in notes)
        count += 1
    return count


def _write_video(
    job: SequenceJob, source: Source, frames: Iterable[TimedFrame], notes: list[str]
) -> int:
    """Write frames as a video file; return how many."""
    from derain.video.raw import RawFrame
    from derain.video.recording import Recorder

    encoder = _encoder(job.target, source, job.options)
    time_base = 1 / source.rate if source.is_constant else Fraction(1, 1000)
    notes += [*encoder.notes, *_not_in_video(source, encoder, job.target)]
    left_out = "transparency is left out"
    seconds, begin, count = Fraction(0), 0, 0
    with Recorder(job.target, encoder, time_base) as recorder:
        for frame in frames:
            seconds += frame.seconds or LEAST
            ticks = max(1, round(seconds / time_base) - begin)
            planes = Frame.of_rgb(np.ascontiguousarray(to_eight_bits(frame.pixels)))
            recorder.write(RawFrame(planes), begin, ticks)
            begin, count = begin + ticks, count + 1
            if left_out not in notes and not _is_opaque(frame.alpha):
                notes.append(left_out)
    return count


def _is_opaque(alpha: NDArray[Any] | None) -> bool:
    return alpha is None or int(alpha.min()) == np.iinfo(alpha.dtype).max
