"""Recipes: what the papers train, and what derain trains.

`recipe` defines a recipe and its settings, `table` holds all recipes.
"""

from derain.recipes.recipe import Augment, Loss, Optimiser, Recipe, Schedule, override
from derain.recipes.table import RECIPES, find_recipe

__all__ = [
    "RECIPES",
    "Augment",
    "Loss",
    "Optimiser",
    "Recipe",
    "Schedule",
    "find_recipe",
    "override",
]
