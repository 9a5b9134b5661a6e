"""A clip as a stream of frames: upright, at a constant rate, without what is beside the video.

This module needs PyAV.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from derain.clips.pipes import Sink
from derain.video.clip import Clip
from derain.video.colours import FULL, LIMITED, Conversion, Layout, Plane, planes_as
from derain.video.frame import Frame
from derain.video.pixels import Pixels, Turn
from derain.video.raw import Form, RawFormat, RawFrame, tag_of, with_header
from derain.video.reading import FrameReader


class ClipStream:
    """A clip, or a part of it, whose frames go to another program; a `derain.clips.pipes.Feed`.

    Args:
        clip: What to decode.
        format: Of the frames; None for YUV4MPEG2 in the clip's own planes, or YUV where it has
            others.
        start: Seconds after the first frame.
        end: The same; None for the clip's end.

    Attributes:
        colouring: For the clip.
        form: Of the frames that a `Turned` sink passes on.
    """

    def __init__(
        self,
        clip: Clip,
        format: RawFormat | None = None,
        *,
        start: float = 0.0,
        end: float | None = None,
    ) -> None:
        self.colouring = Pixels(clip)
        self.form = _form_of(clip, self.colouring, format)
        self._clip, self._start, self._end = clip, start, end
        self._lengths: set[int] = set()
        self._of_reading: Sequence[str] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of an upright frame."""
        return self.colouring.size

    def frames(self) -> Iterator[RawFrame]:
        """Yield the frames as they are stored."""
        last: int | None = None
        with FrameReader(self._clip, start=self._start, end=self._end) as reader:
            for decoded in reader:
                if last is not None:
                    self._lengths.add(decoded.pts - last)
                last = decoded.pts
                yield RawFrame(self.colouring.planes(decoded.frame))
        self._of_reading = reader.notes()

    def notes(self) -> list[str]:
        """Return what of the clip did not come along, a line each."""
        notes = [*self._of_reading, *self.colouring.notes()]
        notes += [f"{each} is left out: only frames are written" for each in self._clip.companions]
        # Times are rounded to ticks.
        if self._lengths and max(self._lengths) - min(self._lengths) > 1:
            rate = float(self._clip.rate)
            notes.append(f"its frames are not evenly spaced, and written as {rate:.5g} a second")
        if self.form.format.layout.bits < self.colouring.layout.bits:
            bits = self.form.format.layout.bits
            notes.append(f"levels of {self.colouring.layout.bits} bits become {bits}")
        return notes


def _form_of(clip: Clip, pixels: Pixels, format: RawFormat | None) -> Form:
    width, height = pixels.size
    swaps = Turn.of(clip.display_matrix).swaps
    colours = clip.colours
    if clip.format.startswith("yuvj"):
        colours = replace(colours, range=FULL)
    if format is not None:
        return Form(format, width, height, clip.rate, colours, pixels.aspect)
    layout = pixels.layout
    if layout.kind == "rgb":
        colours = replace(colours, range=LIMITED)
    across, down = layout.halved
    if tag_of(layout) is None or (swaps and across != down):
        layout = Layout("yuv", layout.bits, (0, 0))
    return with_header(
        Form(RawFormat(layout.name, layout), width, height, clip.rate, colours, pixels.aspect)
    )


class Turned:
    """Passes frames of a clip on as they are shown, in the format of the stream.

    Args:
        sink: Where to.
        stream: Where they come from.
    """

    def __init__(self, sink: Sink, stream: ClipStream) -> None:
        self._sink = sink
        self._layout, self._target = stream.colouring.layout, stream.form.format.layout
        self._colours = stream.colouring.colours
        if self._layout.kind == "rgb" and self._target.kind != "rgb":
            self._colours = replace(self._colours, range=LIMITED)
        self._conversion = Conversion(self._layout, self._colours)
        self._turn = Turn.of(stream.colouring.clip.display_matrix)

    def write(self, frame: RawFrame) -> None:
        """Take a frame as it is stored."""
        if self._target.kind == "rgb":
            rgb = self._turn.upright(self._conversion.rgb(frame.planes))
            made = Frame.of_rgb(_of_bits(rgb, self._target.bits))
        else:
            planes = self._shown(frame.planes)
            made = Frame(planes, planes[0], self._target.peak)
        self._sink.write(replace(frame, planes=made))

    def _shown(self, frame: Frame) -> tuple[Plane, ...]:
        target, colours = self._target, self._colours
        across, down = target.halved
        if not self._turn.swaps or across == down:
            return self._turned(planes_as(frame, self._layout, target, colours))
        # Chroma of half the width would become one of half the height.
        whole = replace(target, halved=(0, 0))
        planes = self._turned(planes_as(frame, self._layout, whole, colours))
        return tuple(planes_as(Frame(planes, planes[0], whole.peak), whole, target, colours))

    def _turned(self, planes: Sequence[Plane]) -> tuple[Plane, ...]:
        return tuple(self._turn.upright(plane) for plane in planes)


def _of_bits(rgb: Plane, bits: int) -> Plane:
    """Return RGB with levels of 8 or 16 bits."""
    if rgb.dtype == np.uint8:
        return rgb if bits == 8 else rgb.astype(np.uint16) * 257
    return rgb if bits == 16 else np.rint(rgb / np.float32(257)).astype(np.uint8)
