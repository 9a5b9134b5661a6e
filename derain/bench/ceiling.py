"""Measure the peak speed of the machine, and how close a network comes to it.

The ceiling is the rate of a large matrix product in the same number format. Machines are shared and
change their pace, but hardly between two turns: the network and the product take turns.
"""

import time
from collections.abc import Callable

from derain.engines.engine import Engine, Product
from derain.restore import Derainer

CEILING_SIDE = 2048
"""Of the square matrices whose product is the ceiling; on GPUs four times that."""
CEILING_SECONDS = 0.5
"""How long a measurement of the ceiling takes at least."""


class Ceiling:
    """The rate of a large matrix product, in operations per second; each call measures it once.

    Args:
        product: Product of two square matrices.
        side: Their side.
    """

    def __init__(self, product: Product, side: int) -> None:
        self._product, self._count = product, 2 * side**3
        self()  # the first product allocates and compiles

    @classmethod
    def of(cls, engine: Engine) -> "Ceiling | None":
        """Return the ceiling of an engine; None where it computes no such product."""
        side = CEILING_SIDE * (1 if engine.device == "cpu" else 4)
        product = engine.product(side)
        return None if product is None else cls(product, side)

    def __call__(self) -> float:
        """Return the rate."""
        times = 0
        seconds = 0.0
        while seconds < CEILING_SECONDS:  # a processor that has rested is faster for a moment
            seconds += seconds_of(self._product)
            times += 1
        return times * self._count / seconds


def seconds_of(work: Callable[[], object]) -> float:
    """Return the seconds that one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turns(
    work: Callable[[], object], ceiling: Ceiling | None, times: int
) -> dict[str, list[float]]:
    """Return the seconds of some work, and the ceiling's rate next to each.

    Returns:
        As many "seconds" as there are times, and as many rates as "ceiling" if there is one.
    """
    turns = [(seconds_of(work), ceiling() if ceiling else 0.0) for _ in range(times)]
    rates = [rate for _, rate in turns] if ceiling else []
    return {"seconds": [seconds for seconds, _ in turns], "ceiling": rates}


def operations(derainer: Derainer, width: int, height: int) -> int | None:
    """Return the floating-point operations on a picture, two for each multiply-add.

    Those of all tiles and flips count.

    Returns:
        The number; None where the network cannot be traced.
    """
    sizes = derainer.grid(height, width).sizes
    counts = {size: derainer.engine.count(*size) for size in set(sizes)}
    if None in counts.values():
        return None
    return 2 * derainer.flips * sum(counts[size] or 0 for size in sizes)
