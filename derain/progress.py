"""The protocol by which long work reports its progress."""

from typing import Protocol


class Progress(Protocol):
    """Receives how far a stage of the work has come.

    A stage may be reported before its first item, with ``done`` at 0. Stages may interleave.
    """

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        """Take a report: what is being worked on ("tiles"), items done, and items in all."""
        ...


def silent(stage: str, done: int, total: int) -> None:
    """Ignore a report; the default where a function takes a `Progress`."""
