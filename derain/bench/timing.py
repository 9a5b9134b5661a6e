"""How fast models run on this machine, and what share of what it can do that is: `derain bench`.

Every case is measured in a process of its own, which is how its peak memory is known, and in which
nothing else keeps memory. In it the network and a matrix product take turns: machines are shared
and change their pace, but hardly between two turns.
"""

import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from derain import rain
from derain.engines import choose_device
from derain.evaluate.cost import PeakMemory, multiply_adds
from derain.restore import Derainer, load

CEILING_SIDE = 2048
"""Of the square matrices whose product is the ceiling; on GPUs four times that."""
CEILING_SECONDS = 0.5

MOST_PSNR = 200.0
"""Of identical results, in dB."""


CORNER = 512
"""Largest side in pixels of what number formats are compared on."""

PATCH = 1024
"""Largest side in pixels of what a large picture is put together from."""


@dataclass(frozen=True)
class Case:
    """What is measured: a model, how it is executed, the size of the picture in pixels."""

    model: str
    engine: str = "torch"
    dtype: str = "float32"
    device: str = "auto"
    width: int = 512
    height: int = 512
    tile: int | None = None


@dataclass(frozen=True)
class Timing:
    """What was found.

    Attributes:
        seconds: Median of a picture, everything included: tiling, transfers, network.
        operations: Floating-point operations of the network a second, two for a multiply-add; None
            where they cannot be counted.
        ceiling: Those of a large matrix product in the same number format, measured in turns with
            the network.
        peak_memory: Most bytes the process held; on a GPU, its tensors. None where the system does
            not say.
        psnr: Of a corner of the result against PyTorch's in float32, in dB, not rounded to grey
            levels; None for that itself.
    """

    case: Case
    seconds: float
    operations: float | None
    ceiling: float
    peak_memory: int | None
    psnr: float | None = None

    @property
    def megapixels_per_second(self) -> float:
        return self.case.width * self.case.height / 1e6 / self.seconds

    @property
    def share(self) -> float | None:
        """Of the ceiling."""
        return None if self.operations is None else self.operations / self.ceiling


def bench(
    cases: Sequence[Case], rounds: int, pictures: int, on_case: Callable[[int, int], None]
) -> list[Timing]:
    """Measures every case, in turns, ``rounds`` times: medians over all rounds, the most memory of
    any.

    Args:
        pictures: Timed in each round, after one that is not.
        on_case: Called after each process with the number done and the number of all.

    Raises:
        ValueError: What a case's process ended with, in one line.
    """
    with tempfile.TemporaryDirectory() as folder:
        results: dict[Case, list[dict[str, Any]]] = {case: [] for case in cases}
        for number in range(rounds * len(cases)):
            case = cases[number % len(cases)]
            results[case].append(
                _in_own_process(case, pictures, Path(folder) / f"{number % len(cases)}.npy")
            )
            on_case(number + 1, rounds * len(cases))
        return [_summed_up(case, rows, Path(folder), cases) for case, rows in results.items()]


def _in_own_process(case: Case, pictures: int, result: Path) -> dict[str, Any]:
    task = json.dumps({"case": asdict(case), "pictures": pictures, "result": str(result)})
    command = [sys.executable, "-m", "derain.bench.timing", task]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (
            done.stderr.strip().splitlines() or ["killed, which happens where memory runs out"]
        )[-1]
        raise ValueError(
            f"{case.model}, {case.engine}, {case.dtype}, {case.width}x{case.height}: {last}"
        )
    return json.loads(done.stdout.splitlines()[-1])


def _summed_up(
    case: Case, rows: list[dict[str, Any]], folder: Path, cases: Sequence[Case]
) -> Timing:
    seconds = statistics.median(value for row in rows for value in row["seconds"])
    ceiling = statistics.median(value for row in rows for value in row["ceiling"])
    count = rows[0]["operations"]
    peaks = [row["peak_memory"] for row in rows]
    exact = next((k for k, other in enumerate(cases) if _is_exact_twin(other, case)), None)
    psnr = None
    if exact is not None and cases[exact] != case:
        psnr = min(
            MOST_PSNR,
            psnr_between(
                np.load(folder / f"{cases.index(case)}.npy"), np.load(folder / f"{exact}.npy")
            ),
        )
    memory = None if None in peaks else max(peaks)
    return Timing(case, seconds, None if count is None else count / seconds, ceiling, memory, psnr)


