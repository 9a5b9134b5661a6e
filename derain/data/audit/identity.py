"""Identify a dataset: measure its pairs, and tell its name, version and digest from them."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from derain import metrics
from derain.data.alignment import Alignment, align, luma, rainier
from derain.data.audit.benchmarks import BENCHMARKS, Match, Size, Traits, form_of, recognise
from derain.data.audit.known import Known
from derain.data.copies import Album, fingerprint
from derain.data.pairs import (
    Pair,
    PairedFolder,
    Problem,
    SizesDifferError,
    digest_or_error,
    read_pair,
)
from derain.files import amount, printable
from derain.images import ImageError, Pixels
from derain.progress import Progress, silent

DIGEST = 12
"""Hexadecimal digits; two sets of files have the same by chance once in 10^14."""
ENOUGH_PAIRS = 400
"""Pairs of a larger dataset, spread evenly, that are read to tell which one it is."""


@dataclass(frozen=True)
class MeasuredPair:
    """Measurements of a pair.

    Attributes:
        width: In pixels.
        height: In pixels.
        psnr: Of the rainy picture in dB, y-matlab; infinite if it is the clean one.
        fingerprint: Of the clean picture.
        alignment: How the rainy picture lies on the clean one.
        rainier: By how many signs the rainy picture is the rainier one, as `alignment.rainier`; 0
            unless they are aligned.
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
    """The dataset that a folder of pairs is recognised as.

    Attributes:
        benchmark: Its name; None if it is not a known one, or one of several.
        part: ``test`` or ``train``, or both where that cannot be decided.
        version: Which one, if several go by one name, and in which form.
        pairs: How many there are.
        whole: How many the whole dataset has, if known.
        digest: Of all files' bytes, whatever their names and order. The same digest, the same data.
        evidence: Why it is this dataset.
        others: Datasets that it may be, if several are possible.
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
        """Describe it in one line.

        For example ``Rain100L test, the old one, cropped to 480x320, 10 of 100 pairs, data 3f2a…``.
        """
        name = self.benchmark or (
            f"one of {', '.join(self.others)}" if self.others else "no dataset known here"
        )
        count = (
            f"{self.pairs} of {self.whole} pairs"
            if self.whole and self.whole != self.pairs
            else amount(self.pairs, "pair")
        )
        complete = ", complete" if self.whole == self.pairs else ""
        parts = [
            f"{name} {self.part}".strip(),
            self.version,
            count + complete,
            f"data {self.digest}",
        ]
        return ", ".join(part for part in parts if part)


def identify(dataset: PairedFolder) -> Identity:
    """Tell which dataset a folder of pairs is.

    Raises:
        ValueError: If a picture cannot be read, or two of a pair differ in size.
    """
    album = Album()
    step = max(1, -(-len(dataset.pairs) // ENOUGH_PAIRS))
    found = measure_all(dataset.pairs[::step], album)
    digests, unread = file_digests(dataset.pairs, album)
    for problem in (*(each for each in found if isinstance(each, Problem)), *unread):
        raise ValueError(problem.message)
    measured = [each for each in found if isinstance(each, MeasuredPair)]
    return name_of(dataset, measured, digest_of(dataset.pairs, digests))


def name_of(dataset: PairedFolder, measured: Sequence[MeasuredPair], digest: str) -> Identity:
    """Return the identity of a dataset of which all or some pairs were measured."""
    inside, above = _folders_of(dataset)
    traits = Traits(
        names=(dataset.name, *inside),
        pairs=len(dataset.pairs),
        clean=len({pair.clean for pair in dataset.pairs}),
        sizes=tuple(
            (max(each.width, each.height), min(each.width, each.height)) for each in measured
        ),
        known=tuple(Known(each.fingerprint, each.psnr) for each in measured),
        whole=len(measured) == len(dataset.pairs),
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
    """Join different texts: ``train or test`` for what may be either."""
    return " or ".join(dict.fromkeys(text for text in texts if text))


def _folders_of(dataset: PairedFolder) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of folders around the rainy pictures: the dataset's own, and those above.

    The first folder is left out; it is ``rainy`` or the like.
    """
    if not dataset.pairs:
        return (), ()
    names = tuple(folder.name for folder in list(dataset.pairs[0].rainy.absolute().parents)[:4])
    top = names.index(dataset.name) + 1 if dataset.name in names else 1
    return names[1:top], names[max(top, 1) :]


