"""A video file of frames alone, which come from pictures: no sound, and nothing to copy."""

import os
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import OutputContainer
from av.video.stream import VideoStream

from derain.errors import reason
from derain.files import replacing
from derain.video.clip import Clip, Colours
from derain.video.encoding import CODECS, Encoder, codec_named, encoder_for
from derain.video.errors import VideoError, system_error
from derain.video.joining import Container, container_named
from derain.video.pixels import video_frame
from derain.video.temporal import Frame

_PLAYED = "yuv420p"
"""What every player shows, where a codec holds it and both sides are even."""


def encoder_of_frames(
    path: str | os.PathLike[str],
    size: tuple[int, int],
    rate: Fraction,
    *,
    codec: str = "h264",
    crf: float | None = None,
    preset: str | None = None,
) -> Encoder:
    """Return how RGB frames of eight bits are encoded.

    Args:
        path: The result, whose suffix decides on the container.
        size: Width and height, in pixels.
        rate: Frames a second, on average.
        codec: As for `derain.video.encoding.encoder_for`, and so those that follow.

    Raises:
        UsageError: As `derain.video.encoding.encoder_for`.
        VideoError: If no video is written under this name.
    """
    width, height = size
    clip = Clip(
        path=Path(path),
        container="",
        index=0,
        codec="",
        width=width,
        height=height,
        format="rgb24",
        colours=Colours(),
        aspect=None,
        display_matrix=(),
        interlaced=False,
        time_base=1 / rate,
        rate=rate,
        first=0,
        duration=None,
        frames=None,
    )
    key = codec_named(codec)
    container = container_named(path, key)
    encoder = encoder_for(
        clip,
        codec=key,
        crf=crf,
        preset=preset,
        global_header=container.global_header,
        # In order, so that the container knows when the last one ends.
        reorders=False,
    )
    formats = av.Codec(CODECS[encoder.codec].library, "w").video_formats or ()
    names = [format.name for format in formats]
    if encoder.format.startswith("yuv") and _PLAYED in names and not (width % 2 or height % 2):
        return replace(encoder, format=_PLAYED, notes=())
    return encoder


def write_video(
    path: str | os.PathLike[str],
    frames: Iterable[tuple[Frame, int, int]],
    encoder: Encoder,
    time_base: Fraction,
) -> int:
    """Write frames as a video file, completely or not at all.

    Args:
        path: The file.
        frames: RGB planes of 8 bits, and for each when it is shown and for how long, in ticks.
        encoder: Of `encoder_of_frames`.
        time_base: Seconds of a tick.

    Returns:
        How many frames were written.

    Raises:
        OSError: If the file cannot be written.
        VideoError: If the encoder fails, or there are no frames.
    """
    container = container_named(path, encoder.codec)
    with replacing(path) as draft:
        try:
            with _opened(draft, container) as output:
                count = _encode(output, frames, encoder, time_base)
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):
                raise system_error(error, path) from error
            raise VideoError(f"{path}: cannot be written ({reason(error)})") from error
        if not count:
            raise VideoError(f"{path}: 0 frames to write; expected at least one")
    return count


def _opened(draft: Path, container: Container) -> OutputContainer:
    options = {"movflags": "faststart"} if container.muxer in ("mp4", "mov", "3gp") else {}
    return av.open(f"file:{os.fspath(draft)}", "w", format=container.muxer, options=options)


def _encode(
    output: OutputContainer,
    frames: Iterable[tuple[Frame, int, int]],
    encoder: Encoder,
    time_base: Fraction,
) -> int:
    stream: Any = output.add_stream(encoder.library)
    assert isinstance(stream, VideoStream)
    encoder.set_up(stream.codec_context)
    # Frames of pictures need not follow each other at a constant rate.
    stream.codec_context.time_base = stream.time_base = time_base
    lasting: dict[int, int] = {}
    count = 0
    for frame, pts, ticks in frames:
        made = video_frame(frame, encoder.layout, encoder.format, encoder.colours)
        made.pts, made.time_base = pts, time_base
        made.colorspace, made.color_range = encoder.tags.matrix, encoder.tags.range
        lasting[pts] = ticks
        _mux(output, stream, stream.encode(made), lasting)
        count += 1
    if count:
        _mux(output, stream, stream.encode(None), lasting)
    return count


def _mux(
    output: OutputContainer, stream: VideoStream, packets: Iterable[Any], lasting: dict[int, int]
) -> None:
    for packet in packets:
        # Of the last one nothing else says how long it is shown.
        packet.duration = lasting.pop(packet.pts, packet.duration or 0)
        packet.stream = stream
        output.mux(packet)
