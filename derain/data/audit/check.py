"""What a dataset is, and what is wrong with it: a report for people and for machines."""

import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from derain.data.audit.benchmarks import BENCHMARKS, is_alike
from derain.data.copies.search import (
    Copy,
    Search,
    find_copies,
    find_duplicates,
    fingerprint,
    pixels_of,
)
from derain.data.layouts.folders import Layout, NoPairsError, clean_pictures, survey
from derain.data.audit.identity import Identity, Look, digest_of, file_digests, look_at_all, name_of
from derain.data.pairs import Half, Kind, Pair, PairedFolder, Problem, halves
from derain.files import listed, printable
from derain.images import SUFFIXES, ImageError, Pixels, read_image

OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, the number of pictures done and the number of all."""

AT_MOST = 20
"""Lines of one kind in the report for people, where training is sound all the same."""


def no_progress(_what: str, _done: int, _total: int) -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class Report:
    """What was found.

    Attributes:
        layout: How it lies on disk, in words; empty for a folder of clean pictures.
        identity: Which data these are; None for a folder of clean pictures.
        pictures: How many pairs, or clean pictures.
        sizes: Width and height of the clean ones, and how many there are of each.
        psnr: Mean of the rainy pictures in dB, y-matlab.
        against: The training data that copies were looked for in.
    """

    folder: Path
    layout: str
    identity: Identity | None
    pictures: int
    sizes: tuple[tuple[str, int], ...]
    psnr: float | None
    against: Path | None
    problems: tuple[Problem, ...]

    @property
    def sound(self) -> bool:
        """Nothing was found that makes training unsound."""
        return not any(problem.unsound for problem in self.problems)

    def to_json(self) -> str:
        """Everything, for machines; paths as text."""
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
            "digest": identity and identity.digest,
            "pictures": self.pictures,
            "sizes": dict(self.sizes),
            "input_psnr_y_matlab": self.psnr,
            "against": str(self.against) if self.against else None,
            "problems": [_as_dict(problem) for problem in self.problems],
        }
        return json.dumps(content, indent=2)

    def describe(self) -> str:
        """Everything, for people; of what is only worth knowing the first `AT_MOST` of a kind."""
        name = printable(self.folder.resolve().name)
        what = (
            self.identity.describe()
            if self.identity
            else f"{self.pictures} clean pictures, no pairs"
        )
        lines = [f"{name}: {what}"]
        if self.layout:
            lines.append(f"  layout     {self.layout}")
        if self.identity and self.identity.evidence:
            lines.append(f"  told by    {'; '.join(self.identity.evidence)}")
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
    """What is unsound first."""
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
    """Files with clean pictures, and of those that hold two in one the rainy half."""

    files: Sequence[Path]
    halves: Mapping[Path, Half]

    def read(self, path: Path) -> Pixels:
        """What is clean in a file."""
        if path not in self.halves:
            return pixels_of(path)
        left, right = halves(pixels_of(path), path)
        return right if self.halves[path] == "left" else left


def check(
    folder: Path,
    against: Path | None = None,
    layout: Layout | None = None,
    on_progress: OnProgress = no_progress,
) -> Report:
    """Looks at every picture of a dataset, paired or clean.

    Args:
        folder: The dataset, or a list file.
        against: Training data, paired or clean, in which none of its pictures may occur.
        layout: How it lies on disk; None looks.

    Raises:
        FileNotFoundError: If there is no such folder, or no picture in it.
        NoPairsError: If a layout is asked for that does not fit.
        ValueError: If it holds several datasets, or a list cannot be read.
        OSError: If a folder cannot be looked into.
    """
    try:
        dataset, problems = survey(folder, layout)
    except NoPairsError:
        if layout:
            raise
        return _check_clean(folder, against, on_progress)
    looks, seen = _look(dataset, on_progress)
    digests, unread = file_digests(dataset.pairs)
    identity = name_of(dataset, looks, digest_of(dataset.pairs, digests))
    files = [*_files_of(dataset.pairs), *(path for problem in problems for path in problem.paths)]
    problems = (*problems, *_oddities(folder, files), *unread, *seen, *_exchanged(folder, looks))
    problems = (*problems, *_repeated_rain(dataset.pairs, digests))
    if identity.part != "test":
        problems = (
            *problems,
            *_known_test_pictures([(look.pair.clean, look.fingerprint) for look in looks], against),
        )
    if not dataset.pairs:
        problems = (
            *problems,
            Problem("no pictures", f"{printable(folder)}: not one pair of twins", (folder,)),
        )
    problems = (
        *problems,
        *_duplicates(_clean_of_pairs(dataset.pairs), on_progress),
        *_leaks(folder, against, layout, on_progress),
    )
    psnr = float(np.mean([min(100.0, look.psnr) for look in looks])) if looks else None
    sizes = Counter(f"{look.width}x{look.height}" for look in looks)
    return Report(
        folder,
        dataset.layout,
        identity,
        len(dataset.pairs),
        tuple(sizes.most_common()),
        psnr,
        against,
        _without_twice(problems),
    )


def find_leaks(
    pictures: Path,
    training: Path,
    layout: Layout | None = None,
    on_progress: OnProgress = no_progress,
) -> tuple[Problem, ...]:
    """The clean pictures of one dataset that also occur in another, cropped, flipped, resized or
    recompressed perhaps.

    Pictures of either that cannot be read are among the problems.

    Args:
        layout: How both lie on disk, if they are pairs; None looks.

    Raises:
        FileNotFoundError: If there is no such folder, or no picture in it.
        ValueError: If a list cannot be read.
        OSError: If a folder cannot be looked into.
    """
    found = _copies(_clean_of(pictures, layout), _clean_of(training, layout), on_progress)
    return tuple(problem for problem in found if problem.kind in ("leak", "unreadable"))


def _check_clean(folder: Path, against: Path | None, on_progress: OnProgress) -> Report:
    files = clean_pictures(folder)
    sizes: Counter[str] = Counter()
    problems = list(_oddities(folder))
    prints: list[tuple[Path, int]] = []
    for done, path in enumerate(files, 1):
        try:
            pixels = read_image(path)
        except (ImageError, OSError) as error:
            problems.append(_unreadable(path, error))
        else:
            sizes[f"{pixels.shape[1]}x{pixels.shape[0]}"] += 1
            prints.append((path, fingerprint(pixels)))
        on_progress("pictures", done, len(files))
    problems += _known_test_pictures(prints, against)
    problems += _duplicates(_Clean(files, {}), on_progress)
    problems += _leaks(folder, against, None, on_progress)
    return Report(
        folder,
        "",
        None,
        len(files),
        tuple(sizes.most_common()),
        None,
        against,
        _without_twice(problems),
    )


def _look(dataset: PairedFolder, on_progress: OnProgress) -> tuple[list[Look], list[Problem]]:
    """A look at every pair that can be read, and what is wrong with pairs."""
    looks: list[Look] = []
    problems: list[Problem] = []
    for done, seen in enumerate(look_at_all(dataset.pairs), 1):
        if isinstance(seen, Problem):
            problems.append(seen)
        else:
            looks.append(seen)
            problems += _wrong_with(seen)
        on_progress("pairs", done, len(dataset.pairs))
    return looks, problems


def _wrong_with(look: Look) -> Iterator[Problem]:
    pair, laid = look.pair, look.alignment
    both = (pair.rainy, pair.clean)
    twins = (
        printable(pair.rainy)
        if pair.rainy_half
        else f"{printable(pair.rainy)} and {printable(pair.clean)}"
    )
    if np.isinf(look.psnr):
        yield Problem("no rain", f"{twins}: the rainy picture is the clean one", both)
    if laid.verdict == "shifted":
        place = f"{laid.down} pixels down and {laid.right} right"
        yield Problem(
            "misaligned", f"{twins}: the rainy picture lies {place} of where its twin does", both
        )
    if laid.verdict == "different":
        yield Problem("not twins", f"{twins}: do not show one scene", both)


def _exchanged(folder: Path, looks: Sequence[Look]) -> Iterator[Problem]:
    """Most pairs have their rain on the clean side."""
    aligned = [look for look in looks if look.alignment.verdict == "aligned"]
    turned = [look for look in aligned if look.rainier < 0]
    if len(turned) * 2 > len(aligned):
        count = f"in {len(turned)} of {len(aligned)} pairs the clean picture is the rainier one"
        hint = (
            "the other --layout"
            if turned[0].pair.rainy_half
            else "their folders or columns exchanged back"
        )
        message = f"{printable(folder)}: {count}, so rainy and clean are exchanged; expected {hint}"
        yield Problem("exchanged", message, _files_of([look.pair for look in turned]))


def _files_of(pairs: Sequence[Pair]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(path for pair in pairs for path in (pair.rainy, pair.clean)))


def _oddities(folder: Path, files: Sequence[Path] = ()) -> Iterator[Problem]:
    """What lies among the pictures and is none: links that lead nowhere, other files, links to
    folders that are not followed.

    Args:
        files: The pictures that were found, some of them through links to folders.
    """
    followed = {
        os.fspath(parent)
        for place in {path.parent for path in files}
        for parent in (place, *place.parents)
    }
    others: list[Path] = []
    for place, folders, names in _walk(folder, followed):
        links = [Path(place, name) for name in sorted(folders) if Path(place, name).is_symlink()]
        others += [link for link in links if os.fspath(link) not in followed]
        for name in sorted(names):
            path = Path(place, name)
            if path.suffix.lower() not in SUFFIXES:
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
    """As `os.walk`, and through some of the links to folders."""
    for place, folders, names in os.walk(folder):
        yield place, folders, names
        for link in (Path(place, name) for name in folders):
            if os.fspath(link) in followed and link.is_symlink():
                yield from _walk(link, followed)


def _repeated_rain(pairs: Sequence[Pair], digests: Mapping[Path, str]) -> Iterator[Problem]:
    """Rainy pictures that are there twice, byte for byte."""
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
    """Pictures, each with its fingerprint, that belong to a test set: no fault where they are not
    what is trained on.
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


