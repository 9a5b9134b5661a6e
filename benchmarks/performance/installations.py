"""Compare installations: what they hold, and the seconds to the first picture.

    python -m benchmarks.performance.installations --before COMMIT
    python -m benchmarks.performance.installations --before COMMIT --environments DIR --skip-large

Each installation gets a virtual environment of its own, made by ``--python``: this checkout without
extras, this checkout with PyTorch, and an earlier commit as it was installed then. They take turns,
and every second round begins with the last one. Before a cold run the files of the environment are
dropped from the page cache (Linux); the interpreter's own library stays there.
"""

import argparse
import contextlib
import importlib.metadata
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from benchmarks.command import new_parser
from benchmarks.machine import commit
from benchmarks.tables import table_head, table_row
from derain import machine

ROOT = Path(__file__).parents[2]
PHOTO = ROOT / "examples/rocket.jpg"
SMALL, LARGE = (320, 214), (6000, 4000)
"""Width and height of the pictures."""
QUALITY = 92
"""Of the JPEG files."""
INSTALLERS = ("pip", "setuptools")
"""What a virtual environment may hold before anything is installed; not counted."""
COLD_ROUNDS = LARGE_ROUNDS = 3
PICTURE, HELP, LIST = ("small.jpg", "--force"), ("--help",), ("weights", "list")
"""Arguments of ``derain`` that are timed."""
ENGINE = """
try:
    import torch
    print("torch", torch.__version__)
except ImportError:
    import onnxruntime
    print("onnxruntime", onnxruntime.__version__)
"""
"""Prints what ``--engine auto`` computes with, and which build of it."""


@dataclass(frozen=True)
class Source:
    """What is installed.

    Attributes:
        name: In the table.
        folder: Of the environment; it does not contain the name's brackets.
        checkout: Holds `pyproject.toml`.
        extra: Of the package; empty for no extras.
    """

    name: str
    folder: str
    checkout: Path
    extra: str = ""

    @property
    def requirement(self) -> str:
        """Return what pip is asked for."""
        return f"{self.checkout}[{self.extra}]" if self.extra else str(self.checkout)


@dataclass
class Measured:
    """An installation, and what was measured of it.

    Attributes:
        name: In the table.
        engine: What computes by default, and its version.
        environment: The virtual environment.
        packages: Number of distributions.
        size: Bytes of the files in `site-packages`.
        wheel: Bytes of derain's wheel.
        warm: Seconds of each round, by the arguments of ``derain``.
        cold: Seconds of each round to the first picture.
        large: Seconds and peak memory in bytes of each round of the large picture; empty if it
            was skipped.
    """

    name: str
    engine: str
    environment: Path
    packages: int
    size: int
    wheel: int
    warm: dict[tuple[str, ...], list[float]] = field(
        default_factory=lambda: {PICTURE: [], HELP: [], LIST: []}
    )
    cold: list[float] = field(default_factory=list[float])
    large: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])


def main() -> None:
    """Install, measure and print one table."""
    arguments = parse()
    version = run_checked([arguments.python, "--version"]).split()[-1]
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as cleanup:
        sources = [
            Source("`derain`", "plain", ROOT),
            Source("`derain[torch]`", "torch", ROOT, "torch"),
        ]
        if arguments.before:
            earlier = cleanup.enter_context(checked_out(arguments.before, Path(scratch)))
            name = f"before, `{arguments.before}`"
            sources.append(Source(name, f"before-{arguments.before}", earlier))
        environments = (arguments.environments or Path(scratch)).absolute() / f"python-{version}"
        made = [install(source, arguments.python, environments) for source in sources]
        pictures = Path(scratch) / "pictures"
        make_pictures(pictures)
        measure(made, pictures, arguments.rounds)
        if not arguments.skip_large:
            for each in in_turns(made, LARGE_ROUNDS):
                each.large.append(run_derain(each, ["large.jpg", "--force"], pictures))
    print(table(made))
    print(f"\n{caption(made, arguments.rounds)}")
    # Versions of the interpreter that runs this script are not those that were measured.
    here = f"{machine.processor()}, {os.cpu_count()} cores"
    print(f"Measured on {here}, Python {version}; commit {commit()}.")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = new_parser(__doc__)
    parser.add_argument("--before", metavar="COMMIT", help="an earlier commit to compare with")
    parser.add_argument("--rounds", type=int, default=7, help="of warm runs")
    parser.add_argument("--python", default=sys.executable, help="makes the environments")
    parser.add_argument("--skip-large", action="store_true", help="leave out 24 megapixels")
    parser.add_argument(
        "--environments",
        type=Path,
        metavar="DIR",
        help="keep the environments there; derain is installed into them again",
    )
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds: found {arguments.rounds}, expected at least 1")
    return arguments


