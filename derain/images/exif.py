"""EXIF blocks: corrected where they describe the old file, marked as derain's, made from TIFF tags.

A block is edited where it lies. Nothing else in it is moved, because what a camera maker writes
holds offsets (Exif 2.32, section 4.5).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from PIL.ExifTags import Base

from derain.images import tiff
from derain.images.tiff import Field, Layout
from derain.machine import version_of

EXIF_TAGS = frozenset(
    {
        Base.ProcessingSoftware,
        Base.DocumentName,
        Base.ImageDescription,
        Base.Make,
        Base.Model,
        Base.Orientation,
        Base.XResolution,
        Base.YResolution,
        Base.PageName,
        Base.ResolutionUnit,
        Base.Software,
        Base.DateTime,
        Base.Artist,
        Base.HostComputer,
        Base.Rating,
        Base.RatingPercent,
        Base.Copyright,
        Base.XPTitle,
        Base.XPComment,
        Base.XPAuthor,
        Base.XPKeywords,
        Base.XPSubject,
        Base.PrintImageMatching,
        tiff.POINTER_EXIF,
        tiff.POINTER_GPS,
    }
)
"""Tags of a TIFF's first directory that an EXIF block of another format may hold, too."""

_SIZE_TAGS = ((0x0100, 0x0101), (0xA002, 0xA003), (0x1001, 0x1002))
"""Width and height of the picture: of TIFF, Exif and the interoperability directory."""
_RESOLUTION_TAGS = ((Base.XResolution, Base.YResolution), (0xA20E, 0xA20F))
"""What is exchanged when rows become columns: of the picture, and of the camera's sensor."""
_SUBJECT_TAGS = (0x9214, 0xA214)
"""Where the subject lies, in pixels."""
_SOFTWARE = "derain "
_INCH, _CENTIMETRE = 2, 3
"""Values of ResolutionUnit."""


@dataclass(frozen=True)
class Turn:
    """The turn that makes a picture upright.

    Attributes:
        orientation: EXIF's, 1 to 8.
        width: In pixels, after turning, and so `height`.
    """

    orientation: int
    width: int
    height: int

    @property
    def exchanges(self) -> bool:
        """Whether rows became columns."""
        return self.orientation > 4

    def point(self, x: int, y: int) -> tuple[int, int]:
        """Return where a pixel of the old picture lies in the upright one."""
        if self.exchanges:
            x, y = y, x
        if self.orientation in (2, 3, 6, 7):
            x = self.width - 1 - x
        if self.orientation in (3, 4, 7, 8):
            y = self.height - 1 - y
        return x, y


def _first(block: bytes) -> tuple[Layout, list[Field]]:
    """Return the byte order of a block, and the fields of its first directory.

    Raises:
        ValueError: If this is no EXIF block.
    """
    layout = tiff.layout_of(block)
    if layout.big:
        raise ValueError("a BigTIFF, which EXIF is not")
    return layout, tiff.read_directory(block, layout, tiff.first_offset(block, layout))[0]


def orientation_of(block: bytes) -> int | None:
    """Return the orientation that a block asks for, None if it does not say.

    Raises:
        ValueError: If this is no EXIF block.
    """
    layout, fields = _first(block)
    found = [field for field in fields if field.tag == Base.Orientation]
    return tiff.first_integer(found[0], layout.order) if found else None


def corrected(block: bytes, turn: Turn) -> bytes:
    """Return a block that describes the upright picture and has no thumbnail.

    The thumbnail still shows the rain. Its directory is cut off; its bytes stay.

    Raises:
        ValueError: If this is no EXIF block.
    """
    edited = bytearray(block)
    layout = tiff.layout_of(block)
    first, _, following = tiff.read_directory(block, layout, tiff.first_offset(block, layout))
    for field in first:
        if field.tag == Base.Orientation:
            _reset_orientation(edited, field, layout.order)
    struct.pack_into(f"{layout.order}I", edited, following, 0)
    exif = tiff.directory_at(block, layout, first, tiff.POINTER_EXIF)
    interop = tiff.directory_at(block, layout, exif, tiff.POINTER_INTEROP)
    for fields in (first, exif, interop):
        _turn_fields(edited, fields, layout.order, turn)
    return bytes(edited)


def _reset_orientation(edited: bytearray, field: Field, order: str) -> None:
    """Set the orientation to 1 in its own type, or as a short number if that is no integer."""
    if not tiff.put_integer(edited, field, order, 1):
        struct.pack_into(f"{order}HIHH", edited, field.place + 2, tiff.SHORT, 1, 1, 0)


