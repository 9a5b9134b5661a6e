"""Candidate designs of a network of our own, trained alike: PSNR on held-back rain and real pairs
against time per megapixel.

Every candidate sees the same pairs in the same order and gets the same processor time of one
thread, so that one that learns less from a step but makes more of them is compared fairly. `clean`
holds train/ and val/ of clean pictures; real pairs are only scored on.

python benchmarks/design.py train CLEAN --light Rain100L-dev10 --heavy Rain100H-dev10 --out
RESULTS.jsonl python benchmarks/design.py published CLEAN --light Rain100L-dev10 --heavy
Rain100H-dev10 --out RESULTS.jsonl python benchmarks/design.py time --out RESULTS.jsonl
python benchmarks/design.py draw --out RESULTS.jsonl --plot designs.png      (wants matplotlib)
"""

import argparse
import importlib
import json
import math
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from designs import Attentive, Dilated, Inverted, UShaped, hybrid
from machine import describe_machine
from rain_gap import Pair, mean_psnr, real_pairs, synthetic_pairs
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from derain import weights
from derain.data import clean_pictures
from derain.machine import keep_freed_memory
from derain.networks import NETWORKS
from derain.networks.petrichor import GatedBlock, ResidualBlock
from derain.rain import PRESETS
from derain.train.batches import RainyBatches
from derain.weights import CATALOGUE

DESIGNS: dict[str, Callable[[], nn.Module]] = {
    "gated": lambda: UShaped(GatedBlock, (40, 80, 160), (1, 2, 6), (1, 2)),
    "gated, attention": lambda: UShaped(Attentive, (40, 80, 160), (1, 2, 6), (1, 2)),
    "residual": lambda: UShaped(ResidualBlock, (32, 64, 128), (1, 1, 3), (1, 1)),
    "residual, four scales": lambda: UShaped(
        ResidualBlock, (32, 64, 128, 192), (1, 1, 2, 2), (1, 1, 1)
    ),
    "hybrid": lambda: UShaped(partial(hybrid, 32), (32, 64, 160), (1, 2, 8), (1, 2)),
    "hybrid, four scales": lambda: UShaped(
        partial(hybrid, 32), (32, 64, 128, 192), (1, 1, 3, 6), (1, 1, 3)
    ),
    "hybrid, unshuffle 4": lambda: UShaped(
        partial(hybrid, 64), (64, 128, 192), (2, 4, 6), (2, 4), 4
    ),
    "residual, unshuffle 1": lambda: UShaped(
        ResidualBlock, (16, 32, 64, 128), (1, 1, 1, 3), (1, 1, 1), 1
    ),
    "hybrid, unshuffle 1": lambda: UShaped(
        partial(hybrid, 32), (16, 32, 64, 160), (1, 1, 2, 8), (1, 1, 2), 1
    ),
    "inverted": lambda: UShaped(Inverted, (32, 64, 128), (1, 2, 6), (1, 2)),
    "dilated, one scale": lambda: UShaped(Dilated, (64,), (8,), (), 4),
    "gated, two passes": lambda: UShaped(GatedBlock, (32, 64, 128), (1, 1, 4), (1, 1), passes=2),
    "gated, unshuffle 4": lambda: UShaped(GatedBlock, (64, 128, 192), (2, 4, 6), (3, 4), 4),
    "residual, unshuffle 4": lambda: UShaped(ResidualBlock, (64, 128), (2, 4), (3,), 4),
}
LR = 1.5e-3
SETS = ("light, ours", "heavy, ours", "light, real", "heavy, real")
POOL = 6000
"""Pairs that are made once and then seen in a new order each time round."""


