"""The field's datasets, as facts to know them by, and which of them pairs belong to.

Counts and names are those of the papers and of the files their authors, or later ones, gave out;
each row names its source.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

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
"""Bits of 64 in which fingerprints of one picture differ at most: 3 were seen, cropped by a pixel
and recompressed; others 12.
"""
SAME_RAIN = 0.7
"""dB by which the same pair's PSNR changes at most, cropped by a pixel or recompressed."""
SAME_SET = 0.05
"""dB by which the mean of a whole set may lie beside the known one."""
LIKE_RAIN = 4.5
"""dB by which a part's mean lies beside that of its set at most; light and heavy rain are 13 apart.
"""
EXPECTED = 0.3
"""Of the known pairs that an evenly chosen part would hold, how many must be there."""
SURPLUS = 1.2
"""Times the pairs of a dataset that a copy of it may hold."""
ENOUGH = 4
"""Weight from which on a dataset is named; a count of a hundred alone is not enough."""


@dataclass(frozen=True)
class Benchmark:
    """Facts about a dataset.

    Attributes:
        part: What it is used for.
        pairs: In the whole of it.
        names: How folders of it are called, in small letters and without anything but letters and
            digits.
        source: Where the facts are from.
        version: Which one, where several go by one name, and what else is worth saying of it.
        clean: Different clean files, where several rainy ones share one.
        forms: What it is called by its pictures' sizes; empty if they vary.
        psnr: Mean of the rainy input in dB, y-matlab; of the whole set where it is `exact`, else
            about.
        known: Some of its pairs.
        also: How folders of the complete set are called too.
        short: What they are called that others are called as well; counts only where the set is
            complete and its sizes, or the number of its clean pictures, are right, or where pairs
            of it are known.
        holds: Fingerprints of clean pictures that have no place in it, and are there under other
            rain.
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
    """What was seen of a dataset.

    Attributes:
        names: Of its folder, and of those in it that say more.
        pairs: How many there are.
        clean: How many different clean files.
        sizes: Of each pair looked at.
        known: Each pair looked at, as `Known` ones are described.
        whole: All pairs were looked at.
        above: Names of the folders that it lies in, which may be anybody's.
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
        return (
            float(np.mean([min(100.0, pair.psnr) for pair in self.known])) if self.known else None
        )


@dataclass(frozen=True)
class Match:
    """A dataset that pairs may belong to, and what says so, the strongest first."""

    benchmark: Benchmark
    evidence: tuple[str, ...]
    weight: int


def recognise(traits: Traits, table: Sequence[Benchmark]) -> list[Match]:
    """The datasets that pairs may belong to by their content, their mean PSNR, count or name; all
    that are as likely.
    """
    own = _telling(traits.names, table)
    above = "" if own else _telling(traits.above, table)
    matches = [
        match
        for match in (_compare(traits, row, own, above) for row in table)
        if match and traits.known
    ]
    best = max((match.weight for match in matches), default=0)
    return [match for match in matches if match.weight == best]


def _telling(names: Sequence[str], table: Sequence[Benchmark]) -> str:
    """The first name that is one of any dataset."""
    return next(
        (name for name in names if any(_is_called(name, (*row.names, *row.also)) for row in table)),
        "",
    )


def _compare(traits: Traits, row: Benchmark, own: str, above: str) -> Match | None:
    """What speaks for a dataset; None if something speaks against it, or too little for it.

    Args:
        own: The name of its own that tells most, and of the folders above it the one that does;
            both may be empty.
    """
    common = sum(_is_known(pair, row.known) for pair in traits.known)
    by_content = common > EXPECTED * len(row.known) * len(traits.known) / row.pairs
    if traits.pairs > SURPLUS * row.pairs or not (by_content or _fits(traits, row)):
        return None
    complete = traits.pairs == row.pairs and row.clean in (None, traits.clean)
    as_a_part = bool(row.forms or row.psnr) and any(
        name.lower().startswith(row.part) for name in traits.names
    )
    short = next((name for name in traits.names if _is_called(name, row.short)), "")
    said = [
        (16, f"{common} of its known pairs are here", by_content),
        (
            8,
            f"the mean input PSNR is its {row.psnr} dB",
            complete and traits.whole and _is_exactly(traits, row),
        ),
        (4, f"{printable(own)} is its name", _goes_by(own, row, complete)),
        (
            4,
            f"it lies in {printable(above)}",
            _goes_by(above, row, complete) and (by_content or complete or as_a_part),
        ),
        (
            4,
            f"{printable(short)} is its short name",
            bool(short) and (by_content or (complete and _is_told_by_looking(row))),
        ),
        (
            2,
            "pictures of the test set are in it",
            any(is_alike(pair.fingerprint, one) for pair in traits.known for one in row.holds),
        ),
        (4 if _has_a_telling_count(row) else 2, f"it has {row.pairs} pairs", complete),
        (
            1,
            f"it is for {row.part}ing",
            any(each.lower().startswith(row.part) for each in (*traits.names, *traits.above)),
        ),
    ]
    evidence = tuple(text for _, text, holds in said if holds)
    weight = sum(points for points, _, holds in said if holds)
    return Match(row, evidence, weight) if weight >= ENOUGH else None


def _goes_by(name: str, row: Benchmark, complete: bool) -> bool:
    return _is_called(name, row.names) or (complete and _is_called(name, row.also))


def _is_told_by_looking(row: Benchmark) -> bool:
    """Its pictures have sizes of their own, or share clean ones in a way of its own."""
    return bool(row.forms or row.clean)


def _has_a_telling_count(row: Benchmark) -> bool:
    """Few other datasets have as many pairs: a large number that is not round, or one of pictures
    of the right sizes.
    """
    return bool(row.clean) or (row.pairs >= 1000 and (bool(row.forms) or row.pairs % 100 > 0))


def _is_exactly(traits: Traits, row: Benchmark) -> bool:
    return (
        row.exact
        and None not in (traits.psnr, row.psnr)
        and abs((traits.psnr or 0) - (row.psnr or 0)) <= SAME_SET
    )


def _fits(traits: Traits, row: Benchmark) -> bool:
    """Sizes and rain are as in the dataset."""
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
    """They are of the same picture."""
    return (fingerprint ^ other).bit_count() <= SIGNS


def _is_called(name: str, aliases: Sequence[str]) -> bool:
    """A folder's name begins with one of the dataset's as with a word: Rain1400 is not taken for
    Rain14, nor didactic for DID.
    """
    return any(_as_a_word(alias).match(name.lower()) for alias in aliases)


@cache
def _as_a_word(alias: str) -> re.Pattern[str]:
    """An alias with anything but letters and digits between its own, and none after it."""
    return re.compile("[^a-z0-9]*" + "[^a-z0-9]*".join(alias) + "(?![a-z0-9])")


def form_of(benchmark: Benchmark, sizes: Sequence[Size]) -> str:
    """What the form of a dataset is called by the sizes of its pictures; empty if it has but
    one.
    """
    if not benchmark.forms:
        return ""
    return (
        " and ".join(text for size, text in benchmark.forms if size in sizes)
        or "of another size than its own"
    )


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
