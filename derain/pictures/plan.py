"""From file names, folders and patterns to jobs in which nothing is left open."""

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from derain.errors import DerainError, UsageError
from derain.images import (
    READABLE_SUFFIXES,
    SUFFIXES,
    Format,
    find_images,
    format_of,
    suffixes_of,
)

STREAM = Path("-")
"""Standard input or output."""

MARK = "_derained"
COMPARE_MARK = "_compare"


@dataclass(frozen=True)
class Options:
    """How pictures are derained.

    Attributes:
        force: Overwrite existing files.
        compare: Write a before/after picture beside each result.
        format: Of the results; None for what the target's name asks for, else the input's.
        density: Sense how dense the rain is, too.
        mask: Where to work, as `Derainer` takes it; None for everywhere.
    """

    force: bool = False
    compare: bool = False
    format: Format | None = None
    density: bool = False
    mask: NDArray[Any] | None = field(default=None, compare=False, repr=False)


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
    """

    source: Path
    target: Path
    format: Format | None = None
    comparison: Path | None = None
    force: bool = False
    density: bool = False
    mask: NDArray[Any] | None = field(default=None, compare=False, repr=False)

    @property
    def outputs(self) -> list[Path]:
        """The files that it writes; none for a stream."""
        if self.target == STREAM:
            return []
        return [self.target, self.comparison] if self.comparison else [self.target]


@dataclass(frozen=True)
class Plan:
    """The jobs for some inputs, and the inputs that give none.

    Attributes:
        jobs: One for each picture.
        refused: Inputs that give no job, each with the reason.
    """

    jobs: tuple[Job, ...]
    refused: tuple[tuple[Path, Exception], ...]


@dataclass(frozen=True)
class _Source:
    """A picture, and the folder that was searched for it; None if it was named itself."""

    path: Path
    root: Path | None = None


def plan(inputs: Sequence[str], output: str | None = None, options: Options = Options()) -> Plan:
    """Find the pictures and name the results.

    Without ``output`` a file's result is ``NAME_derained`` beside it, a folder's results go to
    ``FOLDER_derained``, and standard input's to standard output. What an earlier run made is not
    derained again.

    Args:
        inputs: Files, folders (searched to the bottom, structure kept), patterns such as
            ``"*.jpg"``, or ``-``.
        output: A file, a folder or ``-``.
        options: For every picture.

    Raises:
        UsageError: If the output cannot be meant: one file for several pictures.
    """
    sources, refused = _find_sources(inputs)
    sources = [source for source in sources if not _is_result(source, output, sources)]
    single = output is not None and _names_a_file(output)
    if single and (len(sources) > 1 or any(Path(name).is_dir() for name in inputs)):
        raise UsageError(
            f"one file for {len(sources)} pictures; expected a folder",
            option="output",
            value=output,
        )
    jobs: list[Job] = []
    taken: dict[Path, Path] = {}
    for source in sources:
        target = Path(output or "") if single else _target(source, output, options)
        if target == STREAM and len(sources) > 1:
            raise UsageError(
                f"one stream for {len(sources)} pictures; expected a folder",
                option="output",
                value=output or "-",
            )
        format = format_of(target) if single else _format_by_name(source.path, target)
        job = _job(source.path, target, format, options)
        rival = next((taken[path] for path in job.outputs if path in taken), None)
        if rival is not None:
            message = f"would become {target}, which {rival} needs; give them folders of their own"
            refused.append((source.path, DerainError(message)))
            continue
        taken |= dict.fromkeys(job.outputs, source.path)
        jobs.append(job)
    return Plan(tuple(jobs), tuple(refused))


def _names_a_file(output: str) -> bool:
    """``clean.jpg`` is a file; ``dry.2024``, ``dry/`` and an existing folder are folders."""
    return (
        Path(output).suffix.lower() in SUFFIXES
        and not output.endswith(("/", os.sep))
        and not Path(output).is_dir()
    )


def _job(source: Path, target: Path, format: Format | None, options: Options) -> Job:
    return Job(
        source,
        target,
        options.format or format,
        compare_path(target) if options.compare and target != STREAM else None,
        options.force,
        options.density,
        options.mask,
    )


def _format_by_name(source: Path, target: Path) -> Format | None:
    """Return the format that the target's name asks for; None to keep the input's.

    A name with the input's own suffix asks for nothing: a PNG called .jpg remains a PNG.
    """
    if target == STREAM or target.suffix.lower() == source.suffix.lower():
        return None
    return format_of(target)


def compare_path(target: Path) -> Path:
    """Return where the before/after picture of a result goes."""
    return target.with_name(f"{target.stem}{COMPARE_MARK}{target.suffix}")


# Finding pictures


def _find_sources(
    inputs: Iterable[str],
) -> tuple[list[_Source], list[tuple[Path, Exception]]]:
    """Return the pictures that inputs stand for, each once, and what stands for none."""
    sources: dict[Path, _Source] = {}
    refused: list[tuple[Path, Exception]] = []
    for name in inputs:
        try:
            found, unreadable = _sources_of(name)
        except (OSError, ValueError, DerainError) as error:
            refused.append((Path(name), error))
            continue
        for source in found:
            sources.setdefault(source.path, source)
        for error in unreadable:
            message = f"cannot be looked into: {error.strerror}"
            refused.append((Path(error.filename), DerainError(message)))
    return list(sources.values()), refused


def _sources_of(name: str) -> tuple[list[_Source], list[OSError]]:
    """Return the pictures that one input stands for, and the folders that cannot be listed.

    Raises:
        DerainError: If it stands for none.
    """
    path = Path(name)
    if not name:
        raise DerainError("an empty name; expected a picture, a folder or a pattern")
    if name == str(STREAM) or path.is_file():
        return [_Source(path)], []
    if path.is_dir():
        found, unreadable = find_images(path)
        if not found and not unreadable:
            raise DerainError("no pictures in this folder")
        return [_Source(file, path) for file in found], unreadable
    if not glob.has_magic(name):
        raise DerainError("no such file or folder")
    # glob, since Path.glob refuses absolute patterns.
    matches = sorted(Path(match) for match in glob.glob(name, recursive=True))  # noqa: PTH207
    files = [match for match in matches if match.is_file()]
    if not files:
        raise DerainError("no file fits this pattern")
    return [_Source(file) for file in files if not _has_original(file, files)], []


def _is_result(source: _Source, output: str | None, sources: Sequence[_Source]) -> bool:
    """Return whether an earlier run made this picture.

    That is ``photo_derained.jpg`` where ``photo.jpg`` is among the sources, and what lies in an
    output folder inside the input folder. So the same command twice does not derain its own
    results. Pictures that were named themselves are always derained.
    """
    if source.root is None:
        return False
    if output is None:
        return _has_original(source.path, [other.path for other in sources])
    top, inside = os.path.realpath(source.root), os.path.realpath(output)
    within = os.path.realpath(source.path).startswith(inside + os.sep)
    return within and inside.startswith(top + os.sep)


def _has_original(source: Path, others: Sequence[Path]) -> bool:
    """Return whether the picture that ``photo_derained.jpg`` was made from is among others.

    Its comparison counts as well, and the original may be in any format.
    """
    for mark in (MARK + COMPARE_MARK, MARK):
        if source.stem.endswith(mark):
            original = source.with_name(source.stem.removesuffix(mark))
            return any(other.with_suffix("") == original for other in others)
    return False


def _target(source: _Source, output: str | None, options: Options) -> Path:
    """Return where a result goes, but for one that the user named."""
    if output == "-" or (output is None and source.path == STREAM):
        return STREAM
    name = Path("stdin.png") if source.path == STREAM else source.path
    # HEIC is read and not written.
    unwritten = name.suffix.lower() in READABLE_SUFFIXES - SUFFIXES.keys()
    format = options.format or ("JPEG" if unwritten else None)
    if format and name.suffix.lower() not in suffixes_of(format):
        name = name.with_suffix(next(iter(suffixes_of(format))))
    if source.root is not None:
        # Not resolve(): the results go beside a link to a folder, not beside its target.
        here = Path(os.path.abspath(source.root))  # noqa: PTH100
        top = Path(output) if output else here.with_name(here.name + MARK)
        return top / name.relative_to(source.root)
    if output:
        return Path(output) / name.name
    return name.with_name(name.stem + MARK + name.suffix)
