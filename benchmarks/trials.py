"""Ways to train, tried under one equal budget of pixels seen.

All train the same network on the same pool of pairs under `mixed`; they differ in rate, batch,
crop, loss, teacher. `clean` holds train/ and val/ of clean pictures; real pairs are only scored on.

python benchmarks/trials.py CLEAN --light PATH/TO/Rain100L-dev10 --heavy PATH/TO/Rain100H-dev10
--out TRIALS.jsonl
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from design import SETS, pool, read_rows, sets_of
from machine import describe_machine
from rain_gap import mean_psnr
from torch import Tensor, nn
from torch.nn import functional as F

from derain import weights
from derain.machine import keep_freed_memory
from derain.networks import Petrichor, PetrichorLive, losses
from derain.networks.petrichor import FREQUENCY_WEIGHT

POOL, POOL_CROP = 3000, 192
SIZES = {"petrichor": Petrichor, "petrichor-live": PetrichorLive}
Loss = Callable[[Tensor, Tensor], Tensor]


def l1_and_ssim(output: Tensor, clean: Tensor) -> Tensor:
    """Absolute error and a fifth of 1 - SSIM."""
    return F.l1_loss(output, clean) + 0.2 * (1 - losses.ssim(output, clean))


def ssim_and_edges(output: Tensor, clean: Tensor) -> Tensor:
    """As DPENet's."""
    return 1 - losses.ssim(output, clean) + 0.05 * losses.laplacian_edge_loss(output, clean)


def l1_and_frequencies(output: Tensor, clean: Tensor) -> Tensor:
    """As Petrichor's."""
    return F.l1_loss(output, clean) + FREQUENCY_WEIGHT * losses.frequency_loss(output, clean)


def log_mse(output: Tensor, clean: Tensor) -> Tensor:
    """The negative of PSNR, but for factors: every picture's error counts in decibels."""
    return 0.01 * ((output - clean).square().mean((1, 2, 3)) + 1e-6).log().mean()


@dataclass(frozen=True)
class Trial:
    """One way to train."""

    lr: float = 1.5e-3
    batch: int = 8
    crop: int = 128
    late_crop: int = 0
    """Side of the crops in the last third of the budget, as many as give the same pixels; 0 for no
    change.
    """
    loss: Loss = F.l1_loss
    teacher: str = ""
    """Weights whose output is mixed half and half into what is to be learned."""
    ema: float = 0.0
    beta: float = 0.99
    weight_decay: float = 1e-4


BASE = Trial()
TRIALS: dict[str, Trial] = {
    "base": BASE,
    "rate 3e-3": replace(BASE, lr=3e-3),
    "rate 7e-4": replace(BASE, lr=7e-4),
    "batch 4": replace(BASE, batch=4),
    "batch 2": replace(BASE, batch=2),
    "batch 16": replace(BASE, batch=16),
    "crop 64, batch 32": replace(BASE, crop=64, batch=32),
    "crop 96, batch 4": replace(BASE, crop=96, batch=4),
    "crop 96, batch 14": replace(BASE, crop=96, batch=14),
    "crop 192, batch 4": replace(BASE, crop=192, batch=4),
    "crop 64, late 192": replace(BASE, crop=64, batch=32, late_crop=192),
    "l1 + ssim": replace(BASE, loss=l1_and_ssim),
    "ssim + edges": replace(BASE, loss=ssim_and_edges),
    "l1 + frequencies": replace(BASE, loss=l1_and_frequencies),
    "charbonnier": replace(BASE, loss=losses.charbonnier),
    "log mse": replace(BASE, loss=log_mse),
    "teacher dpenet": replace(BASE, teacher="dpenet"),
    "ema 0.995": replace(BASE, ema=0.995),
    "beta 0.999": replace(BASE, beta=0.999),
}


