"""Weights: the catalogue of the package, model cards, self-describing files.

What is offered here does without PyTorch. These modules need it: `derain.weights.loading` makes
networks of weights by name or path, `derain.weights.store` reads and writes files, and
`derain.weights.authors` reads the authors' checkpoints.
"""

from derain.weights.card import Card, Hyperparameters, Point, Stage, stages_from_json
from derain.weights.catalogue import CATALOGUE, DEFAULT, QUALITIES, Quality, find_quality
from derain.weights.finding import find_card
from derain.weights.header import HEADER, WeightsError, read_card

__all__ = [
    "CATALOGUE",
    "DEFAULT",
    "HEADER",
    "QUALITIES",
    "Card",
    "Hyperparameters",
    "Point",
    "Quality",
    "Stage",
    "WeightsError",
    "find_card",
    "find_quality",
    "read_card",
    "stages_from_json",
]
