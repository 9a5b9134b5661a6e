r"""Time whole clips: frames a second, and how much of the processor's time is not the network's.

    python -m benchmarks.video.speed CLEAN/val
    python -m benchmarks.video.speed CLEAN/val --memory 2000 --size 320 240

A clip of a still scene with seeded rain and things that move is written as H.264 at the size, with
as many frames as it takes; `derain` reads, restores and writes it. Kinds take turns; a row is the
median of the rounds. What the network takes alone is measured beside, on frames of the same size.

With ``--memory`` a process of its own derains a clip of so many frames instead, and prints its
resident memory on the way.
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from derain import machine
from derain.clips.pipeline import run
from derain.clips.plan import Job, Options, plan
from derain.data import clean_pictures
from derain.images import read_image, to_eight_bits
from derain.metrics import Bytes
from derain.progress import Progress, silent
from derain.restore import Derainer, load

MODULE = "benchmarks.video.speed"
"""The name under which this script starts itself again."""
RATE = 25
DISTINCT = 24
"""Frames that are made; the clip shows them forwards and backwards in turn."""
PICTURES = 0, 5, 6, 7
"""Places of the background and of what moves among the clean pictures."""
EVERY = 250
"""Frames after which memory is read."""


@dataclass(frozen=True)
class Kind:
    """What is timed.

    Attributes:
        model: Weights, or none.
        dtype: Number format of the network.
        temporal: As the command line takes it.
        seconds: Of each round.
        cpu: Seconds of the processor, of each round.
        alone: The same of the network alone.
    """

    model: str
    dtype: str
    temporal: str
    seconds: list[float] = field(default_factory=list[float])
    cpu: list[float] = field(default_factory=list[float])
    alone: list[float] = field(default_factory=list[float])

    def derainer(self) -> Derainer | None:
        """Return the network, loaded; None for none."""
        if self.model == "none":
            return None
        return load(self.model, device="cpu", dtype=self.dtype)


def main() -> None:
    """Print the table."""
    parser = new_parser(__doc__)
    parser.add_argument("clean", type=Path, help="folder of clean pictures")
    parser.add_argument("--models", nargs="+", default=["petrichor-live"])
    parser.add_argument("--dtypes", nargs="+", default=["bfloat16", "float32"])
    parser.add_argument(
        "--size", nargs=2, type=int, default=(1280, 720), metavar=("WIDTH", "HEIGHT")
    )
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, metavar="FRAMES", help="print memory instead")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        _watch_memory(arguments.one, arguments.models[0])
        return
    # Before PyTorch is imported, as the command does.
    machine.wait_briefly()
    from benchmarks.video.scene import scene

    pictures = [to_eight_bits(read_image(clean_pictures(arguments.clean)[k])) for k in PICTURES]
    rainy = scene(pictures, "rain100l", 1, DISTINCT, tuple(arguments.size)).rainy
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        write_clip(clip, rainy, arguments.memory or arguments.frames)
        if arguments.memory:
            _print_memory(clip, arguments)
        else:
            networks = itertools.product(arguments.models, arguments.dtypes, ("auto", "off"))
            kinds = [Kind(*names) for names in networks]
            _print_speed(clip, rainy, [*kinds, Kind("none", "", "auto")], arguments)


def write_clip(path: Path, frames: Sequence[Bytes], count: int) -> None:
    """Write frames, (H, W, 3) each, forwards and backwards until there are as many as asked for."""
    order = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=RATE, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number, place in zip(range(count), itertools.cycle(order), strict=False):
            frame = av.VideoFrame.from_ndarray(frames[place], "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))


def _print_speed(
    clip: Path, frames: Sequence[Bytes], kinds: Sequence[Kind], options: argparse.Namespace
) -> None:
    networks = [(kind, kind.derainer()) for kind in kinds]
    for turn in range(options.rounds + 1):
        for kind, derainer in networks:
            began, cpu = time.perf_counter(), time.process_time()
            _derain(clip, derainer, kind.temporal)
            now, spent = time.perf_counter(), time.process_time()
            alone = 0.0
            if derainer:
                for frame in frames[:8]:
                    derainer(frame)
                alone = (time.process_time() - spent) / 8 * options.frames
            if turn:  # the first one warms up
                kind.seconds.append(now - began)
                kind.cpu.append(spent - cpu)
                kind.alone.append(alone)
    columns = ("frames/s", "processor, ms a frame", "network alone, ms", "not the network")
    print(table_head("model", "number format", "temporal", *columns))
    for kind in kinds:
        rate = options.frames / statistics.median(kind.seconds)
        cpu, alone = (
            1000 * statistics.median(values) / options.frames for values in (kind.cpu, kind.alone)
        )
        shares = [1 - one / whole for one, whole in zip(kind.alone, kind.cpu, strict=True)]
        numbers = f"{rate:.1f}", f"{cpu:.0f}", f"{alone:.0f}", f"{statistics.median(shares):.0%}"
        print(table_row(f"`{kind.model}`", kind.dtype, kind.temporal, *numbers))
    width, height = options.size
    print(
        f"\n{width}x{height}, {options.frames} frames, H.264 in and out with the default settings,"
        f" median of {options.rounds} rounds. Measured on {describe_machine()}."
    )


def _derain(
    clip: Path, derainer: Derainer | None, temporal: str, progress: Progress = silent
) -> None:
    """Derain a clip to a file that is thrown away.

    Raises:
        SystemExit: If it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        planned = plan(clip, Path(folder) / "out.mp4", Options(temporal=temporal))

        def started(_: Job) -> Progress:
            return progress

        for result in run(planned.jobs, derainer, started):
            if result.error:
                raise SystemExit(f"speed.py: {result.error}")


def _print_memory(clip: Path, options: argparse.Namespace) -> None:
    model = options.models[0]
    command = [sys.executable, "-m", MODULE, str(options.clean), "--one", str(clip)]
    found = subprocess.run(
        [*command, "--models", model], check=True, stdout=subprocess.PIPE, text=True
    )
    print(table_head("frames done", "resident memory, MB"))
    print(found.stdout, end="")
    width, height = options.size
    print(
        f"\n`{model}`, {width}x{height}, {options.memory} frames. Measured on {describe_machine()}."
    )


def _watch_memory(clip: Path, model: str) -> None:
    """Derain a clip, and print a row now and then."""

    def watch(stage: str, done: int, _: int, /) -> None:
        if stage == "frames" and done and done % EVERY == 0:
            print(table_row(done, f"{resident() / 1e6:.0f}"), flush=True)

    _derain(clip, Kind(model, "auto", "auto").derainer(), "auto", watch)


def resident() -> int:
    """Return how many bytes of this process lie in memory, where the system tells, as Linux."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
