"""Tags of TIFF files: which go from one file to the next, and how they are written.

A new file begins with the EXIF block as it is, so that offsets in it stay true; pixels follow, and
the directory comes last.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from PIL import TiffTags
from PIL.ExifTags import Base

from derain.images import exif, tiff
from derain.images.picture import Extra, Metadata
from derain.images.tiff import Field, Layout

XMP, IPTC, PHOTOSHOP, PROFILE = 700, 33723, 34377, 34675
_CARRIED_APART = frozenset({XMP, IPTC, PHOTOSHOP, PROFILE})
_COLOURS = frozenset({Base.TransferFunction, Base.WhitePoint, Base.PrimaryChromaticities})
"""What numbers mean as colours, true as long as they are stored as numbers of the same kind."""
_LAYOUT = frozenset(
    {
        # How the pixels are stored.
        Base.NewSubfileType,
        Base.SubfileType,
        Base.ImageWidth,
        Base.ImageLength,
        Base.BitsPerSample,
        Base.Compression,
        Base.PhotometricInterpretation,
        Base.FillOrder,
        Base.SamplesPerPixel,
        Base.PlanarConfiguration,
        Base.Predictor,
        Base.ExtraSamples,
        Base.SampleFormat,
        Base.SMinSampleValue,
        Base.SMaxSampleValue,
        280,  # MinSampleValue
        281,  # MaxSampleValue
        263,  # Threshholding
        264,  # CellWidth
        265,  # CellLength
        # Where they lie in the file.
        Base.StripOffsets,
        Base.RowsPerStrip,
        Base.StripByteCounts,
        Base.TileWidth,
        Base.TileLength,
        Base.TileOffsets,
        Base.TileByteCounts,
        Base.SubIFDs,
        288,  # FreeOffsets
        289,  # FreeByteCounts
        400,  # GlobalParametersIFD
        559,  # StripRowCounts
        # Details of compressions.
        Base.T4Options,
        Base.T6Options,
        Base.JPEGTables,
        *range(512, 522),
        # How numbers become colours.
        290,  # GrayResponseUnit
        291,  # GrayResponseCurve
        Base.ColorMap,
        *range(332, 337),  # inks
        Base.YCbCrCoefficients,
        Base.YCbCrSubSampling,
        Base.YCbCrPositioning,
        Base.ReferenceBlackWhite,
        # What no longer holds.
        Base.PageNumber,
    }
)
"""Tags that describe one file's pixels and must not go into the next."""
_STALE = {37724: "Photoshop layers", 52545: "content credentials"}
"""Tags that hold for the rainy picture only."""
_NAMES = {
    **dict.fromkeys((33550, 33922, 34264, 34735, 34736, 34737), "GeoTIFF"),
    **dict.fromkeys((50838, 50839), "ImageJ metadata"),
    **dict.fromkeys((42112, 42113), "GDAL metadata"),
    **dict.fromkeys(_COLOURS, "TIFF colour tags"),
}
_RESOLUTION = (Base.XResolution, Base.YResolution, Base.ResolutionUnit)
_STRAIGHT_ALPHA = 2
"""Value of ExtraSamples: transparency that the colours are not multiplied with."""
_TEXT_OR_BYTES = (1, 2, 7)
_NUMBERS = (3, 4, 5, 8, 9, 10, 11, 12, 13)


