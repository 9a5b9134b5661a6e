"""From file names, folders and patterns to jobs in which nothing is left open."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from numpy.typing import NDArray

from derain.errors import DerainError, UsageError
from derain.files import (
    COMPARISON_MARK,
    RESULT_MARK,
    check_makable,
    check_takes_files,
    check_writable,
)
from derain.images import Format, format_of, is_marked, suffixes_of
from derain.images.naming import names_a_file
from derain.pictures.finding import (
    HEIC,
    STREAM,
    PathT,
    Source,
    Sources,
    absolute,
    find_sources,
    result_folder,
)
from derain.pictures.parts import Part
from derain.pictures.storage import FOLDERS, Storage

INSTEAD: Format = "JPEG"
"""Format of results whose input has one that derain reads and does not write."""


@dataclass(frozen=True)
class Options:
    """Options for deraining pictures.

    Attributes:
        force: Overwrite existing files.
        compare: Write a before/after picture beside each result.
        format: Of the results; None for what the target's name asks for, else the input's.
        density: Sense how dense the rain is, too.
        mask: Where to work, as `Derainer` takes it; None for everywhere.
        max_pixels: Refuse pictures of more; None for the usual limit of `derain.images.read`.
        part: Do this part of the pictures alone; None for all. What lies in a folder is parted by
            its path below the folder.
    """

    force: bool = False
    compare: bool = False
    format: Format | None = None
    density: bool = False
    mask: NDArray[Any] | None = field(default=None, compare=False, repr=False)
    max_pixels: int | None = None
    part: Part | None = None


@dataclass(frozen=True)
class Job:
    """One picture to derain. Source and target may be `STREAM`.

    Attributes:
        source: File to read.
        target: File to write.
        format: Of the result; None keeps the input's.
        comparison: Where a before/after picture goes, in the same format; None for none.
        force: Overwrite existing files.
        density: Sense how dense the rain is, too.
        mask: Where to work; None for everywhere.
        max_pixels: Refuse a picture of more; None for the usual limit.
        alone: It is the only picture that was named, and is derained even if derain made it.
        storage: What reads the source and writes the results.
    """

    source: Path
    target: Path
    format: Format | None = None
    comparison: Path | None = None
    force: bool = False
    density: bool = False
    mask: NDArray[Any] | None = field(default=None, compare=False, repr=False)
    max_pixels: int | None = None
    alone: bool = False
    storage: Storage = field(default=FOLDERS, compare=False, repr=False)

    @property
    def outputs(self) -> list[Path]:
        """The files that it writes; none for a stream."""
        if self.target == STREAM:
            return []
        return [self.target, self.comparison] if self.comparison else [self.target]


@dataclass(frozen=True)
class Plan:
    """The jobs for some inputs, the inputs that give none, and what was passed over.

    Attributes:
        jobs: One for each picture.
        refused: Inputs that give no job, each with the reason.
        results: What derain made, by its name or place, and leaves alone.
        others: How many files in folders and patterns are no pictures that can be read, by suffix.
    """

    jobs: tuple[Job, ...]
    refused: tuple[tuple[Path, Exception], ...]
    results: tuple[Path, ...] = ()
    others: Counter[str] = field(default_factory=Counter[str])


Name = str | os.PathLike[str]


def plan(
    inputs: Name | Sequence[Name], output: Name | None = None, options: Options = Options()
) -> Plan:
    """Find the pictures and name the results.

    Without ``output`` a file's result is ``NAME_derained`` beside it, a folder's results go to
    ``FOLDER_derained``, and standard input's to standard output. What derain made is not derained
    again, unless it is the only thing named.

    Args:
        inputs: Files, folders (searched to the bottom, structure kept), patterns such as
            ``"*.jpg"``, or ``-``; one or several.
        output: A file, a folder or ``-``.
        options: For every picture.

    Raises:
        UsageError: If the output cannot be meant: one file for several pictures, a file of no
            known ending; or is missing where results have no place of their own.
        OSError: If the output cannot be written.
    """
    names = _names(inputs)
    output = None if output is None else os.fspath(output)
    single = output not in (None, str(STREAM)) and names_a_file(output or "")
    if output is not None and output != str(STREAM):
        _check_output(Path(output), options, single=single)
    found = find_sources(names, output)
    _check_number(names, output, len(found.pictures), single=single)
    jobs = _Jobs(found)
    for source in found.pictures.values():
        target = Path(output or "") if single else _target(source, output, options)
        format = format_of(target) if single else format_by_name(source.path, target)
        jobs.add(_job(source, target, format, options))
    made = Plan(tuple(jobs.made), tuple(found.refused), tuple(found.results), found.others)
    return made if options.part is None else _part_of(made, options.part, found)


def _part_of(whole: Plan, part: Part, found: Sources) -> Plan:
    """Return one part of a plan.

    Raises:
        UsageError: If one of the pictures is a stream.
    """
    if any(STREAM in (job.source, job.target) for job in whole.jobs):
        raise UsageError("applies to files and folders; expected no -", option="part")

    def is_in(path: Path) -> bool:
        source = found.pictures.get(path)
        root = None if source is None else source.root
        return part.has(path if root is None else path.relative_to(root))

    return Plan(
        tuple(job for job in whole.jobs if is_in(job.source)),
        tuple((path, error) for path, error in whole.refused if is_in(path)),
        tuple(path for path in whole.results if is_in(path)),
        whole.others,
    )


def _names(inputs: Name | Sequence[Name]) -> list[str]:
    """Return names of inputs; one alone is no sequence of letters."""
    several = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    return [os.fspath(name) for name in several]


def _check_output(output: Path, options: Options, *, single: bool) -> None:
    """Check before the search that results can be written, in the format that was asked for.

    Raises:
        UsageError: If the name asks for another format.
        OSError: If nothing can be written there.
    """
    asked = options.format
    if single and asked is not None and format_of(output) != asked:
        raise UsageError(
            f"not the format that {output} is named for; leave one of them out",
            option="format",
            value=asked.lower(),
        )
    if not single and output.exists() and not output.is_dir():
        raise NotADirectoryError(f"{output}: a file; expected a folder, or nothing yet")
    if single:
        check_makable(output.parent)
    if not output.exists():  # otherwise each picture is tried: all may be there
        (check_writable if single else check_makable)(output)


def _check_number(inputs: Sequence[str], output: str | None, count: int, *, single: bool) -> None:
    """Refuse one file, or one stream, for several pictures.

    Raises:
        UsageError: If that is asked for.
    """
    if single and (count > 1 or any(Path(name).is_dir() for name in inputs)):
        several = f"{count} pictures" if count > 1 else "a folder"
        raise UsageError(
            f"one file for {several}; expected a folder", option="output", value=output
        )
    streamed = output == str(STREAM) or (output is None and str(STREAM) in inputs)
    if streamed and count > 1:
        raise UsageError(
            f"one stream for {count} pictures; expected a folder",
            option="output",
            value=output or str(STREAM),
        )


class _Jobs:
    """The jobs so far; no two write the same file, and each can write its own."""

    def __init__(self, found: Sources) -> None:
        self.made: list[Job] = []
        self._found = found
        self._taken: dict[Path, Job] = {}
        self._tried: set[Path] = set()

    def add(self, job: Job) -> None:
        """Add a job, unless its files are another's or cannot be written."""
        rival = next((self._taken[path] for path in job.outputs if path in self._taken), None)
        if rival is not None and _is_marked(rival):
            self._drop(rival)
        elif rival is not None and _is_marked(job):
            self._found.results.append(job.source)
            return
        elif rival is not None:
            self._found.refused.append((job.source, rivalry(job.target, rival.source)))
            return
        try:
            self._check_places(job)
        except OSError as error:
            self._found.refused.append((job.source, error))
            return
        self._taken |= dict.fromkeys(job.outputs, job)
        self.made.append(job)

    def _check_places(self, job: Job) -> None:
        """Check that files that are not there yet can be written; each folder is tried once."""
        for path in job.outputs:
            if path.exists():
                continue
            check_writable(path)
            if path.parent not in self._tried and path.parent.is_dir():
                check_takes_files(path.parent)
            self._tried.add(path.parent)

    def _drop(self, job: Job) -> None:
        """Take back the job of a picture that derain made."""
        self.made.remove(job)
        self._found.results.append(job.source)
        self._taken = {path: other for path, other in self._taken.items() if other is not job}


