"""The log of a run: one JSON record in each line."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from derain.files import append_line, write_file


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the records of a log; a line that is half written or no record is left out."""
    records: list[dict[str, Any]] = []
    for text in path.read_text(errors="replace").splitlines() if path.exists() else []:
        with contextlib.suppress(ValueError):
            record = json.loads(text)
            if isinstance(record, dict) and {"step", "seconds"} <= record.keys():
                records.append(record)
    return records


def cut_log(path: Path, step: int) -> None:
    """Remove the records of steps after this one, which will be done again, and damaged lines."""
    kept = [record for record in read_log(path) if record["step"] <= step]
    write_file(path, "".join(f"{json.dumps(record)}\n" for record in kept).encode())


def append_record(path: Path, record: dict[str, Any]) -> None:
    """Write a record to the end of a log.

    Raises:
        OSError: If it cannot be written; names the log. A part of the line may have been.
    """
    append_line(path, json.dumps(record).encode())


def describe(record: dict[str, Any]) -> str:
    """Return a record of the log as one line for people."""
    rate, seconds = f"{record['lr']:.2e}", f"{record['seconds']:.0f}"
    line = f"step {record['step']}  loss {record['loss']:.5f}  lr {rate}  {seconds} s"
    if "validation" not in record:
        return line
    return f"{line}  validation {describe_scores(record['validation'])}"


def describe_scores(scores: Mapping[str, float]) -> str:
    """Return the scores of a validation, in dB, as a part of a line."""
    return ", ".join(f"{name} {value:.2f} dB" for name, value in scores.items())
