"""Metadata as it is read: gathered from a file, and corrected to describe the upright picture."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from PIL import Image, ImageFile

from derain import files
from derain.images import exif, jpeg, photoshop, png, tags, webp, xmp
from derain.images.exif import Turn
from derain.images.picture import Extra, Format, Metadata

HEADER_KEY = b"IHDR"
"""Of the extra that says for which pixels a PNG's chunks were written."""
_OPENED = 8
"""Texts of a PNG that are inflated at most, so that many small bombs take no more than a few."""
_SECOND = {
    b"EXIF": "a second EXIF block",
    b"XMP ": "a second XMP packet",
    b"ICCP": "a second colour profile",
}
"""What a second chunk of a WebP is called."""
_BITMAP_V4, _BITMAP_V5 = 108, 124
"""Bytes of a bitmap's header."""


@dataclass
class Found:
    """The data of a file besides pixels, unchanged.

    Attributes:
        metadata: Not corrected yet.
        chunks: Of a PNG, those whose fate depends on the orientation.
        lost: Names for the user of what is not kept.
        opened: Texts of a PNG that were inflated.
    """

    metadata: Metadata
    chunks: list[png.Chunk] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    opened: int = 0


def read_metadata(
    image: Image.Image, data: bytes, notes: list[str], *, upright: bool = False
) -> tuple[Metadata, int]:
    """Return what a file holds besides pixels, and how they lie.

    Args:
        image: As Pillow opened and decoded it.
        data: The file.
        notes: Gets a line for the user about what is not kept.
        upright: The decoder has turned the picture, whatever the file says of its orientation.

    Returns:
        Metadata that describes the upright picture, whose encoding is its resolution alone; and the
        orientation that the decoded pixels are in, 1 to 8.
    """
    found = _gathered(image, data)
    if found.metadata.exif:
        try:
            exif.orientation_of(found.metadata.exif)
        except (ValueError, struct.error):
            notes.append("damaged EXIF was not kept")
            found.metadata = replace(found.metadata, exif=b"")
    if dpi := _resolution(image, data, found.metadata.exif):
        found.metadata = replace(found.metadata, encoding={"dpi": dpi})
    orientation = 1 if upright else _orientation(found.metadata)
    size = image.size[::-1] if orientation > 4 else image.size
    turn = Turn(orientation, *size)
    metadata = _corrected(found, turn)
    if found.lost & xmp.NAMED:
        found.lost.discard(xmp.FURTHER)  # that is what they are
    if found.lost:
        notes.append(f"not kept: {listed(sorted(found.lost))}")
    return metadata, orientation


def listed(names: Iterable[str]) -> str:
    """Return names in one short line, each once; never just one of them as one more."""
    distinct = list(dict.fromkeys(names))
    return files.listed(distinct, 6 if len(distinct) > 7 else 7)


def _orientation(metadata: Metadata) -> int:
    """Return the orientation by EXIF, or by XMP where EXIF does not say; 1 if it is no such."""
    found = exif.orientation_of(metadata.exif) if metadata.exif else None
    if found is None:
        found = xmp.orientation_of(metadata.xmp)
    return found if found is not None and 1 <= found <= 8 else 1


def _corrected(found: Found, turn: Turn) -> Metadata:
    """Return metadata that describes the upright picture."""
    old, lost = found.metadata, found.lost
    resources = old.photoshop
    try:
        resources = photoshop.corrected(resources, turn, lost)
    except ValueError:
        lost.add("damaged Photoshop data")
        resources = b""
    extras = [*png.extras_of(found.chunks, turned=turn.orientation != 1, lost=lost), *old.extras]
    new = replace(
        old,
        exif=exif.corrected(old.exif, turn) if old.exif else b"",
        xmp=xmp.corrected(old.xmp, turn, lost),
        xmp_extension=xmp.corrected(old.xmp_extension, turn, lost),
        photoshop=resources,
        extras=tuple(extras),
    )
    if new.xmp_extension:
        identifier = jpeg.digest_of(new.xmp_extension)
        new = replace(new, xmp=xmp.with_extension(new.xmp, identifier))
    if turn.exchanges:
        encoding = {key: (down, across) for key, (across, down) in new.encoding.items()}
        aspect = (new.aspect[1], new.aspect[0]) if new.aspect else None
        turned = tuple(png.exchanged(extra) for extra in new.extras)
        new = replace(new, aspect=aspect, encoding=encoding, extras=turned)
    return new