def _duplicates(clean: _Clean, on_progress: OnProgress) -> list[Problem]:
    search = find_duplicates(
        clean.files, lambda done, total: on_progress("duplicates", done, total), clean.read
    )
    return [
        *_unread(search),
        *(Problem("duplicate", _told(copy), (copy.picture, copy.of)) for copy in search.copies),
    ]


def _leaks(
    folder: Path, against: Path | None, layout: Layout | None, on_progress: OnProgress
) -> tuple[Problem, ...]:
    return (
        ()
        if against is None
        else _copies(_clean_of(folder, layout), _clean_of(against, None), on_progress)
    )


def _copies(ours: _Clean, theirs: _Clean, on_progress: OnProgress) -> tuple[Problem, ...]:
    both = _Clean([], {**theirs.halves, **ours.halves})
    search = find_copies(
        ours.files, theirs.files, lambda done, total: on_progress("copies", done, total), both.read
    )
    return (
        *_unread(search),
        *(Problem("leak", _told(copy), (copy.picture, copy.of)) for copy in search.copies),
    )


def _clean_of(folder: Path, layout: Layout | None) -> _Clean:
    """All clean pictures of a dataset, those without a twin too."""
    try:
        dataset, problems = survey(folder, layout)
    except ValueError:  # no pairs, or several datasets: every picture there is
        if folder.is_file():
            raise
        return _Clean(clean_pictures(folder), {})
    loose = [path for problem in problems for path in problem.paths if path.is_file()]
    paired = _clean_of_pairs(dataset.pairs)
    return _Clean(list(dict.fromkeys([*paired.files, *loose])), paired.halves)


