"""Colour profiles: made from what a PNG says of its colours, and fitted to grey or colour.

(ICC.1:2010; PNG, third edition, section 11.3.2; ITU-T H.273 for cICP.)
"""

import struct
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_D65 = (0.3127, 0.3290)
_Chromaticities = tuple[tuple[float, float], ...]
"""x and y of white, red, green and blue."""
_SRGB: _Chromaticities = (_D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_PRIMARIES: Mapping[int, _Chromaticities] = {
    1: _SRGB,
    4: ((0.310, 0.316), (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: (_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    9: (_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: (_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
"""Colour primaries of H.273, table 2."""


def _curve(*parameters: float) -> bytes:
    """Return a parametric curve: an exponent alone, or with a, b, c and d (ICC.1, 10.18)."""
    numbers = b"".join(struct.pack(">i", round(value * 65536)) for value in parameters)
    return b"para\0\0\0\0" + struct.pack(">HH", 3 if len(parameters) == 5 else 0, 0) + numbers


_SRGB_CURVE = _curve(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_VIDEO_CURVE = _curve(1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
_LINEAR = b"curv\0\0\0\0\0\0\0\0"
_TRANSFERS: Mapping[int, bytes] = {
    1: _VIDEO_CURVE,
    4: _curve(2.2),
    5: _curve(2.8),
    6: _VIDEO_CURVE,
    8: _LINEAR,
    13: _SRGB_CURVE,
    14: _VIDEO_CURVE,
    15: _VIDEO_CURVE,
}
"""Transfer characteristics of H.273, table 3, but for those of more than white (PQ and HLG)."""
_NAMES = {b"GRAY": "grey", b"RGB ": "RGB", b"CMYK": "CMYK", b"Lab ": "Lab"}


def srgb() -> bytes:
    """Return a profile of sRGB."""
    return _profile(_SRGB, _SRGB_CURVE, grey=False)


def _profile(chromaticities: _Chromaticities, curve: bytes, *, grey: bool) -> bytes:
    """Return a profile of one curve for all channels."""
    white, *primaries = chromaticities
    adaptation = _adaptation(_xyz(white))
    tags = {
        b"desc": _text("derain: as the PNG said"),
        b"cprt": _text("no copyright"),
        b"wtpt": _xyz_tag(_D50),
        b"chad": b"sf32\0\0\0\0" + _fixed(adaptation.ravel()),
    }
    if grey:
        return _packed(b"GRAY", tags | {b"kTRC": curve})
    columns = np.array([_xyz(each) for each in primaries]).T  # (XYZ, RGB)
    columns = adaptation @ (columns * np.linalg.solve(columns, np.array(_xyz(white))))
    for name, column in zip((b"r", b"g", b"b"), columns.T, strict=True):
        tags |= {name + b"XYZ": _xyz_tag(column), name + b"TRC": curve}
    return _packed(b"RGB ", tags)


def _xyz(xy: tuple[float, float]) -> tuple[float, float, float]:
    x, y = xy
    return x / y, 1.0, (1 - x - y) / y


def _adaptation(white: Sequence[float]) -> NDArray[np.float64]:
    """Return the matrix from a white to D50, the white of profiles (ICC.1, annex E)."""
    scale = (_BRADFORD @ np.array(_D50)) / (_BRADFORD @ np.array(white))
    return np.linalg.inv(_BRADFORD) @ (scale[:, None] * _BRADFORD)


def _fixed(values: Sequence[float] | NDArray[np.float64]) -> bytes:
    return b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)


def _xyz_tag(values: Sequence[float] | NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _text(text: str) -> bytes:
    content = text.encode("utf-16-be")
    return (
        b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(content), 28) + content
    )


def _packed(space: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    """Return a display profile of version 4.3, without a date so that it is always the same."""
    table = struct.pack(">I", len(tags))
    values = b""
    for tag, value in tags.items():
        table += struct.pack(">4sII", tag, 128 + 4 + 12 * len(tags) + len(values), len(value))
        values += value + b"\0" * (-len(value) % 4)
    header = bytearray(128)
    struct.pack_into(">I", header, 0, 128 + len(table) + len(values))
    struct.pack_into(">4x4s4s4s", header, 4, b"\x04\x30\0\0", b"mntr", space)
    struct.pack_into(">4s", header, 20, b"XYZ ")
    struct.pack_into(">6H", header, 24, 2000, 1, 1, 0, 0, 0)
    struct.pack_into(">4s", header, 36, b"acsp")
    header[68:80] = _fixed(_D50)
    return bytes(header) + table + values


def of_png(chunks: Mapping[bytes, bytes], lost: list[str], *, grey: bool) -> bytes:
    """Return a profile that says what a PNG's chunks say; empty if they say nothing.

    Args:
        chunks: Content of cICP, sRGB, gAMA and cHRM, of which the first that exists counts.
        lost: Gets a name for the user of what no profile made here can say.
        grey: Whether the pixels are grey.
    """
    if b"cICP" in chunks:
        primaries, transfer, matrix, full = (*chunks[b"cICP"], *b"\0\0\0\0")[:4]
        if primaries in _PRIMARIES and transfer in _TRANSFERS and (matrix, full) == (0, 1):
            return _profile(_PRIMARIES[primaries], _TRANSFERS[transfer], grey=grey)
        lost.append("PNG cICP")
    if b"sRGB" in chunks:
        return _profile(_SRGB, _SRGB_CURVE, grey=grey)
    return _calibrated(chunks, lost, grey=grey)


def _calibrated(chunks: Mapping[bytes, bytes], lost: list[str], *, grey: bool) -> bytes:
    """Return a profile of gAMA and cHRM; empty if neither is there and sound."""
    curve, chromaticities = _SRGB_CURVE, _SRGB
    known = False
    if len(gamma := chunks.get(b"gAMA", b"")) == 4 and any(gamma):
        (encoded,) = struct.unpack(">I", gamma)
        # 1/2.2 is how programs say sRGB (PNG, section 11.3.2.2).
        known = True
        if encoded > 10_000_000 or encoded < 1000:
            lost.append("PNG gAMA")
            known = False
        elif encoded == 100_000:
            curve = _LINEAR
        elif encoded != 45_455:
            curve = _curve(100_000 / encoded)
    if len(content := chunks.get(b"cHRM", b"")) == 32:
        numbers = [value / 100_000 for value in struct.unpack(">8I", content)]
        measured = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        if _are_sound(measured):
            chromaticities, known = measured, True
        else:
            lost.append("PNG cHRM")
    return _profile(chromaticities, curve, grey=grey) if known else b""


def _are_sound(chromaticities: _Chromaticities) -> bool:
    """Whether three primaries span a plane that holds white."""
    if not all(0 <= x <= 1 and 0.001 < y <= 1 for x, y in chromaticities):
        return False
    white, *primaries = chromaticities
    columns = np.array([_xyz(each) for each in primaries]).T
    if abs(float(np.linalg.det(columns))) < 1e-4:
        return False
    return bool((np.linalg.solve(columns, np.array(_xyz(white))) > 0).all())


def fitted(profile: bytes, lost: list[str], *, grey: bool) -> bytes:
    """Return a profile for grey or for RGB pixels; empty if there is no way to make it one.

    Args:
        profile: Any, or empty.
        lost: Gets a name for the user of one that cannot be used. One that is damaged or of an
            unknown kind is left to the programs that show the picture.
        grey: Whether the pixels are grey.
    """
    space = profile[16:20]
    if len(profile) < 132 or profile[36:40] != b"acsp":
        return profile
    if space == (b"GRAY" if grey else b"RGB "):
        return profile
    curves = [_tag(profile, name) for name in (b"rTRC", b"gTRC", b"bTRC", b"kTRC")]
    if space == b"GRAY" and curves[3]:
        return _profile(_SRGB, curves[3], grey=False)
    # Grey by this profile is what the three channels show when they are equal.
    if space == b"RGB " and curves[0] and curves[0] == curves[1] == curves[2]:
        return _profile(_SRGB, curves[0], grey=True)
    lost.append(
        f"{_NAMES.get(space, 'unusual')} colour profile of {'grey' if grey else 'RGB'} pixels"
    )
    return b""


def _tag(profile: bytes, name: bytes) -> bytes:
    """Return the content of a profile's tag; empty if there is none."""
    (count,) = struct.unpack_from(">I", profile, 128)
    for place in range(132, min(132 + 12 * count, len(profile) - 11), 12):
        tag, offset, length = struct.unpack_from(">4sII", profile, place)
        if tag == name:
            return profile[offset : offset + length]
    return b""
