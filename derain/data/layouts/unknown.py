"""Recognise what is probably a paired dataset in a layout that derain does not know.

A folder in which no layout is found would be taken for clean photographs. If half of its pictures
are rainy, that spoils what is trained on them without a word, so this module looks for signs of
pairs first: lists of pairs, names of folders and of files, and folders that show the same scenes.
Near-duplicates inside one folder, as bursts are, say nothing.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np

from derain.data.alignment import FLAT, align, luma, rainier
from derain.data.layouts.folders import NoPairsError, find_pairs
from derain.data.layouts.halves import rainy_half
from derain.data.layouts.lists import LISTS, is_list, names_pairs
from derain.data.layouts.names import (
    RAINY_FOLDERS,
    folder_key,
    half_by_folder,
    half_by_name,
    match_names,
    path_inside,
    twin_key,
)
from derain.data.pairs import Problem
from derain.files import RESULT_MARK, is_litter, listed, printable, search
from derain.images import Pixels, read_image, readable_suffixes
from derain.metrics import Float64s

LOOKED_AT = 5
"""Pictures of two folders that are compared, spread evenly."""
DOUBT = 3
"""Comparisons that decide alone if none of them shows one scene twice."""
FOLDERS = 8
"""Folders beside each other up to which every two are compared; of more, only neighbours."""
COMPARISONS = 24
"""Pairs of folders that are compared at most, those nearest to the top first."""
ALIKE = 0.7
"""Plain correlation from which on small pictures without a clear peak show one scene."""
CLOSE = 8.0
"""Mean difference in levels up to which flat pictures are the same."""
RESIZED = 0.02
"""Share of a side by which twins may differ in size."""

RAINY_SIGNS = 2
"""Signs of three that pictures have more rain than their twins, on average."""
ALMOST_ALL = 0.9
"""Share of a folder's files whose names must come in twos."""
SUFFIX = re.compile(r"(?P<base>.*[-_ \d])(?P<word>[a-z]+)")
PREFIX = re.compile(r"(?P<word>[a-z]+)(?P<base>[-_ \d].*)")
SORT_THEM = (
    "move the rainy ones into rainy/ and the clean ones into clean/, or list the pairs in a text"
    " file"
)

VAGUE = ("in", "input", "inputs")
"""Names of rainy folders that folders of anything may have: they count beside others only."""
WET = re.compile(r"(^|.*([-_ ]|\d))rainy?[-_ ]?\d*(x\d+)?")
"""Names of rainy pictures: ``rain-001``, ``rain-001x2``, ``12_rainy``; not ``rain100-forest``."""
RESULT = RESULT_MARK.strip("_")
"""Ending of what ``derain run`` writes beside rainy photographs."""

PHOTOGRAPHS = (
    "if these are photographs without ground truth, name only their folder, or use --layout"
    " photographs"
)
"""What to do if the signs are wrong."""

Read = Callable[[Path], Pixels]


def unknown_pairs(
    folder: Path,
    read: Read = read_image,
    *,
    are_clean: bool = True,
    copies: bool = True,
    otherwise: str = PHOTOGRAPHS,
    without: Path | None = None,
) -> Problem | None:
    """Return what speaks for pairs in a folder in which no layout was found, or None.

    What names say is tried before pictures are decoded.

    Args:
        folder: What would be taken for a folder of photographs.
        read: Reads a picture (H, W, 3); raises OSError or ValueError if it cannot.
        are_clean: Whether the photographs would be taken for clean ones. Rainy ones alone are a
            sign of pairs only then.
        copies: Whether two folders of the very same pictures are a sign, too.
        otherwise: What to do if the signs are wrong, for the message.
        without: A folder inside of it whose pictures are left out.
    """
    if not folder.is_dir():
        return None
    # With derain's results: what they were made from is rainy.
    files = search(folder, readable_suffixes()).files
    tree = _Tree(folder, files if without is None else _outside(files, without))
    looks = _Looks(read, copies)
    problem = (
        _by_lists(tree)
        or _by_folders(tree)
        or _by_files(tree)
        or _by_scenes(tree, looks)
        or _by_pattern(tree, looks)
        or (_by_rain(tree) if are_clean else None)
    )
    return replace(problem, message=f"{problem.message}; {otherwise}") if problem else None


