"""Metadata as it is written: put into an encoded file, as far as its format can hold it.

Whatever a format cannot hold becomes part of one note.
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from PIL.ExifTags import Base

from derain.images import exif, jpeg, photoshop, png, profiles, tags, tiff, webp, xmp
from derain.images.metadata import HEADER_KEY, listed
from derain.images.picture import COLOUR_CHUNKS, DEEP, Extra, Format, Metadata, Picture
from derain.images.tiff import Field

_NAMES: Mapping[Format, str] = {"WEBP": "WebP"}
_METRE = 0.0254
"""An inch in metres."""
_COMMENT = b"Comment"
_TEXT_TAGS: Mapping[bytes, int] = {
    b"Description": Base.ImageDescription,
    b"Author": Base.Artist,
    b"Copyright": Base.Copyright,
    b"Software": Base.Software,
}
"""EXIF's tags for what a PNG says under these keywords."""


def with_metadata(data: bytes, picture: Picture, format: Format, notes: list[str]) -> bytes:
    """Return a file with a picture's metadata.

    Args:
        data: As an encoder wrote it, without metadata.
        picture: As it was encoded: whether it is grey has to be true of the file.
        format: Format of the file.
        notes: Gets a line for the user about what the format cannot hold.
    """
    lost = ["16 bits a channel"] if picture.is_deep and format not in DEEP else []
    data = _WRITERS[format](data, picture, lost)
    if lost:
        notes.append(f"not kept in {_NAMES.get(format, format)}: {listed(lost)}")
    return data


def save_options(picture: Picture) -> dict[str, bytes]:
    """Return metadata as Pillow takes it for AVIF, to which nothing can be added later."""
    fields = [*_texts_as_tags(picture.metadata)[0], *_resolution_as_tags(picture.metadata)]
    found = {
        "icc_profile": _profile(_in_colour(picture), []),
        "exif": next(_blocks(picture, fields)),
        "xmp": _packet(picture.metadata, []),
    }
    return {name: content for name, content in found.items() if content}


def for_gif(picture: Picture, notes: list[str]) -> tuple[bytes, bytes, tuple[bytes, ...]]:
    """Return profile, XMP packet and comments for a GIF, which has no place for anything else.

    Args:
        picture: Whose metadata is written.
        notes: Gets a line for the user about what is left out.
    """
    lost: list[str] = []
    metadata = picture.metadata
    profile, packet = _profile(_in_colour(picture), lost), _packet(metadata, lost)
    comments, extras = _comments(list(metadata.extras))
    if exif.tags_of(exif.unmarked(metadata.exif)):
        lost.append("EXIF")
    _name_all(metadata, lost, "IPTC", "Photoshop data", "pixel aspect ratio")
    _leave_out([extra for extra in extras if extra.key != b"iCCP"], "BMP", lost)
    if picture.is_deep:
        lost.append("16 bits a channel")
    if lost:
        notes.append(f"not kept in GIF: {listed(lost)}")
    return profile, packet, (*metadata.comments, *comments)


def besides_colours(metadata: Metadata) -> list[str]:
    """Return names for the user of what `Metadata.of_colours` leaves out."""
    lost = ["EXIF"] if exif.tags_of(exif.unmarked(metadata.exif)) else []
    lost += ["XMP"] if metadata.xmp else []
    _name_all(metadata, lost, "comment", "IPTC", "Photoshop data")
    _leave_out(list(metadata.extras), "BMP", lost)  # BMP has no extras of its own
    return lost


def colours_beyond_srgb(picture: Picture) -> list[str]:
    """Return names for the user of what a picture says of its colours, unless they are sRGB."""
    lost: list[str] = []
    profile = _profile(_in_colour(picture), lost)
    return lost if profile in (b"", profiles.srgb()) else ["colour profile", *lost]


def _profile(picture: Picture, lost: list[str]) -> bytes:
    """Return a profile that fits the pixels, made from a PNG's chunks if need be."""
    metadata = picture.metadata
    if metadata.icc:
        if _is_wide(metadata):
            lost.append("PNG cICP")
        return profiles.fitted(metadata.icc, lost, grey=picture.grey)
    chunks = {
        extra.key: extra.payload
        for extra in metadata.extras
        if isinstance(extra.key, bytes) and extra.key in COLOUR_CHUNKS
    }
    return profiles.of_png(chunks, lost, grey=picture.grey)


