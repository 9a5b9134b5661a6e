"""Describe the machine and the code that a table was measured with."""

import os
import subprocess
from pathlib import Path

import torch

from derain.machine import processor, version_of


def describe_machine() -> str:
    """Return processor, cores, GPU, PyTorch's version and the commit, in one line."""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    versions = f"torch {version_of('torch')}; commit {commit()}"
    return f"{processor()}, {os.cpu_count()} cores{gpu}; {versions}"


def commit() -> str:
    """Return the short hash of the checkout, marked ``-dirty`` if files have changed since."""
    here = Path(__file__).parent
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    found = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"