# Installing


@contextlib.contextmanager
def checked_out(commit: str, folder: Path) -> Generator[Path, None, None]:
    """Check an earlier commit out below a folder, for as long as the context lasts."""
    place = folder / "before"
    git = ["git", "-C", str(ROOT), "worktree"]
    run_checked([*git, "add", "--detach", str(place), commit])
    try:
        yield place
    finally:
        run_checked([*git, "remove", "--force", str(place)])


def install(source: Source, python: str, folder: Path) -> Measured:
    """Make the environment unless it is there, install derain into it, and look what it holds."""
    environment = folder / source.folder
    inside = str(environment / "bin/python")
    if not Path(inside).exists():
        run_checked([python, "-m", "venv", str(environment)])
    # pip replaces what it installed from a folder, though the version is the same.
    run_checked([inside, "-m", "pip", "install", source.requirement])
    with tempfile.TemporaryDirectory() as wheels:
        wheel = [inside, "-m", "pip", "wheel", "--no-deps", "-w", wheels, str(source.checkout)]
        run_checked(wheel)
        wheel_size = sum(path.stat().st_size for path in Path(wheels).glob("derain-*.whl"))
    (packages,) = environment.glob("lib/python*/site-packages")
    return Measured(
        name=source.name,
        engine=run_checked([inside, "-c", ENGINE]).strip(),
        environment=environment,
        packages=len(distributions(packages)),
        size=size_of(packages),
        wheel=wheel_size,
    )


def distributions(packages: Path) -> list[str]:
    """Return the names of what is installed in a folder, without pip and setuptools."""
    found = importlib.metadata.distributions(path=[str(packages)])
    return sorted({each.name for each in found} - set(INSTALLERS))


def size_of(packages: Path) -> int:
    """Return the bytes of all files in a folder of packages, without pip's and setuptools' own."""
    left_out = {
        file.parts[0]
        for each in importlib.metadata.distributions(path=[str(packages)])
        if each.name in INSTALLERS
        for file in each.files or ()
    }
    kept = [path for path in packages.iterdir() if path.name not in left_out]
    return sum(path.stat().st_size for place in kept for path in files_in(place))


