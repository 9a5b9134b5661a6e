"""Derain frames on their way from one program to another.

    reading thread    a frame as soon as it is sent, make RGB
    calling thread    network
    steadying thread  make planes, temporal filter
    writing thread    each frame at once

A frame leaves when half a window has come after it, and few frames wait between two stages: what is
slower than a camera slows it down, and never falls behind it by more.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from numpy.typing import NDArray

from derain.clips.channels import Channel, Stages
from derain.clips.passing import Passing, derained
from derain.errors import UsageError
from derain.progress import Progress, silent
from derain.restore import Derainer
from derain.video.colours import Colours, Conversion, known_colours
from derain.video.errors import VideoError
from derain.video.frame import Frame
from derain.video.raw import (
    ByteSource,
    Form,
    RawFrame,
    colours_of,
    format_named,
    rate_of,
    read_frames,
    read_header,
    size_of,
)
from derain.video.temporal import TemporalFilter, check_work

ROOM = 2
"""Frames that wait between two stages."""


class Colouring(Protocol):
    """Turns planes into RGB, and adds changes: `derain.video.colours.Conversion`, or `Pixels`."""

    def rgb(self, frame: Frame, /) -> NDArray[Any]:
        """Return planes as an upright picture, (H, W, 3)."""
        ...

    def changed(self, frame: Frame, before: NDArray[Any], after: NDArray[Any], /) -> Frame:
        """Return planes with what has changed of such a picture."""
        ...


class Feed(Protocol):
    """A source of frames."""

    @property
    def colouring(self) -> Colouring:
        """For the frames."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of an upright frame."""
        ...

    def frames(self) -> Iterator[RawFrame]:
        """Yield the frames in order; each may be waited for."""
        ...


class Sink(Protocol):
    """Takes frames."""

    def write(self, frame: RawFrame, /) -> None:
        """Take a frame."""
        ...


