r"""Repeat NLEDN's ablation (Table 2 of the paper) and print it beside the paper's figures.

Ra to Rf see the same crops under the same rain, in the same order, for the same number of steps.
Further seeds train Rf only, and show how much of a difference is chance. The paper trains on
Rain100L's own training set, this script on light synthetic rain. An interrupted run is resumed.
CLEAN holds train/ and val/ of clean pictures; real pairs are only scored on.

    python -m benchmarks.quality.ablation CLEAN PATH/TO/Rain100L-dev10 --out runs/ablation
    python -m benchmarks.quality.ablation CLEAN Rain100L-dev10 --out runs/b \
        --steps 400 --batch 4 --crop 64
"""

import statistics
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.quality.seeds import Trained, train_and_score
from benchmarks.tables import table_head, table_row
from benchmarks.training import add_arguments, run_of
from derain.metrics import Protocol
from derain.networks import Hyperparameters
from derain.recipes import Recipe, find_recipe

PROTOCOLS: tuple[Protocol, ...] = ("y-matlab", "y-pil")


@dataclass(frozen=True)
class Variant:
    """A row of Table 2: the network's parts, and the paper's figures on Rain100L.

    Attributes:
        psnr: In dB.
    """

    hyperparameters: Hyperparameters
    psnr: float
    ssim: float


def _variant(
    dense: bool, blocks: int, pooling: bool, non_local: bool, psnr: float, ssim: float
) -> Variant:
    made_of = {
        "dense": dense,
        "blocks": blocks,
        "pooling": pooling,
        "non_local": "softmax" if non_local else "none",
    }
    return Variant(made_of, psnr, ssim)


VARIANTS = {
    "Ra": _variant(False, 1, False, False, 33.23, 0.9533),
    "Rb": _variant(True, 1, False, False, 33.82, 0.9596),
    "Rc": _variant(True, 6, False, False, 35.44, 0.9691),
    "Rd": _variant(True, 6, True, False, 35.80, 0.9716),
    "Re": _variant(True, 6, False, True, 35.91, 0.9720),
    "Rf": _variant(True, 6, True, True, 36.57, 0.9747),
}


def main() -> None:
    """Train what is not trained yet, score all, and print the table."""
    parser = new_parser(__doc__)
    add_arguments(parser)
    parser.add_argument("pairs", type=Path, help="Rain100L, or a part of it")
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=3, help="of Rf; the others take the first")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    run = run_of(arguments)
    rows: list[tuple[str, Trained]] = []
    for name in arguments.only:
        for seed in range(arguments.seeds if name == "Rf" else 1):
            recipe = recipe_of(name, seed, arguments.steps, arguments.batch, arguments.crop)
            trained = train_and_score(
                recipe, replace(run, out=arguments.out / recipe.name), [arguments.pairs], PROTOCOLS
            )
            rows.append((name, trained))
    print_table(rows)
    print(
        f"\n{arguments.steps} steps of {arguments.batch} crops of {arguments.crop}x{arguments.crop}"
        f" each, preset light, in {run.number_format}. Measured on {describe_machine()}."
    )


def recipe_of(name: str, seed: int, steps: int, batch: int, crop: int) -> Recipe:
    """Return the recipe of light rain with the variant's network."""
    return replace(
        find_recipe("nledn-rain100l"),
        name=f"ablation-{name}-{seed}",
        hyperparameters=VARIANTS[name].hyperparameters,
        seed=seed,
        steps=steps,
        batch=batch,
        crop=crop,
        warmup=min(200, steps // 10),
        validate_every=max(1, steps // 4),
    )


def print_table(rows: list[tuple[str, Trained]]) -> None:
    """Print a row for each variant and seed, then how far the seeds of Rf are apart."""
    heads = [
        "variant",
        "dense",
        "blocks",
        "pooling",
        "non-local",
        "seed",
        "parameters",
        "multiply-adds",
        "hours",
        "validation",
    ]
    heads += ["y-matlab", "y-pil", "the paper"]
    print("\n" + table_head(*heads))
    for name, row in rows:
        variant, (evaluation,) = VARIANTS[name], row.evaluations
        cost, ours = evaluation.cost, [evaluation.mean(protocol) for protocol in PROTOCOLS]
        cells = [
            name,
            *(str(value) for value in variant.hyperparameters.values()),
            str(row.recipe.seed),
            f"{cost.parameters:,}",
            f"{(cost.multiply_adds or 0) / 1e9:.0f} G",
            f"{row.hours:.2f}",
            f"{row.validation:.2f}",
            *(f"{score.psnr:.2f} / {score.ssim:.4f}" for score in ours),
            f"{variant.psnr:.2f} / {variant.ssim:.4f}",
        ]
        print(table_row(*cells))
    seeds = [row.evaluations[0].mean("y-matlab").psnr for name, row in rows if name == "Rf"]
    if len(seeds) > 1:
        spread = statistics.stdev(seeds)
        print(
            f"\nRf, y-matlab: {statistics.mean(seeds):.2f} dB, standard deviation over {len(seeds)}"
            f" seeds {spread:.2f}."
        )


if __name__ == "__main__":
    main()
