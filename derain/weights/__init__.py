"""Weights: the catalogue of what the package holds, our self-describing files, the authors' files."""

from derain.weights.card import Card, Point, Stage, stages_from_json
from derain.weights.catalogue import CATALOGUE, DEFAULT, find, find_card
from derain.weights.store import WeightsError, load, read_card, save

__all__ = [
    "CATALOGUE",
    "DEFAULT",
    "Card",
    "Point",
    "Stage",
    "WeightsError",
    "find",
    "find_card",
    "load",
    "read_card",
    "save",
    "stages_from_json",
]
