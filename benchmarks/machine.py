"""Describe the machine and the code that a table was measured with."""

import os
import platform
import subprocess
from pathlib import Path

import torch


def describe_machine() -> str:
    """Return processor, cores, GPU, PyTorch's version and the commit, in one line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":")[1].strip()
            for line in cpuinfo.read_text().splitlines()
            if line.startswith("model name")
        ]
        model = names[0] if names else model
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{model}, {os.cpu_count()} cores{gpu}; torch {torch.__version__}; commit {commit()}"


def commit() -> str:
    """Return the short hash of the checkout, marked ``-dirty`` if files have changed since."""
    here = Path(__file__).parent
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    found = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"
