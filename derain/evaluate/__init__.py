"""A Derainer over a dataset: scores, what they cost, tables, pictures.

`scores` derains and scores, `cost` says what a network asks of the machine, `paper` what its authors printed, `tables` writes it.
"""

from derain.evaluate.cost import MACS_SIDE, Cost, PeakMemory, multiply_adds
from derain.evaluate.paper import PAPER_SCORES, PaperScore, paper_score
from derain.evaluate.scores import Evaluation, PictureScore, evaluate
from derain.evaluate.tables import PAPER_MARK, to_csv, to_json, to_markdown

__all__ = [
    "MACS_SIDE",
    "PAPER_MARK",
    "PAPER_SCORES",
    "Cost",
    "Evaluation",
    "PaperScore",
    "PeakMemory",
    "PictureScore",
    "evaluate",
    "multiply_adds",
    "paper_score",
    "to_csv",
    "to_json",
    "to_markdown",
]
