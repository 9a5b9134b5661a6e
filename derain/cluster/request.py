"""What is asked for, and what became of each file: plain values that travel between machines."""

from dataclasses import dataclass, field
from typing import Any, Literal

from derain.errors import UsageError
from derain.images import Format

RETRIES = 2
"""Further tries, where a file cannot be read or written or a worker ends."""
MOST_RETRIES = 20

Kind = Literal["picture", "clip"]
Status = Literal["done", "skipped", "left", "failed"]


@dataclass(frozen=True)
class Request:
    """An archive to derain.

    Attributes:
        source: A folder: a path, or an address such as ``s3://bucket/rainy``.
        output: The folder of the results, likewise.
        model: Weights as `derain.restore.load` takes them; None for those of the quality, or the
            default ones, which are others for clips.
        settings: Other arguments of `derain.restore.load`; the values are plain.
        format: Of results that are pictures; None for that of each picture.
        max_pixels: Refuse pictures of more; None for the usual limit.
        force: Do everything, and overwrite what is there.
        address: Of the cluster: ``auto``, ``ray://HOST:PORT`` or ``HOST:PORT``.
        retries: Further tries, where a file cannot be read or written or a worker ends.
        workers: How many work at once; None for one for each core, or GPU, of the cluster.
    """

    source: str
    output: str
    model: str | None = None
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    format: Format | None = None
    max_pixels: int | None = None
    force: bool = False
    address: str = "auto"
    retries: int = RETRIES
    workers: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.retries <= MOST_RETRIES:
            problem = f"expected 0 to {MOST_RETRIES}"
            raise UsageError(problem, option="retries", value=self.retries)
        if self.workers is not None and self.workers < 1:
            raise UsageError("expected at least 1", option="workers", value=self.workers)


@dataclass(frozen=True)
class Outcome:
    """What became of a file.

    Attributes:
        source: Its name in the archive.
        target: The path or address of its result, whether or not it could be made.
        status: ``skipped`` if a file that no run of this archive made is in its place, ``left`` if
            derain made the picture.
        message: Why it was skipped or failed, or what could not be kept, in one line. It names
            Python arguments.
        seconds: What reading, the network and writing took.
        attempts: How often it was tried.
    """

    source: str
    target: str
    status: Status
    message: str = ""
    seconds: float = 0.0
    attempts: int = 1


@dataclass(frozen=True)
class Tally:
    """How much there is to do.

    Attributes:
        due: Files that are to be done.
        kept: Files whose results are there, as the manifest has them.
        others: Files that are neither pictures nor clips.
    """

    due: int
    kept: int
    others: int = 0
