"""Many files: what becomes of which, resume, errors that do not stop the rest."""

import glob
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from derain.images import (
    SUFFIXES,
    Format,
    Picture,
    check_alpha,
    encode,
    find_images,
    format_of,
    read,
    side_by_side,
    suffixes_of,
    write_file,
)
from derain.restore import Derainer, Progress, RainDensity

STREAM = Path("-")
"""Standard input or output."""

MARK = "_derained"
COMPARE_MARK = "_compare"


@dataclass(frozen=True)
class Job:
    """One picture to do. Either path may be `STREAM`; ``format`` is set where the user named the result himself."""

    source: Path
    target: Path
    format: Format | None = None


@dataclass(frozen=True)
class Result:
    """What became of a job: ``skipped`` because its target was there already, ``failed`` for the reason in ``message``.

    ``density`` is there where it was asked for.
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
    sources = [(source, root) for source, root in sources if not _is_result(source, root, output, sources)]
    if output is not None and _names_a_file(output):
        if len(sources) > 1 or any(Path(name).is_dir() for name in inputs):
            raise ValueError(f"-o {output}: one file for {len(sources)} pictures; expected a folder")
        return [Job(source, Path(output), format_of(output)) for source, _ in sources], failures
    jobs: list[Job] = []
    taken: dict[Path, Path] = {}
    for source, root in sources:
        target = _target(source, root, output, options)
        if target == STREAM and len(sources) > 1:
            raise ValueError(f"-o -: one stream for {len(sources)} pictures; expected a folder")
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
    return Path(output).suffix.lower() in SUFFIXES and not output.endswith(("/", os.sep)) and not Path(output).is_dir()


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
            matches = sorted(Path(match) for match in glob.glob(name, recursive=True) if Path(match).is_file())  # noqa: PTH207
            sources.update({file: None for file in matches if file not in sources and not _has_original(file, matches)})
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


def _is_result(source: Path, root: Path | None, output: str | None, sources: Sequence[tuple[Path, Path | None]]) -> bool:
    """True of what an earlier run made, so that the same command twice does not derain its own results.

    That is ``photo_derained.jpg`` where ``photo.jpg`` is given too, and what lies in an output folder inside the input folder.
    """
    if root is None:
        return False  # asked for by name
    if output is not None:
        top, inside = os.path.realpath(root), os.path.realpath(output)
        return inside.startswith(top + os.sep) and os.path.realpath(source).startswith(inside + os.sep)
    return _has_original(source, [other for other, _ in sources])


def _has_original(source: Path, others: Sequence[Path]) -> bool:
    """True of ``photo_derained.jpg`` and its comparison if ``photo.jpg``, in any format, is among the others."""
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
    on_start: Callable[[Job], Progress | None] = lambda _: None,
) -> Iterator[Result]:
    """Does the jobs one after the other; yields what became of each. What is there already is left alone.

    Args:
        on_start: Called before each job; what it gives is called after each tile.
    """
    inputs = {os.path.realpath(job.source) for job in jobs if job.source != STREAM}
    for job in jobs:
        began = time.monotonic()
        try:
            existing = [] if options.force else _existing(job, options)
            if any(os.path.realpath(path) in inputs for path in existing):
                yield Result(job.source, job.target, "failed", f"{existing[0]} is an input; --force overwrites it")
                continue
            if existing:
                message = f"{existing[0]} is there already; --force overwrites it"
                missing = options.compare and not compare_path(job.target).exists()
                status = "failed" if missing else "skipped"
                yield Result(job.source, job.target, status, message + (" and makes the comparison" if missing else ""))
                continue
            notes, density = _derain_file(job, derainer, options, on_start(job))
        except Exception as error:  # whatever a file does, the others get done
            yield Result(job.source, job.target, "failed", reason(error), time.monotonic() - began)
        else:
            yield Result(job.source, job.target, "done", "; ".join(notes), time.monotonic() - began, density)


def _existing(job: Job, options: Options) -> list[Path]:
    """What a job would overwrite."""
    if job.target == STREAM:
        return []
    outputs = [job.target, compare_path(job.target)] if options.compare else [job.target]
    return [path for path in outputs if path.exists()]


def compare_path(target: Path) -> Path:
    """Where the before/after picture of a result goes."""
    return target.with_name(f"{target.stem}{COMPARE_MARK}{target.suffix}")


def _derain_file(
    job: Job, derainer: Derainer, options: Options, on_tile: Progress | None
) -> tuple[tuple[str, ...], RainDensity | None]:
    """Reads, derains, writes.

    Returns:
        Notes of what could not be kept, and how dense the rain was if that was asked for.
    """
    if (job.source == STREAM and sys.stdin is None) or (job.target == STREAM and sys.stdout is None):
        raise ValueError("standard input or output is closed; expected a picture to come or go through it")
    picture = read(sys.stdin.buffer.read() if job.source == STREAM else job.source)
    format = _format(job, picture, options)
    if picture.alpha is not None:
        check_alpha(picture, format)  # before the work rather than after it
    density = derainer.density(picture.pixels) if options.density else None
    result = picture.with_pixels(derainer(picture.pixels, on_tile))
    data = encode(result, format)
    if job.target == STREAM:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return picture.notes, density
    job.target.parent.mkdir(parents=True, exist_ok=True)
    write_file(job.target, data)
    if options.compare:
        write_file(compare_path(job.target), encode(side_by_side(picture, result), format))
    return picture.notes, density


def _format(job: Job, picture: Picture, options: Options) -> Format:
    if job.format or options.format:
        return options.format or job.format or picture.metadata.format
    if job.target == STREAM:
        return picture.metadata.format
    if job.source == STREAM or job.target.suffix.lower() != job.source.suffix.lower():
        return format_of(job.target)
    # The name is the input's own: so is the format, even where a PNG is called .jpg.
    return picture.metadata.format


def reason(error: BaseException) -> str:
    """An exception in one line for the user."""
    if isinstance(error, OSError) and error.strerror:
        place = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{place}"
    if isinstance(error, OSError):
        return str(error)
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in text.lower()):
        return f"{text[:200] or 'out of memory'}; a smaller --tile needs less memory"
    expected = isinstance(error, ValueError | FloatingPointError)
    return text if expected and text else f"{type(error).__name__}: {text[:200]}"
