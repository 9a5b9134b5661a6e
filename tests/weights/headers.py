"""What the headers of graphs are made of, by hand."""

from derain.tiles import Tiling
from derain.weights.facts import MACS_SIDE, Facts

FACTS = Facts(
    "Petrichor",
    Tiling(tile=1024, overlap=64, reach=75, multiple=8, memory=500),
    least_side=16,
    parameters=12,
    multiply_adds=MACS_SIDE**2 * 10,
    grows_with_area=True,
)


def encoded(number: int) -> bytes:
    """A number in groups of seven bits, lowest first."""
    groups = [number & 127]
    while number := number >> 7:
        groups[-1] |= 128
        groups.append(number & 127)
    return bytes(groups)


def text(field: int, content: bytes) -> bytes:
    """A field that holds text or another message."""
    return encoded(field << 3 | 2) + encoded(len(content)) + content
