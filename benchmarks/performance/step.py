"""Measure what a training step spends on making the batch, and on learning from it.

Making a batch means cropping, rain and compression. Times are processor time of one core, so that
other work on the machine hardly counts. Batch and step take turns; medians are printed.

    python -m benchmarks.performance.step CLEAN --textures TEXTURES
    python -m benchmarks.performance.step CLEAN --recipe petrichor-deep --textures TEXTURES
"""

import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.command import new_parser
from benchmarks.machine import describe_machine
from benchmarks.tables import table_head, table_row
from derain import train
from derain.engines.pytorch import choose_training_dtype
from derain.machine import keep_freed_memory
from derain.networks import NETWORKS
from derain.recipes import Recipe, find_recipe
from derain.train import BatchSource


def main() -> None:
    """Print a row for drawn rain, and one for rain that is partly cut from textures."""
    parser = new_parser(__doc__)
    parser.add_argument("clean", type=Path, help="holds train/ of clean pictures")
    parser.add_argument("--recipe", default="petrichor")
    parser.add_argument("--textures", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--dtype", default="auto")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    device = torch.device("cpu")
    dtype = choose_training_dtype(arguments.dtype, device)
    drawn = find_recipe(arguments.recipe)
    recipes = {"drawn": drawn, "with textures": replace(drawn, textures=str(arguments.textures))}
    sources = {
        name: train.open_batches(recipe, arguments.clean / "train")
        for name, recipe in recipes.items()
    }
    network = NETWORKS[drawn.network](**drawn.hyperparameters)
    module = train.TrainingStep(network, dtype, drawn.loss)
    module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    optimiser = torch.optim.AdamW(network.parameters(), fused=True)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sources}
    for source in sources.values():  # pictures stay in memory once they were read
        for number in range(arguments.rounds + 2):
            source.batch(number, device)
    for number in range(arguments.rounds + 2):
        for name, source in sources.items():
            taken = time_step(module, optimiser, source, number)
            if number > 1:  # memory is taken in the first
                times[name].append(taken)
    print(f"`{drawn.name}`: {size_of(drawn)}, {str(dtype).removeprefix('torch.')}, one thread.\n")
    columns = ("batch, ms", "learning, ms", "the batch's share", "steps a second")
    print(table_head("rain", *columns))
    for name, taken in times.items():
        batch, learning = (1e3 * statistics.median(column) for column in zip(*taken, strict=True))
        share, rate = batch / (batch + learning), 1e3 / (batch + learning)
        print(table_row(name, f"{batch:.1f}", f"{learning:.1f}", f"{share:.0%}", f"{rate:.2f}"))
    print(f"\nProcessor time, medians of {arguments.rounds}. Measured on {describe_machine()}.")


def size_of(recipe: Recipe) -> str:
    """Return how many crops of what size make a batch, in words."""
    return f"{recipe.batch} crops of {recipe.crop}x{recipe.crop}"


def time_step(
    module: train.TrainingStep, optimiser: torch.optim.Optimizer, source: BatchSource, number: int
) -> tuple[float, float]:
    """Return the seconds of making a batch, and of learning from it."""
    began = time.process_time()
    batch = source.batch(number, torch.device("cpu"))
    rainy, clean = (
        half.contiguous(memory_format=torch.channels_last) for half in (batch.rainy, batch.clean)
    )
    made = time.process_time()
    loss, _ = module(rainy, clean)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return made - began, time.process_time() - made


if __name__ == "__main__":
    main()
