"""Recipes: what the papers train, and what derain trains.

`recipe` defines a recipe and its settings, `table` holds all recipes.
"""

from derain.recipes.recipe import Optimiser, Recipe, Schedule, override
from derain.recipes.table import RECIPES, find_recipe

__all__ = ["RECIPES", "Optimiser", "Recipe", "Schedule", "find_recipe", "override"]
