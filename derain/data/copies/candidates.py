"""Candidates for copies: pictures that might show the same, found without comparing every two.

The test is cheap enough for large datasets, and wrong often enough to need a second one (`search`).

A picture is known by a few hundred local features. Their SIFT descriptors (Lowe, "Distinctive image
features from scale-invariant keypoints", 2004; square roots as in Arandjelović and Zisserman,
"Three things everyone should know to improve object retrieval", 2012) bear cropping, resizing and
turning. They are written in a basis of cosines over space and harmonics over direction, of which
the low ones are kept: 40 numbers for 128, and a mirrored picture has the same ones but for signs.

Pictures share features if their descriptors fall into the same cell of one of several random cuts
of that space into 2^24 cells (locality-sensitive hashing, Charikar 2002). What falls together with
many says little, so a feature shares one vote in each cut among all it falls together with. Sorting
does this; no two pictures are compared one by one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from derain.data.copies.vision import Grey, find_features, grey_of, resize_grey
from derain.images import Pixels

Codes = NDArray[np.int8]
Signs = NDArray[np.int8]

PIXELS = 100_000
"""Pixels that pictures are averaged down to before features are extracted."""
FEATURES = 500
"""Features of a picture at most."""
CUTS = 16
BITS = 24
BLOCK = 2048
"""Pictures that are compared with as many others in one step; memory grows with its square."""


@dataclass(frozen=True)
class Features:
    """Features by which copies of a picture are found, about 25 kB.

    Attributes:
        size: Height and width of the averaged-down picture.
        places: Where its local features lie in it, (n, 2), x and y.
        codes: Their descriptors, (n, 40).
        signs: Of the whole picture, (8, 8) of -1 and 1; see `signs_of`.
    """

    size: tuple[int, int]
    places: NDArray[np.float32]
    codes: Codes
    signs: Signs


@dataclass(frozen=True)
class Candidate:
    """Two pictures, by their numbers, that seem to share features.

    Attributes:
        mirrored: One of them has to be mirrored first.
        votes: How much they share.
    """

    picture: int
    of: int
    mirrored: bool
    votes: float


def extract_features(grey: Grey) -> Features:
    """Return the features of an averaged-down grey picture (h, w)."""
    places, descriptors = find_features(grey, FEATURES)
    return Features((grey.shape[0], grey.shape[1]), places, _encode(descriptors), signs_of(grey))


# Whole pictures


def fingerprint(pixels: Pixels) -> int:
    """Return 64 bits of RGB pixels (H, W, 3) that resizing and recompression hardly change.

    They are the signs of the 8 x 8 slowest cosines in the picture (after "pHash", Zauner 2010); the
    mean's is 0. Compare by ``(a ^ b).bit_count()``: a few for the same picture, about 32 for
    others. Pictures without detail all have much the same bits.
    """
    return fingerprint_of_grey(grey_of(pixels))


def fingerprint_of_grey(grey: Grey) -> int:
    """Return the `fingerprint` of a picture by its luma in full (H, W)."""
    bits = (signs_of(grey) < 0).ravel()
    return int("".join("01"[int(bit)] for bit in bits), 2)


def signs_of(grey: Grey) -> Signs:
    """Return the signs of the 8 x 8 slowest cosines in a picture (H, W): (8, 8) of -1 and 1.

    That of the mean is always 1. Flipping the picture changes odd ones only.
    """
    basis = _cosines(32)[:8]
    waves = basis @ resize_grey(grey, (32, 32)).astype(np.float64) @ basis.T
    waves[0, 0] = 1
    return np.where(waves < -1e-9, -1, 1).astype(np.int8)


def turned_signs(signs: Signs) -> NDArray[np.int8]:
    """Return the signs (8, 64) of a picture flipped and turned in eight ways.

    Row 0 is the picture as it is, 2 left to right, 4 upside down, 6 both; rows 1, 3, 5 and 7 are
    these transposed.
    """
    odd = np.where(np.arange(8) % 2, -1, 1)
    flips = [signs, signs * odd, signs * odd[:, None], signs * odd * odd[:, None]]
    return np.stack([sides.ravel() for flip in flips for sides in (flip, flip.T)]).astype(np.int8)


def alike_as_wholes(
    pictures: Sequence[Features], among: Sequence[Features], *, most: int, differ: int
) -> Iterator[tuple[int, int, int]]:
    """Yield pairs of pictures whose signs differ little, and how the first has to be turned.

    Args:
        pictures: Pictures to look for.
        among: Pictures to look in; the very same list pairs each picture with earlier ones.
        most: Pairs of each picture at most: those that are most alike, the earlier ones of equals.
        differ: Places at most in which the signs differ.

    Yields:
        The numbers of both pictures, and the row of `turned_signs`.
    """
    for start, rows in _blocks(pictures):
        turned = np.stack([turned_signs(each.signs) for each in rows])  # (n, 8, 64)
        turned = turned.astype(np.float32)
        tops: list[tuple[int, int, int, int]] = []
        for other, columns in _blocks(among):
            theirs = np.stack([each.signs.ravel() for each in columns]).astype(np.float32)
            # Places that agree less those that differ: 64 for equal signs.
            agree = np.stack([turned[:, way] @ theirs.T for way in range(8)])  # (8, n, m)
            if pictures is among:
                agree[:, _is_not_earlier(start, other, agree.shape[1:])] = -64
            best = agree.max(axis=0)
            nearest = np.argsort(-best, axis=1, kind="stable")[:, :most]
            for i, k in np.argwhere(np.take_along_axis(best, nearest, axis=1) >= 64 - 2 * differ):
                j = nearest[i, k]
                tops.append(
                    (start + int(i), -int(best[i, j]), other + int(j), int(agree[:, i, j].argmax()))
                )
        tops.sort()
        yield from (
            (i, j, way)
            for k, (i, _, j, way) in enumerate(tops)
            if k < most or tops[k - most][0] != i
        )


def _is_not_earlier(start: int, other: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return where rows meet themselves or later pictures, in blocks of one list: (n, m)."""
    return other + np.arange(shape[1]) >= start + np.arange(shape[0])[:, None]


