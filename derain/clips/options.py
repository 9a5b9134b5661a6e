"""How clips are derained."""

from dataclasses import dataclass

from derain.errors import UsageError
from derain.video.temporal import window_of


@dataclass(frozen=True)
class Options:
    """How clips are derained.

    Attributes:
        temporal: How many frames help each other: ``auto``, ``off`` or an odd number from 3.
        codec: Of the results: a name in `derain.video.encoding.CODECS`, or ``auto`` for H.264 or
            what the named container holds instead.
        crf: Quality, less is better; None for the codec's default.
        preset: Speed of the encoder; None for the codec's default.
        start: Seconds after the first frame at which the result begins.
        end: Seconds after the first frame at which it ends; None for the clip's own end.
        preview: Seconds from the start on, of a result that is named as such; in place of ``end``.
        resume: Go on with what an interrupted run has finished.
        force: Overwrite existing files.
    """

    temporal: str | int = "auto"
    codec: str = "auto"
    crf: float | None = None
    preset: str | None = None
    start: float = 0.0
    end: float | None = None
    preview: float | None = None
    resume: bool = False
    force: bool = False

    @property
    def stop(self) -> float | None:
        """Seconds after the first frame at which the result ends."""
        return self.end if self.preview is None else self.start + self.preview


USUAL = Options()
"""How clips are derained where nothing else is asked for."""


def check_times(options: Options) -> None:
    """Check the window of neighbours and the part that is derained.

    Raises:
        UsageError: If an option has a value that cannot be meant.
    """
    window_of(options.temporal)
    for option, value in (("start", options.start), ("end", options.end)):
        if value is not None and not 0 <= value < float("inf"):
            raise UsageError("expected seconds from 0 on", option=option, value=value)
    if options.preview is not None and not 0 < options.preview < float("inf"):
        raise UsageError("expected seconds, more than 0", option="preview", value=options.preview)
    if options.preview is not None and options.end is not None:
        raise UsageError(
            "not with end; expected one of the two", option="preview", value=options.preview
        )
    if options.end is not None and options.end <= options.start:
        raise UsageError(
            f"expected more than the start, {options.start:g}", option="end", value=options.end
        )