def bare(data: bytes) -> bytes:
    """Return a file without what is not pixels, so that nothing odd in it stops a decoder.

    Of a TIFF only what would turn it is hidden.
    """
    return tags.unturned(jpeg.bare(png.bare(data)))


def with_profile(image: ImageFile.ImageFile, data: bytes) -> ImageFile.ImageFile:
    """Give a `bare` picture back the profile by which it is converted, if it is a JPEG's."""
    if image.format == "JPEG" and image.mode == "CMYK":
        image.info["icc_profile"] = jpeg.profile_of(jpeg.segments_of(data)[0])
    return image


def _resolution(image: Image.Image, data: bytes, block: bytes) -> tuple[float, float] | None:
    """Return pixels per inch across and down, as the file lies; None if it does not say.

    Args:
        image: As Pillow opened it, `bare`.
        data: The file.
        block: Its EXIF, which counts where the file itself says nothing.
    """
    found: Any = image.info.get("dpi")
    if image.format == "PNG":
        per_metre = png.density_of(data)
        found = per_metre and tuple(value * 0.0254 for value in per_metre)
    elif image.format == "TIFF" or not found:
        found = exif.resolution_of(block)  # Pillow invents one for a TIFF that has none
    try:
        across, down = (float(value) for value in found or ())
    except (TypeError, ValueError, ZeroDivisionError):
        return None  # a tag of a wrong type, or nothing
    return (across, down) if 0 < across < 1e6 and 0 < down < 1e6 else None


# What each format holds


def exif_of(image: Image.Image, data: bytes) -> bytes:
    """Return the EXIF of a file that Pillow opened, as it stands there; empty if it has none."""
    return _gathered(image, data).metadata.exif


def _gathered(image: Image.Image, data: bytes) -> Found:
    if image.format in ("JPEG", "MPO"):
        return _of_jpeg(data)
    if image.format == "PNG":
        return _of_png(data)
    if image.format == "WEBP":
        return _of_webp(data)
    if image.format == "TIFF":
        return _of_tiff(data)
    if image.format == "BMP":
        return _of_bmp(data)
    return _of_any(image)


def _of_any(image: Image.Image) -> Found:
    """Return what Pillow or a plugin of it gives of a format that is not parsed here."""
    # What derain does not write becomes a JPEG.
    format: Format = next((known for known in get_args(Format) if known == image.format), "JPEG")
    packet = image.info.get("xmp") or b""
    metadata = Metadata(
        format,
        icc=image.info.get("icc_profile") or b"",
        exif=(image.info.get("exif") or b"").removeprefix(jpeg.EXIF),
        xmp=packet.encode() if isinstance(packet, str) else bytes(packet),
    )
    return Found(metadata)


def _of_bmp(data: bytes) -> Found:
    """Return the profile of a bitmap of version 5, which Pillow does not read."""
    lost: set[str] = set()
    profile = b""
    (size,) = struct.unpack_from("<I", data.ljust(18, b"\0"), 14)
    if size >= _BITMAP_V4 and len(data) >= 14 + size:
        space = data[70:74]
        if space == b"DEBM" and size >= _BITMAP_V5:  # MBED: embedded
            offset, length = struct.unpack_from("<II", data, 14 + 112)
            profile = data[14 + offset : 14 + offset + length]
        elif space == b"KNIL":  # LINK: another file's
            lost.add("link to a colour profile")
        elif space == b"\0\0\0\0" and any(data[74:122]):
            lost.add("BMP's own primaries and gamma")
    return Found(Metadata("BMP", icc=profile), lost=lost)