def copies_across(
    folder: Path, files: Sequence[Path], copies: Sequence[tuple[Path, Path]]
) -> Problem | None:
    """Return what speaks for pairs if most copies lie in two folders beside each other, or None.

    A search for duplicates finds twins of other sizes, names and numbers, too.

    Args:
        folder: What would be taken for a folder of photographs.
        files: Its pictures.
        copies: Two of them each that show the same.
    """
    tree = _Tree(folder, files)
    shown: dict[tuple[Path, Path], dict[Path, set[Path]]] = {}
    counts: Counter[tuple[Path, Path]] = Counter()
    for both in copies:
        places = {path: _place_beside(path, *both) for path in both}
        one, other = sorted(places.values())
        if one != other:
            counts[one, other] += 1
            for path, place in places.items():
                shown.setdefault((one, other), {}).setdefault(place, set()).add(path)
    for (one, other), count in counts.most_common(1):
        found = shown[one, other]
        parent = one if one in other.parents else one.parent
        few = min((one, other), key=lambda place: len(tree.pictures(place, parent)))
        pictures = len(tree.pictures(few, parent))
        if 2 * count > len(copies) and len(found[few]) > 1 and 2 * len(found[few]) > pictures:
            what = f"show the same scenes ({len(found[few])} of {pictures} are in both)"
            problem = _of_folders(tree, one, other, what, _halves_of(one, other, 0))
            return replace(problem, message=f"{problem.message}; {PHOTOGRAPHS}")
    return None


def _place_beside(path: Path, one: Path, other: Path) -> Path:
    """Return the folder of a picture just below what two pictures share, or that itself."""
    shared = next(place for place in one.parents if place in other.parents)
    inside = path.relative_to(shared).parts
    return shared / inside[0] if len(inside) > 1 else shared


def _outside(files: Sequence[Path], folder: Path) -> list[Path]:
    return [path for path in files if not path.resolve().is_relative_to(folder.resolve())]


def refuse_pairs(folder: Path, without: Path | None = None) -> None:
    """Refuse a folder of clean pictures that holds rainy ones too.

    Args:
        folder: Where the pictures lie.
        without: A folder inside of it whose pictures are left out: what was made of the others.

    Raises:
        ValueError: If it is a paired dataset, or looks like one.
        OSError: If a folder cannot be listed.
    """
    layout = _layout_of(folder, without)
    if layout:
        raise ValueError(
            f"{printable(folder)}: holds rainy pictures too ({layout}); expected only clean ones,"
            " such as its folder of clean pictures"
        )
    otherwise = "expected a folder with only clean pictures"
    doubt = unknown_pairs(folder, copies=False, otherwise=otherwise, without=without)
    if doubt:
        raise ValueError(doubt.message)


def _layout_of(folder: Path, without: Path | None) -> str:
    """Return in which layout a folder holds pairs; empty if it holds none in a known one."""
    if without is not None:
        # Layouts are of whole folders. All but this one are among the signs of unknown ones, too.
        rainy = rainy_half(_outside(search(folder, readable_suffixes()).files, without), read_image)
        return f"side by side, rainy on the {rainy}" if rainy else ""
    try:
        return find_pairs(folder).layout
    except NoPairsError:
        return ""
    except ValueError:  # there are pairs, and something is wrong with them
        return "pairs"


@dataclass(frozen=True)
class _Tree:
    """The pictures of a folder by the folders that they lie in."""

    root: Path
    files: Sequence[Path]

    @cached_property
    def direct(self) -> dict[Path, list[Path]]:
        """The pictures that lie in a folder itself."""
        found: dict[Path, list[Path]] = {}
        for path in self.files:
            found.setdefault(path.parent, []).append(path)
        return found

    @cached_property
    def under(self) -> dict[Path, list[Path]]:
        """The pictures anywhere under a folder, for all folders from the root on."""
        found: dict[Path, list[Path]] = {}
        for place, files in self.direct.items():
            for above in (place, *place.parents):
                found.setdefault(above, []).extend(files)
                if above == self.root:
                    break
        return dict(sorted(found.items(), key=lambda item: (len(item[0].parts), item[0])))

    @cached_property
    def children(self) -> dict[Path, list[Path]]:
        """The folders of pictures that lie in a folder."""
        found: dict[Path, list[Path]] = {}
        for place in self.under:
            if place != self.root:
                found.setdefault(place.parent, []).append(place)
        return found

    def beside(self, place: Path) -> list[Path]:
        """Return these folders, and first the folder itself if it holds pictures, too."""
        return [place] * (place in self.direct) + self.children.get(place, [])

    def pictures(self, place: Path, parent: Path) -> list[Path]:
        """Return the pictures of a folder that `beside` gave for its parent."""
        return self.direct[place] if place == parent else self.under[place]