# Local features


def _cosines(size: int) -> NDArray[np.float64]:
    """Return the orthonormal cosine basis (DCT-II), a row each."""
    k = np.arange(size)
    basis = np.cos(np.pi * k[:, None] * (k + 0.5) / size)
    return basis / np.linalg.norm(basis, axis=1, keepdims=True)


def _harmonics() -> NDArray[np.float64]:
    """Return cos, sin, cos 2, sin 2 over the eight directions of a SIFT histogram, a row each."""
    angle = np.arange(8) * np.pi / 4
    return np.stack([wave(k * angle) / 2 for k in (1, 2) for wave in (np.cos, np.sin)])


_SLOW = [(i, j) for i in range(4) for j in range(4) if i + j <= 3]
_BASIS = np.stack(
    [
        np.einsum("a,b,c->abc", _cosines(4)[i], _cosines(4)[j], h).ravel()
        for i, j in _SLOW
        for h in _harmonics()
    ]
)
_MIRROR = np.array([(-1) ** i * sign for i, _ in _SLOW for sign in (1, -1, 1, -1)], np.float32)
"""Mirrored along the feature's own direction, rows are reversed and angles negated: odd rows and
sines change sign.
"""


def _encode(descriptors: NDArray[np.float32]) -> Codes:
    """Return the codes (n, 40) of SIFT descriptors (n, 128)."""
    roots = np.sqrt(descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6))
    return np.rint(127 * (roots @ _BASIS.T.astype(np.float32))).clip(-127, 127).astype(np.int8)


def mirror(codes: Codes) -> Codes:
    """Return the codes that the mirrored picture's features have."""
    return (codes * _MIRROR).astype(np.int8)


