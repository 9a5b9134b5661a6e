"""The weights inside the package.

``catalogue.json`` lists them. A row holds what is needed to choose; all else is on the card in the
file itself (``derain weights show NAME``).
"""

import itertools
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from derain.errors import UnknownNameError, UsageError, closest, did_you_mean
from derain.files import file_digest, is_litter, write_file
from derain.weights.checkpoints import is_checkpoint
from derain.weights.header import WeightsError

FOLDER = Path(__file__).parent / "files"
TABLE = Path(__file__).parent / "catalogue.json"
DEFAULT = "petrichor"


@dataclass(frozen=True)
class ShippedWeights:
    """A row of the catalogue: weights that are in the package.

    Attributes:
        name: As ``derain -m`` takes it, and of the file.
        summary: What they are for, in a few words.
        sha256: Of the file, in hexadecimal.
        bfloat16: Whether they lose under 0.05 dB in it on the pairs of Rain100L and Rain100H
            (`benchmarks/quality/half_precision.py`).
        graph: SHA-256 of the ONNX graph beside them, which is how they are executed without
            PyTorch; empty where there is none.
        advice: Who should take them, in a few words.
    """

    name: str
    summary: str
    sha256: str
    bfloat16: bool = False
    graph: str = ""
    advice: str = ""

    @property
    def path(self) -> Path:
        """The file that holds them."""
        return FOLDER / f"{self.name}.safetensors"

    @property
    def graph_path(self) -> Path:
        """The graph, whose weights are those in `path`."""
        return self.path.with_suffix(".onnx")


def read_rows(table: Path) -> dict[str, ShippedWeights]:
    """Return the rows of a catalogue by name, in its order.

    Raises:
        OSError: If it cannot be read.
    """
    return _rows(_content(table))


def _rows(content: dict[str, Any]) -> dict[str, ShippedWeights]:
    rows = [ShippedWeights(**row) for row in content["weights"]]
    return {row.name: row for row in rows}


def replace_row(table: Path, row: ShippedWeights) -> None:
    """Put a row in place of the one of its name; other rows and the order stay.

    The table is read just before it is written, so that rows which others changed in the meantime
    are kept.

    Raises:
        ValueError: If there is no row of the name.
        OSError: If the table cannot be read or written; it is then as it was.
    """
    content = _content(table)
    names = [other["name"] for other in content["weights"]]
    if row.name not in names:
        raise ValueError(f"{table}: no row of {row.name}; expected one of {', '.join(names)}")
    content["weights"][names.index(row.name)] = asdict(row)
    write_file(table, f"{json.dumps(content, indent=2, ensure_ascii=False)}\n".encode())


@dataclass(frozen=True)
class Cost:
    """The cost of weights, which does not depend on their training.

    Attributes:
        parameters: Trained numbers.
        torch: Seconds for a megapixel in PyTorch on a CPU, in float32.
        onnx: The same in ONNX Runtime; None where no graph is shipped.
    """

    parameters: int
    torch: float
    onnx: float | None = None


def replace_costs(table: Path, costs: Mapping[str, Cost], measured: str) -> None:
    """Put other costs into a catalogue; all else stays.

    Args:
        table: The catalogue.
        costs: By name of the weights.
        measured: On what, and how.

    Raises:
        OSError: If the table cannot be read or written; it is then as it was.
    """
    content = _content(table)
    figures = {name: asdict(cost) for name, cost in costs.items()}
    content["costs"] = {"measured": measured, "figures": figures}
    write_file(table, f"{json.dumps(content, indent=2, ensure_ascii=False)}\n".encode())


def _content(table: Path) -> dict[str, Any]:
    return json.loads(table.read_text(encoding="utf-8"))


_SHIPPED = _content(TABLE)

CATALOGUE: dict[str, ShippedWeights] = _rows(_SHIPPED)
"""The weights that are in the package, by name."""

COSTS: dict[str, Cost] = {
    name: Cost(**figures) for name, figures in _SHIPPED["costs"]["figures"].items()
}
"""What the weights in the package cost, by name (`benchmarks/performance/listed.py`)."""