def _turn_fields(edited: bytearray, fields: Sequence[Field], order: str, turn: Turn) -> None:
    """Correct sizes, resolutions and places of one directory."""
    known = {field.tag: field for field in fields}
    if turn.exchanges:
        for across, down in _SIZE_TAGS:
            for tag, value in ((across, turn.width), (down, turn.height)):
                if tag in known:
                    tiff.put_integer(edited, known[tag], order, value)
        for across, down in _RESOLUTION_TAGS:
            if across in known and down in known:
                _exchange(edited, known[across], known[down])
    if turn.orientation != 1:
        for tag in _SUBJECT_TAGS:
            if tag in known:
                _turn_subject(edited, known[tag], order, turn)


def _exchange(edited: bytearray, one: Field, other: Field) -> None:
    if one.type == other.type and len(one.value) == len(other.value):
        edited[one.at : one.at + len(one.value)] = other.value
        edited[other.at : other.at + len(other.value)] = one.value


def _turn_subject(edited: bytearray, field: Field, order: str, turn: Turn) -> None:
    """Turn a point, a circle or a rectangle of two, three or four short numbers."""
    if field.type != tiff.SHORT or not 4 <= len(field.value) <= 8:
        return
    x, y, *rest = struct.unpack(f"{order}{len(field.value) // 2}H", field.value)
    if len(rest) == 2 and turn.exchanges:
        rest.reverse()
    turned = (*turn.point(x, y), *rest)
    if all(0 <= value < 2**16 for value in turned):
        struct.pack_into(f"{order}{len(turned)}H", edited, field.at, *turned)


def text_of(block: bytes, tag: int) -> str:
    """Return a text of the first directory; empty if there is none or the block is damaged."""
    try:
        _, fields = _first(block)
    except ValueError:
        return ""
    texts = [field.value for field in fields if field.tag == tag and field.type == tiff.ASCII]
    return texts[0].split(b"\0")[0].decode("utf-8", "replace") if texts else ""


def resolution_of(block: bytes) -> tuple[float, float] | None:
    """Return pixels per inch across and down by a block; None if it does not say."""
    try:
        layout, fields = _first(block)
    except ValueError:
        return None
    known = {field.tag: field for field in fields}
    sides = [known.get(tag) for tag in (Base.XResolution, Base.YResolution)]
    unit = known.get(Base.ResolutionUnit)
    number = (tiff.first_integer(unit, layout.order) or 0) if unit else _INCH
    inches = {_INCH: 1.0, _CENTIMETRE: 2.54}.get(number)
    values = [tiff.first_rational(side, layout.order) if side else None for side in sides]
    if inches is None or values[0] is None or values[1] is None:
        return None
    return values[0] * inches, values[1] * inches


def is_result(block: bytes) -> bool:
    """Whether a block says that derain made the picture."""
    return text_of(block, Base.ProcessingSoftware).startswith(_SOFTWARE)


def marked(block: bytes) -> bytes:
    """Return a block that says that derain made the picture, a minimal one if it is empty.

    Raises:
        ValueError: If the block is damaged.
    """
    mark = f"{_SOFTWARE}{version_of('derain')}"
    if text_of(block, Base.ProcessingSoftware) == mark:
        return block
    text = mark.encode() + b"\0"
    return tiff.with_fields(block, [Field(Base.ProcessingSoftware, tiff.ASCII, text)])


def unmarked(block: bytes) -> bytes:
    """Return a block that does not say that derain made the picture.

    Raises:
        ValueError: If the block is damaged.
    """
    return tiff.with_fields(block, [], {Base.ProcessingSoftware}) if is_result(block) else block


def resolution_fields(dpi: tuple[float, float]) -> list[Field]:
    """Return pixels per inch across and down as fields, the low byte of numbers first."""
    fields = [
        Field(tag, tiff.RATIONAL, struct.pack("<II", round(value * 1000), 1000))
        for tag, value in zip((Base.XResolution, Base.YResolution), dpi, strict=True)
    ]
    return [*fields, Field(Base.ResolutionUnit, tiff.SHORT, struct.pack("<H", _INCH))]


def tags_of(block: bytes) -> frozenset[int]:
    """Return the tags of the first directory of a block; none if it is damaged or empty."""
    try:
        _, fields = _first(block)
    except ValueError:
        return frozenset()
    return frozenset(field.tag for field in fields)


def from_tiff(data: bytes, layout: Layout, fields: Sequence[Field]) -> bytes:
    """Return an EXIF block of the tags of a TIFF that are not about the file; empty if none are."""
    exif = tiff.directory_at(data, layout, fields, tiff.POINTER_EXIF)
    interop = tiff.directory_at(data, layout, exif, tiff.POINTER_INTEROP)
    gps = tiff.directory_at(data, layout, fields, tiff.POINTER_GPS)
    main = [field for field in fields if field.tag in EXIF_TAGS]
    if not (main or exif or gps):
        return b""
    directories = [
        [field for field in directory if tiff.is_classic(field)]
        for directory in (main, exif, gps, interop)
    ]
    return tiff.copied(layout.order, *directories)
