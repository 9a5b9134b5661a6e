"""Training: a recipe and pictures in, weights out.

`loop` trains, `sources` is what it trains and validates on, `leaks` keeps these apart, `state` is
what a run holds and writes.
"""

from derain.train.batches import Batch, BatchSource, PairedBatches, RainyBatches
from derain.train.leaks import LeakError
from derain.train.loop import TrainingStep, describe, learning_rate, train
from derain.train.resident import ResidentBatches, read_bytes
from derain.train.sources import ValidationSet, open_batches
from derain.train.state import BEST, CHECKPOINT, LOG, Run, branch_recipe, checkpoint_recipe

__all__ = [
    "BEST",
    "CHECKPOINT",
    "LOG",
    "Batch",
    "BatchSource",
    "LeakError",
    "PairedBatches",
    "RainyBatches",
    "ResidentBatches",
    "Run",
    "TrainingStep",
    "ValidationSet",
    "branch_recipe",
    "checkpoint_recipe",
    "describe",
    "learning_rate",
    "open_batches",
    "read_bytes",
    "train",
]
