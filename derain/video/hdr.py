"""What an HDR10 clip says of the display that it was graded on, and of how light it becomes.

(SMPTE ST 2086 for the display, CTA-861.3 for the light.)
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

_DISPLAY, _LIGHT = struct.Struct("20i2i"), struct.Struct("2I")
"""FFmpeg's AVMasteringDisplayMetadata and AVContentLightMetadata."""
_BRIGHTEST = 100_000
"""Candela per square metre that a display has at most."""


@dataclass(frozen=True)
class Display:
    """The display that a clip was graded on.

    Attributes:
        red: CIE 1931 x and y of this primary, and so `green`, `blue` and `white`.
        least: Luminance of black, in candela per square metre.
        most: Luminance of white.
    """

    red: tuple[Fraction, Fraction]
    green: tuple[Fraction, Fraction]
    blue: tuple[Fraction, Fraction]
    white: tuple[Fraction, Fraction]
    least: Fraction
    most: Fraction

    def whole(self) -> str:
        """Return it as x264 and x265 take it: in steps of 0.00002 and of 0.0001 candela."""
        return self._text(lambda value, steps: str(round(value * steps)))

    def decimal(self) -> str:
        """Return it as SVT-AV1 takes it."""
        return self._text(lambda value, _: f"{float(value):.6g}")

    def _text(self, number: Callable[[Fraction, int], str]) -> str:
        points = {"G": self.green, "B": self.blue, "R": self.red, "WP": self.white}
        parts = [f"{k}({number(x, 50_000)},{number(y, 50_000)})" for k, (x, y) in points.items()]
        return f"{''.join(parts)}L({number(self.most, 10_000)},{number(self.least, 10_000)})"


@dataclass(frozen=True)
class Hdr:
    """What a clip says, as far as it does.

    Attributes:
        display: That it was graded on.
        light: Of the lightest pixel, and of the lightest frame on average, in candela per square
            metre.
    """

    display: Display | None = None
    light: tuple[int, int] | None = None

    def __bool__(self) -> bool:
        return self != Hdr()


def hdr_of(side_data: Mapping[str, Any]) -> Hdr:
    """Return what a frame says.

    Args:
        side_data: That of the frame, see `derain.video.side_data.side_data_of`.
    """
    display = bytes(side_data.get("MASTERING_DISPLAY_METADATA", b""))
    light = bytes(side_data.get("CONTENT_LIGHT_LEVEL", b""))
    return Hdr(
        _display_of(display) if len(display) >= _DISPLAY.size else None,
        _light_of(light) if len(light) >= _LIGHT.size else None,
    )


def _light_of(data: bytes) -> tuple[int, int] | None:
    """Return the light; None if it is not known, or more than a file can say."""
    most, mean = _LIGHT.unpack_from(data)
    return (most, mean) if 0 < max(most, mean) < 1 << 16 else None


def _display_of(data: bytes) -> Display | None:
    """Return the display; None if only a part of it is known, or if it is impossible."""
    *numbers, has_primaries, has_luminance = _DISPLAY.unpack_from(data)
    if not has_primaries or not has_luminance or not all(numbers[1::2]):
        return None
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    *points, least, most = (Fraction(above, below) for above, below in pairs)
    if not all(0 <= value <= 1 for value in points) or not 0 <= least < most <= _BRIGHTEST:
        return None
    red, green, blue, white = zip(points[::2], points[1::2], strict=True)
    return Display(red, green, blue, white, least, most)
