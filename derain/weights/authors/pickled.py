"""PyTorch checkpoints as plain data and tensors; code in them is never run.

Three formats hold a pickle whose tensors refer to storages, by persistent ids: a zip archive whose
members are storages (``torch.save`` since 1.6), a stream with the storages behind it (before), and
a plain pickle, which has none. What a pickle says of storages is compared with their sizes in the
file. No storage is read before a tensor in it is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from derain.weights.authors.archive import Archive
from derain.weights.authors.pickle_stream import (
    Builders,
    HarmfulError,
    Machine,
    Name,
    StreamError,
    Unbuilt,
)
from derain.weights.authors.stored import Stored
from derain.weights.header import WeightsError, check_is_file

LARGEST_PICKLE = 16 << 20
"""Bytes of all that is no storage."""

MOST_AXES = 16

MAGIC = 0x1950A86A20F9469CFC6C
"""What a stream of the old format begins with."""

KINDS = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "Untyped": torch.uint8,
}
"""Number formats by the name of the storage's class, without the word."""


@dataclass(frozen=True)
class Content:
    """The content of a checkpoint.

    Attributes:
        tree: Mappings, lists and tuples of numbers, text and `Stored` tensors.
        unbuilt: Names of what only code could build.
    """

    tree: Any
    unbuilt: tuple[str, ...] = ()


@dataclass(frozen=True)
class Storage:
    """A row of numbers in a file.

    Attributes:
        dtype: Of its numbers.
        count: How many.
        read: Reads bytes of it: the first one, how many.
    """

    dtype: torch.dtype
    count: int
    read: Callable[[int, int], bytes]


def read_content(path: Path) -> Content:
    """Return what a checkpoint holds, its tensors unread.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If it is no checkpoint, damaged, or asks to run code.
    """
    check_is_file(path)
    with path.open("rb") as file:
        begin = file.read(4)
    try:
        content = _read_archive(path) if begin == b"PK\3\4" else _read_stream(path)
    except HarmfulError as error:
        raise _refusal(path, f"it asks to run {error}; not loaded") from None
    except ValueError as error:
        raise _refusal(path, f"it is damaged or something else ({error})") from None
    if isinstance(content.tree, Unbuilt) and not content.tree.items:
        raise _refusal(path, f"it asks to run {content.tree.name}; not loaded")
    return content


def _refusal(path: Path, found: str) -> WeightsError:
    return WeightsError(f"{path}: expected a PyTorch checkpoint of plain tensors, but {found}")


