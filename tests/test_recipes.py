"""Recipes: what the paper says, and settings that are checked."""

import pytest

from derain.recipes import RECIPES, find_recipe


def test_the_papers_recipe() -> None:
    recipe = find_recipe("nledn-rain100l-paper")  # NLEDN, section 4.2
    assert (recipe.lr, recipe.min_lr, recipe.schedule, recipe.batch, recipe.crop) == (5e-4, 1e-4, "plateau", 1, None)
    assert (recipe.betas[0], recipe.weight_decay, recipe.augment, recipe.ema) == (0.9, 1e-4, "flip", 0)


@pytest.mark.parametrize("name", RECIPES)
def test_names_and_sources(name: str) -> None:
    assert RECIPES[name].name == name
    assert RECIPES[name].source


def test_overrides() -> None:
    recipe = find_recipe(
        "nledn", {"lr": "3e-4", "steps": "10", "crop": "none", "batch": "1", "rain": "rain100l,rain100h", "betas": "0.8,0.9"}
    )
    assert (recipe.lr, recipe.steps, recipe.crop) == (3e-4, 10, None)
    assert (recipe.rain, recipe.betas) == (("rain100l", "rain100h"), (0.8, 0.9))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"lr": "fast"}, "--set lr=fast: expected a value like"),
        ({"speed": "1"}, "--set speed: no such setting; expected one of"),
        ({"network": "other"}, "--set network: no such setting"),
        ({"batch": "0"}, "batch=0: expected a whole number of at least 1"),
        ({"crop": "none"}, "whole pictures differ in size"),
        ({"crop": "8"}, "crop=8: expected at least 16"),
        ({"rain": "snow"}, "rain=snow: expected names of presets"),
        ({"lr": "1e-9"}, "expected 0 < min_lr <= lr"),
        ({"ema": "1"}, "ema=1.0: expected"),
        ({"schedule": "linear"}, "schedule=linear: expected"),
        ({"augment": "none"}, "augment=none: expected"),
    ],
)
def test_settings_are_checked(setting: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_recipe("nledn", setting)


def test_unknown_recipe_lists_the_known() -> None:
    with pytest.raises(ValueError, match="no recipe 'unet': expected one of nledn, "):
        find_recipe("unet")