def measure_all(
    pairs: Sequence[Pair], album: Album, progress: Progress = silent, *, describe: bool = False
) -> list[MeasuredPair | Problem]:
    """Measure every pair, in their order; links to the same files are measured once.

    Args:
        pairs: Pairs to read; the album decodes each of their files once.
        album: Reads the files.
        progress: Receives the stage "pairs".
        describe: Let the album also keep the `Content` of every clean picture that can be decoded,
            even if its pair is unsound.
    """
    keys = [(album.key(pair.rainy), album.key(pair.clean), pair.rainy_half) for pair in pairs]
    times = Counter(keys)
    firsts = dict(zip(reversed(keys), reversed(pairs), strict=True))
    # Rainy pictures of one clean picture come one after another, so that the album holds only a few
    # clean ones at a time, and decodes each once.
    place = {clean: k for k, (_, clean, _) in reversed(list(enumerate(keys)))}
    order = sorted(times, key=lambda key: place[key[1]])
    album.expect(Counter(album.key(path) for key in order for path in _paths_of(firsts[key])))
    measured: dict[object, MeasuredPair | Problem] = {}
    measure = partial(_measure, album=album, describe=describe)
    done = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(measure, [firsts[key] for key in order])
        for key, result in zip(order, results, strict=True):
            measured[key] = result
            done += times[key]
            progress("pairs", done, len(pairs))
    return [_for_pair(measured[key], pair) for key, pair in zip(keys, pairs, strict=True)]


def _paths_of(pair: Pair) -> tuple[Path, ...]:
    """Return the files of a pair, one if it holds both pictures."""
    return tuple(dict.fromkeys((pair.rainy, pair.clean)))


def _for_pair(found: MeasuredPair | Problem, pair: Pair) -> MeasuredPair | Problem:
    return found if isinstance(found, Problem) else replace(found, pair=pair)


def _measure(pair: Pair, album: Album, *, describe: bool) -> MeasuredPair | Problem:
    # Both files are read even if the first cannot be: the album expects it.
    found = {path: _read(path, album) for path in _paths_of(pair)}
    whole = found[pair.clean]
    if describe and not isinstance(whole, Exception):
        with suppress(ValueError):  # it has no middle to cut at, as reading the pair finds too
            album.content(pair.clean, whole)

    def read(path: Path) -> Pixels:
        pixels = found[path]
        if isinstance(pixels, Exception):
            raise pixels
        return pixels

    try:
        rainy, clean = read_pair(pair, read)
    except (ValueError, OSError) as error:
        return _problem_of(pair, error)
    a, b = luma(rainy), luma(clean)
    laid = align(a, b)
    return MeasuredPair(
        pair,
        width=clean.shape[1],
        height=clean.shape[0],
        psnr=metrics.psnr(a, b),
        fingerprint=album.content(pair.clean).fingerprint if describe else fingerprint(clean),
        alignment=laid,
        rainier=rainier(a, b) if laid.verdict == "aligned" else 0,
    )


def _read(path: Path, album: Album) -> Pixels | ImageError | OSError:
    try:
        return album.read(path)
    except ImageError as error:
        return ImageError(f"{path}: {error}")
    except OSError as error:
        return error


def _problem_of(pair: Pair, error: ValueError | OSError) -> Problem:
    """Say why a pair cannot be read."""
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


def file_digests(pairs: Sequence[Pair], album: Album) -> tuple[dict[Path, str], list[Problem]]:
    """Return the SHA-256 of every file's bytes, and which files cannot be opened."""
    paths = list(dict.fromkeys(path for pair in pairs for path in (pair.rainy, pair.clean)))
    digests: dict[Path, str] = {}
    problems: list[Problem] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(partial(digest_or_error, digest=album.digest), paths)
        for path, result in zip(paths, results, strict=True):
            if isinstance(result, OSError):
                problems.append(_unopened(path, result))
            else:
                digests[path] = result
    return digests, problems


def digest_of(pairs: Sequence[Pair], digests: Mapping[Path, str]) -> str:
    """Return a short digest of all files' bytes, whatever their names and order."""
    return digest_of_files(
        digests.get(pair.rainy, "") + digests.get(pair.clean, "") for pair in pairs
    )


def digest_of_files(digests: Iterable[str]) -> str:
    """Return a short digest of files by their SHA-256, in any order."""
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()[:DIGEST]


def _unopened(path: Path, error: OSError) -> Problem:
    return Problem(
        "unreadable", f"{printable(path)}: {error.strerror or type(error).__name__}", (path,)
    )
