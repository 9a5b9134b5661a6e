"""Directories of a TIFF file, which is also what an EXIF block is: read and written as bytes.

Values stay the bytes that they are, so that no tag, known or not, is changed by being understood
(TIFF 6.0, section 2; BigTIFF as libtiff writes it).
"""

import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

HEADER = 8
"""Bytes before the first directory may begin."""
POINTER_EXIF, POINTER_GPS, POINTER_INTEROP = 0x8769, 0x8825, 0xA005
ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 2, 3, 4, 5, 7
_IFD = 13
_CLASSIC, _BIG = 42, 43
"""Numbers by which TIFF and BigTIFF are known."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of a value of each type."""
BIG_SIZES = {**_SIZES, 16: 8, 17: 8, 18: 8}
_UNITS = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes that the byte order turns around, where that is more than one."""
INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q"}
"""Types of whole numbers, as `struct` names them."""


@dataclass(frozen=True)
class Field:
    """A tag with its value.

    Attributes:
        value: In the byte order of its file.
        type: As in the file, one of TIFF's.
        place: Where the entry lies in its file, and `at` where its value does; -1 for new fields.
    """

    tag: int
    type: int
    value: bytes
    place: int = -1
    at: int = -1

    @property
    def size(self) -> int:
        """Bytes of one of its values."""
        return BIG_SIZES[self.type]


@dataclass(frozen=True)
class Layout:
    """The byte order and sizes of the numbers in a file.

    Attributes:
        order: ``<`` or ``>``, as in `struct`.
        big: Offsets have eight bytes (BigTIFF).
    """

    order: str = "<"
    big: bool = False


def layout_of(data: bytes) -> Layout:
    """Return the byte order and sizes of a TIFF file or EXIF block.

    Raises:
        ValueError: If it is neither.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    version = struct.unpack_from(f"{order}H", data, 2)[0] if order and len(data) >= HEADER else 0
    if order is None or version not in (_CLASSIC, _BIG):
        raise ValueError("no TIFF header")
    return Layout(order, version == _BIG)


def first_offset(data: bytes, layout: Layout) -> int:
    """Return where the first directory lies."""
    return offset_at(data, layout, 8 if layout.big else 4)


def offset_at(data: bytes, layout: Layout, place: int) -> int:
    """Return the offset that is written at a place."""
    return struct.unpack_from(layout.order + ("Q" if layout.big else "I"), data, place)[0]


def read_directory(data: bytes, layout: Layout, offset: int) -> tuple[list[Field], list[int], int]:
    """Read the directory at an offset.

    Returns:
        Its fields; the tags whose values lie outside the file or have no known type; where the
        offset of the next directory lies.

    Raises:
        ValueError: If the directory itself lies outside.
    """
    count_form, entry, inline, sizes = (
        ("Q", 20, 8, BIG_SIZES) if layout.big else ("H", 12, 4, _SIZES)
    )
    offset_form = layout.order + ("Q" if layout.big else "I")
    start = offset + struct.calcsize(f"<{count_form}")
    if offset < HEADER or start > len(data):
        raise ValueError("a directory outside the file")
    (count,) = struct.unpack_from(layout.order + count_form, data, offset)
    if start + count * entry + inline > len(data):
        raise ValueError("a directory that ends outside the file")
    fields: list[Field] = []
    damaged: list[int] = []
    left = len(data)  # values that overlap could add up to far more than the file
    for place in range(start, start + count * entry, entry):
        tag, type = struct.unpack_from(f"{layout.order}HH", data, place)
        (number,) = struct.unpack_from(offset_form, data, place + 4)
        length = sizes.get(type, 0) * number
        at = place + entry - inline
        if length > inline:
            (at,) = struct.unpack_from(offset_form, data, at)
        left -= length
        if length == 0 or at + length > len(data) or left < 0:
            damaged.append(tag)
        else:
            fields.append(Field(tag, type, bytes(data[at : at + length]), place, at))
    return fields, damaged, start + count * entry


def first_integer(field: Field, order: str) -> int | None:
    """Return the first value of a field of integers, None for other types."""
    form = INTEGERS.get(field.type)
    return None if form is None else struct.unpack_from(order + form, field.value)[0]


def first_rational(field: Field, order: str) -> float | None:
    """Return the first value of a field of fractions, None for other types and no number."""
    if field.type != RATIONAL:
        return None
    above, below = struct.unpack_from(f"{order}II", field.value)
    return above / below if below else None


def put_integer(data: bytearray, field: Field, order: str, value: int) -> bool:
    """Set the first value of a field of integers in its own type; False if it does not fit."""
    form = INTEGERS.get(field.type)
    if form is None:
        return False
    try:
        struct.pack_into(order + form, data, field.at, value)
    except struct.error:
        return False
    return True


def directory_at(data: bytes, layout: Layout, fields: Iterable[Field], pointer: int) -> list[Field]:
    """Return the fields of the directory that a tag points to; empty if it does not exist."""
    for field in fields:
        if field.tag == pointer:
            offset = first_integer(field, layout.order)
            try:
                return read_directory(data, layout, offset or 0)[0]
            except ValueError:
                return []
    return []


