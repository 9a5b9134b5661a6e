"""Facts about the machine: cores, memory, number formats, and a description for reports."""

import contextlib
import ctypes
import functools
import gc
import importlib.metadata
import os
import platform
import re
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Options of glibc's mallopt, from its malloc.h."""
NEVER = -1

CGROUP = Path("/sys/fs/cgroup")
"""Where a container finds what it may use (cgroup v2)."""


# Cores and number formats


def available_cores() -> int:
    """Return how many processor cores this process may use.

    These are the cores it is bound to, and no more than a container's quota.
    """
    bound = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    # Outside a container there is no such file; without a quota it says "max".
    with contextlib.suppress(OSError, ValueError):
        quota, period = (int(part) for part in (CGROUP / "cpu.max").read_text().split())
        return max(1, min(bound, -(-quota // period)))
    return bound


def compute_threads() -> int | None:
    """Return how many threads arithmetic should have; None where its libraries know better.

    That is ``OMP_NUM_THREADS`` if it is set. Otherwise it is a thread for each physical core that
    this process may use, and no more than a container's quota: two threads on one core are slower
    than one.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    physical = _physical_cores()
    return None if physical is None else min(physical, available_cores())


def _physical_cores() -> int | None:
    """Return the number of cores behind the processors that this process is bound to (Linux)."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    place = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    try:
        return len({Path(place.format(one)).read_text() for one in os.sched_getaffinity(0)})
    except OSError:
        return None


def wait_briefly() -> None:
    """Let threads of OpenMP that wait for work sleep soon; they share their cores with others.

    It has to be called before PyTorch is imported, and does nothing where the environment decides.
    By default they spin for milliseconds after every layer, and where another program is at work
    that is on a core which the last of them needs. Alone nothing is lost
    (`benchmarks/performance/waiting.py`).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")


@contextlib.contextmanager
def same_priority() -> Generator[None]:
    """Keep this thread's priority in the context, and give it to all threads that start there.

    SVT-AV1 puts its threads, and the one that opens it, before everything else on the machine where
    the user is root, as in many containers. Only Linux lets a process change this of its threads.
    """
    tasks = Path("/proc/self/task")
    if not (hasattr(os, "sched_getscheduler") and tasks.is_dir()):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    before = {task.name for task in tasks.iterdir()} - {str(threading.get_native_id())}
    try:
        yield
    finally:
        for task in tasks.iterdir():
            if task.name not in before:
                with contextlib.suppress(OSError):  # it may have ended
                    os.sched_setscheduler(int(task.name), policy, parameters)


def cpu_has_bfloat16() -> bool:
    """Return whether the processor has instructions for bfloat16; False where nobody can say."""
    return bool({"avx512_bf16", "amx_bf16"} & set(_cpuinfo().split()))


def _cpuinfo() -> str:
    """Return what Linux says about the processor; empty elsewhere."""
    place = Path("/proc/cpuinfo")
    return place.read_text(errors="replace") if place.exists() else ""


# Processes


def python_command(program: str, *arguments: str) -> list[str]:
    """Return the command of another Python that runs no file of the working folder.

    A folder of pictures from somebody may hold a ``json.py``, which Python would prefer to its own
    module: for a program on the command line it searches the working folder first.

    Args:
        program: Its text; what it imports may be derain.
        arguments: What it finds in ``sys.argv`` from 1 on.
    """
    above = str(Path(__file__).parents[1])
    guard = f"import sys; sys.path[:] = [*filter(None, sys.path), {above!r}]"
    return [sys.executable, "-c", f"{guard}\n{program}", *arguments]


# Memory


def free_memory() -> int | None:
    """Return how many bytes this process may still ask for without harm to others.

    On Linux that is what is available, and no more than a container may use; None elsewhere.
    """
    if not sys.platform.startswith("linux"):
        return None
    found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    known = [int(found[1]) * 1024] if found else []
    # Outside a container there are no such files; without a limit the first says "max".
    with contextlib.suppress(OSError, ValueError):
        limit, used = (
            int((CGROUP / name).read_text()) for name in ("memory.max", "memory.current")
        )
        known.append(max(limit - used, 0))
    return min(known, default=None)


@functools.cache
def keep_freed_memory() -> None:
    """Tell glibc to keep what the main thread frees for its next use, for the whole process.

    Every layer of every tile asks for blocks of the same sizes again. By default large ones go
    back to the system each time, and are mapped and cleared again page by page. This costs as much
    as the arithmetic (`benchmarks/performance/kept_memory.py`). The price is that a process keeps
    the most it ever held. Nothing happens where there is no glibc, or where the environment has a
    ``MALLOC_`` variable of glibc's: then the user has decided.
    """
    decided = any(name.startswith("MALLOC_") for name in os.environ)
    if decided or not sys.platform.startswith("linux"):
        return
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option:  # musl has none
        for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER)):
            set_option(option, value)


class PeakMemory:
    """The most memory that this process holds from here on (Linux)."""

    def __init__(self) -> None:
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)  # glibc: give back what earlier work left
        self._known = True
        try:
            Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
        except OSError:
            self._known = False

    def read(self) -> int | None:
        """Return the peak in bytes; None where the system does not say."""
        if not self._known:
            return None
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(found[1]) * 1024 if found else None


# Description


def processor() -> str:
    """Return the model name of the processor, or its architecture where nothing better is known."""
    found = re.search(r"^model name\s*:\s*(.*)$", _cpuinfo(), re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


_PACKAGES = {"torch": "torch", "onnx": "onnxruntime", "openvino": "openvino"}
"""What an engine executes a network with, by the engine's name."""


def describe(engine: str = "") -> str:
    """Return versions, processor, threads and accelerator, in one line for tables and reports.

    Args:
        engine: What computed; empty for PyTorch if it was imported, otherwise ONNX Runtime.
    """
    torch: Any = sys.modules.get("torch")
    package = _PACKAGES.get(engine or ("torch" if torch else "onnx"), "")
    versions = f"derain {version_of('derain')}"
    if package:
        versions += f", {package} {version_of(package)}"
    threads = f"{compute_threads() or os.cpu_count()} threads"
    gpu = ""
    if torch and package == "torch":
        threads = f"PyTorch on {torch.get_num_threads()}"
        gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{versions}, {processor()}, {os.cpu_count()} cores, {threads}{gpu}"


def version_of(package: str) -> str:
    """Return the version of a package; empty if there is none.

    One that is imported is asked: builds of a package may be distributed under other names.
    """
    imported = getattr(sys.modules.get(package), "__version__", None)
    if imported:
        return str(imported)
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
