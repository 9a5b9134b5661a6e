"""Do jobs in order: while the network works, the next is read and the last one written.

    reading thread   read 1   read 2   read 3
    calling thread   read 0   derain 0 derain 1 derain 2 ...
    writing thread                     write 0  write 1  write 2

Each thread holds one picture at most: its queue is a single future.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from derain.density import RainDensity
from derain.errors import ExistsError, reason
from derain.files import write_file
from derain.images import (
    SUFFIXES,
    Format,
    Picture,
    before_and_after,
    check_comparison,
    check_format,
    encode,
    read,
)
from derain.pictures.finding import STREAM
from derain.pictures.plan import Job
from derain.pictures.single import file_of_result, noted_again
from derain.progress import Progress, silent
from derain.restore import Derainer

LARGE = 75_000_000
"""Bytes of pixels, 25 megapixels of eight bits. Nothing is read or written beside a larger one."""

Status = Literal["done", "skipped", "left", "failed"]


@dataclass(frozen=True)
class Result:
    """The result of a picture.

    Attributes:
        source: The picture.
        target: Its result, whether or not it could be made; None if there was no job for it.
        status: ``skipped`` if its target already exists, ``left`` if derain made the picture.
        error: Why it was skipped or failed.
        notes: What could not be kept of a picture that is done, in words for the user.
        seconds: What reading, the network and writing took for this picture, added up. They overlap
            with those of other pictures, so that a run takes less than all its pictures' seconds.
        density: Where it was asked for.
        comparison: The before/after picture, where one was made.
    """

    source: Path
    target: Path | None
    status: Status
    error: Exception | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    density: RainDensity | None = None
    comparison: Path | None = None

    @property
    def message(self) -> str:
        """Why it was skipped or failed, or what could not be kept, in one line."""
        return reason(self.error) if self.error else "; ".join(self.notes)


@dataclass(frozen=True)
class _Rainy:
    """A picture that was read, and the format it will be written in."""

    picture: Picture
    format: Format

    @property
    def is_large(self) -> bool:
        return self.picture.pixels.nbytes > LARGE


@dataclass(frozen=True)
class _Clean:
    """A derained picture, with the rainy one only where there is a comparison to make."""

    picture: Picture
    format: Format
    rainy: Picture | None
    density: RainDensity | None


T = TypeVar("T")


@dataclass(frozen=True)
class _Step(Generic[T]):
    """What a stage gave: a value for the next one, or what already became of the picture."""

    outcome: T | Result
    seconds: float

    @property
    def value(self) -> T | None:
        return None if isinstance(self.outcome, Result) else self.outcome


def run(
    jobs: Sequence[Job],
    derainer: Derainer,
    on_start: Callable[[Job], Progress] = lambda _: silent,
) -> Iterator[Result]:
    """Do the jobs in order, and yield the result of each; existing files are skipped.

    The network works in the calling thread. A result is yielded when its file is complete, at the
    latest after the network is done with the next picture. Whatever goes wrong with a picture, the
    others are done. If the generator is closed or interrupted, the threads first end what they are
    doing, so that a file is complete or not there.

    Args:
        jobs: As `plan` makes them.
        derainer: What takes the rain out.
        on_start: Called in the calling thread before each job that is not skipped; gets that
            job's reports of progress.
    """
    inputs = _inputs(jobs)
    with (
        ThreadPoolExecutor(1, "derain-read") as reader,
        ThreadPoolExecutor(1, "derain-write") as writer,
    ):
        for stretch in _stretches(jobs):
            yield from _overlapped(stretch, inputs, derainer, on_start, reader, writer)


def _stretches(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    """Group jobs so that those of one group may overlap.

    A job that reads or writes what an earlier one writes has to wait for it. A stream is alone: a
    thread that waits for one cannot be interrupted, and standard output takes results in order.
    """
    stretch: list[Job] = []
    written: set[str] = set()
    for job in jobs:
        outputs = {os.path.realpath(path) for path in job.outputs}
        touched = outputs | {os.path.realpath(job.source)}
        if stretch and (
            _is_streamed(job) or _is_streamed(stretch[-1]) or not written.isdisjoint(touched)
        ):
            yield stretch
            stretch, written = [], set()
        stretch.append(job)
        written |= outputs
    if stretch:
        yield stretch


def _is_streamed(job: Job) -> bool:
    return STREAM in (job.source, job.target)


def _overlapped(
    jobs: Sequence[Job],
    inputs: AbstractSet[str],
    derainer: Derainer,
    on_start: Callable[[Job], Progress],
    reader: Executor,
    writer: Executor,
) -> Iterator[Result]:
    """Do jobs that may overlap. See the drawing at the top of this module."""
    ahead: Future[_Step[_Rainy]] | None = None
    behind: Future[Result] | None = None
    for place, job in enumerate(jobs):
        following = jobs[place + 1] if place + 1 < len(jobs) else None
        # The last result need not wait for a slow reader.
        if behind and ahead:
            wait(list[Future[Any]]([behind, ahead]), return_when=FIRST_COMPLETED)
        if behind and behind.done():
            yield behind.result()
            behind = None
        rainy = ahead.result() if ahead else None
        # What has come to exist since it was read ahead is skipped, too.
        rainy, progress = _begin(job, rainy, inputs, on_start)
        large = rainy.value is not None and rainy.value.is_large
        beside = None if large else following
        ahead = reader.submit(_read, beside, inputs) if beside else None
        clean = _derain(job, rainy, derainer, progress)
        del rainy  # one picture less in memory
        if behind:
            yield behind.result()
            behind = None
        if beside and clean.value:
            behind = writer.submit(_write, job, clean)
        else:
            yield _write(job, clean)
        del clean
    if behind:
        yield behind.result()


# The stages. Each takes what the one before gave, and runs in a thread of its own.


def _read(job: Job, inputs: AbstractSet[str]) -> _Step[_Rainy]:
    """Read a picture unless it is to be skipped."""

    def work() -> _Rainy | Result:
        return _left_alone(job, inputs) or _load(job)

    return _stage(job, 0.0, work)


def _begin(
    job: Job,
    ahead: _Step[_Rainy] | None,
    inputs: AbstractSet[str],
    on_start: Callable[[Job], Progress],
) -> tuple[_Step[_Rainy], Progress]:
    """Announce a job, and read its picture if that was not done ahead."""
    progress: Progress = silent

    def work() -> _Rainy | Result:
        nonlocal progress
        if left := _left_alone(job, inputs):
            return left
        progress = on_start(job)
        return ahead.outcome if ahead else _load(job)

    return _stage(job, ahead.seconds if ahead else 0.0, work), progress


def _derain(
    job: Job, rainy: _Step[_Rainy], derainer: Derainer, progress: Progress
) -> _Step[_Clean]:
    """Take the rain out of a picture."""

    def work() -> _Clean | Result:
        if isinstance(rainy.outcome, Result):
            return rainy.outcome
        picture = rainy.outcome.picture
        density = derainer.density(picture.pixels) if job.density else None
        clean = picture.with_pixels(derainer(picture.pixels, progress, mask=job.mask))
        return _Clean(clean, rainy.outcome.format, picture if job.comparison else None, density)

    return _stage(job, rainy.seconds, work)


def _write(job: Job, clean: _Step[_Clean]) -> Result:
    """Write a result, and the comparison beside it."""

    def work() -> Result:
        if isinstance(clean.outcome, Result):
            return clean.outcome
        notes = [*clean.outcome.picture.notes, *_store(job, clean.outcome)]
        return Result(
            job.source,
            job.target,
            "done",
            notes=tuple(notes),
            density=clean.outcome.density,
            comparison=job.comparison,
        )

    step = _stage(job, clean.seconds, work)
    return replace(step.outcome, seconds=step.seconds)


def _stage(job: Job, before: float, work: Callable[[], T | Result]) -> _Step[T]:
    """Run a stage; whatever it raises fails this picture and no other.

    Args:
        job: What it is about.
        before: Seconds that earlier stages took.
        work: Gives a value for the next stage, or what became of the picture.
    """
    began = time.monotonic()
    try:
        outcome = work()
    except Exception as error:
        outcome = Result(job.source, job.target, "failed", error)
    return _Step(outcome, before + time.monotonic() - began)


# What the stages do


def settled(jobs: Sequence[Job]) -> list[Result] | None:
    """Return the results of jobs if all are done already; None if there is work to do.

    It spares the loading of a model, where everything is there already.
    """
    inputs = _inputs(jobs)
    results = [_left_alone(job, inputs) for job in jobs]
    known = [result for result in results if result is not None]
    return known if len(known) == len(results) else None


def _inputs(jobs: Sequence[Job]) -> AbstractSet[str]:
    return frozenset(os.path.realpath(job.source) for job in jobs if job.source != STREAM)


def _left_alone(job: Job, inputs: AbstractSet[str]) -> Result | None:
    """Return why a job is not to be done, if what it would write already exists."""
    existing = [] if job.force else [path for path in job.outputs if path.exists()]
    if not existing:
        return None
    if any(os.path.realpath(path) in inputs for path in existing):
        error = ExistsError(f"{existing[0]} is an input")
        return Result(job.source, job.target, "failed", error)
    if job.comparison and not job.comparison.exists():
        effect = "overwrites it and makes the comparison"
        error = ExistsError(f"{existing[0]} already exists", effect)
        return Result(job.source, job.target, "failed", error)
    return Result(job.source, job.target, "skipped", ExistsError(f"{existing[0]} already exists"))


def _load(job: Job) -> _Rainy | Result:
    """Read a picture; leave it alone if derain made it, refuse it if it could not be written."""
    if (job.source == STREAM and sys.stdin is None) or (
        job.target == STREAM and sys.stdout is None
    ):
        raise ValueError(
            "standard input or output is closed; expected a picture to come or go through it"
        )
    source = sys.stdin.buffer.read() if job.source == STREAM else job.source
    picture = read(source, job.max_pixels)
    if picture.is_result and not job.alone:
        return Result(job.source, job.target, "left")
    picture = noted_again(picture, job.source.name)
    format = job.format or picture.metadata.format
    # Only a result that takes its name from the input can be named for another format.
    if job.target != STREAM and SUFFIXES.get(job.target.suffix.lower(), format) != format:
        other = f"is {format} as its input is, whatever {job.target.suffix} says"
        picture = replace(picture, notes=(*picture.notes, other))
    check_format(picture, format)  # before the work rather than after it
    if job.comparison:
        check_comparison(picture, format)
    return _Rainy(picture, format)


def _store(job: Job, clean: _Clean) -> list[str]:
    """Write a result, and where there is a rainy picture to compare it with, the comparison.

    Returns:
        What the result's format cannot hold, in words for the user.
    """
    data, notes = file_of_result(clean.picture, clean.format)
    if job.target == STREAM:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return notes
    job.target.parent.mkdir(parents=True, exist_ok=True)
    write_file(job.target, data)
    if clean.rainy and job.comparison:
        comparison = before_and_after(clean.rainy, clean.picture)
        write_file(job.comparison, encode(replace(comparison, is_result=True), clean.format))
    return notes
