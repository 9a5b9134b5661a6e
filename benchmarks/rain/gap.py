r"""Train a small network on synthetic rain, and compare its scores on that and on real pairs.

The gap between the two is what the synthetic rain lacks. `clean` holds train/ and val/ of clean
pictures; real pairs are only scored on.

    python -m benchmarks.rain.gap CLEAN --train mixed \
        --light PATH/TO/Rain100L-dev10 --heavy PATH/TO/Rain100H-dev10
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.pairs import PixelPair, real_pairs, synthetic_pairs
from benchmarks.rain.small_network import SmallNetwork
from benchmarks.tables import table_head, table_row
from derain import metrics
from derain.data import clean_pictures
from derain.images import to_floats
from derain.rain import PRESETS
from derain.train import RainyBatches

LR = 1.5e-3
VALIDATION = {"light": "rain100l", "heavy": "rain100h"}


def main() -> None:
    """Train, score, and print a table."""
    parser = new_parser(__doc__)
    parser.add_argument("clean", type=Path)
    parser.add_argument(
        "--train", nargs="+", default=["mixed"], choices=list(PRESETS), help="presets to train on"
    )
    parser.add_argument("--light", type=Path, required=True, help="real pairs of light rain")
    parser.add_argument("--heavy", type=Path, required=True, help="real pairs of heavy rain")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument(
        "--steps", type=int, help="instead of minutes: the same work on any machine"
    )
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="where the trained weights go")
    arguments = parser.parse_args()

    torch.manual_seed(arguments.seed)
    sets = {
        f"{kind}, {source}": pairs
        for kind, real in (("light", arguments.light), ("heavy", arguments.heavy))
        for source, pairs in (
            ("ours", synthetic_pairs(arguments.clean / "val", VALIDATION[kind])),
            ("real", real_pairs(real)),
        )
    }
    network = SmallNetwork()
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    pictures = clean_pictures(arguments.clean / "train")
    source = RainyBatches(
        pictures,
        [PRESETS[name] for name in arguments.train],
        batch=arguments.batch,
        crop=arguments.crop,
        augment="dihedral",
        seed=arguments.seed,
    )
    began = time.perf_counter()
    for done, step in train(network, source, arguments.minutes * 60, arguments.steps):
        scores = {name: mean_psnr(network, pairs) for name, pairs in sets.items()}
        line = ", ".join(f"{name} {score:.2f}" for name, score in scores.items())
        print(
            f"{done:4.0%} {step:6d} steps {time.perf_counter() - began:5.0f} s: {line}", flush=True
        )
    print_table(arguments.train, sets, network)
    print(f"\nMeasured on {describe_machine()}.")
    if arguments.save:
        torch.save(network.state_dict(), arguments.save)


def train(
    network: SmallNetwork, source: RainyBatches, seconds: float, steps: int | None, looks: int = 5
) -> Iterator[tuple[float, int]]:
    """Train for a time or a number of steps.

    Yields:
        The share and the number of steps done, ``looks`` times on the way.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=LR, weight_decay=1e-4, betas=(0.9, 0.99))
    worked, step, looked = 0.0, 0, 0
    while looked < looks:
        began = time.perf_counter()
        done = step / steps if steps else min(1.0, worked / seconds)
        warm = min(1.0, (step + 1) / 50)
        for group in optimiser.param_groups:
            group["lr"] = LR * warm * 0.5 * (1 + math.cos(math.pi * done))
        batch = source.batch(step, torch.device("cpu"))
        rainy = batch.rainy.contiguous(memory_format=torch.channels_last)
        loss = F.l1_loss(network(rainy), batch.clean)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimiser.step()
        step += 1
        worked += time.perf_counter() - began
        done = step / steps if steps else min(1.0, worked / seconds)
        if done >= (looked + 1) / looks:
            looked += 1
            yield done, step


@torch.inference_mode()
def mean_psnr(network: Callable[[Tensor], Tensor] | None, pairs: Sequence[PixelPair]) -> float:
    """Return the mean PSNR in dB (y-matlab) of a network's output, or of the input if None."""
    scores: list[float] = []
    for rainy, clean in pairs:
        output = to_floats(rainy)
        if network is not None:
            tensor = (
                torch.from_numpy(output)
                .permute(2, 0, 1)[None]
                .contiguous(memory_format=torch.channels_last)
            )
            output = network(tensor)[0].clamp(0, 1).permute(1, 2, 0).numpy()
        scores.append(metrics.score(output, clean, "y-matlab").psnr)
    return float(np.mean(scores))


def print_table(
    presets: Sequence[str], sets: dict[str, list[PixelPair]], network: SmallNetwork
) -> None:
    """Print input, output and gap for light and heavy rain."""
    print(f"\nTrained on {', '.join(presets)}. PSNR in dB, y-matlab, input -> output.\n")
    columns = ("derain's rain, validation", "benchmark pairs", "gap of outputs", "gap of gains")
    print(table_head("rain", *columns))
    for kind in VALIDATION:
        before, after = (
            [mean_psnr(net, sets[f"{kind}, {source}"]) for source in ("ours", "real")]
            for net in (None, network)
        )
        gap, gain = after[0] - after[1], (after[0] - before[0]) - (after[1] - before[1])
        scores = [f"{one:.2f} -> {other:.2f}" for one, other in zip(before, after, strict=True)]
        print(table_row(kind, *scores, f"{gap:.2f}", f"{gain:.2f}"))


if __name__ == "__main__":
    main()
