"""The directories of a TIFF: which page is the picture, and what it claims (TIFF 6.0, section 2).

Pages that are flagged as smaller copies or masks are no pictures of their own, as in files with a
thumbnail, a pyramid or a mask of transparency.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from derain.images.picture import ImageError
from derain.images.tiff import BIG_SIZES, INTEGERS

_WHOLE = {kind: form for kind, form in INTEGERS.items() if form.isupper()}
"""Types of whole numbers that are not negative."""

NEW_SUBFILE, SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION = 254, 255, 256, 257, 258, 259
PHOTOMETRIC = 262
ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, PLANES = 274, 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILE_BYTES, SUB_DIRECTORIES, DNG_VERSION = 322, 323, 325, 330, 50706
_READ = frozenset(
    {NEW_SUBFILE, SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, SAMPLES, ROWS_PER_STRIP, PLANES}
    | {PHOTOMETRIC, ORIENTATION, TILE_WIDTH, TILE_HEIGHT, DNG_VERSION}
)
"""Tags whose first values are read."""
_BELOW = frozenset({34665, 34853})
"""Tags that name a directory of EXIF, and of where the picture was taken."""

MOST_PAGES = 10_000
MOST_TAG_BYTES = 64 << 20
"""Of all tags of a file beyond its own length: tags may share bytes, and each is copied."""
MOST_ENTRIES = 500_000
"""Of all blocks of EXIF in a file; usual are 50."""
THUMBNAIL = 512
"""Longest side of a page that may be a thumbnail though nothing flags it as one."""


@dataclass(frozen=True)
class Page:
    """A directory.

    Attributes:
        place: Where it begins in the file.
        tags: First values of the tags that matter here.
        lengths: Where the list of compressed lengths lies: start, count, bytes of each.
        has_parts: It has directories below it.
    """

    place: int
    tags: Mapping[int, tuple[int, ...]]
    lengths: tuple[int, int, int] = (0, 0, 0)
    has_parts: bool = False

    def first(self, tag: int, default: int) -> int:
        """Return the first value of a tag."""
        return next(iter(self.tags.get(tag, ())), default)

    @property
    def width(self) -> int:
        return self.first(WIDTH, 0)

    @property
    def height(self) -> int:
        return self.first(HEIGHT, 0)

    @property
    def compression(self) -> int:
        return self.first(COMPRESSION, 1)

    @property
    def is_smaller_copy(self) -> bool:
        return bool(self.first(NEW_SUBFILE, 0) & 1) or self.first(SUBFILE, 1) == 2

    @property
    def is_mask(self) -> bool:
        return bool(self.first(NEW_SUBFILE, 0) & 4) or self.first(PHOTOMETRIC, 0) == 4

    @property
    def depth(self) -> int:
        """Bits of a channel."""
        return max(self.tags.get(BITS) or (1,))

    @property
    def bits(self) -> int:
        """Bits of a pixel."""
        return self.depth * self.first(SAMPLES, 1)

    @property
    def raw_bytes(self) -> int:
        """Bytes of its pixels without compression."""
        return (self.width * self.bits + 7) // 8 * self.height

    @property
    def buffer(self) -> int:
        """Bytes of a strip or tile, which are decoded as a whole."""
        if TILE_WIDTH in self.tags:
            return self.first(TILE_WIDTH, 0) * self.first(TILE_HEIGHT, 0) * self.bits // 8
        rows = min(self.first(ROWS_PER_STRIP, self.height), self.height)
        return (self.width * self.bits + 7) // 8 * rows


@dataclass(frozen=True)
class Pages:
    """The page that is the picture, whether it comes first, and the others in words."""

    picture: Page
    is_first: bool = True
    left_out: str = ""


def find_pages(data: bytes) -> Pages:
    """Choose the page of a TIFF that is the picture.

    Raises:
        ImageError: If there are several or none, or the file is a camera's raw one.
    """
    pages = list(_pages(data))
    if not pages:
        raise ImageError("a damaged or truncated TIFF picture (it has no directory)")
    if data[8:10] == b"CR" or DNG_VERSION in pages[0].tags:
        raise _raw_file()
    full = [page for page in pages if not page.is_smaller_copy and not page.is_mask]
    if not full:
        # A thumbnail above directories with the picture itself is a raw file's.
        if any(page.has_parts for page in pages):
            raise _raw_file()
        full = [max(pages, key=lambda page: page.width * page.height)]
    picture = full[0]
    others = [page for page in full[1:] if not _looks_like_thumbnail(page, picture)]
    if others:
        raise ImageError(
            f"holds {1 + len(others)} pages; expected one picture: split it into a file for each"
            " page first, as tiffsplit does"
        )
    others = [page for page in pages if page is not picture]
    return Pages(picture, picture is pages[0], _left_out(others))


def _raw_file() -> ImageError:
    return ImageError(
        "a camera's raw file; expected a developed picture: export it as 16-bit TIFF from a raw"
        " converter first"
    )


def _looks_like_thumbnail(page: Page, picture: Page) -> bool:
    """Return whether a page without a flag is small and of the picture's proportions.

    Exif 2.32, section 4.5.1, has the second directory be the thumbnail, and asks for no flag.
    """
    skew = abs(page.width * picture.height - page.height * picture.width)
    return 0 < max(page.width, page.height) <= min(
        THUMBNAIL, max(picture.width, picture.height) // 2
    ) and skew <= max(picture.width, picture.height)


def _left_out(pages: Sequence[Page]) -> str:
    masks = sum(page.is_mask for page in pages)
    copies = len(pages) - masks
    words = [f"{copies} smaller {'copy' if copies == 1 else 'copies'}"] if copies else []
    words += [f"{masks} {'mask' if masks == 1 else 'masks'}"] if masks else []
    return " and ".join(words)


def beginning_with(data: bytes, place: int) -> bytes:
    """Return a TIFF whose first directory is the one at a place."""
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
    edited = bytearray(data)
    struct.pack_into(f"{order}Q" if big else f"{order}I", edited, 8 if big else 4, place)
    return bytes(edited)


def compressed_bytes(data: bytes, page: Page) -> int:
    """Return how many bytes of the file a page's strips or tiles name, none beyond its end."""
    start, count, size = page.lengths
    if not count:
        return len(data)
    order = "<" if data[:2] == b"II" else ">"
    # A short tag's type cannot hold the length of the file.
    lengths = np.frombuffer(data, np.dtype(f"{order}u{size}"), count, start).astype(np.uint64)
    return int(np.minimum(lengths, len(data)).sum())


