"""Training runs of several processes on this machine, which find each other by a file."""

import multiprocessing
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.distributed.rendezvous import rendezvous

from derain.recipes import Recipe
from derain.train import RankLostError, Ranks, TrainingRun, loop, train

# Processes are forked from one that has loaded PyTorch, but has not used it.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["ranked_runs"])


def train_in(
    count: int, recipe: Recipe, run: TrainingRun, *, resume: bool = False, broken: int | None = None
) -> list[str]:
    """Train in several processes, and return what each of them failed of; empty if it did not.

    Args:
        broken: The rank, if any, that fails after the first line of its log.
    """
    meeting = run.out.parent / f"{run.out.name}-{count}-{recipe.steps}"
    failures = _FORKS.SimpleQueue()
    processes = [
        _FORKS.Process(
            target=_train_as,
            args=(rank, count, meeting, recipe, run, resume, rank == broken, failures),
        )
        for rank in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    found = dict(failures.get() for _ in processes)
    return [found[rank] for rank in range(count)]


def _train_as(
    rank: int,
    count: int,
    meeting: Path,
    recipe: Recipe,
    run: TrainingRun,
    resume: bool,
    broken: bool,
    failures: Any,
) -> None:
    torch.set_num_threads(1)
    loop.LOG_EVERY = 5
    store, _, _ = next(rendezvous(f"file://{meeting}", rank, count))
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=count)
    ranks = Ranks(rank, count, rank, store)
    failure = ""
    try:
        for _ in train(recipe, run, resume=resume, ranks=ranks):
            if broken:
                raise ValueError("this one is broken")
    except (ValueError, RankLostError) as error:
        failure = f"{type(error).__name__}: {error}" if ranks.reports() else "silent"
    failures.put((rank, failure))
    distributed.destroy_process_group()
