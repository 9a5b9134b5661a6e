"""How far rain of ours carries: a small network trained on it, scored on such rain and on real
benchmark pairs.

The gap between the two is what the rain lacks. `clean` holds train/ and val/ of clean pictures;
real pairs are only scored on.

python benchmarks/rain_gap.py CLEAN --train mixed --light PATH/TO/Rain100L-dev10 --heavy
PATH/TO/Rain100H-dev10
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from machine import describe_machine
from numpy.typing import NDArray
from small_network import SmallNetwork
from torch import Tensor
from torch.nn import functional as F

from derain import metrics
from derain.data import clean_pictures, find_pairs
from derain.images import read_image
from derain.rain import PRESETS, generator_for, rain_on
from derain.train.batches import RainyBatches

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]
LR = 1.5e-3
VALIDATION = {"light": "rain100l", "heavy": "rain100h"}


def main() -> None:
    """Trains, scores, prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
    """Trains for a time or a number of steps; yields share and steps done, ``looks`` times on the
    way.
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


def synthetic_pairs(folder: Path, preset: str, seed: int = 7) -> list[Pair]:
    """Clean pictures and the same under seeded rain."""
    clean = [read_image(path).astype(np.uint8, copy=False) for path in clean_pictures(folder)]
    return [
        (rain_on(picture, PRESETS[preset], generator_for(seed, k)), picture)
        for k, picture in enumerate(clean)
    ]


def real_pairs(folder: Path) -> list[Pair]:
    """Rainy and clean pictures of a dataset."""
    pairs = find_pairs(folder).pairs
    return [
        (read_image(pair.rainy).astype(np.uint8), read_image(pair.clean).astype(np.uint8))
        for pair in pairs
    ]


@torch.inference_mode()
def mean_psnr(network: Callable[[Tensor], Tensor] | None, pairs: Sequence[Pair]) -> float:
    """Mean PSNR, y-matlab, of a network's output, or of the rainy pictures as they are."""
    scores: list[float] = []
    for rainy, clean in pairs:
        output = rainy.astype(np.float32) / np.float32(255)
        if network is not None:
            tensor = (
                torch.from_numpy(output)
                .permute(2, 0, 1)[None]
                .contiguous(memory_format=torch.channels_last)
            )
            output = network(tensor)[0].clamp(0, 1).permute(1, 2, 0).numpy()
        scores.append(metrics.score(output, clean, "y-matlab").psnr)
    return float(np.mean(scores))


def print_table(presets: Sequence[str], sets: dict[str, list[Pair]], network: SmallNetwork) -> None:
    """Input, output and gap, light and heavy."""
    print(f"\nTrained on {', '.join(presets)}. PSNR in dB, y-matlab, input -> output.\n")
    print(
        "| rain | ours, validation | real pairs | gap of outputs | gap of gains"
        " |\n|---|---|---|---|---|"
    )
    for kind in VALIDATION:
        before, after = (
            [mean_psnr(net, sets[f"{kind}, {source}"]) for source in ("ours", "real")]
            for net in (None, network)
        )
        gap, gain = after[0] - after[1], (after[0] - before[0]) - (after[1] - before[1])
        print(
            f"| {kind} | {before[0]:.2f} -> {after[0]:.2f} | {before[1]:.2f} -> {after[1]:.2f} |"
            f" {gap:.2f} | {gain:.2f} |"
        )


if __name__ == "__main__":
    main()