def _is_wide(metadata: Metadata) -> bool:
    """Whether a PNG says that its numbers go beyond white (PQ and HLG)."""
    return any(
        extra.key == b"cICP" and extra.payload[1:2] in (b"\x10", b"\x12")
        for extra in metadata.extras
    )


def _blocks(picture: Picture, fields: Sequence[Field] = ()) -> Iterator[bytes]:
    """Yield EXIF blocks, the one with most in it first, for the writer to take what fits.

    Args:
        picture: The picture whose EXIF is written.
        fields: What becomes EXIF in the new format; new tags alone.
    """
    block = picture.metadata.exif
    if not picture.is_result:  # rain that is put on a result makes another picture of it
        block = exif.unmarked(block)
    fuller = tiff.with_fields(block, fields) if fields else block
    if picture.is_result:
        yield exif.marked(fuller)
    yield fuller
    yield block


def _texts_as_tags(metadata: Metadata) -> tuple[list[Field], list[Extra]]:
    """Return those of a PNG's texts that EXIF has tags for and lacks, and all other extras."""
    known = exif.tags_of(metadata.exif)
    fields: dict[int, Field] = {}
    others: list[Extra] = []
    for extra in metadata.extras:
        tag = 0
        if extra.key in png.TEXT_KINDS:
            tag = _TEXT_TAGS.get(png.keyword_of(extra.payload), 0)
        text = None
        if tag and tag not in known and tag not in fields:
            text = png.text_of(extra.key, extra.payload)
        if text and b"\0" not in text:
            fields[tag] = Field(tag, tiff.ASCII, text + b"\0")
        else:
            others.append(extra)
    return list(fields.values()), others


def _resolution_as_tags(metadata: Metadata) -> list[Field]:
    """Return the resolution for formats that have no place for it but EXIF, if that lacks it."""
    known = exif.tags_of(metadata.exif)
    if "dpi" not in metadata.encoding or known & {Base.XResolution, Base.YResolution}:
        return []
    return exif.resolution_fields(metadata.encoding["dpi"])


def _own(picture: Picture, format: Format) -> list[Extra]:
    return [extra for extra in picture.metadata.extras if extra.format == format]


def _leave_out(extras: list[Extra], format: Format, lost: list[str]) -> None:
    """Name extras that only other formats hold; colours have been made a profile."""
    others = [extra for extra in extras if extra.format != format]
    of_png = [extra for extra in others if extra.format == "PNG"]
    lost += png.named(
        extra for extra in of_png if extra.key not in COLOUR_CHUNKS and extra.key != HEADER_KEY
    )
    lost += (
        jpeg.name_of(jpeg.Segment(extra.key, extra.payload))
        for extra in others
        if extra.format == "JPEG" and isinstance(extra.key, int)
    )
    lost += (
        f"WebP {extra.key.strip().decode() if extra.key.strip().isalnum() else 'chunk'}"
        for extra in others
        if extra.format == "WEBP" and isinstance(extra.key, bytes)
    )
    lost += tags.names_of(extra for extra in others if extra.format == "TIFF")


def _packet(metadata: Metadata, lost: list[str]) -> bytes:
    """Return an XMP packet that announces no extension."""
    if not metadata.xmp_extension:
        return metadata.xmp
    lost.append("extended XMP")
    return xmp.with_extension(metadata.xmp, "")


def _name_all(metadata: Metadata, lost: list[str], *names: str) -> None:
    """Name what a format has no place for, where there is any."""
    has = {
        "comment": metadata.comments,
        "IPTC": metadata.iptc or _iptc_of(metadata),
        "Photoshop data": metadata.photoshop and not _iptc_of(metadata),
        "pixel aspect ratio": metadata.aspect,
    }
    lost += (name for name in names if has[name])


def _iptc_of(metadata: Metadata) -> bytes:
    return metadata.iptc or photoshop.iptc_of(metadata.photoshop)


# The formats


