"""Batches to train on: crops of real pairs, or of clean pictures that get rain of our own.

Every random choice is a function of ``(seed, step, place in the batch)``, so that a resumed run, or
one with another number of prefetching threads, sees the same pictures.
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

CACHE_BYTES = 2 << 30
JPEG_QUALITIES = (30.0, 96.0)
"""Of JPEG compression, as libjpeg counts: from video of little bandwidth to careful cameras."""

LUMINANCE_STEP = 8
"""Every so many pixels are looked at where the lights of a crop are measured."""

DARKEST_LIGHT = 0.15
"""Crops are brightened at most until this grey is white."""

LEAST_CONTRAST = 0.25
"""What haze leaves of a crop's contrast at least."""

LONG_SIDE = 512
"""Of whole training pictures, in pixels (NLEDN, section 4.2)."""


class _Cache:
    """Pictures as integers on a device, the longest unused dropped when they exceed `CACHE_BYTES`;
    several threads may read.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pictures: OrderedDict[Path, Tensor] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def read(self, path: Path) -> Tensor:
        """(H, W, 3), 8 or 16 bits."""
        with self._lock:
            if path not in self._pictures:
                self._pictures[path] = torch.from_numpy(read_image(path)).to(self._device)
                self._bytes += self._pictures[path].nbytes
            self._pictures.move_to_end(path)
            picture = self._pictures[path]
            if (
                picture.is_cuda
            ):  # its memory may be given away once this stream, too, is done with it
                picture.record_stream(torch.cuda.current_stream(picture.device))
            while self._bytes > CACHE_BYTES and len(self._pictures) > 1:
                self._bytes -= self._pictures.popitem(last=False)[1].nbytes
            return picture


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
    """Batches from real pairs, which stay on the device, as integers."""

    def __init__(
        self, pairs: Sequence[Pair], *, batch: int, crop: int | None, augment: Augment, seed: int
    ) -> None:
        self._pairs = pairs
        self._plan = _CropPlan(len(pairs), batch, crop, augment, seed)
        self._caches: dict[torch.device, _Cache] = {}

    def __len__(self) -> int:
        return len(self._pairs)

    def batch(self, step: int, device: torch.device) -> Batch:
        cache = self._caches.setdefault(device, _Cache(device))
        cuts: list[Tensor] = []
        for k in range(self._plan.batch):
            index, generator = self._plan.draw(step, k)
            rainy, clean = (
                planes(picture) for picture in read_pair(self._pairs[index], cache.read)
            )
            if (
                rainy.dtype != torch.uint8 or clean.dtype != torch.uint8
            ):  # 16-bit integers have few operations
                rainy, clean = as_floats(rainy), as_floats(clean)
            cuts.append(self._plan.cut(torch.cat([rainy, clean]), generator))
        rainy, clean = torch.stack(cuts).split(3, 1)
        return Batch(rainy, clean)


def blown_factor(clean: Tensor, share: Tensor) -> Tensor:
    """Return the exposure that blows out the brighter part of each crop, (N, 3, H, W) -> (N,).

    Between three tenths and seven tenths of a crop become white, so that what is dark and thin in
    it stands before white, as branches do before a hazy sky.

    Args:
        share: How much of it, 0 to 1 between those, (N,).
    """
    grey = clean[:, :, ::LUMINANCE_STEP, ::LUMINANCE_STEP].amin(1).flatten(1).sort(1).values
    place = ((0.3 + 0.4 * share) * (grey.shape[1] - 1)).long()
    light = grey.gather(1, place.unsqueeze(1)).squeeze(1)
    return 1 / light.clamp(min=DARKEST_LIGHT)


def hazed(clean: Tensor, contrast: Tensor) -> Tensor:
    """Veil crops in white haze, (N, 3, H, W): what is far away in rain is grey before a white sky.

    Args:
        contrast: How much is left, 0 to 1 between `LEAST_CONTRAST` and all, (N,).
    """
    left = LEAST_CONTRAST + (1 - LEAST_CONTRAST) * contrast
    return 1 - (1 - clean) * left.view(-1, 1, 1, 1)


def compressed(batch: Batch, share: float, numbers: Tensor, compression: rain.Compression) -> Batch:
    """Compress a share of the pairs, both halves alike: a network is to take out rain, not
    compression.

    Args:
        numbers: Uniform in [0, 1), (N, 2): whether a pair is compressed, and how well.
    """
    low, high = JPEG_QUALITIES
    quality = (low + (high - low) * numbers[:, 1]).floor()
    chosen = numbers[:, 0] < share
    if chosen.device.type != "cpu":  # counting would wait for a GPU
        halves = (batch.rainy, batch.clean)
        return Batch(
            *(
                torch.where(chosen.view(-1, 1, 1, 1), compression(half, quality), half)
                for half in halves
            )
        )
    both = torch.stack([batch.rainy, batch.clean], 1)  # (N, 2, 3, H, W)
    both[chosen] = compression(
        both[chosen].flatten(0, 1), quality[chosen].repeat_interleave(2)
    ).unflatten(0, (-1, 2))
    return Batch(both[:, 0], both[:, 1])


class RainyBatches:
    """Batches from clean pictures with rain made on the fly, each crop under a preset of its own.

    Pictures stay on the device, as integers; what is cut, rained on and stacked never leaves it.

    Args:
        exposure: By up to how many stops each crop is made brighter or darker before it rains; what
            passes white is white.
        blown: Share of crops whose brighter part is blown out to white instead, the rest veiled in
            haze, as are skies behind the leaves of trees in the rain.
        compressed: Share of pairs that are compressed as JPEG, both halves at one quality of
            `JPEG_QUALITIES`.
        bank: What layers of textures are cut from; without it they are drawn.
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
        exposure: float = 0.0,
        blown: float = 0.0,
        compressed: float = 0.0,
        bank: rain.TextureBank | None = None,
    ) -> None:
        self._pictures = pictures
        self._presets = presets
        self._exposure = exposure
        self._blown = blown
        self._compressed = compressed
        self._bank = bank
        self._plan = _CropPlan(len(pictures), batch, crop, augment, seed)
        self._caches: dict[torch.device, _Cache] = {}
        self._compressions: dict[torch.device, rain.Compression] = {}

    def __len__(self) -> int:
        return len(self._pictures)

    @property
    def textured(self) -> bool:
        """Whether layers of textures are cut from some."""
        return self._bank is not None

    def batch(self, step: int, device: torch.device) -> Batch:
        cache = self._caches.setdefault(device, _Cache(device))
        pictures: list[Tensor] = []
        presets: list[rain.RainPreset] = []
        generators: list[torch.Generator] = []
        for k in range(self._plan.batch):
            index, generator = self._plan.draw(step, k)
            cut = self._plan.cut(planes(cache.read(self._pictures[index])), generator)
            pictures.append(self._lit(cut, generator))
            presets.append(
                self._presets[int(torch.randint(len(self._presets), (), generator=generator))]
            )
            generators.append(generator)
        clean = torch.stack(pictures)
        streaks = rain.sample_batch(
            presets, (clean.shape[2], clean.shape[3]), generators, device, self._bank
        )
        batch = Batch(rain.compose(clean, streaks), clean)
        if not self._compressed:
            return batch
        numbers = torch.stack([torch.rand(2, generator=generator) for generator in generators]).to(
            device
        )
        if device not in self._compressions:
            self._compressions[device] = rain.Compression(device)
        return compressed(batch, self._compressed, numbers, self._compressions[device])

    def _lit(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Expose a crop anew, (3, H, W); what passes white is white."""
        if not (self._exposure or self._blown):
            return clean
        factor: float | Tensor = 1.0
        if self._exposure:
            factor = 2 ** ((2 * float(torch.rand((), generator=generator)) - 1) * self._exposure)
        if not (self._blown and float(torch.rand((), generator=generator)) < self._blown):
            return (clean * factor).clamp(max=1)
        share, contrast = torch.rand(2, 1, generator=generator).to(clean.device)
        return hazed((clean * blown_factor(clean[None], share)).clamp(max=1)[None], contrast)[0]


@dataclass(frozen=True)
class _CropPlan:
    """Which picture, which part of it, and which way round."""

    pictures: int
    batch: int
    crop: int | None
    augment: Augment
    seed: int

    def draw(self, step: int, k: int) -> tuple[int, torch.Generator]:
        """The k-th picture of a step: epochs are permutations of all pictures, one after the
        other.
        """
        epoch, place = divmod(step * self.batch + k, self.pictures)
        order = torch.randperm(self.pictures, generator=generator_for(self.seed, 1, epoch))
        return int(order[place]), generator_for(self.seed, 2, step, k)

    def cut(self, picture: Tensor, generator: torch.Generator) -> Tensor:
        """A random crop, or the whole no longer than `LONG_SIDE`, flipped and turned: (C, H, W) ->
        floats (C, h, w).
        """
        picture = (
            shrink(picture, LONG_SIDE)
            if self.crop is None
            else random_crop(picture, self.crop, generator)
        )
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
