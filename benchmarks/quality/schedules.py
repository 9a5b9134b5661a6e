r"""Compare a trunk and its branch with restarted stages, in the same number of steps.

Both ways train the same shipped weights further, at the rate at which the zoo's queue continues
(`tools.zoo.entries.CONTINUED`):

- stages: three cosine stages of a third of the steps each. Each begins from the best weights of
  the one before, with a new optimiser, as `tools.zoo.train_zoo` does.
- trunk: ten elevenths of the steps at a constant rate, then a branch of one eleventh, in which the
  rate falls to its minimum.

No two runs share a seed, so that no run sees the crops or the rain of another. Each row scores the
best weights of a run, with PSNR on the luma channel (y-matlab): on synthetic rain over every
validation picture, and on real pairs, which nothing is trained on. CLEAN holds train/ and val/. An
interrupted run is resumed.

    python -m benchmarks.quality.schedules CLEAN Rain100L-dev10/ Rain100H-dev10/ \
        --textures TEXTURES --out runs/schedules
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.quality.seeds import PROTOCOL
from benchmarks.tables import table_head, table_row
from benchmarks.training import add_arguments, pass_on_seal, run_of
from derain import train
from derain.data import find_pairs
from derain.evaluate import evaluate
from derain.networks import Network
from derain.recipes import Recipe
from derain.restore import Derainer
from derain.weights import loading, store
from tools.zoo.entries import ZOO

STAGES = 3
TRUNK_SHARE = 10 / 11
"""Of all steps; a branch takes a tenth of those of its trunk."""


@dataclass(frozen=True)
class RunScores:
    """Scores of what one run ended with.

    Attributes:
        steps: Taken by this run and those it continues.
        scores: PSNR in dB: on the validation pictures, then on each set of pairs.
    """

    name: str
    steps: int
    scores: tuple[float, ...]


class Trial:
    """Runs that are trained one after the other and scored at their ends."""

    def __init__(
        self, run: train.TrainingRun, out: Path, recipe: Recipe, pairs: Sequence[Path]
    ) -> None:
        self._run, self._out = run, out
        self._pairs = [find_pairs(folder) for folder in pairs]
        self._validation = train.ValidationSet(recipe, run.validation)

    def train(self, name: str, recipe: Recipe) -> Path:
        """Train a recipe, or resume it, and return the folder of its run."""
        folder = self._out / name
        pass_on_seal(self._out, folder)
        resumes = (folder / train.CHECKPOINT).exists()
        for record in train.train(recipe, replace(self._run, out=folder), resume=resumes):
            if "validation" in record:
                print(f"{name}: {train.describe(record)}", flush=True)
        return folder

    def score(self, name: str, steps: int, network: Network) -> RunScores:
        """Score weights on the validation pictures and on all pairs."""
        validation = self._validation.score(network, self._run.device)["mean"]
        derainer = Derainer(network, name=name, device=str(self._run.device))
        evaluations = [evaluate(derainer, pairs, [PROTOCOL]) for pairs in self._pairs]
        psnrs = (evaluation.mean(PROTOCOL).psnr for evaluation in evaluations)
        return RunScores(name, steps, (validation, *psnrs))

    def score_best(self, name: str, steps: int) -> RunScores:
        """Score the best weights of a run of `train`."""
        return self.score(name, steps, store.load(self._out / name / train.BEST)[0])


def main() -> None:
    """Train both ways, score every run, and print the table."""
    parser = new_parser(__doc__)
    add_arguments(parser)
    parser.add_argument("pairs", nargs="+", type=Path)
    parser.add_argument("--textures", type=Path, help="folder of streak textures")
    parser.add_argument("--steps", type=int, default=3000, help="of each way, in all")
    parser.add_argument("--entry", choices=list(ZOO), default="petrichor-live")
    parser.add_argument("--seed", type=int, default=100, help="of the first run")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    arguments = parser.parse_args()
    run = run_of(arguments)
    third = max(1, arguments.steps // STAGES)
    stage = ZOO[arguments.entry].stage(run.device.type, third, arguments.entry, arguments.seed)
    stage = replace(stage, textures=str(arguments.textures or ""))
    trial = Trial(run, arguments.out, stage, arguments.pairs)
    rows = [trial.score(f"`{arguments.entry}` as shipped", 0, loading.find(arguments.entry)[0])]
    rows += train_stages(trial, stage)
    rows += train_trunk(trial, stage)
    print_table(rows, [folder.name for folder in arguments.pairs])
    rain = f"textures {arguments.textures.name}" if arguments.textures else "drawn textures"
    validation = Path(str(run.validation))
    print(
        f"\n`{arguments.entry}`, {stage.batch} crops of {stage.crop}x{stage.crop} a step, rate "
        f"{stage.lr:g}, {rain}, seeds from {arguments.seed}, training in {run.number_format}, "
        f"{PROTOCOL}; validation on {validation.parent.name}/{validation.name} under "
        f"{' and '.join(stage.validation_rain)}. Measured on {describe_machine()}."
    )


def train_stages(trial: Trial, stage: Recipe) -> list[RunScores]:
    """Train cosine stages, each from the best weights of the one before."""
    rows: list[RunScores] = []
    for number in range(STAGES):
        name = f"stage {number + 1}"
        folder = trial.train(name, stage)
        best = str(folder / train.BEST)
        stage = replace(stage, init=best, seed=stage.seed + 1)
        rows.append(trial.score_best(name, (number + 1) * stage.steps))
    return rows


def train_trunk(trial: Trial, stage: Recipe) -> list[RunScores]:
    """Train a trunk and its branch, in as many steps as all stages take."""
    steps = round(STAGES * stage.steps * TRUNK_SHARE)
    trunk = replace(stage, schedule="trunk", steps=steps, seed=stage.seed + STAGES)
    folder = trial.train("trunk", trunk)
    branch = train.branch_recipe(folder, {})
    trial.train("branch", branch)
    ways = (("trunk", steps), ("branch", steps + branch.steps))
    return [trial.score_best(name, taken) for name, taken in ways]


def print_table(rows: Sequence[RunScores], sets: Sequence[str]) -> None:
    """Print a row for each run, in the order they were trained."""
    print("\n" + table_head("weights", "steps", "validation", *sets))
    for row in rows:
        print(table_row(row.name, row.steps, *(f"{score:.3f}" for score in row.scores)))


if __name__ == "__main__":
    main()