def _pages(data: bytes) -> Iterator[Page]:
    """Yield the directories of a file in order.

    Raises:
        ImageError: If they are without end, or their tags claim far more bytes than there are.
    """
    layout = _Layout(data)
    place, seen, claimed = layout.first, set[int](), 0
    while place and place not in seen and layout.reaches(place):
        if len(seen) >= MOST_PAGES:
            raise ImageError(f"holds more than {MOST_PAGES} pages; expected one picture")
        seen.add(place)
        here, directory = place, layout.directory(place)
        claimed += directory.claimed + layout.claimed_below(directory)
        if claimed > len(data) + MOST_TAG_BYTES:
            raise ImageError("a damaged TIFF picture (its tags claim more bytes than it has)")
        yield Page(here, directory.tags, directory.lengths, directory.has_parts)
        place = directory.following


def check_exif(data: bytes) -> None:
    """Refuse a file in which blocks of EXIF claim far more bytes than there are.

    Tags may all name the same bytes, and each tag's are copied when EXIF is read.

    Raises:
        ImageError: If there are such blocks anywhere.
    """
    claimed = entries = 0
    for start in (b"II*\0", b"MM\0*"):
        place = data.find(start)
        while place >= 0:
            layout = _Layout(data, place) if place + 8 <= len(data) else None
            if layout and layout.reaches(layout.first):
                directory = layout.directory(layout.first)
                claimed += directory.claimed + layout.claimed_below(directory)
                entries += directory.entries
            if claimed > len(data) + MOST_TAG_BYTES or entries > MOST_ENTRIES:
                raise ImageError("a damaged picture (its EXIF claims more bytes than it has)")
            place = data.find(start, place + 4)