def rivalry(target: PurePath, rival: PurePath) -> DerainError:
    """Return the error for a picture whose result has the name of another's.

    Args:
        target: Its result.
        rival: The picture that has this name already.
    """
    message = f"would become {target}, which {rival} needs"
    return DerainError(f"{message}; give them folders of their own")


def _is_marked(job: Job) -> bool:
    """Return whether a job's picture says that derain made it."""
    try:
        return is_marked(job.source, job.max_pixels)
    except (OSError, ValueError):  # what is wrong with it is said when its turn comes
        return False


def _job(source: Source, target: Path, format: Format | None, options: Options) -> Job:
    return Job(
        source.path,
        target,
        options.format or format,
        compare_path(target) if options.compare and target != STREAM else None,
        options.force,
        options.density,
        options.mask,
        options.max_pixels,
        source.alone,
    )


def format_by_name(source: PurePath, target: PurePath) -> Format | None:
    """Return the format that the target's name asks for; None to keep the input's.

    A name with the input's own suffix asks for nothing: a PNG called .jpg remains a PNG.
    """
    if target == STREAM or target.suffix.lower() == source.suffix.lower():
        return None
    return format_of(target)


def compare_path(target: Path) -> Path:
    """Return where the before/after picture of a result goes."""
    return target.with_name(f"{target.stem}{COMPARISON_MARK}{target.suffix}")


def _target(source: Source, output: str | None, options: Options) -> Path:
    """Return where a result goes, but for one that the user named."""
    if output == str(STREAM) or (output is None and source.path == STREAM):
        return STREAM
    name = Path("stdin.png") if source.path == STREAM else source.path
    name = renamed(name, options.format)
    if source.root is not None:
        beside = result_folder(absolute(source.root)) or source.root  # a root is refused before
        return Path(output or beside) / name.relative_to(source.root)
    if output:
        return Path(output) / name.name
    return name.with_name(name.stem + RESULT_MARK + name.suffix)


def renamed(name: PathT, format: Format | None) -> PathT:
    """Return a picture's name with the ending of the format that its result has.

    Args:
        name: Of the picture.
        format: That was asked for; None for the picture's own, where derain writes it.
    """
    wanted = INSTEAD if format is None and name.suffix.lower() in HEIC else format
    if wanted and name.suffix.lower() not in suffixes_of(wanted):
        return name.with_suffix(next(iter(suffixes_of(wanted))))
    return name
