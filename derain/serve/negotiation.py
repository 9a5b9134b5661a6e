"""Choose the format that a header ``Accept`` asks for (RFC 9110, section 12.5.1)."""

from dataclasses import dataclass

from derain.images import Format
from derain.images.picture import has_avif

TYPES: dict[Format, str] = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
    "BMP": "image/bmp",
    "AVIF": "image/avif",
}
"""Media types of what derain writes."""


def offered_formats() -> list[Format]:
    """Return the formats that can be written here."""
    return [format for format in TYPES if format != "AVIF" or has_avif()]


@dataclass(frozen=True)
class Wish:
    """A format that a client accepts.

    Attributes:
        formats: The formats that it likes best, the first named first.
    """

    formats: tuple[Format, ...]

    def chosen(self, own: Format) -> Format:
        """Return the format of the result: the picture's own if it is as good as any other."""
        return own if own in self.formats else self.formats[0]


def wish_of(accept: str) -> Wish | None:
    """Return what a client accepts; None if that is nothing that derain writes.

    A client that names pages as well is a browser with a plain form. It takes any picture, whatever
    it names first.

    Args:
        accept: The header; empty for anything.

    >>> wish_of("image/webp, image/*;q=0.5").chosen("JPEG")
    'WEBP'
    >>> wish_of("*/*").chosen("JPEG")
    'JPEG'
    >>> wish_of("image/gif") is None
    True
    """
    formats = offered_formats()
    ranges = _ranges(accept)
    if not ranges or ranges.get("text/html", (0.0, 0))[0] > 0:
        return Wish(tuple(formats))
    found: dict[Format, tuple[float, int]] = {
        format: _quality(TYPES[format], ranges) for format in formats
    }
    taken: list[Format] = [format for format in formats if found[format][0] > 0]
    if not taken:
        return None
    taken.sort(key=lambda format: (-found[format][0], found[format][1]))
    best = found[taken[0]][0]
    return Wish(tuple([format for format in taken if found[format][0] == best]))


def _ranges(accept: str) -> dict[str, tuple[float, int]]:
    """Return each media range of a header with its weight and its place."""
    found: dict[str, tuple[float, int]] = {}
    for place, part in enumerate(accept.split(",")):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if not name:
            continue
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                weight = _weight(value.strip())
        found.setdefault(name, (weight, place))
    return found


def _weight(text: str) -> float:
    """Return a weight from 0 to 1; what cannot be read counts as 1."""
    try:
        value = float(text)
    except ValueError:
        return 1.0
    return min(1.0, value) if value >= 0 else 0.0


def _quality(media: str, ranges: dict[str, tuple[float, int]]) -> tuple[float, int]:
    """Return the weight and place of the most specific range that a media type is in."""
    for name in (media, "image/*", "*/*"):
        if name in ranges:
            return ranges[name]
    return 0.0, 0
