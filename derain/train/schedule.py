"""Learning rates: what each schedule of a recipe makes of a step."""

import math

from derain.recipes import Recipe


def learning_rate(recipe: Recipe, step: int, lr_factor: float) -> float:
    """Return the rate of a step that is about to be taken.

    Args:
        recipe: The recipe, which chooses the schedule.
        step: Number of the step, from 0.
        lr_factor: Factor that a plateau schedule has come to; the other schedules ignore it.
    """
    if recipe.schedule == "plateau":
        return max(recipe.min_lr, recipe.lr * lr_factor)
    if recipe.schedule == "branch":
        return recipe.min_lr + (recipe.lr - recipe.min_lr) * (1 - math.sqrt(step / recipe.steps))
    if step < recipe.warmup:
        return recipe.lr * (step + 1) / recipe.warmup
    if recipe.schedule == "trunk":
        return recipe.lr
    if recipe.schedule == "steps":
        passed = sum(step >= share * recipe.steps for share in recipe.milestones)
        return max(recipe.min_lr, recipe.lr * recipe.decay**passed)
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    falling = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return recipe.min_lr + (recipe.lr - recipe.min_lr) * falling
