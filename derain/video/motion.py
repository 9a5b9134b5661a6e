"""Remove rain from moving parts, where the neighbouring frames do not have it.

Optical flow says where pixels lie in the frames beside. One that is brighter than in all of them,
as rain is, becomes what they have; where they disagree it stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from derain.video.differences import THRESHOLDS, at, half, tint, wide, within
from derain.video.frame import Float32s, Frame, Plane

CELL = 32
"""Side, in pixels, of the cells of which boxes are made that hold what moves."""
WORTH_FLOW = 0.1
"""Share of a cell that moves from which on optical flow is worth its time there."""
WHOLE = 0.6
"""Share of the picture that such boxes cover from which on all of it is one box."""
SMALL = 640 * 480
"""Pixels of a frame up to which optical flow is computed at full size."""
LEAST_FLOW = 32
"""Least side, in pixels, of what optical flow is computed on: OpenCV 4 crashes on flatter ones."""


@dataclass(frozen=True)
class Box:
    """Rows and columns of a luma plane; they begin at whole cells."""

    rows: slice
    columns: slice

    @classmethod
    def of(cls, x: int, y: int, width: int, height: int, shape: tuple[int, ...]) -> "Box":
        """Return the box of some cells, of at least three a side where there are as many."""
        height, width = max(height, 3), max(width, 3)
        y = max(0, min(y, -(-shape[0] // CELL) - height))
        x = max(0, min(x, -(-shape[1] // CELL) - width))
        rows = slice(y * CELL, min((y + height) * CELL, shape[0]))
        return cls(rows, slice(x * CELL, min((x + width) * CELL, shape[1])))

    @property
    def pixels(self) -> int:
        return (self.rows.stop - self.rows.start) * (self.columns.stop - self.columns.start)

    def of_plane(self, plane: Plane, shape: tuple[int, ...]) -> Plane:
        """Return a view of the same part of a plane whose rows and columns are perhaps fewer."""
        down, across = (round(full / own) for full, own in zip(shape, plane.shape, strict=False))
        rows = slice(self.rows.start // down, -(-self.rows.stop // down))
        return plane[rows, self.columns.start // across : -(-self.columns.stop // across)]

    def of_frame(self, frame: Frame) -> Frame:
        """Return the same part of a frame."""
        shape = frame.luma.shape
        planes = tuple(np.ascontiguousarray(self.of_plane(k, shape)) for k in frame.planes)
        luma = planes[0] if frame.is_yuv else self.of_plane(frame.luma, shape)
        return Frame(planes, np.ascontiguousarray(luma), frame.peak)


def boxes_of(still: Float32s) -> list[Box]:
    """Return boxes that hold what moves, each with a cell around it, of weights (H, W)."""
    height, width = still.shape
    cells = -(-height // CELL), -(-width // CELL)
    padded = cv2.copyMakeBorder(
        still, 0, cells[0] * CELL - height, 0, cells[1] * CELL - width, cv2.BORDER_REPLICATE
    )
    stays = cv2.resize(padded, (cells[1], cells[0]), interpolation=cv2.INTER_AREA)
    moves = cv2.dilate((stays < 1 - WORTH_FLOW).astype(np.uint8), np.ones((3, 3), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(moves)
    boxes = [Box.of(x, y, w, h, still.shape) for x, y, w, h, _ in stats[1:].tolist()]
    if sum(box.pixels for box in boxes) > WHOLE * still.size:
        return [Box(slice(0, height), slice(0, width))]
    return boxes


def without_rain(own: Frame, beside: Sequence[Frame], boxes: Sequence[Box]) -> Frame:
    """Return a frame without the rain that those beside, moved onto it, do not have, in boxes."""
    planes = list(own.planes)
    step = 2 if own.luma.size > SMALL else 1
    for box in boxes:
        near = [box.of_frame(other) for other in beside]
        part = _part_without_rain(box.of_frame(own), near, step)
        if part is None:
            continue
        for k, plane in enumerate(part):
            if planes[k] is own.planes[k]:
                planes[k] = planes[k].copy()
            box.of_plane(planes[k], own.luma.shape)[:] = plane
    return own.like(planes)


def _part_without_rain(own: Frame, beside: Sequence[Frame], step: int) -> list[Plane] | None:
    """Return planes with others in place of rain, where they agree; None if too small for that.

    Rain is what is brighter than in all frames beside. Everything else keeps its own pixels, since
    a mean over moved ones would cost sharpness. What changes is found on every ``step``-th row and
    column, and added to the planes.
    """
    here = _on_grid(own, step)
    if min(here.luma.shape) < LEAST_FLOW or not beside:
        return None
    sums = [np.zeros(plane.shape, np.float32) for plane in here.planes]
    counts = [np.zeros(plane.shape, np.float32) for plane in here.planes]
    brighter: Float32s | None = None
    for other in beside:
        there = _on_grid(other, step)
        flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        start = np.zeros((*here.luma.shape, 2), np.float32)
        moved = here.like(_moved(there.planes, flow.calc(_bytes(here), _bytes(there), start)))
        share = _agreement(here, moved.planes)
        for plane, total, count in zip(moved.planes, sums, counts, strict=True):
            weight = at(share, plane)
            total += plane * weight
            count += weight
        more = cv2.blur(cv2.subtract(here.luma, moved.luma, dtype=cv2.CV_32F), (3, 3))
        brighter = more if brighter is None else cv2.min(brighter, more)
    assert brighter is not None
    unit = np.float32(own.peak / 255)
    rain = 1 - within(brighter, THRESHOLDS.streak * unit)
    parts: list[Plane] = []
    for k, (total, count) in enumerate(zip(sums, counts, strict=True)):
        change = total / np.maximum(count, np.float32(1e-3)) - here.planes[k]
        change *= np.minimum(count, 1) * at(rain, change)
        parts.append(_sum(own.planes[k], change, own.peak))
    return parts


def _on_grid(frame: Frame, step: int) -> Frame:
    """Return a frame with every ``step``-th row and column; planes that have no more stay."""
    if step == 1:
        return frame
    height, width = frame.luma.shape
    size = -(-width // step), -(-height // step)
    planes = tuple(
        plane
        if plane.shape[0] <= size[1] and plane.shape[1] <= size[0]
        else cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
        for plane in frame.planes
    )
    if frame.is_yuv:
        return Frame(planes, planes[0], frame.peak)
    return Frame(planes, cv2.resize(frame.luma, size, interpolation=cv2.INTER_AREA), frame.peak)


def _sum(plane: Plane, change: Float32s, peak: int) -> Plane:
    """Return a plane with a change of as many rows and columns, or fewer, in its own type."""
    full = at(change, plane)
    cv2.add(full, plane, full, dtype=cv2.CV_32F)
    return np.rint(np.clip(full, 0, peak, out=full), out=full).astype(plane.dtype)


def _bytes(frame: Frame) -> Plane:
    """Return the luma in uint8, for optical flow."""
    if frame.peak == 255:
        return frame.luma
    return cv2.convertScaleAbs(frame.luma, alpha=255 / frame.peak)


def _moved(planes: Sequence[Plane], flow: Float32s) -> list[Plane]:
    """Return planes as the flow says that their pixels lie in another frame."""
    maps = {shape: _maps(flow, shape) for shape in {plane.shape for plane in planes}}
    return [
        cv2.remap(plane, *maps[plane.shape], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        for plane in planes
    ]


def _maps(flow: Float32s, shape: tuple[int, ...]) -> tuple[Plane, Plane]:
    """Return where the pixels of a plane are found, to a 32nd of a pixel, as OpenCV takes it."""
    height, width = shape
    scale = width / flow.shape[1], height / flow.shape[0]
    full = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR)
    x = full[..., 0] * np.float32(scale[0]) + np.arange(width, dtype=np.float32)
    y = full[..., 1] * np.float32(scale[1]) + np.arange(height, dtype=np.float32)[:, None]
    return cv2.convertMaps(x, y, cv2.CV_16SC2)


def _agreement(own: Frame, moved: Sequence[Plane]) -> Float32s:
    """Return how far moved planes may count, (H, W) in [0, 1].

    They may be darker than the frame's own where rain is thin, and nowhere of another colour.
    """
    unit = np.float32(own.peak / 255)
    height, width = own.luma.shape
    share = np.ones(half(own.luma).shape, np.float32)
    tints: list[Float32s] = []
    for k, plane in enumerate(moved):
        apart = half(cv2.subtract(plane, own.planes[k], dtype=cv2.CV_32F))
        if k > 0 and own.is_yuv:
            of_plane = within(np.abs(apart), THRESHOLDS.tinted * unit)
        else:
            of_plane = within(apart, THRESHOLDS.moved * unit)
            of_plane *= within(-apart, THRESHOLDS.rained * unit)
            of_plane *= within(wide(-apart), THRESHOLDS.wide * unit)
            tints.append(apart)
        share *= at(of_plane, share)
    if len(tints) == 3:
        share *= within(tint(tints), THRESHOLDS.tinted * unit)
    return cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR)