def _into_png(data: bytes, picture: Picture, lost: list[str]) -> bytes:
    metadata = picture.metadata
    chunks: list[png.Chunk] = []
    own = _own(picture, "PNG")
    after = png.header_of(data)
    before = next((_header(extra) for extra in own if extra.key == HEADER_KEY), after)
    profile = profiles.fitted(metadata.icc, lost, grey=picture.grey)
    if profile:
        names = [extra.payload for extra in own if extra.key == b"iCCP"]
        chunks.append(png.profile_chunk(names[0] if names else b"ICC Profile", profile))
    for extra in own:
        chunk = png.fitted(extra, before, after)
        if chunk and extra.key not in (b"iCCP", HEADER_KEY):
            chunks.append(chunk)
    if not any(chunk.kind == b"pHYs" for chunk in chunks):
        chunks += _density(metadata)
    if block := next(_blocks(picture)):
        chunks.append(png.Chunk(b"eXIf", block))
    if packet := _packet(metadata, lost):
        chunks.append(png.international_text(png.XMP_KEYWORD, packet))
    chunks += (_comment(comment) for comment in metadata.comments)
    if resources := photoshop.with_iptc(metadata.photoshop, metadata.iptc, lost):
        # As ImageMagick writes it: PNG has no chunk for it.
        chunks.append(png.as_raw_profile("iptc", resources))
    _leave_out(list(metadata.extras), "PNG", lost)
    return png.with_chunks(data, chunks)


def _header(extra: Extra) -> png.Header:
    return png.Header(extra.payload[0], extra.payload[1], extra.payload[2:])


def _density(metadata: Metadata) -> Iterator[png.Chunk]:
    """Yield resolution as a chunk (PNG, section 11.3.5.3)."""
    if "dpi" in metadata.encoding:
        per_metre = (round(value / _METRE) for value in metadata.encoding["dpi"])
        yield png.Chunk(b"pHYs", struct.pack(">IIB", *per_metre, 1))
    elif metadata.aspect:
        yield png.Chunk(b"pHYs", struct.pack(">IIB", *metadata.aspect, 0))


def _comment(comment: bytes) -> png.Chunk:
    """Return a JPEG's comment as a text; it says not how it is encoded."""
    comment = comment.rstrip(b"\0").replace(b"\0", b" ")
    try:
        comment.decode()
    except UnicodeDecodeError:
        return png.Chunk(b"tEXt", _COMMENT + b"\0" + comment)
    return png.international_text(_COMMENT, comment)


def _into_jpeg(data: bytes, picture: Picture, lost: list[str]) -> bytes:
    metadata = picture.metadata
    segments, extras = _exif_segments(picture, lost)
    comments, extras = _comments(extras)
    segments += _packet_segments(metadata, lost)
    resources = photoshop.with_iptc(metadata.photoshop, metadata.iptc, lost)
    segments += jpeg.split(0xED, jpeg.PHOTOSHOP, resources)
    parts = jpeg.profile_segments(_profile(picture, lost))
    if parts is None:
        lost.append("colour profile (too long)")
    segments += parts or []
    for extra in _own(picture, "JPEG"):
        if isinstance(extra.key, int):
            segments.append(jpeg.Segment(extra.key, extra.payload))
    segments += (jpeg.Segment(jpeg.COMMENT, comment) for comment in (*metadata.comments, *comments))
    _leave_out(extras, "JPEG", lost)
    aspect = metadata.aspect
    if aspect and max(aspect) > 65535:
        lost.append("pixel aspect ratio")
        aspect = None
    return jpeg.with_segments(data, segments, None if "dpi" in metadata.encoding else aspect)


def _exif_segments(picture: Picture, lost: list[str]) -> tuple[list[jpeg.Segment], list[Extra]]:
    """Return EXIF as a segment, if it fits into one, and the extras that did not become EXIF."""
    old = picture.metadata
    texts, extras = _texts_as_tags(old)
    room = jpeg.SEGMENT - len(jpeg.EXIF)
    block = next((block for block in _blocks(picture, texts) if len(block) <= room), b"")
    if old.exif and not block:
        lost.append("EXIF (too long)")
    if not block or block in (old.exif, exif.unmarked(old.exif)):
        extras = list(old.extras)
    return [jpeg.Segment(0xE1, jpeg.EXIF + block)] if block else [], extras


