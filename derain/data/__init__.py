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
from derain.data.folders import LAYOUTS, Layout, NoPairsError, clean_pictures, find_pairs, layout_named
from derain.data.identity import Identity, identify
from derain.data.pairs import Pair, PairedFolder, read_pair

__all__ = [
    "LAYOUTS",
    "LONG_SIDE",
    "Augment",
    "Batch",
    "BatchSource",
    "Identity",
    "Layout",
    "NoPairsError",
    "Pair",
    "PairedBatches",
    "PairedFolder",
    "RainyBatches",
    "clean_pictures",
    "find_pairs",
    "generator_for",
    "identify",
    "layout_named",
    "read_pair",
    "shrink",
    "to_tensor",
]
