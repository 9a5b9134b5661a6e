"""Find pictures that occur in another set, or twice in one.

They may be cropped, flipped, turned, resized, recompressed, or lightly rained on.

Files are compared by their bytes, then by their pixels; of equal ones only the first is compared
further. Those left are compared by local features and as wholes (`candidates`). For each
candidate the affine map between the two is fitted to the features they share, and both are laid
over each other: they are a copy if what they show there correlates. Sky over ground correlates with
any other sky over ground, so only detail counts: what is finer than a few pixels, and as much where
it is faint as where it is strong.

What is found: crops down to a half of each side, sizes of 0.4 to 2, JPEG qualities down to 40, any
of these at once with flips and quarter turns, if what is left of the picture has about 100 x 100
pixels or more and shows some detail. Less is found as far as features go; heavy rain hides them.
Pictures without any detail are copies only if their pixels are the same.

SIFT was taken after ORB was tried: ORB takes a third of the time, but finds nothing in small crops
of low quality. Neither needs OpenCV's matchers, which compare every two pictures.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from derain.data.copies.album import Album, Content, Greys
from derain.data.copies.candidates import (
    Features,
    alike_as_wholes,
    find_candidates,
    match_features,
    mirror,
)
from derain.data.copies.vision import Grey, Matrix, blur, fit_affine, resize_grey, warp_grey
from derain.progress import Progress, silent

Change = Literal[
    "identical bytes",
    "same pixels",
    "flipped",
    "turned",
    "cropped",
    "resized",
    "recompressed",
    "changed",
]

CORRELATION = 0.3
"""Correlation of detail from which on two pictures laid over each other are copies."""
UNCHANGED = 0.8
"""Correlation above which a difference is put down to compression."""
OVERLAP = 0.2
"""Share of the smaller picture that both must show."""
CANDIDATES = 8
"""Candidates of each picture at most, by local features, and as many by the whole of it."""
OPEN = 16
"""Averaged-down pictures kept in memory at once while two of them are compared."""
VOTES = 2.0
"""Votes of shared features from which on two pictures are compared."""
INLIERS = 5
"""Shared features that one affine map must explain."""
SIGNS = 10
"""Signs of 63 in which whole pictures that look alike may differ."""

SCALE = 0.03
"""Difference of a crop's scale from 1 from which on it is called resized."""
EDGE = 0.03
"""Share of a side by which a crop must be smaller than the whole to be called one."""


@dataclass(frozen=True)
class Copy:
    """A picture that shows what another one shows.

    Attributes:
        picture: The copy.
        of: What it is a copy of.
        how: What was done to one of them to get the other. "turned" is by 90, 180 or 270 degrees;
            "recompressed" is a small difference between pixels that lie where they were (resized
            pictures are not tested for it), "changed" a large one such as rain.
        correlation: How well the detail that both show correlates, up to 1.
    """

    picture: Path
    of: Path
    how: tuple[Change, ...]
    correlation: float


@dataclass(frozen=True)
class Search:
    """The copies that were found, and files that could not be read, each with the reason."""

    copies: tuple[Copy, ...]
    unreadable: Mapping[Path, str]


def find_copies(
    pictures: Sequence[Path],
    among: Sequence[Path],
    progress: Progress = silent,
    album: Album | None = None,
) -> Search:
    """Return which of the pictures occur among others.

    Args:
        pictures: Files to look for.
        among: Files to look in. One that is in both lists is a copy of itself; of equal ones the
            first is named.
        progress: Receives the stage "copies", with the number of different files.
        album: What is already known of files, and the halves to be compared where a file holds two
            pictures.

    Returns:
        Copies in the order of `pictures`, the surest first.
    """
    album = album or Album()
    files = _read_all([*pictures, *among], partial(progress, "copies"), album)
    ours, theirs = files.by_content(pictures), files.by_content(among)
    found = _find_alike(files, album, list(ours), list(theirs))
    copies = [
        _equal(files, path, theirs[content])
        for content in ours
        for path in ours[content]
        if content in theirs
    ]
    for (a, b), (how, correlation) in found.items():
        copies += [Copy(path, theirs[b][0], how, correlation) for path in ours[a]]
    return files.result(copies, pictures)


