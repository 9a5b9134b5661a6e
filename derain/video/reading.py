"""Frames out of a video file, in order, past what is damaged."""

import heapq
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from types import TracebackType

from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from derain.files import listed
from derain.video.clip import (
    Clip,
    colours_of,
    facts_of,
    is_cut_off,
    open_input,
    packets_of,
)
from derain.video.errors import VideoError, clock
from derain.video.side_data import side_data_of

_BACK = 10.0
"""Seconds that are gone back further where searching has led behind the frame that is wanted."""
_REST = 2.0
"""Seconds behind the frame before within which a packet at the end has a time to be trusted."""
_GAP = 1.5
"""Frames of average length from which on a pause counts as a gap, if packets lie in it."""
_ONE_THREAD = ("vp8", "vp9")
"""Decoders that make other pixels of damaged packets each time, if several threads decode."""
_LOST = {
    "A53_CC": "closed captions",
    "SPHERICAL": "the projection of a 360 degree video",
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DYNAMIC_HDR_VIVID": "HDR Vivid",
    "DOVI_METADATA": "Dolby Vision",
    "DOVI_RPU_BUFFER": "Dolby Vision",
    "AMBIENT_VIEWING_ENVIRONMENT": "the ambient light of HDR",
    "AFD": "the active format description",
    "S12M_TIMECODE": "time codes of single frames",
    "ICC_PROFILE": "a colour profile",
}
"""Side data of frames that encoders are not given, with names for the user."""
_ESTIMATED = ("mpegts", "mpeg")
"""Formats that do not say how long they last."""


@dataclass(frozen=True)
class Decoded:
    """A frame as the decoder gave it.

    Attributes:
        pts: When it is shown, in ticks of the clip's time base; larger than that of the frame
            before.
        frame: Its pixels, as they are stored.
    """

    pts: int
    frame: VideoFrame


@dataclass(frozen=True)
class Loss:
    """Frames beside each other that are missing, or not as they were recorded.

    Attributes:
        first: ``pts`` of the first one.
        end: ``pts`` at which the last one ends.
        count: How many there are.
        missing: They could not be decoded at all. Otherwise the decoder has guessed at parts.
    """

    first: int
    end: int
    count: int
    missing: bool


def open_clip(path: str | os.PathLike[str], *, start: float = 0.0) -> Clip:
    """Return what a video file holds; nothing of it stays open.

    Args:
        path: The file.
        start: Seconds after the first frame of a frame whose size and kind are those of the clip:
            where `FrameReader` is to begin.

    Raises:
        OSError: If the file cannot be read.
        VideoError: If it holds no video that can be decoded, or none there; says why.
    """
    clip = facts_of(path)
    if start <= 0:
        return clip
    with FrameReader(clip, start=start, same_size=False) as reader:
        for decoded in reader:
            frame = decoded.frame
            return replace(
                clip,
                width=frame.width,
                height=frame.height,
                format=frame.format.name,
                colours=colours_of(frame),
                interlaced=frame.interlaced_frame,
            )
    ends = f"ends at {clock(float(clip.duration))}, and " if clip.duration else ""
    raise VideoError(
        f"{path}: {ends}has no frame from {clock(start)} on; expected an earlier start"
    )


