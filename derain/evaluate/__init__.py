"""A Derainer over a dataset: scores, what they cost, tables, pictures.

`scores` derains and scores, `cost` says what a network asks of the machine, `paper` what its
authors printed, `photographs` and `natural` are for pictures without clean twins, `identity` says
what a dataset is, `results` what pictures are called and where they go, `tables` writes it all
down, `report` as a page with a plot and pictures.
"""

from derain.evaluate.cost import MACS_SIDE, Cost, PeakMemory, multiply_adds
from derain.evaluate.identity import identity
from derain.evaluate.natural import natural_model
from derain.evaluate.paper import PAPER_SCORES, PaperScore, paper_score
from derain.evaluate.photographs import Photograph, Photographs, find_photographs
from derain.evaluate.report import Gallery, check_report, to_html
from derain.evaluate.results import numbered
from derain.evaluate.scores import Evaluation, Naturalness, PictureScore, evaluate
from derain.evaluate.tables import PAPER_MARK, to_csv, to_json, to_markdown

__all__ = [
    "MACS_SIDE",
    "PAPER_MARK",
    "PAPER_SCORES",
    "Cost",
    "Evaluation",
    "Gallery",
    "Naturalness",
    "PaperScore",
    "PeakMemory",
    "Photograph",
    "Photographs",
    "PictureScore",
    "check_report",
    "evaluate",
    "find_photographs",
    "identity",
    "multiply_adds",
    "natural_model",
    "numbered",
    "paper_score",
    "to_csv",
    "to_html",
    "to_json",
    "to_markdown",
]
