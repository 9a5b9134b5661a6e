"""What every table says about where it was measured."""

import subprocess
from pathlib import Path

from derain import evaluate


def describe_machine() -> str:
    """Return versions, processor, cores, accelerator and commit, in one line."""
    return f"{evaluate.describe_machine()}; commit {commit()}"


def commit() -> str:
    """Short hash of the checkout, with a mark if it was changed since."""
    here = Path(__file__).parent
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    found = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"