def find_duplicates(
    pictures: Sequence[Path], progress: Progress = silent, album: Album | None = None
) -> Search:
    """Return which pictures occur more than once, each with an earlier one that shows the same.

    Args:
        pictures: Files to compare with each other. Naming a file twice makes no duplicate, another
            name of it does.
        progress: Receives the stage "duplicates", with the number of different files.
        album: As for `find_copies`.
    """
    album = album or Album()
    files = _read_all(pictures, partial(progress, "duplicates"), album)
    contents = files.by_content(pictures)
    copies = [
        _equal(files, path, paths[:k])
        for paths in contents.values()
        for k, path in enumerate(paths)
        if k
    ]
    for (later, earlier), (how, correlation) in _find_alike(files, album, list(contents)).items():
        copies.append(Copy(contents[later][0], contents[earlier][0], how, correlation))
    return files.result(copies, pictures)


# Reading


@dataclass(frozen=True)
class _Files:
    """What is known of all files.

    Attributes:
        bytes: Digest of each file's bytes.
        contents: What files of these bytes show.
        unreadable: Why a file cannot be read.
    """

    bytes: Mapping[Path, str]
    contents: Mapping[str, Content]
    unreadable: Mapping[Path, str]

    def by_content(self, paths: Iterable[Path]) -> dict[str, list[Path]]:
        """Return readable files by the digest of their pixels."""
        found: dict[str, list[Path]] = {}
        for path in dict.fromkeys(paths):
            if path not in self.unreadable:
                found.setdefault(self.contents[self.bytes[path]].digest, []).append(path)
        return found

    def result(self, copies: list[Copy], order: Sequence[Path]) -> Search:
        """Return copies sorted by the place of the picture, the surest first."""
        place = {path: k for k, path in enumerate(order)}
        return Search(
            tuple(sorted(copies, key=lambda copy: (place[copy.picture], -copy.correlation))),
            self.unreadable,
        )


def _read_all(paths: Sequence[Path], progress: Callable[[int, int], None], album: Album) -> _Files:
    """Read every different file once, or not at all if the album knows it."""
    different = list(dict.fromkeys(paths))
    firsts = {album.key(path): path for path in reversed(different)}
    files = [path for path in different if firsts[album.key(path)] is path]
    contents: dict[Path, Content | Exception] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, content in zip(
            files, pool.map(partial(_content_or_error, album), files), strict=True
        ):
            contents[path] = content
            progress(len(contents), len(files))
    digests: dict[Path, str] = {}
    known: dict[str, Content | Exception] = {}
    unreadable: dict[Path, str] = {}
    for path in different:
        content = contents[firsts[album.key(path)]]
        if isinstance(content, OSError):
            unreadable[path] = _reason(content)
            continue
        digests[path] = album.digest(path)
        # Files of the same bytes are the same picture, even if one is known under two layouts.
        content = known.setdefault(digests[path], content)
        if isinstance(content, Exception):
            unreadable[path] = _reason(content)
    readable = {key: content for key, content in known.items() if isinstance(content, Content)}
    return _Files(digests, readable, unreadable)


def _content_or_error(album: Album, path: Path) -> Content | OSError | ValueError:
    try:
        return album.content(path)
    except (OSError, ValueError) as error:
        return error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)


def _equal(files: _Files, path: Path, others: Sequence[Path]) -> Copy:
    """Return a copy with the very pixels of others, named after one of the same bytes if any is."""
    same = next((other for other in others if files.bytes[other] == files.bytes[path]), None)
    return Copy(path, same or others[0], ("identical bytes",) if same else ("same pixels",), 1.0)


# Laying one over the other


Likeness = tuple[tuple[Change, ...], float]
"""How a copy was changed, and how well it correlates."""


def _find_alike(
    files: _Files, album: Album, ours: Sequence[str], theirs: Sequence[str] | None = None
) -> dict[tuple[str, str], Likeness]:
    """Return pictures that show the same though their pixels differ, as pairs of contents.

    Args:
        files: The files of each content.
        album: Reads and keeps the pictures.
        ours: Contents to look for.
        theirs: Contents to compare with; None compares each with those before it, until one is
            found.
    """
    contents = {content.digest: content for content in files.contents.values()}
    paths = {
        files.contents[digest].digest: path
        for path, digest in files.bytes.items()
        if digest in files.contents
    }
    features = [contents[digest].features for digest in ours]
    others = features if theirs is None else [contents[digest].features for digest in theirs]

    # Candidates of one picture follow each other: it is averaged down once for all of them.
    @lru_cache(maxsize=OPEN)
    def greys_of(digest: str) -> Greys:
        return album.greys(contents[digest], paths[digest])

    found: dict[tuple[str, str], Likeness] = {}
    settled: set[int] = set()
    for i, j, fit in _fits(features, others):
        pair = ours[i], (ours if theirs is None else theirs)[j]
        matrix = None if i in settled or pair[0] == pair[1] or pair in found else fit()
        if matrix is None:
            continue
        a, b = (greys_of(digest) for digest in pair)
        correlation = correlate(a.small, b.small, matrix)
        if correlation >= CORRELATION:
            found[pair] = _name_changes(a, b, matrix, correlation), correlation
            settled |= {i} if theirs is None else set()
    return found