def swapped(field: Field) -> Field:
    """Return a field in the other byte order."""
    unit = _UNITS.get(field.type, 1)
    value = b"".join(
        field.value[place : place + unit][::-1] for place in range(0, len(field.value), unit)
    )
    return replace(field, value=value)


def in_order(fields: Iterable[Field], before: str, after: str) -> list[Field]:
    """Return fields in a byte order."""
    return list(fields) if before == after else [swapped(field) for field in fields]


def append(block: bytearray, order: str, fields: Sequence[Field]) -> int:
    """Write a directory at the end of a block, and return where it lies.

    Fields that have a place keep their values where they are.
    """
    return append_entries(block, order, {each.tag: _entry(block, order, each) for each in fields})


def append_entries(
    block: bytearray, order: str, entries: Mapping[int, bytes], following: int = 0
) -> int:
    """Write a directory of finished entries by their tags, and return where it lies.

    Args:
        block: The file so far, to which the directory is added.
        order: Byte order, as ``struct`` writes it.
        entries: Finished entries of 12 bytes, by tag.
        following: Offset of the directory after this one, 0 for the last.
    """
    block.extend(b"\0" * (len(block) % 2))
    start = len(block)
    block.extend(struct.pack(f"{order}H", len(entries)))
    block.extend(b"".join(entries[tag] for tag in sorted(entries)))
    block.extend(struct.pack(f"{order}I", following))
    return start


def _entry(block: bytearray, order: str, field: Field) -> bytes:
    """Return a field's entry; a value that is new and does not fit into it joins the block."""
    entry = struct.pack(f"{order}HHI", field.tag, field.type, len(field.value) // field.size)
    if len(field.value) <= 4:
        return entry + field.value.ljust(4, b"\0")
    at = field.at
    if field.place < 0:
        block.extend(b"\0" * (len(block) % 2))
        at = len(block)
        block.extend(field.value)
    return entry + struct.pack(f"{order}I", at)


def with_fields(block: bytes, fields: Sequence[Field], without: Collection[int] = ()) -> bytes:
    """Return a block with fields in its first directory, in place of those of the same tags.

    The new directory goes behind everything else, so that nothing has to move; other entries are
    copied as they are, sound or not.

    Args:
        block: Of EXIF, or a TIFF; empty for a new one.
        fields: The low byte of numbers first.
        without: Tags that are left out.

    Raises:
        ValueError: If the block is damaged.
    """
    edited = bytearray(block) or new_block("<")
    layout = layout_of(bytes(edited[:HEADER]))
    entries: dict[int, bytes] = {}
    following = 0
    if block:
        start = first_offset(block, layout)
        _, _, end = read_directory(block, layout, start)
        following = offset_at(block, layout, end)
        for place in range(start + 2, end, 12):
            (tag,) = struct.unpack_from(f"{layout.order}H", block, place)
            if tag not in without:
                entries.setdefault(tag, block[place : place + 12])
    for field in in_order(fields, "<", layout.order):
        entries[field.tag] = _entry(edited, layout.order, field)
    set_first(edited, layout.order, append_entries(edited, layout.order, entries, following))
    return bytes(edited)


def new_block(order: str) -> bytearray:
    """Return a header without a directory yet; see `set_first`."""
    return bytearray(struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", _CLASSIC, 0))


def set_first(block: bytearray, order: str, offset: int) -> None:
    """Make the directory at an offset the first one."""
    struct.pack_into(f"{order}I", block, 4, offset)


def pointer(tag: int, order: str, offset: int) -> Field:
    """Return a field that points to a directory."""
    return Field(tag, LONG, struct.pack(f"{order}I", offset))


def is_pointer(field: Field) -> bool:
    """Whether a field's value is where a directory lies, which means nothing elsewhere."""
    return field.type in (_IFD, 18) or field.tag in (POINTER_EXIF, POINTER_GPS, POINTER_INTEROP)


def is_classic(field: Field) -> bool:
    """Whether a field of a BigTIFF may stand in a TIFF."""
    return field.type in _SIZES


def copied(
    order: str,
    fields: Sequence[Field],
    exif: Sequence[Field],
    gps: Sequence[Field],
    interop: Sequence[Field],
) -> bytes:
    """Return a block with copies of a first directory and of those that it points to."""
    block = new_block(order)
    main = [replace(field, place=-1) for field in fields if not is_pointer(field)]
    inner = [replace(field, place=-1) for field in exif if not is_pointer(field)]
    if interop:
        inner.append(pointer(POINTER_INTEROP, order, append(block, order, _unplaced(interop))))
    if inner:
        main.append(pointer(POINTER_EXIF, order, append(block, order, inner)))
    if gps:
        main.append(pointer(POINTER_GPS, order, append(block, order, _unplaced(gps))))
    set_first(block, order, append(block, order, main))
    return bytes(block)


def _unplaced(fields: Iterable[Field]) -> list[Field]:
    return [replace(field, place=-1) for field in fields if not is_pointer(field)]
