"""Checkpoints: all that a run is resumed from, and that branches begin from, in one file."""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from derain import weights
from derain.errors import is_out_of_memory
from derain.files import write_file
from derain.recipes import Recipe, override

CHECKPOINT = "last.pt"

BRANCH_SHARE = 0.1
"""Steps of a branch, relative to those of its trunk."""


@dataclass(frozen=True)
class Checkpoint:
    """All that a run is resumed from.

    Attributes:
        recipe: The recipe it is trained by.
        network: State of the network.
        averaged: State of the running mean of its weights; None for recipes without one.
        optimiser: State of the optimiser.
        numbers: Step, seconds, best score and the state of the schedule.
        hyperparameters: Arguments of the network's constructor.
        before: Stages that the weights it began from went through.
        stage: What the run did so far, for the cards of its branches.
        dtype: Number format that it is trained in.
        validation: Digest of the files that it is validated on; empty in old checkpoints.
        licence: Of its weights, for their card.
    """

    recipe: Recipe
    network: dict[str, Any]
    averaged: dict[str, Any] | None
    optimiser: dict[str, Any]
    numbers: dict[str, Any]
    hyperparameters: dict[str, Any]
    before: tuple[weights.Stage, ...]
    stage: weights.Stage
    dtype: str
    validation: str = ""
    licence: str = ""

    def write(self, path: Path) -> None:
        """Write the checkpoint, completely or not at all.

        Raises:
            OSError: If the file cannot be written.
        """
        content = {
            "recipe": asdict(self.recipe),
            "network": self.network,
            "averaged": self.averaged,
            "optimiser": self.optimiser,
            "numbers": self.numbers,
            "stage": json.dumps([asdict(self.stage)]),
            "before": json.dumps([asdict(stage) for stage in self.before]),
            "hyperparameters": self.hyperparameters,
            "dtype": self.dtype,
            "validation": self.validation,
            "licence": self.licence,
        }
        # In memory first: of a full disk PyTorch says only that it failed.
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_file(path, buffer.getvalue())

    @classmethod
    def read(cls, path: Path, device: torch.device) -> "Checkpoint":
        """Read a checkpoint, with its tensors on a device.

        Raises:
            ValueError: If the file is damaged or is not a checkpoint.
        """
        try:
            content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
            averaged = content["averaged"]
            (stage,) = weights.stages_from_json(content["stage"])
            return cls(
                # A setting that is younger than the checkpoint had its default until then.
                recipe=Recipe(**content["recipe"]),
                network=dict(content["network"]),
                averaged=None if averaged is None else dict(averaged),
                optimiser=dict(content["optimiser"]),
                numbers=dict(content["numbers"]),
                hyperparameters=dict(content["hyperparameters"]),
                before=weights.stages_from_json(content["before"]),
                stage=stage,
                dtype=str(content["dtype"]),
                # Younger than some checkpoints.
                validation=str(content.get("validation", "")),
                licence=str(content.get("licence", "")),
            )
        except Exception as error:  # damaged pickles raise whatever they come upon
            if is_out_of_memory(error):
                raise
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(
                f"{path}: expected a checkpoint of derain train, but it is damaged or something"
                f" else ({why})"
            ) from None


def branch_recipe(run: Path, overrides: Mapping[str, str]) -> Recipe:
    """Return the recipe of a branch: its trunk's, with a rate that falls.

    A branch takes a tenth of the steps that the trunk has taken.

    Args:
        run: Folder of the trunk, or its checkpoint.
        overrides: As for `find_recipe`; without a ``seed`` among them it is the trunk's plus one.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If it is damaged, or of a run that is not a trunk.
    """
    path = run / CHECKPOINT if run.is_dir() else run
    trunk, taken = checkpoint_recipe(path)
    check_trunk(trunk, path)
    steps = max(1, round(BRANCH_SHARE * taken))
    branch = replace(
        trunk,
        schedule="branch",
        init=str(path),
        warmup=0,
        steps=steps,
        validate_every=max(1, min(trunk.validate_every, steps // 4)),
        seed=trunk.seed + 1,
    )
    return override(branch, overrides)


def checkpoint_recipe(path: Path) -> tuple[Recipe, int]:
    """Return the recipe that a checkpoint was trained by, and the steps it has taken.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If it is damaged.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such checkpoint; expected one that derain train wrote")
    checkpoint = Checkpoint.read(path, torch.device("cpu"))
    return checkpoint.recipe, int(checkpoint.numbers["step"])


def check_trunk(recipe: Recipe, path: Path) -> None:
    """Raise ValueError unless the checkpoint of this recipe is a trunk's."""
    if recipe.schedule != "trunk":
        raise ValueError(
            f"{path}: was trained with schedule={recipe.schedule}; expected schedule=trunk"
        )


def check_same_recipe(recipe: Recipe, begun: Recipe, path: Path) -> None:
    """Raise ValueError if a run was begun with another recipe than it is resumed with.

    Steps and the interval of validations may change, and textures may move.
    """
    now, then = asdict(recipe), asdict(begun)
    for settings in (now, then):
        settings["textures"] = Path(settings["textures"]).name
    free = ("steps", "validate_every", "source")
    changed = [key for key in now if now[key] != then[key] and key not in free]
    if changed:
        was = ", ".join(f"{key}={then[key]}" for key in changed)
        raise ValueError(
            f"{path}: was begun with {was}; give the same, or another -o (steps may change)"
        )