def _fits(
    ours: Sequence[Features], theirs: Sequence[Features]
) -> Iterator[tuple[int, int, Callable[[], Matrix | None]]]:
    """Yield candidates by number, and a function that fits the map from one to the other."""
    for candidate in find_candidates(ours, theirs, most=CANDIDATES, least=VOTES):
        a, b = ours[candidate.picture], theirs[candidate.of]
        yield candidate.picture, candidate.of, partial(_fit, a, b, mirrored=candidate.mirrored)
    for i, j, way in alike_as_wholes(ours, theirs, most=CANDIDATES, differ=SIGNS):
        yield i, j, partial(_whole, ours[i].size, theirs[j].size, way)


def _fit(a: Features, b: Features, *, mirrored: bool) -> Matrix | None:
    """Return the map from a picture to another that their features agree on, or None."""
    mine, other = match_features(mirror(a.codes) if mirrored else a.codes, b.codes)
    flip = np.array([-1 if mirrored else 1, 1], np.float32)
    fit = fit_affine(a.places[mine] * flip, b.places[other], tolerance=3)
    if fit is None or fit[1].sum() < INLIERS:
        return None
    matrix = fit[0] * np.append(flip, 1)
    long, short = np.linalg.svd(matrix[:, :2], compute_uv=False)
    return matrix if long < 2 * short and 0.1 < long < 10 else None


def _whole(size: tuple[int, int], target: tuple[int, int], way: int) -> Matrix:
    """Return the map from a whole picture to another one, turned as in a row of `turned_signs`."""
    flip, transposed = divmod(way, 2)
    height, width = size
    matrix = np.diag([-1.0 if flip & 1 else 1.0, -1.0 if flip & 2 else 1.0, 1.0])
    matrix[:2, 2] = [width - 1 if flip & 1 else 0, height - 1 if flip & 2 else 0]
    if transposed:
        matrix, size = matrix[[1, 0, 2]], (width, height)
    return (_resizing(size, target) @ matrix)[:2]


def _resizing(size: tuple[int, int], target: tuple[int, int]) -> NDArray[np.float64]:
    """Return the map (3, 3) from places in a picture (h, w) to those in it resized.

    Centres of pixels are at whole numbers.
    """
    x, y = target[1] / size[1], target[0] / size[0]
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])


def _square(matrix: Matrix) -> NDArray[np.float64]:
    return np.vstack([matrix, [0, 0, 1]])


def correlate(a: Grey, b: Grey, matrix: Matrix) -> float:
    """Return how well the detail of two pictures correlates where one lies over the other.

    The finer one is averaged down to the other's scale. Detail is the difference of Gaussian
    windows of 1 and 6 pixels, over its own strength nearby, so that one strong edge does not speak
    for the whole.

    Args:
        a: A picture (h, w).
        b: Another one, of any size.
        matrix: The map from places in `a` to places in `b`.

    Returns:
        From -1 to 1; 0 if they hardly overlap.
    """
    scale = abs(np.linalg.det(matrix[:, :2])) ** 0.5
    if scale < 1:
        a, b, matrix, scale = (
            b,
            a,
            np.asarray(np.linalg.inv(_square(matrix))[:2], np.float64),
            1 / scale,
        )
    size = max(1, round(b.shape[0] / scale)), max(1, round(b.shape[1] / scale))
    small = resize_grey(b, size)
    matrix = (_resizing((b.shape[0], b.shape[1]), size) @ _square(matrix))[:2]
    inside = _inside((a.shape[0], a.shape[1]), size, matrix)
    if inside.sum() < max(OVERLAP * min(a.size, small.size), 256):
        return 0.0
    over = warp_grey(small, matrix, (a.shape[0], a.shape[1]))
    mine, other = (_detail(grey)[inside] for grey in (a, over))
    mine, other = mine - mine.mean(), other - other.mean()
    return float(mine @ other / max(np.linalg.norm(mine) * np.linalg.norm(other), 1e-6))


def _inside(size: tuple[int, int], target: tuple[int, int], matrix: Matrix) -> NDArray[np.bool_]:
    """Return which pixels of a picture of one size lie inside the other: (h, w)."""
    y, x = np.mgrid[: size[0], : size[1]]
    at_x, at_y = (row[0] * x + row[1] * y + row[2] for row in matrix)
    return (at_x > -0.5) & (at_x < target[1] - 0.5) & (at_y > -0.5) & (at_y < target[0] - 0.5)


