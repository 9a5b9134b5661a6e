"""Batches to train on: crops of real pairs, or of clean pictures under synthetic rain.

Every random choice is a function of ``(seed, step, place in the batch)``, so that a resumed run, or
one with another number of prefetching threads, sees the same pictures. So do several processes
together: each makes some places of every batch.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from derain import rain
from derain.data.pairs import Pair, read_pair
from derain.images import read_image
from derain.rain.crops import as_floats, generator_for, planes, random_crop, shrink
from derain.recipes import Augment
from derain.train.bars import BAR_NUMBERS, stand_bars

CACHE_BYTES = 2 << 30
JPEG_QUALITIES = (30.0, 96.0)
"""Range of JPEG qualities on libjpeg's scale: low-bandwidth video to careful cameras."""

LUMINANCE_STEP = 8
"""Distance in pixels of the samples by which the lights of a crop are measured."""

DARKEST_LIGHT = 0.15
"""Darkest grey that may be exposed until it is white; darker crops are brightened as much."""

LEAST_CONTRAST = 0.25
"""Least share of a crop's contrast that haze leaves."""

LONG_SIDE = 512
"""Longest side of whole training pictures, in pixels (NLEDN, section 4.2)."""


@dataclass(frozen=True)
class Batch:
    """Rainy and clean pictures, each (N, 3, H, W) float in [0, 1]."""

    rainy: Tensor
    clean: Tensor


class BatchSource(Protocol):
    """A source of batches for the trainer."""

    def __len__(self) -> int:
        """Return how many pictures make an epoch."""
        ...

    def batch(self, step: int, device: torch.device) -> Batch:
        """Return the batch of a step, which is the same whenever it is asked for."""
        ...


