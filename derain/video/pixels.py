"""Decoded frames as arrays: planes as they are stored, and upright RGB for a network.

What a network changes is added to the planes of the frame: pixels that it leaves alone keep their
levels exactly, whatever the chroma is subsampled by and however many levels colours have.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import cv2
import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from derain.video.clip import FULL, UNSPECIFIED, Clip, Colours
from derain.video.temporal import Frame

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


def layout_of(format: str) -> Layout:
    """Return the layout that holds all that a pixel format holds, but for transparency.

    Args:
        format: As FFmpeg calls it, such as ``yuv420p``, ``nv12``, ``p010le``, ``gbrp10le``.
    """
    # Any size will do that can be halved twice.
    found = VideoFormat(format, 64, 64)
    colours = [part for part in found.components if not part.is_alpha]
    bits = bits_of(format)
    if found.has_palette or found.is_rgb or found.is_bayer or format.startswith("xyz"):
        return Layout("rgb", 8 if bits <= 8 else 16)
    if len(colours) == 1:
        return Layout("grey", _at_least(bits, (8, 10, 12, 16)))
    halved = _halvings(64 // found.chroma_width()), _halvings(64 // found.chroma_height())
    return Layout("yuv", _at_least(bits, (8, 9, 10, 12, 14, 16)), halved)


def bits_of(format: str) -> int:
    """Return how many bits the levels of a pixel format have at most."""
    return max(part.bits for part in VideoFormat(format).components)


def _halvings(factor: int) -> int:
    return factor.bit_length() - 1


def _at_least(bits: int, known: Sequence[int]) -> int:
    return next(k for k in known if k >= min(bits, 16))


def shown_colours(clip: Clip) -> Colours:
    """Return how players turn levels into colours where the file does not say.

    That is BT.709 from 1280 columns or 577 rows on, else BT.601; limited range, but for formats
    whose name says otherwise and grey ones.
    """
    layout = layout_of(clip.format)
    range, matrix = clip.colours.range, clip.colours.matrix
    if range == 0:
        is_full = clip.format.startswith("yuvj") or layout.kind != "yuv"
        range = FULL if is_full else 1
    if matrix not in WEIGHTS:
        matrix = 1 if clip.width >= 1280 or clip.height > 576 else 6
    return Colours(range, matrix, clip.colours.primaries, clip.colours.transfer)


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


class Pixels:
    """Turns the decoded frames of a clip into arrays, and back.

    It holds no state that changes: threads may share it.

    Args:
        clip: Whose frames they are.

    Attributes:
        layout: In which planes are held.
    """

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self.layout = layout_of(clip.format)
        self.colours = shown_colours(clip)
        self._turn = Turn.of(clip.display_matrix)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of an upright frame, in stored pixels."""
        width, height = self.clip.width, self.clip.height
        return (height, width) if self._turn.swaps else (width, height)

    def notes(self) -> list[str]:
        """Return what of the frames cannot be kept, a line each."""
        clip, notes = self.clip, list[str]()
        if any(part.is_alpha for part in VideoFormat(clip.format).components):
            notes.append("transparency is left out")
        if clip.interlaced:
            notes.append(
                "it is interlaced: each frame is derained whole, and stored as progressive"
            )
        unknown = clip.colours.matrix not in (*WEIGHTS, UNSPECIFIED)
        if unknown and self.layout.kind == "yuv":
            notes.append(
                f"its colour matrix {clip.colours.matrix} is read as one of the usual ones"
            )
        if self._turn.slanted:
            notes.append("it is shown at a slant, and derained as it is stored")
        return notes

    def planes(self, frame: VideoFrame) -> Frame:
        """Return the levels of a decoded frame, as it is stored.

        Returns:
            Three planes of ``yuv`` and of ``rgb``, one of ``grey``: copies, uint8 or uint16.
        """
        layout = self.layout
        if layout.kind == "rgb":
            return Frame.of_rgb(_packed(frame, layout))
        count = 3 if layout.kind == "yuv" else 1
        if not _has_planes(frame.format, layout):
            frame = _converted(frame, layout.name)
        planes = tuple(_plane(frame, k, layout.dtype) for k in range(count))
        return Frame(planes, planes[0], layout.peak)

    def rgb(self, frame: Frame) -> Plane:
        """Return planes as an upright picture.

        Returns:
            (H, W, 3), uint8 of 8 bits, else uint16 in all its range.
        """
        kind = self.layout.kind
        if kind == "rgb":
            return self._turn.upright(frame.rgb())
        if kind == "grey":
            levels = cv2.transform(frame.luma, self._to_grey)
            return self._turn.upright(cv2.merge([levels] * 3))
        full = [_resized(plane, frame.luma.shape) for plane in frame.planes]
        return self._turn.upright(cv2.transform(cv2.merge(full), self._to_rgb))

    def changed(self, frame: Frame, before: Plane, after: Plane) -> Frame:
        """Return planes with what a network has changed.

        Args:
            frame: Planes of `planes`.
            before: What `rgb` made of them.
            after: The same picture derained, of the same shape and type.
        """
        if self.layout.kind == "rgb":
            return Frame.of_rgb(np.ascontiguousarray(self._turn.stored(after)))
        deep = cv2.CV_16S if self.layout.bits == 8 else cv2.CV_32F
        change = self._turn.stored(cv2.subtract(after, before, dtype=deep))
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
        change = _resized(change, plane.shape)
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


