"""Cut a picture into tiles, and blend the tiles back into one picture."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derain.progress import Progress

Float32s = NDArray[np.float32]

LEAST_SIDE = 16
"""Smallest side of a tile that is worth it, in pixels, whatever the network."""


@dataclass(frozen=True)
class Tiling:
    """The tiles that suit a network: facts on its class.

    Attributes:
        tile: Side of the default tile in pixels. A picture of at most ``tile * tile`` pixels is not
            cut; 0 never cuts.
        overlap: How many pixels neighbouring tiles share by default; over the middle of these they
            are blended.
        reach: How many pixels away a result may still depend on what is given. None if something in
            the network follows the size of the picture (regions, global pooling), or it looks
            further than tiles could share.
        multiple: Pixels of the coarsest grid the network computes on: tiles begin on it, and
            exported networks take sides that are multiples of it; 1 where there is none.
        memory: Bytes that a pixel of a tile takes at the peak, in float32 on a CPU (`derain
            bench`); decides how large tiles may be where memory is short, and how many a GPU gets
            at once.
    """

    tile: int
    overlap: int
    reach: int | None = None
    multiple: int = 1
    memory: int = 4000

    @property
    def exact(self) -> bool:
        """Whether a tiled result equals the whole one to rounding.

        If it does not, the tile is part of a score's description.
        """
        return self.reach is not None and self.overlap >= 2 * self.reach

    @property
    def least_tile(self) -> int:
        """Smallest side of a tile that is worth it, in pixels."""
        return max(LEAST_SIDE, 4 * self.multiple)

    def affordable(self, free: int | None) -> int:
        """Return the side of the default tile, or of a smaller one where memory is short.

        Args:
            free: Bytes of free memory, of which a tile may take half; None if nobody can say.
        """
        tile = self.tile
        while (
            free is not None and tile**2 * self.memory > free // 2 and tile // 2 >= self.least_tile
        ):
            tile //= 2
        return tile

    def side(self, height: int, width: int) -> int:
        """Return the largest side of the tiles of a picture; its own if it need not be cut."""
        if self.tile == 0 or height * width <= self.tile**2:
            return max(height, width)
        return self.tile


@dataclass(frozen=True)
class Span:
    """A tile along one axis: the pixels it sees, and those of them that are used.

    Attributes:
        start: First pixel the network sees.
        stop: One past the last.
        fade_in: Pixels ``[begin, end)`` over which it takes over from the tile before; empty for
            the first.
        fade_out: Likewise to the tile after; empty for the last.
    """

    start: int
    stop: int
    fade_in: tuple[int, int]
    fade_out: tuple[int, int]

    @property
    def length(self) -> int:
        """How many pixels the network sees."""
        return self.stop - self.start

    def weights(self) -> Float32s:
        """Return the share of the tile in each pixel it sees, (length,); all tiles' add up to 1."""
        place = np.arange(self.start, self.stop, dtype=np.float32) + 0.5
        share = np.ones(len(place), np.float32)
        for (begin, end), rising in ((self.fade_in, True), (self.fade_out, False)):
            if end > begin:
                ramp = np.clip((place - begin) / (end - begin), 0, 1)
            else:  # nothing to blend over: the border is sharp
                ramp = (place > begin).astype(np.float32)
            share *= ramp if rising else 1 - ramp
        return share


