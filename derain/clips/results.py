"""Results of clips and of frames in folders."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from derain.errors import reason

Status = Literal["done", "skipped", "failed"]


@dataclass(frozen=True)
class Result:
    """The result of a clip, or of a frame that is a separate file.

    Attributes:
        source: The clip.
        target: Its result, whether or not it could be made.
        status: ``skipped`` if the target already exists.
        error: Why it was skipped or failed.
        notes: What could not be kept, or read, in words for the user.
        frames: Of the result.
        seconds: That it took.
        resumed: Frames that an earlier run had finished.
        unsteadiness: How much still pixels change from frame to frame before and after the temporal
            filter, in levels of 255 (`derain.video.temporal.Steadiness`); None without one, and
            where nothing stays. Of frames that were resumed it does not know.
        unfinished: Where finished segments wait for ``resume``; None if there are none.
    """

    source: Path
    target: Path
    status: Status
    error: Exception | None = None
    notes: tuple[str, ...] = ()
    frames: int = 0
    seconds: float = 0.0
    resumed: int = 0
    unsteadiness: tuple[float, float] | None = None
    unfinished: Path | None = None

    @property
    def message(self) -> str:
        """Why it was skipped or failed, or what could not be kept, in one line."""
        return reason(self.error) if self.error else "; ".join(self.notes)
