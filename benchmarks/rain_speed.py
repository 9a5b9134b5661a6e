"""How many rainy pairs of 128x128 a second each preset makes, as training makes them: batches of 64 on a GPU, of 8 on a CPU.

python benchmarks/rain_speed.py
"""

import argparse
import statistics
import time

import torch
from machine import describe_machine

from derain.data import generator_for
from derain.rain import PRESETS, compose, sample_batch


def main() -> None:
    """Prints a table; presets take turns, the median round counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--threads", type=int, help="of a CPU; default: all its cores")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    count = 64 if device.type == "cuda" else 8
    clean = torch.rand(count, 3, arguments.size, arguments.size, device=device)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in PRESETS}
    for turn in range(arguments.rounds + 1):
        for name in PRESETS:
            taken = time_batch(name, turn, clean)
            if turn:  # the first warms up
                seconds[name].append(taken)
    print(f"Pairs of {arguments.size}x{arguments.size} a second, batches of {count}, {torch.get_num_threads()} threads.\n")
    print("| preset | pairs a second | milliseconds of one core for a pair |\n|---|---|---|")
    for name, taken in seconds.items():
        wall, processor = (statistics.median(values) for values in zip(*taken, strict=True))
        print(f"| `{name}` | {count / wall:.0f} | {processor / count * 1e3:.1f} |")
    print(f"\nMeasured on {describe_machine()}.")


def time_batch(name: str, turn: int, clean: torch.Tensor) -> tuple[float, float]:
    """Seconds that one batch takes, composed, by the clock and of processors: others may be using them."""
    size = (clean.shape[2], clean.shape[3])
    began, worked = time.perf_counter(), time.process_time()
    generators = [generator_for(1, turn, k) for k in range(len(clean))]
    rainy = compose(clean, sample_batch([PRESETS[name]] * len(clean), size, generators, clean.device))
    float(rainy[0, 0, 0, 0])  # waits for a GPU
    return time.perf_counter() - began, time.process_time() - worked


if __name__ == "__main__":
    main()
