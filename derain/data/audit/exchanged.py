"""Notice datasets whose rainy and clean pictures are exchanged, by a few of their pairs."""

from collections.abc import Sequence

from derain.data.alignment import align, luma, rainier
from derain.data.pairs import Pair, PairedFolder, read_pair
from derain.images import Pixels

LOOKED_AT = 9
"""Pairs that vote, spread evenly over a dataset: enough for a warning."""
SURE = -3
"""Vote of a pair whose clean picture is the rainier one by all three signs.

Of 70 real pairs, 66 vote like this if they are exchanged, and none the other way. Brightness alone,
as of two exposures, gives a smaller number.
"""
SIDE = 512
"""Side in pixels of the middle part that is compared, so that large pictures take no time."""


def warning_if_exchanged(dataset: PairedFolder) -> str | None:
    """Return a warning if the clean picture is the rainier one in most of a few pairs, or None.

    Pairs that cannot be read, or do not show one scene, have no vote. `check` looks at all pairs.
    """
    votes = [vote for vote in map(_vote, _spread(dataset.pairs)) if vote]
    exchanged = votes.count(SURE)
    if exchanged * 2 <= len(votes):
        return None
    return (
        f"{dataset.name}: in {exchanged} of {len(votes)} pairs that were looked at, the clean"
        " picture is the rainier one, so rainy and clean are probably exchanged; derain data check"
        " looks at all pairs"
    )


def _spread(pairs: Sequence[Pair]) -> list[Pair]:
    count = min(LOOKED_AT, len(pairs))
    return [pairs[k * len(pairs) // count] for k in range(count)]


def _vote(pair: Pair) -> int:
    """Return by how many signs the rainy picture is the rainier one; 0 if that cannot be seen."""
    try:
        rainy, clean = (luma(_middle(pixels)) for pixels in read_pair(pair))
    except (ValueError, OSError):
        return 0
    return rainier(rainy, clean) if align(rainy, clean).verdict == "aligned" else 0


def _middle(pixels: Pixels) -> Pixels:
    top, left = (max(0, (side - SIDE) // 2) for side in pixels.shape[:2])
    return pixels[top : top + SIDE, left : left + SIDE]
