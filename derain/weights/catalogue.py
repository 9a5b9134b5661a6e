"""The weights inside the package, and finding weights by name or path.

A row holds what is needed to choose; all else is on the card in the file itself (``derain weights show NAME``).
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from derain.networks import Network
from derain.weights import published, store
from derain.weights.card import Card
from derain.weights.store import WeightsError

FOLDER = Path(__file__).parent / "files"
DEFAULT = "petrichor"


@dataclass(frozen=True)
class Entry:
    """One row: weights that are in the package.

    ``bfloat16`` says that they lose under 0.05 dB in it on the pairs of Rain100L and Rain100H (`benchmarks/half_precision.py`).
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
            "1d5db807c2adf7dad329708ca047d59aee998c577568cc1bfd0dbf9c373f1047",
            bfloat16=True,
        ),
        Entry(
            "petrichor-live",
            "the same, smaller, faster",
            "23b9f07fe39ebcfcec3527fa8de0c9ccb71c423efaf5d0d288a5896a03d12220",
            bfloat16=True,
        ),
        Entry(
            "nledn",
            "NLEDN, light and heavy rain",
            "2700ac34e6146eee46aa90beee0f928c3402511ee95536ff7b3910f442806bfd",
            bfloat16=True,
        ),
        Entry(
            "nledn-rain100l",
            "light rain as in Rain100L",
            "3fcef0de3b64c884e5de442ca74b59f4d3d933395463e05feed26f8dbdab3c9b",
            bfloat16=True,
        ),
        Entry(
            "nledn-rain100h",
            "heavy rain as in Rain100H",
            "9dd2d167b56a7b771a76ad601ee4aaae58900db47356e42d14105832dc3efbb4",
            bfloat16=True,
        ),
        Entry(
            "remaen",
            "ReMAEN, light and heavy rain",
            "726e4a95c386c169ac7c07f7ab5314c6d48e4ab306b313547c9e7afa6bb93a7b",
            bfloat16=True,
        ),
        Entry("crdnet", "CRDNet, fast, tells rain density", "e9269b7eb736ac537822fa881b3254853890af405c992997748a265d8274a317"),
        Entry(
            "dpenet",
            "DPENet, light and heavy rain",
            "a9fa5acae8dd7180ca869fdc148471085cbb7c90dfafa11314b737a8192bd8de",
            bfloat16=True,
        ),
    )
}


def find(name_or_path: str) -> tuple[Network, Card]:
    """The network and card of shipped weights by name, of a file of ours (``.safetensors``), or what `published.load` reads.

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
        raise FileNotFoundError(f"{name_or_path}: no such weights; expected one of {', '.join(CATALOGUE)}, or a weights file")
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
