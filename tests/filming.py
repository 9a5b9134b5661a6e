"""Clips for tests, filmed by PyAV: a photograph that moves, and what else a file may hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import skimage.data
from av.video.frame import PictureType

from derain.machine import same_priority
from derain.video.clip import Clip
from derain.video.encoding import Encoder, Segment, SegmentWriter, encoder_for, read_segment
from derain.video.joining import container_named, join
from derain.video.pixels import Pixels
from derain.video.reading import FrameReader, open_clip

QUARTER = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
"""A display matrix: a quarter turn clockwise, of a telephone that is held upright."""


@dataclass(frozen=True)
class Film:
    """What is filmed.

    Attributes:
        times: When frames are shown, in ticks.
        tags: Of the encoder: ``color_range``, ``colorspace`` and others.
        in_order: How many of the first frames are no B-frames.
        extra: Adds streams to the container before the first packet, and returns packets.
    """

    times: Sequence[int] = tuple(range(30))
    time_base: Fraction = Fraction(1, 25)
    size: tuple[int, int] = (64, 48)
    format: str = "yuv420p"
    codec: str = "libx264"
    options: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, Any] = field(default_factory=dict)
    matrix: Sequence[int] = ()
    sound: bool = False
    sound_codec: str = "aac"
    subtitles: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    stream_metadata: Mapping[str, str] = field(default_factory=dict)
    chapters: Sequence[tuple[int, int, str]] = ()
    attachment: bytes = b""
    global_options: Mapping[str, str] = field(default_factory=dict)
    in_order: int = 0


def picture(k: int, size: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return frame k: another part of a photograph each time, (H, W, 3)."""
    width, height = size
    photo = skimage.data.astronaut()
    shifted = np.roll(photo, -3 * k, axis=1)[40:360, 40:440]
    return cv2.resize(shifted, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)


@same_priority()
def film(path: Path, scene: Film = Film()) -> Path:
    """Write a clip."""
    with av.open(str(path), "w", options=dict(scene.global_options)) as target:
        target.metadata.update(scene.metadata)
        video: Any = target.add_stream(scene.codec, rate=round(1 / scene.time_base) or 1)
        video.metadata.update(scene.stream_metadata)
        video.width, video.height = scene.size
        video.pix_fmt = scene.format
        video.codec_context.time_base = scene.time_base
        video.time_base = scene.time_base
        video.codec_context.options = dict(scene.options)
        for name, value in scene.tags.items():
            setattr(video.codec_context, name, value)
        if scene.matrix:
            video.set_display_matrix(scene.matrix)
        others = _others(target, scene)
        if scene.chapters:
            target.set_chapters(
                [
                    {
                        "id": k,
                        "start": start,
                        "end": end,
                        "time_base": Fraction(1, 1000),
                        "metadata": {"title": title},
                    }
                    for k, (start, end, title) in enumerate(scene.chapters, 1)
                ]
            )
        target.start_encoding()
        for packet in others:
            target.mux(packet)
        for k, pts in enumerate(scene.times):
            frame = av.VideoFrame.from_ndarray(picture(k, scene.size), "rgb24")
            frame = frame.reformat(format=scene.format)
            frame.pts, frame.time_base = pts, scene.time_base
            if k < scene.in_order:
                frame.pict_type = PictureType.P
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
    return path


def _others(target: Any, scene: Film) -> list[Any]:
    """Add the streams beside the video; return their packets."""
    packets: list[Any] = []
    if scene.sound:
        sound = target.add_stream(scene.sound_codec, rate=48000)
        sound.metadata["language"] = "fra"
        draws = np.random.default_rng(0)
        for k in range(round(len(scene.times) * float(scene.time_base) * 48000 / 1024)):
            levels = draws.normal(0, 0.1, (2, 1024)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(levels, "fltp", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = 48000, 1024 * k, Fraction(1, 48000)
            packets += sound.encode(frame)
        packets += sound.encode(None)
    if scene.subtitles:
        words = target.add_mux_stream("subrip")
        words.time_base = Fraction(1, 1000)
        for k in range(3):
            packet: Any = av.Packet(f"line {k}".encode())
            packet.stream, packet.time_base = words, Fraction(1, 1000)
            packet.pts = packet.dts = 300 * k
            packet.duration = 200
            packets.append(packet)
    if scene.attachment:
        target.add_attachment("font.ttf", "font/ttf", scene.attachment)
    return packets


@dataclass(frozen=True)
class Remade:
    """A clip that was decoded, encoded in segments and joined."""

    clip: Clip
    encoder: Encoder
    segments: list[Segment]
    notes: list[str]
    path: Path


def remake(
    source: Path,
    path: Path,
    *,
    codec: str = "ffv1",
    frames: int = 10,
    start: float = 0.0,
    end: float | None = None,
    **settings: Any,
) -> Remade:
    """Write a clip anew as a pipeline does, with what a network that changes nothing changes."""
    clip = open_clip(source, start=start)
    pixels, container = Pixels(clip), container_named(path, codec)
    encoder = encoder_for(
        clip,
        codec=codec,
        global_header=container.global_header,
        reorders=container.reorders,
        **settings,
    )
    parts = path.with_name(f"{path.name}.parts")
    parts.mkdir(exist_ok=True)
    segments: list[Segment] = []
    with FrameReader(clip, start=start, end=end) as reader:
        decoded = list(reader)
    for first in range(0, len(decoded), frames):
        place = parts / f"{first:06}"
        with SegmentWriter(place, encoder) as writer:
            for each in decoded[first : first + frames]:
                planes = pixels.planes(each.frame)
                rgb = pixels.rgb(planes)
                writer.add(pixels.changed(planes, rgb, rgb.copy()), each.pts)
        segments.append(read_segment(place))
    notes = join(clip, segments, encoder, path, start=start, end=end)
    return Remade(
        clip,
        encoder,
        segments,
        [*reader.notes(), *pixels.notes(), *encoder.notes, *notes],
        path,
    )


def shown(path: Path) -> list[tuple[Fraction, tuple[np.ndarray[Any, Any], ...]]]:
    """Return the times and planes of all frames."""
    clip = open_clip(path)
    pixels = Pixels(clip)
    with FrameReader(clip) as reader:
        return [(d.pts * clip.time_base, pixels.planes(d.frame).planes) for d in reader]


def packets(path: Path, kind: str) -> list[tuple[Fraction | None, bytes]]:
    """Return the times and bytes of the packets of the first stream of a kind."""
    with av.open(str(path)) as source:
        stream = next(stream for stream in source.streams if stream.type == kind)
        return [
            (None if packet.pts is None else packet.pts * packet.time_base, bytes(packet))
            for packet in source.demux(stream)
            if packet.size
        ]
