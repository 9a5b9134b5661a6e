"""XMP packets: corrected where they describe the old file.

A packet is edited as text. Nothing else in it changes, prefixes and padding included, and a hostile
one has no entities to expand (XMP specification, part 1, section 7; part 3, section 1).
"""

import re
from collections.abc import Iterator

from derain.images.exif import Turn

TIFF = "http://ns.adobe.com/tiff/1.0/"
EXIF = "http://ns.adobe.com/exif/1.0/"
NOTE = "http://ns.adobe.com/xmp/note/"
_XMP = "http://ns.adobe.com/xap/1.0/"
_CONTAINER = "http://ns.google.com/photos/1.0/container/"
_ITEM = "http://ns.google.com/photos/1.0/container/item/"
_GAIN_MAP = "http://ns.adobe.com/hdr-gain-map/1.0/"
_APPLE_GAIN_MAP = "http://ns.apple.com/HDRGainMap/1.0/"
_DEVICE = "http://ns.google.com/photos/dd/1.0/device/"
_REGIONS = "http://www.metadataworkinggroup.com/schemas/regions/"
_PEOPLE = "http://ns.microsoft.com/photo/1.2/"
_TERMS = "http://purl.org/dc/terms/"
_PREFIXES = {
    TIFF: "tiff",
    EXIF: "exif",
    NOTE: "xmpNote",
    _XMP: "xmp",
    _CONTAINER: "Container",
    _ITEM: "Item",
    _GAIN_MAP: "hdrgm",
    _APPLE_GAIN_MAP: "HDRGainMap",
    _DEVICE: "Device",
    _REGIONS: "mwg-rs",
    _PEOPLE: "MP",
    _TERMS: "dcterms",
}
"""The usual prefix of each namespace, for packets that do not declare it."""
FURTHER = "further pictures in the file"
NAMED = frozenset({"HDR gain map", "motion video", "depth map"})
"""What further pictures in the file may turn out to be."""
_NAME = r"[\w.-]+"
_ANY_PREFIX = r"[\w.-]+"
_VIDEO_WORDS = ("MotionPhoto", "MicroVideo", "LivePhoto")
_VIDEO = rf"\w*(?:{'|'.join(_VIDEO_WORDS)})\w*"
"""Names by which phones announce a video behind the picture, in several makers' namespaces."""
_HAS_VIDEO = re.compile(
    r"""\b(?:MotionPhoto|MicroVideo)(?:\s{0,9}=\s{0,9}["']|>)\s{0,9}1"""
    r"""|Semantic\s{0,9}(?:=\s{0,9}["']|>)\s{0,9}MotionPhoto"""
)
_HAS_GAIN_MAP = re.compile(r"""Semantic\s{0,9}(?:=\s{0,9}["']|>)\s{0,9}GainMap""")
_TAG_END = re.compile(r"""(?:[^>"']|"[^"]*"|'[^']*')*>""")
_EXTENSION = "HasExtendedXMP"


def decoded(packet: bytes) -> tuple[str, str]:
    """Return a packet's text, and the encoding that gives back its bytes."""
    head = packet[:2]
    if head in (b"\xfe\xff", b"\0<"):
        return packet.decode("utf-16-be", "surrogatepass"), "utf-16-be"
    if head in (b"\xff\xfe", b"<\0"):
        return packet.decode("utf-16-le", "surrogatepass"), "utf-16-le"
    return packet.decode("utf-8", "surrogateescape"), "utf-8"


def encoded(text: str, encoding: str) -> bytes:
    """Return the bytes of a packet that `decoded` gave."""
    errors = "surrogateescape" if encoding == "utf-8" else "surrogatepass"
    return text.encode(encoding, errors)


def orientation_of(packet: bytes) -> int | None:
    """Return the orientation that a packet asks for, None if it does not say."""
    try:
        text, _ = decoded(packet)
    except UnicodeDecodeError:
        return None
    values = [value for _, _, value in _values(text, TIFF, "Orientation")]
    return int(values[0]) if values and re.fullmatch(r"\s*\d{1,5}\s*", values[0]) else None


def corrected(packet: bytes, turn: Turn, lost: set[str]) -> bytes:
    """Return a packet that describes the upright picture alone.

    Args:
        packet: The XMP packet.
        turn: How the picture was turned.
        lost: Gets a name for the user for each thing that the packet announced, which is not kept.
    """
    try:
        text, encoding = decoded(packet)
    except UnicodeDecodeError:
        return packet
    text = _set(text, TIFF, "Orientation", "1")
    if turn.exchanges:
        for uri, across, down in (
            (TIFF, "ImageWidth", "ImageLength"),
            (EXIF, "PixelXDimension", "PixelYDimension"),
        ):
            text = _set(text, uri, across, str(turn.width))
            text = _set(text, uri, down, str(turn.height))
    # The thumbnail still shows the rain.
    text = _without(text, _XMP, "Thumbnails")
    text = _unannounced(text, lost)
    if turn.orientation != 1:
        text = _without_places(text, lost)
    return encoded(text, encoding)


