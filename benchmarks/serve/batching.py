"""Time pictures of one size in batches against one by one.

    python -m benchmarks.serve.batching petrichor-live petrichor --engines onnx torch

A server that is busy could derain several pictures of one size at once. This script says whether
that is faster: each engine maps batches of several pictures, in turns with single ones.
"""

import time

import numpy as np

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from derain.engines import Engine
from derain.restore import load


def main() -> None:
    """Time the models, and print a table."""
    parser = new_parser(__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--engines", nargs="+", default=["onnx"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batches", nargs="+", type=int, default=[2, 4])
    parser.add_argument("--sides", nargs="+", type=int, default=[128, 256, 512])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    titles = [f"{count} at once against one by one" for count in arguments.batches]
    print(table_head("model", "engine", "picture", "one by one, pictures/s", *titles))
    for name in arguments.models:
        for runtime in arguments.engines:
            engine = load(name, engine=runtime, device=arguments.device).engine
            for side in arguments.sides:
                seconds = fastest(engine, side, [1, *arguments.batches], arguments.rounds)
                single = seconds[1]
                ratios = [f"{single / seconds[count]:.2f}" for count in arguments.batches]
                what = (f"`{name}`", engine.name, f"{side}x{side}", f"{1 / single:.2f}")
                print(table_row(*what, *ratios))
    print(f"\nThe fastest of {arguments.rounds} rounds; above 1 is faster in a batch.")
    print(f"Measured on {describe_machine(arguments.engines[0])}.")


def fastest(engine: Engine, side: int, counts: list[int], rounds: int) -> dict[int, float]:
    """Return the seconds for one picture by the number of pictures in a batch.

    Every round takes as many pictures of each kind: those of the largest batch.
    """
    dice = np.random.default_rng(0)
    pictures = dice.random((max(counts), 3, side, side), np.float32)
    best = dict.fromkeys(counts, float("inf"))
    for number in range(rounds + 1):
        for count in counts:
            began = time.perf_counter()
            for start in range(0, len(pictures), count):
                engine(pictures[start : start + count])
            if number:  # the first round warms up
                seconds = (time.perf_counter() - began) / len(pictures)
                best[count] = min(best[count], seconds)
    return best


if __name__ == "__main__":
    main()
