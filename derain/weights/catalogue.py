"""The weights inside the package, and finding weights by name or path.

A row holds what is needed to choose; all else is on the card in the file itself (``derain weights
show NAME``).
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from derain.errors import UsageError
from derain.networks import Network
from derain.weights import published, store
from derain.weights.card import Card
from derain.weights.store import WeightsError

FOLDER = Path(__file__).parent / "files"
DEFAULT = "petrichor"


@dataclass(frozen=True)
class Entry:
    """One row: weights that are in the package.

    ``bfloat16`` says that they lose under 0.05 dB in it on the pairs of Rain100L and Rain100H
    (`benchmarks/quality/half_precision.py`).
    """

    name: str
    summary: str
    sha256: str
    bfloat16: bool = False

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.safetensors"


CATALOGUE: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            "petrichor",
            "light and heavy rain, fast",
            "beb54f5f319f67a3cc065c00c28c59a9d87adb5d321fb2878da5fb6fc33603df",
            bfloat16=True,
        ),
        Entry(
            "petrichor-live",
            "the same, smaller, faster",
            "bfa35e428164e3d2f37ed8ec2b593ff81862dad37f1708253e74be5903ed0402",
            bfloat16=True,
        ),
        Entry(
            "petrichor-deep",
            "the same, deeper, for quality",
            "f45c767f62927b6a9074425658f7c2eee8b59c2d745bb2598c1e3cdc36a1f6bb",
            bfloat16=True,
        ),
        Entry(
            "nledn",
            "NLEDN, light and heavy rain",
            "5b744c80d3f5337f6a4c3733737ab6863416926730a5c6588b04534ea23be73e",
            bfloat16=True,
        ),
        Entry(
            "remaen",
            "ReMAEN, light and heavy rain",
            "9f24831e534f503191adb3a9c2401373d836a8f012d4095370d8fdd44bf25d87",
            bfloat16=True,
        ),
        Entry(
            "crdnet",
            "CRDNet, fast, tells rain density",
            "d760be76060376ca89477806ff7a44da2fe021eb57db07fe4eec683a0b0d762f",
        ),
        Entry(
            "dpenet",
            "DPENet, light and heavy rain",
            "a9fa5acae8dd7180ca869fdc148471085cbb7c90dfafa11314b737a8192bd8de",
            bfloat16=True,
        ),
        Entry(
            "dpenet-rain100h",
            "DPENet, heavy rain as in Rain100H",
            "cca69c2fc8b1425654cdea726294142a7af174a68c925755a64dbe8ce2ff48a1",
            bfloat16=True,
        ),
    )
}

RETIRED: dict[str, str] = {
    "nledn-rain100l": "nledn",
    "nledn-rain100h": "nledn",
    "remaen-rain100l": "remaen",
    "remaen-rain100h": "remaen",
    "crdnet-rain100l": "crdnet",
    "crdnet-rain100h": "crdnet",
    "dpenet-rain100l": "dpenet",
}
"""Weights that the package no longer holds, by name, and the weights to use instead.

Specialised weights are retired unless they beat the general weights of their network by 0.3 dB on
their own rain and are nowhere worse than the rainy input (docs/results.md).
"""


@dataclass(frozen=True)
class Quality:
    """What somebody gets who asks for a quality rather than for weights by name.

    Attributes:
        weights: Their name in the catalogue.
        flips: How many flips of a picture results are averaged over (`derain.Derainer`): as many as
            bring at least 0.1 dB for each doubling of the time, in the mean over datasets
            (`benchmarks/quality/flips.py`).
    """

    weights: str
    flips: int = 1


QUALITIES: dict[str, Quality] = {
    "fast": Quality("petrichor-live"),
    "balanced": Quality(DEFAULT),
    "best": Quality("petrichor-deep", flips=2),
}
"""From the fastest to the best."""


def find_quality(name: str) -> Quality:
    """Return what a quality stands for.

    Raises:
        ValueError: If there is none of the name.
    """
    if name not in QUALITIES:
        raise UsageError(f"expected one of {', '.join(QUALITIES)}", option="quality", value=name)
    return QUALITIES[name]


def find(name_or_path: str) -> tuple[Network, Card]:
    """The network and card of shipped weights by name, of a file of ours (``.safetensors``), or
    what `published.load` reads.

    Raises:
        FileNotFoundError: If it is neither a name of the catalogue nor a file.
        WeightsError: If the file is not one of these.
    """
    if name_or_path in CATALOGUE:
        entry = CATALOGUE[name_or_path]
        check(entry)
        return store.load(entry.path)
    path = Path(name_or_path)
    if published.is_checkpoint(path):
        return published.load(path)
    if not path.exists():
        if name_or_path in RETIRED:
            raise FileNotFoundError(
                f"{name_or_path}: these weights were retired and are no longer in the package; "
                f"use {RETIRED[name_or_path]} instead"
            )
        raise FileNotFoundError(
            f"{name_or_path}: no such weights; expected one of {', '.join(CATALOGUE)}, or a weights"
            " file"
        )
    if path.suffix == ".safetensors":
        return store.load(path)
    return published.load(path)


def find_card(name_or_path: str) -> Card:
    """As `find`, but only the card."""
    if name_or_path in CATALOGUE:
        return store.read_card(CATALOGUE[name_or_path].path)
    if name_or_path.endswith(".safetensors"):
        return store.read_card(Path(name_or_path))
    return find(name_or_path)[1]


def sha256(path: Path) -> str:
    """Hash of a file, as the catalogue lists it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check(entry: Entry) -> None:
    """Holds a shipped file against its row.

    Raises:
        WeightsError: If it is another file.
    """
    if sha256(entry.path) != entry.sha256:
        raise WeightsError(f"{entry.path}: not the file the catalogue lists; install derain again")