def _of_jpeg(data: bytes) -> Found:
    segments, end = jpeg.segments_of(data)
    lost: set[str] = set()
    # Further pictures and the video lie behind, and the packet's announcements go with them.
    if behind := jpeg.behind(data, end):
        lost.add(behind)
    packet, extension = _extended(_packet(segments, lost), segments, lost)
    resources = jpeg.joined(segments, 0xED, jpeg.PHOTOSHOP)
    profile = jpeg.profile_of(segments)
    if not profile and any(each.content.startswith(jpeg.PROFILE) for each in segments):
        lost.add("damaged colour profile")
    block, *more = jpeg.exif_blocks(segments) or [b""]
    if any(each != block for each in more):
        lost.add("a second EXIF block")
    others = [Extra("JPEG", each.marker, each.content) for each in jpeg.others_of(segments, lost)]
    metadata = Metadata(
        "JPEG",
        icc=profile,
        exif=block,
        xmp=packet,
        xmp_extension=extension,
        photoshop=resources,
        comments=tuple(each.content for each in segments if each.marker == jpeg.COMMENT),
        aspect=_jfif_aspect(segments),
        extras=tuple(others),
    )
    return Found(metadata, lost=lost)


def _packet(segments: list[jpeg.Segment], lost: set[str]) -> bytes:
    """Return the XMP packet of a JPEG, which has one."""
    packets = [
        each.content[len(jpeg.XMP) :]
        for each in segments
        if each.marker == 0xE1 and each.content.startswith(jpeg.XMP)
    ]
    if len(set(packets)) > 1:
        lost.add("a second XMP packet")
    return packets[0] if packets else b""


def _extended(packet: bytes, segments: list[jpeg.Segment], lost: set[str]) -> tuple[bytes, bytes]:
    """Return a packet and its extension; if that is not whole, the packet does not announce it."""
    try:
        identifier = xmp.extension_of(packet)
    except UnicodeDecodeError:
        return packet, b""
    extension = jpeg.extension_of(segments, identifier) if identifier else b""
    if not extension:
        if any(each.content.startswith(jpeg.EXTENSION) for each in segments):
            lost.add("damaged extended XMP")
        packet = xmp.with_extension(packet, "") if identifier else packet
    return packet, extension


def _jfif_aspect(segments: list[jpeg.Segment]) -> tuple[int, int] | None:
    """Return pixels per unit where a JPEG gives them without a unit, and they differ."""
    for each in segments:
        if each.marker == 0xE0 and each.content.startswith(b"JFIF\0") and len(each.content) >= 12:
            unit, across, down = struct.unpack_from(">BHH", each.content, 7)
            return (across, down) if unit == 0 and across != down and across and down else None
    return None


def _of_png(data: bytes) -> Found:
    damaged: list[bytes] = []
    found = Found(Metadata("PNG"))
    palette = b""
    for chunk in png.chunks_of(data, damaged):
        if chunk.kind == b"PLTE":
            palette = chunk.content
        elif not _take_chunk(found, chunk):
            found.chunks.append(chunk)
    if damaged:
        found.lost.add("damaged PNG chunks")
    if any(chunk.kind in (b"bKGD", b"sBIT") for chunk in found.chunks):
        header = png.header_of(data)
        payload = bytes([header.depth, header.colour]) + palette
        found.metadata = replace(
            found.metadata, extras=(*found.metadata.extras, Extra("PNG", HEADER_KEY, payload))
        )
    return found


