"""From the files of an archive to what is to be done, folder by folder.

The files, the names of the results, and which of two pictures has a name that both want, are those
of `derain.pictures`. No more than one folder's names are held at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import filterfalse
from pathlib import PurePosixPath
from typing import Literal

from derain.clips.names import SUFFIXES as OF_VIDEO
from derain.clips.names import is_clip_name, is_made_name, result_name
from derain.cluster.places import Contents, Entry, Place
from derain.cluster.request import Kind
from derain.errors import DerainError, UsageError, reason
from derain.files import SCORES, is_litter, is_result_name, natural_key
from derain.images import Format, is_marked
from derain.pictures.finding import searched
from derain.pictures.plan import format_by_name, renamed, rivalry

OF_CLIP = ".mp4"
"""Ending of a clip's result until the clip is opened, which decides."""


Task = Literal["whole", "part", "join"]

NO_TEXT = "a name that is not in UTF-8, which records need; rename it"


@dataclass(frozen=True)
class Item:
    """A file that gives a result.

    Attributes:
        path: Its name in the archive.
        target: The name of its result in the output; of a clip without the final ending.
        size: In bytes.
        modified: In nanoseconds since 1970.
        kind: What it is called as.
        format: Of the result; None for the picture's own.
        there: Bytes of what is in the place of the result; None if nothing is.
        task: What to do of a clip; see `derain.cluster.sharing`.
        first: Of a part: its first segment, from 0.
        end: The segment after its last one.
    """

    path: str
    target: str
    size: int
    modified: int
    kind: Kind = "picture"
    format: Format | None = None
    there: int | None = None
    task: Task = "whole"
    first: int = 0
    end: int = 0

    @property
    def key(self) -> tuple[str, int]:
        """What no other item of a plan has."""
        return self.path, self.first


@dataclass(frozen=True)
class Refused:
    """A file or folder that gives no result, and why."""

    path: str
    message: str


@dataclass
class Passed:
    """What was passed over.

    Attributes:
        results: What derain made, by its name or place.
        others: Files that are no pictures or clips that can be read.
    """

    results: int = 0
    others: int = 0


@dataclass(frozen=True)
class Archive:
    """Where an archive and its results lie.

    Attributes:
        source: The archive.
        output: The results.
        format: Of results that are pictures; None for that of each picture.
        max_pixels: As for `derain.images.read`.
    """

    source: Place
    output: Place
    format: Format | None = None
    max_pixels: int | None = None

    def check(self) -> None:
        """Check that results do not lie among what they are made from.

        Raises:
            UsageError: If both are the same folder.
        """
        if self.output.inside(self.source) == "":
            raise UsageError(
                "is the archive itself; expected another folder",
                option="output",
                value=self.output.url,
            )


def list_items(archive: Archive, passed: Passed | None = None) -> Iterator[Item | Refused]:
    """Yield what an archive holds, in natural order, files before the folders beside them.

    Args:
        archive: Which.
        passed: Counts what is passed over.

    Raises:
        DerainError: If there is no such folder, or nothing in it.
    """
    archive.check()
    passed = passed if passed is not None else Passed()
    own = archive.output.inside(archive.source)
    is_empty = True
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            found = archive.source.contents(folder)
            there = archive.output.contents(folder)
        except OSError as error:
            if not folder:
                raise
            yield Refused(folder, f"cannot be looked into: {reason(error)}")
            continue
        if folder and any(entry.name == SCORES for entry in found.files):
            continue  # results of an evaluation, as `derain.files.search` has it
        is_empty = is_empty and not found.files and not found.folders
        yield from _Folder(archive, folder, there, passed).items(found.files)
        inside = sorted(filterfalse(is_litter, found.folders), key=natural_key, reverse=True)
        for name in inside:
            path = f"{folder}/{name}" if folder else name
            if is_result_name(name) or path == own:
                passed.results += 1
            else:
                folders.append(path)
    if is_empty:
        raise DerainError(f"{archive.source.url}: no such folder, or nothing in it")


@dataclass
class _Folder:
    """One folder of an archive."""

    archive: Archive
    name: str
    there: Contents
    passed: Passed
    _taken: dict[str, Item] = field(default_factory=dict[str, Item])

    def items(self, files: list[Entry]) -> Iterator[Item | Refused]:
        """Yield what the files give."""
        wanted = searched()
        refused: list[Refused] = []
        for entry in sorted(files, key=lambda entry: natural_key(entry.name)):
            if is_litter(entry.name):
                continue
            if not _is_text(self._path(entry.name)):
                refused.append(Refused(self._path(entry.name), NO_TEXT))
            elif PurePosixPath(entry.name).suffix.lower() not in wanted | OF_VIDEO:
                self.passed.others += 1
            elif is_result_name(entry.name) or (
                is_clip_name(entry.name) and is_made_name(entry.name)
            ):
                self.passed.results += 1
            elif (rejected := self._add(self._item(entry))) is not None:
                refused.append(rejected)
        yield from self._taken.values()
        yield from refused

    def _item(self, entry: Entry) -> Item:
        name = PurePosixPath(entry.name)
        if is_clip_name(entry.name):
            target = PurePosixPath(result_name(entry.name, OF_CLIP))
            kind, format = "clip", None
        else:
            target = renamed(name, self.archive.format)
            kind, format = "picture", self.archive.format or format_by_name(name, target)
        return Item(
            self._path(entry.name),
            self._path(target.name),
            entry.size,
            entry.modified,
            kind,
            format,
            self._there.get(_key(target, kind)),
        )

    def _path(self, name: str) -> str:
        return f"{self.name}/{name}" if self.name else name

    @property
    def _there(self) -> dict[str, int]:
        """Sizes of what lies in the folder of the results, by name."""
        if self._sizes is None:
            self._sizes = {entry.name: entry.size for entry in self.there.files}
            for entry in self.there.files:
                if is_clip_name(entry.name):
                    self._sizes[_key(PurePosixPath(entry.name), "clip")] = entry.size
        return self._sizes

    _sizes: dict[str, int] | None = None

    def _add(self, item: Item) -> Refused | None:
        """Add an item, unless its result's name is another's; results of derain give way."""
        if self._is_among_inputs(item.target):
            target = self.archive.output.shown(item.target)
            return Refused(item.path, f"would become {target}, in the archive; use another output")
        key = _key(PurePosixPath(item.target), item.kind)
        rival = self._taken.get(key)
        if rival is None:
            self._taken[key] = item
            return None
        if self._is_marked(rival):
            self._taken[key] = item
        elif not self._is_marked(item):
            error = rivalry(PurePosixPath(item.target), PurePosixPath(rival.path))
            return Refused(item.path, str(error))
        self.passed.results += 1
        return None

    def _is_among_inputs(self, target: str) -> bool:
        """Return whether a result would lie in the archive, where that is in the output."""
        inputs = self.archive.source.inside(self.archive.output)
        return bool(inputs) and target.startswith(f"{inputs}/")

    def _is_marked(self, item: Item) -> bool:
        """Return whether a picture says that derain made it."""
        if item.kind == "clip":
            return False
        try:
            return is_marked(self.archive.source.read(item.path), self.archive.max_pixels)
        except (OSError, ValueError):  # what is wrong with it is said when its turn comes
            return False


def _key(target: PurePosixPath, kind: Kind) -> str:
    """Return what two results may not share: a name, of clips without the ending."""
    return f"{target.stem}/" if kind == "clip" else target.name


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
