"""Scores that the papers print for their own networks."""

import re
from dataclasses import dataclass

from derain.metrics import Protocol


@dataclass(frozen=True)
class PaperScore:
    """A score that a paper prints for its own network, with the digits as printed.

    Attributes:
        network: Class of the network.
        dataset: Name of the dataset.
        aliases: What folders of the dataset are called; one whose name begins so is taken for the
            dataset, or a part of it.
        protocol: The closest to how the authors measured.
        psnr: In dB.
        ssim: Of 1.
    """

    network: str
    dataset: str
    aliases: tuple[str, ...]
    protocol: Protocol
    psnr: str
    ssim: str


_RAIN100L = ("Rain100L", ("rain100l",))
_RAIN100H = ("Rain100H", ("rain100h",))
_RAIN800 = ("Rain800", ("rain800",))
_RAIN1200 = ("Rain1200", ("rain1200", "did-mdn", "didmdn"))
_RAIN1400 = ("Rain1400", ("rain1400", "ddn"))

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
    """Return what the paper of a network prints for a dataset.

    Args:
        network: Name of the class, such as ``NLEDN``.
        dataset: Name of its folder; how it begins decides.

    Returns:
        The figures; None if the paper prints no such thing.
    """
    name = dataset.lower()
    for score in PAPER_SCORES:
        if score.network == network and any(_begins(name, alias) for alias in score.aliases):
            return score
    return None


def _begins(name: str, alias: str) -> bool:
    """Return whether a name begins with an alias as a word: ``rain100l-dev``, not ``rain100lx``."""
    return re.match(rf"{re.escape(alias)}(?![a-z0-9])", name) is not None