def _by_lists(tree: _Tree) -> Problem | None:
    """Find lists of pairs that were not taken for one, because of their files or their number."""
    lists = [
        path
        for path in sorted(tree.root.iterdir())
        if path.suffix.lower() in LISTS and not is_litter(path.name) and names_pairs(path)
    ]
    if not lists:
        return None
    names = listed([printable(path.name) for path in lists])
    why = (
        "most of which are not there"
        if is_list(lists[0])
        else "after lines that are neither titles nor pairs"
    )
    return _problem(
        tree.root,
        f"lists pairs of pictures in {names}, {'more than one list' if lists[1:] else why}",
        f"name the list itself, such as {printable(lists[0])}, and see that its paths are right",
        lists,
    )


def _by_folders(tree: _Tree) -> Problem | None:
    """Find a folder that is called as one half of a dataset beside other pictures."""
    for place in tree.under:
        together = tree.beside(place)
        known = {child: half_by_folder(child.name) for child in together if child != place}
        if place != tree.root and {"rainy", "clean"} <= set(known.values()):
            found = f"holds pairs in {printable(place)} beside other pictures"
            return _problem(tree.root, found, f"name {printable(place)} alone", [place], by="")
        for one, half in known.items():
            others = [other for other in together if known.get(other) != half]
            # "in" alone may be a country.
            if half is None or not others or folder_key(one.name) == "in":
                continue
            other = max(others, key=lambda each: len(_twins(tree, place, one, each)))
            halves = (one, other) if half == "rainy" else (other, one)
            return _of_folders(tree, one, other, "lie in one folder", halves)
    return None


def _by_files(tree: _Tree) -> Problem | None:
    """Find files in one folder whose names differ in a word for rainy or clean alone."""
    for place, files in tree.direct.items():
        sides: dict[str, dict[str, Path]] = {}
        for path in files:
            side = half_by_name(path.name) or ""
            stem = path.stem
            if stem.lower().endswith(RESULT):
                side, stem = RESULT, stem[: -len(RESULT)].rstrip("-_ ")
            sides.setdefault(twin_key(Path(f"{stem}.x")), {}).setdefault(side, path)
        twins = [tuple(group.values()) for group in sides.values() if len(group) > 1]
        if twins and (len(twins) > 1 or len(files) <= 2 * len(twins) + 2):
            example = " beside ".join(printable(path.name) for path in twins[0][:2])
            return _problem(
                place,
                f"holds {example}{f', and {len(twins) - 1} more like it' if twins[1:] else ''}",
                SORT_THEM,
                [path for both in twins for path in both],
            )
    return None


def _by_pattern(tree: _Tree, looks: "_Looks") -> Problem | None:
    """Find names that come in twos, one of which is the rainier picture wherever one looks.

    Two versions of every picture are pairs only if rain tells them apart: bursts and edited
    versions are not.
    """
    for twins in _patterns(tree):
        seen = looks.compare(twins)
        if seen is None or abs(seen[2]) < RAINY_SIGNS * seen[0]:
            continue
        rainy = twins[0][0 if seen[2] > 0 else 1]
        names = " beside ".join(printable(path.name) for path in twins[0])
        more = f"{len(twins) - 1} more like it, {printable(rainy.name)} the rainier"
        return _problem(
            rainy.parent,
            f"holds {names}, and {more}",
            SORT_THEM,
            [path for both in twins for path in both],
        )
    return None


