"""Describe the machine and the code that a table was measured with."""

import subprocess
from pathlib import Path

from derain import machine


def describe_machine(engine: str = "torch") -> str:
    """Return versions, processor, cores, accelerator and commit, in one line.

    Args:
        engine: What computed, in this process or another.
    """
    return f"{machine.describe(engine)}; commit {commit()}"


def commit() -> str:
    """Return the short hash of the checkout, marked ``-dirty`` if files have changed since."""
    here = Path(__file__).parent
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    found = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"
