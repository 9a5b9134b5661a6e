"""The field's datasets, as facts to recognise them by.

Counts and names are those of the papers and of the files their authors, or later ones, gave out;
each row names its source.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from derain.data.audit.known import (
    RAIN12,
    RAIN13K,
    RAIN100H,
    RAIN100H_SAMPLE,
    RAIN100L,
    RAIN1400,
    SPA,
    Known,
)
from derain.files import printable

Size = tuple[int, int]
"""Long and short side of a picture in pixels."""

SIGNS = 6
"""Bits of 64 in which fingerprints of one picture differ at most.

3 were seen in pictures cropped by a pixel and recompressed, 12 between different ones.
"""
SAME_RAIN = 0.7
"""dB by which the PSNR of a pair changes at most if it is cropped by a pixel or recompressed."""
SAME_SET = 0.05
"""dB by which the mean of a whole set may lie beside the known one."""
LIKE_RAIN = 4.5
"""dB by which the mean of a part lies beside that of its set at most.

Light and heavy rain are 13 dB apart.
"""
EXPECTED = 0.3
"""Share of the known pairs in an evenly chosen part of which this many must be there."""
SURPLUS = 1.2
"""Times the pairs of a dataset that a copy of it may hold."""


@dataclass(frozen=True)
class Benchmark:
    """Facts about a dataset.

    Attributes:
        part: What it is used for, ``test`` or ``train``.
        pairs: How many the whole of it has.
        names: How folders of it are called, in small letters, without anything but letters and
            digits.
        source: Where the facts are from.
        version: Which one, where several go by one name, and what else is worth saying of it.
        clean: Number of clean files, where several rainy ones share one.
        forms: What it is called by its pictures' sizes; empty if they vary.
        psnr: Mean of the rainy input in dB, y-matlab; of the whole set if `exact`, else about.
        exact: `psnr` was measured on the whole set.
        known: Some of its pairs.
        also: Names that folders of the complete set have as well.
        short: Names that folders of anything may have; they count for a complete set, or beside
            known pairs.
        holds: Fingerprints of clean pictures of a test set that are in it under other rain.
    """

    name: str
    part: str
    pairs: int
    names: tuple[str, ...]
    source: str
    version: str = ""
    clean: int | None = None
    forms: tuple[tuple[Size, str], ...] = ()
    psnr: float | None = None
    exact: bool = False
    known: tuple[Known, ...] = ()
    also: tuple[str, ...] = ()
    short: tuple[str, ...] = ()
    holds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Traits:
    """Measurements of a dataset.

    Attributes:
        names: Of its folder, and of those in it that say more.
        pairs: How many there are.
        clean: Number of different clean files.
        sizes: Of each pair that was measured.
        known: Each pair that was measured, as `Known` ones are described.
        whole: All pairs were measured.
        above: Names of the folders that it lies in; they may name anything.
    """

    names: tuple[str, ...]
    pairs: int
    clean: int
    sizes: tuple[Size, ...]
    known: tuple[Known, ...]
    whole: bool
    above: tuple[str, ...] = ()

    @property
    def psnr(self) -> float | None:
        """Mean of the rainy input in dB, y-matlab; identical pictures count as 100."""
        if not self.known:
            return None
        return float(np.mean([min(100.0, pair.psnr) for pair in self.known]))


@dataclass(frozen=True)
class Match:
    """A dataset that pairs may belong to.

    Attributes:
        evidence: Why, in words: proofs first, then what agrees with them.
        proof: ``pairs`` if known pairs of it are there, ``mean`` if the mean PSNR of a complete set
            is exactly its own, ``name`` if only the name of a folder says so.
        rank: What decides between datasets of the same proof: how many known pairs prove it, then
            whether it has as many pairs, holds pictures of the test set, is named after its part.
    """

    benchmark: Benchmark
    evidence: tuple[str, ...]
    proof: Literal["pairs", "mean", "name"]
    rank: tuple[int, bool, bool, bool]


def recognise(traits: Traits, table: Sequence[Benchmark]) -> list[Match]:
    """Return the datasets that pairs may belong to, several if nothing decides between them.

    There are two proofs: known pairs are there, by the fingerprint of the clean picture and the
    PSNR of the rainy one; or a set with the right number of pairs has exactly the known mean PSNR.
    Without a proof, the name of a folder decides if nothing contradicts it.
    """
    if not traits.known:
        return []
    own = _first_name(traits.names, table)
    above = "" if own else _first_name(traits.above, table)
    found = [_compare(traits, row, own, above) for row in table]
    matches = [match for match in found if match]
    for proof in ("pairs", "mean", "name"):
        proven = [match for match in matches if match.proof == proof]
        if proven:
            best = max(match.rank for match in proven)
            return [match for match in proven if match.rank == best]
    return []


def _first_name(names: Sequence[str], table: Sequence[Benchmark]) -> str:
    """Return the first name that is one of any dataset, or nothing."""
    return next(
        (name for name in names if any(_is_called(name, (*row.names, *row.also)) for row in table)),
        "",
    )


def _compare(traits: Traits, row: Benchmark, own: str, above: str) -> Match | None:
    """Return what speaks for a dataset, or None if nothing does or something speaks against it.

    Args:
        traits: What was measured.
        row: The dataset.
        own: The name of its folder, if it is one of any dataset.
        above: The name of a folder above it, if it is one of any dataset.
    """
    common = sum(_is_known(pair, row.known) for pair in traits.known)
    by_pairs = common > EXPECTED * len(row.known) * len(traits.known) / row.pairs
    if traits.pairs > SURPLUS * row.pairs or not (by_pairs or _fits(traits, row)):
        return None
    complete = traits.pairs == row.pairs and row.clean in (None, traits.clean)
    by_mean = complete and traits.whole and _has_its_mean(traits, row)
    by_own = _goes_by(own, row, complete=complete)
    # Anything may lie in a folder named after a dataset: a complete set, or one that calls itself
    # test or train and has the sizes or the rain of this one.
    is_part = any(name.lower().startswith(row.part) for name in traits.names)
    is_inside = by_pairs or complete or (is_part and bool(row.forms or row.psnr))
    by_above = is_inside and _goes_by(above, row, complete=complete)
    short = next((name for name in traits.names if _is_called(name, row.short)), "")
    by_short = bool(short) and (by_pairs or complete)
    if not (by_pairs or by_mean or by_own or by_above or by_short):
        return None
    holds = any(is_alike(pair.fingerprint, one) for pair in traits.known for one in row.holds)
    part = any(each.lower().startswith(row.part) for each in (*traits.names, *traits.above))
    reasons = [
        (f"{common} of its known pairs are here", by_pairs),
        (f"the mean input PSNR is its {row.psnr} dB", by_mean),
        (f"{printable(own)} is its name", by_own),
        (f"it lies in {printable(above)}", by_above),
        (f"{printable(short)} is its short name", by_short),
        ("pictures of the test set are in it", holds),
        (f"it has {row.pairs} pairs", complete),
        (f"it is for {row.part}ing", part),
    ]
    return Match(
        row,
        evidence=tuple(text for text, true in reasons if true),
        proof="pairs" if by_pairs else "mean" if by_mean else "name",
        rank=(common if by_pairs else 0, complete, holds, part),
    )


def _goes_by(name: str, row: Benchmark, *, complete: bool) -> bool:
    return _is_called(name, row.names) or (complete and _is_called(name, row.also))


def _has_its_mean(traits: Traits, row: Benchmark) -> bool:
    """Return whether the mean PSNR is the one that the whole set has."""
    if not row.exact or row.psnr is None or traits.psnr is None:
        return False
    return abs(traits.psnr - row.psnr) <= SAME_SET


def _fits(traits: Traits, row: Benchmark) -> bool:
    """Return whether sizes and rain are as in the dataset."""
    sizes = {size for size, _ in row.forms}
    if sizes and sum(size in sizes for size in traits.sizes) < 0.9 * len(traits.sizes):
        return False
    return row.psnr is None or traits.psnr is None or abs(traits.psnr - row.psnr) <= LIKE_RAIN


def _is_known(pair: Known, known: Sequence[Known]) -> bool:
    return any(
        is_alike(pair.fingerprint, one.fingerprint) and abs(pair.psnr - one.psnr) <= SAME_RAIN
        for one in known
    )


def is_alike(fingerprint: int, other: int) -> bool:
    """Return whether two fingerprints are of the same picture."""
    return (fingerprint ^ other).bit_count() <= SIGNS


def _is_called(name: str, aliases: Sequence[str]) -> bool:
    """Return whether a folder's name begins with one of the dataset's as with a word.

    Rain1400 is not taken for Rain14, nor didactic for DID.
    """
    return any(_as_a_word(alias).match(name.lower()) for alias in aliases)


@cache
def _as_a_word(alias: str) -> re.Pattern[str]:
    """Return a pattern for a name with anything between its letters and digits, as a whole word."""
    return re.compile("[^a-z0-9]*" + "[^a-z0-9]*".join(alias) + "(?![a-z0-9])")


def form_of(benchmark: Benchmark, sizes: Sequence[Size]) -> str:
    """Return what the form of a dataset is called by its pictures' sizes; empty if it has one."""
    if not benchmark.forms:
        return ""
    forms = [text for size, text in benchmark.forms if size in sizes]
    return " and ".join(forms) or "of another size than its own"


