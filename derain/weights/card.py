"""Model cards: the header of a weights file, as a dataclass."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

Hyperparameters = Mapping[str, bool | int | float | str]
"""Arguments of a network's constructor."""


_LATER = ("validation", "version", "digest")
"""Fields of cards and stages that the first cards had not."""


@dataclass(frozen=True)
class Point:
    """A validation during training.

    Attributes:
        step: Optimiser steps of its stage until then.
        hours: Time of its stage until then.
        scores: PSNR in dB (y-matlab) by kind of rain.
    """

    step: int
    hours: float
    scores: dict[str, float]


@dataclass(frozen=True)
class Stage:
    """One run of the trainer. Weights go through several, each from where the last one ended.

    Attributes:
        recipe: As JSON.
        data: What it trained on.
        steps: Optimiser steps.
        hours: Time spent training.
        machine: On what.
        commit: Of the code that trained.
        version: Of derain that trained.
        digest: Of the files it trained on, whatever they are called: ``derain data check`` prints
            the same for the same data.
        curve: Its validations up to the one whose weights were kept.
    """

    recipe: str = ""
    data: str = ""
    steps: int = 0
    hours: float = 0.0
    machine: str = ""
    commit: str = ""
    version: str = ""
    digest: str = ""
    curve: tuple[Point, ...] = ()

    def describe(self) -> str:
        """Return a line that says how long it took, on what, and the last validation."""
        end = (
            ", ".join(f"{name} {value:.2f} dB" for name, value in self.curve[-1].scores.items())
            if self.curve
            else ""
        )
        where = f"{self.machine}, commit {self.commit}" if self.commit else self.machine
        return f"{self.steps} steps in {self.hours:.2f} h on {where}{': ' if end else ''}{end}"


@dataclass(frozen=True)
class Card:
    """Facts about weights, as the header of their file holds them.

    Attributes:
        name: Short name, as ``derain -m`` takes it.
        network: A name of `derain.networks.NETWORKS`.
        hyperparameters: Arguments of the network's constructor.
        recipe: Name of the recipe, or where published weights come from.
        data: What they were trained on.
        rain: Presets that fell on it, in the last stage.
        steps: Optimiser steps, in all stages.
        hours: Time spent training, in all stages.
        machine: On what.
        validation: What the scores of validations were measured on.
        scores: Measured, by dataset and protocol: ``{"Rain100L-dev10 y-matlab": "32.1 / 0.93"}``.
        licence: Under which the weights may be used; empty if their author names none.
        commit: Of the code that trained them.
        version: Of derain that trained them, in the last stage.
        digest: Of the files they were trained on, in the last stage, as a `Stage` has it.
        note: Anything else a user should know.
        failures: What they are known to do badly, seen by looking at pictures.
        history: The runs they come from, the last one last.
    """

    name: str
    network: str
    hyperparameters: Hyperparameters = field(default_factory=dict)
    recipe: str = ""
    data: str = ""
    rain: str = ""
    steps: int = 0
    hours: float = 0.0
    machine: str = ""
    validation: str = ""
    scores: dict[str, str] = field(default_factory=dict)
    licence: str = ""
    commit: str = ""
    version: str = ""
    digest: str = ""
    note: str = ""
    failures: str = ""
    history: tuple[Stage, ...] = ()

    def to_json(self) -> str:
        """Return the header's text, which `from_json` reads back."""
        values = asdict(self)
        # Without them a card is written as it always was: shipped files are known by their hashes.
        for part in (values, *values["history"]):
            for name in _LATER:
                if not part.get(name):
                    part.pop(name, None)
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Card":
        """Read a header; fields of a later version are left out.

        Raises:
            ValueError: If it is no JSON object, name or network are missing, or its history is
                not a list of stages.
        """
        try:
            values: Any = json.loads(text)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if not isinstance(values, dict) or not {"name", "network"} <= values.keys():
            raise ValueError("the header names no network")
        if not (isinstance(values["name"], str) and isinstance(values["network"], str)):
            raise ValueError("name and network are not text")
        if not isinstance(values.get("hyperparameters", {}), dict) or not isinstance(
            values.get("scores", {}), dict
        ):
            raise ValueError("hyperparameters or scores are not a table")
        return cls(**_known(cls, values, history=_stages(values.get("history", []))))


def stages_from_json(text: str) -> tuple[Stage, ...]:
    """Return the stages of a JSON list of them.

    Raises:
        ValueError: If it is not such a list.
    """
    return _stages(json.loads(text))


def _stages(values: Any) -> tuple[Stage, ...]:
    try:
        stages = tuple(
            Stage(**_known(Stage, stage, curve=_points(stage.get("curve", [])))) for stage in values
        )
    except (AttributeError, TypeError) as error:
        raise ValueError(f"its history is not a list of stages ({error})") from None
    for part in (*stages, *(point for stage in stages for point in stage.curve)):
        _check_types(part)
    return stages


def _points(values: Any) -> tuple[Point, ...]:
    return tuple(Point(**_known(Point, point)) for point in values)


def _check_types(part: Stage | Point) -> None:
    """Raise ValueError unless fields of text hold text, and fields of numbers hold numbers."""
    kinds: dict[str, Any] = {
        "step": int,
        "steps": int,
        "hours": int | float,
        "curve": tuple,
        "scores": dict,
    }
    for name, value in vars(part).items():
        if not isinstance(value, kinds.get(name, str)):
            raise ValueError(f"{name} of a stage in its history is {value!r}")
    scores: Mapping[str, Any] = part.scores if isinstance(part, Point) else {}
    if not all(isinstance(value, int | float) for value in scores.values()):
        raise ValueError(f"scores in its history are not numbers: {scores!r}")


def _known(kind: type, values: Mapping[str, Any], **rebuilt: Any) -> dict[str, Any]:
    """Return the fields that this version knows, with some of them rebuilt."""
    names = {f.name for f in fields(kind)}
    return {key: value for key, value in values.items() if key in names} | rebuilt
