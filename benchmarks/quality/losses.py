r"""Compare losses: train one recipe with each, and print the scores beside each other.

All runs see the same crops under the same rain, in the same order, for the same number of steps.
Each row scores the best weights of a run, with PSNR on the luma channel (y-matlab): on synthetic
rain over every validation picture, and on real pairs, which nothing is trained on. CLEAN holds
train/ and val/ of clean pictures. An interrupted run is resumed.

    python -m benchmarks.quality.losses petrichor CLEAN Rain100L-dev10 Rain100H-dev10 \
        --init petrichor --lr 2e-4 --steps 600 --out runs/losses
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.quality.schedules import RunScores, Trial, print_table
from benchmarks.quality.seeds import PROTOCOL
from benchmarks.training import add_arguments, run_of
from derain.recipes import Loss, Recipe, find_recipe
from derain.weights import loading


def main() -> None:
    """Train with every loss, score every run, and print the table."""
    parser = new_parser(__doc__)
    parser.add_argument("recipe")
    add_arguments(parser)
    parser.add_argument("pairs", nargs="+", type=Path)
    parser.add_argument("--init", default="", help="weights to begin from; random ones otherwise")
    parser.add_argument("--textures", type=Path, help="folder of streak textures")
    parser.add_argument("--lr", type=float, help="rate to begin with; the recipe's otherwise")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    arguments = parser.parse_args()
    run = run_of(arguments)
    found = find_recipe(arguments.recipe)
    recipe = replace(
        found,
        init=arguments.init,
        textures=str(arguments.textures or ""),
        lr=arguments.lr or found.lr,
        batch=arguments.batch,
        steps=arguments.steps,
        validate_every=max(1, arguments.steps // 2),
    )
    trial = Trial(run, arguments.out, recipe, arguments.pairs)
    rows = train_losses(trial, recipe, get_args(Loss))
    print_table(rows, [folder.name for folder in arguments.pairs])
    print(
        f"\n`{recipe.name}` from {recipe.init or 'random weights'}, {recipe.batch} crops of"
        f" {recipe.crop}x{recipe.crop} a step, rate from {recipe.lr:g}, training in"
        f" {run.number_format}, {PROTOCOL}. Measured on {describe_machine()}."
    )


def train_losses(trial: Trial, recipe: Recipe, losses: Sequence[Loss]) -> list[RunScores]:
    """Train a recipe with each loss; the weights that all begin from are scored first."""
    rows: list[RunScores] = []
    if recipe.init:
        rows.append(trial.score("before", 0, loading.find(recipe.init)[0]))
    for loss in losses:
        name = f"{recipe.name}, {loss}"
        trial.train(name, replace(recipe, loss=loss))
        rows.append(trial.score_best(name, recipe.steps))
    return rows


if __name__ == "__main__":
    main()
