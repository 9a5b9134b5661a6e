"""Which data these are: a look at every pair, and from it a name, a version and a digest."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from derain import metrics
from derain.data.alignment import Alignment, align, luma, rainier
from derain.data.audit.benchmarks import BENCHMARKS, Known, Match, Size, Traits, form_of, recognise
from derain.data.copies.search import fingerprint
from derain.data.pairs import (
    Pair,
    PairedFolder,
    Problem,
    SizesDifferError,
    digest_or_error,
    read_pair,
)
from derain.files import printable

DIGEST = 12
"""Hexadecimal digits; two sets of files have the same by chance once in 10^14."""
ENOUGH_PAIRS = 400
"""Of a larger dataset so many, spread evenly, are read to tell which one it is."""


@dataclass(frozen=True)
class Look:
    """What is seen of a pair.

    Attributes:
        psnr: Of the rainy picture in dB, y-matlab; infinite if it is the clean one.
        rainier: By how many signs the rainy picture is the rainier one, as `alignment.rainier`; 0
            unless the twins are aligned.
    """

    pair: Pair
    width: int
    height: int
    psnr: float
    fingerprint: int
    alignment: Alignment
    rainier: int


@dataclass(frozen=True)
class Identity:
    """Which data these are.

    Attributes:
        benchmark: Its name; None if it is none that is known, or one of several.
        part: ``test`` or ``train``, or that it is not known which.
        version: Of several that go by one name, and of their forms.
        pairs: How many there are.
        whole: How many the whole dataset has, if known.
        digest: Of all files' bytes, whatever their names and order. The same digest, the same data.
        evidence: What says so.
        others: Datasets that it may be as well.
    """

    benchmark: str | None
    part: str
    version: str
    pairs: int
    whole: int | None
    digest: str
    evidence: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def describe(self) -> str:
        """In one line: ``Rain100L test, the old one, cropped to 480x320, 10 of 100 pairs, data
        3f2a…``.
        """
        name = self.benchmark or (
            f"one of {', '.join(self.others)}" if self.others else "no dataset known here"
        )
        count = (
            f"{self.pairs} of {self.whole} pairs"
            if self.whole and self.whole != self.pairs
            else _pairs(self.pairs)
        )
        complete = ", complete" if self.whole == self.pairs else ""
        parts = [
            f"{name} {self.part}".strip(),
            self.version,
            count + complete,
            f"data {self.digest}",
        ]
        return ", ".join(part for part in parts if part)


def _pairs(count: int) -> str:
    return "1 pair" if count == 1 else f"{count} pairs"


def identify(dataset: PairedFolder) -> Identity:
    """Says which data a paired dataset is.

    Raises:
        ValueError: If a picture cannot be read, or twins differ in size.
    """
    step = max(1, -(-len(dataset.pairs) // ENOUGH_PAIRS))
    looks: list[Look] = []
    for seen in look_at_all(dataset.pairs[::step]):
        if isinstance(seen, Problem):
            raise ValueError(seen.message)
        looks.append(seen)
    digests, unread = file_digests(dataset.pairs)
    if unread:
        raise ValueError(unread[0].message)
    return name_of(dataset, looks, digest_of(dataset.pairs, digests))


def name_of(dataset: PairedFolder, looks: Sequence[Look], digest: str) -> Identity:
    """The identity of a dataset after looking at its pairs, or at some of them."""
    inside, above = _folders_of(dataset)
    traits = Traits(
        names=(dataset.name, *inside),
        pairs=len(dataset.pairs),
        clean=len({pair.clean for pair in dataset.pairs}),
        sizes=tuple((max(look.width, look.height), min(look.width, look.height)) for look in looks),
        known=tuple(Known(look.fingerprint, look.psnr) for look in looks),
        whole=len(looks) == len(dataset.pairs),
        above=above,
    )
    matches = recognise(traits, BENCHMARKS)
    names = list(dict.fromkeys(match.benchmark.name for match in matches))
    whole = {match.benchmark.pairs for match in matches}
    return Identity(
        benchmark=names[0] if len(names) == 1 else None,
        part=_one([match.benchmark.part for match in matches]),
        version=_version(matches, traits.sizes) if len(names) == 1 else "",
        pairs=len(dataset.pairs),
        whole=whole.pop() if len(whole) == 1 else None,
        digest=digest,
        evidence=tuple(dict.fromkeys(text for match in matches for text in match.evidence)),
        others=tuple(names) if len(names) > 1 else (),
    )


def _version(matches: Sequence[Match], sizes: Sequence[Size]) -> str:
    versions = _one([match.benchmark.version for match in matches])
    form = form_of(matches[0].benchmark, sizes)
    return ", ".join(text for text in (versions, form) if text)


def _one(texts: Sequence[str]) -> str:
    """``train or test`` for what may be either."""
    return " or ".join(dict.fromkeys(text for text in texts if text))


def _folders_of(dataset: PairedFolder) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the folders around the rainy pictures, from the second up (the first is ``rainy``):
    its own, and those above.
    """
    if not dataset.pairs:
        return (), ()
    names = tuple(folder.name for folder in list(dataset.pairs[0].rainy.absolute().parents)[:4])
    top = names.index(dataset.name) + 1 if dataset.name in names else 1
    return names[1:top], names[max(top, 1) :]


