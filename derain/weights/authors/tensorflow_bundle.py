"""Reads TensorFlow checkpoints of the bundle format, without TensorFlow.

A bundle is two files, ``NAME.index`` and ``NAME.data-00000-of-00001``. The index is a sorted string
table as LevelDB writes it: blocks of key-value pairs whose keys share prefixes, each block closed
by a compression byte and a checksum, and a footer that says where the block of blocks lies. The
values are protocol buffers that give each tensor's type, shape, place in the data file and
checksum. Formats: LevelDB's table_format.md; TensorFlow's tensor_bundle.proto.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from derain.weights.authors.stored import Stored
from derain.weights.checkpoints import index_of
from derain.weights.header import WeightsError, check_is_file
from derain.weights.protobuf import fields, varint

MAGIC = 0xDB4775248B80FB57
FOOTER = 48
TRAILER = 5
"""After each block: a byte for the compression, four for the checksum."""

MASK_DELTA = 0xA282EAD8
LARGEST_INDEX = 2 << 20
"""Bytes; twenty thousand variables take as many, and their checksums a quarter of a second."""

LONGEST_NAME = 4096
"""Far beyond any checkpoint's; a file with longer ones is damaged."""

LONGEST_NAMES = 16 << 20
"""Bytes of all names: an index stores what neighbours share once, so it may claim many more."""

TYPES = {1: np.dtype("<f4"), 2: np.dtype("<f8"), 3: np.dtype("<i4"), 9: np.dtype("<i8")}
"""The types that are read here, by TensorFlow's DataType numbers."""