def main() -> None:
    """Trains and scores, times, or draws what was scored and timed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    trainer = verbs.add_parser("train", help="train and score candidates")
    trainer.add_argument("clean", type=Path)
    trainer.add_argument("--only", nargs="+", choices=list(DESIGNS), default=list(DESIGNS))
    trainer.add_argument(
        "--seconds", type=float, default=300, help="processor time of one thread for each candidate"
    )
    trainer.add_argument("--pool", type=Path, help="where the pairs are kept between runs")
    published = verbs.add_parser("published", help="score shipped weights on the same pairs")
    published.add_argument("clean", type=Path)
    published.add_argument("--only", nargs="+", choices=list(CATALOGUE), default=list(NETWORKS))
    for verb in (trainer, published):
        verb.add_argument("--light", type=Path, required=True, help="real pairs of light rain")
        verb.add_argument("--heavy", type=Path, required=True, help="real pairs of heavy rain")
    timer = verbs.add_parser(
        "time", help="time everything that was scored, interleaved; the machine should be idle"
    )
    drawer = verbs.add_parser("draw", help="print the table, draw the plot")
    drawer.add_argument("--plot", type=Path)
    for verb in (trainer, published, timer, drawer):
        verb.add_argument(
            "--out",
            type=Path,
            required=True,
            help="lines of JSON: rows are added, times are filled in",
        )
    arguments = parser.parse_args()
    {"train": run, "published": score_published, "time": measure, "draw": draw}[arguments.verb](
        arguments
    )


def run(arguments: argparse.Namespace) -> None:
    """Trains the candidates asked for, one after the other; a line of JSON each."""
    torch.set_num_threads(1)
    keep_freed_memory()
    rainy, clean = pool(arguments.clean / "train", arguments.pool, POOL, 128)
    sets = sets_of(arguments)
    for name in arguments.only:
        torch.manual_seed(0)
        network = network_of(name)
        steps = train(network, rainy, clean, arguments.seconds)
        add_row(arguments.out, name, network, sets, steps=steps, seconds=arguments.seconds)


def score_published(arguments: argparse.Namespace) -> None:
    """Shipped weights on the same pairs; what they were trained with differs, and is on their
    cards.
    """
    sets = sets_of(arguments)
    for name in arguments.only:
        add_row(arguments.out, name, network_of(name).eval(), sets)


def sets_of(arguments: argparse.Namespace) -> dict[str, list[Pair]]:
    """What everything is scored on: held-back pictures under seeded rain, and real pairs."""
    return {
        "light, ours": synthetic_pairs(arguments.clean / "val", "rain100l")[:12],
        "heavy, ours": synthetic_pairs(arguments.clean / "val", "rain100h")[:12],
        "light, real": real_pairs(arguments.light),
        "heavy, real": real_pairs(arguments.heavy),
    }


def add_row(
    out: Path, name: str, network: nn.Module, sets: dict[str, list[Pair]], **facts: float
) -> None:
    """Scores a network, appends a line of JSON, prints it."""
    row = {
        "design": name,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        **facts,
        **{key: round(mean_psnr(network, pairs), 3) for key, pairs in sets.items()},
        "machine": describe_machine(),
    }
    with out.open("a") as file:
        file.write(json.dumps(row) + "\n")
    print(row, flush=True)


def network_of(name: str) -> nn.Module:
    """A candidate, untrained, or shipped weights."""
    made = DESIGNS[name]() if name in DESIGNS else weights.find(name)[0]
    return cast("nn.Module", made).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


@torch.inference_mode()
def measure(arguments: argparse.Namespace, side: int = 512, rounds: int = 7) -> None:
    """Fills in the median milliseconds a megapixel of square tiles, taken in turns, and the
    multiply-adds a pixel.
    """
    keep_freed_memory()
    rows = read_rows(arguments.out)
    networks = {row["design"]: network_of(row["design"]).eval() for row in rows}
    tile = torch.rand(1, 3, side, side).contiguous(memory_format=torch.channels_last)
    times: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(rounds + 1):
        for name, network in networks.items():
            began = time.perf_counter()
            network(tile)
            times[name].append((time.perf_counter() - began) * 1000 / (side * side / 1e6))
    for row in rows:
        with FlopCounterMode(display=False) as counter:
            networks[row["design"]](tile[..., :256, :256])
        row["ms/MP"] = round(statistics.median(times[row["design"]][1:]), 1)
        row["multiply-adds"] = round(counter.get_total_flops() / 2 / 256**2)
        row["timed on"] = describe_machine()
    arguments.out.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of results."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def draw(arguments: argparse.Namespace) -> None:
    """A table by time, and a plot of both real sets."""
    rows = sorted(read_rows(arguments.out), key=lambda row: row["ms/MP"])
    print(
        "| design | parameters | multiply-adds a pixel | ms a megapixel | steps |"
        f" {' | '.join(SETS)} |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        scores = " | ".join(f"{row[key]:.2f}" for key in SETS)
        facts = (
            f"{row['parameters']:,} | {row['multiply-adds']:,} | {row['ms/MP']:.0f} |"
            f" {row.get('steps', '')}"
        )
        print(f"| {row['design']} | {facts} | {scores} |")
    print(f"\nTrained on {rows[0]['machine']}; timed on {rows[0]['timed on']}.")
    if not arguments.plot:
        return
    figure = importlib.import_module("matplotlib.figure").Figure(
        figsize=(11, 5), layout="constrained"
    )  # not among our needs
    for axes, key in zip(figure.subplots(1, 2), ("light, real", "heavy, real"), strict=True):
        for k, row in enumerate(sorted(rows, key=lambda row: row[key])):
            ours, side = "steps" in row, "left" if k % 2 else "right"
            axes.plot(
                row["ms/MP"],
                row[key],
                "o" if ours else "s",
                color="tab:blue" if ours else "tab:red",
            )
            axes.annotate(
                row["design"],
                (row["ms/MP"], row[key]),
                xytext=(5 if k % 2 else -5, -2),
                ha=side,
                textcoords="offset points",
                fontsize=7,
            )
        axes.set(
            xscale="log",
            xlim=(100, 60_000),
            xlabel="milliseconds a megapixel, 512x512 tiles",
            ylabel="PSNR, dB (y-matlab)",
            title=key,
        )
        axes.grid(alpha=0.3)
    figure.savefig(arguments.plot, dpi=110)


def pool(folder: Path, kept: Path | None, count: int, crop: int) -> tuple[Tensor, Tensor]:
    """Rainy and clean crops under `mixed`: (count, 3, crop, crop) uint8 each."""
    if kept and kept.exists():
        return torch.load(kept, weights_only=True, mmap=True)
    source = RainyBatches(
        clean_pictures(folder), [PRESETS["mixed"]], batch=8, crop=crop, augment="dihedral", seed=0
    )
    rainy, clean = (torch.empty(count, 3, crop, crop, dtype=torch.uint8) for _ in range(2))
    for step in range(count // 8):
        batch = source.batch(step, torch.device("cpu"))
        for pixels, made in ((rainy, batch.rainy), (clean, batch.clean)):
            pixels[8 * step : 8 * step + 8] = (made * 255).round()
    if kept:
        torch.save((rainy, clean), kept)
    return rainy, clean


def train(network: nn.Module, rainy: Tensor, clean: Tensor, seconds: float, batch: int = 8) -> int:
    """AdamW, cosine to zero over the processor time given; returns the steps made."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=LR, weight_decay=1e-4, betas=(0.9, 0.99))
    order = torch.Generator().manual_seed(0)
    queue = torch.empty(0, dtype=torch.long)
    step = 0
    began = time.process_time()
    while (share := (time.process_time() - began) / seconds) < 1:
        for group in optimiser.param_groups:
            group["lr"] = LR * min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * share))
        if len(queue) < batch:
            queue = torch.randperm(len(rainy), generator=order)
        chosen, queue = queue[:batch], queue[batch:]
        given, wanted = (pixels[chosen].float() / 255 for pixels in (rainy, clean))
        loss = F.l1_loss(network(given.contiguous(memory_format=torch.channels_last)), wanted)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimiser.step()
        step += 1
    return step


if __name__ == "__main__":
    main()
