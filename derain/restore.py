"""A Derainer: an image to an image, of any size, with memory bounded by the tile."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from derain import weights
from derain.engines import (
    Exported,
    choose_device,
    free_memory,
    has_bfloat16,
    is_exported,
    is_out_of_memory,
    make_engine,
)
from derain.networks import Network, Tiling

Floats = NDArray[np.float32]
Progress = Callable[[int, int], None]

MIN_DENSITY_TILE = 128
"""Rain density is not sensed in smaller parts than this, however small the tiles."""

FLOAT_SLACK = 1e-3
"""How far floats may lie outside [0, 1] and be taken for rounding."""

FLIPS = (1, 2, 4, 8)
"""Numbers of flipped forms that a result may be averaged over."""


@dataclass(frozen=True)
class Flip:
    """One of the eight ways to lay a tile, a batch (N, C, H, W), on its own grid of pixels.

    Attributes:
        axes: Axes along which the tile is reversed: 3 mirrors it, 2 turns it upside down.
        transposed: Whether height and width change places, after that.
    """

    axes: tuple[int, ...] = ()
    transposed: bool = False

    def apply(self, batch: Tensor) -> Tensor:
        """Return the batch in this form: (N, C, H, W), or (N, C, W, H) if it is transposed."""
        flipped = batch.flip(self.axes)
        return flipped.transpose(2, 3) if self.transposed else flipped

    def undo(self, batch: Tensor) -> Tensor:
        """Return the batch that `apply` made this form of."""
        upright = batch.transpose(2, 3) if self.transposed else batch
        return upright.flip(self.axes)


_ORDER = [
    Flip(axes, transposed) for transposed in (False, True) for axes in ((), (3,), (2,), (2, 3))
]
"""All eight, so that the first two, four or eight are what `Derainer` promises."""


@dataclass(frozen=True)
class Cut:
    """One tile along one axis: what it sees, and what of it is used.

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


@dataclass(frozen=True)
class RainDensity:
    """How dense a picture's rain is, as a network senses it: cumulative, each from 0 (no) to 1
    (yes) or a little beyond.

    Attributes:
        light: Whether there is rain at all.
        medium: Whether it is at least medium.
        heavy: Whether it is heavy.
    """

    light: float
    medium: float
    heavy: float

    @property
    def word(self) -> Literal["none", "light", "medium", "heavy"]:
        """The heaviest step on which it, and every lighter one, is likelier than not."""
        if self.light < 0.5:
            return "none"
        if self.medium < 0.5:
            return "light"
        return "medium" if self.heavy < 0.5 else "heavy"


