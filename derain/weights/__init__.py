"""Weights: the catalogue of the package, self-describing files, and the authors' checkpoints."""

from derain.weights.card import Card, Point, Stage, stages_from_json
from derain.weights.catalogue import (
    CATALOGUE,
    DEFAULT,
    QUALITIES,
    Quality,
    find,
    find_card,
    find_quality,
)
from derain.weights.store import WeightsError, load, read_card, save

__all__ = [
    "CATALOGUE",
    "DEFAULT",
    "QUALITIES",
    "Card",
    "Point",
    "Quality",
    "Stage",
    "WeightsError",
    "find",
    "find_card",
    "find_quality",
    "load",
    "read_card",
    "save",
    "stages_from_json",
]
