"""Frames that derain run passes from one program to another."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from derain.cli.clips import NO_MODEL, ClipOptions, check_model
from derain.cli.console import (
    complain,
    interruptible,
    line_of,
    on_terminal,
    one_line_errors,
    say,
    show_traceback,
)
from derain.cli.console import result as show_result
from derain.cli.progress import Bars
from derain.cli.shown import Shown, say_unsteadiness
from derain.clips.names import is_video, model_for
from derain.errors import DerainError, ExistsError, UsageError
from derain.extras import require
from derain.files import check_writable, printable

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from derain.clips.pipes import Feed, Piped, Sink
    from derain.restore import Derainer
    from derain.video.raw import ByteSource

RawOption = Annotated[
    str | None,
    typer.Option(
        metavar="WxH", help="Read frames of this size, without headers, from standard input."
    ),
]
PixelFormatOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Pixel format of frames without headers, such as rgb24."),
]
RateOption = Annotated[
    str | None,
    typer.Option(help="Frames a second, for --raw and --as-clip: 25 or 30000/1001."),
]
ColoursOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Colours of YUV frames: bt601, bt709 or bt2020, and limited or full.",
    ),
]

STREAM = "-"
_MAGIC = b"YUV4MPEG2"
"""What no picture begins with."""
_NOBODY_READS = 141
"""Exit status by which a shell tells that SIGPIPE has ended a program."""


@dataclass(frozen=True)
class PipeOptions:
    """Options of the command line for frames without headers; names are those of the flags."""

    raw: str | None = None
    pixel_format: str | None = None
    rate: str | None = None
    colours: str | None = None

    def check_unused(self, *, but: Sequence[str] = ()) -> None:
        """Check that nothing is said of frames from standard input, where none come.

        Args:
            but: What may be said nevertheless.

        Raises:
            UsageError: Else.
        """
        for option, value in vars(self).items():
            if value is not None and option not in but:
                others = ", or --as-clip with -o clip.mp4" if option == "rate" else ""
                raise UsageError(
                    f"applies to frames from standard input; expected - as the only input{others}",
                    option=option,
                    value=value,
                )


def is_piped(inputs: Sequence[str], output: str | None, options: PipeOptions) -> bool:
    """Return whether frames come from standard input, or a clip's go to standard output.

    The first bytes of standard input are waited for, where they decide on it; they stay there.
    """
    if list(inputs) == [STREAM]:
        return options.raw is not None or _begins_with_header()
    is_clip = len(inputs) == 1 and is_video(inputs[0]) and not Path(inputs[0]).is_dir()
    return is_clip and output == STREAM


def _begins_with_header() -> bool:
    """Return whether a stream of YUV4MPEG2 comes: a pipe may give less than all of the word."""
    peek: Any = getattr(getattr(sys.stdin, "buffer", None), "peek", None)
    head = bytes(peek(1))[: len(_MAGIC)] if peek is not None else b""
    return bool(head) and _MAGIC.startswith(head)


def derain_pipe(
    name: str,
    output: str | None,
    model: str | None,
    settings: dict[str, Any],
    of_clips: ClipOptions,
    options: PipeOptions,
    *,
    force: bool,
) -> None:
    """Derain frames as they come, and say how it went.

    Args:
        name: The input: `STREAM` or a clip.
        output: `STREAM`, None for that, or a video file.
        model: As for `derain.cli.clips.Wanted`.
        settings: The same.
        of_clips: Of clips.
        options: Of bare frames.
        force: Overwrite what is there.

    Raises:
        typer.Exit: If not all could be done, nobody reads, or the user interrupts the work.
    """
    with one_line_errors():
        chosen = model_for(model, settings.get("quality"))
        check_model(chosen, settings)
        target = None if output in (None, STREAM) else Path(str(output))
        _check_streams(name, target, of_clips, force=force)
        weights = _Model(chosen, settings)
        if name == STREAM:
            _of_frames(target, weights, of_clips, options)
        else:
            _of_clip(name, weights, of_clips, options, force=force)


def _check_streams(name: str, target: Path | None, of_clips: ClipOptions, *, force: bool) -> None:
    """Check what comes before any work.

    Raises:
        UsageError: If options do not go together, or standard output is a terminal.
        DerainError: If a stream is closed, or the target exists.
        OSError: If it cannot be written.
    """
    if name == STREAM:
        _check_unused(of_clips, ("start", "end", "preview", "resume"), "clips that are files")
    if target is not None:
        if target.exists() and not force:
            raise ExistsError(f"{target} already exists")
        check_writable(target)
        return
    _check_unused(of_clips, ("codec", "crf", "preset", "resume"), "results that are files")
    if sys.stdout is None:
        raise DerainError("standard output is closed; expected a program that takes frames")
    if on_terminal():
        raise UsageError(
            "is a terminal, which shows no frames; expected a pipe or a file, as in"
            " | ffmpeg -i - or > clip.y4m",
            option="output",
            value=STREAM,
        )


def _check_unused(of_clips: ClipOptions, names: Sequence[str], what: str) -> None:
    for option in names:
        if getattr(of_clips, option) != getattr(ClipOptions, option):
            raise UsageError(f"applies to {what}, not to a stream of frames", option=option)


@dataclass(frozen=True)
class _Model:
    """Weights that are loaded when all else is known to be right."""

    name: str | None
    settings: dict[str, Any]

    def load(self) -> "Derainer | None":
        from derain.restore import load

        if self.name == NO_MODEL:
            return None
        derainer = load(self.name, **self.settings)
        say(f"{printable(derainer.name)}: {derainer.describe()}")
        return derainer


def _of_frames(
    target: Path | None, model: _Model, of_clips: ClipOptions, options: PipeOptions
) -> None:
    """Derain frames from standard input.

    Raises:
        typer.Exit: As `derain_pipe`.
        DerainError: If something cannot be meant or read.
        OSError: If something cannot be read or written.
    """
    from derain.clips.pipes import open_stream
    from derain.video.raw import RawWriter
    from derain.video.temporal import window_of

    window = window_of(of_clips.temporal)
    stream = open_stream(_stdin(), **vars(options))
    if target is None:
        sink = nullcontext(RawWriter(_stdout(), stream.form))
        notes: tuple[str, ...] = ()
    else:
        require("av", f"derain - -o {printable(target)}")
        from derain.video.recording import Recorder, encoder_of

        encoder = encoder_of(
            stream.form,
            target,
            codec=of_clips.codec,
            crf=of_clips.crf,
            preset=of_clips.preset,
        )
        sink, notes = Recorder(target, encoder), encoder.notes
    name = stream.source.name
    piped = _passed(_Route(name, target, stream, sink), model.load(), window)
    _report(name, target, piped, [*stream.notes(in_file=target is not None), *notes])


def _of_clip(
    name: str, model: _Model, of_clips: ClipOptions, options: PipeOptions, *, force: bool
) -> None:
    """Derain a clip for a program that reads standard output.

    Raises:
        typer.Exit: As `derain_pipe`.
        DerainError: If something cannot be meant or read.
        OSError: If something cannot be read or written.
    """
    options.check_unused(but=["pixel_format"])
    require("av", f"derain {printable(Path(name).name)}")
    from derain.clips.plan import check_options, frames_between
    from derain.clips.streaming import ClipStream, Turned
    from derain.video.raw import RawWriter, format_named
    from derain.video.reading import open_clip
    from derain.video.temporal import window_of

    chosen = of_clips.plain(force=force)
    check_options(chosen)
    format = format_named(options.pixel_format) if options.pixel_format else None
    clip = open_clip(name, start=chosen.start)
    stream = ClipStream(clip, format, start=chosen.start, end=chosen.stop)
    sink = nullcontext(Turned(RawWriter(_stdout(), stream.form), stream))
    route = _Route(
        Path(name).name, None, stream, sink, frames_between(clip, chosen.start, chosen.stop)
    )
    piped = _passed(route, model.load(), window_of(chosen.temporal))
    _report(name, None, piped, stream.notes())


def _stdin() -> "ByteSource":
    """Return standard input without the buffer, which would wait for more than a frame."""
    from derain.video.raw import ByteSource

    stream: Any = sys.stdin.buffer if sys.stdin is not None else None
    if stream is None:
        raise DerainError("standard input is closed; expected frames to come through it")
    if stream.isatty():
        raise DerainError("standard input is a terminal; expected frames, as of ffmpeg ... |")
    held = stream.read(len(stream.peek(0))) if hasattr(stream, "peek") else b""
    return ByteSource(getattr(stream, "raw", stream), held)


def _stdout() -> Any:
    """Return standard output without a buffer, in which the rest of a frame would stay."""
    return getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)


@dataclass(frozen=True)
class _Route:
    """Where frames come from and go to.

    Attributes:
        name: Of the source.
        target: A video file; None for standard output.
        feed: Frames.
        sink: What takes them, when it is entered.
        total: How many there should be; 0 where nobody says.
    """

    name: str
    target: Path | None
    feed: "Feed"
    sink: "AbstractContextManager[Sink]"
    total: int = 0


def _passed(route: _Route, derainer: "Derainer | None", window: int | None) -> "Piped":
    """Derain frames; say how far it has come."""
    from derain.clips.pipes import pipe

    with Bars() as bars:
        shown = Shown(bars).show(route.name, route.total)
        with interruptible(lambda: f"{shown.done} frames done"), route.sink as sink:
            try:
                piped = pipe(
                    route.feed,
                    sink,
                    derainer,
                    window,
                    keeps=route.target is not None,
                    progress=shown,
                )
            except BrokenPipeError as error:
                show_traceback(error)
                raise typer.Exit(_NOBODY_READS) from None
            # A file without frames is none.
            if piped.error is not None and not piped.frames:
                raise piped.error
        shown.remove()
    return piped


def _report(name: str, target: Path | None, piped: "Piped", notes: Sequence[str]) -> None:
    """Say what became of frames; the path of a file goes to standard output.

    Raises:
        typer.Exit: If there were to be more.
    """
    name = printable(name)
    rate = piped.frames / max(piped.seconds, 1e-9)
    left_out = f" ({'; '.join(notes)})" if notes else ""
    say(f"{name}: {piped.frames} frames, {piped.seconds:.1f} s, {rate:.1f} frames/s{left_out}")
    if piped.unsteadiness:
        say_unsteadiness(name, *piped.unsteadiness)
    if target is not None:
        show_result(f"{target}")
    if piped.error is not None:
        show_traceback(piped.error)
        complain(f"error: {line_of(piped.error)}")
        raise typer.Exit(1)
    if piped.interrupted:
        complain(f"interrupted: {printable(str(target))} has the {piped.frames} frames so far")
        raise typer.Exit(130)
