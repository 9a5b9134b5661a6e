"""Some segments of a clip, done apart from the others: from the key frame before them on.

After a jump a decoder gives the frames of the whole clip only where nothing is damaged. So the
times of all frames are read from the packets first, and a share ends at a frame that is lost,
damaged, or shown at another time. Whoever joins the segments decodes the clip from its beginning,
checks that its frames are those that the shares have seen, and does what is missing, as after an
interruption.

This module needs PyAV.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from queue import Queue
from typing import Any

import numpy as np

from derain.clips.pipeline import Work, run
from derain.clips.plan import Job
from derain.clips.results import Result
from derain.clips.resume import Parts, facts_of
from derain.progress import silent
from derain.restore import Derainer
from derain.video.clip import Clip, open_input, packets_of
from derain.video.encoding import SEGMENT_FRAMES, Segment
from derain.video.errors import VideoError
from derain.video.frame import Frame
from derain.video.reading import Decoded, FrameReader

Times = tuple[int, ...]


def times_of(clip: Clip) -> Times | None:
    """Return when the frames of a clip are shown, from its packets; nothing is decoded.

    Returns:
        In ticks of the clip's time base, in order; None if the packets do not say so of each frame.

    Raises:
        OSError: If the clip cannot be read.
    """
    found: list[int] = []
    with open_input(clip.path) as container:
        for packet in packets_of(container, [clip.index]):
            if not packet.size:
                continue  # the last one, which is none of the file's
            if packet.pts is None or packet.is_corrupt or packet.is_discard:
                return None
            found.append(packet.pts)
    times = tuple(sorted(found))
    increase = all(earlier < later for earlier, later in pairwise(times))
    return times if times and times[0] == clip.first and increase else None


def segments_in(frames: int) -> int:
    """Return how many segments some frames make."""
    return -(-frames // SEGMENT_FRAMES)


def kind_of(job: Job) -> str:
    """Return a short text that is the same for segments which can be joined."""
    facts = json.dumps([SEGMENT_FRAMES, job.window or 0, job.encoder.settings()], sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Share:
    """Segments beside each other of a clip.

    Attributes:
        first: The first one, from 0.
        end: The one after the last.
        times: Of all frames of the clip, as `times_of` gives them.
    """

    first: int
    end: int
    times: Times

    @property
    def due(self) -> int:
        """The first frame."""
        return self.first * SEGMENT_FRAMES

    @property
    def until(self) -> int:
        """The frame after the last one."""
        return min(self.end * SEGMENT_FRAMES, len(self.times))


def do_share(
    job: Job,
    derainer: Derainer | None,
    share: Share,
    on_segment: Callable[[int, bytes], None],
) -> bool:
    """Make the segments of a share, with the bytes that they have in the whole clip.

    Args:
        job: The clip, from its beginning to its end; segments are written beside its result.
        derainer: As for `derain.clips.pipeline.run`.
        share: What to do.
        on_segment: Called in another thread when a segment is finished, with its number and what
            `join_shares` takes of it.

    Returns:
        Whether all are made; otherwise those up to a place where the clip is damaged.

    Raises:
        OSError: If a file cannot be read or written.
        VideoError: If the frames cannot be decoded or encoded.
    """
    parts = Parts(job.target)
    parts.folder.mkdir(parents=True, exist_ok=True)
    try:
        _ShareWork(job, derainer, parts, share, on_segment).run()
    except _DamagedError:
        return False
    return True


def join_shares(job: Job, derainer: Derainer | None, segments: Iterable[bytes]) -> Result:
    """Do a clip of which shares are done.

    Args:
        job: As for `do_share`.
        derainer: The same.
        segments: Finished ones, from the first of the clip on.

    Raises:
        OSError: If a segment cannot be written.
    """
    parts = Parts(job.target)
    parts.open(facts_of(job, derainer), resume=False)
    checks: Checks = {}
    for number, packed in enumerate(segments):
        data, found = _unpacked(packed)
        parts.path(number).write_bytes(data)
        for place, check in found.items():
            # A frame that two shares have seen, and one of them otherwise, is none of the clip's.
            checks[place] = check if checks.get(place, check) == check else -1

    def work_of(*arguments: Any) -> Work:
        return _JoinWork(*arguments, checks=checks)

    (result,) = run([replace(job, resume=True)], derainer, work_of=work_of)
    if isinstance(result.error, VideoError):
        # As a whole it has other frames.
        (result,) = run([job], derainer)
    return result


Checks = dict[int, int]
"""Check sums of frames as they were decoded, by place in the clip."""


def _check_of(frame: Frame) -> int:
    check = 0
    for plane in frame.planes:
        check = zlib.crc32(np.ascontiguousarray(plane).data, check)
    return check


def _packed(segment: bytes, checks: Checks) -> bytes:
    index = json.dumps(list(checks.items())).encode()
    return segment + index + len(index).to_bytes(8, "big")


def _unpacked(data: bytes) -> tuple[bytes, Checks]:
    end = len(data) - 8 - int.from_bytes(data[-8:], "big")
    return data[:end], dict(json.loads(data[end:-8]))


class _DamagedError(Exception):
    """The frames are not those that the packets promise."""


class _ShareWork(Work):
    """The stages of a share."""

    def __init__(
        self,
        job: Job,
        derainer: Derainer | None,
        parts: Parts,
        share: Share,
        on_segment: Callable[[int, bytes], None],
    ) -> None:
        super().__init__(job, derainer, parts, silent, due=share.due)
        self._share, self._on_segment = share, on_segment
        self._seen: Queue[tuple[int, int]] = Queue()
        # Behind the last frame as many as its window needs, and whole batches.
        stop = share.until + (job.window or 0)
        self._stop = min(-(-stop // self._batch) * self._batch, len(share.times))

    def _decode(self) -> None:
        times, place = self._share.times, self._first
        with FrameReader(self._job.clip, start=self._start()) as reader:
            for decoded in reader:
                if reader.losses or place == len(times) or decoded.pts != times[place]:
                    raise _DamagedError
                planes = self._pixels.planes(decoded.frame)
                self._seen.put((place, _check_of(planes)))
                self._take(place, decoded.pts, planes)
                place += 1
                if place == self._stop < len(times):
                    break
        if reader.losses or place < self._stop:
            raise _DamagedError
        self._read.end()

    def _start(self) -> float:
        """Return a time between the first frame that is needed and the one before, in seconds."""
        if self._first == 0:
            return 0.0
        clip, times = self._job.clip, self._share.times
        between = times[self._first - 1] + times[self._first] - 2 * clip.first
        return float(between * clip.time_base / 2)

    def _is_due(self, place: int) -> bool:
        return self._share.due <= place < self._share.until

    def _add(self, segment: Segment) -> None:
        # All frames that it depends on have been read; each is noted once.
        seen = dict(self._seen.get() for _ in range(self._seen.qsize()))
        data = _packed(segment.path.read_bytes(), seen)
        self._on_segment(self._share.first + len(self.segments), data)
        segment.path.unlink()
        super()._add(segment)


class _JoinWork(Work):
    """The stages of a clip of which shares are done."""

    def __init__(self, *arguments: Any, checks: Checks) -> None:
        super().__init__(*arguments)
        self._checks = checks

    def _check(self, place: int, decoded: Decoded) -> None:
        super()._check(place, decoded)
        expected = self._checks.get(place)
        if expected is not None and _check_of(self._pixels.planes(decoded.frame)) != expected:
            raise self._differs()
