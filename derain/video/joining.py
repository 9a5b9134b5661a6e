"""Segments and the streams beside the video, joined in a container.

Times of frames are those of the clip, to half a tick of the container. Other streams are copied
packet by packet; what the container cannot hold is left out and named.
"""

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer, OutputContainer
from av.container.core import Flags
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from derain.files import replacing
from derain.machine import same_priority
from derain.progress import Progress, silent
from derain.video.clip import Clip, Companion, open_input, packets_of
from derain.video.encoding import CODECS, Encoder, Segment, codec_named
from derain.video.errors import VideoError, not_written
from derain.video.timecode import later


@dataclass(frozen=True)
class Container:
    """A file format.

    Attributes:
        muxer: FFmpeg's name of it.
        codecs: Of video that players find in it, by the names of `CODECS`.
        global_header: Parameters of decoders are stored once.
        reorders: Frames may be stored in another order without all times being set back.
        turns: It holds how frames become upright.
        constant: It holds a constant rate alone.
        chapters: It holds chapters.
        timecode: It holds the time code of the first frame.
    """

    muxer: str
    codecs: tuple[str, ...]
    global_header: bool = True
    reorders: bool = True
    turns: bool = False
    constant: bool = False
    chapters: bool = True
    timecode: bool = True


_MP4 = Container("mp4", ("h264", "h265", "av1", "vp9", "mpeg4"), turns=True)
_TS = Container(
    "mpegts",
    ("h264", "h265", "mpeg4"),
    global_header=False,
    reorders=False,
    chapters=False,
    timecode=False,
)

_AUTO = "auto"
"""Codec that depends on the result's container."""
_MATROSKA = ("matroska", "webm")
_COUNTED = ("DURATION", "NUMBER_OF_", "BPS", "_STATISTICS_")
"""What Matroska says of a stream's size, of another one."""
_OF_ENCODER = ("ENCODER", "ALPHA_MODE")
"""What it says of how the old frames were encoded."""
_LOOK = 256
"""Packets that are looked through for the first one of each stream."""
_OF_FORMAT = ("major_brand", "minor_version", "compatible_brands")
"""What MP4 says of itself, no tags of a user's."""

CONTAINERS: dict[str, Container] = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": Container("mov", ("h264", "h265", "mpeg4"), turns=True),
    ".mkv": Container("matroska", tuple(CODECS), turns=True),
    ".webm": Container("webm", ("av1", "vp9"), turns=True),
    ".ts": _TS,
    ".mts": _TS,
    ".m2ts": _TS,
    ".avi": Container(
        "avi",
        ("h264", "mpeg4", "ffv1"),
        global_header=False,
        reorders=False,
        constant=True,
        chapters=False,
    ),
    ".flv": Container("flv", ("h264",), reorders=False, chapters=False),
    ".3gp": Container("3gp", ("h264", "mpeg4"), turns=True, timecode=False),
}
"""By the suffix of a file name."""


