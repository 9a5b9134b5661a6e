"""Decoded frames as arrays: planes as they are stored, and upright RGB for a network."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from derain.video.clip import Clip
from derain.video.colours import (
    UNSPECIFIED,
    WEIGHTS,
    Colours,
    Conversion,
    Layout,
    Plane,
    known_colours,
    planes_as,
    scaled,
)
from derain.video.frame import Frame


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
    """Return how players turn levels into colours, see `known_colours`."""
    full = clip.format.startswith("yuvj")
    layout = layout_of(clip.format)
    return known_colours(clip.colours, layout, clip.width, clip.height, full=full)


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
        self._conversion = Conversion(self.layout, self.colours)
        self._turn = Turn.of(clip.display_matrix)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of an upright frame, in stored pixels."""
        width, height = self.clip.width, self.clip.height
        return (height, width) if self._turn.swaps else (width, height)

    @property
    def aspect(self) -> Fraction | None:
        """Shape of a pixel of an upright frame, width over height; None if nothing says."""
        aspect = self.clip.aspect
        return 1 / aspect if aspect and self._turn.swaps else aspect

    def notes(self) -> list[str]:
        """Return what of the frames cannot be kept, a line each."""
        clip, notes = self.clip, list[str]()
        has_alpha = any(part.is_alpha for part in VideoFormat(clip.format).components)
        if has_alpha or clip.hidden_alpha:
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
        return self._turn.upright(self._conversion.rgb(frame))

    def changed(self, frame: Frame, before: Plane, after: Plane) -> Frame:
        """Return planes with what a network has changed.

        Args:
            frame: Planes of `planes`.
            before: What `rgb` made of them.
            after: The same picture derained, of the same shape and type.
        """
        stored = self._turn.stored
        return self._conversion.changed(frame, stored(before), stored(after))


@dataclass(frozen=True)
class Turn:
    """The turn that makes a stored picture upright: it is transposed first, then flipped.

    Attributes:
        swaps: Rows become columns.
        flips_rows: The top becomes the bottom.
        flips_columns: The left becomes the right.
        slanted: The matrix says something else, which is left to the player of the clip.
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
    for k, plane in enumerate(planes_as(frame, layout, target, colours)):
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
        red, green, blue = (scaled(plane, peak / layout.peak, target) for plane in frame.planes)
        for k, plane in enumerate((green, blue, red)):
            _fill(made, k, plane)
        return made
    made = VideoFrame(width, height, layout.name)
    _fill(made, 0, frame.rgb().reshape(height, -1))
    return made if format == layout.name else made.reformat(format=format)


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
