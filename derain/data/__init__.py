"""Pictures to train on and to score on: paired datasets in their layouts, clean folders,
batches.
"""

from derain.data.batches import (
    LONG_SIDE,
    Augment,
    Batch,
    BatchSource,
    PairedBatches,
    RainyBatches,
    blown_factor,
    generator_for,
    shrink,
    to_tensor,
)
from derain.data.folders import (
    LAYOUTS,
    Layout,
    NoPairsError,
    clean_pictures,
    find_pairs,
    layout_named,
    survey,
)
from derain.data.identity import Identity, identify
from derain.data.pairs import Pair, PairedFolder, Problem, read_pair
from derain.data.resident import ResidentBatches, read_bytes

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
    "Problem",
    "RainyBatches",
    "ResidentBatches",
    "blown_factor",
    "clean_pictures",
    "find_pairs",
    "generator_for",
    "identify",
    "layout_named",
    "read_bytes",
    "read_pair",
    "shrink",
    "survey",
    "to_tensor",
]
