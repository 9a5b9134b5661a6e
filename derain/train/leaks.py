"""What a run's pictures are refused for before the first step: leaks, and broken pairs.

No validation picture may be trained on.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from derain.data import Pair, TwoFolders, read_pair
from derain.data.audit.check import find_leaks
from derain.data.audit.identity import digest_of, digest_of_files
from derain.data.copies import Album, find_duplicates
from derain.data.layouts import copies_across
from derain.errors import reason
from derain.files import listed, write_file
from derain.progress import Progress
from derain.train.run import TrainingRun
from derain.train.sources import Source
from derain.train.state import State

SEAL = "checked.json"
"""File of a run that says among which files no leak was found."""


class LeakError(ValueError):
    """Validation pictures are among the training pictures."""


@dataclass(frozen=True)
class Checked:
    """The facts about a run's pictures before the first step.

    Attributes:
        note: What the card has to say about leaks; empty if there are none.
        digest: Of the files to train on, as ``derain data check`` prints it.
        validation: Of those to validate on.
    """

    note: str = ""
    digest: str = ""
    validation: str = ""


def refuse_leaks(
    run: TrainingRun, training: Source, validation: Source, progress: Progress
) -> Checked:
    """Refuse a run that cannot train or validates on what it trains on; else make its folder.

    The result is kept in the folder: the search is not repeated while no file changes.

    Args:
        run: Says what is allowed, and where the result is kept.
        training: What is trained on.
        validation: What is validated on.
        progress: Receives the stages "pairs", "duplicates" and "copies".

    Raises:
        LeakError: If there are leaks, and the run does not allow them.
        ValueError: If a picture cannot be read, the halves of a pair have different sizes, or
            photographs are probably pairs.
        OSError: If the folder cannot be written into.
    """
    seal = run.out / SEAL
    files = _state_of_files(run, (*training.files, *validation.files))
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(seal.read_text())
        if found["files"] == files and (run.allow_leak or not found["note"]):
            return Checked(*(str(found[key]) for key in ("note", "digest", "validation")))
    _refuse_broken(training, progress)
    album = Album()
    for source in (training, validation):
        _refuse_twins(source, run, album, progress)
    note = _search(run, album, progress)
    checked = Checked(note, _digest(training, album), _digest(validation, album))
    run.out.mkdir(parents=True, exist_ok=True)
    write_file(seal, json.dumps({"files": files} | asdict(checked)).encode())
    return checked


def check_same_pictures(state: State, checked: Checked, path: Path) -> None:
    """Raise ValueError if a run was begun with other pictures than it is resumed with.

    Its card would say that all steps were on the new ones, no search for leaks would compare the
    old ones, and scores on others do not tell which weights are best.

    Args:
        state: Of the run as it is resumed, or at its beginning.
        checked: What is known of the pictures that it goes on with.
        path: Its checkpoint.
    """
    for kind, begun, now in (
        ("training", state.digest, checked.digest),
        ("validation", state.validation, checked.validation),
    ):
        if begun and begun != now:
            raise ValueError(
                f"{path}: was begun with other {kind} pictures ({begun}, now {now}); give the same,"
                f" or begin another run from its weights: --set init={path} and another -o"
            )


def _refuse_broken(training: Source, progress: Progress) -> None:
    """Refuse pairs that cannot be trained on, rather than when a step comes to them."""
    if training.pairs is None:
        return
    pairs = training.pairs.pairs
    wrong: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for count, problem in enumerate(pool.map(_problem_of, pairs), 1):
            wrong += [problem] if problem else []
            progress("pairs", count, len(pairs))
    if wrong:
        raise ValueError(
            f"{listed(wrong, 3)}: expected pairs that can be trained on; repair or remove what"
            " cannot"
        )


def _problem_of(pair: Pair) -> str:
    """Return why a pair cannot be read; empty if it can."""
    try:
        read_pair(pair)
    except (ValueError, OSError) as error:
        return reason(error)
    return ""


def _refuse_twins(source: Source, run: TrainingRun, album: Album, progress: Progress) -> None:
    """Refuse photographs that are probably pairs, because two of their folders show the same."""
    if source.pairs is not None or isinstance(source.place, TwoFolders) or run.layout is not None:
        return
    found = find_duplicates(source.photographs, progress, album)
    copies = [(copy.picture, copy.of) for copy in found.copies]
    if doubt := copies_across(source.place, source.photographs, copies):
        raise ValueError(doubt.message)


def _digest(source: Source, album: Album) -> str:
    """Return the digest of a source's files, which the search for leaks has read."""
    if source.pairs is None:
        return digest_of_files(album.digest(path) for path in source.photographs)
    digests = {path: album.digest(path) for path in source.files}
    return digest_of(source.pairs.pairs, digests)


def _state_of_files(run: TrainingRun, files: Sequence[Path]) -> str:
    """Return a digest of the names, sizes and dates of all pictures, and of the layout of pairs.

    The layout says which half of a file is the clean one. Dates count in seconds, because copies
    and archives keep no fractions.
    """
    state = hashlib.sha256(str(run.layout).encode())
    for path in files:
        with contextlib.suppress(OSError):  # the reader of the picture reports it
            found = path.stat()
            line = f"{path} {found.st_size} {int(found.st_mtime)}\n"
            state.update(line.encode(errors="surrogateescape"))
    return state.hexdigest()


def _search(run: TrainingRun, album: Album, progress: Progress) -> str:
    """Search for leaks, and return the card's note about those that are allowed."""
    problems = find_leaks(run.validation, run.data, run.layout, progress, album)
    unread = [problem.message for problem in problems if problem.kind == "unreadable"]
    if unread:
        raise ValueError(
            f"{listed(unread, 3)}: expected pictures that can be read; repair or remove what cannot"
        )
    leaks = [problem for problem in problems if problem.kind == "leak"]
    if not leaks:
        return ""
    count = len({leak.paths[0] for leak in leaks})
    pictures = "pictures are" if count > 1 else "picture is"
    what = f"{count} validation {pictures} among the training pictures"
    if run.allow_leak:
        return f"{what}: its validation scores say little"
    # A clean half shows all that its pairs show.
    looked_at, against = (
        place.clean if isinstance(place, TwoFolders) else place
        for place in (run.validation, run.data)
    )
    raise LeakError(
        f"{what}: {listed([leak.message for leak in leaks], 3)}; take them out (derain data check"
        f" {looked_at} --against {against} names them all), or give --allow-leak"
    )
