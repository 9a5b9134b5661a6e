"""Many files: what becomes of which, resume, errors that do not stop the rest."""

import glob
import os
import sys
import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from derain.errors import UsageError, reason
from derain.files import write_file
from derain.images import (
    SUFFIXES,
    Format,
    Picture,
    before_and_after,
    check_alpha,
    encode,
    find_images,
    format_of,
    read,
    suffixes_of,
)
from derain.progress import Progress, silent
from derain.restore import Derainer, RainDensity

STREAM = Path("-")
"""Standard input or output."""

MARK = "_derained"
COMPARE_MARK = "_compare"

LARGE = 75_000_000
"""Bytes of pixels, 25 megapixels of eight bits: no picture is read ahead while one larger than this
is derained and written.
"""


@dataclass(frozen=True)
class Job:
    """One picture to do. Either path may be `STREAM`; ``format`` is set where the user named the
    result himself.
    """

    source: Path
    target: Path
    format: Format | None = None


@dataclass(frozen=True)
class Result:
    """What became of a job: ``skipped`` because its target was there already, ``failed`` for the
    reason in ``message``.

    ``seconds`` is what reading, the network and writing took for this picture, added up. Other
    pictures are read and written while the network works, so that a run takes less than all its
    pictures' seconds. ``density`` is there where it was asked for.
    """

    source: Path
    target: Path | None
    status: Literal["done", "skipped", "failed"]
    message: str = ""
    seconds: float = 0.0
    density: RainDensity | None = None


@dataclass(frozen=True)
class Options:
    """How jobs are done.

    Attributes:
        force: Overwrite what is there.
        compare: Write a before/after picture beside each result.
        format: Of the results; None for what the target's name asks for, else the input's.
        density: Sense how dense the rain is, too.
    """

    force: bool = False
    compare: bool = False
    format: Format | None = None
    density: bool = False


def plan(
    inputs: Sequence[str], output: str | None, options: Options
) -> tuple[list[Job], list[Result]]:
    """Finds the pictures and names the results.

    Inputs are files, folders (searched to the bottom, structure kept), patterns such as
    ``"*.jpg"``, or ``-``. Without ``output`` a file's result is ``NAME_derained`` beside it, a
    folder's go to ``FOLDER_derained``, standard input's to standard output.

    Returns:
        The jobs, and a failure for each input that gives none.

    Raises:
        ValueError: If the output cannot be meant: one file for several pictures.
    """
    sources, failures = _find_sources(inputs)
    sources = [
        (source, root) for source, root in sources if not _is_result(source, root, output, sources)
    ]
    if output is not None and _names_a_file(output):
        if len(sources) > 1 or any(Path(name).is_dir() for name in inputs):
            raise UsageError(
                f"one file for {len(sources)} pictures; expected a folder",
                option="output",
                value=output,
            )
        return [Job(source, Path(output), format_of(output)) for source, _ in sources], failures
    jobs: list[Job] = []
    taken: dict[Path, Path] = {}
    for source, root in sources:
        target = _target(source, root, output, options)
        if target == STREAM and len(sources) > 1:
            raise UsageError(
                f"one stream for {len(sources)} pictures; expected a folder",
                option="output",
                value=output,
            )
        names = [target, compare_path(target)] if options.compare else [target]
        rival = next((taken[name] for name in names if name in taken), None)
        if rival is not None:
            message = f"would become {target}, which {rival} needs; give them folders of their own"
            failures.append(Result(source, target, "failed", message))
            continue
        taken |= dict.fromkeys(names, source)
        jobs.append(Job(source, target))
    return jobs, failures


def _names_a_file(output: str) -> bool:
    """``clean.jpg`` is a file; ``dry.2024``, ``dry/`` and an existing folder are folders."""
    return (
        Path(output).suffix.lower() in SUFFIXES
        and not output.endswith(("/", os.sep))
        and not Path(output).is_dir()
    )


def _find_sources(inputs: Sequence[str]) -> tuple[list[tuple[Path, Path | None]], list[Result]]:
    """Pictures with the folder they were found in, if any."""
    sources: dict[Path, Path | None] = {}
    failures: list[Result] = []

    def fail(name: str | Path, message: str) -> None:
        failures.append(Result(Path(name), None, "failed", message))

    def add(name: str) -> None:
        path = Path(name)
        if not name:
            fail("", "an empty name; expected a picture, a folder or a pattern")
        elif name == str(STREAM) or path.is_file():
            sources.setdefault(path, None)
        elif path.is_dir():
            found, unreadable = find_images(path)
            sources.update({file: path for file in found if file not in sources})
            for error in unreadable:
                fail(error.filename, f"cannot be looked into: {error.strerror}")
            if not found and not unreadable:
                fail(path, "no pictures in this folder")
        elif glob.has_magic(name):
            matches = sorted(
                Path(match)
                for match in glob.glob(name, recursive=True)  # noqa: PTH207 (Path.glob refuses absolute patterns)
                if Path(match).is_file()
            )
            sources.update(
                {
                    file: None
                    for file in matches
                    if file not in sources and not _has_original(file, matches)
                }
            )
            if not matches:
                fail(path, "no file fits this pattern")
        else:
            fail(path, "no such file or folder")

    for name in inputs:
        try:
            add(name)
        except (OSError, ValueError) as error:
            fail(name, reason(error))
    return list(sources.items()), failures