def _is_exact_twin(other: Case, case: Case) -> bool:
    same = (other.model, other.width, other.height, other.tile) == (
        case.model,
        case.width,
        case.height,
        case.tile,
    )
    return same and other.engine == "torch" and other.dtype == "float32"


def psnr_between(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Of two results in [0, 1]: (H, W, 3)."""
    error = float(np.mean((one.astype(np.float64) - other) ** 2))
    return -10 * math.log10(error) if error else math.inf


def picture(width: int, height: int) -> NDArray[np.float32]:
    """A seeded picture with structure of every size, and rain on it: (height, width, 3) in [0, 1].

    A large one is a smaller one and its mirror images side by side.
    """
    rows, columns = min(height, PATCH), min(width, PATCH)
    dice = torch.Generator().manual_seed(0)
    scene = torch.full((1, 3, rows, columns), 0.45)
    for octave in range(1, 8):
        noise = torch.randn((1, 3, 2 + (rows >> octave), 2 + (columns >> octave)), generator=dice)
        scene += 0.02 * octave**0.5 * F.interpolate(noise, (rows, columns), mode="bilinear")
    rainy = rain.compose(
        scene[0].clamp(0, 1), rain.sample(rain.PRESETS["rain100l"], (rows, columns), dice)
    )
    return np.pad(
        rainy.permute(1, 2, 0).numpy(),
        ((0, height - rows), (0, width - columns), (0, 0)),
        mode="symmetric",
    )


def operations(derainer: Derainer, width: int, height: int) -> int | None:
    """Floating-point operations on a picture, those of all tiles and flips; two for a
    multiply-add.
    """
    sizes = derainer.grid(height, width).sizes
    counts = {size: multiply_adds(derainer.engine.network, size) for size in set(sizes)}
    if None in counts.values():
        return None
    return 2 * derainer.flips * sum(counts[size] or 0 for size in sizes)


class Ceiling:
    """The rate of a large matrix product on a device in a number format, in operations a second,
    one measurement a call.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        side = CEILING_SIDE * (1 if device.type == "cpu" else 4)
        self._device, self._count = device, 2 * side**3
        self._left, self._right = (
            torch.randn(side, side, device=device).to(dtype) for _ in range(2)
        )
        self()

    def __call__(self) -> float:
        times = 0
        seconds = 0.0
        while seconds < CEILING_SECONDS:  # a processor that has rested is faster for a moment
            seconds += seconds_of(lambda: self._left @ self._right, self._device)
            times += 1
        return times * self._count / seconds


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Of one call, what it left to a GPU included."""
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def in_turns(
    work: Callable[[], object], ceiling: Ceiling, device: torch.device, times: int
) -> dict[str, list[float]]:
    """Seconds of the work, and the ceiling's rate next to each."""
    turns = [(seconds_of(work, device), ceiling()) for _ in range(times)]
    return {"seconds": [seconds for seconds, _ in turns], "ceiling": [rate for _, rate in turns]}


def _measure(case: Case, pictures: int, result: Path) -> dict[str, Any]:
    """In the process of a case: a picture of 8 bits, as users have, and a corner of it in floats,
    to compare.
    """
    rainy = picture(case.width, case.height)
    corner = rainy[:CORNER, :CORNER].copy()
    rainy = np.rint(rainy * 255).astype(np.uint8)
    device = choose_device(case.device)
    peak = PeakMemory(device)
    derainer = load(
        case.model, device=case.device, dtype=case.dtype, tile=case.tile, engine=case.engine
    )
    derainer(rainy)
    held = peak.read()
    turns = in_turns(
        lambda: derainer(rainy), Ceiling(device, derainer.engine.dtype), device, pictures
    )
    np.save(result, derainer(corner))
    return turns | {
        "operations": operations(derainer, case.width, case.height),
        "peak_memory": held,
    }


def main() -> None:
    """One case, told in JSON as the only argument; what was found goes to stdout, an error as the
    last line of stderr.
    """
    task = json.loads(sys.argv[1])
    try:
        found = _measure(Case(**task["case"]), task["pictures"], Path(task["result"]))
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise SystemExit(" ".join(str(error).split())) from None
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
