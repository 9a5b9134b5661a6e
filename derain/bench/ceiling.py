"""What the machine can do at most, and how close to it a network comes.

The ceiling is the rate of a large matrix product in the same number format. Machines are shared and
change their pace, but hardly between two turns: the network and the product take turns.
"""

import time
from collections.abc import Callable

import torch

from derain.evaluate import multiply_adds
from derain.restore import Derainer

CEILING_SIDE = 2048
"""Of the square matrices whose product is the ceiling; on GPUs four times that."""
CEILING_SECONDS = 0.5
"""How long a measurement of the ceiling takes at least."""


class Ceiling:
    """The rate of a large matrix product on a device, in operations per second.

    Each call measures it once.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        side = CEILING_SIDE * (1 if device.type == "cpu" else 4)
        self._device, self._count = device, 2 * side**3
        self._left, self._right = (
            torch.randn(side, side, device=device).to(dtype) for _ in range(2)
        )
        self()  # the first product allocates and compiles

    def __call__(self) -> float:
        """Return the rate."""
        times = 0
        seconds = 0.0
        while seconds < CEILING_SECONDS:  # a processor that has rested is faster for a moment
            seconds += seconds_of(lambda: self._left @ self._right, self._device)
            times += 1
        return times * self._count / seconds


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds that one call takes, including what it leaves to a GPU."""
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def in_turns(
    work: Callable[[], object], ceiling: Ceiling, device: torch.device, times: int
) -> dict[str, list[float]]:
    """Return the seconds of some work, and the ceiling's rate next to each.

    Returns:
        As many "seconds" as there are times, and as many rates as "ceiling".
    """
    turns = [(seconds_of(work, device), ceiling()) for _ in range(times)]
    return {"seconds": [seconds for seconds, _ in turns], "ceiling": [rate for _, rate in turns]}


def operations(derainer: Derainer, width: int, height: int) -> int | None:
    """Return the floating-point operations on a picture, two for each multiply-add.

    Those of all tiles and flips count.

    Returns:
        The number; None where the network cannot be traced.
    """
    sizes = derainer.grid(height, width).sizes
    counts = {size: multiply_adds(derainer.engine.network, size) for size in set(sizes)}
    if None in counts.values():
        return None
    return 2 * derainer.flips * sum(counts[size] or 0 for size in sizes)
