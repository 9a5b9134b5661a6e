"""JPEG segments: what a file holds besides its pixels, and how it goes into another.

(JPEG, annex B; ICC.1, annex B.4; XMP specification, part 3, section 1.1.3; CIPA DC-007 for MPF.)
"""

import hashlib
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from derain.images.xmp import FURTHER

SEGMENT = 65533
"""Bytes that fit into a segment."""
COMMENT = 0xFE
EXIF = b"Exif\0\0"
XMP = b"http://ns.adobe.com/xap/1.0/\0"
EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
PHOTOSHOP = b"Photoshop 3.0\0"
PROFILE = b"ICC_PROFILE\0"
_TIFF_HEADS = (b"II*\0", b"MM\0*")
_EXTENSION_HEAD = len(EXTENSION) + 32 + 8
_STALE: tuple[tuple[int, bytes, str], ...] = (
    (0xE2, b"MPF\0", ""),  # where further pictures lie, which is said by what lies behind
    (0xE2, b"urn:iso:std:iso:ts:21496:-1\0", "HDR gain map"),
    (0xEB, b"JP", "content credentials"),
    (0xEB, b"HDR_RI", "HDR ratio image"),
)
"""Segments that describe the rainy picture, with names for the user."""
_REGENERATED: tuple[tuple[int, bytes], ...] = (
    (0xE0, b"JFIF\0"),
    (0xE0, b"JFXX\0"),  # a thumbnail
    (0xE8, b"SPIFF\0"),
    (0xEE, b"Adobe"),
)
"""Segments about how the pixels were stored, which the encoder writes again."""
_END, _SCAN = 0xD9, 0xDA
_PARAMETERLESS = frozenset({0x01, *range(0xD0, 0xD9)})
_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")


@dataclass(frozen=True)
class Segment:
    """An application segment or comment: its marker's second byte, and what it holds."""

    marker: int
    content: bytes


