"""Pictures to train on and to score on: paired folders in the common layouts, clean folders that get rain of our own.

Every random choice is a function of ``(seed, step, place in the batch)``, so that a resumed run, or one with another number of
prefetching threads, sees the same pictures.
"""

import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from derain import rain
from derain.images import SUFFIXES, Pixels, find_images, read_image

Augment = Literal["none", "flip", "dihedral"]

RAINY_FOLDERS = ("rainy", "input", "rain", "rainy_image", "rain_images")
CLEAN_FOLDERS = ("clean", "target", "norain", "gt", "groundtruth", "ground_truth")
CACHE_BYTES = 2 << 30
LONG_SIDE = 512
"""Of whole training pictures, in pixels (NLEDN, section 4.2)."""


@dataclass(frozen=True)
class Pair:
    """A rainy picture and its clean twin, named by the rainy file."""

    name: str
    rainy: Path
    clean: Path


@dataclass(frozen=True)
class PairedFolder:
    """The pairs of a dataset and how they lie on disk."""

    name: str
    layout: str
    pairs: tuple[Pair, ...]


def clean_pictures(folder: Path) -> list[Path]:
    """Picture files anywhere under a folder, img2 before img10.

    Raises:
        FileNotFoundError: If there are none.
        OSError: If a folder cannot be looked into.
    """
    found, unreadable = find_images(folder)
    if unreadable:
        raise unreadable[0]
    if not found:
        raise FileNotFoundError(f"{folder}: no pictures here; expected some in {' '.join(SUFFIXES)}")
    return found


class NoPairsError(ValueError):
    """A folder is no paired dataset at all, rather than a broken one."""


def find_pairs(folder: Path) -> PairedFolder:
    """Reads a paired dataset by looking at it.

    Recognised: two subfolders (``rainy/clean``, ``input/target``, ``rain/norain`` and their kin), where twins have the same name,
    or names that differ in a ``rain``/``norain`` word, or rainy names that add ``_1``, ``x2`` … to the clean one (many to one);
    and one flat folder of ``rain-001.png`` beside ``norain-001.png``.

    Raises:
        FileNotFoundError: If there is no such folder.
        NoPairsError: If no layout fits.
        ValueError: If a rainy picture has no twin, or two; says which.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; expected one with rainy and clean pictures")
    children = {child.name.lower(): child for child in folder.iterdir() if child.is_dir()}
    rainy_root = next((children[name] for name in RAINY_FOLDERS if name in children), None)
    clean_root = next((children[name] for name in CLEAN_FOLDERS if name in children), None)
    if rainy_root and clean_root:
        rainy_files, clean_files = clean_pictures(rainy_root), clean_pictures(clean_root)
        layout = f"{rainy_root.name}/{clean_root.name}"
    else:
        rainy_root = clean_root = folder
        files = find_images(folder)[0]
        clean_files = [path for path in files if re.match(r"(?i)no-?rain\W", path.name)]
        rainy_files = [path for path in files if re.match(r"(?i)rain\W", path.name)]
        layout = "rain-N beside norain-N"
    if not rainy_files or not clean_files:
        raise NoPairsError(
            f"{folder}: found no rainy and clean pictures; expected subfolders such as rainy/ and clean/, input/ and target/, "
            f"or rain-1.png beside norain-1.png"
        )
    pairs = _match(
        {path: path.relative_to(rainy_root) for path in rainy_files}, {p: p.relative_to(clean_root) for p in clean_files}
    )
    return PairedFolder(folder.resolve().name, layout, tuple(pairs))


def _match(rainy_files: dict[Path, Path], clean_files: dict[Path, Path]) -> list[Pair]:
    """Pairs by what names have in common, given each file's path inside its half of the dataset."""
    twins: dict[str, Path] = {}
    for path, inside in clean_files.items():
        other = twins.setdefault(_twin_key(inside), path)
        if other is not path:
            raise ValueError(f"{path} and {other}: two clean pictures of one name; expected one")
    pairs: list[Pair] = []
    for path, inside in rainy_files.items():
        key = _twin_key(inside)
        twin = twins.get(key) or twins.get(re.sub(r"(_\d+|x\d+)$", "", key))
        if twin is None:
            raise ValueError(f"{path}: no clean twin of this name; add one, or take this one away")
        pairs.append(Pair(inside.with_suffix("").as_posix(), path, twin))
    return pairs


_TWIN_WORD = r"(no-?rain|rainy?|clean|input|target|gt)"


def _twin_key(inside: Path) -> str:
    """What a rainy name and its clean twin's have in common: ``rain-007`` and ``norain-007`` give ``7``."""
    key = re.sub(rf"^{_TWIN_WORD}([-_ ]|(?=\d)|$)", "", inside.stem.lower())
    key = re.sub(rf"[-_ ]{_TWIN_WORD}$", "", key).lstrip("0") or "0"
    return (inside.parent / key).as_posix().lower()