def container_named(path: str | os.PathLike[str], codec: str) -> Container:
    """Return the container that a file name asks for.

    Args:
        path: The name of the result.
        codec: A name in `CODECS`.

    Raises:
        VideoError: If derain writes no such file, or not with this codec.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in CONTAINERS:
        raise VideoError(
            f"{path}: {suffix or 'a name without an ending'} is not a video format that derain"
            f" writes; expected a name in {' '.join(CONTAINERS)}"
        )
    container = CONTAINERS[suffix]
    if codec not in container.codecs:
        raise VideoError(
            f"{path}: {suffix} does not hold {codec}; expected the codec"
            f" {' or '.join(container.codecs)}, or a name in .mkv"
        )
    return container


def codec_for(name: str, path: str | os.PathLike[str] | None) -> str:
    """Return the codec of a result, a name in `CODECS`.

    Args:
        name: As the user named it; ``auto`` for H.264, or the usual codec of a container that does
            not hold that.
        path: The name of the result; None as long as derain chooses it.

    Raises:
        UsageError: If there is no such codec, or this build of PyAV lacks the encoder.
    """
    if name != _AUTO:
        return codec_named(name)
    container = CONTAINERS.get(Path(path).suffix.lower(), _MP4) if path is not None else _MP4
    return codec_named("h264" if "h264" in container.codecs else container.codecs[0])


def suffix_for(clip: Clip, codec: str) -> str:
    """Return the suffix of a result: the clip's own where it fits, else ``.mp4`` or ``.mkv``.

    Raises:
        OSError: If the clip cannot be read.
        VideoError: If it is no video any more.
    """
    own = clip.path.suffix.lower()
    if own in CONTAINERS and codec in CONTAINERS[own].codecs:
        return own
    if codec not in _MP4.codecs:
        return ".mkv"
    _, left_out = _sorted(clip, _MP4)
    return ".mkv" if left_out else ".mp4"


def join(
    clip: Clip,
    segments: Sequence[Segment],
    encoder: Encoder,
    path: str | os.PathLike[str],
    *,
    start: float = 0.0,
    end: float | None = None,
    progress: Progress = silent,
    name: str | os.PathLike[str] | None = None,
) -> list[str]:
    """Write segments as a video file, with the other streams of the clip.

    Args:
        clip: Where the frames are from.
        segments: All of them, in order.
        encoder: What has made them.
        path: The result; its suffix decides on the container.
        start: As the frames were read: if not 0, the first of them is shown at once.
        end: The same; packets of other streams that are shown later are left out.
        progress: Receives ``joining`` with how many packets of video are written.
        name: What errors call the result if it moves there afterwards; None for ``path``.

    Returns:
        What could not be kept, a line each.

    Raises:
        OSError: If a file cannot be read or written.
        VideoError: If there are no frames, or a segment is damaged.
    """
    container = container_named(path, encoder.codec)
    if not any(segment.pts for segment in segments):
        raise VideoError(f"{clip.path}: 0 frames to write; expected at least one")
    held, left_out = _sorted(clip, container)
    notes = [f"{companion} is left out: {container.muxer} cannot hold it" for companion in left_out]
    notes += _notes(clip, container, encoder, segments)
    span = _Span.of(clip, segments, start, end)
    with replacing(path) as draft:
        try:
            with open_input(clip.path) as source, _output(draft, container, clip) as target:
                muxer = _Muxer(source, target, clip, encoder, held, span)
                notes += muxer.write(segments, progress)
        except av.error.FFmpegError as error:
            raise not_written(error, name or path) from error
    return notes


def _notes(
    clip: Clip, container: Container, encoder: Encoder, segments: Sequence[Segment]
) -> Iterator[str]:
    """Yield what a container cannot hold, besides streams."""
    if clip.display_matrix and not container.turns:
        yield f"{container.muxer} cannot hold how the picture is turned; expected .mp4"
    if container.constant and not _is_constant(segments):
        yield f"{container.muxer} holds frames at a constant rate only: their times change"
    if clip.aspect not in (None, 1) and not tells_aspect(container, encoder):
        yield (
            f"the shape of its pixels ({clip.aspect}) is lost: {encoder.codec} in"
            f" {container.muxer} does not hold it; expected h264 or h265"
        )
    # Matroska has it in a tag, which is copied.
    if clip.stereo and not (container.muxer in _MATROSKA and "matroska" in clip.container):
        yield f"{container.muxer} does not get how the views of its two eyes lie"
    if clip.chapters and not container.chapters:
        yield f"{container.muxer} cannot hold chapters; expected .mp4 or .mkv"
    if clip.timecode and not container.timecode:
        yield f"{container.muxer} cannot hold the time code {clip.timecode}; expected .mp4 or .mkv"


def _is_constant(segments: Sequence[Segment]) -> bool:
    pts = [pts for segment in segments for pts in segment.pts]
    return len({later - earlier for earlier, later in pairwise(pts)}) <= 1


def tells_aspect(container: Container, encoder: Encoder) -> bool:
    """Return whether the codec holds the shape of pixels, or PyAV can give it to the container."""
    return encoder.codec in ("h264", "h265", "mpeg4") or container.muxer in ("mp4", "mov", "3gp")


@dataclass(frozen=True)
class _Span:
    """The part of the clip that is written.

    Attributes:
        shift: Seconds by which all times are set back.
        first: Packets of other streams count from this time on; None for all.
        end: Packets count that begin before it; None for all.
        offset: ``shift`` in ticks of the clip.
    """

    shift: Fraction
    first: Fraction | None
    end: Fraction | None
    offset: int

    @classmethod
    def of(
        cls, clip: Clip, segments: Sequence[Segment], start: float, end: float | None
    ) -> "_Span":
        first = next(segment.pts[0] for segment in segments if segment.pts)
        offset = first if start > 0 else 0
        return cls(
            shift=offset * clip.time_base,
            first=offset * clip.time_base if start > 0 else None,
            end=clip.ticks(end) * clip.time_base if end is not None else None,
            offset=offset,
        )

    def holds(self, time: Fraction) -> bool:
        return (self.first is None or time >= self.first) and (self.end is None or time < self.end)

    def of_chapter(self, chapter: Any) -> Any:
        """Return what of a chapter lies in the span, at its new time; None for nothing."""
        base = chapter["time_base"] or Fraction(1, 1_000_000)
        start, end = chapter["start"] * base, chapter["end"] * base
        start = start if self.first is None else max(start, self.first)
        end = end if self.end is None else min(end, self.end)
        if end <= start:
            return None
        return {
            **chapter,
            "start": round((start - self.shift) / base),
            "end": round((end - self.shift) / base),
        }


def open_output(
    path: str | os.PathLike[str],
    container: Container,
    *,
    flags: str = "",
    copies_times: bool = False,
) -> OutputContainer:
    """Open a file for packets; the same packets give the same bytes.

    Args:
        path: The file, whatever its suffix.
        container: What it becomes.
        flags: Further ``movflags`` of the MP4 family.
        copies_times: Whether MPEG-TS keeps times as they are given.
    """
    options: dict[str, str] = {}
    if container.muxer in ("mp4", "mov", "3gp"):
        # The index first: a browser begins before it has all.
        options["movflags"] = f"+faststart{flags}"
    elif container.muxer == "mpegts" and copies_times:
        options["mpegts_copyts"] = "1"
    output = av.open(f"file:{path}", "w", format=container.muxer, container_options=options)
    # Without random numbers and dates.
    output.flags |= Flags.bitexact.value
    return output


def add_video(output: OutputContainer, encoder: Encoder, time_base: Fraction) -> Any:
    """Add a stream for what an encoder makes, with times in ticks; return it."""
    video: Any = output.add_stream(encoder.library, rate=encoder.rate)
    encoder.set_up(video.codec_context)
    video.time_base = time_base
    if encoder.codec == "h265" and output.format.name in ("mp4", "mov"):
        video.codec_context.codec_tag = "hvc1"  # the one that Apple's players take
    return video


def _output(path: Path, container: Container, clip: Clip) -> OutputContainer:
    is_apples = any(key.startswith("com.") for key in _metadata_of(clip))
    flags = "+use_metadata_tags" if is_apples else ""
    return open_output(path, container, flags=flags, copies_times=True)


def _metadata_of(clip: Clip) -> dict[str, str]:
    with open_input(clip.path) as source:
        return dict(source.metadata)


def _sorted(
    clip: Clip, container: Container
) -> tuple[tuple[Companion, ...], tuple[Companion, ...]]:
    """Return the streams beside the video that are copied, and those that cannot be held.

    Those that only repeat a time code or chapters are neither: the container gets their content.
    """
    others = [each for each in clip.companions if not each.repeats]
    with open_input(clip.path) as source:
        packets = _first_packets(source, [each.index for each in others])
        fits = [
            _holds(container, source.streams[each.index], packets.get(each.index))
            for each in others
        ]
    pairs = list(zip(others, fits, strict=True))
    return tuple(c for c, fit in pairs if fit), tuple(c for c, fit in pairs if not fit)


def _first_packets(source: InputContainer, indices: Sequence[int]) -> "dict[int, Packet[Stream]]":
    """Return the first packet of each stream that has one near the beginning of the file."""
    stills = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [source.streams[k] for k in indices]
    wanted = {s.index for s in streams if s.type != "attachment" and not s.disposition & stills}
    found: dict[int, Packet[Stream]] = {}
    with suppress(av.error.FFmpegError):  # which stops the search where the file is damaged
        for packet in islice(packets_of(source, sorted(wanted)) if wanted else (), _LOOK):
            if packet.size:
                found.setdefault(packet.stream.index, packet)
            if len(found) == len(wanted):
                break
    return found


def _holds(container: Container, stream: Stream, packet: "Packet[Stream] | None") -> bool:
    """Return whether a container takes a stream, and gives it back as one of its kind.

    Args:
        container: What is asked.
        stream: The stream.
        packet: Its first one, which is changed; without it the stream's header alone is tried.
    """
    file = io.BytesIO()
    trial = av.open(file, "w", format=container.muxer)
    try:
        copy = trial.add_stream_from_template(stream, opaque=True)
        trial.start_encoding()
        if packet is not None:
            packet.stream = copy
            packet.pts = packet.dts = 0
            trial.mux(packet)
            trial.close()
    except (av.error.FFmpegError, ValueError):
        return False
    finally:
        # Some refuse to end a file without packets, which says nothing.
        with suppress(av.error.FFmpegError):
            trial.close()
    return packet is None or _kind_in(file) in (stream.type, "")


def _kind_in(file: io.BytesIO) -> str:
    """Return the kind of the one stream of a file, empty if one packet is too few to tell."""
    file.seek(0)
    try:
        with av.open(file) as written:
            return str(written.streams[0].type)
    except (av.error.FFmpegError, IndexError):
        return ""


class _Muxer:
    """Interleaves the packets of segments with those of the clip's other streams."""

    def __init__(
        self,
        source: InputContainer,
        target: OutputContainer,
        clip: Clip,
        encoder: Encoder,
        held: Sequence[Companion],
        span: _Span,
    ) -> None:
        self._source, self._target, self._clip, self._span = source, target, clip, span
        self._is_matroska = "matroska" in clip.container
        self._streams: dict[int, Stream] = {}
        self._last: dict[int, int] = {}
        self._dropped: dict[int, int] = {}
        kept = {companion.index for companion in held}
        target.metadata.update({k: v for k, v in source.metadata.items() if k not in _OF_FORMAT})
        # In the order of the clip.
        for stream in source.streams:
            if stream.index == clip.index:
                self._video = self._add_video(stream, encoder)
            elif stream.index in kept:
                copy = target.add_stream_from_template(stream, opaque=True)
                _describe(copy, stream)
                self._streams[stream.index] = copy
        self._add_chapters()
        self._add_timecode()
        with same_priority():
            target.start_encoding()

    def _add_video(self, stream: Stream, encoder: Encoder) -> VideoStream:
        video = add_video(self._target, encoder, self._clip.time_base)
        if self._clip.display_matrix:
            video.set_display_matrix(self._clip.display_matrix)
        _describe(video, stream)
        return video

    def _add_chapters(self) -> None:
        chapters = [self._span.of_chapter(chapter) for chapter in self._source.chapters()]
        kept = [chapter for chapter in chapters if chapter is not None]
        if kept:
            self._target.set_chapters(kept)

    def _add_timecode(self) -> None:
        """Give the result the time code of its first frame, once."""
        clip = self._clip
        if not clip.timecode:
            return
        elapsed = 0 if self._span.first is None else self._span.first - clip.first * clip.time_base
        text = later(clip.timecode, round(elapsed * clip.rate), clip.rate)
        for metadata in (self._target.metadata, self._video.metadata):
            for key in [key for key in metadata if key.lower() == "timecode"]:
                del metadata[key]
        # MP4 and QuickTime make a track of it.
        owner = self._video if self._target.format.name in ("mp4", "mov") else self._target
        owner.metadata["timecode"] = text

    def write(self, segments: Sequence[Segment], progress: Progress) -> list[str]:
        """Write all packets in the order of their times; return what was left out."""
        video = _Counted(self._video_packets(segments), progress, segments)
        for packet, time in self._companion_packets():
            while (waiting := video.before(time)) is not None:
                self._target.mux(waiting)
            self._mux_copy(packet)
        while (waiting := video.before(None)) is not None:
            self._target.mux(waiting)
        return [
            f"stream {index}: {count} packet{'s' * (count > 1)} left out, whose times go back"
            for index, count in self._dropped.items()
        ]

    def _video_packets(
        self, segments: Sequence[Segment]
    ) -> "Iterator[tuple[Packet[Any], Fraction]]":
        """Yield the packets of segments with the times at which they are decoded, in seconds."""
        clip = self._clip
        shown = [pts - self._span.offset for segment in segments for pts in segment.pts]
        stored = [
            segment.pts[packet.frame] - self._span.offset
            for segment in segments
            for packet in segment.packets
        ]
        # Decoded as early as the frame that has to wait longest for others needs.
        delay = max(early - late for early, late in zip(shown, stored, strict=True))
        ends = dict(pairwise(shown))
        usual = max(1, round(clip.frame_ticks))
        contents = (content for segment in segments for content in segment.read())
        for (facts, data), pts, place in zip(contents, stored, shown, strict=True):
            packet: Packet[Any] = Packet(data)
            packet.stream = self._video
            packet.time_base = clip.time_base
            packet.pts, packet.dts = pts, place - delay
            packet.duration = ends.get(pts, pts + usual) - pts
            packet.is_keyframe = facts.is_key
            yield packet, (place - delay) * clip.time_base

    def _companion_packets(self) -> "Iterator[tuple[Packet[Stream], Fraction]]":
        """Yield the packets of other streams that belong to the span, with their old times."""
        if not self._streams:
            return
        # Those of attachments are in the header.
        indices = [k for k in self._streams if self._source.streams[k].type != "attachment"]
        for packet in packets_of(self._source, indices) if indices else ():
            if packet.size and packet.stream.disposition & Disposition.attached_pic:
                # A cover has no time, and belongs to every part.
                packet.pts = packet.dts = round(self._span.shift / packet.time_base)
            ticks = packet.dts if packet.dts is not None else packet.pts
            if ticks is None:
                continue
            is_cover = packet.stream.disposition & Disposition.attached_pic
            time = (packet.pts if packet.pts is not None else ticks) * packet.time_base
            if not is_cover and not self._span.holds(time):
                continue
            yield packet, ticks * packet.time_base - self._span.shift

    def _mux_copy(self, packet: "Packet[Stream]") -> None:
        index = packet.stream.index
        shift = round(self._span.shift / packet.time_base)
        dts = packet.dts if packet.dts is not None else packet.pts
        assert dts is not None
        packet.dts = dts - shift
        packet.pts = (packet.pts if packet.pts is not None else dts) - shift
        # Sound before the first moment is not played, but makes a decoder ready. Matroska would set
        # all else back for it, unless it knows how long it is, as of another Matroska.
        if packet.pts < 0 and self._target.format.name in _MATROSKA and not self._is_matroska:
            return
        if packet.dts < self._last.get(index, packet.dts):
            self._dropped[index] = self._dropped.get(index, 0) + 1
            return
        self._last[index] = packet.dts
        packet.stream = self._streams[index]
        self._target.mux(packet)


class _Counted:
    """Packets of video, of which those that are due are taken, and reported."""

    def __init__(
        self,
        packets: "Iterator[tuple[Packet[Any], Fraction]]",
        progress: Progress,
        segments: Sequence[Segment],
    ) -> None:
        self._packets, self._progress = packets, progress
        self._total = sum(len(segment.pts) for segment in segments)
        self._done = 0
        self._next = next(packets, None)
        progress("joining", 0, self._total)

    def before(self, time: Fraction | None) -> "Packet[Any] | None":
        """Return the next packet if it is decoded up to a time, or at any time for None."""
        if self._next is None or (time is not None and self._next[1] > time):
            return None
        packet = self._next[0]
        self._next = next(self._packets, None)
        self._done += 1
        self._progress("joining", self._done, self._total)
        return packet


def _describe(copy: Stream, stream: Stream) -> None:
    """Copy the facts of a stream to another, except those that are counted again."""
    stale = (*_COUNTED, *_OF_ENCODER) if copy.type == "video" else _COUNTED
    copy.metadata.update(
        {key: value for key, value in stream.metadata.items() if not key.upper().startswith(stale)}
    )
    copy.disposition = stream.disposition