def _patterns(tree: _Tree) -> Iterator[list[tuple[Path, Path]]]:
    """Yield the pictures of folders whose names come in twos.

    They do so inside one folder (``1_R`` and ``1_C``, ``wet1`` and ``1``), or there are folders of
    two pictures each, which are called the same in all of them.
    """
    for files in tree.direct.values():
        for affix in (SUFFIX, PREFIX):
            groups: dict[str, dict[str, Path]] = {}
            for path in files:
                found = affix.fullmatch(path.stem.lower())
                base, word = (found["base"], found["word"]) if found else (path.stem.lower(), "")
                groups.setdefault(base.strip("-_ "), {})[word] = path
            yield from _in_twos(list(groups.values()), len(files))
    places = [{path.stem: path for path in files} for files in tree.direct.values()]
    yield from _in_twos(places, len(tree.files))


def _in_twos(groups: Sequence[dict[str, Path]], files: int) -> Iterator[list[tuple[Path, Path]]]:
    """Yield twins if almost all files are in groups of the same two words."""
    words = Counter(tuple(sorted(group)) for group in groups if len(group) == 2)
    for (first, second), count in words.most_common(1):
        if count >= DOUBT and 2 * count >= ALMOST_ALL * files:
            twins = [group for group in groups if set(group) == {first, second}]
            yield [(group[first], group[second]) for group in twins]


def _by_rain(tree: _Tree) -> Problem | None:
    """Find a folder that is called rainy, or holds pictures that are, without clean ones."""
    rainy = [
        place
        for place in tree.under
        if _is_rainy(place) and (place != tree.root or _has_clean_sibling(place))
    ]
    # Twins often have one name: in a clean folder, rain-001.png is clean.
    wet = [
        path
        for path in tree.files
        if WET.fullmatch(path.stem.lower()) and half_by_folder(_name_of(path.parent)) != "clean"
    ]
    if not rainy and (len(wet) < 2 or 2 * len(wet) <= len(tree.files)):
        return None
    what = (
        f"{printable(rainy[0])}/" if rainy else f"{printable(wet[0].name)} and {len(wet) - 1} more"
    )
    return _problem(
        tree.root,
        f"{what} holds rainy pictures" if rainy else f"{what} are rainy pictures",
        "name the folder that holds both them and their clean pictures, or only the clean ones",
        rainy or wet,
        by=" by name, and no clean pictures of them are found",
    )


def _name_of(place: Path) -> str:
    """Return the name of a folder, which ``.`` does not say."""
    return place.name or place.resolve().name


def _is_rainy(place: Path) -> bool:
    key = folder_key(_name_of(place))
    return key in RAINY_FOLDERS and key not in VAGUE


def _has_clean_sibling(place: Path) -> bool:
    whole = place.resolve()
    try:
        return any(half_by_folder(child.name) == "clean" for child in whole.parent.iterdir())
    except OSError:  # a folder that may be read lies in one that may not
        return False


def _by_scenes(tree: _Tree, looks: "_Looks") -> Problem | None:
    """Find two folders that show the same scenes."""
    for k, (place, one, other) in enumerate(_neighbours(tree)):
        if k == COMPARISONS:
            break
        seen = looks.compare(_twins(tree, place, one, other))
        if seen is None:
            continue
        alike, looked_at, rain = seen
        what = f"show the same scenes ({alike} of {looked_at} that were looked at)"
        halves = _halves_of(one, other, rain)
        return _of_folders(tree, one, other, what, halves)
    return None


def _neighbours(tree: _Tree) -> Iterator[tuple[Path, Path, Path]]:
    """Yield a folder and two folders of pictures in it, all of which may be many."""
    for place in tree.under:
        together = tree.beside(place)
        few = len(together) <= FOLDERS
        for one, other in combinations(together, 2) if few else pairwise(together):
            yield place, one, other


def _halves_of(one: Path, other: Path, rain: int) -> tuple[Path, Path] | None:
    """Return which of two folders is the rainy one, and the other, by their names or by the rain.

    Args:
        one: The first folder.
        other: The second folder.
        rain: By how many signs more pictures of the first are the rainier ones.
    """
    names = [half_by_folder(place.name) or half_by_name(place.name) for place in (one, other)]
    if names[0] != names[1]:
        return (one, other) if names[0] == "rainy" or names[1] == "clean" else (other, one)
    return ((one, other) if rain > 0 else (other, one)) if rain else None