@dataclass(frozen=True)
class Turn:
    """How a stored picture becomes upright: transposed first, then flipped.

    Attributes:
        swaps: Rows become columns.
        flips_rows: The top becomes the bottom.
        flips_columns: The left becomes the right.
        slanted: The matrix says something else, which is left to whoever shows the clip.
    """

    swaps: bool = False
    flips_rows: bool = False
    flips_columns: bool = False
    slanted: bool = False

    @classmethod
    def of(cls, display_matrix: Sequence[int]) -> "Turn":
        """Return what a display matrix says, of nine integers, or of none."""
        if not display_matrix:
            return cls()
        # x' = a x + c y, y' = b x + d y
        a, b, _, c, d = display_matrix[:5]
        if a and d and not b and not c:
            return cls(False, d < 0, a < 0)
        if b and c and not a and not d:
            return cls(True, b < 0, c < 0)
        return cls(slanted=True)

    def upright(self, picture: Plane) -> Plane:
        """Return a stored picture as it is shown, (H, W, 3)."""
        return self._flipped(cv2.transpose(picture) if self.swaps else picture)

    def stored(self, picture: Plane) -> Plane:
        """Return an upright picture as it is stored."""
        flipped = self._flipped(picture)
        return cv2.transpose(flipped) if self.swaps else flipped

    def _flipped(self, picture: Plane) -> Plane:
        codes = {(True, False): 0, (False, True): 1, (True, True): -1}
        code = codes.get((self.flips_rows, self.flips_columns))
        return picture if code is None else cv2.flip(picture, code)


def video_frame(frame: Frame, layout: Layout, format: str, colours: Colours) -> VideoFrame:
    """Return planes as a frame of PyAV's, in the same or in another pixel format.

    Args:
        frame: Planes as `Pixels.planes` gives them.
        layout: Theirs.
        format: FFmpeg's name of what is wanted.
        colours: Those of `shown_colours`, by which RGB becomes YUV.
    """
    target = layout_of(format)
    if target.kind == "rgb":
        return _rgb_frame(frame, layout, format)
    made = VideoFrame(frame.luma.shape[1], frame.luma.shape[0], format)
    for k, plane in enumerate(_as_target(frame, layout, target, colours)):
        _fill(made, k, plane)
    return made


def _rgb_frame(frame: Frame, layout: Layout, format: str) -> VideoFrame:
    if layout.kind != "rgb":
        raise ValueError(f"{layout.name} for {format}: expected RGB")
    height, width = frame.luma.shape
    if format.startswith("gbr"):
        made = VideoFrame(width, height, format)
        peak = 2 ** bits_of(format) - 1
        target = Layout("grey", 8 if peak == 255 else 16)
        red, green, blue = (_scaled(plane, peak / layout.peak, target) for plane in frame.planes)
        for k, plane in enumerate((green, blue, red)):
            _fill(made, k, plane)
        return made
    made = VideoFrame(width, height, layout.name)
    _fill(made, 0, frame.rgb().reshape(height, -1))
    return made if format == layout.name else made.reformat(format=format)


def _as_target(frame: Frame, layout: Layout, target: Layout, colours: Colours) -> Sequence[Plane]:
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
        _scaled(_resized(plane, size), scale, target)
        for plane, size in zip(planes, sizes, strict=False)
    ]


def _scaled(plane: Plane, scale: float, target: Layout) -> Plane:
    levels = plane if scale == 1 else np.rint(plane * np.float32(scale))
    return np.clip(levels, 0, target.peak).astype(target.dtype)


def _resized(plane: Plane, shape: tuple[int, ...]) -> Plane:
    """Return a plane with as many rows and columns: chroma lies in the middle of its pixels."""
    if plane.shape[:2] == shape[:2]:
        return plane
    shrinks = shape[0] < plane.shape[0] or shape[1] < plane.shape[1]
    kind = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(plane, (shape[1], shape[0]), interpolation=kind)


def _has_planes(format: VideoFormat, layout: Layout) -> bool:
    """Return whether each plane of a layout lies in memory as such."""
    parts = [part for part in format.components if not part.is_alpha]
    return (
        not format.is_big_endian
        and all(part.bits == layout.bits for part in parts)
        and [part.plane for part in parts] == list(range(len(parts)))
        and (format.is_planar or len(format.components) == 1)
    )


def _converted(frame: VideoFrame, name: str) -> VideoFrame:
    """Return a frame in a format of the same levels and colours."""
    range = int(frame.color_range) or 1
    return frame.reformat(format=name, src_color_range=range, dst_color_range=range)


def _plane(frame: VideoFrame, k: int, dtype: Any) -> Plane:
    """Return a plane of levels, (H, W), as a copy."""
    held: Any = frame.planes[k]
    rows = np.frombuffer(held, dtype).reshape(held.height, -1)
    return rows[:, : held.width].copy()


def _fill(frame: VideoFrame, k: int, levels: Plane) -> None:
    """Write a plane, (H, W), or packed levels, (H, W * channels)."""
    held: Any = frame.planes[k]
    rows = np.frombuffer(held, levels.dtype).reshape(held.height, -1)
    rows[:, : levels.shape[1]] = levels


def _packed(frame: VideoFrame, layout: Layout) -> Plane:
    """Return RGB, (H, W, 3), uint8 or uint16 in all its range."""
    format = frame.format
    bits = format.components[0].bits
    if format.name.startswith("gbr") and not format.is_big_endian and bits <= 16:
        green, blue, red = (_plane(frame, k, layout.dtype) for k in range(3))
        rgb = cv2.merge([red, green, blue])
        if bits in (8, 16):
            return rgb
        return np.rint(rgb * np.float32(65535 / (2**bits - 1))).astype(np.uint16)
    packed = frame if format.name == layout.name else frame.reformat(format=layout.name)
    held: Any = packed.planes[0]
    rows = np.frombuffer(held, layout.dtype).reshape(held.height, -1)
    return rows[:, : 3 * held.width].reshape(held.height, held.width, 3).copy()