@dataclass(frozen=True)
class Tags:
    """The first directory of a TIFF file, each value in the bytes of the file.

    Attributes:
        damaged: Tags whose values lie outside the file or have no known type.
    """

    data: bytes
    layout: Layout
    fields: Sequence[Field]
    damaged: Sequence[int]

    def bytes_of(self, tag: int) -> bytes:
        """Return the value of a tag as bytes; empty if there is none."""
        return next((field.value for field in self.fields if field.tag == tag), b"")

    def exif(self) -> bytes:
        """Return an EXIF block of the tags that are not about the file; empty if none are."""
        return exif.from_tiff(self.data, self.layout, self.fields)

    def iptc(self) -> bytes:
        """Return the IPTC, put right where a program wrote it as long numbers of its own order."""
        value = self.bytes_of(IPTC)
        if value[:1] != b"\x1c" and value[3:4] == b"\x1c" and len(value) % 4 == 0:
            return b"".join(value[place : place + 4][::-1] for place in range(0, len(value), 4))
        return value

    def extras(self, lost: set[str]) -> Iterator[Extra]:
        """Yield all tags that are neither about this file nor carried by other means.

        Args:
            lost: Gets names for the user of those that cannot be.
        """
        lost.update(f"damaged {name_of(tag)}" for tag in self.damaged if tag not in _LAYOUT)
        for field in self.fields:
            if field.tag in _LAYOUT | _CARRIED_APART | exif.EXIF_TAGS:
                continue
            if field.tag in _COLOURS and not self._is_plain:
                continue
            if field.tag in _STALE:
                lost.add(_STALE[field.tag])
            elif tiff.is_pointer(field) or not tiff.is_classic(field):
                lost.add(name_of(field.tag))
            else:
                value = tiff.in_order([field], self.layout.order, "<")[0].value
                yield Extra("TIFF", field.tag, bytes([field.type]) + value)

    @property
    def _is_plain(self) -> bool:
        """Whether the pixels are plain numbers of 8 or 16 bits, black as zero or RGB."""
        photometric = self._integer(Base.PhotometricInterpretation)
        return photometric in (1, 2) and self._integer(Base.BitsPerSample) in (8, 16)

    def _integer(self, tag: int) -> int | None:
        found = [field for field in self.fields if field.tag == tag]
        return tiff.first_integer(found[0], self.layout.order) if found else None


def unturned(data: bytes) -> bytes:
    """Return a TIFF in which a decoder finds no orientation; other files as they are.

    Pillow would turn it as it decodes it, by rules for XMP that are not those of other formats.
    """
    try:
        layout = tiff.layout_of(data)
        fields, _, _ = tiff.read_directory(data, layout, tiff.first_offset(data, layout))
    except (ValueError, struct.error):
        return data
    asking = [
        each
        for each in fields
        if (each.tag == Base.Orientation and tiff.first_integer(each, layout.order) != 1)
        or (each.tag == XMP and b"Orientation" in each.value)
    ]
    if not asking:
        return data
    edited = bytearray(data)
    for each in asking:  # under the next number, which means nothing and keeps the order
        struct.pack_into(f"{layout.order}H", edited, each.place, each.tag + 1)
    return bytes(edited)


def read(data: bytes) -> Tags:
    """Return the tags of the first directory of a TIFF file.

    Raises:
        ValueError: If it is damaged.
    """
    layout = tiff.layout_of(data)
    fields, damaged, _ = tiff.read_directory(data, layout, tiff.first_offset(data, layout))
    return Tags(data, layout, fields, damaged)


def name_of(tag: int) -> str:
    """Return a name for the user of a tag."""
    name = TiffTags.lookup(tag).name
    return _NAMES.get(tag) or f"TIFF tag {tag if name == 'unknown' else name}"


# Writing


def with_tags(data: bytes, metadata: Metadata, lost: list[str]) -> bytes:
    """Return a TIFF file with the metadata among its tags.

    Args:
        data: As an encoder wrote it: one directory, pixels in strips.
        metadata: The metadata to store.
        lost: Gets names for the user of tags that cannot be written.
    """
    file = read(data)
    depth = max(file.bytes_of(Base.BitsPerSample)[:2] or b"\1")
    order = _order_of(metadata.exif)
    block = metadata.exif
    if order != file.layout.order and depth > 8:
        # The pixels are numbers of two bytes in the encoder's order.
        block, order = _reordered(block), file.layout.order
    out = bytearray(block) if block else tiff.new_block(order)
    kept = _fields_of(bytes(out), Layout(order)) if block else []
    own = _moved_pixels(out, file, order)
    if "dpi" not in metadata.encoding:
        own = [field for field in own if field.tag not in _RESOLUTION]  # an encoder's invention
    described = tiff.in_order(_described(metadata), "<", order)
    new = {field.tag: field for field in own}
    for field in (*kept, *described):
        if field.tag in _LAYOUT:
            continue
        if _has_right_type(field):
            new[field.tag] = field
        else:
            lost.append(f"{name_of(field.tag)} of a wrong type")
    tiff.set_first(out, order, tiff.append(out, order, list(new.values())))
    return bytes(out)


