"""Layouts of paired datasets: in folders, in one folder, in a list, or two in one picture.

`folders` recognises the layouts, `names` matches pairs by file name, `lists` reads lists of pairs,
and `halves` recognises pictures that hold rainy and clean side by side. `unknown` looks for pairs
where no layout was found.
"""

from derain.data.layouts.folders import (
    LAYOUTS,
    Layout,
    NoPairsError,
    check_layout,
    find_pairs,
    layout_named,
    survey,
)
from derain.data.layouts.unknown import copies_across, refuse_pairs, unknown_pairs

__all__ = [
    "LAYOUTS",
    "Layout",
    "NoPairsError",
    "check_layout",
    "copies_across",
    "find_pairs",
    "layout_named",
    "refuse_pairs",
    "survey",
    "unknown_pairs",
]
