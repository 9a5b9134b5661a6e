"""Report what a dataset is and what is wrong with it, for people and for machines."""

import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, filterfalse
from pathlib import Path
from typing import Any

import numpy as np

from derain.data.audit.benchmarks import BENCHMARKS, is_alike
from derain.data.audit.identity import (
    Identity,
    MeasuredPair,
    digest_of,
    digest_of_files,
    file_digests,
    measure_all,
    name_of,
)
from derain.data.copies import Album, Copy, Search, find_copies, find_duplicates
from derain.data.copies.album import Content
from derain.data.layouts import Layout, NoPairsError, copies_across, survey, unknown_pairs
from derain.data.pairs import (
    GivenPlace,
    Half,
    Kind,
    Pair,
    PairedFolder,
    Place,
    Problem,
    TwoFolders,
    place_of,
)
from derain.data.photographs import clean_pictures
from derain.files import amount, is_litter, listed, printable
from derain.images import readable_suffixes
from derain.progress import Progress, silent

AT_MOST = 20
"""Lines of one kind in the report for people, if training is sound all the same."""


@dataclass(frozen=True)
class Report:
    """Findings in a dataset.

    Attributes:
        layout: How it lies on disk, in words; empty for a folder of clean pictures.
        identity: Which dataset it is; None for a folder of clean pictures.
        pictures: Number of pairs, or of clean pictures.
        sizes: Width and height of the clean ones, and how many there are of each.
        psnr: Mean of the rainy pictures in dB, y-matlab.
        digest: Of all files' bytes, whatever their names and order; those of pairs and of clean
            pictures differ.
        against: The training data in which copies were searched.
    """

    folder: Path
    layout: str
    identity: Identity | None
    pictures: int
    sizes: tuple[tuple[str, int], ...]
    psnr: float | None
    digest: str
    against: Path | None
    problems: tuple[Problem, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing was found that makes training unsound."""
        return not any(problem.unsound for problem in self.problems)

    def to_json(self) -> str:
        """Return the whole report as JSON, paths as text."""
        identity = self.identity
        content: dict[str, Any] = {
            "folder": str(self.folder),
            "sound": self.sound,
            "layout": self.layout or None,
            "benchmark": identity and identity.benchmark,
            "part": (identity and identity.part) or None,
            "version": (identity and identity.version) or None,
            "may_be": list(identity.others) if identity else [],
            "told_by": list(identity.evidence) if identity else [],
            "pairs": identity and identity.pairs,
            "pairs_of_the_whole": identity and identity.whole,
            "digest": self.digest,
            "pictures": self.pictures,
            "sizes": dict(self.sizes),
            "input_psnr_y_matlab": self.psnr,
            "against": str(self.against) if self.against else None,
            "problems": [_as_dict(problem) for problem in self.problems],
        }
        return json.dumps(content, indent=2)

    def describe(self) -> str:
        """Return the report for people, with the first `AT_MOST` harmless problems of a kind."""
        name = printable(self.folder.resolve().name)
        what = (
            self.identity.describe()
            if self.identity
            else f"{amount(self.pictures, 'clean picture')}, no pairs, data {self.digest}"
        )
        lines = [f"{name}: {what}"]
        if self.layout:
            lines.append(f"  layout     {self.layout}")
        if self.identity and self.identity.evidence:
            lines.append(f"  evidence   {'; '.join(self.identity.evidence)}")
        lines.append(f"  sizes      {listed([f'{size} ({count})' for size, count in self.sizes])}")
        if self.psnr is not None:
            lines.append(f"  input      {self.psnr:.3f} dB PSNR, y-matlab")
        if self.against:
            lines.append(f"  against    {printable(self.against)}")
        for kind, problems in _by_kind(self.problems).items():
            lines += _paragraph(kind, problems)
        lines.append("sound to train on" if self.sound else "not sound to train on")
        return "\n".join(lines)


def _as_dict(problem: Problem) -> dict[str, Any]:
    files = [str(path) for path in problem.paths]
    return {
        "kind": problem.kind,
        "unsound": problem.unsound,
        "message": problem.message,
        "files": files,
    }


def _by_kind(problems: Sequence[Problem]) -> dict[Kind, list[Problem]]:
    """Return problems by their kind, those first that make training unsound."""
    kinds: dict[Kind, list[Problem]] = {}
    for problem in sorted(problems, key=lambda problem: not problem.unsound):
        kinds.setdefault(problem.kind, []).append(problem)
    return kinds


def _paragraph(kind: Kind, problems: Sequence[Problem]) -> Iterator[str]:
    yield f"  {'UNSOUND' if problems[0].unsound else 'note'}: {kind} ({len(problems)})"
    most = len(problems) if problems[0].unsound else AT_MOST
    yield from (f"    {problem.message}" for problem in problems[:most])
    if len(problems) > most:
        yield f"    and {len(problems) - most} more"


@dataclass(frozen=True)
class _Clean:
    """Files with clean pictures, and the rainy half of those that hold two pictures in one."""

    files: Sequence[Path]
    rainy_halves: Mapping[Path, Half]


def check(
    folder: GivenPlace,
    against: str | os.PathLike[str] | None = None,
    layout: Layout | None = None,
    progress: Progress = silent,
    album: Album | None = None,
) -> Report:
    """Check every picture of a dataset, paired or clean.

    Every file is opened and decoded once (`Album` says where that ends).

    Args:
        folder: The dataset, or a list file, or its two folders.
        against: Training data, paired or clean, in which its pictures must not occur.
        layout: How it lies on disk; None recognises it. Two folders have none.
        progress: Receives the stages "pairs" or "pictures", "duplicates" and "copies".
        album: What is already known of files, if several datasets are checked.

    Raises:
        FileNotFoundError: If there is no such folder, or no picture in it.
        NoPairsError: If a layout is asked for that does not fit.
        ValueError: If it holds several datasets, or a list cannot be read.
        OSError: If a folder cannot be listed.
    """
    album = album or Album()
    folder = place_of(folder)
    against = None if against is None else Path(against)
    try:
        dataset, problems = survey(folder, layout, partial(album.read, again=True))
    except NoPairsError:
        if layout not in (None, "photographs") or isinstance(folder, TwoFolders):
            raise
        # Without a layout, what looks like pairs is not sound to train on as clean pictures.
        doubt = None if layout else unknown_pairs(folder, partial(album.read, again=True))
        report = _check_clean(folder, [doubt] if doubt else [], against, album, progress)
        return report if doubt or layout else _doubted(report)
    return _check_pairs(folder, dataset, problems, against, album, progress)


def _doubted(report: Report) -> Report:
    """Add to a report of clean pictures what its duplicates say against their being that."""
    copies = [
        (problem.paths[0], problem.paths[1])
        for problem in report.problems
        if problem.kind == "duplicate"
    ]
    doubt = copies_across(report.folder, clean_pictures(report.folder), copies)
    return replace(report, problems=(doubt, *report.problems)) if doubt else report


def _check_pairs(
    folder: Place,
    dataset: PairedFolder,
    problems: Sequence[Problem],
    against: Path | None,
    album: Album,
    progress: Progress,
) -> Report:
    """Check a paired dataset.

    Args:
        folder: Where it lies.
        dataset: Its pairs.
        problems: What is wrong with how it is put together.
        against: Training data, if any.
        album: Reads the files.
        progress: As for `check`.
    """
    clean = _clean_of_pairs(dataset.pairs)
    album.use_halves(clean.rainy_halves)
    # This opens and decodes all files of pairs; what follows gets by with what was kept of them.
    measured, unsound = _measure(dataset, album, progress)
    digests, unread = file_digests(dataset.pairs, album)
    identity = name_of(dataset, measured, digest_of(dataset.pairs, digests))
    files = [*_files_of(dataset.pairs), *(path for problem in problems for path in problem.paths)]
    found = [
        *problems,
        *_oddities(folder, files),
        *unread,
        *unsound,
        *_exchanged(folder, measured),
        *_repeated_rain(dataset.pairs, digests),
    ]
    # A test set may hold test pictures; anything else may be trained on.
    if identity.part != "test":
        prints = [(each.pair.clean, each.fingerprint) for each in measured]
        found += _known_test_pictures(prints, against)
    if not dataset.pairs:
        message = f"{printable(str(folder))}: no pair found"
        found.append(Problem("no pictures", message, (_folder_of(folder),)))
    found += _duplicates(clean, album, progress)
    found += _leaks(_with_loose(clean, problems), against, album, progress)
    sizes = Counter(f"{each.width}x{each.height}" for each in measured)
    return Report(
        _folder_of(folder),
        layout=dataset.layout,
        identity=identity,
        pictures=len(dataset.pairs),
        sizes=tuple(sizes.most_common()),
        psnr=float(np.mean([min(100.0, each.psnr) for each in measured])) if measured else None,
        digest=identity.digest,
        against=against,
        problems=_without_twice(found),
    )


def _folder_of(place: Place) -> Path:
    return place.folder if isinstance(place, TwoFolders) else place


def find_leaks(
    pictures: Place,
    training: Place,
    layout: Layout | None = None,
    progress: Progress = silent,
    album: Album | None = None,
) -> tuple[Problem, ...]:
    """Return the clean pictures of one dataset that also occur in another.

    They may be cropped, flipped, resized or recompressed. Pictures of either dataset that cannot be
    read are among the problems.

    Args:
        pictures: The dataset whose pictures are searched.
        training: The dataset that they may not occur in.
        layout: How both lie on disk, if they are pairs; None recognises it.
        progress: Receives the stage "copies".
        album: What is already known of files.

    Raises:
        FileNotFoundError: If there is no such folder, or no picture in it.
        ValueError: If a list cannot be read.
        OSError: If a folder cannot be listed.
    """
    album = album or Album()
    ours, theirs = (_clean_of(folder, layout, album) for folder in (pictures, training))
    return _copies(ours, theirs, album, progress)


def _check_clean(
    folder: Path,
    doubts: Sequence[Problem],
    against: Path | None,
    album: Album,
    progress: Progress,
) -> Report:
    """Check a folder of clean pictures.

    Args:
        folder: Where they lie.
        doubts: What speaks against their being clean pictures.
        against: Training data, if any.
        album: Reads the files.
        progress: As for `check`.
    """
    files = clean_pictures(folder)
    sizes: Counter[str] = Counter()
    problems = [*doubts, *_oddities(folder)]
    prints: list[tuple[Path, int]] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        contents = pool.map(partial(_content_or_problem, album), files)
        for done, (path, content) in enumerate(zip(files, contents, strict=True), 1):
            if isinstance(content, Problem):
                problems.append(content)
            else:
                sizes[f"{content.size[1]}x{content.size[0]}"] += 1
                prints.append((path, content.fingerprint))
            progress("pictures", done, len(files))
    clean = _Clean(files, {})
    problems += _known_test_pictures(prints, against)
    problems += _duplicates(clean, album, progress)
    problems += _leaks(clean, against, album, progress)
    return Report(
        folder,
        layout="",
        identity=None,
        pictures=len(files),
        sizes=tuple(sizes.most_common()),
        psnr=None,
        digest=digest_of_files(_digests_of(files, album)),
        against=against,
        problems=_without_twice(problems),
    )


def _digests_of(files: Sequence[Path], album: Album) -> Iterator[str]:
    """Yield the SHA-256 of files, which the album has read, without those that it could not."""
    for path in files:
        with suppress(OSError):
            yield album.digest(path)


def _content_or_problem(album: Album, path: Path) -> Content | Problem:
    try:
        return album.content(path)
    except (ValueError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        reason = printable(reason or type(error).__name__)
        return Problem("unreadable", f"{printable(path)}: {reason}", (path,))


def _measure(
    dataset: PairedFolder, album: Album, progress: Progress
) -> tuple[list[MeasuredPair], list[Problem]]:
    """Measure every pair that can be read, and say what is wrong with pairs."""
    measured: list[MeasuredPair] = []
    problems: list[Problem] = []
    # Clean pictures are described while they are decoded: duplicates and leaks need it.
    for found in measure_all(dataset.pairs, album, progress, describe=True):
        if isinstance(found, Problem):
            problems.append(found)
        else:
            measured.append(found)
            problems += _wrong_with(found)
    return measured, problems


def _wrong_with(measured: MeasuredPair) -> Iterator[Problem]:
    pair, laid = measured.pair, measured.alignment
    both = (pair.rainy, pair.clean)
    twins = (
        printable(pair.rainy)
        if pair.rainy_half
        else f"{printable(pair.rainy)} and {printable(pair.clean)}"
    )
    if np.isinf(measured.psnr):
        yield Problem("no rain", f"{twins}: the rainy picture equals the clean one", both)
    if laid.verdict == "shifted":
        place = f"{laid.down} pixels down and {laid.right} right"
        message = f"{twins}: the rainy picture is shifted by {place}"
        yield Problem("misaligned", message, both)
    if laid.verdict == "different":
        yield Problem("not twins", f"{twins}: do not show the same scene", both)


def _exchanged(folder: Place, measured: Sequence[MeasuredPair]) -> Iterator[Problem]:
    """Yield a problem if most pairs have their rain on the clean side."""
    aligned = [each for each in measured if each.alignment.verdict == "aligned"]
    turned = [each for each in aligned if each.rainier < 0]
    if len(turned) * 2 > len(aligned):
        count = f"in {len(turned)} of {len(aligned)} pairs the clean picture is the rainier one"
        hint = (
            "the other --layout"
            if turned[0].pair.rainy_half
            else "their folders or columns exchanged back"
        )
        message = (
            f"{printable(str(folder))}: {count}, so rainy and clean are exchanged; expected {hint}"
        )
        yield Problem("exchanged", message, _files_of([each.pair for each in turned]))


def _files_of(pairs: Sequence[Pair]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(path for pair in pairs for path in (pair.rainy, pair.clean)))


def _oddities(folder: Place, files: Sequence[Path] = ()) -> Iterator[Problem]:
    """Yield what lies among the pictures and is not one.

    These are links that lead nowhere, other files, and links to folders that are not followed.

    Args:
        folder: The dataset, or its two folders.
        files: The pictures that were found, some of them through links to folders.
    """
    followed = {
        os.fspath(parent)
        for place in {path.parent for path in files}
        for parent in (place, *place.parents)
    }
    others: list[Path] = []
    readable = readable_suffixes()
    roots = [folder.rainy, folder.clean] if isinstance(folder, TwoFolders) else [folder]
    for place, folders, names in chain.from_iterable(_walk(root, followed) for root in roots):
        links = [Path(place, name) for name in sorted(folders) if Path(place, name).is_symlink()]
        others += [link for link in links if os.fspath(link) not in followed]
        for name in sorted(names):
            path = Path(place, name)
            if path.suffix.lower() not in readable:
                others.append(path)
            elif not os.path.isfile(path):  # noqa: PTH113 (false, not an error, of a link to itself)
                yield Problem(
                    "unreadable",
                    f"{printable(path)}: a link that leads nowhere, or no file at all",
                    (path,),
                )
    if others:
        names = listed([printable(path.name) for path in others])
        yield Problem(
            "ignored", f"no pictures by their names, or links to folders: {names}", tuple(others)
        )


def _walk(folder: Path, followed: Collection[str]) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk as `os.walk` does, and through some of the links to folders."""
    for place, folders, names in os.walk(folder):
        # What systems put beside pictures is not the user's: it is neither a fault nor worth a
        # note.
        folders[:] = filterfalse(is_litter, folders)
        names = list(filterfalse(is_litter, names))
        yield place, folders, names
        for link in (Path(place, name) for name in folders):
            if os.fspath(link) in followed and link.is_symlink():
                yield from _walk(link, followed)


def _repeated_rain(pairs: Sequence[Pair], digests: Mapping[Path, str]) -> Iterator[Problem]:
    """Yield rainy pictures that are there twice, byte for byte."""
    seen: dict[str, Path] = {}
    for pair in pairs:
        first = seen.setdefault(digests.get(pair.rainy, str(pair.rainy)), pair.rainy)
        if first != pair.rainy:
            yield Problem(
                "duplicate",
                f"{printable(pair.rainy)} is {printable(first)} once more, rain and all",
                (pair.rainy, first),
            )


def _known_test_pictures(
    prints: Iterable[tuple[Path, int]], against: Path | None
) -> Iterator[Problem]:
    """Yield pictures that belong to a test set, which matters only where they are trained on.

    Args:
        prints: Files and the fingerprints of their pictures.
        against: What is trained on instead, if anything.
    """
    for path, mark in prints:
        rows = [
            row
            for row in BENCHMARKS
            if row.part == "test" and any(is_alike(mark, known.fingerprint) for known in row.known)
        ]
        if rows:
            names = " and ".join(dict.fromkeys(row.name for row in rows))
            message = f"{printable(path)}: a test picture of {names}"
            yield Problem("known test picture", message, (path,), harmless=against is not None)


def _duplicates(clean: _Clean, album: Album, progress: Progress) -> list[Problem]:
    search = find_duplicates(clean.files, progress, album)
    return [
        *_unread(search),
        *(Problem("duplicate", _in_words(copy), (copy.picture, copy.of)) for copy in search.copies),
    ]


def _leaks(
    clean: _Clean, against: Path | None, album: Album, progress: Progress
) -> tuple[Problem, ...]:
    """Return the pictures that occur in training data, if there is some."""
    if against is None:
        return ()
    return _copies(clean, _clean_of(against, None, album), album, progress)


def _copies(ours: _Clean, theirs: _Clean, album: Album, progress: Progress) -> tuple[Problem, ...]:
    album.use_halves(ours.rainy_halves)
    album.use_halves(theirs.rainy_halves)
    search = find_copies(ours.files, theirs.files, progress, album)
    return (
        *_unread(search),
        *(Problem("leak", _in_words(copy), (copy.picture, copy.of)) for copy in search.copies),
    )


def _clean_of(folder: Place, layout: Layout | None, album: Album) -> _Clean:
    """Return all clean pictures of a dataset, also those without a twin."""
    try:
        dataset, problems = survey(folder, layout, partial(album.read, again=True))
    except ValueError:  # no pairs, or several datasets: every picture there is
        if isinstance(folder, TwoFolders) or folder.is_file():
            raise
        return _Clean(clean_pictures(folder), {})
    return _with_loose(_clean_of_pairs(dataset.pairs), problems)


def _clean_of_pairs(pairs: Sequence[Pair]) -> _Clean:
    halved: dict[Path, Half] = {pair.clean: pair.rainy_half for pair in pairs if pair.rainy_half}
    return _Clean(list(dict.fromkeys(pair.clean for pair in pairs)), halved)


def _with_loose(paired: _Clean, problems: Sequence[Problem]) -> _Clean:
    """Add pictures that are in no pair: all that `survey` names in its problems."""
    loose = [path for problem in problems for path in problem.paths if path.is_file()]
    return _Clean(list(dict.fromkeys([*paired.files, *loose])), paired.rainy_halves)


def _in_words(copy: Copy) -> str:
    how = ", ".join(copy.how) or "the same but for its pixels"
    return f"{printable(copy.picture)} shows what {printable(copy.of)} shows ({how})"


def _unread(search: Search) -> Iterator[Problem]:
    for path, reason in search.unreadable.items():
        yield Problem("unreadable", f"{printable(path)}: {printable(reason)}", (path,))


def _without_twice(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Name each file that cannot be read once, however many pairs it is in."""
    kept: dict[object, Problem] = {}
    for problem in problems:
        kept.setdefault(
            (problem.kind, problem.paths if problem.kind == "unreadable" else problem.message),
            problem,
        )
    return tuple(kept.values())
