"""Frames of a pipe into a video file: encoded as they come, one after the other.

Unlike a clip's, these frames come once: nothing is kept for another run, and there is no sound.
"""

import os
from contextlib import ExitStack, nullcontext, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import av.error

from derain.errors import UsageError
from derain.files import replacing
from derain.machine import same_priority
from derain.video.clip import Clip
from derain.video.colours import Layout
from derain.video.encoding import Encoder, encoder_for
from derain.video.errors import VideoError, not_written
from derain.video.joining import (
    Container,
    add_video,
    codec_for,
    container_named,
    open_output,
)
from derain.video.pixels import video_frame
from derain.video.raw import Form, RawFrame


def clip_of(form: Form, rate: Fraction) -> Clip:
    """Return the facts of a stream as those of a clip, by which an encoder is chosen."""
    return Clip(
        path=Path("-"),
        container="rawvideo",
        index=0,
        codec="rawvideo",
        width=form.width,
        height=form.height,
        format=form.format.name,
        colours=form.colours,
        aspect=form.aspect,
        display_matrix=(),
        interlaced=form.interlaced,
        time_base=1 / rate,
        rate=rate,
        first=0,
        duration=None,
        frames=None,
    )


def encoder_of(
    form: Form,
    path: str | os.PathLike[str],
    *,
    codec: str = "auto",
    crf: float | None = None,
    preset: str | None = None,
    in_order: bool = False,
) -> Encoder:
    """Return how the frames of a stream are encoded into a file: as they are, but RGB for players.

    Args:
        form: Of the frames.
        path: The file; its suffix decides on the container.
        codec: As `derain.video.joining.codec_for`.
        crf: As for `derain.video.encoding.encoder_for`.
        preset: As for `encoder_for`.
        in_order: Store frames as they are shown, so that the file can say how long the last lasts.

    Raises:
        UsageError: If nobody says how many frames a second there are, or as `encoder_for`.
        VideoError: If the container does not hold the codec.
    """
    key = codec_for(codec, path)
    container = container_named(path, key)
    if form.rate is None:
        raise UsageError("expected for a video file, such as 25", option="rate")
    even = form.width % 2 == form.height % 2 == 0
    # Most frames of RGB were YUV before, and few players show what would lose nothing of them.
    usual = form.format.layout == Layout("rgb", 8) and key != "ffv1" and even
    return encoder_for(
        clip_of(form, form.rate),
        format="yuv420p" if usual else None,
        codec=key,
        crf=crf,
        preset=preset,
        global_header=container.global_header,
        reorders=container.reorders and not in_order,
    )


class Recorder:
    """Encodes frames into a file that appears when it is complete; a context manager.

    Args:
        path: The file; its suffix decides on the container.
        encoder: How frames are encoded.
        time_base: Seconds of a tick, where each frame says when it is shown; None for a constant
            rate.

    Raises:
        OSError: If the file cannot be written.
        VideoError: If the container does not hold the codec, or the encoder fails.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        encoder: Encoder,
        time_base: Fraction | None = None,
    ) -> None:
        self._path, self._encoder = Path(path), encoder
        self._time_base = time_base or 1 / encoder.rate
        self._lasting: dict[int, int] = {}
        self._container: Container = container_named(path, encoder.codec)
        self._stack = ExitStack()
        self._count = 0

    def __enter__(self) -> "Recorder":
        draft = self._stack.enter_context(replacing(self._path))
        try:
            self._target = self._opened(draft)
        except BaseException as error:
            self._stack.__exit__(type(error), error, None)
            raise
        return self

    def _opened(self, draft: Path) -> Any:
        target = open_output(draft, self._container)
        self._video = add_video(target, self._encoder, self._time_base)
        self._video.codec_context.time_base = self._time_base
        return target

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            if error is not None:
                # What it still wants to write is of no use, nor is why it cannot.
                with suppress(av.error.FFmpegError):
                    self._target.close()
                raise error
            self._mux(None)
            try:
                self._target.close()
            except av.error.FFmpegError as failure:
                raise not_written(failure, self._path) from failure

    def write(self, frame: RawFrame, pts: int | None = None, ticks: int = 0) -> None:
        """Encode a frame.

        Args:
            frame: Planes in the encoder's layout; its transparency is left out.
            pts: When it is shown, in ticks, later than the one before; None at a constant rate.
            ticks: For how long; 0 where nobody says.
        """
        encoder = self._encoder
        made = video_frame(frame.planes, encoder.layout, encoder.format, encoder.colours)
        made.pts = self._count if pts is None else pts
        made.time_base = self._time_base
        if ticks:
            self._lasting[made.pts] = ticks
        encoder.tag(made)
        self._count += 1
        self._mux(made)

    def _mux(self, frame: Any) -> None:
        if not self._count:
            raise VideoError(f"{self._path}: 0 frames to write; expected at least one")
        try:
            # The first frame opens the encoder.
            with same_priority() if self._count == 1 else nullcontext():
                packets = self._video.encode(frame)
            for packet in packets:
                # Of the last one nothing else says how long it is shown.
                packet.duration = self._lasting.pop(packet.pts, packet.duration or 0)
                self._target.mux(packet)
        except av.error.FFmpegError as error:
            raise not_written(error, self._path) from error
