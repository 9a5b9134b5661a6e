"""Timing of cases, each in a process of its own.

That is how the peak memory of a case is known, and nothing else keeps memory in its process.
"""

import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from derain.bench.cases import Case, Timing, picture
from derain.bench.ceiling import Ceiling, in_turns, operations
from derain.errors import UsageError
from derain.images import to_levels
from derain.machine import PeakMemory, describe, python_command
from derain.metrics import psnr
from derain.progress import Progress, silent
from derain.restore import load

MOST_PSNR = 200.0
"""Of identical results, in dB."""

CORNER = 512
"""Largest side in pixels of the part of a picture on which number formats are compared."""


def time_cases(
    cases: Sequence[Case],
    *,
    rounds: int = 2,
    pictures: int = 3,
    progress: Progress = silent,
    on_failure: Callable[[Case, ValueError], None] | None = None,
) -> list[Timing]:
    """Measure every case, in turns: medians over all rounds, and the most memory of any round.

    All are returned at the end, because a median is not known before.

    Args:
        cases: At least one.
        rounds: How often each case gets a process of its own.
        pictures: Timed in each, after one that is not.
        progress: Gets a report of "cases" after each process.
        on_failure: Gets each case that fails, and why; the others are measured and returned. None
            to raise the first error.

    Raises:
        UsageError: If an option of a case cannot be meant here, such as a device.
        ValueError: What else a case's process ended with, in one line.
    """
    found: dict[Case, list[dict[str, Any]]] = {case: [] for case in cases}
    total = rounds * len(cases)
    with tempfile.TemporaryDirectory() as folder:
        corners = {case: Path(folder) / f"{k}.npy" for k, case in enumerate(found)}
        for number in range(total):
            case = cases[number % len(cases)]
            try:
                if case in found:  # it has not failed in an earlier round
                    found[case].append(_in_own_process(case, pictures, corners[case]))
            except ValueError as error:
                if on_failure is None:
                    raise
                del found[case]
                on_failure(case, error)
            progress("cases", number + 1, total)
        engines = {case: rows[0]["engine"] for case, rows in found.items()}
        return [
            _summed_up(replace(case, engine=engines[case]), rows, _likeness(case, engines, corners))
            for case, rows in found.items()
        ]


def _in_own_process(case: Case, pictures: int, corner: Path) -> dict[str, Any]:
    """Return what `measure` finds in a process of its own.

    Raises:
        UsageError, ValueError: As `time_cases`.
    """
    task = json.dumps({"case": asdict(case), "pictures": pictures, "corner": str(corner)})
    command = python_command("from derain.bench.process import main; main()", task)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        last = lines[-1] if lines else "killed, which happens where memory runs out"
        raise ValueError(f"{case}: {last}")
    found = json.loads(done.stdout.splitlines()[-1])
    if "usage" in found:
        raise UsageError(**found["usage"])
    if "error" in found:
        raise ValueError(f"{case}: {found['error']}")
    return found


def measure(case: Case, pictures: int, corner: Path) -> dict[str, Any]:
    """Measure a case in this process.

    Args:
        case: What is measured.
        pictures: Timed, after one that is not.
        corner: File that gets the result of a corner of the picture, to compare: (H, W, 3) floats.

    Returns:
        "seconds" and "ceiling" of each picture, "operations" of one, "peak_memory" of the process,
        the "engine" that was chosen, and the "machine" it ran on.
    """
    rainy = picture(case.width, case.height)
    rainy_corner = rainy[:CORNER, :CORNER].copy()
    levels = to_levels(rainy, np.dtype(np.uint8))  # 8 bits, as users' pictures have
    del rainy
    # Memory is that of loading and the first picture: the ceiling's matrices come after it.
    process = PeakMemory()
    derainer = load(
        case.model, device=case.device, dtype=case.dtype, tile=case.tile, engine=case.engine
    )
    memory = process if derainer.engine.device == "cpu" else derainer.engine.watch_memory()
    derainer(levels)
    held = memory.read()
    turns = in_turns(lambda: derainer(levels), Ceiling.of(derainer.engine), pictures)
    np.save(corner, derainer(rainy_corner))
    return turns | {
        "engine": derainer.engine.runtime,
        "machine": describe(derainer.engine.runtime),
        "operations": operations(derainer, case.width, case.height),
        "peak_memory": held,
    }


def _summed_up(case: Case, rows: Sequence[dict[str, Any]], likeness: float | None) -> Timing:
    """Return the medians over the rounds of a case."""
    seconds = statistics.median(value for row in rows for value in row["seconds"])
    rates = [value for row in rows for value in row["ceiling"]]
    count = rows[0]["operations"]
    peaks = [row["peak_memory"] for row in rows]
    return Timing(
        case=case,
        seconds=seconds,
        operations=None if count is None else count / seconds,
        ceiling=statistics.median(rates) if rates else None,
        peak_memory=None if None in peaks else max(peaks),
        psnr=likeness,
        machine=rows[0]["machine"],
    )


def _likeness(
    case: Case, engines: Mapping[Case, str], corners: Mapping[Case, Path]
) -> float | None:
    """Return the PSNR of a case's corner to that of its reference in dB; None for the reference."""
    reference = _reference(case, engines)
    if reference is None or reference == case:
        return None
    one, other = (np.load(corners[each]) for each in (case, reference))
    return min(MOST_PSNR, psnr(one, other, peak=1.0))


def _reference(case: Case, engines: Mapping[Case, str]) -> Case | None:
    """Return the case that another is compared with: the same in float32.

    That is PyTorch's if it is among the cases, otherwise that of the first engine.
    """
    like = replace(case, engine="", dtype="")
    same = [
        other
        for other in engines
        if other.dtype == "float32" and replace(other, engine="", dtype="") == like
    ]
    return next((other for other in same if engines[other] == "torch"), next(iter(same), None))
