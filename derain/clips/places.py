"""Give every result a place of its own, whatever kinds of inputs there are."""

import os
from collections.abc import Iterable
from pathlib import Path

from derain.errors import DerainError


class Places:
    """The files that results planned so far become, each with the input that needs it."""

    def __init__(self) -> None:
        self._needed: dict[str, Path] = {}

    def check(self, source: Path, targets: Iterable[Path]) -> None:
        """Check that an input becomes other files, none of which anything planned before needs.

        Args:
            source: An input.
            targets: The files that it becomes.

        Raises:
            DerainError: If it becomes itself, or another input becomes it or one of them.
        """
        own = os.path.realpath(source)
        for target in targets:
            place = os.path.realpath(target)
            if place == own:
                raise DerainError(
                    f"{source}: the result would overwrite its input; expected another name"
                )
            if rival := self._needed.get(place):
                raise DerainError(
                    f"would become {target}, which {rival} needs; give them folders of their own"
                )
        if rival := self._needed.get(own):
            raise DerainError(f"{source}: is overwritten by the result of {rival}")

    def take(self, source: Path, targets: Iterable[Path]) -> None:
        """Keep files for an input."""
        self._needed |= {os.path.realpath(target): source for target in targets}
