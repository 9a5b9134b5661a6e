"""Do clips in order; of each, the stages overlap.

    reading thread    decode, make RGB       frames ahead
    calling thread    network
    steadying thread  make planes, temporal filter
    writing thread    encode into segments   frames behind

Between them lie short queues, so that no more frames are held than these, a window and a batch. The
segments are joined at the end, with the streams beside the video, and appear under the final name
as a whole.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from derain.clips.channels import Channel, Stages
from derain.clips.passing import Passing, derained
from derain.clips.plan import Job
from derain.clips.results import Result
from derain.clips.resume import Parts, facts_of
from derain.errors import ExistsError
from derain.progress import Progress, silent
from derain.restore import Derainer
from derain.video.encoding import SEGMENT_FRAMES, Segment, SegmentWriter, read_segment
from derain.video.errors import VideoError
from derain.video.frame import Frame
from derain.video.joining import join
from derain.video.pixels import Pixels
from derain.video.reading import Decoded, FrameReader
from derain.video.temporal import TemporalFilter, check_work, lead_in

ROOM = 4
"""Frames that wait between two stages."""


def run(
    jobs: Sequence[Job],
    derainer: Derainer | None,
    on_start: Callable[[Job], Progress] = lambda _: silent,
    work_of: "WorkMaker | None" = None,
) -> Iterator[Result]:
    """Do the jobs in order, and yield the result of each; existing files are skipped.

    Whatever goes wrong with a clip, the others are done. What is finished of one that fails or is
    interrupted is kept beside its result, see `derain.clips.resume`.

    Args:
        jobs: As `derain.clips.plan.plan` makes them.
        derainer: What takes the rain out, in the calling thread; None for the temporal filter
            alone.
        on_start: Called before each job that is not skipped; gets that job's reports of
            ``frames`` and, at the end, of ``joining``. The total is an estimate, 0 for none.
        work_of: Makes the stages of a clip; None for the usual ones.

    Raises:
        UsageError: If there is neither a network nor a window.
    """
    to_do = [job for job in jobs if job.force or not job.target.exists()]
    for job in to_do:
        check_work(job.window, has_model=derainer is not None)
    return (_done(job, derainer, on_start, work_of or Work) for job in jobs)


def _done(
    job: Job,
    derainer: Derainer | None,
    on_start: Callable[[Job], Progress],
    work_of: "WorkMaker",
) -> Result:
    if job.target.exists() and not job.force:
        error = ExistsError(f"{job.target} already exists")
        return Result(job.source, job.target, "skipped", error)
    parts = Parts(job.target)
    begin = time.monotonic()
    try:
        result = _derained(job, derainer, parts, on_start(job), work_of)
    except Exception as error:
        notes = tuple(parts.notes)
        result = Result(job.source, job.target, "failed", error, notes, unfinished=_kept(parts))
    except BaseException:
        _kept(parts)
        raise
    return replace(result, seconds=time.monotonic() - begin)


def _kept(parts: Parts) -> Path | None:
    """Return where finished segments are; remove the folder if there are none."""
    if parts.has_segments:
        return parts.folder
    parts.remove()
    return None


def _derained(
    job: Job,
    derainer: Derainer | None,
    parts: Parts,
    progress: Progress,
    work_of: "WorkMaker",
) -> Result:
    """Make the result of a job."""
    done = parts.open(facts_of(job, derainer), resume=job.resume)
    work = work_of(job, derainer, parts, progress, done)
    work.run()
    notes = _joined(job, work.segments, parts, progress)
    parts.remove()
    return Result(
        job.source,
        job.target,
        "done",
        notes=(*parts.notes, *work.notes(), *job.encoder.notes, *notes),
        frames=sum(len(segment.pts) for segment in work.segments),
        resumed=sum(len(segment.pts) for segment in done),
        unsteadiness=work.unsteadiness,
    )


def _joined(job: Job, segments: Sequence[Segment], parts: Parts, progress: Progress) -> list[str]:
    """Join segments beside them, where nothing is left behind, and move the result into place."""
    try:
        notes = join(
            job.clip,
            segments,
            job.encoder,
            parts.joined,
            start=job.start,
            end=job.end,
            progress=progress,
            name=job.target,
        )
        os.replace(parts.joined, job.target)
    except OSError as error:
        if error.filename == str(parts.joined):
            error.filename = str(job.target)
        raise
    return notes


@dataclass(frozen=True)
class _Placed:
    """A frame of the clip.

    Attributes:
        place: Which frame of the result, from 0.
        pts: When it is shown.
        planes: As it is stored.
    """

    place: int
    pts: int
    planes: Frame


class Work:
    """The stages of one clip.

    Args:
        job: The clip.
        derainer: As for `run`.
        parts: Where its segments go.
        progress: Takes reports of ``frames``.
        done: Segments from the first on that are finished.
        due: The first frame that is not done yet; None for the one after those segments.

    Attributes:
        segments: Finished ones, in order.
    """

    def __init__(
        self,
        job: Job,
        derainer: Derainer | None,
        parts: Parts,
        progress: Progress,
        done: Sequence[Segment] = (),
        *,
        due: int | None = None,
    ) -> None:
        self.segments = list(done)
        self._job, self._derainer, self._parts, self._progress = job, derainer, parts, progress
        self._pixels = Pixels(job.clip)
        width, height = self._pixels.size
        self._batch = derainer.at_once(height, width) if derainer else 1
        self._filter = TemporalFilter(job.window) if job.window else None
        self._known = [pts for segment in done for pts in segment.pts]
        self._due = len(self._known) if due is None else due
        # The filter has to see what it saw before; batches have to begin where they began.
        self._first = lead_in(self._due, job.window, self._batch)
        room = max(ROOM, self._batch)
        self._read: Channel[Passing[_Placed]] = Channel(room)
        self._restored: Channel[Passing[_Placed]] = Channel(room)
        self._ready: Channel[_Placed] = Channel(ROOM)
        self._of_reading: list[str] = []

    @property
    def unsteadiness(self) -> tuple[float, float] | None:
        """How much still pixels change, before and after."""
        return self._filter.steadiness.found if self._filter else None

    def notes(self) -> list[str]:
        """Return what of the frames could not be read or kept."""
        return [*self._of_reading, *self._pixels.notes()]

    def run(self) -> None:
        """Do all frames."""
        with Stages([self._read, self._restored, self._ready]) as stages:
            stages.start("derain-read", self._decode)
            stages.start("derain-steady", self._steady)
            stages.start("derain-write", self._encode)
            self._restore()

    def _decode(self) -> None:
        job = self._job
        count = 0
        # From the beginning also of what is resumed: that costs little beside the network, and
        # frames past damage come out the same, which they need not after a jump.
        with FrameReader(job.clip, start=job.start, end=job.end) as reader:
            for place, decoded in enumerate(reader):
                count = place + 1
                self._check(place, decoded)
                if place >= self._first:
                    self._take(place, decoded.pts, self._pixels.planes(decoded.frame))
        if count < len(self._known):
            raise self._differs()
        self._of_reading = reader.notes()
        self._read.end()

    def _take(self, place: int, pts: int, planes: Frame) -> None:
        """Hand a frame to the network."""
        rgb = self._pixels.rgb(planes) if self._derainer else None
        self._read.put(Passing(_Placed(place, pts, planes), rgb))

    def _check(self, place: int, decoded: Decoded) -> None:
        """Check that a frame is where it was when it was done before."""
        known = self._known
        if place < len(known):
            same = known[place] == decoded.pts
        else:
            # A short segment was the last one.
            same = place > len(known) or len(known) % SEGMENT_FRAMES == 0
        if not same:
            raise self._differs()

    def _differs(self) -> VideoError:
        return VideoError(
            f"{self._job.source}: its frames are not those of the interrupted run; expected the"
            " same file: start again without resume"
        )

    def _restore(self) -> None:
        """Let the network work, in batches where that pays."""
        total = self._job.frames
        self._progress("frames", self._first, total)
        for batch in _batches(self._read, self._batch):
            for one in derained(batch, self._derainer):
                self._restored.put(one)
            done = batch[-1].frame.place + 1
            self._progress("frames", done, max(total, done) if total else 0)
        self._restored.end()

    def _steady(self) -> None:
        waiting: deque[tuple[int, int]] = deque()
        for one in self._restored:
            frame = one.frame
            planes = frame.planes
            if one.rgb is not None and one.clean is not None:
                planes = self._pixels.changed(planes, one.rgb, one.clean)
            waiting.append((frame.place, frame.pts))
            self._pass(waiting, self._filter.push(planes) if self._filter else [planes])
        self._pass(waiting, self._filter.flush() if self._filter else [])
        self._ready.end()

    def _pass(self, waiting: deque[tuple[int, int]], frames: Iterable[Frame]) -> None:
        """Hand over frames that are not done yet."""
        for frame in frames:
            place, pts = waiting.popleft()
            if self._is_due(place):
                self._ready.put(_Placed(place, pts, frame))

    def _is_due(self, place: int) -> bool:
        """Return whether a frame is to be written; others are there for their neighbours."""
        return place >= self._due

    def _encode(self) -> None:
        for number, frames in groupby(self._ready, lambda one: one.place // SEGMENT_FRAMES):
            path = self._parts.path(number)
            with SegmentWriter(path, self._job.encoder) as writer:
                for one in frames:
                    writer.add(one.planes, one.pts)
            self._add(read_segment(path))

    def _add(self, segment: Segment) -> None:
        """Take a segment that is finished."""
        self.segments.append(segment)


WorkMaker = Callable[[Job, Derainer | None, Parts, Progress, Sequence[Segment]], Work]


def _batches(items: Iterable[Passing[_Placed]], size: int) -> Iterator[list[Passing[_Placed]]]:
    batch: list[Passing[_Placed]] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
