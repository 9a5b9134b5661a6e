"""Pictures to train on and to score on: paired datasets in their layouts, and clean folders.

`layouts` says how pairs lie on disk, `audit` what a dataset is and what is wrong with it, `copies`
finds near-duplicates.
"""

from derain.data.audit import Identity, identify
from derain.data.layouts import (
    LAYOUTS,
    Layout,
    NoPairsError,
    check_layout,
    find_pairs,
    layout_named,
    refuse_pairs,
    survey,
    unknown_pairs,
)
from derain.data.pairs import (
    GivenPlace,
    Pair,
    PairedFolder,
    Place,
    Problem,
    TwoFolders,
    named_folders,
    place_of,
    read_pair,
)
from derain.data.photographs import clean_pictures

__all__ = [
    "LAYOUTS",
    "GivenPlace",
    "Identity",
    "Layout",
    "NoPairsError",
    "Pair",
    "PairedFolder",
    "Place",
    "Problem",
    "TwoFolders",
    "check_layout",
    "clean_pictures",
    "find_pairs",
    "identify",
    "layout_named",
    "named_folders",
    "place_of",
    "read_pair",
    "refuse_pairs",
    "survey",
    "unknown_pairs",
]