def to_tensor(pixels: Pixels) -> Tensor:
    """(H, W, 3) uint8 or uint16 -> (3, H, W) float in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).float() / np.iinfo(pixels.dtype).max


def generator_for(*numbers: int) -> torch.Generator:
    """A CPU generator that is a function of the numbers alone, well mixed."""
    words = np.random.SeedSequence(numbers[0], spawn_key=numbers[1:]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed((int(words[0]) << 32 | int(words[1])) & (2**63 - 1))


class _PictureCache:
    """Decoded pictures by path, the longest unused dropped when they exceed `CACHE_BYTES`."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[Path, Pixels] = OrderedDict()
        self._bytes = 0

    def read(self, path: Path) -> Pixels:
        if path in self._pictures:
            self._pictures.move_to_end(path)
            return self._pictures[path]
        pixels = read_image(path)
        self._pictures[path] = pixels
        self._bytes += pixels.nbytes
        while self._bytes > CACHE_BYTES and len(self._pictures) > 1:
            self._bytes -= self._pictures.popitem(last=False)[1].nbytes
        return pixels


@dataclass(frozen=True)
class Batch:
    """Rainy and clean pictures, each (N, 3, H, W) float in [0, 1]."""

    rainy: Tensor
    clean: Tensor


class BatchSource(Protocol):
    """Where the trainer gets its batches from."""

    def __len__(self) -> int:
        """How many pictures make an epoch."""
        ...

    def batch(self, step: int, device: torch.device) -> Batch:
        """The batch of a step: the same for the same step, always."""
        ...


class PairedBatches:
    """Batches from real pairs."""

    def __init__(self, pairs: Sequence[Pair], *, batch: int, crop: int | None, augment: Augment, seed: int) -> None:
        self._pairs = pairs
        self._plan = _CropPlan(len(pairs), batch, crop, augment, seed)
        self._cache = _PictureCache()

    def __len__(self) -> int:
        return len(self._pairs)

    def batch(self, step: int, device: torch.device) -> Batch:
        rainy: list[Tensor] = []
        clean: list[Tensor] = []
        for k in range(self._plan.batch):
            index, generator = self._plan.draw(step, k)
            pair = self._pairs[index]
            both = [to_tensor(self._cache.read(path)) for path in (pair.rainy, pair.clean)]
            if both[0].shape != both[1].shape:
                raise ValueError(f"{pair.rainy} and {pair.clean}: sizes differ; expected twins of one size")
            cut = self._plan.cut(torch.cat(both).to(device), generator)
            rainy.append(cut[:3])
            clean.append(cut[3:])
        return Batch(torch.stack(rainy), torch.stack(clean))


class RainyBatches:
    """Batches from clean pictures with rain made on the fly, each crop under a preset of its own."""

    def __init__(
        self,
        pictures: Sequence[Path],
        presets: Sequence[rain.RainPreset],
        *,
        batch: int,
        crop: int | None,
        augment: Augment,
        seed: int,
    ) -> None:
        self._pictures = pictures
        self._presets = presets
        self._plan = _CropPlan(len(pictures), batch, crop, augment, seed)
        self._cache = _PictureCache()

    def __len__(self) -> int:
        return len(self._pictures)

    def batch(self, step: int, device: torch.device) -> Batch:
        rainy: list[Tensor] = []
        clean: list[Tensor] = []
        for k in range(self._plan.batch):
            index, generator = self._plan.draw(step, k)
            picture = self._plan.cut(to_tensor(self._cache.read(self._pictures[index])).to(device), generator)
            preset = self._presets[int(torch.randint(len(self._presets), (), generator=generator))]
            streaks = rain.sample(preset, (picture.shape[1], picture.shape[2]), generator, device)
            rainy.append(rain.compose(picture, streaks))
            clean.append(picture)
        return Batch(torch.stack(rainy), torch.stack(clean))


@dataclass(frozen=True)
class _CropPlan:
    """Which picture, which part of it, and which way round."""

    pictures: int
    batch: int
    crop: int | None
    augment: Augment
    seed: int

    def draw(self, step: int, k: int) -> tuple[int, torch.Generator]:
        """The k-th picture of a step: epochs are permutations of all pictures, one after the other."""
        epoch, place = divmod(step * self.batch + k, self.pictures)
        order = torch.randperm(self.pictures, generator=generator_for(self.seed, 1, epoch))
        return int(order[place]), generator_for(self.seed, 2, step, k)

    def cut(self, picture: Tensor, generator: torch.Generator) -> Tensor:
        """A random crop, or the whole with its long side at most `LONG_SIDE`, flipped and turned: (C, H, W) -> (C, h, w)."""
        picture = shrink(picture, LONG_SIDE) if self.crop is None else _random_crop(picture, self.crop, generator)
        choice = int(torch.randint(8, (), generator=generator))
        if choice & 1 and self.augment != "none":
            picture = picture.flip(2)
        if self.augment == "dihedral":
            if choice & 2:
                picture = picture.flip(1)
            if choice & 4:
                picture = picture.transpose(1, 2)
        return picture


def _random_crop(picture: Tensor, size: int, generator: torch.Generator) -> Tensor:
    short = min(picture.shape[1:])
    if short < size:
        picture = _resize(picture, size / short)
    top, left = (int(torch.randint(side - size + 1, (), generator=generator)) for side in picture.shape[1:])
    return picture[:, top : top + size, left : left + size]


def shrink(picture: Tensor, long_side: int) -> Tensor:
    """(C, H, W) with no side longer than this."""
    longest = max(picture.shape[1:])
    return picture if longest <= long_side else _resize(picture, long_side / longest)


def _resize(picture: Tensor, factor: float) -> Tensor:
    size = [max(1, -(-int(side * factor * 1000) // 1000)) for side in picture.shape[1:]]
    return F.interpolate(picture[None], size=size, mode="bicubic", antialias=True, align_corners=False)[0].clamp(0, 1)
