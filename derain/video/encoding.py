"""Frames into a file of packets: a segment of a clip, which an encoder of its own has made.

A segment depends on its frames and on the settings alone, whatever came before it: work that was
interrupted resumes at the next one, and gives the same bytes.
"""

import base64
import binascii
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import av
import av.error
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from derain.errors import UsageError, check_choice
from derain.files import replacing
from derain.machine import same_priority
from derain.video.clip import Clip
from derain.video.colours import LIMITED, Colours, Layout
from derain.video.errors import VideoError, words_of
from derain.video.frame import Frame
from derain.video.hdr import Hdr
from derain.video.pixels import bits_of, layout_of, shown_colours, video_frame

SEGMENT_FRAMES = 240
"""Frames of a segment: ten seconds, as many as lie between key frames at most."""

_MAGIC = b"derain segment 1"
_RATES = Fraction(1), Fraction(240)
"""Frames a second that all encoders take; what counts are the times in the container."""
_NAMED = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
)


@dataclass(frozen=True)
class Codec:
    """An encoder, and what can be set.

    Attributes:
        library: FFmpeg's name of the encoder.
        crf: Quality by default, None if it is lossless.
        worst: The largest value of it.
        preset: Speed by default.
        presets: All of them, from the fastest to the slowest.
        even: Whether subsampled sides have to be even.
        options: Further options of the encoder; ``{crf}``, ``{preset}`` and ``{threads}`` are
            filled in.
        hdr: Of HDR10: which of these options takes the display and the light, and their names in
            it; empty if none does.
    """

    library: str
    crf: float | None
    worst: int
    preset: str
    presets: tuple[str, ...]
    options: Mapping[str, str]
    even: bool = False
    hdr: tuple[str, ...] = ()


CODECS: dict[str, Codec] = {
    "h264": Codec(
        "libx264",
        18,
        51,
        "veryfast",
        _NAMED,
        # Without its tree of macroblocks: with that and B-frames x264 165 makes other bytes of the
        # same frames each time, even on one thread.
        {"crf": "{crf}", "preset": "{preset}", "x264-params": "mbtree=0"},
        even=True,
        hdr=("x264-params", "mastering-display", "cll"),
    ),
    "h265": Codec(
        "libx265",
        20,
        51,
        "fast",
        _NAMED,
        {
            "crf": "{crf}",
            "preset": "{preset}",
            "x265-params": "log-level=none:open-gop=0:pools={threads}:frame-threads=2",
        },
        even=True,
        hdr=("x265-params", "master-display", "max-cll"),
    ),
    "av1": Codec(
        "libsvtav1",
        28,
        63,
        "8",
        tuple(str(k) for k in range(13, -1, -1)),
        {"crf": "{crf}", "preset": "{preset}", "svtav1-params": "lp={threads}"},
        hdr=("svtav1-params", "mastering-display", "content-light"),
    ),
    "vp9": Codec(
        "libvpx-vp9",
        28,
        63,
        "4",
        tuple(str(k) for k in range(8, -1, -1)),
        {"crf": "{crf}", "b": "0", "deadline": "good", "cpu-used": "{preset}", "row-mt": "1"},
    ),
    "ffv1": Codec("ffv1", None, 0, "", (), {"level": "3", "slicecrc": "1"}),
    "mpeg4": Codec("mpeg4", 3, 31, "", (), {"qmin": "{crf}", "qmax": "{crf}"}),
}
"""By the names that users give."""

ALIASES = {"hevc": "h265", "avc": "h264"} | {codec.library: k for k, codec in CODECS.items()}


