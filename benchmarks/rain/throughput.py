"""Measure how many rainy pairs of 128x128 a second each preset makes, as training makes them.

Batches are of 64 on a GPU, of 8 on a CPU. Two paths take turns: `sample_batch`, which draws the
numbers of one picture after the other, and `RainTable`, which draws those of a batch together.

    python -m benchmarks.rain.throughput [--textures DIR] [--presets mixed]
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from derain.rain import (
    PRESETS,
    Rain,
    RainTable,
    TextureBank,
    compose,
    generator_for,
    load_textures,
    sample_batch,
)

Draw = Callable[[int], Rain]
"""Draws the rain of a batch, which has a number."""


def main() -> None:
    """Print a table of medians; presets and paths take turns."""
    parser = new_parser(__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, help="default: 64 on a GPU, 8 on a CPU")
    parser.add_argument("--threads", type=int, help="of a CPU; default: all its cores")
    parser.add_argument("--textures", type=Path, help="folder of streak textures; default: none")
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=list(PRESETS))
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    count = arguments.batch or (64 if device.type == "cuda" else 8)
    bank = load_textures(arguments.textures) if arguments.textures else None
    clean = torch.rand(count, 3, arguments.size, arguments.size, device=device)
    paths = {
        (name, path): draw
        for name in arguments.presets
        for path, draw in paths_of(name, clean, bank).items()
    }
    seconds: dict[tuple[str, str], list[tuple[float, float]]] = {key: [] for key in paths}
    for turn in range(arguments.rounds + 1):
        for key, draw in paths.items():
            taken = time_batch(draw, turn, clean)
            if turn:  # the first warms up
                seconds[key].append(taken)
    textures = f"{len(bank)} textures" if bank else "no textures"
    print(
        f"Pairs of {arguments.size}x{arguments.size} a second, batches of {count}, "
        f"{torch.get_num_threads()} threads, {textures}.\n"
    )
    print(table_head("preset", "path", "pairs a second", "milliseconds of one core for a pair"))
    for (name, path), taken in seconds.items():
        wall, processor = (statistics.median(values) for values in zip(*taken, strict=True))
        rates = f"{count / wall:.0f}", f"{processor / count * 1e3:.1f}"
        print(table_row(f"`{name}`", f"`{path}`", *rates))
    print(f"\nMeasured on {describe_machine()}.")


def paths_of(name: str, clean: torch.Tensor, bank: TextureBank | None) -> dict[str, Draw]:
    """Return the ways to draw rain of a preset on this batch; presets with veils have only one."""
    preset, size, device = PRESETS[name], (clean.shape[2], clean.shape[3]), clean.device
    places = torch.arange(len(clean), dtype=torch.int32, device=device)

    def one_by_one(turn: int) -> Rain:
        generators = [generator_for(1, turn, k) for k in range(len(clean))]
        return sample_batch([preset] * len(clean), size, generators, device, bank)

    def together(table: RainTable, turn: int) -> Rain:
        return table.sample(places + turn * len(clean), size)

    paths: dict[str, Draw] = {"sample_batch": one_by_one}
    if not preset.veil:
        paths["RainTable"] = partial(together, RainTable(preset, bank, device))
    return paths


def time_batch(draw: Draw, turn: int, clean: torch.Tensor) -> tuple[float, float]:
    """Return the seconds that one batch takes, composed, by the clock and of processors.

    Processor time does not count other work on the machine.
    """
    began, worked = time.perf_counter(), time.process_time()
    rainy = compose(clean, draw(turn))
    float(rainy[0, 0, 0, 0])  # waits for a GPU
    return time.perf_counter() - began, time.process_time() - worked


if __name__ == "__main__":
    main()