def _comments(extras: list[Extra]) -> tuple[list[bytes], list[Extra]]:
    """Return a PNG's comments that fit into a JPEG's segments, and all other extras."""
    comments: list[bytes] = []
    others: list[Extra] = []
    for extra in extras:
        text = None
        if extra.key in png.TEXT_KINDS and png.keyword_of(extra.payload) == _COMMENT:
            text = png.text_of(extra.key, extra.payload)
        if text and len(text) <= jpeg.SEGMENT:
            comments.append(text)
        else:
            others.append(extra)
    return comments, others


def _packet_segments(metadata: Metadata, lost: list[str]) -> Iterator[jpeg.Segment]:
    """Yield an XMP packet and its extension."""
    packet, extension = metadata.xmp, metadata.xmp_extension
    if len(packet) + len(jpeg.XMP) > jpeg.SEGMENT:
        lost.append("XMP (too long)")
    elif packet:
        yield jpeg.Segment(0xE1, jpeg.XMP + packet)
        if extension:
            yield from jpeg.extension_segments(extension)


def _into_webp(data: bytes, picture: Picture, lost: list[str]) -> bytes:
    metadata = picture.metadata
    texts, extras = _texts_as_tags(metadata)
    chunks: list[tuple[bytes, bytes]] = []
    for kind, content in (
        (b"ICCP", _profile(_in_colour(picture), lost)),
        (b"EXIF", next(_blocks(picture, [*texts, *_resolution_as_tags(metadata)]))),
        (b"XMP ", _packet(metadata, lost)),
    ):
        if content:
            chunks.append((kind, content))
    for extra in _own(picture, "WEBP"):
        if isinstance(extra.key, bytes):
            chunks.append((extra.key, extra.payload))
    _name_all(metadata, lost, "comment", "IPTC", "Photoshop data", "pixel aspect ratio")
    _leave_out(extras, "WEBP", lost)
    height, width = picture.pixels.shape[:2]
    return webp.with_chunks(data, (width, height), chunks)


def _in_colour(picture: Picture) -> Picture:
    """Return a picture that is not grey: WebP and AVIF store all in colour."""
    return replace(picture, grey=False)


def _into_tiff(data: bytes, picture: Picture, lost: list[str]) -> bytes:
    metadata = picture.metadata
    texts, extras = _texts_as_tags(metadata)
    carried = replace(
        metadata,
        icc=_profile(picture, lost),
        exif=next(_blocks(picture, texts)),
        xmp=_packet(metadata, lost),
        iptc=_iptc_of(metadata),
    )
    if metadata.aspect and Base.ResolutionUnit not in exif.tags_of(metadata.exif):
        _name_all(metadata, lost, "pixel aspect ratio")
    _name_all(metadata, lost, "comment")
    _leave_out(extras, "TIFF", lost)
    return tags.with_tags(data, carried, lost)


def _into_avif(data: bytes, picture: Picture, lost: list[str]) -> bytes:
    """Name what `save_options` and libavif left out."""
    alpha = picture.alpha
    if alpha is not None and int(alpha.min()) == np.iinfo(alpha.dtype).max:
        lost.append("an alpha channel that is opaque everywhere")
    _profile(_in_colour(picture), lost)
    _packet(picture.metadata, lost)
    _, extras = _texts_as_tags(picture.metadata)
    names = ("comment", "IPTC", "Photoshop data", "pixel aspect ratio")
    _name_all(picture.metadata, lost, *names)
    _leave_out(extras, "AVIF", lost)
    return data


def _into_bmp(data: bytes, picture: Picture, lost: list[str]) -> bytes:
    metadata = picture.metadata
    if _profile(_in_colour(picture), lost) not in (b"", profiles.srgb()):
        lost.append("colour profile")
    if metadata.exif:
        lost.append("EXIF")
    if metadata.xmp:
        lost.append("XMP")
    _name_all(metadata, lost, "comment", "IPTC", "Photoshop data", "pixel aspect ratio")
    _leave_out(list(metadata.extras), "BMP", lost)
    return data


_WRITERS: Mapping[Format, Callable[[bytes, Picture, list[str]], bytes]] = {
    "PNG": _into_png,
    "JPEG": _into_jpeg,
    "WEBP": _into_webp,
    "TIFF": _into_tiff,
    "BMP": _into_bmp,
    "AVIF": _into_avif,
}
