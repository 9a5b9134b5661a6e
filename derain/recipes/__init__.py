"""Recipes: what the papers train, and what derain trains.

`recipe` says what a recipe is, `table` holds them all, `zoo` the weights that the package is to
hold.
"""

from derain.recipes.recipe import Augment, Optimiser, Recipe, Schedule, override
from derain.recipes.table import RECIPES, find_recipe
from derain.recipes.zoo import ZOO, Entry

__all__ = [
    "RECIPES",
    "ZOO",
    "Augment",
    "Entry",
    "Optimiser",
    "Recipe",
    "Schedule",
    "find_recipe",
    "override",
]
