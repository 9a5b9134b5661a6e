"""Measure how fast models run on this machine, and the fraction of its peak.

`cases` is what is measured, `ceiling` what the machine can do, `timing` measures every case in a
process of its own, `table` prints it.
"""

from derain.bench.cases import Case, Timing, picture
from derain.bench.ceiling import Ceiling, in_turns, operations
from derain.bench.table import to_markdown
from derain.bench.timing import time_cases

__all__ = [
    "Case",
    "Ceiling",
    "Timing",
    "in_turns",
    "operations",
    "picture",
    "time_cases",
    "to_markdown",
]