def cuts(
    length: int, tile: int, overlap: int, *, fade: int | None = None, multiple: int = 1
) -> list[Cut]:
    """Cuts ``length`` pixels into equal tiles that overlap by at least ``overlap``, evenly spread.

    Between two tiles the result fades from one to the other over the middle of what they share by
    right, by default the middle half; what is before and after, where a tile's border shows in what
    the network makes of it, is seen but not used::

        tile 1 sees    [--------------------------------]
                used   [===========================>        > fades out
        tile 2 sees                       [--------------------------------]
                used                          >=============================]
                                          |   |     |   |
                                           1/4  1/2  1/4

    Args:
        fade: Pixels over which tiles are blended; 0 where both give the same.
        multiple: Tiles begin at multiples of it; the last is longer by less than that.

    Returns:
        The tiles in order; one that spans everything if ``length < tile + multiple``.
    """
    if length < tile + multiple:
        return [Cut(0, length, (0, 0), (length, length))]
    fade = overlap // 2 if fade is None else fade
    count = 1 - (tile - length) // (tile - overlap - multiple + 1)
    starts = [round(k * (length - tile) / (count - 1)) // multiple * multiple for k in range(count)]
    stops = [*(start + tile for start in starts[:-1]), length]
    joints = [(after + stop - fade) // 2 for after, stop in zip(starts[1:], stops, strict=False)]
    zones = [(0, 0), *((joint, joint + fade) for joint in joints), (length, length)]
    return [
        Cut(start, stop, zones[k], zones[k + 1])
        for k, (start, stop) in enumerate(zip(starts, stops, strict=True))
    ]


def weights_of(cut: Cut) -> Floats:
    """Share of a tile in each pixel it sees; over all tiles they add up to one: (stop - start,)."""
    place = np.arange(cut.start, cut.stop, dtype=np.float32) + 0.5
    share = np.ones(len(place), np.float32)
    for (begin, end), rising in ((cut.fade_in, True), (cut.fade_out, False)):
        ramp = (
            np.clip((place - begin) / (end - begin), 0, 1)
            if end > begin
            else (place > begin).astype(np.float32)
        )
        share *= ramp if rising else 1 - ramp
    return share


class Derainer:
    """Takes the rain out of images with one network.

    Tiles overlap and are blended; a picture of at most ``tile * tile`` pixels is not cut, and the
    result is the network's own.

    Args:
        network: As the contract in `derain.networks.network` says, or an exported file.
        name: For reports.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        dtype: ``auto`` (float32), ``float32``, ``bfloat16`` or ``float16``.
        tile: Largest side of a tile in pixels; None for the network's own, or less where memory is
            short; 0 for never cutting.
        overlap: Pixels that tiles share; None for the network's own default.
        engine: ``auto``, ``torch``, ``onnx`` or ``openvino``.
        flips: Over how many forms of a tile the result is averaged, before it is rounded: 1 takes
            the tile as it is, 2 also mirrored left to right, 4 also both of these upside down, 8
            also all four transposed. Time grows in proportion, memory does not. Transposed rain
            falls sideways, which only networks that were trained on it can remove.

    Where memory runs out, a picture is done again in tiles of half the side.

    On a CPU under Linux the process keeps the memory it frees (`derain.engines.keep_freed_memory`).

    Raises:
        ValueError: If the device is not there, tile and overlap do not go together, or flips is
            another number.
    """

    def __init__(
        self,
        network: Network | Exported,
        *,
        name: str = "",
        device: str = "auto",
        dtype: str = "auto",
        tile: int | None = None,
        overlap: int | None = None,
        engine: str = "auto",
        flips: int = 1,
    ) -> None:
        if flips not in FLIPS:
            raise ValueError(f"flips={flips}: expected one of {', '.join(map(str, FLIPS))}")
        self.flips = flips
        self.name = name or type(network).__name__
        of_network = network.tiling
        tile = _affordable(of_network, choose_device(device)) if tile is None else tile
        overlap = min(of_network.overlap, tile // 4) if overlap is None else overlap
        if tile < 0 or 0 < tile < least_tile(of_network):
            raise ValueError(
                f"--tile {tile}: expected at least {least_tile(of_network)} pixels, or 0 for whole"
                " pictures"
            )
        if overlap < 0 or overlap > tile // 4:
            raise ValueError(
                f"--overlap {overlap}: expected 0 to a quarter of the tile, here {tile // 4}"
            )
        self.tiling = replace(of_network, tile=tile, overlap=overlap)
        self.engine = make_engine(network, engine, device, dtype)

    @property
    def tile(self) -> int:
        """Largest side of a tile in pixels; 0 for never cutting."""
        return self.tiling.tile

    @property
    def overlap(self) -> int:
        """Least number of pixels that tiles share."""
        return self.tiling.overlap

    def __call__(self, image: NDArray[Any], on_tile: Progress | None = None) -> NDArray[Any]:
        """Derains one image.

        Args:
            image: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) with alpha last, which is kept as it
                is; uint8, uint16, or floats in [0, 1].
            on_tile: Called after each tile with the number done and the number of all.

        Returns:
            An array of the same shape and type, within the type's range.

        Raises:
            ValueError: For another shape or type, or floats that are no numbers.
        """
        rgb = as_rgb(image)
        while True:
            try:
                return _as_given(self._derained(rgb, on_tile), image)
            except (MemoryError, RuntimeError) as error:
                if not (is_out_of_memory(error) and self._halve_tile(rgb)):
                    raise

    def _derained(self, rgb: NDArray[Any], on_tile: Progress | None) -> NDArray[Any]:
        scale = 1.0 if rgb.dtype.kind == "f" else float(np.iinfo(rgb.dtype).max)
        clean = np.empty_like(rgb)
        for begin, rows in self._strips(rgb, scale, on_tile):
            np.clip(rows, 0, 1, out=rows)
            if scale != 1.0:
                np.rint(np.multiply(rows, scale, out=rows), out=rows)
            clean[begin : begin + len(rows)] = rows
        return clean

    def _halve_tile(self, rgb: NDArray[Any]) -> bool:
        """Smaller tiles from now on, where there is room for that; never where whole pictures were
        asked for.
        """
        tile = (
            min(self._side(*rgb.shape[:2]), self.tile) // 2
        )  # a long picture that is not cut is longer than its tile
        if self.tile == 0 or tile < least_tile(self.tiling):
            return False
        self.tiling = replace(self.tiling, tile=tile, overlap=min(self.overlap, tile // 4))
        return True

    def density(self, image: NDArray[Any]) -> RainDensity:
        """Senses how dense the rain in an image is: the mean over its tiles.

        Args:
            image: As for calling the Derainer.

        Raises:
            ValueError: If the network cannot tell, or as for calling the Derainer.
        """
        rgb = as_rgb(image)
        scale = 1.0 if rgb.dtype.kind == "f" else float(np.iinfo(rgb.dtype).max)
        side = max(self._side(*rgb.shape[:2]), MIN_DENSITY_TILE)
        places = itertools.product(*(cuts(length, side, 0) for length in rgb.shape[:2]))
        tiles = (rgb[row.start : row.stop, column.start : column.stop] for row, column in places)
        sensed = torch.cat([self.engine.density(_as_batch(tile, scale)) for tile in tiles])
        heavy, medium, light = sensed.mean(dim=0).tolist()
        return RainDensity(light, medium, heavy)

    def describe(self) -> str:
        """Tile, flips, device and number format: what belongs to a score besides its protocol."""
        tile = f"tile {self.tile}, overlap {self.overlap}" if self.tile else "whole pictures"
        flips = f", mean of {self.flips} flips" if self.flips > 1 else ""
        return f"{tile}{flips}, {self.engine.name}"

    def cut(self, height: int, width: int) -> tuple[list[Cut], list[Cut]]:
        """Rows and columns of tiles that a picture of a size is cut into."""
        side = self._side(height, width)
        return self._cuts(height, side), self._cuts(width, side)

    def tile_sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """(height, width) of every tile of a picture of a size."""
        down, across = self.cut(height, width)
        return [
            (row.stop - row.start, column.stop - column.start) for row in down for column in across
        ]

    def _side(self, height: int, width: int) -> int:
        """Of the tiles a picture is cut into; one tile if it need not be cut."""
        return max(height, width) if self.tile == 0 or height * width <= self.tile**2 else self.tile

    def _strips(
        self, rgb: NDArray[Any], scale: float, on_tile: Progress | None
    ) -> Iterator[tuple[int, Floats]]:
        """Finished rows from top to bottom, as (first row, (rows, W, 3)); no more than a row of
        tiles is held at a time.
        """
        height, width = rgb.shape[:2]
        down, across = self.cut(height, width)
        done, total = 0, len(across) * len(down)
        if total == 1:  # nothing to blend
            yield 0, self._run([rgb], scale)[0]
            if on_tile:
                on_tile(1, 1)
            return
        carried: Floats = np.zeros((0, width, 3), np.float32)
        for row in down:
            strip: Floats = np.zeros((row.stop - row.start, width, 3), np.float32)
            for column, clean in self._row(rgb[row.start : row.stop], across, scale):
                strip[:, column.start : column.stop] += clean * weights_of(column)[:, None]
                done += 1
                if on_tile:
                    on_tile(done, total)
            strip *= weights_of(row)[:, None, None]
            begin, end = row.fade_in[0], row.fade_out[0]
            strip[begin - row.start : begin - row.start + len(carried)] += carried
            yield begin, strip[begin - row.start : end - row.start]
            carried = strip[end - row.start : row.fade_out[1] - row.start]

    def _row(
        self, band: NDArray[Any], across: list[Cut], scale: float
    ) -> Iterator[tuple[Cut, Floats]]:
        """The tiles of one row, derained; several of one size at a time where the device likes
        that.
        """
        at_once = self.engine.tiles_at_once(
            len(band) * (across[0].stop - across[0].start) * self.tiling.memory
        )
        for _, equal in itertools.groupby(across, lambda cut: cut.stop - cut.start):
            columns = list(equal)
            for k in range(0, len(columns), at_once):
                some = columns[k : k + at_once]
                yield from zip(
                    some,
                    self._run([band[:, cut.start : cut.stop] for cut in some], scale),
                    strict=True,
                )

    def _cuts(self, length: int, side: int) -> list[Cut]:
        """Tiles along one axis, as few as do, and no larger than these need to be: so a pixel costs
        the same in all pictures.

        Where they see all a result depends on, they are blended over what is left, else over half.
        """
        overlap, reach, multiple = self.overlap, self.tiling.reach, self.tiling.multiple
        fade = overlap - 2 * reach if reach is not None and self.tiling.exact else overlap // 2
        count = len(cuts(length, side, overlap, fade=fade, multiple=multiple))
        if count == 1:
            return cuts(length, side, overlap, fade=fade, multiple=multiple)
        least = -(-(length + (count - 1) * (overlap + multiple - 1)) // count)
        return cuts(
            length,
            min(side, -(-least // multiple) * multiple),
            overlap,
            fade=fade,
            multiple=multiple,
        )

    def _run(self, tiles: list[NDArray[Any]], scale: float) -> list[Floats]:
        """Tiles of one size through the network: each (h, w, 3) of any type -> (h, w, 3) floats."""
        batch = torch.cat([_as_batch(tile, scale) for tile in tiles])
        return list(self._mean_of_flips(batch).permute(0, 2, 3, 1).contiguous().numpy())

    def _mean_of_flips(self, rainy: Tensor) -> Tensor:
        """What the engine makes of a batch (N, 3, H, W), averaged over its flips, one after the
        other.
        """
        if self.flips == 1:
            return self.engine(rainy)
        # The network pads to its grid at the right and below. After a flip that would be the other
        # side, and the grid would lie differently in a tile than in the whole picture; so both are
        # padded, as the network would, before they are flipped.
        height, width = rainy.shape[2:]
        right, below = (-side % self.tiling.multiple for side in (width, height))
        padded = F.pad(rainy, (0, right, 0, below), mode="replicate")
        total = torch.zeros_like(padded)
        for flip in _ORDER[: self.flips]:
            total += flip.undo(self.engine(flip.apply(padded)))
        return (total / self.flips)[..., :height, :width]


def least_tile(tiling: Tiling) -> int:
    """Smallest side of a tile that is worth it, in pixels."""
    return max(16, 4 * tiling.multiple)


def _affordable(tiling: Tiling, device: torch.device) -> int:
    """The network's own tile, or a smaller one where that would take more than half of what memory
    is free.
    """
    free, tile = free_memory(device), tiling.tile
    while (
        free is not None and tile**2 * tiling.memory > free // 2 and tile // 2 >= least_tile(tiling)
    ):
        tile //= 2
    return tile


def _as_batch(tile: NDArray[Any], scale: float) -> Tensor:
    """(h, w, 3) of any type -> (1, 3, h, w) floats in [0, 1]."""
    return (
        torch.from_numpy(np.divide(tile, np.float32(scale), dtype=np.float32))
        .permute(2, 0, 1)
        .unsqueeze(0)
    )


def as_rgb(image: NDArray[Any]) -> NDArray[Any]:
    """The three colour channels of an image of one, three or four: (H, W, 3).

    Raises:
        ValueError: For another shape or type, an empty image, or floats that are no numbers.
    """
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or channels not in (1, 3, 4) or image.size == 0:
        raise ValueError(
            f"an image of shape {image.shape}: expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4),"
            " not empty"
        )
    if image.dtype.kind != "f" and image.dtype.name not in ("uint8", "uint16"):
        raise ValueError(f"an image of {image.dtype}: expected uint8, uint16, or floats in [0, 1]")
    if image.dtype.kind == "f" and not (
        image.min() >= -FLOAT_SLACK and image.max() <= 1 + FLOAT_SLACK
    ):  # false of NaN too
        raise ValueError(
            f"an image of floats from {image.min():.3g} to {image.max():.3g}: expected them in"
            " [0, 1]"
        )
    return (
        image[..., :3]
        if channels >= 3
        else np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    )


def _as_given(clean: NDArray[Any], image: NDArray[Any]) -> NDArray[Any]:
    """Brings (H, W, 3) back to the shape of the image it was made from."""
    if image.ndim == 3 and image.shape[2] >= 3:
        return np.concatenate([clean, image[..., 3:]], axis=2) if image.shape[2] == 4 else clean
    grey = clean.mean(axis=2, dtype=np.float64)
    return (
        (grey if image.dtype.kind == "f" else np.rint(grey))
        .astype(image.dtype)
        .reshape(image.shape)
    )


def load(
    name_or_path: str | None = None,
    *,
    quality: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    tile: int | None = None,
    overlap: int | None = None,
    engine: str = "auto",
    flips: int | None = None,
) -> Derainer:
    """A Derainer from shipped weights, a file of ours, the authors' checkpoint, or an exported
    file.

    That is, ``petrichor``, ``run/best.safetensors``, or a ``.pth`` file, a TensorFlow index, a
    folder of CRDNet's parts; or what `derain export` wrote. Shipped weights that lose nothing by it
    are executed in bfloat16 where that is faster.

    Args:
        name_or_path: The weights; None for those of the quality, or for the default ones.
        quality: ``fast``, ``balanced`` or ``best``, in place of a name: shipped weights, and for
            how many flips their results are averaged (`derain.weights.QUALITIES`).
        device: As `Derainer`, and so are those that follow.
        flips: None for those of the quality, else 1.

    >>> import numpy as np
    >>> load("petrichor-live", device="cpu")(np.zeros((4, 6, 3), np.uint8)).shape
    (4, 6, 3)

    Raises:
        FileNotFoundError: If there are no such weights.
        derain.weights.WeightsError: If the file is none of a network known here.
        ValueError: As `Derainer`; if there is no such quality, or weights were named too.
    """
    chosen = _chosen(name_or_path, quality)
    if is_exported(Path(chosen.weights)):
        exported = Exported.read(Path(chosen.weights))
        network, card = exported, exported.card
    else:
        network, card = weights.find(chosen.weights)
        entry = weights.CATALOGUE.get(chosen.weights)
        if (
            dtype == "auto"
            and engine in ("auto", "torch")
            and entry
            and entry.bfloat16
            and has_bfloat16(choose_device(device))
        ):
            dtype = "bfloat16"
    return Derainer(
        network,
        name=card.name,
        device=device,
        dtype=dtype,
        tile=tile,
        overlap=overlap,
        engine=engine,
        flips=chosen.flips if flips is None else flips,
    )


def _chosen(name_or_path: str | None, quality: str | None) -> weights.Quality:
    """Weights and flips, of what was asked for by name or by quality; never by both."""
    if quality is None:
        return weights.Quality(weights.DEFAULT if name_or_path is None else name_or_path)
    chosen = weights.find_quality(quality)
    if name_or_path is not None:
        raise ValueError(
            f"--quality {quality}: chooses the model, but {name_or_path} was named too; leave one"
            " of them out"
        )
    return chosen
