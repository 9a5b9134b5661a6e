"""Photoshop's image resources, among which IPTC lies in a JPEG or a TIFF.

Each is `8BIM`, a number, a name and its data, padded to even lengths (Adobe Photoshop File Formats
Specification, "Image Resource Blocks").
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

from derain.images import exif, xmp
from derain.images.exif import Turn

IPTC = 0x0404
_RESOLUTION = 0x03ED
_THUMBNAILS = (0x0409, 0x040C)
_PROFILE = 0x040F
_EXIF = (0x0422, 0x0423)
_XMP = 0x0424
_DIGEST = 0x0425
"""MD5 of the IPTC, by which Photoshop sees that another program changed it."""


@dataclass(frozen=True)
class Resource:
    """One resource; its name with the length before it, as in the file."""

    signature: bytes
    number: int
    name: bytes
    data: bytes


def split(block: bytes) -> list[Resource]:
    """Return the resources of a block.

    Raises:
        ValueError: If it is damaged.
    """
    resources: list[Resource] = []
    place = 0
    while place + 12 <= len(block):
        signature, number, length = struct.unpack_from(">4sHB", block, place)
        if not signature.strip(b"\0"):
            break  # padding
        if not signature.isalnum():
            raise ValueError("no image resource")
        name_end = place + 6 + (length + 2) // 2 * 2
        if name_end + 4 > len(block):
            raise ValueError("an image resource that ends outside the block")
        (size,) = struct.unpack_from(">I", block, name_end)
        data = block[name_end + 4 : name_end + 4 + size]
        if len(data) < size:
            raise ValueError("an image resource that ends outside the block")
        resources.append(Resource(signature, number, block[place + 6 : name_end], data))
        place = name_end + 4 + size + size % 2
    return resources


def joined(resources: Sequence[Resource]) -> bytes:
    """Return a block of resources."""
    return b"".join(
        struct.pack(">4sH", each.signature, each.number)
        + each.name
        + struct.pack(">I", len(each.data))
        + each.data
        + b"\0" * (len(each.data) % 2)
        for each in resources
    )


def iptc_of(block: bytes) -> bytes:
    """Return the IPTC of a block; empty if there is none."""
    return next((each.data for each in split(block) if each.number == IPTC), b"")


def with_iptc(block: bytes, iptc: bytes, lost: list[str]) -> bytes:
    """Return a block with this IPTC in place of its own; the block may be empty.

    Args:
        block: Image resources of Photoshop.
        iptc: The IPTC record to store.
        lost: Gets a name for the user if its own was another.
    """
    own = iptc_of(block)
    # A TIFF pads it to whole long numbers.
    if not iptc or own.rstrip(b"\0") == iptc.rstrip(b"\0"):
        return block
    if own:
        lost.append("a second, differing IPTC")
    kept = [each for each in split(block) if each.number not in (IPTC, _DIGEST)]
    return joined([*kept, Resource(b"8BIM", IPTC, b"\0\0", iptc)])


def corrected(block: bytes, turn: Turn, lost: set[str]) -> bytes:
    """Return a block that describes the upright picture and has no thumbnails.

    Raises:
        ValueError: If it is damaged.
    """
    before = split(block)
    after: list[Resource] = []
    for each in before:
        if each.number in _THUMBNAILS:
            continue
        if each.number == _PROFILE:
            # The file's own profile holds for the pixels, and this may be another.
            lost.add("a second colour profile")
        elif each.number in _EXIF:
            try:
                after.append(replace(each, data=exif.corrected(each.data, turn)))
            except (ValueError, struct.error):
                lost.add("damaged EXIF among Photoshop's resources")
        elif each.number == _XMP:
            after.append(replace(each, data=xmp.corrected(each.data, turn, lost)))
        elif each.number == _RESOLUTION and turn.exchanges and len(each.data) == 16:
            after.append(replace(each, data=each.data[8:] + each.data[:8]))
        else:
            after.append(each)
    return block if after == before else joined(after)