def _order_of(block: bytes) -> str:
    return tiff.layout_of(block).order if block else "<"


def _fields_of(block: bytes, layout: Layout) -> list[Field]:
    return tiff.read_directory(block, layout, tiff.first_offset(block, layout))[0]


def _reordered(block: bytes) -> bytes:
    """Return an EXIF block in the other byte order."""
    layout = tiff.layout_of(block)
    main = _fields_of(block, layout)
    inner = tiff.directory_at(block, layout, main, tiff.POINTER_EXIF)
    directories = (
        main,
        inner,
        tiff.directory_at(block, layout, main, tiff.POINTER_GPS),
        tiff.directory_at(block, layout, inner, tiff.POINTER_INTEROP),
    )
    swapped = [[tiff.swapped(field) for field in fields] for fields in directories]
    return tiff.copied("<" if layout.order == ">" else ">", *swapped)


def _moved_pixels(out: bytearray, file: Tags, order: str) -> list[Field]:
    """Copy the strips of a file behind a block, and return the fields that describe them."""
    source = file.layout.order
    offsets = _integers(file, Base.StripOffsets)
    lengths = _integers(file, Base.StripByteCounts)
    places: list[int] = []
    for offset, length in zip(offsets, lengths, strict=True):
        out.extend(b"\0" * (len(out) % 2))
        places.append(len(out))
        out.extend(memoryview(file.data)[offset : offset + length])
    fields = [
        replace(field, place=-1)
        for field in tiff.in_order(file.fields, source, order)
        if field.tag not in (Base.StripOffsets, Base.ExtraSamples)
    ]
    fields.append(
        Field(Base.StripOffsets, tiff.LONG, struct.pack(f"{order}{len(places)}I", *places))
    )
    if _integers(file, Base.SamplesPerPixel)[:1] in ([2], [4]):
        alpha = struct.pack(f"{order}H", _STRAIGHT_ALPHA)
        fields.append(Field(Base.ExtraSamples, tiff.SHORT, alpha))
    return fields


def _integers(file: Tags, tag: int) -> list[int]:
    """Return the values of a tag of short or long numbers."""
    for field in file.fields:
        if field.tag == tag:
            form = "H" if field.type == tiff.SHORT else "I"
            count = len(field.value) // field.size
            return list(struct.unpack(f"{file.layout.order}{count}{form}", field.value))
    return []


def _described(metadata: Metadata) -> Iterator[Field]:
    """Yield fields of what is not EXIF, the low byte of numbers first."""
    for tag, type, value in (
        (XMP, 1, metadata.xmp),
        (IPTC, tiff.UNDEFINED, metadata.iptc),
        (PHOTOSHOP, 1, metadata.photoshop),
        (PROFILE, tiff.UNDEFINED, metadata.icc),
    ):
        if value:
            yield Field(tag, type, value)
    for extra in metadata.extras:
        if extra.format == "TIFF" and isinstance(extra.key, int):
            yield Field(extra.key, extra.payload[0], extra.payload[1:])


def _has_right_type(field: Field) -> bool:
    """Whether a value is text where its tag asks for text, numbers or one number where for such.

    Other programs stumble over those that are not.
    """
    known = TiffTags.lookup(field.tag)
    if known.type is None or field.tag in _CARRIED_APART:
        return True
    if known.type in _NUMBERS:
        is_single = known.length == 1
        return field.type in _NUMBERS and not (is_single and len(field.value) != field.size)
    return field.type in _TEXT_OR_BYTES


def names_of(extras: Iterable[Extra]) -> Iterator[str]:
    """Yield names for the user of tags that another format cannot hold."""
    for extra in extras:
        if isinstance(extra.key, int):
            yield name_of(extra.key)
