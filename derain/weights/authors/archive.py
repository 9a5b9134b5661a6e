"""Zip archives that nobody vouches for: members are measured before they are read.

What an archive says of its members is compared with its own size first. A member that is stored has
as many bytes in the file as it has outside; members may not overlap, so all of them together are
not larger than the file. PyTorch compresses nothing. Members that someone compressed afterwards are
unpacked up to a limit. Format: PKWARE's APPNOTE.TXT, sections 4.3 and 4.5.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

STORED, DEFLATED = 0, 8
LARGEST_DIRECTORY = 8 << 20
"""Bytes, which is eighty thousand members; a checkpoint has one for each tensor."""

LARGEST_PACKED = 64 << 20
"""Bytes of a compressed member outside the file."""

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MOST = {16: 0xFFFF, 32: 0xFFFFFFFF}


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes:
        name: Its path.
        packed: Whether it is compressed.
        stored: Its bytes in the archive.
        size: Its bytes outside.
        checksum: CRC-32 of its content.
        place: Where its header begins in the archive.
    """

    name: str
    packed: bool
    stored: int
    size: int
    checksum: int
    place: int


class Archive:
    """The members of a zip archive.

    Args:
        path: The file.

    Raises:
        ValueError: If it is no archive, or says of its members what cannot be.
        OSError: If it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            length = file.seek(0, 2)
            begin, size = _directory(file, length)
            if size > LARGEST_DIRECTORY or begin + size > length:
                raise ValueError(f"its list of members has {size} bytes, of {length} in all")
            file.seek(begin)
            entries = list(_entries(file.read(size)))
        self.members = {entry.name: entry for entry in entries}
        if len(self.members) < len(entries):
            raise ValueError("two of its members have one name")
        _check_places(entries, begin)

    def read(self, name: str, first: int = 0, count: int | None = None) -> bytes:
        """Return bytes of a member.

        Args:
            name: Its path.
            first: The first byte.
            count: How many; None for all. The checksum is verified where it is all of them.

        Raises:
            ValueError: If the member is not there, or damaged.
        """
        member = self.members.get(name)
        if member is None:
            raise ValueError(f"its member {name} is missing")
        count = member.size - first if count is None else count
        if first + count > member.size:
            raise ValueError(f"its member {name} has {member.size} bytes")
        with self._path.open("rb") as file:
            begin = _begin(file, member)
            if member.packed:
                content = _unpacked(file, begin, member)[first : first + count]
            else:
                file.seek(begin + first)
                content = file.read(count)
        if len(content) != count:
            raise ValueError(f"its member {name} ends too soon")
        if count == member.size and zlib.crc32(content) != member.checksum:
            raise ValueError(f"the checksum of its member {name} is wrong")
        return content


def _directory(file: BinaryIO, length: int) -> tuple[int, int]:
    """Return offset and size of an archive's list of members."""
    file.seek(max(0, length - _END.size - _MOST[16]))
    tail = file.read()
    found = tail.rfind(b"PK\5\6")
    if found < 0 or len(tail) - found < _END.size:
        raise ValueError("it is no zip archive, or ends too soon")
    *_, size, begin, _ = _END.unpack_from(tail, found)
    end = length - len(tail) + found
    if _MOST[32] in (size, begin) or end >= _LOCATOR.size:
        file.seek(max(0, end - _LOCATOR.size))
        locator = file.read(_LOCATOR.size)
        if locator.startswith(b"PK\6\7"):
            place = _LOCATOR.unpack(locator)[2]
            file.seek(min(place, length))
            record = file.read(_END_64.size)
            if len(record) < _END_64.size or not record.startswith(b"PK\6\6"):
                raise ValueError("its end is damaged")
            *_, size, begin = _END_64.unpack(record)
    return begin, size


def _entries(directory: bytes) -> Iterator[Member]:
    """Yield the members that a list names."""
    position = 0
    while position < len(directory):
        if len(directory) - position < _ENTRY.size or directory[position : position + 4] != (
            b"PK\1\2"
        ):
            raise ValueError("its list of members is damaged")
        (_, _, _, flags, method, _, _, checksum, stored, size, *rest) = _ENTRY.unpack_from(
            directory, position
        )
        of_name, of_extra, of_comment, _, _, _, place = rest
        position += _ENTRY.size
        name = directory[position : position + of_name]
        extra = directory[position + of_name : position + of_name + of_extra]
        position += of_name + of_extra + of_comment
        size, stored, place = _long_sizes(extra, [size, stored, place])
        if flags & 1 or method not in (STORED, DEFLATED):
            raise ValueError("its members are encrypted, or compressed in an unusual way")
        packed = method == DEFLATED
        if size > LARGEST_PACKED if packed else size != stored:
            raise ValueError(f"a member of {stored} bytes claims to hold {size}")
        yield Member(name.decode("utf-8", "replace"), packed, stored, size, checksum, place)


def _long_sizes(extra: bytes, values: list[int]) -> list[int]:
    """Return sizes and place of a member, the large ones out of its Zip64 field."""
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        field = extra[position + 4 : position + 4 + length]
        position += 4 + length
        if kind != 1:
            continue
        for k, value in enumerate(values):
            if value == _MOST[32] and len(field) >= 8:
                values[k] = int.from_bytes(field[:8], "little")
                field = field[8:]
    return values


def _check_places(entries: list[Member], end: int) -> None:
    """Raise ValueError if members overlap, or reach into their list."""
    ordered = sorted(entries, key=lambda member: member.place)
    following = [member.place for member in ordered[1:]] + [end]
    for member, behind in zip(ordered, following, strict=True):
        if member.place + _LOCAL.size + member.stored > behind:
            raise ValueError("its members overlap, or it ends too soon")


def _begin(file: BinaryIO, member: Member) -> int:
    """Return where the bytes of a member begin."""
    file.seek(member.place)
    header = file.read(_LOCAL.size)
    if len(header) < _LOCAL.size or not header.startswith(b"PK\3\4"):
        raise ValueError(f"its member {member.name} is damaged")
    *_, of_name, of_extra = _LOCAL.unpack(header)
    return member.place + _LOCAL.size + of_name + of_extra


def _unpacked(file: BinaryIO, begin: int, member: Member) -> bytes:
    file.seek(begin)
    try:
        return zlib.decompressobj(-15).decompress(file.read(member.stored), member.size + 1)
    except zlib.error as error:
        raise ValueError(f"its member {member.name} is damaged ({error})") from None