def _is_result(
    source: Path, root: Path | None, output: str | None, sources: Sequence[tuple[Path, Path | None]]
) -> bool:
    """True of what an earlier run made, so that the same command twice does not derain its own
    results.

    That is ``photo_derained.jpg`` where ``photo.jpg`` is given too, and what lies in an output
    folder inside the input folder.
    """
    if root is None:
        return False  # asked for by name
    if output is not None:
        top, inside = os.path.realpath(root), os.path.realpath(output)
        return inside.startswith(top + os.sep) and os.path.realpath(source).startswith(
            inside + os.sep
        )
    return _has_original(source, [other for other, _ in sources])


def _has_original(source: Path, others: Sequence[Path]) -> bool:
    """True of ``photo_derained.jpg`` and its comparison if ``photo.jpg``, in any format, is among
    the others.
    """
    for mark in (MARK + COMPARE_MARK, MARK):
        if source.stem.endswith(mark):
            original = source.with_name(source.stem.removesuffix(mark))
            return any(other.with_suffix("") == original for other in others)
    return False


def _target(source: Path, root: Path | None, output: str | None, options: Options) -> Path:
    if output == "-" or (output is None and source == STREAM):
        return STREAM
    name = Path("stdin.png") if source == STREAM else source
    if options.format and name.suffix.lower() not in suffixes_of(options.format):
        name = name.with_suffix(next(iter(suffixes_of(options.format))))
    if root is not None:
        here = Path(os.path.abspath(root))  # noqa: PTH100 (a link's neighbour, not its target's)
        top = Path(output) if output else here.with_name(here.name + MARK)
        return top / name.relative_to(root)
    if output:
        return Path(output) / name.name
    return name.with_name(name.stem + MARK + name.suffix)


def run(
    jobs: Sequence[Job],
    derainer: Derainer,
    options: Options,
    on_start: Callable[[Job], Progress] = lambda _: silent,
) -> Iterator[Result]:
    """Does the jobs in order; yields what became of each. What is there already is left alone.

    While the network works on a picture, in the calling thread, the next one is read by a second
    thread and the one before is written by a third: what became of that one is told at the latest
    when the network is done with this one. A run that is closed or interrupted first ends what
    these threads are at, so that a file is whole or not there.

    Args:
        on_start: Called before each job; what it gives is called after each tile.
    """
    works = _works(jobs, options)
    following, behind = next(works, None), None
    with (
        ThreadPoolExecutor(1, "derain-read") as reader,
        ThreadPoolExecutor(1, "derain-write") as writer,
    ):
        while work := following:
            following = next(works, None)
            if behind and behind.is_written_before_read(work):
                yield behind.outcome()
                behind = None
            on_tile = work.begin(on_start)
            beside = following if following and following.apart and not work.large else None
            if beside:
                beside.read_ahead(reader)
            work.derain(derainer, on_tile)
            if behind:
                yield behind.outcome()
            work.store(writer if beside else None)
            behind = work
        if behind:
            yield behind.outcome()


def _works(jobs: Sequence[Job], options: Options) -> Iterator["_Work"]:
    """The jobs, and which of them may be read while those before them are not written yet.

    Not one that reads or writes what an earlier one writes. Nor does anything go on beside a
    stream: a thread that waits for one cannot be interrupted, and standard output takes what it is
    given in order.
    """
    inputs = {os.path.realpath(job.source) for job in jobs if job.source != STREAM}
    written: set[str] = set()
    streamed = False
    for job in jobs:
        outputs = {os.path.realpath(path) for path in _outputs(job, options)}
        after_stream, streamed = streamed, STREAM in (job.source, job.target)
        alone = (
            after_stream
            or streamed
            or not written.isdisjoint({os.path.realpath(job.source), *outputs})
        )
        written |= outputs
        yield _Work(job, options, inputs, apart=not alone)


