"""Open a video file: the facts of its frames, and the streams beside them.

This module imports PyAV: importers ask for that first (`derain.extras.require`).
"""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.packet import Packet
from av.stream import Discard, Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from derain.files import is_special
from derain.video.colours import Colours
from derain.video.errors import VideoError, system_error, words_of
from derain.video.hdr import Hdr, hdr_of
from derain.video.side_data import display_matrix_of, side_data_of
from derain.video.timecode import is_timecode

_MP4 = (b"moov", b"mdat", b"ftyp", b"free", b"wide", b"skip", b"uuid")
_UPRIGHT = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_TRIES = 100
"""How often in a row reading a packet may fail before the rest of a file is given up."""
_NO_TIMES_SHOWN = ("avi", "asf")
"""Formats that say when packets are decoded, and not when frames are shown."""
_FRAMES_TRIED = 250
"""Frames within which a decoder that may change their order does so: those of some seconds."""
_NO_CLIPS = ("tty", "image2", "hls", "concat", "dash", "sdp")
"""What FFmpeg opens as video, but holds none: text, pictures, lists of other files."""


@dataclass(frozen=True)
class Companion:
    """A stream beside the video.

    Attributes:
        index: Its place in the file.
        kind: ``audio``, ``subtitle``, ``data``, ``attachment``, or ``video`` for a cover picture
            or a second view.
        codec: Its name, empty where FFmpeg knows none.
        repeats: ``timecode`` or ``chapters`` if it holds nothing but what the clip says of them,
            else empty.
    """

    index: int
    kind: str
    codec: str
    repeats: str = ""

    def __str__(self) -> str:
        name = self.codec or self.repeats
        return f"{self.kind} stream {self.index}{f' ({name})' if name else ''}"