def _walk(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of every segment of the first picture, its end included."""
    place = 2
    while found := _MARKER.search(data, place):
        marker = data[found.end() - 1]
        start, place = found.end() - 2, found.end()
        if marker == _END:
            yield marker, start, place
            return
        if marker in _PARAMETERLESS:
            continue
        if place + 2 > len(data):
            return
        (length,) = struct.unpack_from(">H", data, place)
        place += max(2, length)
        yield marker, start, min(place, len(data))
        if marker == _SCAN:
            # Only the end can look like this: coded pixels never do. It is found ten times faster
            # than by looking at each byte that could begin a marker.
            end = data.find(bytes([0xFF, _END]), place)
            if end >= 0:
                yield _END, end, end + 2
            return


def segments_of(data: bytes) -> tuple[list[Segment], int]:
    """Return application segments and comments of a file's first picture, and where that ends."""
    segments: list[Segment] = []
    for marker, start, end in _walk(data):
        if marker == _END:
            return segments, end
        if _is_metadata(marker):
            segments.append(Segment(marker, data[start + 4 : end]))
    return segments, len(data)


def _is_metadata(marker: int) -> bool:
    return 0xE0 <= marker <= 0xEF or marker == COMMENT


def bare(data: bytes) -> bytes:
    """Return a file without what is not pixels, so that no decoder fails at it."""
    if not data.startswith(b"\xff\xd8\xff"):
        return data
    view = memoryview(data)
    parts: list[memoryview] = []
    done = 0
    for marker, start, end in _walk(data):
        if marker == _SCAN:
            break
        # The first and Adobe's say how the pixels are stored.
        if _is_metadata(marker) and marker not in (0xE0, 0xEE):
            parts.append(view[done:start])
            done = end
    return b"".join([*parts, view[done:]]) if parts else data


def joined(segments: Iterable[Segment], marker: int, head: bytes) -> bytes:
    """Return what segments of one kind hold together; empty if there are none."""
    return b"".join(
        each.content[len(head) :]
        for each in segments
        if each.marker == marker and each.content.startswith(head)
    )


def exif_blocks(segments: Iterable[Segment]) -> list[bytes]:
    """Return the EXIF blocks of a file, of which there should be one; long ones are in parts.

    A part that begins as a TIFF does begins a block of its own, which another program has added.
    """
    blocks: list[list[bytes]] = []
    for each in segments:
        if each.marker == 0xE1 and each.content.startswith(EXIF):
            part = each.content[len(EXIF) :]
            if blocks and not part.startswith(_TIFF_HEADS):
                blocks[-1].append(part)
            else:
                blocks.append([part])
    return [b"".join(parts) for parts in blocks]


def profile_of(segments: Iterable[Segment]) -> bytes:
    """Return the colour profile, in the order that its parts say; empty if parts are missing."""
    parts: dict[int, bytes] = {}
    total = 0
    for each in segments:
        if each.marker == 0xE2 and each.content.startswith(PROFILE):
            number, total = struct.unpack_from("BB", each.content.ljust(14, b"\0"), len(PROFILE))
            parts[number] = each.content[len(PROFILE) + 2 :]
    if not parts or set(parts) != set(range(1, total + 1)):
        return b""
    return b"".join(parts[number] for number in sorted(parts))


def extension_of(segments: Iterable[Segment], identifier: str) -> bytes:
    """Return the extension of an XMP packet; empty if any of it is missing or damaged."""
    if not re.fullmatch("[0-9A-Fa-f]{32}", identifier):
        return b""
    parts: dict[int, bytes] = {}
    total = 0
    for each in segments:
        if each.marker == 0xE1 and each.content.startswith(EXTENSION + identifier.encode()):
            if len(each.content) < _EXTENSION_HEAD:
                return b""
            total, offset = struct.unpack_from(">II", each.content, _EXTENSION_HEAD - 8)
            parts[offset] = each.content[_EXTENSION_HEAD:]
    content = b"".join(parts[offset] for offset in sorted(parts))
    if len(content) != total or digest_of(content) != identifier.upper():
        return b""
    return content


def digest_of(extension: bytes) -> str:
    """Return the identifier of an extension."""
    return hashlib.md5(extension, usedforsecurity=False).hexdigest().upper()


def others_of(segments: Iterable[Segment], lost: set[str]) -> Iterator[Segment]:
    """Yield the segments that no standard of pictures names, such as a camera maker's.

    Args:
        segments: All segments of the file.
        lost: Gets names for the user of those that hold for the rainy picture only.
    """
    known = (
        (0xE1, EXIF),
        (0xE1, XMP),
        (0xE1, EXTENSION),
        (0xE2, PROFILE),
        (0xED, PHOTOSHOP),
        (COMMENT, b""),
        *_REGENERATED,
    )
    for each in segments:
        if any(each.marker == marker and each.content.startswith(head) for marker, head in known):
            continue
        stale = [
            name
            for marker, head, name in _STALE
            if each.marker == marker and each.content.startswith(head)
        ]
        if stale:
            lost.update(name for name in stale if name)
        else:
            yield each


def name_of(segment: Segment) -> str:
    """Return a name for the user of a segment that another format cannot hold."""
    word = re.match(rb"[A-Za-z][\w .-]{2,15}", segment.content)
    label = f" {word[0].decode().strip()}" if word else ""
    return f"JPEG APP{segment.marker - 0xE0}{label}"


def behind(data: bytes, end: int) -> str:
    """Return a name for the user of what lies behind the picture; empty if that is padding."""
    rest = data[end:]
    if not rest.strip(b"\0\xff"):
        return ""
    if re.search(rb"hdrgm:|HDRGainMap|hdr-gain-map|21496:-1", rest):
        return "HDR gain map"
    if rest[4:8] == b"ftyp" or re.search(rb"MotionPhoto_Data|....ftyp(?:mp4|iso|qt)", rest, re.S):
        return "motion video"
    if rest.find(b"\xff\xd8\xff") >= 0:
        return FURTHER
    return f"{len(rest)} bytes behind the picture"


# Writing


def split(marker: int, head: bytes, content: bytes) -> list[Segment]:
    """Return the segments of one kind that hold something together."""
    room = SEGMENT - len(head)
    return [
        Segment(marker, head + content[place : place + room])
        for place in range(0, len(content), room)
    ]


def profile_segments(profile: bytes) -> list[Segment] | None:
    """Return the segments of a colour profile, None if it is too long for all there may be."""
    room = SEGMENT - len(PROFILE) - 2
    parts = [profile[place : place + room] for place in range(0, len(profile), room)]
    if len(parts) > 255:
        return None
    return [
        Segment(0xE2, PROFILE + bytes([number, len(parts)]) + part)
        for number, part in enumerate(parts, 1)
    ]


def extension_segments(extension: bytes) -> list[Segment]:
    """Return the segments of an XMP packet's extension."""
    identifier = digest_of(extension).encode()
    room = SEGMENT - _EXTENSION_HEAD
    return [
        Segment(
            0xE1,
            EXTENSION
            + identifier
            + struct.pack(">II", len(extension), place)
            + extension[place : place + room],
        )
        for place in range(0, len(extension), room)
    ]


def with_segments(
    data: bytes, segments: Sequence[Segment], aspect: tuple[int, int] | None = None
) -> bytes:
    """Return a file with more segments, behind the one that the encoder begins with.

    Args:
        data: The file.
        segments: The segments to add.
        aspect: Pixels per unit across and down where no unit is known, at most 65,535.
    """
    place = 2
    head = data[:2]
    if data[2:4] == b"\xff\xe0":
        (length,) = struct.unpack_from(">H", data, 4)
        place = 4 + length
        head = data[:place]
        if aspect:
            head = head[:13] + struct.pack(">BHH", 0, *aspect) + head[18:]
    packed = b"".join(
        bytes([0xFF, each.marker]) + struct.pack(">H", len(each.content) + 2) + each.content
        for each in segments
    )
    return b"".join([head, packed, memoryview(data)[place:]])
