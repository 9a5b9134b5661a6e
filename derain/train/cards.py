"""Cards: what is written beside trained weights about how they came to be."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch

from derain import __version__, weights
from derain.data import Place, TwoFolders
from derain.machine import processor
from derain.recipes import Recipe
from derain.train.leaks import Checked
from derain.train.log import read_log
from derain.train.run import LOG, TrainingRun
from derain.train.sources import OF_PHOTOGRAPHS, validated_part
from derain.train.state import State

_PATHS = ("init", "textures")
"""Settings that are paths: a card says the name of what lies there, not where."""


def current_commit() -> str:
    """Return the commit of this code if it runs from a checkout, else an empty text.

    An environment that lies inside another project's checkout does not count as one.
    """
    here = Path(__file__)

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=here.parent, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)
        return git("describe", "--always", "--dirty", "--abbrev=12")
    except (OSError, subprocess.CalledProcessError):
        return ""


@dataclass(frozen=True)
class Provenance:
    """The facts of a card about a run besides its progress.

    Attributes:
        recipe: The recipe it trains by.
        run: Where it reads and writes.
        rain: Presets that fall on the pictures; empty for pairs, which stay as they are.
        checked: What is known of the pictures, such as a leak and their digest.
        commit: Of the code that trains.
    """

    recipe: Recipe
    run: TrainingRun
    rain: str = ""
    checked: Checked = field(default_factory=Checked)
    commit: str = field(default_factory=current_commit)

    def card(self, state: State, scores: Mapping[str, float]) -> weights.Card:
        """Return the card of the weights as they stand, with all the stages they went through."""
        stage = self.stage(state, scores)
        history = (*state.before, stage)
        return weights.Card(
            name=self.recipe.name,
            network=self.recipe.network,
            recipe=stage.recipe,
            data=stage.data,
            rain=self.rain,
            steps=sum(part.steps for part in history),
            hours=round(sum(part.hours for part in history), 3),
            machine=stage.machine,
            validation=validated_part(self.recipe),
            scores=on_a_card(scores),
            licence=self.run.licence,
            commit=stage.commit,
            version=stage.version,
            digest=stage.digest,
            note=self.checked.note,
            history=history,
        )

    def stage(self, state: State, scores: Mapping[str, float]) -> weights.Stage:
        """Return this run so far: its validations are those in its log, and the one just made.

        Args:
            state: State of the training.
            scores: Of that one; empty where a run stops between two.
        """
        run = self.run
        points = [
            weights.Point(line["step"], _hours(line["seconds"], 4), line["validation"])
            for line in read_log(run.out / LOG)
            if "validation" in line and line["step"] < state.step
        ]
        if scores:
            points.append(weights.Point(state.step, _hours(state.seconds, 4), dict(scores)))
        return weights.Stage(
            recipe=_without_paths(self._applied),
            data=_name_of(run.data),
            steps=state.step,
            hours=_hours(state.seconds, 3),
            machine=f"{run.machine or _machine(run.device)}, {run.number_format}",
            commit=self.commit,
            version=__version__,
            digest=self.checked.digest,
            curve=tuple(points),
        )

    @property
    def _applied(self) -> Recipe:
        """The recipe, without settings that have no effect on pairs."""
        return self.recipe if self.rain else replace(self.recipe, **OF_PHOTOGRAPHS)


def on_a_card(scores: Mapping[str, float]) -> dict[str, str]:
    """Return validation scores by kind of rain as cards word them."""
    return {f"validation {rain} y-matlab": f"{value:.2f}" for rain, value in scores.items()}


def _name_of(data: Place) -> str:
    """Return what data are called: names of folders, no paths."""
    if isinstance(data, TwoFolders):
        return f"{data.name}: {data.rainy.name} and {data.clean.name}"
    return f"{data.parent.name}/{data.name}"


def _without_paths(recipe: Recipe) -> str:
    """Return a recipe as JSON, with names where it has paths."""
    named = {setting: Path(getattr(recipe, setting)).name for setting in _PATHS}
    return json.dumps(asdict(replace(recipe, **named)))


def _machine(device: torch.device) -> str:
    """Return a description of this machine."""
    return f"{processor()}, {torch.get_num_threads()} CPU threads, {device.type}"


def _hours(seconds: float, digits: int) -> float:
    return round(seconds / 3600, digits)
