"""Convert luma and chroma to RGB and back, without PyAV.

What a network changes is added to the planes of the frame: pixels that it leaves alone keep their
levels exactly, whatever the chroma is subsampled by and however many levels colours have.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.video.frame import Frame

Plane = NDArray[Any]
Floats = NDArray[np.float64]
Kind = Literal["yuv", "grey", "rgb"]

WEIGHTS: dict[int, tuple[float, float]] = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601, as BT.470 BG
    6: (0.299, 0.114),  # BT.601, as SMPTE 170M
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
    10: (0.2627, 0.0593),  # BT.2020 with constant luminance, of which this is an approximation
}
"""Shares of red and blue in the luma, by the code of a matrix."""

_SUBSAMPLED = {
    (0, 0): "444",
    (1, 0): "422",
    (1, 1): "420",
    (0, 1): "440",
    (2, 0): "411",
    (2, 2): "410",
}
"""Names of formats by how often the chroma's width and height are halved."""

UNSPECIFIED = 2
"""Code of a colour matrix, of primaries and of a transfer that a file does not name."""
BT2020 = 9
"""Code of the primaries of BT.2020, and of its matrix."""
_USUAL_PRIMARIES = frozenset({0, 1, UNSPECIFIED, 3, 5, 6, 7})
"""Not named, and those of BT.709 and BT.601, which are much the same."""
_USUAL_TRANSFERS = frozenset({0, 1, UNSPECIFIED, 3, 4, 5, 6, 7, 13, 14, 15})
"""Not named, and those of ordinary video: no linear light, PQ (16) or HLG (18)."""
LIMITED, FULL = 1, 2
"""Codes of the range of levels; 0 where a file does not name it."""


@dataclass(frozen=True)
class Colours:
    """Codes of ISO/IEC 23091-2 (H.273), as they stand in the file.

    Attributes:
        range: 1 limited, 2 full, 0 where the file does not say.
        matrix: 1 is BT.709, 5 and 6 BT.601, 9 BT.2020; 2 where the file does not say.
        primaries: 2 where the file does not say.
        transfer: 2 where the file does not say.
    """

    range: int = 0
    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @property
    def is_usual(self) -> bool:
        """Whether players show RGB of these primaries and this transfer as they show sRGB."""
        return self.primaries in _USUAL_PRIMARIES and self.transfer in _USUAL_TRANSFERS

    def but(self, other: "Colours") -> "Colours":
        """Return these colours with what others say."""
        said = {name: code for name, code in vars(other).items() if code != getattr(Colours, name)}
        return replace(self, **said)


@dataclass(frozen=True)
class Layout:
    """A pixel format in which frames are worked on.

    Attributes:
        kind: Planes of luma and chroma, luma alone, or packed RGB.
        bits: Of a level.
        halved: How often the chroma's width and height are halved.
    """

    kind: Kind
    bits: int
    halved: tuple[int, int] = (0, 0)

    @property
    def name(self) -> str:
        """FFmpeg's name of the format."""
        if self.kind == "rgb":
            return "rgb24" if self.bits == 8 else "rgb48le"
        stem = "gray" if self.kind == "grey" else f"yuv{_SUBSAMPLED[self.halved]}p"
        return stem if self.bits == 8 else f"{stem}{self.bits}le"

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """Type of the levels in memory."""
        return np.uint8 if self.bits == 8 else np.uint16

    @property
    def peak(self) -> int:
        """The largest level."""
        return 2**self.bits - 1


def known_colours(
    colours: Colours, layout: Layout, width: int, height: int, *, full: bool = False
) -> Colours:
    """Return how players turn levels into colours where nothing says it.

    That is BT.709 from 1280 columns or 577 rows on, else BT.601; limited range, but for RGB and
    grey.

    Args:
        colours: What is said.
        layout: Of the planes.
        width: Of a frame.
        height: The same.
        full: Whether levels have the full range where nothing says it, in any layout.
    """
    range, matrix = colours.range, colours.matrix
    if range == 0:
        range = FULL if full or layout.kind != "yuv" else LIMITED
    if matrix not in WEIGHTS:
        matrix = 1 if width >= 1280 or height > 576 else 6
    return replace(colours, range=range, matrix=matrix)


def to_yuv(colours: Colours, bits: int, peak: int) -> Floats:
    """Return the matrix (3, 4) that makes YUV levels of RGB levels and 1.

    Args:
        colours: Known ones: of `shown_colours`.
        bits: Of a YUV level.
        peak: The largest RGB level.
    """
    red, blue = WEIGHTS[colours.matrix]
    luma = np.array([red, 1 - red - blue, blue])
    chroma_blue = (np.array([0, 0, 1]) - luma) / (2 * (1 - blue))
    chroma_red = (np.array([1, 0, 0]) - luma) / (2 * (1 - red))
    rows = np.stack([luma, chroma_blue, chroma_red])
    unit = 2.0 ** (bits - 8)
    if colours.range == FULL:
        scale, offset = np.full(3, 2.0**bits - 1), np.array([0, 128, 128]) * unit
    else:
        scale, offset = np.array([219, 224, 224]) * unit, np.array([16, 128, 128]) * unit
    return np.hstack([rows * (scale / peak)[:, None], offset[:, None]])


