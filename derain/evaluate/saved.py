"""Results that are saved as they are scored, so that an interrupted evaluation can be continued.

Beside the results of a model on a dataset lies a file of JSON lines: first the settings that all of
them were made by, then the scores of each picture as it is done. A result is kept only if the
settings are the same, and the picture is the very file that was scored.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from derain.errors import ExistsError
from derain.evaluate.picture_scores import Naturalness, PictureScore, Scored
from derain.files import SCORES, append_line, file_digest, is_litter, write_file
from derain.metrics import NiqeError, Score
from derain.weights import CATALOGUE


@dataclass(frozen=True)
class Settings:
    """All that results depend on.

    Attributes:
        weights: Digest of the files of weights.
        data: What the dataset is, in words, with a digest.
        protocols: Names of the protocols.
        natural: What the NIQE model was fitted on, in words; empty without NIQE.
        execution: Tile, number format and device, in words; empty while it is not known.
        machine: Versions, processor and threads, in words; empty while it is not known.
    """

    weights: str
    data: str
    protocols: tuple[str, ...]
    natural: str
    execution: str = ""
    machine: str = ""

    def difference(self, other: Mapping[str, Any]) -> str | None:
        """Return what differs from what was written down, in words; None if nothing does."""
        for field in fields(self):
            value, was = getattr(self, field.name), other.get(field.name)
            value = list(value) if isinstance(value, tuple) else value
            if value != was and (value or field.name not in ("execution", "machine")):
                return f"{field.name}: {_words(was)}; now {_words(value)}"
        return None


def _words(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value or "none")


class Saved:
    """A folder of results of one model on one dataset.

    Args:
        folder: It is made if it is not there.
        settings: What results are made by.
        keep: Keep results that were made by the same settings; otherwise start again.

    Raises:
        ExistsError: If the folder holds results of other settings, or none of an evaluation.
        OSError: If it cannot be read or written.
    """

    def __init__(self, folder: Path, settings: Settings, *, keep: bool) -> None:
        self._folder = folder
        self._file = folder / SCORES
        self._known: dict[str, dict[str, Any]] = {}
        if keep:
            check_saved(folder, settings)
            self._known = {row["picture"]: row for row in _rows(self._file)[1:]}
        folder.mkdir(parents=True, exist_ok=True)
        # A line that was cut off when the process was killed is left out.
        lines = [asdict(settings), *self._known.values()]
        write_file(self._file, b"".join(_line(line) for line in lines))

    def find(self, name: str, files: Sequence[Path], target: Path) -> Scored | None:
        """Return the scores of a picture whose result exists; None if it has to be derained.

        Args:
            name: What the picture is called in results.
            files: Its own, such as the two of a pair.
            target: Its result.
        """
        row = self._known.get(name)
        if row is None or not target.is_file() or file_digest(target) != row["sha256"]:
            return None
        # Files may have exchanged their names.
        if row.get("files") != [file_digest(path) for path in files]:
            return None
        return _from_row(row)

    def add(self, scored: Scored, files: Sequence[Path], result: bytes) -> None:
        """Write down the scores of a picture.

        Args:
            scored: Its scores.
            files: Its own, as for `find`.
            result: The bytes of the file of its result.

        Raises:
            OSError: If they cannot be written.
        """
        row = _to_row(scored) | {
            "files": [file_digest(path) for path in files],
            "sha256": hashlib.sha256(result).hexdigest(),
        }
        append_line(self._file, json.dumps(row).encode())


def check_saved(folder: Path, settings: Settings) -> None:
    """Check that nothing in a folder would be overwritten that was not made by the same settings.

    Raises:
        ExistsError: If there is something.
    """
    if not folder.exists() or _is_empty(folder):
        return
    rows = _rows(folder / SCORES)
    if not rows:
        raise ExistsError(f"{folder} already exists")
    if changed := settings.difference(rows[0]):
        raise ExistsError(f"{folder} holds results of other settings ({changed})")


def holds_results(folder: Path) -> bool:
    """Return whether a folder is empty, or holds results of an evaluation that can be continued."""
    return _is_empty(folder) or has_scores(folder)


def has_scores(folder: Path) -> bool:
    """Return whether a folder holds results of an evaluation, of models and datasets in it."""
    return any(folder.glob(f"*/*/{SCORES}"))


def _is_empty(folder: Path) -> bool:
    """Return whether nothing of the user's is in a folder."""
    return all(is_litter(path.name) for path in folder.iterdir())


def weights_digest(source: str) -> str:
    """Return the SHA-256 of weights, whatever number of files they are.

    Args:
        source: Their name in the catalogue, or their path.

    Raises:
        OSError: If they cannot be read.
    """
    row = CATALOGUE.get(source)
    if row is not None:
        return row.sha256
    path = Path(source)
    if path.is_dir():
        files = sorted(
            file
            for file in path.rglob("*")
            if file.is_file() and not any(map(is_litter, file.relative_to(path).parts))
        )
    else:
        files = _parts(path)
    digests = [f"{file.name} {file_digest(file)}" for file in files if file.is_file()]
    return hashlib.sha256("\n".join(digests).encode("utf-8", "surrogateescape")).hexdigest()


def _parts(path: Path) -> list[Path]:
    """Return the files that weights are in: the one of this name, and those that belong to it."""
    named = path.name.removesuffix(".index")
    if path.suffix == ".index" or not path.is_file():
        beside = [file for file in path.parent.iterdir() if not is_litter(file.name)]
        # Parts of a checkpoint: NAME.index, NAME.data-00000-of-00001, NAME.meta.
        endings = (f"{named}.index", f"{named}.data-", f"{named}.meta")
        return sorted(file for file in beside if file.name.startswith(endings))
    # OpenVINO's weights, and what ONNX calls external data: NAME.onnx.data, NAME.onnx_data. The
    # runtimes look for them beside the file that a link leads to.
    real = Path(os.path.realpath(path))
    kin = {".xml": {f"{real.stem}.bin"}, ".onnx": {f"{real.name}.data", f"{real.name}_data"}}
    known = kin.get(path.suffix.lower(), set())
    files = [path, *(file for file in map(real.with_name, known) if file.is_file())]
    return sorted(files, key=lambda file: file.name)


# Lines


def _rows(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file; none if there is no such file, or it does not begin well."""
    rows: list[dict[str, Any]] = []
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return rows
    for line in lines:
        try:
            row: Any = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict) or ("weights" if not rows else "sha256") not in row:
            break
        rows.append(row)  # pyright: ignore[reportUnknownArgumentType]
    return rows


def _line(row: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(row)}\n".encode()


def _to_row(scored: Scored) -> dict[str, Any]:
    score = scored.score
    return {
        "picture": score.name,
        "rainy": [[one.protocol, float(one.psnr), float(one.ssim)] for one in score.rainy],
        "output": [[one.protocol, float(one.psnr), float(one.ssim)] for one in score.output],
        "niqe": score.niqe and [float(score.niqe.rainy), float(score.niqe.output)],
        "niqe_error": scored.niqe_error and str(scored.niqe_error),
        "seconds_per_megapixel": scored.seconds_per_megapixel,
        "peak_memory": scored.peak_memory,
    }


def _from_row(row: Mapping[str, Any]) -> Scored:
    rainy, output = (tuple(Score(*one) for one in row[side]) for side in ("rainy", "output"))
    niqe = Naturalness(*row["niqe"]) if row["niqe"] else None
    error = NiqeError(row["niqe_error"]) if row["niqe_error"] else None
    score = PictureScore(row["picture"], rainy, output, niqe)
    return Scored(score, row["seconds_per_megapixel"], row["peak_memory"], error)