@dataclass(frozen=True)
class Encoder:
    """All that decides on the bytes of segments, besides their frames; see `encoder_for`.

    Attributes:
        codec: A name in `CODECS`.
        width: Of frames as they are stored.
        height: The same.
        layout: Of the planes that are given.
        format: Pixel format that is encoded.
        tags: Codes of colours that are written.
        colours: By which RGB becomes YUV.
        rate: Frames a second that the encoder counts on.
        aspect: Of a pixel, None where nothing is written.
        options: Of the encoder.
        threads: Of the encoder; its bytes may depend on them.
        global_header: The container holds parameters once, not each key frame.
        notes: What the format cannot hold of the clip, a line each.
    """

    codec: str
    width: int
    height: int
    layout: Layout
    format: str
    tags: Colours
    colours: Colours
    rate: Fraction
    aspect: Fraction | None
    options: tuple[tuple[str, str], ...]
    threads: int
    global_header: bool
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def library(self) -> str:
        """FFmpeg's name of the encoder."""
        return CODECS[self.codec].library

    def settings(self) -> dict[str, Any]:
        """Return what decides on the bytes as plain values: equal ones make equal segments."""
        facts = {key: value for key, value in asdict(self).items() if key != "notes"}
        versions = {name: list(version) for name, version in av.library_versions.items()}
        return json.loads(json.dumps({**facts, "libraries": versions}, default=str))

    def set_up(self, context: VideoCodecContext) -> None:
        """Give an encoder that is not open yet these settings."""
        # SVT-AV1 knows no other way to be silent; what fails is an error of PyAV as well.
        os.environ.setdefault("SVT_LOG", "0")
        context.width, context.height = self.width, self.height
        context.pix_fmt = self.format
        context.framerate = self.rate
        context.time_base = 1 / self.rate
        context.color_range = self.tags.range
        context.colorspace = self.tags.matrix
        context.color_primaries = self.tags.primaries
        context.color_trc = self.tags.transfer
        context.gop_size = 1 if self.codec == "ffv1" else SEGMENT_FRAMES
        context.thread_count = self.threads
        context.options = dict(self.options)
        if self.aspect is not None:
            context.sample_aspect_ratio = self.aspect
        if self.global_header:
            context.flags |= Flags.global_header

    def tag(self, frame: VideoFrame) -> None:
        """Say of a frame how its levels become colours."""
        frame.colorspace, frame.color_range = self.tags.matrix, self.tags.range
        frame.color_primaries, frame.color_trc = self.tags.primaries, self.tags.transfer


def codec_named(name: str) -> str:
    """Return the name in `CODECS` that a user's name of a codec means.

    Raises:
        UsageError: If there is none, or this build of PyAV lacks the encoder.
    """
    key = ALIASES.get(name.lower(), name.lower())
    check_choice(key, CODECS, "codec")
    try:
        av.Codec(CODECS[key].library, "w")
    except ValueError:  # of its UnknownCodecError
        library = CODECS[key].library
        raise UsageError(
            f"needs {library}, which this build of PyAV lacks; expected another codec",
            option="codec",
            value=name,
        ) from None
    return key


def encoder_for(
    clip: Clip,
    *,
    codec: str = "h264",
    crf: float | None = None,
    preset: str | None = None,
    global_header: bool = True,
    reorders: bool = True,
    threads: int = 4,
    format: str | None = None,
) -> Encoder:
    """Return how a clip is encoded: as it is stored, as far as the codec can.

    Args:
        clip: Whose frames are encoded.
        codec: A name in `CODECS`, or one of `ALIASES`.
        crf: Quality: less is better, and larger; None for the codec's default.
        preset: Speed, one of the codec's; None for its default.
        global_header: Whether the container wants parameters once; see `derain.video.joining`.
        reorders: Whether the container holds frames that are stored in another order.
        threads: Of the encoder: always as many, for its bytes may depend on them.
        format: Pixel format, one of the codec's; None for the one that loses least.

    Raises:
        UsageError: If the codec has no such quality or speed.
    """
    key = codec_named(codec)
    facts = CODECS[key]
    layout = layout_of(clip.format)
    format = format or _format_for(clip, facts)
    values = {
        "crf": f"{_crf(key, crf):g}",
        "preset": _preset(key, preset),
        "threads": str(threads),
    }
    options = {name: text.format(**values) for name, text in facts.options.items()}
    if key in ("h264", "h265") and not reorders:
        options["bf"] = "0"
    if clip.hdr and facts.hdr:
        option = facts.hdr[0]
        options[option] = ":".join([options[option], *_hdr_parameters(key, clip.hdr)])
    shown, tags = _colours_for(clip, layout, layout_of(format))
    return Encoder(
        codec=key,
        width=clip.width,
        height=clip.height,
        layout=layout,
        format=format,
        tags=tags,
        colours=shown,
        rate=_rate(clip.rate),
        aspect=clip.aspect,
        options=tuple(options.items()),
        threads=threads,
        global_header=global_header,
        notes=tuple(_format_notes(clip, format, key)),
    )


def _hdr_parameters(key: str, hdr: Hdr) -> Iterator[str]:
    """Yield what an encoder is told of HDR10, in its own words."""
    _, display, light = CODECS[key].hdr
    if hdr.display:
        yield f"{display}={hdr.display.decimal() if key == 'av1' else hdr.display.whole()}"
    if hdr.light:
        yield f"{light}={hdr.light[0]},{hdr.light[1]}"


def _crf(key: str, crf: float | None) -> float:
    facts = CODECS[key]
    if facts.crf is None:
        if crf is not None:
            raise UsageError(f"{key} is lossless and has none", option="crf", value=crf)
        return 0
    least = 1 if key == "mpeg4" else 0
    value = facts.crf if crf is None else crf
    if not least <= value <= facts.worst:
        raise UsageError(
            f"expected {least} (best) to {facts.worst} for {key}", option="crf", value=crf
        )
    # Of these only x264 and x265 know fractions.
    return value if key in ("h264", "h265") else round(value)


