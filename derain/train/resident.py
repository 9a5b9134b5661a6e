"""Batches that are made on one device in a few large operations.

`RainyBatches` makes one crop after the other, which suits a processor. A GPU wants few large
operations: here all training pictures lie on the device in one row of bytes, and a batch is one
gather from it under rain from `derain.rain.RainTable`. Every random number is a hash of
``(seed, step, place in the batch)``, so that a batch is the same whenever and wherever it is made.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from derain.images import read_image
from derain.rain import Compression, RainPreset, RainTable, TextureBank, compose
from derain.rain.crops import to_tensor
from derain.rain.numbers import mixed_bits, white_noise
from derain.train.bars import BAR_NUMBERS, stand_bars
from derain.train.batches import Batch, blown_factor, compress_pairs, haze

_OF_BARS = 0x2545F491
"""Keys of bars differ by it from those of all else."""


class ResidentBatches:
    """Crops of clean pictures under rain of one preset, all made on one device.

    Args:
        pictures: Bytes, (H, W, 3) each, no side shorter than a crop (`read_bytes`).
        bars: Share of crops before which upright bars stand.
        exposure: Number of stops by which each crop is made brighter or darker, at most, before it
            rains.
        blown: Share of crops whose brighter part is blown out to white, the rest veiled in haze.
        compressed: Share of pairs that are compressed as JPEG, both halves alike.

    Raises:
        ValueError: If there are no pictures, or one is smaller than a crop.
    """

    def __init__(
        self,
        pictures: Sequence[Tensor],
        preset: RainPreset,
        bank: TextureBank | None,
        device: torch.device,
        *,
        batch: int,
        crop: int,
        seed: int,
        bars: float = 0.0,
        exposure: float = 0.0,
        blown: float = 0.0,
        compressed: float = 0.0,
    ) -> None:
        if not pictures:
            raise ValueError(f"no pictures; expected at least one of {crop}x{crop} pixels")
        shortest = min(min(picture.shape[:2]) for picture in pictures)
        if shortest < crop:
            raise ValueError(
                f"the smallest picture has {shortest} pixels; expected {crop} and more"
            )
        sizes = torch.tensor([picture.shape[:2] for picture in pictures], device=device)
        self._heights, self._widths = sizes.unbind(1)
        areas = self._heights * self._widths * 3
        self._starts = areas.cumsum(0) - areas
        self._bytes = torch.cat([picture.flatten() for picture in pictures]).to(device)
        self._rain = RainTable(preset, bank, device)
        self._device = device
        self._batch, self._crop, self._seed = batch, crop, seed
        self._bars, self._exposure, self._blown = bars, exposure, blown
        self._compressed = compressed
        self._compression = Compression(device)
        self._places = torch.arange(batch, device=device)
        stream = int(np.random.SeedSequence(seed).generate_state(1, np.uint32)[0])
        self._stream = torch.tensor(stream - 2**31, dtype=torch.int32, device=device)

    def __len__(self) -> int:
        return len(self._starts)

    def batch(self, step: int, device: torch.device) -> Batch:
        """Make the batch of a step, on the device that the pictures lie on."""
        if device != self._device:
            raise ValueError(
                f"pictures lie on {self._device}; expected a batch there, not on {device}"
            )
        return self.numbered(torch.tensor(step, device=device))

    def numbered(self, step: Tensor) -> Batch:
        """Make the batch of a step whose number lies on the device.

        The processor then need not wait for the device, nor the device for the processor.
        """
        number = (step * self._batch + self._places) % 2**31
        keys = mixed_bits(number.int() ^ self._stream)
        numbers = white_noise(mixed_bits(keys), (1, 10))[:, 0]  # (N, 10)
        clean = self._expose(self._bar(self._cut(numbers), keys), numbers)
        rain = self._rain.sample(keys, (self._crop, self._crop))
        batch = Batch(compose(clean, rain), clean)
        if not self._compressed:
            return batch
        return compress_pairs(batch, self._compressed, numbers[:, 7:9], self._compression)

    def _cut(self, numbers: Tensor) -> Tensor:
        """Return a crop for each row of numbers, flipped and turned: (N, 3, crop, crop)."""
        side = self._crop
        # Which picture, and where in it.
        picture = (numbers[:, 0] * len(self)).long().clamp(max=len(self) - 1)
        height, width = self._heights[picture], self._widths[picture]
        top = (numbers[:, 1] * (height - side + 1)).long()
        left = (numbers[:, 2] * (width - side + 1)).long()
        # For each pixel of a crop, the row and column of the picture that it shows: turning
        # exchanges them, and each flip counts one of them backwards. Each is (N, crop, crop).
        flips = (numbers[:, 3] * 8).long()
        place = torch.arange(side, device=self._device)
        down, right = place.view(1, -1, 1), place.view(1, 1, -1)
        turned, upside, mirrored = ((flips >> k & 1).bool().view(-1, 1, 1) for k in (2, 1, 0))
        row, column = torch.where(turned, right, down), torch.where(turned, down, right)
        row = torch.where(upside, side - 1 - row, row) + top.view(-1, 1, 1)
        column = torch.where(mirrored, side - 1 - column, column) + left.view(-1, 1, 1)
        # One gather from the row of bytes that all pictures lie in.
        first = self._starts[picture].view(-1, 1, 1) + 3 * (row * width.view(-1, 1, 1) + column)
        channel = torch.arange(3, device=self._device).view(1, 3, 1, 1)
        return self._bytes[first.unsqueeze(1) + channel].float() / 255

    def _bar(self, clean: Tensor, keys: Tensor) -> Tensor:
        """Return crops, a share of them with bars before them."""
        if not self._bars:
            return clean
        numbers = white_noise(mixed_bits(keys ^ _OF_BARS), (1, 1 + BAR_NUMBERS))[:, 0]
        chosen = (numbers[:, 0] < self._bars).view(-1, 1, 1, 1)
        return torch.where(chosen, stand_bars(clean, numbers[:, 1:]), clean)

    def _expose(self, clean: Tensor, numbers: Tensor) -> Tensor:
        """Return crops under other exposures; values above white become white."""
        factor = torch.exp2(self._exposure * (2 * numbers[:, 4] - 1)).view(-1, 1, 1, 1)
        lit = (clean * factor).clamp(max=1)
        if not self._blown:
            return lit
        blown = (clean * blown_factor(clean, numbers[:, 6]).view(-1, 1, 1, 1)).clamp(max=1)
        chosen = (numbers[:, 5] < self._blown).view(-1, 1, 1, 1)
        return torch.where(chosen, haze(blown, numbers[:, 9]), lit)


def read_bytes(path: Path, side: int) -> Tensor:
    """Read a picture as (H, W, 3) bytes, enlarged where a side is shorter than this."""
    pixels = read_image(path)
    if pixels.dtype == np.uint8 and min(pixels.shape[:2]) >= side:
        return torch.from_numpy(np.ascontiguousarray(pixels))
    picture = to_tensor(pixels)
    factor = max(1.0, side / min(picture.shape[1:]))
    size = [max(side, round(factor * length)) for length in picture.shape[1:]]
    larger = F.interpolate(picture[None], size, mode="bicubic", antialias=True, align_corners=False)
    return (255 * larger[0].clamp(0, 1)).round().byte().permute(1, 2, 0).contiguous()