@dataclass(frozen=True)
class Clip:
    """A video file that can be decoded; nothing of it is kept open.

    Attributes:
        path: The file.
        container: FFmpeg's names of its format, such as ``mov,mp4,m4a,3gp,3g2,mj2``.
        index: The video stream that is derained.
        codec: Name of its decoder.
        width: Of its frames as they are stored, in pixels.
        height: The same.
        format: Pixel format of its frames, as FFmpeg calls it.
        colours: How levels become colours.
        aspect: Shape of a pixel, width over height; None where the file does not say.
        display_matrix: Nine integers that turn stored frames upright, empty if they are.
        interlaced: Each frame holds the lines of two moments.
        time_base: Seconds in a tick of ``pts``.
        rate: Frames a second, on average.
        first: ``pts`` of the first frame.
        duration: Seconds, None where the file does not say.
        frames: How many there should be, None where nothing says.
        companions: The other streams.
        timecode: Of the first frame, empty where the file has none.
        chapters: How many the file has.
        hdr: What the first frame says of the display that it was graded on.
        stereo: The first frame holds the views of two eyes, or one of them.
        hidden_alpha: Transparency lies beside the frames, where the decoder does not look (VP8 and
            VP9).
        delay: Ticks from when a frame is shown to when the decoder gives it. None where frames have
            times of their own; else their ``pts`` are those of packets in the order of the file.
    """

    path: Path
    container: str
    index: int
    codec: str
    width: int
    height: int
    format: str
    colours: Colours
    aspect: Fraction | None
    display_matrix: tuple[int, ...]
    interlaced: bool
    time_base: Fraction
    rate: Fraction
    first: int
    duration: Fraction | None
    frames: int | None
    companions: tuple[Companion, ...] = ()
    timecode: str = ""
    chapters: int = 0
    hdr: Hdr = field(default_factory=Hdr)
    stereo: bool = False
    hidden_alpha: bool = False
    delay: int | None = None

    @property
    def frame_ticks(self) -> Fraction:
        """Ticks of the time base from one frame to the next, on average."""
        return 1 / (self.rate * self.time_base)

    def seconds(self, pts: int | Fraction) -> float:
        """Return the time of a tick, counted from the first frame."""
        return float((pts - self.first) * self.time_base)

    def ticks(self, seconds: float) -> int:
        """Return the ``pts`` of a time that is counted from the first frame, rounded up."""
        ticks = Fraction(seconds).limit_denominator(1_000_000) / self.time_base
        return self.first - (-ticks.numerator // ticks.denominator)


def facts_of(path: str | os.PathLike[str]) -> Clip:
    """Return what a video file holds; its first frame is decoded for that.

    Raises:
        OSError: If the file cannot be read.
        VideoError: If it holds no video that can be decoded; says why.
    """
    with open_input(path) as container:
        stream = _video_stream(container, path)
        frame = _first_frame(container, stream, path)
        clip = _clip(Path(path), container, stream, frame)
    return replace(clip, delay=_delay(clip)) if clip.container in _NO_TIMES_SHOWN else clip


def open_input(path: str | os.PathLike[str]) -> InputContainer:
    """Open a local file with PyAV; what it refers to elsewhere is not followed.

    Raises:
        OSError: If the file cannot be read.
        VideoError: If it is no video file.
    """
    if is_special(path):
        raise VideoError(
            f"{path}: a pipe or a device; expected a file, or - for frames from standard input"
        )
    with Path(path).open("rb") as file:
        head = file.read(1)
    if not head:
        raise VideoError(f"{path}: is empty; expected a video")
    try:
        container = av.open(
            # With "file:", no name is taken for an address.
            f"file:{os.fspath(path)}",
            container_options={"protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    except FFmpegError as error:
        raise _unreadable(Path(path), error) from error
    if container.format.name in _NO_CLIPS or container.format.name.endswith("_pipe"):
        kind = container.format.long_name
        container.close()
        raise VideoError(f"{path}: is not a video but {kind}; expected a file such as MP4 or MKV")
    return container


def _unreadable(path: Path, error: Exception) -> Exception:
    if isinstance(error, OSError):
        return system_error(error, path)
    if _lacks_index(path):
        return VideoError(
            f"{path}: is cut off before its index (moov), without which no frame can be found;"
            " copy it again, or repair the recording"
        )
    if isinstance(error, EOFError):
        return VideoError(f"{path}: has 0 frames: it ends with its header; expected a video")
    if not isinstance(error, ValueError):
        return VideoError(f"{path}: cannot be opened ({words_of(error)}); expected a video")
    return VideoError(f"{path}: is not a readable video; expected a file such as MP4 or MKV")


def _lacks_index(path: Path) -> bool:
    """Return whether a file is an MP4 or MOV without the box that says where frames are."""
    known = 0
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        place = 0
        while place + 8 <= end:
            file.seek(place)
            head = file.read(16)
            size, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if size == 1:
                size = int.from_bytes(head[8:], "big")
            if kind not in _MP4:
                break
            if kind == b"moov" and place + size <= end:
                return False
            known += 1
            if size < 8:
                break
            place += size
    return known > 0


def is_cut_off(path: Path) -> bool:
    """Return whether a file says that it is longer: MP4, AVI and Matroska do, where complete."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(4096)
        if head[:4] == b"RIFF":
            return int.from_bytes(head[4:8], "little") + 8 > end
        if head[:4] == _EBML:
            place = head.find(_SEGMENT)
            width = 9 - head[place + 4].bit_length() if 0 <= place < len(head) - 12 else 0
            size = int.from_bytes(head[place + 4 : place + 4 + width], "big") & (1 << 7 * width) - 1
            # All ones: of a stream whose length nobody knew.
            known = 0 < width <= 8 and size != (1 << 7 * width) - 1
            return known and place + 4 + width + size > end
        place = 0
        while place + 8 <= end:
            file.seek(place)
            box = file.read(16)
            size = int.from_bytes(box[:4], "big")
            if box[4:8] not in _MP4:
                return False
            place += int.from_bytes(box[8:], "big") if size == 1 else (size or end)
    return place > end


def _video_stream(container: InputContainer, path: str | os.PathLike[str]) -> VideoStream:
    stills = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [s for s in container.streams.video if not s.disposition & stills]
    if not streams:
        kinds = sorted({str(stream.type) for stream in container.streams})
        found = f", only {' and '.join(kinds)}" if kinds else ""
        raise VideoError(f"{path}: has no video stream{found}; expected a video")
    # The one that is marked, else the largest.
    stream = max(streams, key=_preference)
    if getattr(stream, "codec_context", None) is None:
        raise VideoError(
            f"{path}: its video codec cannot be decoded by this build of FFmpeg;"
            " convert it to H.264 first"
        )
    return stream


def _preference(stream: VideoStream) -> tuple[bool, int]:
    context: Any = stream.codec_context
    size = context.width * context.height if context is not None else 0
    return bool(stream.disposition & Disposition.default), size


def _first_frame(
    container: InputContainer, stream: VideoStream, path: str | os.PathLike[str]
) -> VideoFrame:
    last: Exception | None = None
    for packet in packets_of(container, [stream.index]):
        try:
            for frame in packet.decode():
                if isinstance(frame, VideoFrame):
                    return frame
        except FFmpegError as error:
            last = error
    why = f" ({words_of(last)})" if last else ""
    raise VideoError(
        f"{path}: has 0 frames that can be decoded{why}; expected a video"
        f"{' in a codec that this build of FFmpeg decodes' if last else ''}"
    )


def _delay(clip: Clip) -> int | None:
    """Return the ``delay`` of a clip in a format that does not say when frames are shown.

    Its packets have a ``pts`` in the order of the file. If the decoder gives frames in another
    order, these are wrong, and its ``dts`` count what is shown (as in FFmpeg's
    ``best_effort_timestamp``).
    """
    with open_input(clip.path) as container:
        stream = container.streams[clip.index]
        if not (isinstance(stream, VideoStream) and stream.codec_context.has_b_frames):
            return None
        frames = itertools.islice(_frames_of(container, stream), _FRAMES_TRIED)
        times = ((f.pts, f.dts) for f in frames if f.pts is not None and f.dts is not None)
        delay: int | None = None
        for (pts, dts), (next_pts, next_dts) in itertools.pairwise(times):
            delay = dts - pts if delay is None else delay
            if next_dts <= dts:
                return None
            if next_pts <= pts:
                return delay
    return None


def _frames_of(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Yield the frames of a stream past packets that cannot be decoded."""
    for packet in packets_of(container, [stream.index]):
        with suppress(FFmpegError):
            for frame in packet.decode():
                if isinstance(frame, VideoFrame):
                    yield frame


def packets_of(container: InputContainer, indices: Sequence[int]) -> Iterator["Packet[Stream]"]:
    """Yield the packets of some streams, past places that cannot be read.

    The last packet of each stream is empty: it makes a decoder give what it still holds.
    """
    failures = 0
    while failures < _TRIES:
        try:
            for packet in container.demux([container.streams[k] for k in indices]):
                failures = 0
                yield packet
            return
        except InvalidDataError:
            failures += 1


def _clip(path: Path, container: InputContainer, stream: VideoStream, frame: VideoFrame) -> Clip:
    time_base = stream.time_base or Fraction(1, 90_000)
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate or Fraction(25)
    first = frame.pts if frame.pts is not None else 0
    duration = _duration(container, stream, first * time_base)
    frames = stream.frames or (round(duration * rate) if duration else None)
    timecode = _timecode(container, stream, rate)
    side_data = side_data_of(frame)
    return Clip(
        path=path,
        container=container.format.name,
        index=stream.index,
        codec=stream.codec_context.name,
        width=frame.width,
        height=frame.height,
        format=frame.format.name,
        colours=colours_of(frame),
        aspect=stream.sample_aspect_ratio or None,
        display_matrix=_display_matrix(frame),
        interlaced=frame.interlaced_frame,
        time_base=time_base,
        rate=rate,
        first=first,
        duration=duration,
        frames=frames,
        companions=tuple(
            Companion(
                other.index,
                str(other.type),
                _codec_of(other),
                _repeated(container, other, timecode),
            )
            for other in container.streams
            if other.index != stream.index
        ),
        timecode=timecode,
        chapters=len(container.chapters()),
        hdr=hdr_of(side_data),
        # The first number is the arrangement of the views, 0 for a single one.
        stereo=any(bytes(side_data.get("STEREO3D", b""))[:4]),
        hidden_alpha=tag_of(stream.metadata, "alpha_mode") == "1",
    )


def tag_of(metadata: Mapping[str, str], name: str) -> str:
    """Return a tag, whose name a container may write in capitals; empty if there is none."""
    return next((text for key, text in metadata.items() if key.lower() == name), "")


def _timecode(container: InputContainer, stream: VideoStream, rate: Fraction) -> str:
    """Return the time code of the first frame; that of the video comes first."""
    others = [other for other in container.streams if other.type == "data"]
    for each in (stream, container, *others):
        text = tag_of(each.metadata, "timecode")
        if is_timecode(text, rate):
            return text
    return ""


def _repeated(container: InputContainer, stream: Stream, timecode: str) -> str:
    """Return what a stream of MP4 or QuickTime only says again, see `Companion`."""
    if stream.type != "data" or _codec_of(stream):
        return ""
    if timecode and tag_of(stream.metadata, "timecode") == timecode:
        return "timecode"
    # FFmpeg reads the titles of chapters from such a stream, and nothing else.
    if stream.discard == Discard.all and container.chapters():
        return "chapters"
    return ""


def colours_of(frame: VideoFrame) -> Colours:
    """Return how the levels of a frame become colours, as far as it says."""
    return Colours(
        int(frame.color_range),
        int(frame.colorspace),
        int(frame.color_primaries),
        int(frame.color_trc),
    )


def _codec_of(stream: Any) -> str:
    context = stream.codec_context
    return context.name if context is not None else ""


def _display_matrix(frame: VideoFrame) -> tuple[int, ...]:
    matrix = display_matrix_of(frame)
    return () if matrix == _UPRIGHT else matrix


def _duration(container: InputContainer, stream: VideoStream, first: Fraction) -> Fraction | None:
    """Return how long the video lasts by the file's own account.

    Args:
        container: The file.
        stream: The video.
        first: When its first frame is shown, in seconds.
    """
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    # Matroska says beside each stream when it ends.
    texts = (text for key, text in stream.metadata.items() if key.upper().startswith("DURATION"))
    parts = next(texts, "").split(":")
    if len(parts) == 3 and all(part.replace(".", "", 1).isdecimal() for part in parts):
        hours, minutes, seconds = map(Fraction, parts)
        end = (hours * 60 + minutes) * 60 + seconds
        return end - first if end > first else None
    # Of the whole file it may be that of the sound.
    if container.duration and len(container.streams) == 1:
        return Fraction(container.duration, 1_000_000)
    return None