def _twins(tree: _Tree, parent: Path, one: Path, other: Path) -> list[tuple[Path, Path]]:
    """Return pictures of two folders that may be twins: by their names, else by their order."""
    ours, theirs = tree.pictures(one, parent), tree.pictures(other, parent)
    named = [
        {path: path_inside(path, root) for path in files}
        for files, root in ((ours, one), (theirs, other))
    ]
    # Rainy names add something to clean ones, and either folder may be the rainy one.
    first = [(pair.rainy, pair.clean) for pair in match_names(named[0], named[1])[0]]
    second = [(pair.clean, pair.rainy) for pair in match_names(named[1], named[0])[0]]
    found = max(first, second, key=len)
    if 2 * len(found) >= min(len(ours), len(theirs)) or len(ours) != len(theirs):
        return found
    return list(zip(ours, theirs, strict=True))


@dataclass
class _Looks:
    """Compares pictures; each is decoded once.

    Attributes:
        read: Reads a picture.
        copies: Whether the very same picture is one scene, too.
    """

    read: Read
    copies: bool
    _seen: dict[Path, Float64s | None] = field(default_factory=dict)

    def compare(self, twins: Sequence[tuple[Path, Path]]) -> tuple[int, int, int] | None:
        """Return how many of some possible pairs show one scene; None if most do not.

        Returns:
            Twins that do, twins that were looked at, and by how many signs the first ones have more
            rain than the second ones, summed up.
        """
        count = min(LOOKED_AT, len(twins))
        alike = looked_at = rain = 0
        for one, other in (twins[k * len(twins) // count] for k in range(count)):
            both = _of_one_size(self._luma(one), self._luma(other))
            looked_at += 1
            if both and _is_one_scene(*both) and (self.copies or bool(np.any(both[0] != both[1]))):
                alike += 1
                rain += rainier(*both)
            elif looked_at == DOUBT and not alike:
                return None
        return (alike, looked_at, rain) if 2 * alike > looked_at else None

    def _luma(self, path: Path) -> Float64s | None:
        """Return the luma (H, W) of a picture; None if it cannot be read."""
        if path not in self._seen:
            try:
                self._seen[path] = luma(self.read(path))
            except (ValueError, OSError):
                self._seen[path] = None
        return self._seen[path]


def _of_one_size(one: Float64s | None, other: Float64s | None) -> tuple[Float64s, Float64s] | None:
    """Return two planes cut to what both cover, or None if their sizes differ by more than that."""
    if one is None or other is None:
        return None
    height, width = (min(sides) for sides in zip(one.shape, other.shape, strict=True))
    largest = [max(sides) for sides in zip(one.shape, other.shape, strict=True)]
    if height < (1 - RESIZED) * largest[0] or width < (1 - RESIZED) * largest[1]:
        return None
    return one[:height, :width], other[:height, :width]


def _is_one_scene(one: Float64s, other: Float64s) -> bool:
    """Return whether two planes (H, W) show one scene from one place."""
    verdict = align(one, other).verdict
    if verdict != "unknown":
        return verdict == "aligned"
    if min(one.std(), other.std()) < FLAT:
        return float(np.abs(one - other).mean()) < CLOSE
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1]) >= ALIKE


def _of_folders(
    tree: _Tree, one: Path, other: Path, what: str, halves: tuple[Path, Path] | None
) -> Problem:
    """Return the problem of two folders; `halves` are the rainy and the clean one if known."""
    # One may be the folder that the other lies in, of which its own pictures are meant.
    inner = [place for place in (one, other) if place not in (one.parent, other.parent)]
    names = " and ".join(f"{printable(_name_of(place))}/" for place in inner)
    if len(inner) == 1:
        names += " and the pictures beside it"
    if halves:
        rainy, clean = halves
        how = f"--rainy {_argument(rainy)} --clean {_argument(clean)}"
    else:
        how = f"--rainy and --clean, {printable(one)} and {printable(other)} or the reverse"
    return _problem(tree.root, f"{names} {what}", f"name the two with {how}", [one, other])


def _argument(path: Path) -> str:
    """Return a path as shells take it, those of Windows too."""
    name = printable(path)
    return f'"{name}"' if " " in name else name


def _problem(folder: Path, found: str, advice: str, paths: Sequence[Path], by: str = "") -> Problem:
    if not by:
        by = ", probably pairs in a layout that derain does not know"
    return Problem("unknown layout", f"{printable(folder)}: {found}{by}; {advice}", tuple(paths))
