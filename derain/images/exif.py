"""EXIF and XMP: read without what describes the old file's layout, written as tags of a TIFF."""

import io
import re
import struct

from PIL import ExifTags, Image, TiffImagePlugin
from PIL.ExifTags import Base

from derain.images.picture import Metadata

_STRUCTURAL_TAGS = frozenset(
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
        # Where they lie in the file.
        Base.StripOffsets,
        Base.RowsPerStrip,
        Base.StripByteCounts,
        Base.TileWidth,
        Base.TileLength,
        Base.TileOffsets,
        Base.TileByteCounts,
        Base.SubIFDs,
        # Details of compressions.
        Base.T4Options,
        Base.T6Options,
        Base.JPEGTables,
        Base.JPEGProc,
        Base.JpegIFOffset,
        Base.JpegIFByteCount,
        # How numbers become colours.
        Base.TransferFunction,
        Base.WhitePoint,
        Base.PrimaryChromaticities,
        Base.ColorMap,
        Base.YCbCrCoefficients,
        Base.YCbCrSubSampling,
        Base.YCbCrPositioning,
        Base.ReferenceBlackWhite,
        # What is carried by other means, or no longer holds.
        Base.Orientation,
        Base.PageNumber,
        Base.XMLPacket,
        Base.IPTCNAA,
        Base.ImageResources,
        Base.InterColorProfile,
    }
)
"""Tags of a TIFF that describe this one file and must not go into the next."""

_DIRECTORIES = frozenset(int(ifd) for ifd in ExifTags.IFD)
_KEPT_DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_ENTRY = 12
"""Bytes of an entry in a TIFF directory (TIFF 6.0, section 2)."""
_STRAIGHT_ALPHA = 2
"""Value of ExtraSamples: transparency that the colours are not multiplied with."""

_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:=["']|>))\d""")


def read_exif(image: Image.Image, notes: list[str]) -> tuple[bytes, int]:
    """Return EXIF without what describes this file's layout, and the orientation it asks for.

    Args:
        image: As opened.
        notes: Gets a line for the user where EXIF could not be kept.
    """
    try:
        old = image.getexif()
        orientation = int(old.get(Base.Orientation, 1))
        block: bytes = image.info.get("exif", b"").removeprefix(b"Exif\0\0")
        if block and image.format != "TIFF":
            return _upright_exif(block), orientation
        return _exif_of_tags(old), orientation
    except Exception:  # EXIF breaks in every way there is; the pixels are fine all the same
        notes.append("damaged EXIF was not kept")
        return b"", 1


def _exif_of_tags(old: Image.Exif) -> bytes:
    """Return an EXIF block of the tags of a TIFF that are not about the file; empty if none are."""
    new = Image.Exif()
    for tag, value in old.items():
        if tag not in _STRUCTURAL_TAGS and tag not in _DIRECTORIES:
            new[tag] = value
    for ifd in _KEPT_DIRECTORIES:
        new.get_ifd(ifd).update(old.get_ifd(ifd))
    if not new and not any(new.get_ifd(ifd) for ifd in _KEPT_DIRECTORIES):
        return b""
    new[Base.Orientation] = 1
    return new.tobytes().removeprefix(b"Exif\0\0")


def _upright_exif(block: bytes) -> bytes:
    """Return an EXIF block with its orientation set to 1 and without its thumbnail.

    The thumbnail still shows the rain. Nothing else is changed or moved, because what a camera
    maker writes holds offsets (Exif 2.32, section 4.5; TIFF 6.0, section 2).
    """
    edited = bytearray(block)
    order = {b"II": "<", b"MM": ">"}[block[:2]]
    (start,) = struct.unpack_from(f"{order}I", block, 4)
    (count,) = struct.unpack_from(f"{order}H", block, start)
    entries = start + 2
    end = entries + _ENTRY * count
    for entry in range(entries, end, _ENTRY):
        (tag,) = struct.unpack_from(f"{order}H", block, entry)
        if tag == Base.Orientation:
            struct.pack_into(f"{order}H", edited, entry + 8, 1)
    # The offset of the next directory, the thumbnail's: zero says that there is none.
    struct.pack_into(f"{order}I", edited, end, 0)
    return bytes(edited)


def read_xmp(image: Image.Image) -> bytes:
    """Return the XMP packet with the orientation in it set to 1; empty if there is none."""
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    data = packet.encode() if isinstance(packet, str) else bytes(packet)
    return _XMP_ORIENTATION.sub(rb"\g<1>1", data)


def add_tiff_tags(data: bytes, metadata: Metadata) -> bytes:
    """Return a TIFF file with the metadata among its tags.

    The new directory lies before the pixels. Pillow writes a directory as if the pixels followed
    it, and moves their offsets by its length (TIFF 6.0, section 2).
    """
    with Image.open(io.BytesIO(data)) as image:
        assert isinstance(image, TiffImagePlugin.TiffImageFile)
        directory = image.tag_v2
        for tag in directory:
            directory[tag] = directory[tag]  # read now what is otherwise read from the file later
    exif = _tiff_exif(metadata)
    for tag, value in exif.items():
        if tag not in _DIRECTORIES:
            directory[tag] = value
    for ifd in _KEPT_DIRECTORIES:
        if exif.get_ifd(ifd):
            directory[ifd] = exif.get_ifd(ifd)
    if metadata.icc:
        directory[Base.InterColorProfile] = metadata.icc
    if directory.get(Base.SamplesPerPixel) in (2, 4):
        directory[Base.ExtraSamples] = _STRAIGHT_ALPHA
    header = data[:4] + struct.pack("<I" if data[:2] == b"II" else ">I", 8)
    directory[Base.StripOffsets] = tuple(offset - 8 for offset in directory[Base.StripOffsets])
    return header + directory.tobytes(8) + data[8:]


def _tiff_exif(metadata: Metadata) -> Image.Exif:
    """Return EXIF and XMP as tags of a TIFF file."""
    exif = Image.Exif()
    if metadata.exif:
        exif.load(b"Exif\0\0" + metadata.exif)
    if metadata.xmp:
        exif[Base.XMLPacket] = metadata.xmp
    return exif