def match_features(
    codes: Codes, others: Codes, ratio: float = 0.8
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Match features that are most alike, where the second most alike is clearly less so.

    Source: Lowe 2004, section 7.1.

    Returns:
        Numbers of features in the first and in the second picture, (n,) each.
    """
    if not len(codes) or len(others) < 2:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    a, b = codes.astype(np.float32), others.astype(np.float32)
    distances = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    nearest = distances.argmin(axis=1)
    rows = np.arange(len(a))
    first = distances[rows, nearest]
    distances[rows, nearest] = np.inf
    clear = np.flatnonzero(first < ratio**2 * distances.min(axis=1))
    return clear, nearest[clear]


def find_candidates(
    pictures: Sequence[Features], among: Sequence[Features], *, most: int, least: float
) -> list[Candidate]:
    """Return for each picture the others that share most votes with it.

    Args:
        pictures: Pictures to look for.
        among: Pictures to look in; the very same list pairs each picture with earlier ones.
        most: Others of each picture at most.
        least: Votes that they must share.
    """
    found: list[Candidate] = []
    for start, rows in _blocks(pictures):
        tops: list[Candidate] = []
        for other, columns in _blocks(among):
            if pictures is among and other > start:
                break
            votes = np.stack(
                [_votes(rows, columns, mirrored=mirrored) for mirrored in (False, True)]
            )
            if pictures is among:
                votes[:, _is_not_earlier(start, other, votes.shape[1:])] = -1
            tops += _strongest(votes, start, other, most, least)
        tops.sort(key=lambda candidate: (candidate.picture, -candidate.votes, candidate.of))
        found += [
            each
            for k, each in enumerate(tops)
            if k < most or tops[k - most].picture != each.picture
        ]
    return found


def _strongest(
    votes: NDArray[np.float64], start: int, other: int, most: int, least: float
) -> list[Candidate]:
    """Return the best of votes (2, n, m), upright and mirrored."""
    best = votes.max(axis=0)
    if best.shape[1] > most:
        floor = -np.partition(-best, most - 1, axis=1)[:, most - 1 : most]
        best = np.where(best >= floor, best, -1)
    return [
        Candidate(
            start + int(i), other + int(j), bool(votes[1, i, j] > votes[0, i, j]), float(best[i, j])
        )
        for i, j in np.argwhere(best >= least)
    ]


def _votes(
    pictures: Sequence[Features], among: Sequence[Features], *, mirrored: bool
) -> NDArray[np.float64]:
    """Return the votes between pictures and others, (n, m)."""
    ours = np.concatenate([each.codes for each in pictures])
    ours = (mirror(ours) if mirrored else ours).astype(np.float32)
    theirs = np.concatenate([each.codes for each in among]).astype(np.float32)
    votes = np.zeros(len(pictures) * len(among))
    if not len(ours) or not len(theirs):
        return votes.reshape(len(pictures), len(among))
    # Cuts through the middle of all codes make cells of similar numbers; what a mirror changes the
    # sign of has its middle at 0, or mirrored codes would lie in other cells.
    centre = (theirs.mean(axis=0) * (_MIRROR > 0)).astype(np.float32)
    row = np.repeat(np.arange(len(pictures)), [len(each.codes) for each in pictures])
    column = np.repeat(np.arange(len(among)), [len(each.codes) for each in among])
    for directions in _cuts(ours.shape[1]):
        mine, their = _cells(ours - centre, directions), _cells(theirs - centre, directions)
        # In sorted order, the features of one cell are neighbours.
        order = np.argsort(their)
        first, last = (np.searchsorted(their[order], mine, side=side) for side in ("left", "right"))
        shared = last - first
        # One row for each two features in a cell; a feature's one vote is split among its rows.
        feature = np.repeat(np.arange(len(mine)), shared)
        place = np.arange(len(feature)) - np.repeat(np.cumsum(shared) - shared - first, shared)
        where = row[feature] * len(among) + column[order[place]]
        votes += np.bincount(where, 1 / shared[feature], minlength=len(votes))
    return votes.reshape(len(pictures), len(among))


def _cuts(size: int) -> Iterator[NDArray[np.float32]]:
    """Yield orthonormal directions (size, BITS) for each cut, always the same."""
    random = np.random.default_rng(0)
    for _ in range(CUTS):
        yield np.linalg.qr(random.standard_normal((size, size)))[0][:, :BITS].astype(np.float32)


def _cells(codes: NDArray[np.float32], directions: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return the numbers of the cells that codes (n, size) lie in: (n,)."""
    sides = codes @ directions > 0
    packed = np.packbits(sides, axis=1).astype(np.int32)
    return packed[:, 0] << 16 | packed[:, 1] << 8 | packed[:, 2]


def _blocks(pictures: Sequence[Features]) -> Iterator[tuple[int, Sequence[Features]]]:
    for start in range(0, len(pictures), BLOCK):
        yield start, pictures[start : start + BLOCK]