_BSDS = (((481, 321), "321x481 originals"), ((480, 320), "cropped to 480x320"))
_SQUARE = (((512, 512), "512x512"),)
_PATCHES = (((256, 256), "256x256"),)
_CVPR, _TPAMI = (
    "Yang et al., CVPR 2017; files and counts as PReNet (Ren et al., CVPR 2019)",
    "Yang et al., TPAMI 2020",
)
_ID_CGAN, _DID = "Zhang et al., arXiv 1701.05957", "Zhang and Patel, CVPR 2018"
_DDN, _SPA = "Fu et al., CVPR 2017", "Wang et al., CVPR 2019"
_HEAVY, _MSPFN = (
    "Li et al., CVPR 2019; test set as TransWeather (Valanarasu et al., CVPR 2022)",
    "Jiang et al., CVPR 2020",
)
_OLD, _NEW_L, _NEW_H = "the old one, of 2017", "the new Rain100L", "the new Rain100H"
_CALLED_L = ("rain100l", "raindatatestlight", "raindatatrainlight", "raintrainl")
_CALLED_H = ("rain100h", "raindatatestheavy", "raindatatrainheavy", "raintrainh")
_CALLED_1400 = ("rain1400", "rain14000", "rain12600", "test2800")
_LIGHT, _DENSE = 26.903, 13.551
_TEST_BACKGROUNDS = tuple(pair.fingerprint for pair in RAIN100H)

