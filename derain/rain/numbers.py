"""Random numbers of rain: scalars from a CPU generator, and noise that devices compute alike."""

import math

import torch
from torch import Tensor

Range = tuple[float, float]

DRAWN_AT_ONCE = 64


def check_ranges(layer: object) -> None:
    """Check that the ranges of a layer can be drawn from.

    Args:
        layer: Its ranges are its attributes that are pairs of numbers.

    Raises:
        ValueError: If a range has another order, or goes beyond what can be drawn.
    """
    for name, bounds in vars(layer).items():
        if not isinstance(bounds, tuple) or not bounds:
            continue
        if not all(isinstance(bound, float | int) for bound in bounds):
            continue
        low, high = bounds
        least, most = _LIMITS.get(name, (0, math.inf))
        if not least <= low <= high <= most:
            upto = f" to {most:g}" if most < math.inf else " up"
            raise ValueError(
                f"{name}=({low:g}, {high:g}): expected a range from {least:g}{upto}, the smaller"
                " number first"
            )


_LIMITS = {
    "coverage": (0, 0.999),
    "angle": (-90, 90),
    "length": (0.01, math.inf),
    "width": (0.01, math.inf),
    "scale": (0.01, math.inf),
}
"""Everything else begins at 0.

Coverage of 1 would take streaks without end. Lines without length or width have no light, and
textures without size no pixels.
"""


class Draws:
    """Numbers drawn one after the other from ranges.

    Args:
        generator: A CPU generator: what comes out does not depend on where the rain is drawn.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator
        self._numbers: list[float] = []

    def unit(self) -> float:
        """Draw a number from [0, 1), uniformly."""
        if not self._numbers:
            self._numbers = torch.rand(
                DRAWN_AT_ONCE, generator=self._generator, dtype=torch.float64
            ).tolist()
        return self._numbers.pop()

    def uniform(self, bounds: Range) -> float:
        """Draw a number between the bounds, uniformly."""
        low, high = bounds
        return low + (high - low) * self.unit()

    def log_uniform(self, bounds: Range) -> float:
        """Draw a size, log-uniformly: as many between 1 and 2 pixels as between 2 and 4."""
        low, high = bounds
        return low * (high / low) ** self.unit()

    def chance(self, probability: float) -> bool:
        """Return True with a probability."""
        return self.unit() < probability

    def key(self) -> int:
        """Draw a key for `white_noise`, of 31 bits."""
        return int(self.unit() * 2**31)

    def scatter(self, n: int) -> Tensor:
        """Draw n numbers from [0, 1), uniformly: (n,)."""
        return torch.rand(n, generator=self._generator)

    def normal(self, n: int) -> Tensor:
        """Draw n normal numbers, clipped at two standard deviations: (n,)."""
        return torch.randn(n, generator=self._generator).clamp(-2, 2)


def white_noise(keys: Tensor, size: tuple[int, int]) -> Tensor:
    """Return uniform noise in [0, 1), (n,) keys -> (n, H, W).

    It is computed in integers, so that every device gives the same bits. Source: two rounds of a
    32-bit integer hash (Wellons, "Prospecting for Hash Functions", 2018: lowbias32) over the
    pixel's number.
    """
    height, width = size
    place = torch.arange(height * width, dtype=torch.int32, device=keys.device)
    x = mixed_bits(place)[None] ^ keys.to(torch.int32).view(-1, 1)
    bits = (mixed_bits(x) >> 8).bitwise_and_(0xFFFFFF)
    return bits.view(-1, height, width).float().mul_(2.0**-24)


def normal_noise(keys: Tensor, size: tuple[int, int]) -> Tensor:
    """Return normal noise, (n,) keys -> (n, H, W): the same on every device to rounding."""
    uniform = white_noise(keys, size).clamp(1e-6, 1 - 1e-6)
    return 2**0.5 * torch.erfinv(2 * uniform - 1)


def mixed_bits(x: Tensor) -> Tensor:
    """Hash int32 numbers by lowbias32, whose products wrap around.

    It makes few allocations, as it hashes every pixel of a layer.
    """
    x = x ^ (x >> 16 & 0xFFFF)
    x *= 0x7FEB352D
    x ^= (x >> 15).bitwise_and_(0x1FFFF)
    x *= 0x846CA68B - 2**32
    x ^= (x >> 16).bitwise_and_(0xFFFF)
    return x
