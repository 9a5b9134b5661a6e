"""Folders of frames: pictures that follow each other and are derained as a clip.

PyAV is not needed. Existing results are skipped, so that a second run continues where the
first one was interrupted, with the same results.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from derain.clips.channels import Channel, Stages
from derain.clips.results import Result
from derain.errors import DerainError, ExistsError
from derain.files import (
    RESULT_MARK,
    check_makable,
    is_litter,
    is_special,
    natural_key,
    write_file,
)
from derain.images import SUFFIXES, Picture, check_format, encode, read
from derain.progress import Progress, silent
from derain.restore import Derainer, restore_frames
from derain.video.temporal import lead_in, window_of

ROOM = 4
"""Frames that wait between two stages."""


@dataclass(frozen=True)
class FolderJob:
    """A folder of frames to derain.

    Attributes:
        files: The frames, in natural order.
        target: Folder of the results, which are called as the frames.
        window: Frames that help each other; None for none.
        force: Overwrite existing files.
    """

    files: tuple[Path, ...]
    target: Path
    window: int | None
    force: bool = False

    def target_of(self, file: Path) -> Path:
        """Return where a frame's result goes."""
        return self.target / file.name

    def is_due(self, file: Path) -> bool:
        """Return whether a frame's result has to be made."""
        return self.force or not self.target_of(file).exists()


def plan_folder(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    temporal: str | int = "auto",
    force: bool = False,
) -> FolderJob:
    """Return the job for a folder of frames; those in folders inside it do not count.

    Args:
        folder: Of pictures of formats that derain writes, whose names count on.
        output: Folder of the results; None for ``FOLDER_derained`` beside it.
        temporal: How many frames help each other: ``auto``, ``off`` or an odd number from 3.
        force: Overwrite existing files.

    Raises:
        OSError: If the folder cannot be read, or the other not be made.
        DerainError: If there are no frames in it, or it is its own output.
        UsageError: If ``temporal`` cannot be meant.
    """
    window = window_of(temporal)
    place = Path(os.path.abspath(folder))  # noqa: PTH100 (links stay)
    files = frames_in(folder)
    target = Path(output) if output is not None else place.with_name(place.name + RESULT_MARK)
    if os.path.realpath(target) == os.path.realpath(folder):
        raise DerainError(
            f"{folder}: the results would overwrite the frames; expected another folder"
        )
    if not target.is_dir():
        check_makable(target)
    return FolderJob(tuple(files), target, window, force)


def frames_in(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the pictures in a folder in natural order; those in folders inside it do not count.

    Pipes and devices are no pictures.

    Raises:
        OSError: If it cannot be read.
        DerainError: If there are none.
    """
    files = [
        path
        for path in Path(folder).iterdir()
        if path.suffix.lower() in SUFFIXES
        and not (is_litter(path.name) or path.is_dir() or is_special(path))
    ]
    if not files:
        raise DerainError(f"{folder}: 0 frames; expected pictures that follow each other")
    return sorted(files, key=lambda path: natural_key(path.name))


def run_folder(
    job: FolderJob, derainer: Derainer | None, progress: Progress = silent
) -> Iterator[Result]:
    """Derain the frames of a folder in order, and yield what became of each.

    The network works in the calling thread, beside a thread that reads and one that writes. A frame
    that cannot be read is left out of its neighbours' windows.

    Args:
        job: As `plan_folder` makes it.
        derainer: What takes the rain out; None for the temporal filter alone.
        progress: Gets reports of ``frames``.

    Raises:
        UsageError: If there is neither a network nor a window.
    """
    work = _Folder(job)
    for file in job.files:
        if not job.is_due(file):
            error = ExistsError(f"{job.target_of(file)} already exists")
            work.results.append(Result(file, job.target_of(file), "skipped", error))
    # What is written depends on the frames around it.
    files = _needed(job)
    frames = restore_frames(work.pixels(), derainer, temporal=job.window)
    return work.run(files, frames, progress)


def _needed(job: FolderJob) -> Sequence[Path]:
    """Return the frames from the first one that is due on, with those that its window needs."""
    due = [place for place, file in enumerate(job.files) if job.is_due(file)]
    if not due:
        return ()
    return job.files[lead_in(due[0], job.window) :]


class _Folder:
    """Frames on their way from files to files.

    Attributes:
        results: What became of frames and has not been yielded.
    """

    def __init__(self, job: FolderJob) -> None:
        self.results: deque[Result] = deque()
        self._job = job
        self._read: Channel[tuple[Path, Picture]] = Channel(ROOM)
        self._ready: Channel[tuple[Path, Picture]] = Channel(ROOM)
        self._waiting: deque[tuple[Path, Picture]] = deque()

    def pixels(self) -> Iterator[Any]:
        """Yield the frames as arrays, (H, W, 3)."""
        for path, picture in self._read:
            self._waiting.append((path, picture))
            yield picture.pixels

    def run(
        self, files: Sequence[Path], frames: Iterator[Any], progress: Progress
    ) -> Iterator[Result]:
        """Do all frames; yield results as they come."""
        progress("frames", 0, len(files))
        with Stages([self._read, self._ready]) as stages:
            stages.start("derain-read", lambda: self._read_all(files))
            stages.start("derain-write", self._write_all)
            for done, pixels in enumerate(frames, 1):
                path, picture = self._waiting.popleft()
                if self._job.is_due(path):
                    self._ready.put((path, replace(picture, pixels=pixels, is_result=True)))
                progress("frames", done, len(files))
                yield from self._so_far()
            self._ready.end()
        yield from self._so_far()

    def _so_far(self) -> Iterator[Result]:
        while self.results:
            yield self.results.popleft()

    def _read_all(self, files: Sequence[Path]) -> None:
        for path in files:
            try:
                picture = read(path)
                check_format(picture, picture.metadata.format)
            except (OSError, ValueError, MemoryError) as error:
                self.results.append(Result(path, self._job.target_of(path), "failed", error))
            else:
                self._read.put((path, picture))
        self._read.end()

    def _write_all(self) -> None:
        for path, picture in self._ready:
            target = self._job.target_of(path)
            notes: list[str] = list(picture.notes)
            try:
                data = encode(picture, picture.metadata.format, notes)
                target.parent.mkdir(parents=True, exist_ok=True)
                write_file(target, data)
            except (OSError, ValueError, MemoryError) as error:
                self.results.append(Result(path, target, "failed", error))
            else:
                self.results.append(Result(path, target, "done", notes=tuple(notes), frames=1))