BENCHMARKS = (
    Benchmark(
        "Rain100L",
        "test",
        100,
        _CALLED_L,
        _CVPR,
        _OLD,
        forms=_BSDS,
        psnr=_LIGHT,
        exact=True,
        known=RAIN100L,
    ),
    Benchmark("Rain100L", "train", 200, _CALLED_L, _CVPR, _OLD, forms=_BSDS, psnr=_LIGHT),
    Benchmark(
        "Rain100H",
        "test",
        100,
        _CALLED_H,
        _CVPR,
        _OLD,
        forms=_BSDS,
        psnr=_DENSE,
        exact=True,
        known=RAIN100H,
    ),
    Benchmark(
        "Rain100H",
        "train",
        1800,
        _CALLED_H,
        _CVPR,
        _OLD,
        forms=_BSDS,
        psnr=_DENSE,
        holds=_TEST_BACKGROUNDS,
    ),
    Benchmark(
        "Rain100H",
        "train",
        1254,
        _CALLED_H,
        _CVPR,
        f"{_OLD}, without test pictures",
        forms=_BSDS,
        psnr=_DENSE,
    ),
    Benchmark(
        "Rain100H",
        "test or train",
        1900,
        _CALLED_H,
        "DPENet's sample",
        _OLD,
        forms=_BSDS,
        known=RAIN100H_SAMPLE,
    ),
    Benchmark(
        "Rain200L",
        "test",
        200,
        ("rain200l", "rainlight"),
        _TPAMI,
        _NEW_L,
        forms=_BSDS,
        psnr=_LIGHT,
        also=_CALLED_L,
    ),
    Benchmark(
        "Rain200L",
        "train",
        1800,
        ("rain200l", "rainlight"),
        _TPAMI,
        _NEW_L,
        forms=_BSDS,
        psnr=_LIGHT,
        also=_CALLED_L,
    ),
    Benchmark(
        "Rain200H",
        "test",
        200,
        ("rain200h", "rainheavy"),
        _TPAMI,
        _NEW_H,
        forms=_BSDS,
        psnr=_DENSE,
        also=_CALLED_H,
    ),
    Benchmark(
        "Rain200H",
        "train",
        1800,
        ("rain200h", "rainheavy"),
        _TPAMI,
        _NEW_H,
        forms=_BSDS,
        psnr=_DENSE,
        also=_CALLED_H,
    ),
    Benchmark(
        "Rain12",
        "test",
        12,
        ("rain12", "test12"),
        "Li et al., CVPR 2016",
        forms=_BSDS,
        psnr=30.135,
        exact=True,
        known=RAIN12,
    ),
    Benchmark("Rain800", "test", 100, ("rain800", "idcgan"), _ID_CGAN),
    Benchmark("Rain800", "train", 700, ("rain800", "idcgan"), _ID_CGAN),
    Benchmark(
        "Rain1200",
        "test",
        1200,
        ("rain1200", "didmdn", "test1200"),
        _DID,
        forms=_SQUARE,
        short=("did",),
    ),
    Benchmark(
        "Rain1200", "train", 12000, ("rain1200", "didmdn"), _DID, forms=_SQUARE, short=("did",)
    ),
    Benchmark(
        "Rain1200",
        "train",
        4000,
        ("rainheavy", "rainmedium", "rainlight"),
        _DID,
        "one density of three",
        forms=_SQUARE,
    ),
    Benchmark("Rain1400", "test", 1400, _CALLED_1400, _DDN, clean=100, short=("ddn",)),
    Benchmark("Rain1400", "train", 12600, _CALLED_1400, _DDN, clean=900, short=("ddn",)),
    Benchmark(
        "Rain1400",
        "test or train",
        14000,
        _CALLED_1400,
        _DDN,
        clean=1000,
        known=RAIN1400,
        short=("ddn",),
    ),
    Benchmark("Rain1400", "test", 2800, _CALLED_1400, _MSPFN, "the 2800 of MSPFN"),
    Benchmark(
        "SPA-data",
        "test",
        1000,
        ("spadata", "realtest1000"),
        _SPA,
        forms=_SQUARE,
        known=SPA,
        short=("spa",),
    ),
    Benchmark(
        "SPA-data", "train", 638_492, ("spadata",), _SPA, forms=_PATCHES, short=("spa", "realworld")
    ),
    Benchmark(
        "Outdoor-Rain",
        "test",
        750,
        ("outdoorrain", "cvpr19raintest"),
        _HEAVY,
        "Test1",
        clean=50,
        short=("test1",),
    ),
    Benchmark("Outdoor-Rain", "train", 9000, ("outdoorrain", "cvpr19raintrain"), _HEAVY, clean=600),
    Benchmark("Rain13K", "train", 13_712, ("rain13k",), _MSPFN, known=RAIN13K),
)
