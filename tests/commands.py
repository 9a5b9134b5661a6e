"""Call the command in this process, with networks that do nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from numpy_engines import Unchanged

from derain import cli
from derain.cli import console
from derain.restore import Derainer


def status_of(*arguments: str) -> int:
    """Return the exit status of a command; what is said afterwards is as loud as before."""
    try:
        with pytest.raises(SystemExit) as raised:
            cli.main(arguments)
    finally:
        console.set_level(quiet=False, verbose=False)
    assert isinstance(raised.value.code, int)
    return raised.value.code


def load_nothing(
    patch: pytest.MonkeyPatch, seen: Callable[[str | None, dict[str, Any]], None]
) -> None:
    """Let every model be one that changes nothing; its name and settings are seen."""

    def load(name: str | None, **settings: Any) -> Derainer:
        seen(name, settings)
        return Derainer(Unchanged(), name="nothing")

    patch.setattr("derain.restore.load", load)
