"""The facts about a network that are needed to execute it without PyTorch."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from derain.tiles import Tiling

MACS_SIDE = 512
"""Multiply-adds are counted on a square picture of this side, in pixels."""


LARGEST = (1024, 256, 4096, 1 << 16)
"""Most pixels of a least side, a grid, an overlap and a tile; networks need a tenth of them."""


@dataclass(frozen=True)
class Facts:
    """The facts about a network besides its weights.

    Attributes:
        title: Name of its class, which is that of its paper.
        tiling: What cutting a picture does to it.
        least_side: Least side of the pictures that a graph of it takes, in pixels.
        parameters: Trained numbers.
        multiply_adds: Of a square picture with sides of `MACS_SIDE` pixels, taken whole; None where
            they cannot be counted.
        grows_with_area: Whether the multiply-adds of other pictures follow from that: attention
            over regions grows faster.
    """

    title: str
    tiling: Tiling
    least_side: int
    parameters: int
    multiply_adds: int | None = None
    grows_with_area: bool = False

    def count(self, height: int, width: int) -> int | None:
        """Return the multiply-adds of one whole picture; None where they are not known."""
        if self.multiply_adds is None or (height, width) == (MACS_SIDE, MACS_SIDE):
            return self.multiply_adds
        grid = self.tiling.multiple
        area = (height + -height % grid) * (width + -width % grid)
        return self.multiply_adds * area // MACS_SIDE**2 if self.grows_with_area else None

    def to_json(self) -> str:
        """Return the text that `from_json` reads back."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Facts":
        """Read facts.

        Raises:
            ValueError: If they are not complete, or none.
        """
        try:
            values: Any = json.loads(text)
            facts = cls(**(values | {"tiling": Tiling(**values["tiling"])}))
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(
                f"the facts about its network are not those that this version knows ({error})"
            ) from None
        tiling = facts.tiling
        numbers: tuple[Any, ...] = (facts.least_side, facts.parameters, tiling.tile, tiling.overlap)
        numbers += (tiling.memory, tiling.multiple)
        known = [number for number in (facts.multiply_adds, tiling.reach) if number is not None]
        if not all(isinstance(number, int) and number >= 0 for number in (*numbers, *known)):
            raise ValueError(f"the facts about its network are not numbers: {(*numbers, *known)}")
        sizes = (facts.least_side, tiling.multiple, tiling.overlap, tiling.tile)
        if any(size > most for size, most in zip(sizes, LARGEST, strict=True)):
            raise ValueError(
                f"the facts about its network are larger than can be: least side {sizes[0]}, grid"
                f" {sizes[1]}, overlap {sizes[2]}, tile {sizes[3]}"
            )
        if 0 < tiling.tile < tiling.least_tile:
            raise ValueError(f"the facts about its network give tiles of {tiling.tile} pixels")
        if tiling.multiple < 1 or not isinstance(facts.title, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError("the facts about its network have no title, or a grid of no pixels")
        return facts
