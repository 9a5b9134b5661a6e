"""Puts trained weights into the package: rounds them to float16, scores what is left, writes card and file, prints the hash.

python benchmarks/ship_weights.py runs/nledn/best.safetensors nledn PATH/TO/Rain100L-dev10 … --data "452 photographs …"
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from machine import describe_machine

from derain import weights
from derain.data import find_pairs
from derain.evaluate import evaluate, to_markdown
from derain.restore import Derainer
from derain.weights.catalogue import FOLDER, sha256


def main() -> None:
    """Rounds, scores, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("name")
    parser.add_argument("datasets", nargs="*", type=Path)
    parser.add_argument("--data", required=True, help="what they were trained on, in words")
    parser.add_argument("--note", default="")
    parser.add_argument("--steps", type=int, default=0, help="in all, where they began from other weights")
    parser.add_argument("--hours", type=float, default=0.0)
    arguments = parser.parse_args()
    target = FOLDER / f"{arguments.name}.safetensors"
    network, card = weights.load(arguments.weights)
    card = replace(
        card,
        name=arguments.name,
        data=arguments.data,
        note=arguments.note,
        steps=arguments.steps or card.steps,
        hours=arguments.hours or card.hours,
    )
    weights.save(network, card, target, torch.float16)
    rounded, _ = weights.load(target)
    evaluations = [evaluate(Derainer(rounded, name=arguments.name), find_pairs(folder)) for folder in arguments.datasets]
    scores = {
        f"{evaluation.dataset} {score.protocol}": f"{score.psnr:.2f} / {score.ssim:.4f}"
        for evaluation in evaluations
        for score in (evaluation.mean(protocol) for protocol in evaluation.protocols)
    }
    weights.save(rounded, replace(card, scores=card.scores | scores), target, torch.float16)
    if evaluations:
        print(to_markdown(evaluations))
    print(f"\n{arguments.name}: {target.stat().st_size} bytes, sha256 {sha256(target)}")
    print(f"Measured on {describe_machine()}.")


if __name__ == "__main__":
    main()