class FrameReader:
    """Decodes a clip, or a part of it, from its beginning to its end.

    An iterator of `Decoded` and a context manager; one thread has to iterate and close. The same
    part of the same file gives the same frames. No more frames are held than the decoder needs.

    Args:
        clip: What to decode.
        start: Seconds after the first frame; frames that are shown earlier are left out.
        end: Seconds after the first frame; frames from there on are left out.
        threads: How many the decoder may use.
        same_size: Whether frames of another size than the clip's are refused.

    Attributes:
        losses: What has been found missing or damaged so far.

    Raises:
        OSError: While iterating, if the file cannot be read.
        VideoError: While iterating, if frames change their size.
    """

    def __init__(
        self,
        clip: Clip,
        *,
        start: float = 0.0,
        end: float | None = None,
        threads: int = 2,
        same_size: bool = True,
    ) -> None:
        self.clip = clip
        self.losses: list[Loss] = []
        self._threads = threads
        self._same_size = same_size
        self._start = clip.ticks(start) if start > 0 else None
        self._end = clip.ticks(end) if end is not None else None
        self._usual = max(1, round(clip.frame_ticks))
        self._packets: list[int] = []  # a heap of times of packets that gave no frame so far
        self._failures = 0
        self._unexplained = 0  # failures since the last loss
        self._last: int | None = None
        self._shift = 0
        self._wrong_times = 0
        self._side_data: set[str] = set()
        self._frames = self._all()

    def __iter__(self) -> Iterator[Decoded]:
        return self

    def __next__(self) -> Decoded:
        decoded = next(self._frames)
        self._side_data |= side_data_of(decoded.frame).keys()
        return decoded

    def __enter__(self) -> "FrameReader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; there are no more frames."""
        self._frames.close()

    def notes(self) -> list[str]:
        """Return what a user should know of the frames that were read, a line each."""
        lost = [loss for loss in self.losses if loss.missing]
        damaged = [loss for loss in self.losses if not loss.missing]
        notes = [
            _note_of(self.clip, losses, what)
            for losses, what in ((lost, "lost"), (damaged, "damaged"))
            if losses
        ]
        if self._wrong_times:
            notes.append(f"{_frames(self._wrong_times)} had times out of order, which were changed")
        left_out = dict.fromkeys(name for key, name in _LOST.items() if key in self._side_data)
        if left_out:
            notes.append(f"not kept: {', '.join(left_out)}")
        return [*notes, *self._cut_off()]

    def _cut_off(self) -> list[str]:
        """Say so where there should be more frames than could be read."""
        clip = self.clip
        if self._end is not None or self._last is None:
            return []
        end = max([self._last + self._usual, *(loss.end for loss in self.losses)])
        there = clip.seconds(end)
        # The last frame may last longer, and many files are wrong by a few.
        slack = max(1.0, 5 / float(clip.rate))
        known = clip.duration is not None and clip.container not in _ESTIMATED
        if known and there + slack <= float(clip.duration or 0):
            full = clock(float(clip.duration or 0))
            return [f"the file is cut off: it should end at {full}, and ends at {clock(there)}"]
        if is_cut_off(clip.path):
            return [f"the file is cut off: its video ends at {clock(there)}"]
        return []

    def _all(self) -> Generator[Decoded]:
        """Yield the frames of the part, each when the time of the next is known."""
        held: Decoded | None = None
        for frame in self._found():
            pts = self._time_of(frame, held)
            if held is not None and pts <= held.pts:
                held, pts = self._put_in_order(held, pts)
            if held is not None:
                yield from self._given(held)
            if self._end is not None and pts >= self._end:
                return
            held = Decoded(pts, frame)
        if held is not None:
            yield from self._given(held)
        self._lose_rest()

    def _time_of(self, frame: VideoFrame, before: Decoded | None) -> int:
        if (time := self._own_time(frame)) is not None:
            return time + self._shift
        if before is None:
            return self.clip.first
        if self.clip.delay is not None:
            # At the end, the decoder gives what it holds without times.
            step = self._usual if self._last is None else before.pts - self._last
            later = (pts for pts in self._packets if pts > before.pts + step // 2)
            return min(later, default=before.pts + step)
        return before.pts + self._usual

    def _own_time(self, frame: VideoFrame) -> int | None:
        """Return when a frame is shown, as the file or the decoder says; None if neither does."""
        if self.clip.delay is None:
            return frame.pts
        return None if frame.dts is None else frame.dts - self.clip.delay

    def _put_in_order(self, held: Decoded, pts: int) -> tuple[Decoded, int]:
        """Change the time of one of two frames, of which the later has not a later time.

        One of the two is wrong: the former, where the latter fits behind the frame before. Else
        the file begins to count again, and what follows is shifted.
        """
        self._wrong_times += 1
        if self._last is None:
            return replace(held, pts=pts - self._usual), pts
        if pts - self._last >= 2:
            return replace(held, pts=(self._last + pts) // 2), pts
        shift = held.pts + self._usual - pts
        self._shift += shift
        self._packets.clear()
        return held, pts + shift

    def _given(self, decoded: Decoded) -> Iterator[Decoded]:
        """Yield a frame if it belongs to the part, and note what is missing before it."""
        if self._start is not None and decoded.pts < self._start:
            self._last = decoded.pts
            return
        self._check_size(decoded)
        missing: list[int] = []
        while self._packets and self._packets[0] <= decoded.pts:
            pts = heapq.heappop(self._packets)
            if pts != decoded.pts and (self._last is None or pts > self._last):
                missing.append(pts)
        apart = decoded.pts - self._last if self._last is not None else 0
        # A packet need not give a frame: some hold half a frame, or one that is never shown.
        # Times that the decoder has counted are not quite those of packets.
        gap = self.clip.delay is None and apart > _GAP * self._usual
        if missing and (self._failures or gap):
            self._lose(Loss(missing[0], decoded.pts, len(missing), missing=True))
        elif gap and self._unexplained and self._last is not None:
            # The time of the packet was damaged, too.
            count = max(1, round(apart / self._usual) - 1)
            self._lose(Loss(self._last + self._usual, decoded.pts, count, missing=True))
        if decoded.frame.is_corrupt:
            self._lose(Loss(decoded.pts, decoded.pts + self._usual, 1, missing=False))
        self._last = decoded.pts
        yield decoded

    def _lose(self, loss: Loss) -> None:
        """Take down a loss, together with one of its kind that it follows."""
        self._unexplained = 0
        before = self.losses[-1] if self.losses else None
        if before and before.missing == loss.missing and loss.first - before.end <= self._usual:
            joined = before.count + loss.count
            self.losses[-1] = Loss(before.first, loss.end, joined, missing=loss.missing)
        else:
            self.losses.append(loss)

    def _lose_rest(self) -> None:
        """Take down the packets at the end that gave no frame."""
        last = self._last if self._last is not None else self.clip.first
        rest: list[int] = []
        for pts in sorted(pts for pts in self._packets if pts > last):
            # Damage may also be in a time, which then lies far off.
            if (pts - last) * self.clip.time_base > _REST:
                break
            rest.append(pts)
            last = pts
        if rest:
            self._lose(Loss(rest[0], last + self._usual, len(rest), missing=True))

    def _found(self) -> Iterator[VideoFrame]:
        """Yield frames from the start, or from one that is shown before it."""
        if self._start is None:
            yield from self._decoded(None)
            return
        back = round(_BACK / self.clip.time_base)
        for place in (self._start, self._start - back, None):
            frames = self._decoded(place)
            first = next(frames, None)
            time = self._own_time(first) if first is not None else None
            reached = time is not None and time <= self._start
            if first is not None and (reached or place is None):
                yield first
                yield from frames
                return
            frames.close()
            self._packets.clear()

    def _decoded(self, place: int | None) -> Generator[VideoFrame]:
        """Yield frames as the decoder gives them, from the key frame before a place on."""
        with open_input(self.clip.path) as container:
            stream = container.streams[self.clip.index]
            assert isinstance(stream, VideoStream)
            several = stream.codec_context.name not in _ONE_THREAD
            stream.codec_context.thread_count = self._threads if several else 1
            stream.codec_context.thread_type = "AUTO"
            if place is not None:
                try:
                    container.seek(place, stream=stream)
                except FFmpegError:
                    return
            for packet in packets_of(container, [stream.index]):
                in_part = self._start is None or (packet.pts or 0) >= self._start
                if packet.pts is not None and in_part and not packet.is_discard:
                    heapq.heappush(self._packets, packet.pts + self._shift)
                try:
                    frames = packet.decode()
                except FFmpegError:
                    self._failures += 1
                    self._unexplained += 1
                    continue
                for frame in frames:
                    if isinstance(frame, VideoFrame):
                        yield frame

    def _check_size(self, decoded: Decoded) -> None:
        clip, frame = self.clip, decoded.frame
        if not self._same_size or (frame.width, frame.height) == (clip.width, clip.height):
            return
        place = clip.seconds(decoded.pts)
        raise VideoError(
            f"{clip.path}: its frames change from {clip.width}x{clip.height} to"
            f" {frame.width}x{frame.height} at {clock(place)}; expected one size: derain the parts"
            f" one by one, with end={place:.3f} and start={place:.3f}"
        )


def _note_of(clip: Clip, losses: list[Loss], what: str) -> str:
    places = [
        f"{clock(clip.seconds(loss.first))} to {clock(clip.seconds(loss.end))}" for loss in losses
    ]
    count = _frames(sum(loss.count for loss in losses))
    return f"the file is damaged: {count} {what}, from {listed(places)}"


def _frames(count: int) -> str:
    return f"{count} frame{'' if count == 1 else 's'}"
