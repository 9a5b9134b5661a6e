"""What the papers print for their own networks."""

import re
from dataclasses import dataclass

from derain.metrics import Protocol


@dataclass(frozen=True)
class PaperScore:
    """What a paper prints for its own network; the digits are as printed.

    Attributes:
        aliases: How folders of the dataset are called; a name that begins so is taken for the
            dataset, or a part of it.
        protocol: The closest to how the authors measured.
    """

    network: str
    dataset: str
    aliases: tuple[str, ...]
    protocol: Protocol
    psnr: str
    ssim: str


_RAIN1200 = ("Rain1200", ("rain1200", "did-mdn", "didmdn"))
_RAIN1400 = ("Rain1400", ("rain1400", "ddn"))
_RAIN100L, _RAIN100H, _RAIN800 = (
    ("Rain100L", ("rain100l",)),
    ("Rain100H", ("rain100h",)),
    ("Rain800", ("rain800",)),
)

PAPER_SCORES = (
    PaperScore("NLEDN", *_RAIN100L, "y-pil", "36.57", "0.9747"),  # ACM MM 2018, Table 1
    PaperScore("NLEDN", *_RAIN100H, "y-pil", "30.38", "0.8939"),
    PaperScore("NLEDN", *_RAIN1200, "y-pil", "33.16", "0.9192"),
    PaperScore("NLEDN", *_RAIN1400, "y-pil", "29.79", "0.8976"),
    PaperScore("ReMAEN", *_RAIN100L, "rgb", "37.80", "0.982"),  # the authors' README
    PaperScore("ReMAEN", *_RAIN100H, "rgb", "28.97", "0.884"),
    PaperScore("ReMAEN", *_RAIN800, "rgb", "26.86", "0.854"),
    PaperScore("ReMAEN", *_RAIN1200, "rgb", "32.50", "0.911"),
    PaperScore("ReMAEN", *_RAIN1400, "rgb", "32.31", "0.916"),
)


def paper_score(network: str, dataset: str) -> PaperScore | None:
    """What the paper of a network (``NLEDN``) prints for a dataset, told by how its name begins;
    None if nothing.
    """
    for entry in PAPER_SCORES:
        begins = any(
            re.match(rf"{re.escape(alias)}(?![a-z0-9])", dataset.lower()) for alias in entry.aliases
        )
        if entry.network == network and begins:
            return entry
    return None