def _clean_of_pairs(pairs: Sequence[Pair]) -> _Clean:
    halved: dict[Path, Half] = {pair.clean: pair.rainy_half for pair in pairs if pair.rainy_half}
    return _Clean(list(dict.fromkeys(pair.clean for pair in pairs)), halved)


def _told(copy: Copy) -> str:
    how = ", ".join(copy.how) or "the same but for its pixels"
    return f"{printable(copy.picture)} shows what {printable(copy.of)} shows ({how})"


def _unread(search: Search) -> Iterator[Problem]:
    for path, reason in search.unreadable.items():
        yield Problem("unreadable", f"{printable(path)}: {printable(reason)}", (path,))


def _unreadable(path: Path, error: ImageError | OSError) -> Problem:
    reason = error.strerror if isinstance(error, OSError) else str(error).removeprefix(f"{path}: ")
    return Problem(
        "unreadable", f"{printable(path)}: {printable(reason or type(error).__name__)}", (path,)
    )


def _without_twice(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Each file that cannot be read named once, however many rainy pictures it is the twin of."""
    kept: dict[object, Problem] = {}
    for problem in problems:
        kept.setdefault(
            (problem.kind, problem.paths if problem.kind == "unreadable" else problem.message),
            problem,
        )
    return tuple(kept.values())
