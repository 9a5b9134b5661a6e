"""No validation picture may be trained on: looked for before the first step."""

import contextlib
import hashlib
import json
from dataclasses import replace

from derain.data import clean_pictures
from derain.data.audit.check import OnProgress, find_leaks
from derain.files import listed, write_file
from derain.train.sources import pairs_of
from derain.train.state import Run

SEAL = "checked.json"
"""Which files no validation picture was found among."""


class LeakError(ValueError):
    """Validation pictures are among the training pictures."""


def checked(run: Run, on_progress: OnProgress) -> Run:
    """The run with its folder made, if no validation picture is trained on; not looked at again
    while no file changes.
    """
    seal = run.out / SEAL
    files = _state_of_files(run)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        old = json.loads(seal.read_text())
        if old["files"] == files and (run.allow_leak or not old["note"]):
            return replace(run, note=str(old["note"]))
    run = _without_leak(run, on_progress)
    run.out.mkdir(parents=True, exist_ok=True)
    write_file(seal, json.dumps({"files": files, "note": run.note}).encode())
    return run


def _state_of_files(run: Run) -> str:
    """A digest of the names, sizes and dates of all pictures of both datasets, and of which half of
    a file is the clean one.

    Dates count in seconds, which copies and archives keep.
    """
    state = hashlib.sha256(str(run.layout).encode())
    for folder in (run.data, run.validation):
        pairs = pairs_of(folder, run.layout)
        files = (
            clean_pictures(folder)
            if pairs is None
            else [path for pair in pairs for path in (pair.rainy, pair.clean)]
        )
        for path in files:
            with contextlib.suppress(OSError):  # told where it is read
                found = path.stat()
                state.update(
                    f"{path} {found.st_size} {int(found.st_mtime)}\n".encode(
                        errors="surrogateescape"
                    )
                )
    return state.hexdigest()


def _without_leak(run: Run, on_progress: OnProgress) -> Run:
    """The run, if no validation picture is trained on; with a note on its card, if that is
    allowed.
    """
    problems = find_leaks(run.validation, run.data, run.layout, on_progress)
    unread = [problem.message for problem in problems if problem.kind == "unreadable"]
    if unread:
        raise ValueError(
            f"{listed(unread, 3)}: expected pictures that can be read; mend or remove what cannot"
        )
    leaks = [problem for problem in problems if problem.kind == "leak"]
    if not leaks:
        return run
    count = len({leak.paths[0] for leak in leaks})
    what = (
        f"{count} validation picture{'s are' if count > 1 else ' is'} among the training pictures"
    )
    if run.allow_leak:
        return replace(run, note=f"{what}: its validation scores say little")
    raise LeakError(
        f"{what}: {listed([leak.message for leak in leaks], 3)}; take them out (derain data check"
        f" {run.validation} --against {run.data} names them all), or give --allow-leak"
    )
