"""Finished segments of a clip, kept beside the result until it is complete.

Segments are resumed only where everything is the same that their bytes depend on: the clip, the
settings, the versions, and what the network does.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

import derain
from derain.clips.plan import Job
from derain.files import DRAFT, write_file
from derain.restore import Derainer
from derain.video.encoding import SEGMENT_FRAMES, Segment, read_segment
from derain.video.errors import VideoError

MARK = ".parts"
"""What the name of the folder of segments ends in, after that of the result."""

_HEAD = 1 << 20
"""Bytes of a clip, at its beginning and at its end, that tell it from others."""
_RECORD = "job.json"
_SEGMENT = ".segment"
_JOINED = "joined"


def has_finished_segments(target: Path) -> bool:
    """Return whether a run that was interrupted left something of a result to resume from."""
    return Parts(target).path(0).exists()


class Parts:
    """The folder of what is finished of a job: ``RESULT.parts``.

    Args:
        target: The result.
    """

    def __init__(self, target: Path) -> None:
        self.folder = target.with_name(f"{target.name}{MARK}")
        self.joined = self.folder / f"{_JOINED}{target.suffix}"
        self.notes: list[str] = []
        self._is_own = False

    def open(self, facts: dict[str, Any], *, resume: bool) -> list[Segment]:
        """Make the folder, and return the segments in it that count; others are removed.

        Args:
            facts: All that the bytes depend on.
            resume: Whether any count.

        Raises:
            OSError: If the folder cannot be read or written.
            VideoError: If it holds something else.
        """
        found = self._recorded()
        self._is_own = True
        done: list[Segment] = []
        if resume and found == facts:
            done = self._finished()
        elif resume and found:
            changed = [key for key in facts if found.get(key) != facts[key]]
            self.notes.append(f"started again instead of resuming: different {', '.join(changed)}")
        kept = {segment.path.name for segment in done}
        for path in self._own():
            if path.name not in kept:
                path.unlink()
        self.folder.mkdir(parents=True, exist_ok=True)
        write_file(self.folder / _RECORD, json.dumps(facts, indent=1).encode())
        return done

    def path(self, number: int) -> Path:
        """Return where a segment is, counted from 0."""
        return self.folder / f"{number:06}{_SEGMENT}"

    @property
    def has_segments(self) -> bool:
        """Whether there is anything to resume, once it is open."""
        return self._is_own and self.path(0).exists()

    def remove(self) -> None:
        """Remove the folder with what derain put there; nothing if it was never opened."""
        if not self._is_own:
            return
        for path in self._own():
            path.unlink(missing_ok=True)
        # Others' files stay where they are.
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _recorded(self) -> dict[str, Any]:
        """Return what the segments that are there depend on; nothing if that is not known.

        Raises:
            VideoError: If the folder is not one that derain made.
        """
        record = self.folder / _RECORD
        if not record.is_file():
            if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
                raise VideoError(
                    f"{self.folder}: already exists and derain did not make it; expected a"
                    " free name for unfinished segments: move it away"
                )
            return {}
        try:
            return dict(json.loads(record.read_bytes()))
        except (ValueError, TypeError):
            return {}

    def _finished(self) -> list[Segment]:
        """Return the segments from the first on, up to one that is missing or damaged."""
        done: list[Segment] = []
        while not done or len(done[-1].pts) == SEGMENT_FRAMES:
            try:
                segment = read_segment(self.path(len(done)))
                for _ in segment.read():
                    pass
            except (FileNotFoundError, VideoError):
                break
            done.append(segment)
        return done

    def _own(self) -> list[Path]:
        """Return the files that derain puts into such a folder."""
        if not self.folder.is_dir():
            return []
        return [
            path
            for path in sorted(self.folder.iterdir())
            if path.name == _RECORD
            or path.name.startswith(DRAFT)
            or path.suffix == _SEGMENT
            or path.stem == _JOINED
        ]


def facts_of(job: Job, derainer: Derainer | None) -> dict[str, Any]:
    """Return all that the bytes of a job's segments depend on, as plain values.

    Raises:
        OSError: If the clip cannot be read.
    """
    return {
        "derain": derain.__version__,
        "clip": _identity(job.source),
        "encoder": job.encoder.settings(),
        "segments": SEGMENT_FRAMES,
        "temporal": job.window or 0,
        "start": job.start,
        "end": job.end,
        "model": _fingerprint(derainer) if derainer is not None else "none",
    }


def _identity(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        digest = hashlib.sha256(file.read(_HEAD))
        file.seek(max(0, status.st_size - _HEAD))
        digest.update(file.read(_HEAD))
    return {"bytes": status.st_size, "changed": status.st_mtime_ns, "sha256": digest.hexdigest()}


def _fingerprint(derainer: Derainer) -> str:
    """Return how a network is executed, and a digest of what it makes of a picture of noise.

    Weights need not be a file; what comes out of them tells them apart.
    """
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    digest = hashlib.sha256(np.ascontiguousarray(derainer(noise)).tobytes())
    return f"{derainer.name}, {derainer.describe()}, {digest.hexdigest()}"
