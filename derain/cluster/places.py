"""Folders where an archive and its results lie: on this machine, or in an object store.

Names in a place are relative and have slashes. Addresses are opened by PyArrow, whose file systems
retry what a store refuses for the moment, or through fsspec, where PyArrow has none for them.
"""

import os
import posixpath
import shutil
import socket
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from derain.errors import DerainError, UsageError, did_you_mean
from derain.extras import require
from derain.files import write_file

_TRIES = 8
"""Of a request to S3, with growing pauses, before it fails."""
_PATIENCE = 60
"""Seconds in which a request to Google's store is repeated."""
ANSWER = 3.0
"""Seconds in which what listens at an address answers."""
_PIECE = 4 << 20
"""Bytes of a large file that are copied at once."""
_BY_ARROW = ("s3", "gs", "gcs")
_OF_S3 = ("endpoint_override", "region", "scheme")
"""What an address may say of an S3-compatible store, after a question mark."""


@dataclass(frozen=True)
class Entry:
    """A file in a folder.

    Attributes:
        name: Without the folder.
        size: In bytes.
        modified: In nanoseconds since 1970; seconds count where a store knows no more.
    """

    name: str
    size: int
    modified: int


@dataclass(frozen=True)
class Contents:
    """What a folder holds: files and folders in it, in no order."""

    files: list[Entry]
    folders: list[str]


class Place(ABC):
    """A folder, with all that lies in it; it can be sent to other machines."""

    url: str

    @abstractmethod
    def check_answers(self) -> None:
        """Check that a store listens: requests to one that does not are repeated for a minute.

        Raises:
            DerainError: If nothing does.
        """

    @abstractmethod
    def contents(self, folder: str) -> Contents:
        """Return what a folder holds; nothing if there is no such folder.

        Raises:
            OSError: If it cannot be listed.
        """

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return a file's bytes.

        Raises:
            OSError: If it cannot be read.
        """

    @abstractmethod
    def fetch(self, name: str, path: Path) -> None:
        """Copy a file to a path of this machine, of which no more than a piece is in memory.

        Raises:
            OSError: If it cannot be copied.
        """

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Write a file completely or not at all, with the folders that it lies in.

        Raises:
            OSError: If it cannot be written.
        """

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file.

        Raises:
            OSError: If it cannot be removed.
        """

    @abstractmethod
    def remove_folder(self, name: str) -> None:
        """Remove a folder that is empty; stores have none that are."""

    @abstractmethod
    def shown(self, name: str) -> str:
        """Return the path or address of a file, for people and other programs."""

    def inside(self, other: "Place") -> str | None:
        """Return the name that this folder has in another; None if it does not lie in it."""
        if type(self) is not type(other):
            return None
        mine, theirs = self._parts, other._parts
        if mine[: len(theirs)] != theirs:
            return None
        return "/".join(mine[len(theirs) :])

    @property
    @abstractmethod
    def _parts(self) -> tuple[str, ...]:
        """What tells the place from others, from the root on."""


class Local(Place):
    """A folder of this machine, or one that all machines of a cluster mount under this path."""

    def __init__(self, url: str) -> None:
        self.url = url
        # Workers have other working directories.
        self._root = os.path.abspath(url)  # noqa: PTH100

    def check_answers(self) -> None:
        """Do nothing: a folder needs no answer."""

    def contents(self, folder: str) -> Contents:
        """Return what a folder holds; links to files count, links to folders are not followed."""
        found = Contents([], [])
        try:
            entries = os.scandir(self._path(folder))
        except FileNotFoundError:
            return found
        with entries:
            for entry in entries:
                # A link to itself cannot be looked at, nor what was removed meanwhile.
                with suppress(OSError):
                    if entry.is_dir():
                        if not entry.is_symlink():
                            found.folders.append(entry.name)
                    elif entry.is_file():
                        status = entry.stat()
                        found.files.append(Entry(entry.name, status.st_size, status.st_mtime_ns))
        return found

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        return self._path(name).read_bytes()

    def fetch(self, name: str, path: Path) -> None:
        """Copy a file to a path of this machine."""
        shutil.copyfile(self._path(name), path)

    def write(self, name: str, data: bytes) -> None:
        """Write a file, with the folders that it lies in."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, data)

    def remove(self, name: str) -> None:
        """Remove a file."""
        self._path(name).unlink(missing_ok=True)

    def remove_folder(self, name: str) -> None:
        """Remove a folder, if it is empty."""
        with suppress(OSError):
            self._path(name).rmdir()

    def shown(self, name: str) -> str:
        """Return the path of a file, which begins as the place was named."""
        return str(Path(self.url) / name)

    @property
    def _parts(self) -> tuple[str, ...]:
        return Path(os.path.realpath(self._root)).parts

    def _path(self, name: str) -> Path:
        return Path(self._root, name)