def _unannounced(text: str, lost: set[str]) -> str:
    """Remove what announces a gain map, a video or a signature that the result has not."""
    before = text
    text = _without(text, _GAIN_MAP, _NAME)
    text = _without(text, _APPLE_GAIN_MAP, _NAME)
    if text != before or ("GainMap" in text and _HAS_GAIN_MAP.search(text)):
        lost.add("HDR gain map")
    if any(word in text for word in _VIDEO_WORDS):
        if _HAS_VIDEO.search(text):
            lost.add("motion video")
        text = _without_names(text, _ANY_PREFIX, _VIDEO)
    before = text
    text = _without(text, _DEVICE, _NAME)
    if text != before:
        lost.add("depth map")
    before = text
    text = _without(text, _CONTAINER, _NAME)
    text = _without(text, _ITEM, _NAME)
    if text != before and lost.isdisjoint(NAMED):
        lost.add(FURTHER)
    before = text
    text = _without(text, _TERMS, "provenance")
    if text != before:
        lost.add("content credentials")
    for uri in (_GAIN_MAP, _APPLE_GAIN_MAP, _DEVICE, _CONTAINER, _ITEM):
        text = _without_idle(text, uri)
    return text


def _without_places(text: str, lost: set[str]) -> str:
    """Remove where faces and subjects are, which is written as it was before the turn."""
    before = text
    text = _without(text, _REGIONS, "Regions")
    text = _without(text, _PEOPLE, "RegionInfo")
    if text != before:
        lost.add("marked faces of a turned picture")
    return _without(_without(text, EXIF, "SubjectArea"), EXIF, "SubjectLocation")


def extension_of(packet: bytes) -> str:
    """Return the identifier of the extension that a packet announces; empty without one."""
    text, _ = decoded(packet)
    values = [value.strip() for _, _, value in _values(text, NOTE, _EXTENSION)]
    return values[0] if values else ""


def with_extension(packet: bytes, identifier: str) -> bytes:
    """Return a packet that announces another extension than before, no extension if empty."""
    text, encoding = decoded(packet)
    if identifier:
        return encoded(_set(text, NOTE, _EXTENSION, identifier), encoding)
    return encoded(_without_idle(_without(text, NOTE, _EXTENSION), NOTE), encoding)


# Editing


def _prefix(text: str, uri: str) -> str:
    """Return a pattern of the prefixes that a packet gives to a namespace."""
    if uri not in text:
        return re.escape(_PREFIXES[uri])
    declared = re.findall(
        rf"""\sxmlns:({_NAME})\s{{0,9}}=\s{{0,9}}["']{re.escape(uri)}["']""", text
    )
    return "|".join(re.escape(prefix) for prefix in sorted({*declared, _PREFIXES[uri]}))


def _values(text: str, uri: str, name: str) -> Iterator[tuple[int, int, str]]:
    """Yield where the values of a property lie: of attributes, and of elements that hold text."""
    if f":{name}" not in text:
        return  # plain search is a hundred times faster than a pattern
    full = rf"(?:{_prefix(text, uri)}):{name}"
    patterns = (
        rf"""\s{full}\s{{0,9}}=\s{{0,9}}"([^"<]*)\"""",
        rf"""\s{full}\s{{0,9}}=\s{{0,9}}'([^'<]*)'""",
        rf"<{full}(?:\s[^<>]*)?(?<!/)>([^<]*)<",
    )
    for pattern in patterns:
        for found in re.finditer(pattern, text):
            yield found.start(1), found.end(1), found[1]


def _set(text: str, uri: str, name: str, value: str) -> str:
    """Return a packet with another value of a property wherever it stands."""
    parts: list[str] = []
    done = 0
    for start, end, _ in sorted(_values(text, uri, name)):
        if start >= done:
            parts += (text[done:start], value)
            done = end
    return "".join(parts) + text[done:]


def _may_have(text: str, uri: str) -> bool:
    return uri in text or f"{_PREFIXES[uri]}:" in text


def _without(text: str, uri: str, names: str) -> str:
    """Return a packet without properties of a namespace."""
    if not _may_have(text, uri):
        return text
    return _without_names(text, f"(?:{_prefix(text, uri)})", names)


def _without_idle(text: str, uri: str) -> str:
    """Return a packet without the declaration of a namespace, if nothing uses it."""
    if not _may_have(text, uri):
        return text
    prefix = _prefix(text, uri)
    if re.search(rf"[<\s](?:{prefix}):", text):
        return text
    return re.sub(rf"""\sxmlns:(?:{prefix})\s{{0,9}}=\s{{0,9}}(?:"[^"]*"|'[^']*')""", "", text)


def _without_names(text: str, prefix: str, names: str) -> str:
    """Return a packet without the attributes and elements of some names (both are patterns)."""
    full = rf"{prefix}:{names}"
    text = re.sub(rf"""\s{full}\s{{0,9}}=\s{{0,9}}(?:"[^"]*"|'[^']*')""", "", text)
    opening = re.compile(rf"<({full})(?=[\s/>])")
    parts: list[str] = []
    done = 0
    while found := opening.search(text, done):
        end = _element_end(text, found)
        if end is None:
            break  # malformed: left as it is
        parts.append(text[done : found.start()])
        done = end
    return "".join(parts) + text[done:]


def _element_end(text: str, opening: re.Match[str]) -> int | None:
    """Return where an element ends, those of the same name inside it included."""
    tag = re.compile(rf"<(/?){re.escape(opening[1])}(?=[\s/>])")
    depth = 0
    place = opening.start()
    while found := tag.search(text, place):
        end = _TAG_END.match(text, found.end())
        if end is None:
            return None
        place = end.end()
        if found[1]:
            depth -= 1
        elif text[place - 2] != "/":
            depth += 1
        if depth <= 0:
            return place
    return None