def files_in(place: Path) -> list[Path]:
    """Return a file itself or all files below a folder, without links."""
    paths = place.rglob("*") if place.is_dir() else [place]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def run_checked(command: Sequence[str]) -> str:
    """Run a command and return its standard output.

    Raises:
        SystemExit: If it cannot be started or fails.
    """
    try:
        done = subprocess.run(
            command, env=clean_environment(), capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise SystemExit(f"{command[0]}: {error.strerror}; expected a program") from None
    if done.returncode:
        raise SystemExit(failure(command, done.returncode, done.stderr))
    return done.stdout


def clean_environment() -> dict[str, str]:
    """Return the environment variables, without those that give Python other modules."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def failure(command: Sequence[str], status: int, messages: str) -> str:
    """Return one line that says which command failed, and the last thing it wrote."""
    last = (messages.strip().splitlines() or ["it wrote nothing"])[-1]
    return f"{' '.join(command)}: found exit status {status}, expected 0: {last.strip()}"


# Measuring


def make_pictures(folder: Path) -> None:
    """Write `small.jpg` and `large.jpg`, both scaled from the same photograph."""
    folder.mkdir()
    with Image.open(PHOTO) as photo:
        for name, size in (("small.jpg", SMALL), ("large.jpg", LARGE)):
            photo.resize(size, Image.Resampling.BICUBIC).save(folder / name, quality=QUALITY)


def measure(installations: Sequence[Measured], pictures: Path, rounds: int) -> None:
    """Time cold runs, then warm ones after one run that is not timed."""
    for one in in_turns(installations, COLD_ROUNDS):
        evict(one.environment)
        one.cold.append(run_derain(one, PICTURE, pictures)[0])
    for one in installations:
        for arguments in one.warm:
            run_derain(one, arguments, pictures)
    for one in in_turns(installations, rounds):
        for arguments, seconds in one.warm.items():
            seconds.append(run_derain(one, arguments, pictures)[0])


def in_turns(installations: Sequence[Measured], rounds: int) -> Iterator[Measured]:
    """Yield all installations in every round, in reverse order in every second one."""
    for number in range(rounds):
        yield from installations[:: -1 if number % 2 else 1]


def evict(folder: Path) -> None:
    """Drop the files below a folder from the page cache; those that a process has mapped stay."""
    os.sync()  # pages that are not written yet would stay
    for path in files_in(folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def run_derain(
    installation: Measured, arguments: Sequence[str], pictures: Path
) -> tuple[float, int]:
    """Return the seconds of a command in the folder of pictures, and its peak memory in bytes."""
    return run_child([str(installation.environment / "bin/derain"), *arguments], pictures)


def run_child(command: Sequence[str], folder: Path) -> tuple[float, int]:
    """Return the seconds from start to end of a process, and its maximum resident set in bytes.

    Linux counts at least what this process held when it started the other.

    Raises:
        SystemExit: If it fails.
    """
    with tempfile.TemporaryFile("w+") as messages:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=clean_environment(),
            stdout=subprocess.DEVNULL,
            stderr=messages,
        )
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            messages.seek(0)
            raise SystemExit(failure(command, process.returncode, messages.read()))
    return seconds, used.ru_maxrss * 1024


# Printing


def table(installations: Sequence[Measured]) -> str:
    """Return the Markdown table."""
    head = table_head(
        "installation",
        "engine",
        "packages",
        "MB",
        "first picture, warm, s",
        "cold, s",
        "`derain --help`, s",
        "`derain weights list`, s",
        "24 megapixels, s",
        "peak memory, MB",
    )
    return "\n".join([head, *map(row_of, installations)])


def row_of(installation: Measured) -> str:
    """Return the row of an installation."""
    large = ("not measured", "not measured")
    if installation.large:
        seconds, peaks = zip(*installation.large, strict=True)
        large = middle_and_least(seconds), f"{max(peaks) / 1e6:.0f}"
    warm = installation.warm
    return table_row(
        installation.name,
        installation.engine,
        installation.packages,
        f"{installation.size / 1e6:.0f}",
        middle_and_least(warm[PICTURE]),
        middle_and_least(installation.cold),
        middle_and_least(warm[HELP]),
        middle_and_least(warm[LIST]),
        *large,
    )


def middle_and_least(seconds: Sequence[float]) -> str:
    """Return the median and the least of times."""
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f})"


def caption(installations: Sequence[Measured], rounds: int) -> str:
    """Return what the table shows, in sentences."""
    small, large = (f"{width}x{height}" for width, height in (SMALL, LARGE))
    wheels = ", ".join(f"{each.name} {each.wheel / 1e6:.1f} MB" for each in installations)
    return (
        "Packages: installed distributions without pip and setuptools. MB: the sizes of the files"
        " in site-packages without these two, in millions of bytes.\n"
        f"First picture: `derain small.jpg`, a JPEG of {small} made from examples/{PHOTO.name},"
        f" from the start of the process to its end. Warm: median (least) of {rounds} runs in"
        f" turns. Cold: of {COLD_ROUNDS} runs in turns, each after the files of the environment"
        " were dropped from the page cache; the interpreter's own library was not.\n"
        f"24 megapixels: a JPEG of {large} enlarged from the same picture, median (least) of"
        f" {LARGE_ROUNDS} runs in turns; memory is the largest of the processes' maximum resident"
        " sets.\n"
        f"Wheel of derain: {wheels}."
    )


if __name__ == "__main__":
    main()