@dataclass(frozen=True)
class _Directory:
    """A directory as it stands.

    Attributes:
        tags: First values of the tags that are of use here.
        lengths: As of `Page`.
        below: Where EXIF's own directories begin.
        has_parts: It names directories of other pictures.
        claimed: Bytes of the file that its entries name, counted as often as they are named.
        entries: How many it has.
        following: Where the next one begins; 0 for the end.
    """

    tags: Mapping[int, tuple[int, ...]]
    lengths: tuple[int, int, int]
    below: tuple[int, ...]
    has_parts: bool
    claimed: int
    entries: int
    following: int


class _Layout:
    """How the directories of a TIFF or a block of EXIF are laid out.

    Args:
        data: A file.
        base: Where the TIFF begins in it; offsets count from there.
    """

    def __init__(self, data: bytes, base: int = 0) -> None:
        self._data, self._base = data, base
        self._order = "<" if data[base] == ord("I") else ">"
        (magic,) = struct.unpack_from(f"{self._order}H", data, base + 2)
        big = magic == 43
        self._word, self._count = ("Q", "Q") if big else ("I", "H")
        self._word_size, self._entry = (8, 20) if big else (4, 12)
        (self.first,) = struct.unpack_from(self._order + self._word, data, base + (8 if big else 4))

    def reaches(self, place: int) -> bool:
        """Return whether a directory can begin at a place."""
        return self._base + place + struct.calcsize(self._count) <= len(self._data)

    def directory(self, place: int) -> _Directory:
        """Return the directory at a place; what lies beyond the file's end is left out."""
        data, order, word = self._data, self._order, self._word
        place += self._base
        (count,) = struct.unpack_from(order + self._count, data, place)
        begin = place + struct.calcsize(self._count)
        count = min(count, (len(data) - begin) // self._entry)
        tags: dict[int, tuple[int, ...]] = {}
        lengths, below, has_parts, claimed = (0, 0, 0), list[int](), False, 0
        for entry in range(begin, begin + count * self._entry, self._entry):
            tag, kind, values = struct.unpack_from(f"{order}HH{word}", data, entry)
            unit = BIG_SIZES.get(kind, 0)
            at = entry + self._entry - self._word_size
            if unit * values > self._word_size:
                at = self._base + struct.unpack_from(order + word, data, at)[0]
                claimed += max(0, min(unit * values, len(data) - at))
            has_parts |= tag == SUB_DIRECTORIES
            if kind not in _WHOLE or at >= len(data):
                continue
            there = min(values, (len(data) - at) // unit)
            if tag in _READ:
                tags[tag] = struct.unpack_from(f"{order}{min(there, 8)}{_WHOLE[kind]}", data, at)
            elif tag in (STRIP_BYTES, TILE_BYTES) and unit > 1:
                lengths = (at, there, unit)
            elif tag in _BELOW and there:
                below.append(struct.unpack_from(order + _WHOLE[kind], data, at)[0])
        end = begin + count * self._entry
        ends = end + self._word_size > len(data)
        following = 0 if ends else struct.unpack_from(order + word, data, end)[0]
        return _Directory(tags, lengths, tuple(below), has_parts, claimed, count, following)

    def claimed_below(self, directory: _Directory) -> int:
        """Return the bytes that EXIF's own directories claim, which lie below a directory."""
        places = [place for place in directory.below if self.reaches(place)]
        return sum(self.directory(place).claimed for place in places)