@dataclass
class _Work:
    """A job on its way: begun, derained, stored. One thread at a time has it, and what goes wrong
    with it goes no further.

    Attributes:
        inputs: Real paths of those of all jobs.
        apart: It may be read before those before it are written.
        rainy: From reading on; after the network only where there is a comparison to make.
        clean: From the network until it is written.
        result: As soon as it is known what becomes of it.
    """

    job: Job
    options: Options
    inputs: Collection[str]
    apart: bool
    large: bool = False
    seconds: float = 0.0
    rainy: Picture | None = None
    clean: Picture | None = None
    density: RainDensity | None = None
    result: Result | None = None
    reading: Future[None] | None = None
    writing: Future[None] | None = None

    def read_ahead(self, reader: Executor) -> None:
        self.reading = reader.submit(self._read_unless_left_alone)

    def _read_unless_left_alone(self) -> None:
        with self._stage():
            if not self._left_alone():
                self._load()

    def is_written_before_read(self, other: "_Work") -> bool:
        """Waits until this is written or the other read, if both are on their way, and tells
        whether this is.
        """
        if self.writing and other.reading:
            wait([self.writing, other.reading], return_when=FIRST_COMPLETED)
        return not self.writing or self.writing.done()

    def begin(self, on_start: Callable[[Job], Progress]) -> Progress:
        """Its turn has come: looks, again, whether it is to be left alone, and reads it if that was
        not done ahead.
        """
        if self.reading:
            self.reading.result()
        with self._stage():
            there = self._left_alone()
            self.result = there or self.result
            on_tile = silent if there else on_start(self.job)
            if not self.result and not self.rainy:
                self._load()
            return on_tile

    def derain(self, derainer: Derainer, on_tile: Progress) -> None:
        if self.result or not self.rainy:
            return
        with self._stage():
            self.density = derainer.density(self.rainy.pixels) if self.options.density else None
            self.clean = self.rainy.with_pixels(derainer(self.rainy.pixels, on_tile))
            self.rainy = self.rainy if self.options.compare else None

    def store(self, writer: Executor | None) -> None:
        self.writing = writer.submit(self._store) if writer and self.clean else self._store()

    def outcome(self) -> Result:
        """What became of it, when it is written."""
        if self.writing:
            self.writing.result()
        assert self.result
        return replace(self.result, seconds=self.seconds)

    def _left_alone(self) -> Result | None:
        """Why it is not to be done, if what it would write is there already."""
        existing = (
            []
            if self.options.force
            else [path for path in _outputs(self.job, self.options) if path.exists()]
        )
        if not existing:
            return None
        if any(os.path.realpath(path) in self.inputs for path in existing):
            return self._result("failed", f"{existing[0]} is an input; --force overwrites it")
        message = f"{existing[0]} is there already; --force overwrites it"
        if self.options.compare and not compare_path(self.job.target).exists():
            return self._result("failed", f"{message} and makes the comparison")
        return self._result("skipped", message)

    def _load(self) -> None:
        picture = _read(self.job)
        format = _format(self.job, picture, self.options)
        if picture.alpha is not None:
            check_alpha(picture, format)  # before the work rather than after it
        self.rainy, self.large = picture, picture.pixels.nbytes > LARGE

    def _store(self) -> None:
        rainy, clean, self.rainy, self.clean = self.rainy, self.clean, None, None
        if self.result or not clean:
            return
        with self._stage():
            _write(self.job, rainy, clean, _format(self.job, clean, self.options))
            self.result = self._result("done", "; ".join(clean.notes), self.density)

    def _result(
        self,
        status: Literal["done", "skipped", "failed"],
        message: str,
        density: RainDensity | None = None,
    ) -> Result:
        return Result(self.job.source, self.job.target, status, message, density=density)

    @contextmanager
    def _stage(self) -> Generator[None]:
        """Adds up the time; whatever a file does, the others get done."""
        began = time.monotonic()
        try:
            yield
        except Exception as error:
            self.result = self._result("failed", reason(error))
        finally:
            self.seconds += time.monotonic() - began


def _outputs(job: Job, options: Options) -> list[Path]:
    """The files that a job writes."""
    if job.target == STREAM:
        return []
    return [job.target, compare_path(job.target)] if options.compare else [job.target]


def compare_path(target: Path) -> Path:
    """Where the before/after picture of a result goes."""
    return target.with_name(f"{target.stem}{COMPARE_MARK}{target.suffix}")


def _read(job: Job) -> Picture:
    if (job.source == STREAM and sys.stdin is None) or (
        job.target == STREAM and sys.stdout is None
    ):
        raise ValueError(
            "standard input or output is closed; expected a picture to come or go through it"
        )
    return read(sys.stdin.buffer.read() if job.source == STREAM else job.source)


def _write(job: Job, rainy: Picture | None, clean: Picture, format: Format) -> None:
    """Writes a result, and beside it, where there is the rainy picture to compare it with, the
    comparison.
    """
    data = encode(clean, format)
    if job.target == STREAM:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    job.target.parent.mkdir(parents=True, exist_ok=True)
    write_file(job.target, data)
    if rainy:
        write_file(compare_path(job.target), encode(before_and_after(rainy, clean), format))


def _format(job: Job, picture: Picture, options: Options) -> Format:
    if job.format or options.format:
        return options.format or job.format or picture.metadata.format
    if job.target == STREAM:
        return picture.metadata.format
    if job.source == STREAM or job.target.suffix.lower() != job.source.suffix.lower():
        return format_of(job.target)
    # The name is the input's own: so is the format, even where a PNG is called .jpg.
    return picture.metadata.format