@dataclass(frozen=True)
class Stream:
    """Frames that come from another program; a `Feed`.

    Attributes:
        source: Their bytes, without the header.
        form: What is the same of all of them.
        colouring: For them.
    """

    source: ByteSource
    form: Form
    colouring: Conversion

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a frame."""
        return self.form.width, self.form.height

    def frames(self) -> Iterator[RawFrame]:
        """Yield the frames as they come, see `derain.video.raw.read_frames`."""
        return read_frames(self.source, self.form)

    def notes(self, *, in_file: bool) -> list[str]:
        """Return what of the frames is not kept, a line each.

        Args:
            in_file: Whether they go to a video file.
        """
        notes: list[str] = []
        if self.form.format.has_alpha and in_file:
            notes.append("transparency is left out")
        if self.form.interlaced:
            stored = ", and stored as progressive" if in_file else ""
            notes.append(f"it is interlaced: each frame is derained whole{stored}")
        return notes


def open_stream(
    source: ByteSource,
    *,
    raw: str | None = None,
    pixel_format: str | None = None,
    rate: str | None = None,
    colours: str | None = None,
) -> Stream:
    """Return a stream of frames; the header of YUV4MPEG2 is read.

    Args:
        source: The stream.
        raw: Size of bare frames, such as ``1920x1080``; None for YUV4MPEG2, which says it.
        pixel_format: Of bare frames: a name in `derain.video.raw.FORMATS`.
        rate: Frames a second, such as ``25``; None for what the stream says.
        colours: Matrix and range of YUV, as ``bt709,full``; None for what the stream says, and what
            is usual at the size.

    Raises:
        UsageError: If something cannot be meant.
        OSError: If the stream cannot be read.
        VideoError: If it does not begin with a header.
    """
    said = colours_of(colours) if colours else Colours()
    speed = rate_of(rate) if rate else None
    if raw is None:
        if pixel_format is not None:
            raise UsageError(
                "is given by the stream itself; expected only together with the size of frames",
                option="pixel_format",
                value=pixel_format,
            )
        form = read_header(source)
    else:
        width, height = size_of(raw)
        if pixel_format is None:
            raise UsageError(
                "expected with a pixel format, such as rgb24",
                option="raw",
                value=raw,
            )
        form = Form(format_named(pixel_format), width, height)
    form = replace(form, rate=speed or form.rate, colours=form.colours.but(said))
    layout = form.format.layout
    known = known_colours(form.colours, layout, form.width, form.height)
    return Stream(source, form, Conversion(layout, known))


@dataclass(frozen=True)
class Piped:
    """The result of a stream.

    Attributes:
        frames: How many were written.
        seconds: From the first of them to the last one.
        error: Why there are not more, if they end where they should not.
        interrupted: The user did not want more.
        unsteadiness: As in `derain.clips.results.Result`.
    """

    frames: int
    seconds: float
    error: Exception | None = None
    interrupted: bool = False
    unsteadiness: tuple[float, float] | None = None


def pipe(
    feed: Feed,
    sink: Sink,
    derainer: Derainer | None,
    window: int | None,
    *,
    keeps: bool = False,
    progress: Progress = silent,
) -> Piped:
    """Derain frames as they come, and pass each on at once.

    The network works in the calling thread. If the frames end with an error of theirs, those before
    are written first.

    Args:
        feed: Iterated in a thread.
        sink: Written to in a thread.
        derainer: What takes the rain out; None for the temporal filter alone.
        window: Frames that help each other, odd; None for none.
        keeps: Whether the sink keeps what it has where the user interrupts the work, as a file
            does; otherwise nobody waits for it.
        progress: Gets reports of ``frames``.

    Raises:
        UsageError: If there is neither a network nor a window.
        OSError: If a frame cannot be written.
        KeyboardInterrupt: If the user interrupts the work, and the sink keeps nothing, or there is
            nothing to keep yet.
    """
    check_work(window, has_model=derainer is not None)
    return _Piping(feed, sink, derainer, window, progress).run(keeps=keeps)


class _Piping:
    """The stages of one stream."""

    def __init__(
        self,
        feed: Feed,
        sink: Sink,
        derainer: Derainer | None,
        window: int | None,
        progress: Progress,
    ) -> None:
        self._feed, self._sink, self._derainer = feed, sink, derainer
        self._colouring = feed.colouring
        width, height = feed.size
        self._batch = derainer.at_once(height, width) if derainer else 1
        self._progress = progress
        self._filter = TemporalFilter(window) if window else None
        self._read: Channel[Passing[RawFrame]] = Channel(max(ROOM, self._batch))
        self._restored: Channel[Passing[RawFrame]] = Channel(max(ROOM, self._batch))
        self._ready: Channel[RawFrame] = Channel(ROOM)
        self._written: Channel[None] = Channel(1)
        self._count = 0
        self._times = [0.0, 0.0]
        self._error: Exception | None = None

    def run(self, *, keeps: bool) -> Piped:
        """Do all frames."""
        interrupted = False
        with Stages([self._read, self._restored, self._ready, self._written]) as stages:
            # Either may wait for another program for ever, when the work here has ended.
            stages.start("derain-read", self._take, detached=True)
            stages.start("derain-steady", self._steady)
            stages.start("derain-write", self._write, detached=not keeps)
            try:
                self._restore()
                self._finish()
            except KeyboardInterrupt:
                if not keeps:
                    raise
                interrupted = True
                self._read.cancel()
                self._finish()
        if interrupted and not self._count:
            raise KeyboardInterrupt
        return Piped(
            self._count,
            self._times[1] - self._times[0],
            self._error,
            interrupted,
            self._filter.steadiness.found if self._filter else None,
        )

    def _take(self) -> None:
        try:
            for raw in self._feed.frames():
                rgb = self._colouring.rgb(raw.planes) if self._derainer else None
                self._read.put(Passing(raw, rgb))
        except (OSError, VideoError) as error:
            self._error = error  # when the frames before have arrived
        self._read.end()

    def _restore(self) -> None:
        """Let the network work on what is there, in a batch where that pays."""
        done = 0
        self._times[0] = time.monotonic()
        while batch := self._read.take(self._batch):
            for one in derained(batch, self._derainer):
                self._restored.put(one)
            if done == 0:
                self._progress("frames", 0, 0)
            done += len(batch)
            self._progress("frames", done, 0)

    def _finish(self) -> None:
        """Let the frames arrive that are on their way."""
        self._restored.end()
        for _ in self._written:
            pass

    def _steady(self) -> None:
        waiting: deque[RawFrame] = deque()
        for one in self._restored:
            planes = one.frame.planes
            if one.rgb is not None and one.clean is not None:
                planes = self._colouring.changed(planes, one.rgb, one.clean)
            waiting.append(one.frame)
            self._pass(waiting, self._filter.push(planes) if self._filter else [planes])
        self._pass(waiting, self._filter.flush() if self._filter else [])
        self._ready.end()

    def _pass(self, waiting: deque[RawFrame], frames: Iterable[Frame]) -> None:
        for planes in frames:
            self._ready.put(replace(waiting.popleft(), planes=planes))

    def _write(self) -> None:
        for frame in self._ready:
            self._sink.write(frame)
            self._count += 1
            self._times[1] = time.monotonic()
        self._written.end()