def _detail(grey: Grey) -> NDArray[np.float32]:
    plane = grey.astype(np.float32)
    band: NDArray[np.float32] = blur(plane, 1) - blur(plane, 6)
    strength: NDArray[np.float32] = np.sqrt(blur(np.square(band), 6))
    # 3 of 255 levels: noise in smooth places is no detail.
    return (band / (strength + 3)).astype(np.float32)


# Naming


def _name_changes(a: Greys, b: Greys, matrix: Matrix, correlation: float) -> tuple[Change, ...]:
    """Return what was done to a copy, given the map between the averaged-down pictures."""
    shape_a, shape_b = (a.small.shape[0], a.small.shape[1]), (b.small.shape[0], b.small.shape[1])
    # The same map between the pictures in full.
    full = _resizing(shape_b, b.size) @ _square(matrix) @ _resizing(a.size, shape_a)
    linear = full[:2, :2]
    way = _nearest_way(linear)
    sides = a.size if way[0, 0] else a.size[::-1]
    cropped = not _covers(full, a.size, b.size)
    resized = (
        not np.allclose(np.linalg.norm(linear, axis=0), 1, atol=SCALE)
        if cropped
        else sides != b.size
    )
    how: list[Change] = []
    if np.linalg.det(way) < 0:
        how.append("flipped")
    if not way[0, 0] or (way == -np.eye(2)).all():
        how.append("turned")
    if cropped:
        how.append("cropped")
    if resized:
        how.append("resized")
    if correlation < UNCHANGED:
        how.append("changed")
    elif not resized and not _same_where_laid(a, b, full, way):
        how.append("recompressed")
    return tuple(how)


def _nearest_way(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the flip or quarter turn (2, 2) that a linear map is nearest to."""
    signs = np.array([(x, y) for x in (1.0, -1.0) for y in (1.0, -1.0)])
    ways = [np.diag(pair) for pair in signs] + [np.diag(pair)[::-1] for pair in signs]
    return max(ways, key=lambda way: float((way * linear).sum()))


def _covers(full: NDArray[np.float64], size: tuple[int, int], target: tuple[int, int]) -> bool:
    """Return whether two pictures show all of each other, but for a few pixels at the edges."""
    corners = np.array([[-0.5, -0.5, 1], [size[1] - 0.5, size[0] - 0.5, 1]]).T
    ends = np.sort((full @ corners)[:2] + 0.5, axis=1)  # (2, 2): from, to of x and y
    wide = np.array([target[1], target[0]])
    return bool(
        (np.abs(ends[:, 0]) < EDGE * wide).all() and (np.abs(ends[:, 1] - wide) < EDGE * wide).all()
    )


def _same_where_laid(
    a: Greys, b: Greys, full: NDArray[np.float64], way: NDArray[np.float64]
) -> bool:
    """Return whether two pictures of one scale have equal pixels where they overlap.

    The place that was fitted is a little off; places near it are tried.
    """
    height, width = a.size
    mine, other = a.full, b.full
    if not way[0, 0]:
        mine, way = mine.T, way[:, ::-1]
    mine = mine[:: int(way[1, 1]), :: int(way[0, 0])]
    centre = full @ [(width - 1) / 2, (height - 1) / 2, 1]
    left, top = (
        round(centre[0] - (mine.shape[1] - 1) / 2),
        round(centre[1] - (mine.shape[0] - 1) / 2),
    )
    reach = 2 + 2 * round(max(height / a.small.shape[0], b.size[0] / b.small.shape[0]))
    near = range(-reach, reach + 1)
    return any(_equal_at(mine, other, top + y, left + x) for y in near for x in near)


def _equal_at(a: Grey, b: Grey, top: int, left: int) -> bool:
    """Return whether pixels are equal where the corner of `a` lies at a place of `b`.

    A line through the middle is tried first, which settles most cases.
    """
    first_row, first_column = max(0, top), max(0, left)
    rows, columns = (
        min(b.shape[0], top + a.shape[0]) - first_row,
        min(b.shape[1], left + a.shape[1]) - first_column,
    )
    if rows <= 0 or columns <= 0:
        return False
    mine = a[first_row - top :, first_column - left :][:rows, :columns]
    other = b[first_row:, first_column:][:rows, :columns]
    return bool((mine[rows // 2] == other[rows // 2]).all()) and bool((mine == other).all())
