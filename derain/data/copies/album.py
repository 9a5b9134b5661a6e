"""Picture files that are each opened and decoded once, for everything that is asked about them."""

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from derain.data.copies.candidates import PIXELS, Features, extract_features, fingerprint_of_grey
from derain.data.copies.greys import GreyStore
from derain.data.copies.vision import Grey, average_down, grey_of
from derain.data.pairs import Half, halves
from derain.images import ImageError, Pixels, TooManyPixelsError, read

KEPT = 512 << 20
"""Bytes of decoded pictures that wait for a later use."""

FileKey = Path | tuple[int, ...]
"""What is the same for links to one file; the path of what does not exist.

Device and inode say which file it is; size and time differ if a later file gets the same inode.
"""


@dataclass(frozen=True)
class Content:
    """The data that are kept of a picture, about 25 kB.

    Attributes:
        digest: SHA-256 of its pixels with their type and shape.
        size: Height and width in pixels.
        fingerprint: As `candidates.fingerprint`.
        features: Of the averaged-down picture.
    """

    digest: str
    size: tuple[int, int]
    fingerprint: int
    features: Features


@dataclass(frozen=True)
class Greys:
    """The luma of a picture, in full and averaged down to `PIXELS`."""

    full: Grey
    small: Grey

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in full."""
        return self.full.shape[0], self.full.shape[1]


@dataclass
class _File:
    """What is known of a file.

    Attributes:
        digest: SHA-256 of its bytes; empty before it is opened.
        error: Why it cannot be opened or decoded.
        uncut: Why it cannot be cut into halves; empty if it can, or was not.
        pixels: The decoded picture, while it waits for a later use.
        uses: How many announced reads are still to come.
    """

    digest: str = ""
    error: OSError | ImageError | None = None
    uncut: str = ""
    pixels: Pixels | None = None
    uses: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Album:
    """Picture files, each opened and decoded once.

    Opening gives the digest of the bytes; decoding gives the pixels, and from them what is kept:
    their digest, a fingerprint, features, and the luma (`GreyStore`). Pixels themselves are kept
    only where `expect` announces further reads. A file is opened again only if it does not fit
    into these limits: pixels that wait for a read into `KEPT` bytes, luma that two candidates are
    compared by into `greys.AT_MOST`. Links to one file count as that file. Files must not change
    as long as there is an album of them. Safe to use from several threads.

    Args:
        kept: Bytes of pixels that may wait for further reads.
        greys: Where the luma is kept.
    """

    def __init__(self, kept: int = KEPT, greys: GreyStore | None = None) -> None:
        self._files: dict[FileKey, _File] = {}
        self._keys: dict[Path, FileKey] = {}
        self._halves: dict[Path, Half] = {}
        self._contents: dict[tuple[str, Half | None], Content] = {}
        self._room = kept
        self._greys = greys or GreyStore()
        self._lock = threading.Lock()

    def key(self, path: Path) -> FileKey:
        """Return what is the same for links to one file."""
        if path not in self._keys:
            self._keys[path] = _key_of(path)
        return self._keys[path]

    def use_halves(self, rainy: Mapping[Path, Half]) -> None:
        """From here on, take the other half of these pictures for the whole of them.

        Args:
            rainy: Which half is the rainy one; a file keeps the first that is named.
        """
        self._halves = {**rainy, **self._halves}

    def expect(self, uses: Mapping[FileKey, int]) -> None:
        """Announce how often files will be read, so that their pixels are kept until then."""
        for key, count in uses.items():
            self._file(key).uses = count

    def read(self, path: Path, *, again: bool = False) -> Pixels:
        """Return the pixels (H, W, 3) of a file, both halves if there are two.

        Args:
            path: The file.
            again: The file will be asked for once more, even if that was not announced.

        Raises:
            ImageError: If it is not a picture that can be decoded; does not name the file.
            OSError: If it cannot be opened.
        """
        file = self._file(self.key(path))
        with file.lock:
            pixels = self._decode(file, path, None)
            file.uses = max(file.uses - 1, 0)
            if file.uses or again:
                self._keep(file, pixels)
            else:
                self._drop(file)
            return pixels

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of a file's bytes.

        Raises:
            OSError: If it cannot be opened.
        """
        file = self._file(self.key(path))
        with file.lock:
            if not file.digest:
                self._open(file, path)
            return file.digest

    def content(self, path: Path, pixels: Pixels | None = None) -> Content:
        """Return what is kept of a picture, or of its clean half.

        Args:
            path: The file.
            pixels: All pixels of the file (H, W, 3), if the caller has just read them.

        Raises:
            ImageError: If it is not a picture that can be decoded; does not name the file.
            ValueError: If it cannot be cut into halves; names the file.
            OSError: If it cannot be opened.
        """
        file, half = self._file(self.key(path)), self._halves.get(path)
        with file.lock:
            data = None if file.digest else self._open(file, path)
            key = file.digest, half
            # Files of equal bytes show the same: the second one need not be decoded.
            if key not in self._contents:
                if half and file.uncut:
                    raise ValueError(file.uncut)
                whole = self._decode(file, path, data) if pixels is None else pixels
                self._contents[key] = self._describe(self._clean(file, path, whole))
            if not file.uses:
                self._drop(file)
            return self._contents[key]

    def greys(self, content: Content, path: Path) -> Greys:
        """Return the luma of a picture; opens the file again only if it was not kept.

        Args:
            content: The content of the file, as `Content`.
            path: A file that holds this content.

        Raises:
            ValueError: If the file is no longer what it was.
            OSError: If it cannot be opened any more.
        """
        full = self._greys.get(content.digest)
        if full is None:
            full = grey_of(self._clean(_File(), path, read(path).pixels))
        return Greys(full, average_down(full, PIXELS))

    def _file(self, key: FileKey) -> _File:
        with self._lock:
            return self._files.setdefault(key, _File())

    def _open(self, file: _File, path: Path) -> bytes:
        """Read the bytes of a file and note their digest."""
        if isinstance(file.error, OSError):
            raise OSError(file.error.errno, file.error.strerror, str(path))
        try:
            data = path.read_bytes()
        except OSError as error:
            file.error = error
            raise
        file.digest = hashlib.sha256(data).hexdigest()
        return data

    def _decode(self, file: _File, path: Path, data: bytes | None) -> Pixels:
        """Return the pixels of a file, kept ones if there are some.

        Args:
            file: What is known about the file.
            path: Its path.
            data: The bytes of the file, if they are at hand.
        """
        if isinstance(file.error, ImageError):
            raise ImageError(str(file.error))
        if file.pixels is not None:
            return file.pixels
        try:
            return read(self._open(file, path) if data is None else data).pixels
        except ImageError as error:
            # What checks data has no limit that could be raised.
            is_large = isinstance(error, TooManyPixelsError)
            file.error = ImageError(error.problem) if is_large else error
            raise file.error from error.__cause__

    def _clean(self, file: _File, path: Path, pixels: Pixels) -> Pixels:
        """Return the clean half of a picture, or all of it if it has no rainy half."""
        rainy = self._halves.get(path)
        if rainy is None:
            return pixels
        try:
            left, right = halves(pixels, path)
        except ValueError as error:
            file.uncut = str(error)
            raise
        return right if rainy == "left" else left

    def _describe(self, pixels: Pixels) -> Content:
        """Return what is kept of pixels, and store their luma."""
        digest = hashlib.sha256(f"{pixels.shape} {pixels.dtype} ".encode())
        digest.update(np.ascontiguousarray(pixels).data)
        full = grey_of(pixels)
        self._greys.put(digest.hexdigest(), full)
        return Content(
            digest.hexdigest(),
            (full.shape[0], full.shape[1]),
            fingerprint_of_grey(full),
            extract_features(average_down(full, PIXELS)),
        )

    def _keep(self, file: _File, pixels: Pixels) -> None:
        """Keep pixels for the next read, if there is room for them."""
        with self._lock:
            if file.pixels is None and pixels.nbytes <= self._room:
                file.pixels = pixels
                self._room -= pixels.nbytes

    def _drop(self, file: _File) -> None:
        """Forget the pixels of a file, if they were kept."""
        with self._lock:
            if file.pixels is not None:
                self._room += file.pixels.nbytes
                file.pixels = None


def _key_of(path: Path) -> FileKey:
    try:
        found = path.stat()
    except OSError:
        return path
    # Some network file systems have no inode numbers.
    if not found.st_ino:
        return path
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
