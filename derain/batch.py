"""Many files: what becomes of which, resume, errors that do not stop the rest."""

import glob
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from derain.images import (
    Format,
    ImageError,
    Picture,
    encode,
    find_images,
    format_of,
    read,
    side_by_side,
    suffixes_of,
    write_file,
)
from derain.restore import Derainer, Progress

STREAM = Path("-")
"""Standard input or output."""

MARK = "_derained"
COMPARE_MARK = "_compare"


@dataclass(frozen=True)
class Job:
    """One picture to do. Either path may be `STREAM`."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Result:
    """What became of a job: ``skipped`` because its target was there already, ``failed`` for the reason in ``message``."""

    source: Path
    target: Path | None
    status: Literal["done", "skipped", "failed"]
    message: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Options:
    """How jobs are done.

    Attributes:
        force: Overwrite what is there.
        compare: Write a before/after picture beside each result.
        format: Of the results; None for what the target's name asks for, else the input's.
    """

    force: bool = False
    compare: bool = False
    format: Format | None = None


def plan(inputs: Sequence[str], output: str | None, options: Options) -> tuple[list[Job], list[Result]]:
    """Finds the pictures and names the results.

    Inputs are files, folders (searched to the bottom, structure kept), patterns such as ``"*.jpg"``, or ``-``. Without ``output``
    a file's result is ``NAME_derained`` beside it, a folder's go to ``FOLDER_derained``, standard input's to standard output.

    Returns:
        The jobs, and a failure for each input that gives none.

    Raises:
        ValueError: If the output cannot be meant: one file for several pictures.
    """
    sources, failures = _find_sources(inputs)
    if output is not None and output != "-" and Path(output).suffix and not Path(output).is_dir():
        if len(sources) > 1 or any(Path(name).is_dir() for name in inputs):
            raise ValueError(f"-o {output}: one file for {len(sources)} pictures; expected a folder")
        return [Job(source, Path(output)) for source, _ in sources], failures
    if output == "-" and len(sources) > 1:
        raise ValueError(f"-o -: one stream for {len(sources)} pictures; expected a folder")
    jobs: list[Job] = []
    taken: dict[Path, Path] = {}
    originals = {source for source, _ in sources}
    for source, root in sources:
        if _is_our_result(source, originals):
            continue
        target = _target(source, root, output, options)
        if target != STREAM and target in taken:
            reason = f"would become {target}, as {taken[target]} does; give them folders of their own"
            failures.append(Result(source, target, "failed", reason))
            continue
        taken[target] = source
        jobs.append(Job(source, target))
    return jobs, failures


def _find_sources(inputs: Sequence[str]) -> tuple[list[tuple[Path, Path | None]], list[Result]]:
    """Pictures with the folder they were found in, if any."""
    sources: dict[Path, Path | None] = {}
    failures: list[Result] = []

    def fail(name: str | Path, reason: str) -> None:
        failures.append(Result(Path(name), None, "failed", reason))

    for name in inputs:
        path = Path(name)
        if path == STREAM or path.is_file():
            sources.setdefault(path, None)
        elif path.is_dir():
            found, unreadable = find_images(path)
            sources |= {file: path for file in found if file not in sources}
            for error in unreadable:
                fail(error.filename, f"cannot be looked into: {error.strerror}")
            if not found and not unreadable:
                fail(path, "no pictures in this folder")
        elif glob.has_magic(name):
            matches = sorted(Path(match) for match in glob.glob(name, recursive=True) if Path(match).is_file())  # noqa: PTH207
            sources |= {file: None for file in matches if file not in sources}
            if not matches:
                fail(path, "no file fits this pattern")
        else:
            fail(path, "no such file or folder")
    return list(sources.items()), failures


def _is_our_result(source: Path, originals: set[Path]) -> bool:
    """True of ``photo_derained.jpg`` where ``photo.jpg`` is given too: a second ``derain *.jpg`` does not derain its results."""
    for mark in (MARK + COMPARE_MARK, MARK):
        if source.stem.endswith(mark):
            return any(source.with_name(source.stem.removesuffix(mark) + other.suffix) in originals for other in originals)
    return False


def _target(source: Path, root: Path | None, output: str | None, options: Options) -> Path:
    if output == "-" or (output is None and source == STREAM):
        return STREAM
    name = Path("stdin.png") if source == STREAM else source
    if options.format and name.suffix.lower() not in suffixes_of(options.format):
        name = name.with_suffix(next(iter(suffixes_of(options.format))))
    if root is not None:
        top = Path(output) if output else root.resolve().with_name(root.resolve().name + MARK)
        return top / name.relative_to(root)
    if output:
        return Path(output) / name.name
    return name.with_name(name.stem + MARK + name.suffix)


def run(
    jobs: Sequence[Job],
    derainer: Derainer,
    options: Options,
    on_start: Callable[[Job], Progress | None] = lambda _: None,
) -> Iterator[Result]:
    """Does the jobs one after the other; yields what became of each. What is there already is left alone.

    Args:
        on_start: Called before each job; what it gives is called after each tile.
    """
    inputs = {job.source.resolve() for job in jobs if job.source != STREAM}
    for job in jobs:
        began = time.monotonic()
        existing = _existing(job, options)
        if existing and not options.force:
            harm = "is an input" if existing.resolve() in inputs else "is there already"
            status = "failed" if existing.resolve() in inputs else "skipped"
            yield Result(job.source, job.target, status, f"{existing} {harm}; --force overwrites it")
            continue
        try:
            notes = _derain_file(job, derainer, options, on_start(job))
        except (OSError, ValueError, MemoryError, RuntimeError) as error:
            yield Result(job.source, job.target, "failed", _reason(error), time.monotonic() - began)
        else:
            yield Result(job.source, job.target, "done", "; ".join(notes), time.monotonic() - began)


def _existing(job: Job, options: Options) -> Path | None:
    """What a job would overwrite. A result whose before/after picture is still missing is done again, not left."""
    outputs = [job.target] if job.target != STREAM else []
    if options.compare and outputs:
        outputs.append(compare_path(job.target))
    there = [path for path in outputs if path.exists()]
    return there[0] if there and (len(there) == len(outputs) or there[0].resolve() == job.source.resolve()) else None


def compare_path(target: Path) -> Path:
    """Where the before/after picture of a result goes."""
    return target.with_name(f"{target.stem}{COMPARE_MARK}{target.suffix}")


def _derain_file(job: Job, derainer: Derainer, options: Options, on_tile: Progress | None) -> tuple[str, ...]:
    """Reads, derains, writes.

    Returns:
        Notes of what could not be kept.
    """
    picture = read(sys.stdin.buffer.read() if job.source == STREAM else job.source)
    format = _format(job, picture, options)
    if picture.alpha is not None and format == "JPEG":
        encode(picture, format)  # fails before the work rather than after it
    result = picture.with_pixels(derainer(picture.pixels, on_tile))
    data = encode(result, format)
    if job.target == STREAM:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return picture.notes
    job.target.parent.mkdir(parents=True, exist_ok=True)
    if options.compare:
        write_file(compare_path(job.target), encode(side_by_side(picture, result), format))
    write_file(job.target, data)
    return picture.notes


def _format(job: Job, picture: Picture, options: Options) -> Format:
    if options.format:
        return options.format
    if job.target == STREAM:
        return picture.metadata.format
    if job.source == STREAM or job.target.suffix.lower() != job.source.suffix.lower():
        return format_of(job.target)
    # The name is the input's own: so is the format, even where a PNG is called .jpg.
    return picture.metadata.format


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        place = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{place}"
    if isinstance(error, MemoryError | RuntimeError) and not isinstance(error, NotImplementedError):
        text = " ".join(str(error).split())[:200]
        hint = "; a smaller --tile needs less memory" if "memory" in text.lower() or isinstance(error, MemoryError) else ""
        return (text or type(error).__name__) + hint
    return str(error) if isinstance(error, ImageError | ValueError) else f"{type(error).__name__}: {error}"