def _read_archive(path: Path) -> Content:
    archive = Archive(path)
    pickles = [name for name in archive.members if name.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1:
        raise ValueError(f"a zip archive with {len(pickles)} files data.pkl, not one")
    if archive.members[pickles[0]].size > LARGEST_PICKLE:
        raise ValueError(f"its pickle is larger than {LARGEST_PICKLE >> 20} MiB")
    folder = pickles[0].removesuffix("data.pkl")
    order = f"{folder}byteorder"
    if order in archive.members and archive.read(order, count=6) != b"little":
        raise ValueError("its numbers begin with the highest byte, not the lowest")

    def storage(dtype: torch.dtype, key: str, count: int) -> Storage:
        member = archive.members.get(f"{folder}data/{key}")
        if member is None or member.size < count * dtype.itemsize:
            raise StreamError(f"its storage {key} is shorter than {count} numbers, or missing")
        return Storage(dtype, count, partial(archive.read, member.name))

    machine = Machine(archive.read(pickles[0]), BUILDERS, partial(_storage_of, make=storage))
    return Content(machine.read(), tuple(machine.unbuilt))


def _read_stream(path: Path) -> Content:
    """Read the old format, or a plain pickle."""
    with path.open("rb") as file:
        head = file.read(LARGEST_PICKLE)
    sizes: dict[str, tuple[int, int]] = {}
    places: dict[str, int] = {}

    def read(key: str, first: int, count: int) -> bytes:
        with path.open("rb") as file:
            file.seek(places[key] + first)
            return file.read(count)

    def storage(dtype: torch.dtype, key: str, count: int) -> Storage:
        sizes[key] = count, dtype.itemsize
        return Storage(dtype, count, partial(read, key))

    machine = Machine(head, BUILDERS, partial(_storage_of, make=storage))
    tree = machine.read()
    if tree == MAGIC:
        for _ in ("version", "machine that wrote it", "content"):
            tree = machine.read()
        places |= _places(path, machine.read(), machine.position, sizes)
    return Content(tree, tuple(machine.unbuilt))


def _places(
    path: Path, keys: Any, position: int, sizes: dict[str, tuple[int, int]]
) -> dict[str, int]:
    """Return where storages of the old format begin: in order, each behind its count."""
    places: dict[str, int] = {}
    length = path.stat().st_size
    with path.open("rb") as file:
        for key in map(str, keys):
            if key not in sizes:
                raise ValueError("its list of storages names others than its tensors")
            file.seek(position)
            count = int.from_bytes(file.read(8), "little")
            expected, width = sizes[key]
            places[key] = position + 8
            position += 8 + count * width
            if count < expected or position > length:
                raise ValueError("it ends before its tensors do")
    if missing := sizes.keys() - places.keys():
        raise ValueError(f"its storage {min(missing)} is missing")
    return places


def _storage_of(persistent_id: Any, *, make: Callable[[torch.dtype, str, int], Storage]) -> Any:
    """Return the storage that a persistent id names."""
    if not (isinstance(persistent_id, tuple) and len(persistent_id) in (5, 6)):
        raise StreamError("its pickle refers to something else than storages")
    word, kind, key, _, count, *view = persistent_id
    if (
        word != "storage"
        or not isinstance(kind, Name)
        or not _is_count(count)
        or view
        not in (
            [],
            [None],
        )
    ):
        raise StreamError("its pickle refers to something else than storages")
    dtype = KINDS.get(kind.name.rpartition(".")[2].removesuffix("Storage"))
    return Unbuilt(kind.name) if dtype is None else make(dtype, str(key), count)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 48


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> Any:
    """Return a tensor as PyTorch describes it; the arguments are those of ``_rebuild_tensor``.

    Raises:
        StreamError: If it does not lie within its storage.
    """
    if isinstance(storage, Unbuilt):
        return Unbuilt("a tensor of an unusual kind")
    if not (
        isinstance(storage, Storage)
        and isinstance(shape, tuple)
        and isinstance(stride, tuple)
        and len(shape) == len(stride) <= MOST_AXES
        and all(map(_is_count, (offset, *shape, *stride)))
    ):
        raise StreamError("a tensor in its pickle is malformed")
    steps = [(size - 1) * step for size, step in zip(shape, stride, strict=True)]
    extent = 0 if 0 in shape else 1 + sum(steps)
    if extent and offset + extent > storage.count:
        raise StreamError(
            f"a tensor of {'x'.join(map(str, shape)) or 'one number'} reaches beyond its storage"
            f" of {storage.count} numbers"
        )
    return Stored(shape, extent, partial(_read, storage, offset, shape, stride, extent))


def _tensor_of_type(storage: Any, offset: Any, shape: Any, stride: Any, *rest: Any) -> Any:
    """Return a tensor whose number format is written apart, as ``_rebuild_tensor_v3``."""
    dtype = getattr(torch, rest[2].name.rpartition(".")[2], None) if len(rest) > 2 else None
    if not (isinstance(storage, Storage) and isinstance(dtype, torch.dtype)):
        raise StreamError("a tensor in its pickle is of no known kind")
    count = storage.count * storage.dtype.itemsize // dtype.itemsize
    return _tensor(Storage(dtype, count, storage.read), offset, shape, stride)


def _read(
    storage: Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], extent: int
) -> Tensor:
    if not extent:
        return torch.empty(shape, dtype=storage.dtype)
    width = storage.dtype.itemsize
    content = bytearray(storage.read(offset * width, extent * width))
    return torch.frombuffer(content, dtype=storage.dtype).as_strided(shape, stride).contiguous()


def _of_tensor(tensor: Any, *_: Any) -> Any:
    """Return the tensor of a parameter."""
    return tensor


def _of_subclass(build: Any, _kind: Any, arguments: Any, _state: Any) -> Any:
    """Return the tensor of a tensor with attributes."""
    known = BUILDERS.get(build.name) if isinstance(build, Name) else None
    if known is None or known is _of_subclass:
        return Unbuilt("a tensor of an unusual kind")
    return known(*arguments)


def _mapping(pairs: Any = (), *_: Any) -> dict[str, Any]:
    return {str(key): value for key, value in pairs if isinstance(key, str | int)}


BUILDERS: Builders = {
    "collections.OrderedDict": _mapping,
    "collections.defaultdict": lambda *_: dict[str, Any](),
    "torch.Size": tuple,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_type,
    "torch._utils._rebuild_parameter": _of_tensor,
    "torch._utils._rebuild_parameter_with_state": _of_tensor,
    "torch._tensor._rebuild_from_type_v2": _of_subclass,
}
"""What is built of the arguments to a name in a pickle."""
