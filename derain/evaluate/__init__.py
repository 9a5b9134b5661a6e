"""Scores of models on datasets, what they cost, tables and reports.

`compare` scores models on datasets, `scores` one on one, `picture_scores` are those of one picture,
`saved` keeps them beside results, so that an evaluation can be continued. `cost` measures what a
network asks of the machine, `paper` holds what its authors printed. `photographs` and `natural` are
for pictures without ground truth. `identity` says what a dataset is, `results` names what is made
of pictures. `tables` writes Markdown, CSV and JSON, `report` an HTML page with a plot and pictures.
"""

from derain.evaluate.compare import (
    Model,
    compare,
    find_datasets,
    find_models,
    sort_inputs,
    were_saved,
)
from derain.evaluate.cost import Cost
from derain.evaluate.identity import identity
from derain.evaluate.natural import natural_model
from derain.evaluate.paper import PAPER_SCORES, PaperScore, paper_score
from derain.evaluate.photographs import Photograph, Photographs, find_photographs
from derain.evaluate.picture_scores import Naturalness, PictureScore
from derain.evaluate.report import Gallery, check_report, to_html
from derain.evaluate.results import numbered
from derain.evaluate.saved import has_scores, holds_results
from derain.evaluate.scores import (
    Evaluation,
    Failure,
    OnResult,
    Scoring,
    evaluate,
    evaluate_each,
)
from derain.evaluate.tables import PAPER_MARK, to_csv, to_json, to_markdown

__all__ = [
    "PAPER_MARK",
    "PAPER_SCORES",
    "Cost",
    "Evaluation",
    "Failure",
    "Gallery",
    "Model",
    "Naturalness",
    "OnResult",
    "PaperScore",
    "Photograph",
    "Photographs",
    "PictureScore",
    "Scoring",
    "check_report",
    "compare",
    "evaluate",
    "evaluate_each",
    "find_datasets",
    "find_models",
    "find_photographs",
    "has_scores",
    "holds_results",
    "identity",
    "natural_model",
    "numbered",
    "paper_score",
    "sort_inputs",
    "to_csv",
    "to_html",
    "to_json",
    "to_markdown",
    "were_saved",
]