class Conversion:
    """Turns planes into RGB, and adds what a network has changed of that to the planes.

    It holds no state that changes: threads may share it.

    Args:
        layout: Of the planes.
        colours: Known ones: of `known_colours`.
    """

    def __init__(self, layout: Layout, colours: Colours) -> None:
        self.layout, self.colours = layout, colours

    def rgb(self, frame: Frame) -> Plane:
        """Return planes as a picture.

        Returns:
            (H, W, 3), uint8 of 8 bits, else uint16 in all its range.
        """
        kind = self.layout.kind
        if kind == "rgb":
            return frame.rgb()
        if kind == "grey":
            levels = cv2.transform(frame.luma, self._to_grey)
            return cv2.merge([levels] * 3)
        full = [resized(plane, frame.luma.shape) for plane in frame.planes]
        return cv2.transform(cv2.merge(full), self._to_rgb)

    def changed(self, frame: Frame, before: Plane, after: Plane) -> Frame:
        """Return planes with what a network has changed.

        Args:
            frame: The planes.
            before: What `rgb` made of them.
            after: The same picture derained, of the same shape and type.
        """
        if self.layout.kind == "rgb":
            return Frame.of_rgb(np.ascontiguousarray(after))
        deep = cv2.CV_16S if self.layout.bits == 8 else cv2.CV_32F
        change = cv2.subtract(after, before, dtype=deep)
        weights = self._to_planes[:, :3]
        if self.layout.kind == "grey":
            changes = [cv2.transform(change, weights[:1])]
        else:
            changes = list(cv2.split(cv2.transform(change, weights)))
        planes = tuple(
            self._sum(plane, part) for plane, part in zip(frame.planes, changes, strict=True)
        )
        return Frame(planes, planes[0], frame.peak)

    def _sum(self, plane: Plane, change: Plane) -> Plane:
        change = resized(change, plane.shape)
        if self.layout.bits == 8:
            return cv2.add(plane, change, dtype=cv2.CV_8U)
        return np.minimum(cv2.add(plane, change, dtype=cv2.CV_16U), self.layout.peak)

    @cached_property
    def _to_planes(self) -> Plane:
        peak = 255 if self.layout.bits == 8 else 65535
        return to_yuv(self.colours, self.layout.bits, peak).astype(np.float32)

    @cached_property
    def _to_grey(self) -> Plane:
        """The matrix (1, 2) that makes grey levels of luma and 1."""
        luma = self._to_planes[0]
        slope = 1 / float(luma[:3].sum())
        return np.array([[slope, -slope * luma[3]]], np.float32)

    @cached_property
    def _to_rgb(self) -> Plane:
        peak = 255 if self.layout.bits == 8 else 65535
        affine = to_yuv(self.colours, self.layout.bits, peak)
        matrix = np.linalg.inv(affine[:, :3])
        return np.hstack([matrix, -matrix @ affine[:, 3:]]).astype(np.float32)


def planes_as(frame: Frame, layout: Layout, target: Layout, colours: Colours) -> Sequence[Plane]:
    """Return planes of luma and chroma with the levels and the size of others."""
    if layout == target:
        # Damaged and piped frames may hold more than the bits allow, of which x264 aborts.
        whole = layout.bits in (8, 16)
        return frame.planes if whole else [np.minimum(p, target.peak) for p in frame.planes]
    height, width = frame.luma.shape
    halved = target.halved
    chroma = -(-height // 2 ** halved[1]), -(-width // 2 ** halved[0])
    planes = list(frame.planes)
    bits = layout.bits
    if layout.kind == "rgb":
        peak = 255 if layout.bits == 8 else 65535
        affine = to_yuv(colours, target.bits, peak).astype(np.float32)
        # More levels than RGB has: YUV of 10 bits is made of RGB of 8 as of RGB of 16.
        rgb = frame.rgb().astype(np.float32)
        planes = list(cv2.split(cv2.transform(rgb, affine)))
        planes = [np.clip(np.rint(plane), 0, target.peak) for plane in planes]
        bits = target.bits
    if target.kind == "grey":
        planes = planes[:1]
    elif layout.kind == "grey":
        planes += [np.full(chroma, 2 ** (bits - 1), layout.dtype)] * 2
    is_full = colours.range == FULL
    scale = target.peak / (2**bits - 1) if is_full else 2.0 ** (target.bits - bits)
    sizes = [(height, width), chroma, chroma]
    return [
        scaled(resized(plane, size), scale, target)
        for plane, size in zip(planes, sizes, strict=False)
    ]


def scaled(plane: Plane, scale: float, target: Layout) -> Plane:
    """Return the levels of a plane times a factor, in the type and range of a layout."""
    levels = plane if scale == 1 else np.rint(plane * np.float32(scale))
    return np.clip(levels, 0, target.peak).astype(target.dtype)


def resized(plane: Plane, shape: tuple[int, ...]) -> Plane:
    """Return a plane with as many rows and columns: chroma lies in the middle of its pixels."""
    if plane.shape[:2] == shape[:2]:
        return plane
    shrinks = shape[0] < plane.shape[0] or shape[1] < plane.shape[1]
    kind = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(plane, (shape[1], shape[0]), interpolation=kind)