@dataclass(frozen=True)
class Grid:
    """The tiles of a picture: every row crossed with every column."""

    rows: Sequence[Span]
    columns: Sequence[Span]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(height, width) of every tile, row by row."""
        return [(row.length, column.length) for row in self.rows for column in self.columns]


def spans(
    length: int, tile: int, overlap: int, *, fade: int | None = None, multiple: int = 1
) -> list[Span]:
    """Cut ``length`` pixels into equal tiles that overlap by at least ``overlap``, evenly spread.

    Between two tiles the result fades from one to the other over the middle of what they share, by
    default the middle half. What is before and after, where a tile's border shows in what the
    network makes of it, is seen but not used::

        tile 1 sees    [--------------------------------]
                used   [===========================>        > fades out
        tile 2 sees                       [--------------------------------]
                used                          >=============================]
                                          |   |     |   |
                                           1/4  1/2  1/4

    Args:
        length: Pixels along the axis.
        tile: Side of a tile.
        overlap: Least number of pixels that two neighbours share.
        fade: Pixels over which tiles are blended; 0 where both give the same.
        multiple: Tiles begin at multiples of it; the last is longer by less than that.

    Returns:
        The tiles in order; one that spans everything if ``length < tile + multiple``.
    """
    if length < tile + multiple:
        return [Span(0, length, (0, 0), (length, length))]
    fade = overlap // 2 if fade is None else fade
    count = 1 - (tile - length) // (tile - overlap - multiple + 1)
    starts = [round(k * (length - tile) / (count - 1)) // multiple * multiple for k in range(count)]
    stops = [*(start + tile for start in starts[:-1]), length]
    joints = [(after + stop - fade) // 2 for after, stop in zip(starts[1:], stops, strict=False)]
    zones = [(0, 0), *((joint, joint + fade) for joint in joints), (length, length)]
    return [
        Span(start, stop, zones[k], zones[k + 1])
        for k, (start, stop) in enumerate(zip(starts, stops, strict=True))
    ]


def grid(height: int, width: int, tiling: Tiling) -> Grid:
    """Return the tiles that a picture of a size is cut into."""
    side = tiling.side(height, width)
    return Grid(_fewest(height, side, tiling), _fewest(width, side, tiling))


def _fewest(length: int, side: int, tiling: Tiling) -> list[Span]:
    """Cut one axis into as few tiles as possible, and no larger ones than these need to be.

    So a pixel costs the same in all pictures. Where tiles see everything that a result depends on,
    they are blended over what is left of their overlap, otherwise over half of it.
    """
    overlap, multiple = tiling.overlap, tiling.multiple
    fade = overlap // 2
    if tiling.reach is not None and tiling.exact:
        fade = overlap - 2 * tiling.reach
    widest = spans(length, side, overlap, fade=fade, multiple=multiple)
    if len(widest) == 1:
        return widest
    count = len(widest)
    least = -(-(length + (count - 1) * (overlap + multiple - 1)) // count)
    least = math.ceil(least / multiple) * multiple
    return spans(length, min(side, least), overlap, fade=fade, multiple=multiple)


Runner = Callable[[list[NDArray[Any]]], list[Float32s]]
"""Derains tiles of one size: each (h, w, 3) of any type -> (h, w, 3) floats."""


def blended(
    rgb: NDArray[Any], grid: Grid, run: Runner, progress: Progress, at_once: int = 1
) -> Iterator[tuple[int, Float32s]]:
    """Run a picture tile by tile; yield finished rows, as (first row, (rows, W, 3)).

    No more than a row of tiles is held at a time::

        carried    what the row of tiles above left over its fade_out
        strip      [ fade_in: carried + own | own, finished | fade_out: carried to the next ]

    Args:
        rgb: (H, W, 3) of any type.
        grid: Its tiles.
        run: What derains some of them.
        progress: Gets a report of "tiles" after each.
        at_once: How many tiles of one size are given to `run` together.
    """
    total = len(grid.rows) * len(grid.columns)
    if total == 1:  # nothing to blend
        yield 0, run([rgb])[0]
        progress("tiles", 1, 1)
        return
    done, width = 0, rgb.shape[1]
    carried = np.zeros((0, width, 3), np.float32)
    for row in grid.rows:
        strip = np.zeros((row.length, width, 3), np.float32)
        for column, clean in _row(rgb[row.start : row.stop], grid.columns, run, at_once):
            strip[:, column.start : column.stop] += clean * column.weights()[:, None]
            done += 1
            progress("tiles", done, total)
        strip *= row.weights()[:, None, None]
        begin, end = row.fade_in[0], row.fade_out[0]
        strip[begin - row.start : begin - row.start + len(carried)] += carried
        yield begin, strip[begin - row.start : end - row.start]
        carried = strip[end - row.start : row.fade_out[1] - row.start]


def _row(
    band: NDArray[Any], columns: Sequence[Span], run: Runner, at_once: int
) -> Iterator[tuple[Span, Float32s]]:
    """Yield the tiles of one row, derained; equal ones are given to the network together."""
    for _, group in itertools.groupby(columns, lambda column: column.length):
        equal = list(group)
        for k in range(0, len(equal), at_once):
            some = equal[k : k + at_once]
            tiles = [band[:, column.start : column.stop] for column in some]
            yield from zip(some, run(tiles), strict=True)
