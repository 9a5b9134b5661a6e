"""A Derainer maps an image to an image of the same size, with memory bounded by the tile."""

import logging
import operator
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from derain import tiles, weights
from derain.arrays import Given, as_array, called, given, spelled
from derain.density import RainDensity
from derain.engines import Engine, Exported, Tiled, make_engine, open_model
from derain.engines.names import check_names, check_tile
from derain.errors import UsageError, is_out_of_memory
from derain.images import to_floats, to_levels
from derain.progress import Progress, silent
from derain.tiles import LEAST_SIDE, Float32s, Grid
from derain.weights.catalogue import check_exists

_log = logging.getLogger(__name__)

MIN_DENSITY_TILE = 128
"""Rain density is not sensed in smaller parts than this, however small the tiles."""

FLOAT_SLACK = 1e-3
"""How far floats may lie outside [0, 1] and be taken for rounding."""

FLIPS = (1, 2, 4, 8)
"""Numbers of flipped forms that a result may be averaged over."""

MOST_STRENGTH = 1.5
"""More would turn what is left of a streak into a dark one."""

ImageT = TypeVar("ImageT")
"""An array, a PIL image, a tensor, or a sequence of these."""


@dataclass(frozen=True)
class Flip:
    """One of the eight ways to lay a tile, a batch (N, C, H, W), on its own grid of pixels.

    Attributes:
        axes: Axes along which the tile is reversed: 3 mirrors it, 2 turns it upside down.
        transposed: Whether height and width change places, after that.
    """

    axes: tuple[int, ...] = ()
    transposed: bool = False

    def apply(self, batch: Float32s) -> Float32s:
        """Return the batch in this form: (N, C, H, W), or (N, C, W, H) if it is transposed."""
        flipped = np.flip(batch, self.axes)
        return flipped.swapaxes(2, 3) if self.transposed else flipped

    def undo(self, batch: Float32s) -> Float32s:
        """Return the batch that `apply` made this form of."""
        upright = batch.swapaxes(2, 3) if self.transposed else batch
        return np.flip(upright, self.axes)


_ORDER = [
    Flip(axes, transposed) for transposed in (False, True) for axes in ((), (3,), (2,), (2, 3))
]
"""All eight, so that the first two, four or eight are what `Derainer` promises."""