def look_at_all(pairs: Sequence[Pair]) -> Iterator[Look | Problem]:
    """Looks at every pair, in their order; at links to the same files but once."""
    seen: dict[object, Look | Problem] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        keys = list(pool.map(_files_of, pairs))
        firsts = dict(zip(reversed(keys), reversed(pairs), strict=True))
        different = [pair for key, pair in zip(keys, pairs, strict=True) if firsts[key] is pair]
        results = pool.map(_look_at, different)
        for key, pair in zip(keys, pairs, strict=True):
            if key not in seen:
                seen[key] = next(results)
            found = seen[key]
            yield found if isinstance(found, Problem) else replace(found, pair=pair)


def _files_of(pair: Pair) -> object:
    """What is the same for links to the same files."""
    try:
        stats = [path.stat() for path in (pair.rainy, pair.clean)]
    except OSError:
        return pair
    return (*((stat.st_dev, stat.st_ino) for stat in stats), pair.rainy_half)


def _look_at(pair: Pair) -> Look | Problem:
    try:
        rainy, clean = read_pair(pair)
    except (ValueError, OSError) as error:
        return _problem_of(pair, error)
    a, b = luma(rainy), luma(clean)
    laid = align(a, b)
    signs = rainier(a, b) if laid.verdict == "aligned" else 0
    return Look(
        pair, clean.shape[1], clean.shape[0], metrics.psnr(a, b), fingerprint(clean), laid, signs
    )


def _problem_of(pair: Pair, error: ValueError | OSError) -> Problem:
    """What kept a pair from being read."""
    if isinstance(error, OSError):
        return _unopened(Path(error.filename or pair.rainy), error)
    text = printable(str(error))
    if isinstance(error, SizesDifferError):
        return Problem("sizes differ", text, (pair.rainy, pair.clean))
    culprit = next(
        (path for path in (pair.clean, pair.rainy) if str(error).startswith(f"{path}: ")),
        pair.rainy,
    )
    return Problem("unreadable", text, (culprit,))


def file_digests(pairs: Sequence[Pair]) -> tuple[dict[Path, str], list[Problem]]:
    """SHA-256 of every file's bytes, and what cannot be read."""
    paths = list(dict.fromkeys(path for pair in pairs for path in (pair.rainy, pair.clean)))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = dict(zip(paths, pool.map(digest_or_error, paths), strict=True))
    problems = [
        _unopened(path, result) for path, result in results.items() if isinstance(result, OSError)
    ]
    return {path: result for path, result in results.items() if isinstance(result, str)}, problems


def digest_of(pairs: Sequence[Pair], digests: Mapping[Path, str]) -> str:
    """A short digest of the data: of the files' bytes, whatever their names and order."""
    twins = sorted(digests.get(pair.rainy, "") + digests.get(pair.clean, "") for pair in pairs)
    return hashlib.sha256("".join(twins).encode()).hexdigest()[:DIGEST]


def _unopened(path: Path, error: OSError) -> Problem:
    return Problem(
        "unreadable", f"{printable(path)}: {error.strerror or type(error).__name__}", (path,)
    )