MEASURED: str = _SHIPPED["costs"]["measured"]
"""On what the costs were measured, and how."""

RETIRED: dict[str, str] = _SHIPPED["retired"]
"""Names of weights that are no longer in the package, and the weights to use instead.

Specialised weights are retired unless they beat the general weights of their network by 0.3 dB on
their own rain and are nowhere worse than the rainy input (docs/results.md).
"""


@dataclass(frozen=True)
class Quality:
    """The weights and settings that a user gets who asks for a quality instead of weights.

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
        UsageError: If there is no such quality.
    """
    if name not in QUALITIES:
        if name in CATALOGUE or (name and Path(name).exists()):
            hint = "; a model is named in place of a quality"
        else:
            hint = did_you_mean(name, QUALITIES)
        expected = f"expected one of {', '.join(QUALITIES)}{hint}"
        raise UsageError(expected, option="quality", value=name)
    return QUALITIES[name]


SUFFIXES = (
    *(".safetensors", ".onnx", ".xml", ".bin"),
    *(".pth", ".pt", ".pkl", ".tar", ".ckpt", ".index", ".meta"),
)
"""Suffixes that files of weights have, of derain and of authors, in small letters."""


class UnknownWeightsError(UnknownNameError, FileNotFoundError):
    """There are no weights of a name, which cannot be that of a file."""


def names_folder(name: str) -> bool:
    """Return whether a name of nothing that exists stands for a folder rather than for weights.

    >>> names_folder("pairs/"), names_folder("data/pairs"), names_folder("runs/best.safetensors")
    (True, True, False)
    >>> names_folder("petrichr")
    False
    """
    separators = (os.sep, os.altsep or os.sep)
    is_path = any(separator in name for separator in separators)
    return is_path and (name.endswith(separators) or Path(name).suffix.lower() not in SUFFIXES)


def check_exists(name_or_path: str) -> None:
    """Check that it is a name in the catalogue, or a path of something.

    Raises:
        UnknownWeightsError: If it is neither, and can only be meant as a name.
        FileNotFoundError: If it is neither.
        UsageError: If it is the name of a quality.
    """
    path = Path(name_or_path)
    # The files of a TensorFlow checkpoint are named together: none may be called just that.
    if name_or_path in CATALOGUE or path.exists() or is_checkpoint(path):
        return
    if name_or_path in RETIRED:
        raise FileNotFoundError(
            f"{name_or_path}: these weights were retired and are no longer in the package; "
            f"use {RETIRED[name_or_path]} instead"
        )
    if name_or_path in QUALITIES:
        raise UsageError(
            f"{name_or_path}: no such weights, but there is a quality of this name, which stands"
            f" for {QUALITIES[name_or_path].weights}",
            option="quality",
            advice="ask for it by",
        )
    found = "file or folder" if names_folder(name_or_path) else "weights"
    problem = (
        f"{name_or_path}: no such {found}; expected one of {', '.join(CATALOGUE)}, or a weights"
        f" file{_meant(path)}"
    )
    is_word = path.name == name_or_path and not path.suffix
    raise UnknownWeightsError(problem) if is_word else FileNotFoundError(problem)


MOST_NAMES = 1000
"""Files of a folder whose names are compared with a wrong one."""


def _meant(path: Path) -> str:
    """Return ``; did you mean NAME?`` for a name like that of weights or of a file beside it."""
    try:
        with os.scandir(path.parent) as entries:
            beside = [entry.name for entry in itertools.islice(entries, MOST_NAMES)]
    except OSError:
        beside = []
    if name := closest(path.name, itertools.filterfalse(is_litter, beside)):
        return f"; did you mean {path.with_name(name)}?"
    return did_you_mean(path.name, CATALOGUE) or did_you_mean(path.stem, CATALOGUE)


def check(row: ShippedWeights) -> None:
    """Compare shipped files with their row.

    Raises:
        WeightsError: If one is another file, or not there.
    """
    files = {row.path: row.sha256} | ({row.graph_path: row.graph} if row.graph else {})
    for path, digest in files.items():
        if not path.is_file() or file_digest(path) != digest:
            raise WeightsError(f"{path}: not the file the catalogue lists; install derain again")
