"""What of the machine is ours: memory, kept and free, and processor cores."""

import contextlib
import ctypes
import functools
import os
import re
import sys
from pathlib import Path

import torch

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Options of glibc's mallopt, from its malloc.h."""
NEVER = -1

CGROUP = Path("/sys/fs/cgroup")
"""Where a container finds what it may use (cgroup v2)."""


@functools.cache
def keep_freed_memory() -> None:
    """Tells glibc to keep what the main thread frees for its next use, once and for the whole
    process.

    Every layer of every tile asks for blocks of the same sizes again. By default large ones go back
    to the system each time and are mapped and cleared anew page by page, which costs as much as the
    arithmetic (`benchmarks/kept_memory.py`). The price is that a process keeps the most it ever
    held. Nothing happens where there is no glibc, or where the environment has a ``MALLOC_``
    variable of glibc's: then the user has decided.
    """
    if not sys.platform.startswith("linux") or any(
        name.startswith("MALLOC_") for name in os.environ
    ):
        return
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option:  # musl has none
        for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER)):
            set_option(option, value)


def free_memory(device: torch.device) -> int | None:
    """Bytes that may still be asked for on a device without harm to others; None where the system
    does not say.

    On a CPU under Linux what is available, and no more than a container may use.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type != "cpu" or not sys.platform.startswith("linux"):
        return None
    found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    known = [int(found[1]) * 1024] if found else []
    # no container, or one without a limit ("max")
    with contextlib.suppress(OSError, ValueError):
        limit, used = (
            int((CGROUP / name).read_text()) for name in ("memory.max", "memory.current")
        )
        known.append(max(limit - used, 0))
    return min(known, default=None)


def available_cores() -> int:
    """Processor cores this process may use: those it is bound to, and no more than a container's
    quota.
    """
    bound = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    # no container, or one without a quota ("max")
    with contextlib.suppress(OSError, ValueError):
        quota, period = (int(part) for part in (CGROUP / "cpu.max").read_text().split())
        return max(1, min(bound, -(-quota // period)))
    return bound


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was asked for in vain; PyTorch has no one class for it."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError)
        and ("allocate memory" in str(error) or "out of memory" in str(error))
    )