def main() -> None:
    """Trains every trial asked for, adds a line of JSON each, prints the table of all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clean", type=Path)
    parser.add_argument("--only", nargs="+", choices=list(TRIALS), default=list(TRIALS))
    parser.add_argument("--network", choices=list(SIZES), default="petrichor")
    parser.add_argument(
        "--megapixels",
        type=float,
        default=76.15,
        help="seen by each; the default is 581 steps of 8 x 128 x 128",
    )
    parser.add_argument("--light", type=Path, required=True, help="real pairs of light rain")
    parser.add_argument("--heavy", type=Path, required=True, help="real pairs of heavy rain")
    parser.add_argument("--pool", type=Path, help="where the pairs are kept between runs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    rainy, clean = pool(arguments.clean / "train", arguments.pool, POOL, POOL_CROP)
    sets = sets_of(arguments)
    for name in arguments.only:
        torch.manual_seed(arguments.seed)
        network = SIZES[arguments.network]()
        network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        began = time.process_time()
        steps = train(network, TRIALS[name], rainy, clean, arguments.megapixels, arguments.seed)
        row = {
            "trial": name,
            "seed": arguments.seed,
            "steps": steps,
            **{key: round(mean_psnr(network.eval(), pairs), 3) for key, pairs in sets.items()},
            "network": arguments.network,
            "megapixels": arguments.megapixels,
            "seconds": round(time.process_time() - began),
            "machine": describe_machine(),
        }
        with arguments.out.open("a") as file:
            file.write(json.dumps(row) + "\n")
    print_table(read_rows(arguments.out))


def print_table(rows: list[dict[str, Any]]) -> None:
    """All trials so far, in the order they were made."""
    print(
        f"| trial | megapixels | steps | seconds, scoring included | {' | '.join(SETS)}"
        " |\n|---|---|---|---|---|---|---|---|"
    )
    for row in rows:
        scores = " | ".join(f"{row[key]:.2f}" for key in SETS)
        print(
            f"| {row['trial']} | {row['megapixels']:g} | {row['steps']} | {row['seconds']:.0f} |"
            f" {scores} |"
        )
    print(f"\n{rows[-1]['network']}, seed {rows[-1]['seed']}. Measured on {rows[-1]['machine']}.")


def train(
    network: Petrichor, trial: Trial, rainy: Tensor, clean: Tensor, megapixels: float, seed: int
) -> int:
    """AdamW, cosine to zero over the pixels given; returns the steps made."""
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=trial.lr, weight_decay=trial.weight_decay, betas=(0.9, trial.beta)
    )
    mean = [p.detach().clone() for p in network.parameters()] if trial.ema else []
    teacher = weights.find(trial.teacher)[0].eval() if trial.teacher else None
    draws = torch.Generator().manual_seed(seed)
    step, seen = 0, 0
    while (share := seen / (megapixels * 1e6)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = trial.lr * min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * share))
        crop, batch = trial.crop, trial.batch
        if trial.late_crop and share > 2 / 3:
            crop, batch = trial.late_crop, max(1, batch * crop**2 // trial.late_crop**2)
        given, wanted = cut(rainy, clean, batch, crop, draws)
        if teacher is not None:
            with torch.inference_mode():
                taught = teacher(given)
            wanted = (wanted + taught) / 2
        loss = trial.loss(network.estimate(given), wanted)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimiser.step()
        step, seen = step + 1, seen + batch * crop**2
        if trial.ema:
            with torch.no_grad():
                for average, parameter in zip(mean, network.parameters(), strict=True):
                    average.lerp_(parameter, 1 - min(trial.ema, step / (step + 10)))
    if trial.ema:
        with torch.no_grad():
            for parameter, value in zip(network.parameters(), mean, strict=True):
                parameter.copy_(value)
    return step


def cut(
    rainy: Tensor, clean: Tensor, batch: int, crop: int, draws: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Random crops of random pairs: (batch, 3, crop, crop) floats in [0, 1] each, channels last."""
    chosen = torch.randint(len(rainy), (batch,), generator=draws).tolist()
    places = torch.randint(POOL_CROP - crop + 1, (batch, 2), generator=draws).tolist()
    windows = [
        (k, slice(None), slice(top, top + crop), slice(left, left + crop))
        for k, (top, left) in zip(chosen, places, strict=True)
    ]
    both = (
        torch.stack([pixels[window] for window in windows]).float() / 255
        for pixels in (rainy, clean)
    )
    given, wanted = (pixels.contiguous(memory_format=torch.channels_last) for pixels in both)
    return given, wanted


if __name__ == "__main__":
    main()
