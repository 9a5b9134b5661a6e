"""Training: a recipe and pictures in, weights out.

`loop` trains, one `step` after the other at the rates of `schedule`. `run` says where a run reads
and writes, `place` checks that it can, `sources` finds what it trains and validates on, in
`batches` or, made on a GPU, `resident` ones; `leaks` keeps these apart. `state` is what changes
meanwhile, `checkpoint` its file. `records` writes what is kept: `cards` and `log`, and for people
`curve`, `samples` and `board`. `ranks` is what several processes of one run exchange.
"""

from derain.train.batches import Batch, BatchSource, PairedBatches, RainyBatches
from derain.train.cards import on_a_card
from derain.train.checkpoint import CHECKPOINT, branch_recipe, checkpoint_recipe
from derain.train.leaks import SEAL, LeakError
from derain.train.log import describe, read_log
from derain.train.loop import prefetch, train
from derain.train.place import RunStoppedError
from derain.train.ranks import (
    ALONE,
    RankLostError,
    Ranks,
    has_others,
    is_restarted,
    joined_ranks,
)
from derain.train.resident import ResidentBatches, read_bytes
from derain.train.run import (
    BEST,
    BOARD,
    CURVE,
    LOG,
    SAMPLES,
    TrainingRun,
    find_folders,
    find_two_folders,
    plan_run,
)
from derain.train.schedule import learning_rate
from derain.train.sources import Source, ValidationSet, find_source, open_batches
from derain.train.step import TrainingStep, prepare, set_training

__all__ = [
    "ALONE",
    "BEST",
    "BOARD",
    "CHECKPOINT",
    "CURVE",
    "LOG",
    "SAMPLES",
    "SEAL",
    "Batch",
    "BatchSource",
    "LeakError",
    "PairedBatches",
    "RainyBatches",
    "RankLostError",
    "Ranks",
    "ResidentBatches",
    "RunStoppedError",
    "Source",
    "TrainingRun",
    "TrainingStep",
    "ValidationSet",
    "branch_recipe",
    "checkpoint_recipe",
    "describe",
    "find_folders",
    "find_source",
    "find_two_folders",
    "has_others",
    "is_restarted",
    "joined_ranks",
    "learning_rate",
    "on_a_card",
    "open_batches",
    "plan_run",
    "prefetch",
    "prepare",
    "read_bytes",
    "read_log",
    "set_training",
    "train",
]