def _take_chunk(found: Found, chunk: png.Chunk) -> bool:
    """Take what other formats hold, too, out of a chunk; False if it is none of these."""
    old = found.metadata
    if chunk.kind == b"iCCP":
        _take_profile(found, chunk)
    elif chunk.kind == b"eXIf":
        _take_exif(found, chunk.content.removeprefix(jpeg.EXIF))
    elif chunk.kind == b"pHYs":
        across, down, unit = struct.unpack(">IIB", chunk.content)
        if unit == 0 and across != down and min(across, down) > 0:
            found.metadata = replace(old, aspect=(across, down))
        return False
    elif chunk.kind in png.TEXT_KINDS and found.opened < _OPENED:
        return _take_text(found, chunk)
    else:
        return False
    return True


def _take_text(found: Found, chunk: png.Chunk) -> bool:
    """Take XMP, and what ImageMagick writes as texts, out of a text; False if it is another."""
    if png.keyword_of(chunk.content) == png.XMP_KEYWORD and chunk.kind == b"iTXt":
        found.opened += 1
        packet = png.text_of(chunk.kind, chunk.content)
        return packet is not None and _take_packet(found, packet)
    if png.has_raw_profile(chunk):
        found.opened += 1
        raw = png.raw_profile(chunk)
        return raw is not None and _take_raw_profile(found, *raw)
    return False


def _take_exif(found: Found, block: bytes) -> None:
    old = found.metadata.exif
    if old and old != block:
        found.lost.add("a second EXIF block")
    found.metadata = replace(found.metadata, exif=old or block)


def _take_packet(found: Found, packet: bytes) -> bool:
    old = found.metadata.xmp
    if old and old != packet:
        found.lost.add("a second XMP packet")
    found.metadata = replace(found.metadata, xmp=old or packet)
    return True


def _take_profile(found: Found, chunk: png.Chunk) -> None:
    name, _, rest = chunk.content.partition(b"\0")
    profile = png.inflated(rest[1:])
    if profile:
        named = Extra("PNG", b"iCCP", name)
        old = found.metadata
        found.metadata = replace(old, icc=profile, extras=(*old.extras, named))
    else:
        found.lost.add("damaged colour profile")


def _take_raw_profile(found: Found, name: str, content: bytes) -> bool:
    """Take a profile that ImageMagick wrote as text; False if it is of a kind not known here."""
    old = found.metadata
    if name in ("exif", "APP1") and content.startswith(jpeg.EXIF):
        _take_exif(found, content.removeprefix(jpeg.EXIF))
    elif name in ("xmp", "APP1") and b"<" in content:
        _take_packet(found, content.removeprefix(jpeg.XMP))
    elif name in ("iptc", "8bim") and not (old.photoshop or old.iptc):
        content = content.removeprefix(jpeg.PHOTOSHOP)
        if content.startswith(b"\x1c"):
            found.metadata = replace(old, iptc=content)
        else:
            found.metadata = replace(old, photoshop=content)
    else:
        return False
    return True


def _of_webp(data: bytes) -> Found:
    lost: set[str] = set()
    known: dict[bytes, bytes] = {}
    for kind, content in webp.chunks_of(data):
        if kind in webp.KNOWN and known.setdefault(kind, content) != content:
            lost.add(_SECOND[kind])
    others = [Extra("WEBP", kind, content) for kind, content in webp.unknown_of(data, lost)]
    metadata = Metadata(
        "WEBP",
        icc=known.get(b"ICCP", b""),
        exif=known.get(b"EXIF", b"").removeprefix(jpeg.EXIF),
        xmp=known.get(b"XMP ", b""),
        extras=tuple(others),
    )
    return Found(metadata, lost=lost)


def _of_tiff(data: bytes) -> Found:
    lost: set[str] = set()
    try:
        file = tags.read(data)
    except (ValueError, struct.error):
        return Found(Metadata("TIFF"), lost={"damaged TIFF tags"})
    metadata = Metadata(
        "TIFF",
        icc=file.bytes_of(tags.PROFILE),
        exif=file.exif(),
        xmp=file.bytes_of(tags.XMP),
        iptc=file.iptc(),
        photoshop=file.bytes_of(tags.PHOTOSHOP),
        extras=tuple(file.extras(lost)),
    )
    return Found(metadata, lost=lost)