@dataclass(frozen=True)
class Variable:
    """The place of a variable in the data file."""

    dtype: int = 0
    shape: tuple[int, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    checksum: int = 0


def read(path: Path) -> dict[str, Stored]:
    """Return the variables of a bundle by name, unread; their checksums are verified as they are.

    Args:
        path: The index, the data file, or what their names share.

    Raises:
        FileNotFoundError: If one of the two files does not exist.
        WeightsError: If the index is damaged, or something else.
    """
    index = index_of(path)
    data = index.with_name(f"{index.stem}.data-00000-of-00001")
    variables = read_index(path)
    if not data.is_file():
        raise FileNotFoundError(
            f"{data}: not there; a TensorFlow checkpoint is this file and {index.name}"
        )
    return {
        name: Stored(
            variable.shape,
            math.prod(variable.shape),
            partial(_read_tensor, data, name, variable),
        )
        for name, variable in variables.items()
    }


def read_index(path: Path) -> dict[str, Variable]:
    """Return where the variables of a bundle lie, by name, as its index says.

    Args:
        path: As for `read`.

    Raises:
        FileNotFoundError: If there is no index.
        WeightsError: If it is damaged, or something else.
    """
    path = index_of(path)
    check_is_file(path)
    try:
        if path.stat().st_size > LARGEST_INDEX:
            raise ValueError(f"it is larger than {LARGEST_INDEX >> 20} MiB")
        content = path.read_bytes()
        variables: dict[str, Variable] = {}
        names = 0
        for key, value in _table(content):
            names += len(key)
            if names > LONGEST_NAMES:
                raise ValueError(f"its names are longer than {LONGEST_NAMES >> 20} MiB")
            if key:  # the empty one is the header
                variables[key.decode()] = _variable(value)
        return variables
    except (ValueError, IndexError, struct.error) as error:
        reason = "it ends too soon" if isinstance(error, IndexError | struct.error) else str(error)
        raise WeightsError(
            f"{path}: expected the index of a TensorFlow checkpoint, but it is damaged or something"
            f" else: {reason}"
        ) from None


def _read_tensor(path: Path, name: str, variable: Variable) -> Tensor:
    """Read a variable out of the data file."""
    if variable.dtype not in TYPES or variable.shard != 0:
        raise WeightsError(
            f"{path}: {name} is of a type or in a part that is not read here (type"
            f" {variable.dtype}, part {variable.shard})"
        )
    dtype = TYPES[variable.dtype]
    expected = dtype.itemsize * math.prod(variable.shape)
    if variable.offset + variable.size > path.stat().st_size or variable.size != expected:
        raise WeightsError(
            f"{path}: ends before {name} does; the file is damaged, or belongs to another index"
        )
    with path.open("rb") as file:
        file.seek(variable.offset)
        content = file.read(variable.size)
    if masked_crc32c(content) != variable.checksum:
        raise WeightsError(
            f"{path}: the checksum of {name} is wrong; the file is damaged, or belongs to another"
            " index"
        )
    return torch.from_numpy(np.frombuffer(content, dtype).reshape(variable.shape).copy())


def _table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield all pairs of a sorted string table."""
    if len(content) < FOOTER or struct.unpack("<Q", content[-8:])[0] != MAGIC:
        raise ValueError("its last bytes are not those of an index")
    # First the handle of the meta index, which bundles leave empty.
    _, _, position = _handle(content, len(content) - FOOTER)
    offset, size, _ = _handle(content, position)
    end = 0
    for _, handle in _block(content, offset, size):
        offset, size, _ = _handle(handle, 0)
        if offset < end:
            raise ValueError("its blocks overlap")
        end = offset + size
        yield from _block(content, offset, size)


def _handle(content: bytes, position: int) -> tuple[int, int, int]:
    """Return offset and size of a block, and the position behind them."""
    offset, position = varint(content, position)
    size, position = varint(content, position)
    return offset, size, position


def _block(content: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the pairs of a block.

    Each key is stored as how many bytes it shares with the one before, and the rest.
    """
    behind = offset + size
    block, trailer = content[offset:behind], content[behind : behind + TRAILER]
    if len(block) != size or len(trailer) != TRAILER or size < 4:
        raise ValueError("it ends too soon")
    if trailer[0] != 0:
        raise ValueError("it is compressed, which TensorFlow's own are not")
    if masked_crc32c(block + trailer[:1]) != struct.unpack("<I", trailer[1:])[0]:
        raise ValueError("a checksum is wrong")
    # The places where whole keys stand close the block; reading from front to back needs none.
    restarts = struct.unpack("<I", block[-4:])[0]
    end, position, key = size - 4 * (restarts + 1), 0, b""
    if end < 0:
        raise ValueError("a block in it is too short")
    while position < end:
        shared, position = varint(block, position)
        fresh, position = varint(block, position)
        length, position = varint(block, position)
        if shared > len(key) or shared + fresh > LONGEST_NAME or position + fresh + length > end:
            raise ValueError("a name or value in it is too long")
        key = key[:shared] + block[position : position + fresh]
        position += fresh
        yield key, block[position : position + length]
        position += length


def _variable(message: bytes) -> Variable:
    """Read a BundleEntryProto."""
    values: dict[str, int] = {}
    shape: list[int] = []
    names = {1: "dtype", 3: "shard", 4: "offset", 5: "size", 6: "checksum"}
    for number, value in fields(message):
        if isinstance(value, int) and number in names:
            values[names[number]] = value
        elif isinstance(value, memoryview) and number == 2:
            shape += _shape(value)
    return Variable(shape=tuple(shape), **values)


def _shape(message: memoryview) -> list[int]:
    """Read a TensorShapeProto: each field 2 is a dimension, whose field 1 is its size."""
    dimensions = [
        dict(fields(inner))
        for kind, inner in fields(message)
        if kind == 2 and isinstance(inner, memoryview)
    ]
    sizes = [dimension.get(1, 0) for dimension in dimensions]
    return [size for size in sizes if isinstance(size, int)]


def _crc_table() -> list[int]:
    table: list[int] = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC_TABLE = _crc_table()


def masked_crc32c(content: bytes) -> int:
    """Return the CRC-32C (Castagnoli), rotated and shifted as LevelDB and TensorFlow store it."""
    crc, table = 0xFFFFFFFF, _CRC_TABLE
    for byte in content:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + MASK_DELTA) & 0xFFFFFFFF