def _preset(key: str, preset: str | None) -> str:
    facts = CODECS[key]
    if preset is None:
        return facts.preset
    if not facts.presets:
        raise UsageError(f"{key} has none", option="preset", value=preset)
    if preset not in facts.presets:
        raise UsageError(
            f"expected one of {', '.join(facts.presets)} for {key}", option="preset", value=preset
        )
    return preset


def _rate(rate: Fraction) -> Fraction:
    """Return a rate near another that encoders take: MPEG-4 has sixteen bits for it."""
    within = min(max(rate, _RATES[0]), _RATES[1])
    return within.limit_denominator(60_000 // math.ceil(within))


def _format_for(clip: Clip, codec: Codec) -> str:
    """Return the pixel format of an encoder that loses least of a clip's."""
    library = av.Codec(codec.library, "w")
    names = [format.name for format in library.video_formats or ()]
    fitting = [
        name
        for name in names
        if _is_plain(name) and (not codec.even or _fits(layout_of(name), clip.width, clip.height))
    ]
    return min(fitting, key=lambda name: _loss(clip.format, name))


def _is_plain(name: str) -> bool:
    """Return whether `video_frame` makes frames of a format: no alpha, no floats, no palettes."""
    format = VideoFormat(name)
    parts = format.components
    exotic = format.is_big_endian or format.has_palette or any(part.is_alpha for part in parts)
    return (
        not exotic
        and min(part.bits for part in parts) >= 8
        and not any(mark in name for mark in ("yuvj", "nv", "f16", "f32"))
    )


def _fits(layout: Layout, width: int, height: int) -> bool:
    across, down = layout.halved
    return width % 2**across == 0 and height % 2**down == 0


def _loss(format: str, target: str) -> tuple[int, int, int, int, int]:
    """Return what a pixel format loses in another, the worst first, then what is in excess."""
    a, b = layout_of(format), layout_of(target)
    # Grey loses all colours; YUV is rounded by RGB and RGB by YUV, which players show more of.
    ranks = {"grey": 3, "rgb": 2, "yuv": 1}
    kind = 0 if a.kind == b.kind else ranks[b.kind]
    bits = bits_of(format) - bits_of(target)
    if a.kind == "grey":
        # The coarser the chroma that grey needs not, the better.
        return kind, max(0, bits), 0, -sum(b.halved), max(0, -bits)
    coarser = [there - here for here, there in zip(a.halved, b.halved, strict=True)]
    lost, excess = sum(max(0, k) for k in coarser), sum(max(0, -k) for k in coarser)
    return kind, max(0, bits), lost, excess, max(0, -bits)


def _format_notes(clip: Clip, target: str, key: str) -> Iterator[str]:
    a, b = layout_of(clip.format), layout_of(target)
    if a.kind == "rgb" and b.kind == "yuv":
        yield f"RGB becomes {target}, which is what {key} holds"
    elif a.kind == "yuv" and b.halved != a.halved:
        odd = " of odd sizes" if CODECS[key].even and not _fits(a, clip.width, clip.height) else ""
        yield f"{a.name}{odd} becomes {target}, which is what {key} holds"
    if bits_of(target) < bits_of(clip.format):
        yield f"levels of {bits_of(clip.format)} bits become {bits_of(target)}, as {key} holds"
    if clip.hdr and not CODECS[key].hdr:
        able = " or ".join(name for name, codec in CODECS.items() if codec.hdr)
        yield f"{key} does not hold the display and light levels of HDR10; expected {able}"


def _colours_for(clip: Clip, layout: Layout, target: Layout) -> tuple[Colours, Colours]:
    """Return the colours by which planes are made, and those that are written."""
    shown = shown_colours(clip)
    if target.kind == "rgb":
        return shown, replace(clip.colours, matrix=0)
    if layout.kind == "rgb":
        shown = replace(shown, range=LIMITED)
        return shown, shown
    # What the file does not say stays unsaid, but for what a name said.
    return shown, replace(clip.colours, range=_range(clip, layout, shown))


def _range(clip: Clip, layout: Layout, shown: Colours) -> int:
    said = layout.kind == "grey" or clip.format.startswith("yuvj")
    return shown.range if said else clip.colours.range


@dataclass(frozen=True)
class StoredPacket:
    """A packet of a segment.

    Attributes:
        frame: Which frame of the segment it holds, from 0.
        size: Bytes.
        is_key: Decoding can begin here.
        check: CRC-32 of its bytes.
    """

    frame: int
    size: int
    is_key: bool
    check: int


@dataclass(frozen=True)
class Segment:
    """A finished file of packets.

    Attributes:
        path: The file.
        pts: Of its frames in the order in which they are shown, in the clip's time base.
        packets: In the order in which they are stored.
        extradata: Parameters of the decoder, as the encoder gave them.
    """

    path: Path
    pts: tuple[int, ...]
    packets: tuple[StoredPacket, ...]
    extradata: bytes

    def read(self) -> Iterator[tuple[StoredPacket, bytes]]:
        """Yield the packets with their bytes.

        Raises:
            OSError: If the file cannot be read.
            VideoError: If its bytes are not those that were written.
        """
        with self.path.open("rb") as file:
            file.seek(len(_MAGIC))
            for packet in self.packets:
                data = file.read(packet.size)
                if binascii.crc32(data) != packet.check:
                    raise _damaged(self.path)
                yield packet, data


def _damaged(path: Path) -> VideoError:
    return VideoError(f"{path}: is damaged; expected a segment: remove it, and start again")


def read_segment(path: str | os.PathLike[str]) -> Segment:
    """Return what a segment holds, without its packets' bytes.

    Raises:
        OSError: If the file cannot be read.
        VideoError: If it is no complete segment.
    """
    path = Path(path)
    with path.open("rb") as file:
        head = file.read(len(_MAGIC))
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        length = int.from_bytes(file.read(8), "big")
        if head != _MAGIC or not 0 < length <= size - 8 - len(_MAGIC):
            raise _damaged(path)
        file.seek(size - 8 - length)
        try:
            index = json.loads(file.read(length))
            packets = tuple(StoredPacket(*packet) for packet in index["packets"])
            pts, extradata = tuple(index["pts"]), base64.b64decode(index["extradata"])
        except (ValueError, KeyError, TypeError):
            raise _damaged(path) from None
    if len(_MAGIC) + sum(packet.size for packet in packets) != size - 8 - length:
        raise _damaged(path)
    return Segment(path, pts, packets, extradata)


class SegmentWriter:
    """Encodes frames into a file that appears when all are in it; a context manager.

    Args:
        path: The file.
        encoder: How frames are encoded.

    Raises:
        OSError: If the file cannot be written.
        VideoError: If the encoder fails.
    """

    def __init__(self, path: str | os.PathLike[str], encoder: Encoder) -> None:
        self.path = Path(path)
        self.encoder = encoder
        self._pts: list[int] = []
        self._packets: list[StoredPacket] = []
        self._stack = ExitStack()
        self._context = open_encoder(encoder)

    def __enter__(self) -> "SegmentWriter":
        draft = self._stack.enter_context(replacing(self.path))
        self._file: BinaryIO = self._stack.enter_context(draft.open("wb"))
        self._file.write(_MAGIC)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Whatever fails while the rest is written has to undo the draft, too.
        with self._stack:
            if error is not None:
                raise error
            self._finish()

    def add(self, frame: Frame, pts: int) -> None:
        """Encode a frame.

        Args:
            frame: Planes in the encoder's layout.
            pts: When it is shown, in the clip's time base; larger than that of the frame before.
        """
        encoder = self.encoder
        made = video_frame(frame, encoder.layout, encoder.format, encoder.colours)
        made.pts, made.time_base = len(self._pts), 1 / encoder.rate
        encoder.tag(made)
        self._pts.append(pts)
        self._encode(made)

    def _encode(self, frame: Any) -> None:
        try:
            packets = self._context.encode(frame)
        except av.error.FFmpegError as error:
            raise VideoError(f"{self.encoder.library} failed: {words_of(error)}") from error
        for packet in packets:
            data = bytes(packet)
            shown = packet.pts if packet.pts is not None else len(self._packets)
            check = binascii.crc32(data)
            self._packets.append(StoredPacket(shown, len(data), packet.is_keyframe, check))
            self._file.write(data)

    def _finish(self) -> None:
        if self._pts:
            self._encode(None)
        if sorted(packet.frame for packet in self._packets) != list(range(len(self._pts))):
            raise VideoError(
                f"{self.encoder.library} made {len(self._packets)} packets of {len(self._pts)}"
                " frames; expected one for each: try another codec"
            )
        index = {
            "pts": self._pts,
            "packets": [[p.frame, p.size, p.is_key, p.check] for p in self._packets],
            "extradata": base64.b64encode(self._context.extradata or b"").decode(),
        }
        data = json.dumps(index).encode()
        self._file.write(data + len(data).to_bytes(8, "big"))


def open_encoder(encoder: Encoder) -> VideoCodecContext:
    """Return an encoder with its settings, open.

    Raises:
        VideoError: If it refuses them.
    """
    context = av.CodecContext.create(encoder.library, "w")
    assert isinstance(context, VideoCodecContext)
    encoder.set_up(context)
    try:
        with same_priority():
            context.open()
    except av.error.FFmpegError as error:
        raise VideoError(
            f"{encoder.library} does not take {encoder.width}x{encoder.height} as"
            f" {encoder.format} ({words_of(error)}); expected another codec"
        ) from error
    return context