class Derainer:
    """Take the rain out of images with one network.

    Tiles overlap and are blended; a picture of at most ``tile * tile`` pixels is not cut, and the
    result is the network's own.

    Args:
        model: A network in PyTorch, as the contract in `derain.networks.network` says; an exported
            graph; or an engine, which then has its device and number format. PyTorch's engine takes
            a network over: it moves it to its device and puts it into evaluation mode.
        name: For reports.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``; of ONNX Runtime also ``directml``,
            ``coreml`` and ``openvino``, where it was built with them. Or a `torch.device`.
        dtype: ``auto`` (float32), ``float32``, ``bfloat16`` or ``float16``. Or a `torch.dtype`.
        tile: Largest side of a tile in pixels; None for the network's own, or less where memory is
            short; 0 for never cutting.
        overlap: Pixels that tiles share; None for the network's own default.
        engine: ``auto``, ``torch``, ``onnx`` or ``openvino``.
        flips: Over how many forms of a tile the result is averaged, before it is rounded: 1 takes
            the tile as it is, 2 also mirrored left to right, 4 also both of these upside down, 8
            also all four transposed. Time grows in proportion, memory does not. Transposed rain
            falls sideways, which only networks that were trained on it can remove.
        strength: How much of what the network removes is removed, from 0, which changes nothing,
            to 1.5, which removes half as much again.

    Where memory runs out, a picture is done again in tiles of half the side.

    With PyTorch on a CPU under Linux the process keeps the memory it frees
    (`derain.machine.keep_freed_memory`).

    Raises:
        ValueError: If the device is not there, tile and overlap do not go together, or flips or
            strength is another number.
        TypeError: If an argument is of another type.
    """

    def __init__(
        self,
        model: Engine | Tiled | Exported,
        *,
        name: str = "",
        device: object = "auto",
        dtype: object = "auto",
        tile: int | None = None,
        overlap: int | None = None,
        engine: str = "auto",
        flips: int = 1,
        strength: float = 1.0,
    ) -> None:
        tile, overlap = _as_pixels(tile, "tile"), _as_pixels(overlap, "overlap")
        self.flips, self.strength = _as_flips(flips), _as_strength(strength)
        self.engine = make_engine(
            model, spelled(engine, "engine"), spelled(device, "device"), spelled(dtype, "dtype")
        )
        self.name = name or self.engine.title
        of_network = self.engine.tiling
        if tile is None:
            tile = of_network.affordable(self.engine.free_memory())
        overlap = min(of_network.overlap, tile // 4) if overlap is None else overlap
        check_tile(tile, overlap, of_network.least_tile)
        self.tiling = replace(of_network, tile=tile, overlap=overlap)

    @property
    def tile(self) -> int:
        """Largest side of a tile in pixels; 0 for never cutting."""
        return self.tiling.tile

    @property
    def overlap(self) -> int:
        """Least number of pixels that tiles share."""
        return self.tiling.overlap

    def __repr__(self) -> str:
        return f"<Derainer {self.name}: {self.describe()}>"

    def __call__(
        self,
        image: ImageT,
        progress: Progress = silent,
        *,
        mask: object = None,
    ) -> ImageT:
        """Take the rain out of one image, or of several.

        Args:
            image: An array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) with alpha last, which is kept
                as it is; uint8, uint16, or floats in [0, 1]. Or several, (N, H, W, C). Or a PIL
                image; one of a palette, CMYK or another mode becomes RGB or RGBA. Or a tensor
                (N, C, H, W), (C, H, W) or (H, W) of uint8 or floats in [0, 1], on any device; no
                gradient goes through. Or a list or tuple of these, each of its own size.
            progress: Gets a report of "tiles" after each; of "images", if they are several.
            mask: Where to work: an array, a PIL image or a tensor of (H, W), of bool, uint8, uint16
                or floats in [0, 1]. Nothing changes where it is 0, half of what is removed is
                removed where it is half of its scale. It is for every image; None for everywhere.

        Returns:
            What was given: as many, of the same shapes and types, each within its type's range.
            Floats keep their type. Streams of frames are not read: give one at a time.

        Raises:
            ValueError: For another shape or type of pixels, floats that are no numbers, or a mask
                of another size.
            TypeError: If it is no image.
        """
        found = given(image)
        share = None if mask is None else _as_share(as_array(mask))
        if len(found.images) == 1:
            return found.back([self._array(found.images[0], share, progress)])
        results: list[NDArray[Any]] = []
        for one in found.images:
            results.append(self._array(one, share, silent))
            progress("images", len(results), len(found.images))
        return found.back(results)

    def _array(
        self, image: NDArray[Any], share: Float32s | None, progress: Progress
    ) -> NDArray[Any]:
        """Take the rain out of an array (H, W) or (H, W, C)."""
        rgb = as_rgb(image)
        if share is not None and share.shape != rgb.shape[:2]:
            raise ValueError(
                f"a mask of {share.shape[1]}x{share.shape[0]} pixels for a picture of"
                f" {rgb.shape[1]}x{rgb.shape[0]}: expected the same size"
            )
        while True:
            try:
                return _as_given(self._derained(rgb, share, progress), image)
            except (MemoryError, RuntimeError) as error:
                if not (is_out_of_memory(error) and self._halve_tile(rgb)):
                    raise

    def _derained(
        self, rgb: NDArray[Any], share: Float32s | None, progress: Progress
    ) -> NDArray[Any]:
        """(H, W, 3) -> (H, W, 3) of the same type."""
        if self.strength == 0:
            return rgb.copy()
        grid = self.grid(*rgb.shape[:2])
        at_once = self._tiles_at_once(grid)
        clean = np.empty_like(rgb)
        for begin, rows in tiles.blended(rgb, grid, self._run, progress, at_once):
            band = slice(begin, begin + len(rows))
            of_band = None if share is None else share[band]
            clean[band] = _mixed(rgb[band], rows, self.strength, of_band)
        return clean

    def at_once(self, height: int, width: int) -> int:
        """Return how many pictures of a size are worth giving to `together`.

        That is 1 on a processor, and where a picture is cut.
        """
        grid = self.grid(height, width)
        whole = len(grid.rows) * len(grid.columns) == 1
        return self._tiles_at_once(grid) if whole else 1

    def together(self, pictures: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Take the rain out of pictures of one size and type, in one batch where that is faster.

        Args:
            pictures: Each (H, W, 3), as for calling the Derainer.

        Raises:
            ValueError: As for calling the Derainer.
        """
        rgb = [as_rgb(picture) for picture in pictures]
        if len(rgb) <= 1 or self.at_once(*rgb[0].shape[:2]) < len(rgb):
            return [self._array(picture, None, silent) for picture in pictures]
        try:
            clean = self._run(rgb)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return [self._array(picture, None, silent) for picture in pictures]
        return [
            _as_given(_mixed(rainy, floats, self.strength, None), picture)
            for rainy, floats, picture in zip(rgb, clean, pictures, strict=True)
        ]

    def _tiles_at_once(self, grid: Grid) -> int:
        pixels = grid.rows[0].length * grid.columns[0].length
        return self.engine.tiles_at_once(pixels * self.tiling.memory)

    def _halve_tile(self, rgb: NDArray[Any]) -> bool:
        """Use smaller tiles from now on; return whether that is possible.

        It is not where whole pictures were asked for.
        """
        # A long picture that is not cut is longer than its tile.
        tile = min(self.tiling.side(*rgb.shape[:2]), self.tile) // 2
        if self.tile == 0 or tile < self.tiling.least_tile:
            return False
        self.tiling = replace(self.tiling, tile=tile, overlap=min(self.overlap, tile // 4))
        _log.info("out of memory: continuing with tiles of %d pixels a side", tile)
        return True

    def density(self, image: object) -> RainDensity:
        """Sense how dense the rain in an image is: the mean over its tiles.

        Args:
            image: One, as for calling the Derainer.

        Raises:
            ValueError: If the network cannot tell, or as for calling the Derainer.
        """
        rgb = as_rgb(as_array(image))
        height, width = rgb.shape[:2]
        side = max(self.tiling.side(height, width), MIN_DENSITY_TILE)
        parts = (
            rgb[row.start : row.stop, column.start : column.stop]
            for row in tiles.spans(height, side, 0)
            for column in tiles.spans(width, side, 0)
        )
        sensed = np.concatenate([self.engine.density(_as_batch([part])) for part in parts])
        heavy, medium, light = sensed.mean(axis=0).tolist()
        return RainDensity(light, medium, heavy)

    def describe(self) -> str:
        """Tile, flips, device and number format: what belongs to a score besides its protocol."""
        tile = f"tile {self.tile}, overlap {self.overlap}" if self.tile else "whole pictures"
        flips = f", mean of {self.flips} flips" if self.flips > 1 else ""
        strength = f", strength {self.strength:g}" if self.strength != 1 else ""
        return f"{tile}{flips}{strength}, {self.engine.name}"

    def grid(self, height: int, width: int) -> Grid:
        """Return the tiles that a picture of a size is cut into."""
        return tiles.grid(height, width, self.tiling)

    def _run(self, pictures: list[NDArray[Any]]) -> list[Float32s]:
        """Tiles of one size through the network: each (h, w, 3) of any type -> (h, w, 3) floats."""
        clean = self._mean_of_flips(_as_batch(pictures))  # (N, 3, h, w)
        return list(np.ascontiguousarray(clean.transpose(0, 2, 3, 1)))

    def _mean_of_flips(self, rainy: Float32s) -> Float32s:
        """Return what the engine makes of a batch (N, 3, H, W), averaged over its flips."""
        if self.flips == 1:
            return self.engine(rainy)
        # The network pads to its grid at the right and below. After a flip that would be the other
        # side, and the grid would lie differently in a tile than in the whole picture. So both are
        # padded, as the network would, before they are flipped.
        height, width = rainy.shape[2:]
        below, right = (-side % self.tiling.multiple for side in (height, width))
        padded = np.pad(rainy, ((0, 0), (0, 0), (0, below), (0, right)), mode="edge")
        total = np.zeros_like(padded)
        for flip in _ORDER[: self.flips]:
            total += flip.undo(self.engine(flip.apply(padded)))
        total /= self.flips
        return total[..., :height, :width]


def _as_batch(pictures: list[NDArray[Any]]) -> Float32s:
    """Pictures of one size, each (h, w, 3) of any type -> (N, 3, h, w) floats in [0, 1].

    In memory the channels of a pixel stay together: one picture is not copied.
    """
    floats = [to_floats(picture) for picture in pictures]
    return (floats[0][None] if len(floats) == 1 else np.stack(floats)).transpose(0, 3, 1, 2)


def _as_strength(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
        raise TypeError(f"strength={value!r}: expected a number from 0 to {MOST_STRENGTH}")
    if not 0 <= value <= MOST_STRENGTH:
        raise UsageError(f"expected 0 to {MOST_STRENGTH}", option="strength", value=value)
    return float(value)


def _as_flips(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"flips={value!r}: expected one of {', '.join(map(str, FLIPS))}")
    if value not in FLIPS:
        raise UsageError(
            f"expected one of {', '.join(map(str, FLIPS))}", option="flips", value=value
        )
    return int(value)


def _as_pixels(value: object, option: str) -> int | None:
    if value is None:
        return None
    try:
        return operator.index(value)  # pyright: ignore[reportArgumentType]
    except TypeError:
        raise TypeError(f"{option}={value!r}: expected a whole number of pixels") from None


def _as_share(mask: NDArray[Any]) -> Float32s:
    """Return a mask as floats in [0, 1], (H, W); of a colour picture the mean of its channels."""
    if mask.dtype == bool:
        mask = mask.astype(np.uint8) * np.uint8(255)
    return to_floats(as_rgb(mask)).mean(axis=2)


def _mixed(
    rainy: NDArray[Any], clean: Float32s, strength: float, share: Float32s | None
) -> NDArray[Any]:
    """Return clean rows, (h, W, 3), in the rainy ones' type; with less or more removed, or in part.

    Args:
        rainy: (h, W, 3).
        clean: (h, W, 3), in [0, 1].
        strength: How much of what was removed is removed.
        share: How much of that at each pixel: (h, W).
    """
    if strength == 1 and share is None:
        return to_levels(clean, rainy.dtype)
    before = to_floats(rainy)
    weight: Any = np.float32(strength) if share is None else (strength * share)[..., None]
    mixed = to_levels(before + weight * (clean - before), rainy.dtype)
    # To the bit: floats that came with more digits, or lie outside [0, 1] by rounding.
    return np.where(weight == 0, rainy, mixed)


def as_rgb(image: NDArray[Any]) -> NDArray[Any]:
    """Return the three colour channels of an image of one, three or four: (H, W, 3).

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
    # The comparison is false of NaN, too.
    if image.dtype.kind == "f" and not (
        image.min() >= -FLOAT_SLACK and image.max() <= 1 + FLOAT_SLACK
    ):
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
    """Bring (H, W, 3) back to the shape of the image it was made from."""
    if image.ndim == 3 and image.shape[2] >= 3:
        return np.concatenate([clean, image[..., 3:]], axis=2) if image.shape[2] == 4 else clean
    grey = clean.mean(axis=2, dtype=np.float64)
    return (
        (grey if image.dtype.kind == "f" else np.rint(grey))
        .astype(image.dtype)
        .reshape(image.shape)
    )


def load(
    name_or_path: str | os.PathLike[str] | None = None,
    *,
    quality: str | None = None,
    device: object = "auto",
    dtype: object = "auto",
    tile: int | None = None,
    overlap: int | None = None,
    engine: str = "auto",
    flips: int | None = None,
    strength: float = 1.0,
) -> Derainer:
    """Load shipped weights, a file of derain's, the authors' checkpoint, or an exported file.

    That is, ``petrichor``, ``run/best.safetensors``, or a ``.pth`` file, a TensorFlow index, a
    folder of CRDNet's parts; or what `derain export` wrote. PyTorch executes them if it is
    installed, otherwise ONNX Runtime, for which Petrichor's weights are also shipped as graphs. In
    PyTorch, shipped weights that lose nothing by it are executed in bfloat16 where that is faster.

    Args:
        name_or_path: The weights; None for those of the quality, or for the default ones.
        quality: ``fast``, ``balanced`` or ``best``, in place of a name: shipped weights, and for
            how many flips their results are averaged (`derain.weights.QUALITIES`).
        device: As `Derainer`, and so are those that follow.
        dtype: As `Derainer`.
        tile: As `Derainer`.
        overlap: As `Derainer`.
        engine: As `Derainer`.
        flips: None for those of the quality, else 1.
        strength: As `Derainer`.

    >>> import numpy as np
    >>> load("petrichor-live", device="cpu")(np.zeros((4, 6, 3), np.uint8)).shape
    (4, 6, 3)

    Raises:
        FileNotFoundError: If there are no such weights.
        derain.weights.WeightsError: If the file does not hold a known network.
        derain.extras.MissingExtraError: If what is asked for needs a package that is not installed.
        ValueError: As `Derainer`; if there is no such quality, or weights were named too.
        TypeError: If an argument is of another type.
    """
    # What can be refused is refused before the work of opening weights.
    chosen = check_asked(name_or_path, quality, device, dtype, tile, overlap, engine, strength)
    flips = _as_flips(chosen.flips if flips is None else flips)
    made, card = open_model(
        chosen.weights,
        spelled(engine, "engine"),
        spelled(device, "device"),
        spelled(dtype, "dtype"),
    )
    return Derainer(
        made,
        name=card.name,
        tile=tile,
        overlap=overlap,
        flips=flips,
        strength=strength,
    )


def check_asked(
    name_or_path: str | os.PathLike[str] | None = None,
    quality: str | None = None,
    device: object = "auto",
    dtype: object = "auto",
    tile: int | None = None,
    overlap: int | None = None,
    engine: str = "auto",
    strength: float = 1.0,
) -> weights.Quality:
    """Check arguments of `load`, as far as that can be done without loading anything.

    Returns:
        The weights, and for how many flips their results are averaged by default.

    Raises:
        FileNotFoundError: If there are no such weights.
        ValueError: If a name is not known, or a number can be meant for no network.
        TypeError: If an argument is of another type.
    """
    chosen = _chosen(_as_name(name_or_path), quality)
    check_names(spelled(engine, "engine"), spelled(device, "device"), spelled(dtype, "dtype"))
    _as_strength(strength)
    check_exists(chosen.weights)
    tile, overlap = _as_pixels(tile, "tile"), _as_pixels(overlap, "overlap")
    if tile is not None or overlap is not None:
        check_tile(tile, overlap, _least_tile(chosen.weights))
    return chosen


def _least_tile(name_or_path: str) -> int:
    """Return the smallest side of a tile, as far as that is known without loading weights."""
    row = weights.CATALOGUE.get(name_or_path)
    if row is None or not row.graph_path.is_file():
        return LEAST_SIDE
    return Exported.read(row.graph_path).facts.tiling.least_tile


def _as_name(name_or_path: object) -> str | None:
    if name_or_path is None:
        return None
    try:
        name = os.fspath(name_or_path)  # pyright: ignore[reportArgumentType, reportCallIssue]
    except TypeError:
        name = b""
    if isinstance(name, str):
        return name
    raise TypeError(
        f"{called(name_or_path)} for weights: expected a name, a path or None; Derainer takes"
        " networks"
    )


def _chosen(name_or_path: str | None, quality: str | None) -> weights.Quality:
    """Weights and flips, of what was asked for by name or by quality; never by both."""
    if quality is None:
        return weights.Quality(weights.DEFAULT if name_or_path is None else name_or_path)
    if not isinstance(quality, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"quality={quality!r}: expected one of {', '.join(weights.QUALITIES)}")
    chosen = weights.find_quality(quality)
    if name_or_path is not None:
        raise UsageError(
            f"chooses the model, but {name_or_path} was named too; leave one of them out",
            option="quality",
            value=quality,
        )
    return chosen


def restore_frames(
    frames: Iterable[ImageT],
    model: Derainer | str | os.PathLike[str] | None = "petrichor-live",
    *,
    temporal: str | int | None = 5,
    **settings: Any,
) -> Iterator[ImageT]:
    """Take the rain out of frames in order, as they come, each with the help of its neighbours.

    No more than a window of frames is held: a frame is yielded when half a window has come after
    it. A frame of another size begins a new scene.

    Args:
        frames: Images of any kind that `Derainer` takes, one at a time; they are not changed.
        model: Weights as `load` takes them, a Derainer, or None to steady frames alone.
        temporal: How many frames help each other: an odd number from 3, ``auto`` for 11, or ``off``
            or None for none. With them, floats are rounded to 16 bits.
        settings: For `load`: ``device``, ``dtype``, ``tile``, ``strength`` and others.

    Returns:
        As many frames, of the same types and shapes.

    Raises:
        ValueError: If there is neither a model nor a window, or as `load`; while iterating, as
            `Derainer`, or if several images are given for a frame.
        TypeError: As `load`; while iterating, if a frame is no image.
    """
    # Imported on call, since photographs do not need it.
    from derain.video.temporal import check_work, window_of

    window = window_of(temporal)
    check_work(window, has_model=model is not None)
    if isinstance(model, Derainer) or model is None:
        if settings:
            raise TypeError(f"{', '.join(settings)}: expected only with weights that are loaded")
        return _restored(frames, model, window)
    return _restored(frames, load(model, **settings), window)


def _restored(
    frames: Iterable[Any], derainer: Derainer | None, window: int | None
) -> Iterator[Any]:
    """Yield frames as they were given, derained and steadied."""
    from derain.video.frame import Frame
    from derain.video.temporal import TemporalFilter

    steady = TemporalFilter(window) if window else None
    waiting: deque[tuple[Given, NDArray[Any]]] = deque()
    for frame in frames:
        found = given(frame)
        if len(found.images) != 1:
            raise ValueError(f"{len(found.images)} images for a frame: expected one at a time")
        image = found.images[0]
        # What is kept until its turn is a copy: a reader may use its frame's memory again.
        clean = image.copy() if derainer is None else derainer(image)
        if steady is None:
            yield found.back([clean])
            continue
        waiting.append((found, clean))
        for one in steady.push(Frame.of_rgb(_as_levels(as_rgb(clean)))):
            yield _as_it_came(one.rgb(), *waiting.popleft())
    if steady is not None:
        for one in steady.flush():
            yield _as_it_came(one.rgb(), *waiting.popleft())


def _as_levels(rgb: NDArray[Any]) -> NDArray[Any]:
    """Return (H, W, 3) as it is, contiguous, or floats as uint16."""
    return np.ascontiguousarray(rgb if rgb.dtype.kind != "f" else to_levels(rgb, np.uint16))


def _as_it_came(rgb: NDArray[Any], found: Given, image: NDArray[Any]) -> Any:
    """Return a steadied frame, (H, W, 3), in the type and with the alpha of the derained one."""
    levels = rgb if rgb.dtype == image.dtype else to_levels(to_floats(rgb), image.dtype)
    return found.back([_as_given(levels, image)])
