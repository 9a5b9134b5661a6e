r"""Train a recipe under several seeds, and print how much of a difference is chance.

A seed determines the random weights, the order of the crops and the rain on them; everything else
is the same. CLEAN holds train/ and val/ of clean pictures; real pairs are only scored on. An
interrupted run is resumed.

    python -m benchmarks.quality.seeds petrichor CLEAN Rain100L-dev10 Rain100H-dev10 \
        --out runs/seeds --steps 2000
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from benchmarks.training import add_arguments, run_of
from derain import train
from derain.data import find_pairs
from derain.evaluate import Evaluation, evaluate
from derain.metrics import Protocol
from derain.recipes import Recipe, find_recipe
from derain.restore import Derainer
from derain.weights import store

PROTOCOL: Protocol = "y-matlab"


@dataclass(frozen=True)
class Trained:
    """A recipe, trained and scored on each set of pairs."""

    recipe: Recipe
    hours: float
    validation: float
    evaluations: tuple[Evaluation, ...]


def main() -> None:
    """Train what is not trained yet, score all, and print the table."""
    parser = new_parser(__doc__)
    parser.add_argument("recipe")
    add_arguments(parser)
    parser.add_argument("pairs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--crop", type=int)
    arguments = parser.parse_args()
    run = run_of(arguments)
    given = {
        name: getattr(arguments, name) for name in ("batch", "crop") if getattr(arguments, name)
    }
    recipe = replace(
        find_recipe(arguments.recipe),
        steps=arguments.steps,
        validate_every=max(1, arguments.steps // 4),
        **given,
    )
    rows = [
        train_and_score(
            replace(recipe, seed=seed),
            replace(run, out=arguments.out / f"{recipe.name}-{recipe.steps}-{seed}"),
            arguments.pairs,
        )
        for seed in range(arguments.seeds)
    ]
    print_table(rows)
    begins = recipe.init or "random weights"
    crops = (
        f"{recipe.batch} crops of {recipe.crop}x{recipe.crop}" if recipe.crop else "a whole picture"
    )
    print(
        f"\n`{recipe.name}` from {begins}, {recipe.steps} steps of {crops} each, {PROTOCOL},"
        f" training in {run.number_format}. Measured on {describe_machine()}."
    )


def train_and_score(
    recipe: Recipe,
    run: train.TrainingRun,
    pairs: Sequence[Path],
    protocols: Sequence[Protocol] = (PROTOCOL,),
) -> Trained:
    """Train a recipe, or resume it if it has steps left, and score its best weights."""
    begun = (run.out / train.CHECKPOINT).exists()
    for record in train.train(recipe, run, resume=begun, on_note=print):
        print(f"{run.out.name}: {train.describe(record)}", flush=True)
    network, card = store.load(run.out / train.BEST)
    derainer = Derainer(network, name=recipe.name, device=str(run.device))
    evaluations = tuple(evaluate(derainer, find_pairs(folder), protocols) for folder in pairs)
    return Trained(recipe, card.hours, float(card.scores["validation mean y-matlab"]), evaluations)


def print_table(rows: Sequence[Trained]) -> None:
    """Print a row for each seed, then mean and standard deviation."""
    heads = [
        "seed",
        "hours",
        "validation, dB",
        *(evaluation.dataset for evaluation in rows[0].evaluations),
    ]
    print("\n" + table_head(*heads))
    columns: list[list[float]] = []
    for row in rows:
        scores = [evaluation.mean(PROTOCOL) for evaluation in row.evaluations]
        cells = [f"{score.psnr:.2f} / {score.ssim:.4f}" for score in scores]
        print(table_row(row.recipe.seed, f"{row.hours:.2f}", f"{row.validation:.2f}", *cells))
        columns.append([row.validation, *(score.psnr for score in scores)])
    if len(rows) > 1:
        spreads = [
            f"{statistics.mean(column):.2f} ± {statistics.stdev(column):.2f}"
            for column in zip(*columns, strict=True)
        ]
        print(table_row("mean ± deviation", "", *spreads))


if __name__ == "__main__":
    main()
