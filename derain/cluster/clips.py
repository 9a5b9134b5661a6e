"""What a worker does of a clip: all of it, some segments, or what joins them.

Clips go through files of this machine: decoders and encoders seek in them.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count, takewhile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from derain.cluster.ledger import Row
from derain.cluster.listing import Item
from derain.cluster.manifest import Terms
from derain.cluster.places import Place
from derain.cluster.sharing import LEAST, LONG, folder_of
from derain.cluster.storage import PlaceStorage
from derain.errors import reason
from derain.extras import require
from derain.restore import Derainer

if TYPE_CHECKING:
    from derain.clips.plan import Job
    from derain.clips.results import Result

SUFFIX = ".segment"


@dataclass
class ClipWork:
    """Does clips.

    Attributes:
        output: Where the results go.
        storage: From the archive to there.
        terms: What results depend on.
        model: Returns the network.
        share: Whether long clips are only looked at, so that they can be shared out.
    """

    output: Place
    storage: PlaceStorage
    terms: Terms
    model: Callable[[], Derainer]
    share: bool

    def do(self, item: Item) -> Row:
        """Return what the row of the manifest says of a clip, besides the file's own facts."""
        require("av", "derain --cluster for clips")
        with tempfile.TemporaryDirectory(prefix="derain-") as folder:
            source = Path(folder, PurePosixPath(item.path).name)
            try:
                self.storage.fetch(item.path, source)
                return self._done(item, self._job(source))
            except Exception as error:
                # Where the copy lies says nothing to anyone.
                text = reason(error).replace(f"{source}: ", "").replace(f"{folder}/", "")
                return {"status": "failed", "error": text} | self.storage.facts(item)

    def _job(self, source: Path) -> "Job":
        from derain.clips.plan import plan

        planned = plan([source], source.parent / "done")
        for _, error in planned.refused:
            raise error
        return planned.jobs[0]

    def _done(self, item: Item, job: "Job") -> Row:
        if item.task == "part":
            return self._part(item, job) | self.storage.facts(item)
        if item.task == "join":
            return self._joined(item, job)
        if self.share and (segments := self._segments(job)) >= LEAST:
            return {"status": LONG, "segments": segments} | self.storage.facts(item)
        return self._derained(item, job)

    def _segments(self, job: "Job") -> int:
        """Return how many segments a clip that can be shared out makes; 0 for others."""
        from derain.clips.shares import segments_in, times_of

        # Most are short, and their headers say so.
        if job.frames and segments_in(job.frames) < LEAST:
            return 0
        times = times_of(job.clip)
        return segments_in(len(times)) if times else 0

    def _derained(self, item: Item, job: "Job") -> Row:
        from derain.clips.pipeline import run

        (result,) = run([job], self.model())
        return self._stored(item, result)

    def _stored(self, item: Item, result: "Result") -> Row:
        """Write a result."""
        if result.error is not None:
            raise result.error
        target = PurePosixPath(item.target).with_suffix(result.target.suffix).as_posix()
        self.storage.write(Path(target), result.target.read_bytes())
        done = {"status": "done", "target": target, "notes": result.message}
        return done | self.storage.facts(replace(item, target=target))

    def _part(self, item: Item, job: "Job") -> Row:
        """Do the segments of a part that are not there, and put them beside the results."""
        from derain.clips.shares import Share, do_share, times_of

        folder, there = self._there(item)
        missing = [k for k in range(item.first, item.end) if _name(k, job) not in there]
        times = times_of(job.clip) if missing else None
        if times is None:
            return {"status": "done"}

        def keep(number: int, segment: bytes) -> None:
            self.storage.keep(f"{folder}/{_name(number, job)}", segment)

        if not do_share(job, self.model(), Share(missing[0], item.end, times), keep):
            return {"status": "done", "notes": "damaged; the rest is done when it is joined"}
        return {"status": "done"}

    def _joined(self, item: Item, job: "Job") -> Row:
        """Join the segments that are there; the local command's pipeline does what is missing."""
        from derain.clips.shares import join_shares

        folder, there = self._there(item)
        names = takewhile(there.__contains__, (_name(k, job) for k in count()))
        segments = (self.storage.kept(f"{folder}/{name}") for name in names)
        return self._stored(item, join_shares(job, self.model(), segments))

    def _there(self, item: Item) -> tuple[str, set[str]]:
        """Return the folder for the segments of a clip, and the names of those in it."""
        folder = folder_of(item, self.terms)
        return folder, {entry.name for entry in self.output.contents(folder).files}


def _name(number: int, job: "Job") -> str:
    """Return what a segment is called; those of other encoders have other names."""
    from derain.clips.shares import kind_of

    return f"{number:06}-{kind_of(job)}{SUFFIX}"
