"""Pictures to train on and to score on: paired datasets in their layouts, clean folders, batches."""

from derain.data.batches import (
    LONG_SIDE,
    Augment,
    Batch,
    BatchSource,
    PairedBatches,
    RainyBatches,
    generator_for,
    shrink,
    to_tensor,
)
from derain.data.folders import NoPairsError, Pair, PairedFolder, clean_pictures, find_pairs

__all__ = [
    "LONG_SIDE",
    "Augment",
    "Batch",
    "BatchSource",
    "NoPairsError",
    "Pair",
    "PairedBatches",
    "PairedFolder",
    "RainyBatches",
    "clean_pictures",
    "find_pairs",
    "generator_for",
    "shrink",
    "to_tensor",
]