class Remote(Place):
    """A folder of an object store, or of another file system of PyArrow or fsspec.

    Args:
        url: Its address. What follows a question mark is for the store.
    """

    def __init__(self, url: str) -> None:
        split = urlsplit(url)
        self._scheme = split.scheme
        self._root = posixpath.normpath(f"{split.netloc}{split.path}").strip("/")
        query = {key: values[-1] for key, values in parse_qs(split.query).items()}
        # Said in the address, so that workers whose environment lacks it know it, too.
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        if self._scheme == "s3" and endpoint and "endpoint_override" not in query:
            query["endpoint_override"] = endpoint
        self._query = query
        if self._scheme == "s3":
            _check_query(url, query)
        self.url = url

    def check_answers(self) -> None:
        """Check that something listens where the address names an endpoint."""
        endpoint = self._query.get("endpoint_override", "")
        if self._scheme != "s3" or not endpoint:
            return
        named, _, rest = endpoint.rpartition("://")
        port = 80 if (named or self._query.get("scheme")) == "http" else 443
        try:
            split = urlsplit(f"//{rest}")
            if not split.hostname:
                raise ValueError("no host")
            with socket.create_connection((split.hostname, split.port or port), timeout=ANSWER):
                return
        except (OSError, ValueError) as error:
            raise DerainError(
                f"{self.url}: no store answers at {endpoint} ({error}); expected an"
                " S3 endpoint: check endpoint_override, or AWS_ENDPOINT_URL"
            ) from None

    def contents(self, folder: str) -> Contents:
        """Return what a folder holds."""
        fs = require("pyarrow.fs")
        path = self._path(folder)
        selector = fs.FileSelector(path, allow_not_found=True)
        found = Contents([], [])
        for info in self._files.get_file_info(selector):
            if info.type == fs.FileType.Directory:
                found.folders.append(info.base_name)
            elif info.type == fs.FileType.File and info.base_name:
                found.files.append(Entry(info.base_name, info.size, info.mtime_ns or 0))
        return found

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        with self._files.open_input_file(self._path(name)) as file:
            return file.read()

    def fetch(self, name: str, path: Path) -> None:
        """Copy a file to a path of this machine."""
        with self._files.open_input_stream(self._path(name)) as file, path.open("wb") as copy:
            shutil.copyfileobj(file, copy, _PIECE)

    def write(self, name: str, data: bytes) -> None:
        """Write a file. Object stores show it when it is complete, others after it was renamed."""
        path = self._path(name)
        if self._scheme in _BY_ARROW:
            with self._files.open_output_stream(path) as file:
                file.write(data)
            return
        parent, last = posixpath.split(path)
        self._files.create_dir(parent, recursive=True)
        draft = posixpath.join(parent, f".derain-{os.urandom(8).hex()}.part")
        with self._files.open_output_stream(draft) as file:
            file.write(data)
        self._files.move(draft, posixpath.join(parent, last))

    def remove(self, name: str) -> None:
        """Remove a file."""
        with suppress(FileNotFoundError):
            self._files.delete_file(self._path(name))

    def remove_folder(self, name: str) -> None:
        """Remove an empty folder, where the file system has such."""
        if self._scheme not in _BY_ARROW:
            with suppress(OSError):
                self._files.delete_dir(self._path(name))

    def shown(self, name: str) -> str:
        """Return the address of a file."""
        return f"{self._scheme}://{self._path(name)}"

    @property
    def _parts(self) -> tuple[str, ...]:
        return (self._scheme, self._query.get("endpoint_override", ""), *self._root.split("/"))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    @cached_property
    def _files(self) -> Any:
        """The file system; it is opened anew on each machine."""
        fs = require("pyarrow.fs", f"{self._scheme}://")
        if self._scheme == "s3":
            return self._s3(fs)
        if self._scheme in _BY_ARROW:
            query = {"retry_limit_seconds": str(_PATIENCE)} | self._query
            return fs.FileSystem.from_uri(f"gs://{self._root}?{urlencode(query)}")[0]
        fsspec = require("fsspec", f"{self._scheme}://")
        try:
            made = fsspec.filesystem(self._scheme, **self._query)
        except (ImportError, ValueError) as error:
            raise DerainError(f"{self.url}: {' '.join(str(error).split())}") from None
        return fs.PyFileSystem(fs.FSSpecHandler(made))

    def _s3(self, fs: Any) -> Any:
        """Return S3, or a store that is compatible with it."""
        given = dict(self._query)
        if "://" in given.get("endpoint_override", ""):
            scheme, _, endpoint = given["endpoint_override"].partition("://")
            given |= {"scheme": scheme, "endpoint_override": endpoint.rstrip("/")}
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if "region" not in given and region:
            given["region"] = region
        elif "region" not in given and "endpoint_override" not in given:
            given["region"] = fs.resolve_s3_region(self._root.partition("/")[0])
        retries = fs.AwsStandardS3RetryStrategy(max_attempts=_TRIES)
        # One request for what is small, where each part of a larger upload would be one.
        return fs.S3FileSystem(
            retry_strategy=retries, background_writes=False, allow_delayed_open=True, **given
        )

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_files"}


def _check_query(url: str, query: dict[str, str]) -> None:
    for key in query:
        if key not in _OF_S3:
            hint = did_you_mean(key, _OF_S3)
            raise DerainError(f"{url}: {key}: expected one of {', '.join(_OF_S3)}{hint}")


def open_place(url: str, option: str) -> Place:
    """Return a place, without looking at it.

    Args:
        url: A path or an address.
        option: Name of the Python argument that it is the value of.

    Raises:
        UsageError: If it can be neither.
    """
    if not url or url == "-":
        raise _unmeant(url, "expected a folder or an address", option)
    if "://" not in url:
        if Path(url).is_file():
            raise _unmeant(url, "a file; expected a folder", option)
        return Local(url)
    split = urlsplit(url)
    if split.scheme == "file":
        path = url.partition("://")[2].removeprefix("localhost")
        if not path.startswith("/"):
            raise _unmeant(url, "expected three slashes, as in file:///pictures", option)
        return Local(unquote(path))
    if not split.netloc and not split.path.strip("/"):
        raise _unmeant(url, "expected a bucket after ://", option)
    return Remote(url)


def _unmeant(url: str, problem: str, option: str) -> DerainError:
    """Return the error for a place that cannot be meant; what is read has no flag."""
    if option == "source":
        return DerainError(f"{url!r}: {problem}")
    return UsageError(problem, option=option, value=url)