class PairedBatches:
    """Batches from real pairs, which stay on the device, as integers.

    Args:
        places: Places of the batch that are made; None for all.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        *,
        batch: int,
        crop: int | None,
        augment: Augment,
        seed: int,
        places: range | None = None,
    ) -> None:
        self._pairs = pairs
        self._plan = _CropPlan(len(pairs), batch, crop, augment, seed)
        self._places = range(batch) if places is None else places
        self._caches: dict[torch.device, _Cache] = {}

    def __len__(self) -> int:
        return len(self._pairs)

    def batch(self, step: int, device: torch.device) -> Batch:
        """Return the batch of a step, on a device."""
        cache = self._caches.setdefault(device, _Cache(device))
        crops: list[Tensor] = []
        for k in self._places:
            index, generator = self._plan.draw(step, k)
            halves = [planes(picture) for picture in read_pair(self._pairs[index], cache.read)]
            if any(half.dtype != torch.uint8 for half in halves):
                # PyTorch has few operations for 16-bit integers, and cat wants one type.
                halves = [as_floats(half) for half in halves]
            # Both halves are cut as one picture of six channels, so that they stay aligned.
            crops.append(self._plan.cut(torch.cat(halves), generator))
        rainy, clean = torch.stack(crops).split(3, 1)  # (N, 6, h, w) -> twice (N, 3, h, w)
        return Batch(rainy, clean)


class RainyBatches:
    """Batches from clean pictures with rain made on the fly, each crop under a preset of its own.

    Pictures stay on the device, as integers; crops and rain are made there too.

    Args:
        bars: Share of crops before which upright bars stand, as those of railings and fences.
        exposure: Number of stops by which each crop is made brighter or darker, at most, before it
            rains; values above white become white.
        blown: Share of crops whose brighter part is blown out to white instead, and the rest veiled
            in haze, as skies are behind the leaves of trees in the rain.
        compressed: Share of pairs that are compressed as JPEG, both halves at one quality of
            `JPEG_QUALITIES`.
        bank: Textures that layers of textures are cut from; without it these layers are drawn.
        places: Places of the batch that are made; None for all.
    """

    def __init__(
        self,
        pictures: Sequence[Path],
        presets: Sequence[rain.RainPreset],
        *,
        batch: int,
        crop: int | None,
        augment: Augment,
        seed: int,
        bars: float = 0.0,
        exposure: float = 0.0,
        blown: float = 0.0,
        compressed: float = 0.0,
        bank: rain.TextureBank | None = None,
        places: range | None = None,
    ) -> None:
        self._pictures = pictures
        self._presets = presets
        self._bars = bars
        self._exposure = exposure
        self._blown = blown
        self._compressed = compressed
        self._bank = bank
        self._plan = _CropPlan(len(pictures), batch, crop, augment, seed)
        self._places = range(batch) if places is None else places
        self._caches: dict[torch.device, _Cache] = {}
        self._compressions: dict[torch.device, rain.Compression] = {}

    def __len__(self) -> int:
        return len(self._pictures)

    @property
    def textured(self) -> bool:
        """Whether there are textures to cut layers from."""
        return self._bank is not None

    def batch(self, step: int, device: torch.device) -> Batch:
        """Return the batch of a step, made on a device."""
        cache = self._caches.setdefault(device, _Cache(device))
        crops: list[Tensor] = []
        presets: list[rain.RainPreset] = []
        generators: list[torch.Generator] = []
        # Each crop draws all its numbers from a generator of its own. The order of the draws is
        # part of what a seed means: another order is another training run.
        for k in self._places:
            index, generator = self._plan.draw(step, k)
            crop = self._plan.cut(planes(cache.read(self._pictures[index])), generator)
            crops.append(self._expose(self._bar(crop, generator), generator))
            choice = int(torch.randint(len(self._presets), (), generator=generator))
            presets.append(self._presets[choice])
            generators.append(generator)
        clean = torch.stack(crops)  # (N, 3, h, w)
        size = (clean.shape[2], clean.shape[3])
        drops = rain.sample_batch(presets, size, generators, device, self._bank)
        batch = Batch(rain.compose(clean, drops), clean)
        if not self._compressed:
            return batch
        numbers = torch.stack([torch.rand(2, generator=generator) for generator in generators])
        if device not in self._compressions:
            self._compressions[device] = rain.Compression(device)
        compression = self._compressions[device]
        return compress_pairs(batch, self._compressed, numbers.to(device), compression)

    def _bar(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Return a crop of (3, H, W), a share of them with bars before it."""
        if not (self._bars and float(torch.rand((), generator=generator)) < self._bars):
            return clean
        numbers = torch.rand(1, BAR_NUMBERS, generator=generator)
        return stand_bars(clean[None], numbers.to(clean.device))[0]

    def _expose(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Return a crop of (3, H, W) under another exposure; values above white become white."""
        if not (self._exposure or self._blown):
            return clean
        factor: float | Tensor = 1.0
        if self._exposure:
            factor = 2 ** ((2 * float(torch.rand((), generator=generator)) - 1) * self._exposure)
        if not (self._blown and float(torch.rand((), generator=generator)) < self._blown):
            return (clean * factor).clamp(max=1)
        share, contrast = torch.rand(2, 1, generator=generator).to(clean.device)
        blown = (clean * blown_factor(clean[None], share)).clamp(max=1)
        return haze(blown[None], contrast)[0]


def blown_factor(clean: Tensor, share: Tensor) -> Tensor:
    """Return the exposure that blows out the brighter part of each crop, (N, 3, H, W) -> (N,).

    Between three tenths and seven tenths of a crop become white, so that what is dark and thin in
    it stands before white, as branches do before a hazy sky.

    Args:
        clean: Crops in [0, 1].
        share: Numbers in [0, 1], (N,), that choose between these tenths.
    """
    grey = clean[:, :, ::LUMINANCE_STEP, ::LUMINANCE_STEP].amin(1).flatten(1).sort(1).values
    place = ((0.3 + 0.4 * share) * (grey.shape[1] - 1)).long()
    light = grey.gather(1, place.unsqueeze(1)).squeeze(1)
    return 1 / light.clamp(min=DARKEST_LIGHT)


def haze(clean: Tensor, contrast: Tensor) -> Tensor:
    """Return crops of (N, 3, H, W) veiled in white haze.

    Distant things in rain are grey before a white sky.

    Args:
        clean: Crops in [0, 1].
        contrast: Numbers in [0, 1], (N,): the share of contrast that is left, between
            `LEAST_CONTRAST` and all of it.
    """
    left = LEAST_CONTRAST + (1 - LEAST_CONTRAST) * contrast
    return 1 - (1 - clean) * left.view(-1, 1, 1, 1)


def compress_pairs(
    batch: Batch, share: float, numbers: Tensor, compression: rain.Compression
) -> Batch:
    """Return a batch with a share of its pairs compressed as JPEG.

    Both halves of a pair are compressed alike, because a network should remove rain, not
    compression.

    Args:
        batch: The pairs.
        share: Share of pairs to compress, in [0, 1].
        numbers: Uniform in [0, 1), (N, 2): the first chooses whether a pair is compressed, the
            second at which quality.
        compression: Settings of the compression.
    """
    low, high = JPEG_QUALITIES
    quality = (low + (high - low) * numbers[:, 1]).floor()
    chosen = numbers[:, 0] < share
    if chosen.device.type != "cpu":
        # Selecting pairs would count them first, and so wait for the GPU: compress all of them.
        where = chosen.view(-1, 1, 1, 1)
        rainy, clean = (
            torch.where(where, compression(half, quality), half)
            for half in (batch.rainy, batch.clean)
        )
        return Batch(rainy, clean)
    both = torch.stack([batch.rainy, batch.clean], 1)  # (N, 2, 3, H, W)
    pictures = both[chosen].flatten(0, 1)  # (2 * chosen, 3, H, W)
    pictures = compression(pictures, quality[chosen].repeat_interleave(2))
    both[chosen] = pictures.unflatten(0, (-1, 2))
    return Batch(both[:, 0], both[:, 1])


@dataclass(frozen=True)
class _CropPlan:
    """Which picture each place of a batch shows, which part of it, and how it is flipped."""

    pictures: int
    batch: int
    crop: int | None
    augment: Augment
    seed: int

    def draw(self, step: int, k: int) -> tuple[int, torch.Generator]:
        """Return the index of the k-th picture of a step, and a generator for its crop.

        Epochs are permutations of all pictures, one after the other.
        """
        epoch, place = divmod(step * self.batch + k, self.pictures)
        order = torch.randperm(self.pictures, generator=generator_for(self.seed, 1, epoch))
        return int(order[place]), generator_for(self.seed, 2, step, k)

    def cut(self, picture: Tensor, generator: torch.Generator) -> Tensor:
        """Return a random crop of (C, H, W), flipped and turned, as floats (C, h, w) in [0, 1].

        Without a size of crops it is the whole picture, no side longer than `LONG_SIDE`.
        """
        if self.crop is None:
            picture = shrink(picture, LONG_SIDE)
        else:
            picture = random_crop(picture, self.crop, generator)
        picture = as_floats(picture)
        choice = int(torch.randint(8, (), generator=generator))
        if choice & 1 and self.augment != "none":
            picture = picture.flip(2)
        if self.augment == "dihedral":
            if choice & 2:
                picture = picture.flip(1)
            if choice & 4:
                picture = picture.transpose(1, 2)
        return picture


class _Cache:
    """Pictures as integers on a device; several threads may read from it.

    When they exceed `CACHE_BYTES`, those that were not used for longest are dropped.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pictures: OrderedDict[Path, Tensor] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def read(self, path: Path) -> Tensor:
        """Return a picture, (H, W, 3) of 8 or 16 bits."""
        with self._lock:
            if path not in self._pictures:
                self._pictures[path] = torch.from_numpy(read_image(path)).to(self._device)
                self._bytes += self._pictures[path].nbytes
            self._pictures.move_to_end(path)
            picture = self._pictures[path]
            if picture.is_cuda:
                # The cache may drop it while this stream still reads: keep its memory until then.
                picture.record_stream(torch.cuda.current_stream(picture.device))
            while self._bytes > CACHE_BYTES and len(self._pictures) > 1:
                self._bytes -= self._pictures.popitem(last=False)[1].nbytes
            return picture
